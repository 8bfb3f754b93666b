"""The registrar of the stand-in core: who subscribes, who is registered where, and the digest that proves it.

One binding per subscription, the newest: a gateway registers once, and whoever registers the
same subscription after it has taken its place. The phones are not registered; they are part
of the core's own furniture and always there (`PHONES` of the preset).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from rtcgw.model.identity import Profile, canonical_key
from rtcgw.sip.digest import DigestServer, Outcome
from rtcgw.sip.headers import HeaderError, NameAddr
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.uri import Uri

LONGEST = 3600
"""Seconds granted at most; a gateway that dies is forgotten within the hour."""
MAX_PATH = 8
"""Path values kept of a REGISTER; a proxy chain on loopback has none."""


@frozen
class Binding:
    """Where a subscription is registered."""

    contact: Uri
    path: tuple[str, ...]
    ends: float
    """On the registrar's clock."""


@define(eq=False)
class Registrar:
    """The subscriptions of one domain.

    `service_route` is what a registered user agent shall preload, as a header value (RFC 3608).
    """

    profiles: Iterable[Profile]
    clock: IReactorTime
    service_route: str
    realm: str
    _by_impi: Mapping[str, Profile] = field(init=False)
    _by_impu: Mapping[str, Profile] = field(init=False)
    _bindings: dict[str, Binding] = field(factory=dict, init=False)
    """By private identity: no more than there are subscriptions."""
    _digest: DigestServer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._by_impi = {profile.impi: profile for profile in self.profiles}
        self._by_impu = {canonical_key(impu): p for p in self._by_impi.values() for impu in p.impus}
        self._digest = DigestServer(self.realm, self._secret, self.clock)

    def _secret(self, impi: str) -> str | None:
        profile = self._by_impi.get(impi)
        return None if profile is None else profile.secret

    # -- what the proxy asks ---------------------------------------------------------------

    def knows(self, key: str) -> bool:
        """Whether a canonical key is a public identity of this domain's subscribers."""
        return key in self._by_impu

    def find(self, key: str) -> Binding | None:
        """Where the owner of a public identity is registered, or None."""
        profile = self._by_impu.get(key)
        return None if profile is None else self._current(profile.impi)

    def _current(self, impi: str) -> Binding | None:
        binding = self._bindings.get(impi)
        if binding is not None and binding.ends <= self.clock.seconds():
            del self._bindings[impi]
            return None
        return binding

    # -- REGISTER --------------------------------------------------------------------------

    def register(self, request: Request) -> Response:
        """The response to a REGISTER. Raises `HeaderError` for headers that cannot be read (400)."""
        verdict = self._digest.check(request.headers.get("authorization", ()), "REGISTER", request.uri)
        if verdict.outcome in (Outcome.NONE, Outcome.STALE):
            response = make_response(request, 401, "Unauthorized")
            response.set("www-authenticate", *self._digest.challenge(verdict.outcome is Outcome.STALE))
            return response
        if verdict.outcome is Outcome.BROKEN:
            return make_response(request, 400, "Bad Credentials")
        profile = self._by_impu.get(request.to.uri.key)
        if verdict.outcome is not Outcome.OK or profile is None or profile.impi != verdict.username:
            return make_response(request, 403, "Forbidden")
        return self._bind(request, profile)

    def _bind(self, request: Request, profile: Profile) -> Response:
        """Enter, refresh, remove or tell the binding (RFC 3261 §10.3)."""
        values = request.values("contact")
        if values == ["*"]:
            if request.get("expires") != "0":
                return make_response(request, 400, "Contact * Needs Expires 0")
            self._bindings.pop(profile.impi, None)
        for value in values[:1] if values != ["*"] else ():
            contact = NameAddr.parse(value)
            seconds = _seconds(contact.params.get("expires") or request.get("expires"))
            if seconds:
                path = tuple(request.values("path")[:MAX_PATH])
                self._bindings[profile.impi] = Binding(contact.uri, path, self.clock.seconds() + seconds)
            else:
                self._bindings.pop(profile.impi, None)
        return self._granted(request, profile)

    def _granted(self, request: Request, profile: Profile) -> Response:
        response = make_response(request, 200, "OK")
        binding = self._current(profile.impi)
        if binding is not None:
            left = round(binding.ends - self.clock.seconds())
            response.set("contact", f"<{binding.contact}>;expires={left}")
            response.set("service-route", self.service_route)
            for value in binding.path:
                response.add("path", value)
        response.set("p-associated-uri", ", ".join(f"<{impu}>" for impu in profile.impus))
        return response


def _seconds(text: str | None) -> int:
    """How long to grant what was asked for (RFC 3261 §10.2.1.1: no readable wish is no wish)."""
    if text is None or not (text.isascii() and text.isdigit()):
        return LONGEST
    return min(int(text[:10]), LONGEST)


def read_uri(text: str | None) -> Uri | None:
    """The URI of the first name-addr in a header line, or None: what cannot be read names nobody."""
    if text is None:
        return None
    try:
        return NameAddr.parse_many([text])[0].uri
    except (HeaderError, IndexError):
        return None
