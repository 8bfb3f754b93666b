"""The `reg` event package, read only: what the registrar says about our own registration (RFC 3680).

`parse` turns an `application/reginfo+xml` body into frozen values; `RegView` keeps the
state that full and partial documents add up to, and says what has become of one contact.
What follows from that is the registration machine's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from attrs import define, field, frozen

from rtcgw.sip.xmlbody import Bounds, XmlError, walk

NAMESPACE = "urn:ietf:params:xml:ns:reginfo"
CONTENT_TYPE = "application/reginfo+xml"
BOUNDS = Bounds(octets=65_535, depth=12, elements=4_000)
MAX_TEXT = 1_024
"""Characters kept of one element's text; a contact URI is shorter."""
MAX_REGISTRATIONS = 500
"""Registrations that a `RegView` keeps."""


class RegEventError(XmlError):
    """The document is no reginfo, or is larger or stranger than a registrar would make it."""


@frozen
class RegContact:
    """One `contact` element."""

    id: str
    uri: str
    active: bool
    event: str
    """Why it is in its state: `registered`, `refreshed`, `shortened`, `expired`, `deactivated`, ... (§5.1)."""
    expires: int | None = None
    """Seconds left."""
    retry_after: int | None = None
    """Seconds to wait, with `probation`."""
    instance: str = ""
    """The `+sip.instance` that the contact registered with (RFC 5628 carries it as an unknown-param)."""


@frozen
class RegEntry:
    """One `registration` element: an address of record and its contacts."""

    id: str
    aor: str
    state: str
    """`init`, `active` or `terminated`."""
    contacts: tuple[RegContact, ...]


@frozen
class RegInfo:
    """One document."""

    version: int
    full: bool
    entries: tuple[RegEntry, ...]


@define
class _Reader:
    """Collects the elements that matter while expat walks through the document."""

    _path: list[str] = field(factory=list)
    _text: str | None = None
    _contact: dict[str, str] = field(factory=dict)
    _uri: str = ""
    _instance: str = ""
    _contacts: list[RegContact] = field(factory=list)
    _entry: dict[str, str] = field(factory=dict)
    version: int | None = None
    full: bool = True
    entries: list[RegEntry] = field(factory=list)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        uri, _, local = name.rpartition(" ")
        if not self._path and (uri, local) != (NAMESPACE, "reginfo"):
            raise RegEventError("the root is not reginfo")
        self._path.append(local if uri == NAMESPACE else "")
        if self._path == ["reginfo"]:
            self.version = _number(attributes.get("version"))
            self.full = attributes.get("state") != "partial"
        elif self._path == ["reginfo", "registration"]:
            self._entry = attributes
            self._contacts = []
        elif self._path == ["reginfo", "registration", "contact"]:
            self._contact = attributes
            self._uri = self._instance = ""
        elif self._path[2:] == ["contact", "uri"] or (
            self._path[2:] == ["contact", "unknown-param"] and attributes.get("name", "").lower() == "+sip.instance"
        ):
            self._text = ""

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text += text
            if len(self._text) > MAX_TEXT:
                raise RegEventError("a text is too long")

    def end(self, name: str) -> None:
        local = self._path.pop()
        if local in ("uri", "unknown-param") and self._text is not None:
            text, self._text = self._text.strip(), None
            if local == "uri":
                self._uri = text
            else:
                self._instance = text.strip('"')
        elif local == "contact" and self._path == ["reginfo", "registration"]:
            self._contacts.append(self._make_contact())
        elif local == "registration" and self._path == ["reginfo"]:
            entry = self._entry
            state = entry.get("state", "active")
            self.entries.append(
                RegEntry(entry.get("id", ""), entry.get("aor", ""), state, tuple(self._contacts)),
            )

    def _make_contact(self) -> RegContact:
        contact = self._contact
        return RegContact(
            id=contact.get("id", ""),
            uri=self._uri,
            active=contact.get("state", "active") == "active",
            event=contact.get("event", ""),
            expires=_number(contact.get("expires")),
            retry_after=_number(contact.get("retry-after")),
            instance=self._instance,
        )


def _number(text: str | None) -> int | None:
    """A decimal of at most ten digits, or None: a strange number is no number."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    return int(text)


def parse(body: bytes) -> RegInfo:
    """Read a reginfo document. Raises `RegEventError` for anything that is not one. RFC 3680 §5."""
    reader = _Reader()
    try:
        walk(body, reader, BOUNDS)
    except RegEventError:
        raise
    except XmlError as error:
        raise RegEventError(str(error)) from None
    if reader.version is None:
        raise RegEventError("no version")
    return RegInfo(reader.version, reader.full, tuple(reader.entries))


class Applied(Enum):
    """What a document did to the view."""

    TAKEN = "taken"
    OLD = "old"
    """Its version is not newer than the last one: dropped (§5.2)."""
    GAP = "gap"
    """A partial document was missed: the view is void until a full one is fetched (§5.2)."""


@define
class RegView:
    """What the documents of one subscription add up to. A new subscription needs a new view."""

    _version: int | None = field(default=None, init=False)
    _entries: dict[str, RegEntry] = field(factory=dict, init=False)

    def apply(self, info: RegInfo) -> Applied:
        """Take a document in. Versions need not start at 0: Kamailio's do not."""
        last = self._version
        if last is not None and info.version <= last:
            return Applied.OLD
        if not info.full and (last is None or info.version != last + 1):
            return Applied.GAP
        self._version = info.version
        if info.full:
            self._entries = {}
        for entry in info.entries:
            self._merge(entry)
        return Applied.TAKEN

    def _merge(self, entry: RegEntry) -> None:
        """A partial document names changed contacts only; the others stay (§5.2)."""
        key = entry.id or entry.aor
        known = self._entries.get(key)
        if known is None and len(self._entries) >= MAX_REGISTRATIONS:
            return
        if known is not None and entry.state != "terminated":
            contacts = {contact.id or contact.uri: contact for contact in known.contacts}
            contacts.update({contact.id or contact.uri: contact for contact in entry.contacts})
            entry = RegEntry(entry.id, entry.aor, entry.state, tuple(contacts.values())[-MAX_REGISTRATIONS:])
        self._entries[key] = entry

    @property
    def entries(self) -> Mapping[str, RegEntry]:
        """The registrations by id."""
        return self._entries

    def contacts(self) -> list[RegContact]:
        """Every contact of every registration."""
        return [contact for entry in self._entries.values() for contact in entry.contacts]

    def all_terminated(self) -> bool:
        """Whether the document names registrations and none of them lives any more."""
        return bool(self._entries) and all(entry.state == "terminated" for entry in self._entries.values())
