"""XML in the bodies of SIP messages, walked through by expat and nothing more.

The body comes from the network: no document type, no entities, bounded size, depth and number of elements. A tree
builder was refused: of each of our documents a few element names matter, and everything else may be skipped unseen.
"""

from __future__ import annotations

from typing import Protocol
from xml.parsers import expat

from attrs import define, field, frozen


class XmlError(ValueError):
    """The body is no XML, is larger or stranger than its kind would be, or is of another kind."""


@frozen
class Bounds:
    """How much a document of one kind may be."""

    octets: int
    depth: int
    elements: int


class Reader(Protocol):
    """What is done at each step. All three may raise `XmlError`."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins; its name is `namespace local`, or `local` where there is no namespace."""

    def data(self, text: str) -> None:
        """Text, perhaps a part of it only."""

    def end(self, name: str) -> None:
        """The element that began last ends."""


@define
class _Counted:
    """Keeps a reader within its bounds."""

    _reader: Reader
    _bounds: Bounds
    _depth: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._seen += 1
        self._depth += 1
        if self._seen > self._bounds.elements or self._depth > self._bounds.depth:
            raise XmlError("too many elements, or nested too deeply")
        self._reader.start(name, attributes)

    def end(self, name: str) -> None:
        self._depth -= 1
        self._reader.end(name)


def _refuse(*_: object) -> int:
    raise XmlError("a document type or an entity is declared")


def walk(body: bytes, reader: Reader, bounds: Bounds) -> None:
    """Lead `reader` through the document. Raises `XmlError`, and nothing else, whatever the body."""
    if len(body) > bounds.octets:
        raise XmlError("too large")
    counted = _Counted(reader, bounds)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = counted.start
    parser.EndElementHandler = counted.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.UnparsedEntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    try:
        parser.Parse(body, True)
    except XmlError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: an encoding that expat cannot take
        raise XmlError(f"not well-formed: {error}") from None
