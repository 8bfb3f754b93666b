"""What an operator says of the phones behind the core, and which section a call meets."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from rtcgw.config import Config, ConfigError, loads
from rtcgw.config.writing import effective
from rtcgw.model.peer import Dtmf, EarlyMedia, Srtp, Transcode, UriForm, WhenFull

PEERS = """
[media]
codecs = ["PCMA", "PCMU"]
[peer.volte]
match = ["tel:+49*"]
codecs = ["G722", "PCMA"]
fmtp = ["G722 bitrate=64000"]
transcode = "prefer"
when_full = "refuse"
srtp = "sdes"
preconditions = true
early_media = "network"
uri = "tel"
dtmf = "info"
ptime = 40
ring_time = 60
media_timeout = 30
fallback = "old"
[peer.old]
codecs = ["PCMA"]
video = []
fallback = "volte"
[peer.pbx]
match = ["sip:*@pbx.example.com", "tel:+4930*"]
[peer.default]
dtmf = "none"
"""


def read(text: str) -> Config:
    return loads(text, Path())


class PeerTests(TestCase):
    def refused(self, text: str) -> str:
        with self.assertRaises(ConfigError) as caught:
            read(text)
        return str(caught.exception)

    def test_every_key(self) -> None:
        """What stands in a section is in force for the addresses it names."""
        peer = read(PEERS).peers.of("tel:+4989123")
        self.assertEqual((peer.name, peer.codecs, peer.fmtp), ("volte", ("G722", "PCMA"), (("G722", "bitrate=64000"),)))
        self.assertEqual((peer.transcode, peer.when_full, peer.srtp), (Transcode.PREFER, WhenFull.REFUSE, Srtp.SDES))
        self.assertEqual((peer.early_media, peer.uri, peer.dtmf), (EarlyMedia.NETWORK, UriForm.TEL, Dtmf.INFO))
        self.assertEqual((peer.preconditions, peer.ptime, peer.ring_time, peer.media_timeout), (True, 40, 60.0, 30.0))

    def test_first_match(self) -> None:
        """The first section that matches counts, whatever the spelling of the number; nobody's is the default's."""
        peers = read(PEERS).peers
        for uri, name in (
            ("sip:+49-89-123@ims.example.com;user=phone", "volte"),
            ("sip:desk@pbx.example.com", "pbx"),
            ("tel:+49301", "volte"),
            ("sip:bob@else.example.com", "default"),
        ):
            self.assertEqual(peers.of(uri).name, name, uri)
        self.assertEqual(read("").peers.of("sip:anybody@example.com").name, "default")

    def test_codecs_of_the_media_section(self) -> None:
        """A section without codecs has those of [media], and so has everybody without a section."""
        peers = read(PEERS).peers
        self.assertEqual(peers.of("sip:desk@pbx.example.com").codecs, ("PCMA", "PCMU"))
        self.assertEqual(read('[media]\ncodecs = ["G722"]').peers.of("x").codecs, ("G722",))

    def test_one_fallback(self) -> None:
        """There is one second try: the section that is fallen back to has none itself, even where it names one."""
        fallback = read(PEERS).peers.of("tel:+491").fallback
        assert fallback is not None
        self.assertEqual((fallback.name, fallback.video, fallback.fallback), ("old", (), None))

    def test_wrong(self) -> None:
        """Each mistake is named with its section, its key and what is allowed."""
        for text, found in (
            ("[peer]\nx = 1", "[peer]: found a value; allowed: sections written [peer.NAME]"),
            ("[peer.a]", "[peer.a] match: missing; allowed: at least one address, or this is never used"),
            ('[peer.a]\nmatch=["*"]\nfallback="b"', '[peer.a] fallback: found "b"; allowed: none'),
            ('[peer.a]\nmatch=["*"]\ncodecs=["AMR"]', '[peer.a] codecs: found "AMR"; allowed: with [media] backend'),
            ('[media]\ncodecs=["AMR-WB"]', '[media] codecs: found "AMR-WB"; allowed: with backend'),
            ('[peer.a]\nmatch=["*"]\nfmtp=["EVS br=24"]', '[peer.a] fmtp: found "EVS br=24"; allowed: PCMU'),
            ('[peer.a]\nmatch=["*"]\nptime=25', "[peer.a] ptime: found 25; allowed: 10 or 20 or 30"),
            ('[peer.a]\nmatch=["*"]\nsrtp="dtls"', '[peer.a] srtp: found "dtls"; allowed: "none" or "sdes"'),
        ):
            self.assertIn(found, self.refused(text))

    def test_reads_back(self) -> None:
        """What --print-config prints of peers gives the same peers."""
        config = read(PEERS)
        self.assertEqual(read(effective(config)), config)
