"""rtcgw gives web browsers the services of an IMS network.

The rooms follow the patent (KR101499354B1): `rtcweb` is its RTCWeb module (310),
`ims` its IMS module (320), `translator` its message translator (330) and `web`
its web server (340). They stand on `model`, `sip`, `media` and `store`;
`docs/architecture.md` draws the floors.
"""

__version__ = "0.1.0"
