"""Where SIP messages go and where they came from, and the small seams between transport and transactions.

    Hop    the next place a request goes: an address or a name, known before anything is sent
    Flow   the way one message came in, and so the way its responses go out (RFC 3261 §18.2.2)

Nothing here sends; `transport.py` does.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from attrs import frozen
from zope.interface import Interface

from rtcgw.sip.uri import Uri

UDP = "UDP"
TCP = "TCP"
TLS = "TLS"
PORT = 5060
TLS_PORT = 5061

Address = tuple[str, int]
"""An IP address in text, without brackets, and a port."""


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """`host` as an address when it is one, brackets or not; None for a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def host_port(host: str, port: int) -> str:
    """`host:port` as Via and URIs write it, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


@frozen
class Hop:
    """The next place a request goes (RFC 3261 §8.1.2)."""

    host: str
    """An address without brackets, or a name, which `locate.py` resolves."""
    port: int = 0
    """0: not named; found by SRV, else 5060, and 5061 for TLS."""
    transport: str | None = None
    """`UDP`, `TCP` or `TLS`. None: UDP, and TCP for a request too large for it (§18.1.1)."""

    @classmethod
    def to_uri(cls, uri: Uri) -> Hop:
        """The hop that a Route or Request-URI names (§8.1.2; RFC 3263 §4.1)."""
        named = (uri.params.get("transport") or "").upper()
        transport = TLS if uri.scheme == "sips" else named if named in (UDP, TCP, TLS) else None
        return cls((uri.params.get("maddr") or uri.host).strip("[]"), uri.port or 0, transport)


class IConnection(Interface):
    """A TCP or TLS connection that a message came in by."""

    def send(data: bytes) -> bool:
        """Send a printed message; False when the connection is gone or its peer too slow."""


@frozen
class Flow:
    """The way a message came in."""

    transport: str
    """`UDP`, `TCP` or `TLS`."""
    host: str
    """The sender's address."""
    port: int
    """The sender's port."""
    connection: IConnection | None = None
    """The connection, for TCP and TLS."""
    reply: Address | None = None
    """Where responses go, and for TCP and TLS where they go when the connection is gone."""

    @property
    def reliable(self) -> bool:
        """Whether the transport itself delivers or fails (§17)."""
        return self.transport != UDP


class ISender(Interface):
    """Whoever sent a request; told later, never from inside the call that sends."""

    def sent_by_udp() -> None:
        """TCP was refused; the request has gone out by UDP instead (§18.1.1)."""

    def send_failed() -> None:
        """The request could not be sent (§18.4)."""
