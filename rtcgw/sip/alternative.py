"""The body of a 380 from an IMS core, `application/3gpp-ims+xml` (TS 24.229 §7.6): which other service is meant.

    <ims-3gpp version="1"><alternative-service><type>emergency</type><reason>...</reason>
      <action>emergency-registration</action></alternative-service></ims-3gpp>

Deployed cores write the type as an element, `<type><emergency/></type>`, as often; both are read. `emergency()` writes
one, for a caller from the core who dials what we must not place.
"""

from __future__ import annotations

from typing import Final

from attrs import define, field, frozen

from rtcgw.model.defaults import TEXT_LIMIT
from rtcgw.sip.message import Message
from rtcgw.sip.parties import plain
from rtcgw.sip.xmlbody import Bounds, XmlError, walk

CONTENT_TYPE: Final = "application/3gpp-ims+xml"
BOUNDS: Final = Bounds(octets=8192, depth=8, elements=64)
"""Of the document: an honest one has half a dozen elements."""
_PATH: Final = ("ims-3gpp", "alternative-service")
EMERGENCY: Final = "emergency"
RESTORATION: Final = "restoration"
"""The core has lost the registration: register again, then call again."""
_EMERGENCY_BODY: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<ims-3gpp version="1"><alternative-service><type>emergency</type><reason>{text}</reason>'
    "</alternative-service></ims-3gpp>"
)


@frozen
class Alternative:
    """What a 380 points to; empty where it does not say."""

    type: str = ""
    """`emergency`, `restoration`, or what else a core may say; in lower case."""
    action: str = ""
    """`emergency-registration`, `initial-registration`, ...; in lower case."""
    reason: str | None = None
    """A sentence of the core's."""


@define
class _Reader:
    """Keeps the text of the three elements, by their local names: cores disagree about the namespace."""

    _path: list[str] = field(factory=list, init=False)
    found: dict[str, str] = field(factory=dict, init=False)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if self._inside("type"):  # <type><emergency/></type>
            self.found["type"] = local
        self._path.append(local)
        if len(self._path) <= len(_PATH) and self._path[-1] != _PATH[len(self._path) - 1]:
            raise XmlError("not a body of IMS")

    def data(self, text: str) -> None:
        for name in ("type", "action", "reason"):
            if self._inside(name):
                self.found[name] = (self.found.get(name, "") + text)[:TEXT_LIMIT]

    def end(self, name: str) -> None:
        self._path.pop()

    def _inside(self, name: str) -> bool:
        return len(self._path) == len(_PATH) + 1 and self._path[-1] == name


def alternative(message: Message) -> Alternative:
    """What the body of a 380 says; an empty one where there is none, or it cannot be read."""
    kind = (message.get("content-type") or "").partition(";")[0].strip().lower()
    if kind != CONTENT_TYPE or not message.body:
        return Alternative()
    reader = _Reader()
    try:
        walk(message.body, reader, BOUNDS)
    except XmlError:
        return Alternative()
    found = reader.found
    return Alternative(
        found.get("type", "").strip().lower(),
        found.get("action", "").strip().lower(),
        plain(found.get("reason"), TEXT_LIMIT),
    )


def emergency(text: str) -> bytes:
    """The body by which a 380 says that the number is an emergency's; `text` is plain, without markup."""
    return _EMERGENCY_BODY.format(text=text).encode()
