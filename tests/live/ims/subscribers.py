"""The subscriber table of the test core (subscribers.toml), as the HSS and the tests see it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from attrs import field, frozen

TABLE = Path(__file__).with_name("subscribers.toml")


@frozen
class Identity:
    """One public identity. `display`: the name in the user profile. `barred`: for registration only."""

    uri: str
    display: str = ""
    barred: bool = False


@frozen
class Aka:
    """What a USIM and the HSS share: `k`, `opc` 16 octets, `amf` 2 octets, `sqn` the HSS's first number."""

    k: bytes = field(repr=False)
    opc: bytes = field(repr=False)
    amf: bytes
    sqn: int


@frozen
class Subscriber:
    """A line of the table. Digest subscribers have a password, AKA ones `aka`."""

    impi: str
    impus: tuple[Identity, ...]
    realm: str
    password: str = field(default="", repr=False)
    aka: Aka | None = None
    sip_port: int = 0
    rtp_port: int = 0

    @property
    def scheme(self) -> str:
        """The name of the authentication scheme in Diameter Cx."""
        return "SIP Digest" if self.aka is None else "Digest-AKAv1-MD5"

    @property
    def uri(self) -> str:
        """The default public identity."""
        return next(impu.uri for impu in self.impus if not impu.barred)

    @property
    def user(self) -> str:
        """The user part of `uri`."""
        return self.uri.partition(":")[2].partition("@")[0]

    @property
    def number(self) -> str:
        """The telephone number as a tel: URI; "" when there is none."""
        return next((impu.uri for impu in self.impus if impu.uri.startswith("tel:")), "")

    def identity(self, uri: str) -> Identity | None:
        """The public identity with this URI, when it is this subscriber's."""
        return next((impu for impu in self.impus if impu.uri == uri), None)


def read(path: Path = TABLE) -> tuple[str, tuple[Subscriber, ...]]:
    """The realm and the subscribers."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    realm: str = table["realm"]
    return realm, tuple(_subscriber(entry, realm) for entry in table["subscriber"])


def named(user: str) -> Subscriber:
    """The subscriber whose default public identity has this user part."""
    return next(found for found in read()[1] if found.user == user)


def _subscriber(entry: dict[str, Any], realm: str) -> Subscriber:
    aka = None
    if entry["scheme"] == "Digest-AKAv1-MD5":
        octets = {name: bytes.fromhex(entry[name]) for name in ("k", "opc", "amf")}
        aka = Aka(**octets, sqn=int(entry["sqn"], 16))
    return Subscriber(
        impi=entry["impi"],
        impus=tuple(Identity(**impu) for impu in entry["impu"]),
        realm=realm,
        password=entry.get("password", ""),
        aka=aka,
        sip_port=entry.get("sip_port", 0),
        rtp_port=entry.get("rtp_port", 0),
    )
