"""What the registration and the user agent of one profile share: its names, its way out, its credentials.

A line holds no state of its own. Its Contact is made of an opaque token, stable over
restarts: a registrar then replaces the binding of the last run instead of forking to it,
and a Request-URI that comes back names the profile without naming anybody.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid

from attrs import define, field

from rtcgw.model.identity import Attach, Profile, Scheme
from rtcgw.sip.aka import AkaClient
from rtcgw.sip.digest import DigestClient
from rtcgw.sip.flow import Hop
from rtcgw.sip.message import Request
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.uri import Uri

_INSTANCES = uuid.UUID("5b0f4f3e-6d0e-5f4e-9d0b-1f6a35c1c7ae")
"""Name space of the instance ids (RFC 4122 §4.3); any fixed value does, it must only never change."""


def instance_of(gateway: str, profile: str) -> str:
    """The `+sip.instance` URN of a profile on this gateway, the same after every restart. RFC 5626 §4.1."""
    return f"urn:uuid:{uuid.uuid5(_INSTANCES, f'{gateway}/{profile}')}"


def token_of(instance: str) -> str:
    """The user part of the Contact: opaque, and the same after every restart."""
    return hashlib.sha256(instance.encode()).hexdigest()[:12]


def _credentials(line: Line) -> DigestClient | AkaClient:
    profile = line.profile
    if profile.scheme is Scheme.AKA:
        return AkaClient(profile.impi, profile.k, profile.opc)
    return DigestClient(profile.impi, profile.secret)


@define(eq=False)
class Line:
    """One profile's connection to the core."""

    profile: Profile
    layer: TransactionLayer
    peer: Hop
    """The core's door: P-CSCF or registrar (attach A), I-CSCF (attach B)."""
    address: str
    """`host:port` that Contact and Path name, brackets around an IPv6 host."""
    gateway: str = "rtcgw"
    """This gateway's name; two gateways of one profile need two."""
    secure: bool = False
    """Whether `address` is served by TLS alone."""
    instance: str = field(init=False)
    token: str = field(init=False)
    contact: str = field(init=False)
    """The Contact header of calls."""
    domain: Uri = field(init=False)
    """The home network domain as a URI."""
    public: Uri = field(init=False)
    """The IMPU that is registered: the first SIP one. A registrar takes no tel URI as an address of record."""
    credentials: DigestClient | AkaClient = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        profile = self.profile
        self.instance = instance_of(self.gateway, profile.name)
        self.token = token_of(self.instance)
        self.contact = f"<sip:{self.token}@{self.address}{self._transport}>"
        self.domain = Uri.parse(f"sip:{profile.domain}")
        sip = [impu for impu in profile.impus if not impu.lower().startswith("tel:")]
        self.public = Uri.parse((sip or [f"sip:{profile.impi}"])[0])
        self.credentials = _credentials(self)

    @property
    def core(self) -> bool:
        """Whether the gateway stands at the S-CSCF itself (attach mode B)."""
        return self.profile.attach is Attach.B

    @property
    def _transport(self) -> str:
        """Where only TLS is listened for, the core must be told so (RFC 3261 §26.2.2)."""
        return ";transport=tls" if self.secure else ""

    def focus(self, name: str) -> str:
        """The Contact of a call with a conference of this name."""
        return f"<sip:{name}@{self.address}{self._transport}>;isfocus"

    def charging_vector(self) -> str:
        """A fresh P-Charging-Vector: in mode B nobody before us makes one. RFC 7315 §4.6."""
        return f"icid-value={secrets.token_hex(12)};orig-ioi={self.profile.domain}"

    def register_extras(self, request: Request) -> None:
        """What a P-CSCF adds to a REGISTER, when there is none (TS 24.229 §5.2.2.1)."""
        if not self.core:
            return
        request.set("path", f"<sip:{self.token}@{self.address}{self._transport};lr>")
        request.set("require", "path")
        request.set("p-visited-network-id", self.profile.domain)
        request.set("p-charging-vector", self.charging_vector())
