"""The ICE handler (440): relay servers for pages behind NAT, and the pair that a page's ICE agent nominated.

Servers come from the configuration and are given at log-in. The agents themselves are the browser's and the media
backend's; a page without ICE is served by the backend's own agent, which is ICE-lite. The nominated pair is kept with
the leg, bounded by the message that carries it, and shown by the inspector.
"""

from __future__ import annotations

from rtcgw.config import Ice
from rtcgw.rtcweb.dialects.native import IceServer


def ice_servers(config: Ice) -> tuple[IceServer, ...]:
    """The servers of the configuration as a page wants them."""
    return tuple(
        IceServer(urls=server.urls, username=server.username, credential=server.credential) for server in config.servers
    )
