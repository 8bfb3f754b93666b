"""Digest authentication for SIP: the answer to a challenge, and the registrar's side of it.

RFC 3261 §22 with RFC 7616 and RFC 8760: MD5, SHA-256 and SHA-512-256, each with its `-sess` form,
qop `auth`, `auth-int` or none. Of several challenges the topmost that can be met is met; Basic never
is. How often a refused answer is repeated is the caller's business: it sees the new challenge.

    DigestClient   holds one name and password, counts the uses of each nonce
    DigestServer   makes challenges and judges credentials; the sandbox registrar has one

AKA, which makes the password anew for each challenge, is in `aka.py` on top of this.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from attrs import define, frozen
from twisted.internet.interfaces import IReactorTime

from rtcgw.sip.headers import Challenge, Credentials, HeaderError, Quoted
from rtcgw.sip.uri import Uri, UriError

MAX_NONCES = 64
"""Nonces whose uses a client counts at once; the oldest is forgotten."""
MAX_ISSUED = 10_000
"""Nonces a server knows at once; one that is forgotten early costs its client one more round."""


class AuthRefused(Exception):
    """No challenge can be met; the text says why, without any secret."""


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()  # the peer chooses; RFC 8760 §2.4 keeps it as legacy


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha512_256(data: bytes) -> str:
    return hashlib.new("sha512_256", data).hexdigest()  # the function of FIPS 180-4, not SHA-512 cut short


Hash = Callable[[bytes], str]

HASHES: Mapping[str, Hash] = {"md5": _md5, "sha-256": _sha256, "sha-512-256": _sha512_256}
"""Hash functions by lower-case algorithm name, without `-sess`."""


@frozen(repr=False)
class Exchange:
    """All that goes into one response value. No repr: it holds the password."""

    hash: Hash
    username: str
    realm: str
    secret: bytes
    method: str
    uri: str
    nonce: str
    qop: str | None = None
    """`auth`, `auth-int`, or None for the form of RFC 2069."""
    nc: str = ""
    """Eight hexadecimal digits."""
    cnonce: str = ""
    body: bytes = b""
    session: bool = False
    """Whether the algorithm ends in `-sess`."""

    def response(self) -> str:
        """The value of `response`, in lower-case hexadecimal (RFC 7616 §3.4.1)."""
        digest = self.hash
        ha1 = digest(f"{self.username}:{self.realm}:".encode() + self.secret)
        if self.session:
            ha1 = digest(f"{ha1}:{self.nonce}:{self.cnonce}".encode())
        a2 = f"{self.method}:{self.uri}"
        if self.qop == "auth-int":
            a2 = f"{a2}:{digest(self.body)}"
        ha2 = digest(a2.encode())
        if self.qop is None:
            return digest(f"{ha1}:{self.nonce}:{ha2}".encode())
        return digest(f"{ha1}:{self.nonce}:{self.nc}:{self.cnonce}:{self.qop}:{ha2}".encode())


def split_algorithm(text: str | None) -> tuple[str, bool]:
    """`SHA-256-sess` as ("sha-256", True); no algorithm means MD5."""
    name = (text or "MD5").lower()
    return (name[:-5], True) if name.endswith("-sess") else (name, False)


def choose_qop(offered: str | None) -> str | None:
    """`auth` where it is offered, else `auth-int`, None where the challenge has no qop. Raises `AuthRefused`."""
    if offered is None:
        return None
    words = {word.strip().lower() for word in offered.split(",")}
    for qop in ("auth", "auth-int"):
        if qop in words:
            return qop
    raise AuthRefused("no known qop")


def print_answer(challenge: Challenge, exchange: Exchange, extra: Mapping[str, str] | None = None) -> str:
    """The value of Authorization or Proxy-Authorization that answers `challenge` (RFC 3261 §22.4, §25.1)."""
    params: dict[str, str | None] = {
        "username": Quoted(exchange.username),
        "realm": Quoted(exchange.realm),
        "nonce": Quoted(exchange.nonce),
        "uri": Quoted(exchange.uri),
        "response": Quoted(exchange.response()),
    }
    if "algorithm" in challenge.params:
        params["algorithm"] = str(challenge.params["algorithm"])
    if exchange.qop is not None or exchange.session:
        params["cnonce"] = Quoted(exchange.cnonce)
    if challenge.params.get("opaque") is not None:
        params["opaque"] = Quoted(challenge.params["opaque"])
    if exchange.qop is not None:
        params |= {"qop": exchange.qop, "nc": exchange.nc}
    for name, value in (extra or {}).items():
        params[name] = Quoted(value)
    return str(Credentials("Digest", params))


class NonceUses:
    """How often each nonce was used, and with which cnonce: at most `MAX_NONCES`, the oldest forgotten.

    The cnonce stays for the life of a nonce: with `-sess` it is part of the session key (RFC 7616 §3.4.2).
    """

    __slots__ = ("_cnonce", "_uses")

    def __init__(self, cnonce: Callable[[], str]) -> None:
        self._cnonce = cnonce
        self._uses: OrderedDict[str, tuple[int, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._uses)

    def next(self, nonce: str) -> tuple[str, str]:
        """The nc, as eight digits, and the cnonce of the next use."""
        count, cnonce = self._uses.pop(nonce) if nonce in self._uses else (0, self._cnonce())
        self._uses[nonce] = (count + 1, cnonce)
        if len(self._uses) > MAX_NONCES:
            self._uses.popitem(last=False)
        return f"{count + 1:08x}", cnonce


def _new_cnonce() -> str:
    return secrets.token_hex(8)


class DigestClient:
    """One name and password, ready to answer challenges."""

    __slots__ = ("_password", "_uses", "username")

    def __init__(self, username: str, password: str, cnonce: Callable[[], str] = _new_cnonce) -> None:
        self.username = username
        self._password = password.encode()
        self._uses = NonceUses(cnonce)

    def __repr__(self) -> str:
        return f"<DigestClient {self.username!r}>"

    def answer(self, challenges: Sequence[Challenge], method: str, uri: str, body: bytes = b"") -> str:
        """The credentials for the topmost challenge that can be met (RFC 8760 §2.4).

        `uri` is the Request-URI as sent. A challenge that says `stale=true` is answered like any other: it has a
        new nonce. Raises `AuthRefused` when none can be met.
        """
        why = "no challenge"
        for challenge in challenges:
            try:
                return self._meet(challenge, method, uri, body)
            except AuthRefused as error:
                why = str(error)
        raise AuthRefused(why)

    def _meet(self, challenge: Challenge, method: str, uri: str, body: bytes) -> str:
        if challenge.scheme.lower() != "digest":
            raise AuthRefused(f"scheme {challenge.scheme[:32]} is not met")
        params = challenge.params
        algorithm, session = split_algorithm(params.get("algorithm"))
        if algorithm not in HASHES:
            raise AuthRefused(f"algorithm {algorithm[:32]} is not known")
        realm, nonce = params.get("realm"), params.get("nonce")
        if realm is None or not nonce:
            raise AuthRefused("challenge without realm or nonce")
        qop = choose_qop(params.get("qop"))
        nc, cnonce = self._uses.next(nonce)
        exchange = Exchange(
            HASHES[algorithm], self.username, realm, self._password, method, uri, nonce, qop, nc, cnonce, body, session
        )
        return print_answer(challenge, exchange)


# -- the registrar's side --------------------------------------------------------------------


class Outcome(Enum):
    """What a server finds in a request's credentials."""

    OK = "ok"
    NONE = "none"
    """No credentials for this realm: challenge."""
    STALE = "stale"
    """Right, but with a nonce that is old, unknown or used up: challenge again with `stale=true`."""
    WRONG = "wrong"
    """Wrong name, password, algorithm, qop or URI."""
    BROKEN = "broken"
    """Not readable as credentials: 400."""


@frozen
class Verdict:
    """What `DigestServer.check` found."""

    outcome: Outcome
    username: str = ""
    """The name that was given, proven only when the outcome is OK."""


@define
class _Issued:
    until: float
    """When it goes stale, on the server's clock."""
    count: int = 0
    """The highest nc seen."""


class DigestServer:
    """Challenges for one realm, and the judgement of what comes back (RFC 7616 §3.3, RFC 8760 §2.3).

    `secret_of(username)` gives the password, or None for a stranger. `algorithms` are offered in this order, the
    best first. A nonce lives `lifetime` seconds and each nc serves once, so that a request heard on the way
    cannot be sent again.
    """

    __slots__ = ("_algorithms", "_clock", "_issued", "_lifetime", "_qops", "_secret_of", "realm")

    def __init__(
        self,
        realm: str,
        secret_of: Callable[[str], str | None],
        clock: IReactorTime,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        lifetime: float = 300.0,
        qops: Sequence[str] = ("auth",),
    ) -> None:
        unknown = [name for name in algorithms if split_algorithm(name)[0] not in HASHES]
        if unknown:
            raise ValueError(f"unknown digest algorithms: {', '.join(unknown)}")
        self.realm = realm
        self._secret_of = secret_of
        self._clock = clock
        self._algorithms = {name.lower(): name for name in algorithms}
        self._lifetime = lifetime
        self._qops = tuple(qops)
        self._issued: OrderedDict[str, _Issued] = OrderedDict()

    def __len__(self) -> int:
        return len(self._issued)

    def challenge(self, stale: bool = False) -> list[str]:
        """The values of WWW-Authenticate, one line per algorithm, all with one fresh nonce."""
        nonce = secrets.token_urlsafe(24)
        self._issued[nonce] = _Issued(self._clock.seconds() + self._lifetime)
        if len(self._issued) > MAX_ISSUED:
            self._issued.popitem(last=False)
        params: dict[str, str | None] = {"realm": Quoted(self.realm), "nonce": Quoted(nonce)}
        if stale:
            params["stale"] = "true"
        params["qop"] = Quoted(",".join(self._qops))
        return [str(Challenge("Digest", {**params, "algorithm": name})) for name in self._algorithms.values()]

    def check(self, authorization: Sequence[str], method: str, uri: Uri, body: bytes = b"") -> Verdict:
        """Judge a request by its Authorization lines; those of other realms and schemes are not ours to judge."""
        for line in authorization:
            try:
                credentials = Credentials.parse(line)
            except HeaderError:
                return Verdict(Outcome.BROKEN)
            if credentials.scheme.lower() == "digest" and credentials.params.get("realm") == self.realm:
                return self._judge(credentials.params, method, uri, body)
        return Verdict(Outcome.NONE)

    def _judge(self, params: Mapping[str, str | None], method: str, uri: Uri, body: bytes) -> Verdict:
        given = {name: params.get(name) or "" for name in ("username", "nonce", "uri", "response", "nc", "cnonce")}
        algorithm, qop = params.get("algorithm") or "MD5", params.get("qop")
        nc = given["nc"]
        if not all(given.values()) or len(nc) != 8 or not all(digit in "0123456789abcdefABCDEF" for digit in nc):
            # The empty response of an IMS subscriber's first REGISTER (TS 24.229 §5.1.1.2) is no attempt yet.
            return Verdict(Outcome.BROKEN if given["response"] else Outcome.NONE, given["username"])
        wrong = Verdict(Outcome.WRONG, given["username"])
        if algorithm.lower() not in self._algorithms or qop not in self._qops or not _same_uri(given["uri"], uri):
            return wrong
        secret = self._secret_of(given["username"])
        name, session = split_algorithm(algorithm)
        exchange = Exchange(
            HASHES[name],
            given["username"],
            self.realm,
            (secret or "").encode(),
            method,
            given["uri"],
            given["nonce"],
            qop,
            nc,
            given["cnonce"],
            body,
            session,
        )
        # Computed for strangers too: the time taken does not tell who exists.
        same = hmac.compare_digest(exchange.response().encode(), given["response"].lower().encode())
        if not same or secret is None:
            return wrong
        fresh = self._use(given["nonce"], int(nc, 16))
        return Verdict(Outcome.OK if fresh else Outcome.STALE, given["username"])

    def _use(self, nonce: str, count: int) -> bool:
        issued = self._issued.get(nonce)
        if issued is None or issued.until <= self._clock.seconds() or count <= issued.count:
            return False
        issued.count = count
        return True


def _same_uri(given: str, uri: Uri) -> bool:
    """The URI in the credentials may be spelled otherwise than the Request-URI (RFC 3261 §22.4)."""
    try:
        return given == uri.text or Uri.parse(given).equivalent(uri)
    except UriError:
        return False
