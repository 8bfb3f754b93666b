"""What rtpengine is shown and asked to convert, for each policy of a peer profile."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import MediaError
from rtcgw.media.engine.codecs import CONVERTED, DTMF, Plan, carried, offer_of_core, offer_of_web, pictures
from rtcgw.media.sdp import Codec
from rtcgw.model.peer import Dtmf, PeerProfile, Transcode, WhenFull

BROWSER = (
    Codec(111, "OPUS", 48000, 2),
    Codec(0, "PCMU", 8000),
    Codec(8, "PCMA", 8000),
    Codec(110, DTMF, 48000),
    Codec(126, DTMF, 8000),
)
MOBILE = (Codec(104, "AMR-WB", 16000), Codec(102, "AMR", 8000), Codec(105, DTMF, 16000), Codec(100, DTMF, 8000))
FMTP = (("AMR-WB", "octet-align=1;mode-set=0,1,2"),)


def names(plan: Plan) -> list[str]:
    return [codec.name for codec in plan.given if codec.name != DTMF]


class TestBrowserOffers(SynchronousTestCase):
    def test_common_codecs_first(self) -> None:
        """What needs no conversion is preferred; the rest of the profile follows, made of Opus."""
        plan = offer_of_web(BROWSER, PeerProfile(codecs=("AMR-WB", "PCMA"), fmtp=FMTP), True)
        self.assertEqual((names(plan), plan.order), (["PCMA", "OPUS"], ("PCMA", "AMR-WB")))
        wanted = "AMR-WB/16000/1///octet-align=1;mode-set=0,1,2"
        self.assertEqual(plan.codec, {"transcode": [wanted], "mask": ["opus"]})

    def test_nothing_to_convert(self) -> None:
        """A plain phone: its profile's order, no conversion, keys at the clock rates of the codecs shown."""
        plan = offer_of_web(BROWSER, PeerProfile(codecs=("PCMA", "PCMU")), True)
        self.assertEqual((names(plan), plan.codec), (["PCMA", "PCMU"], {}))
        self.assertEqual([codec.pt for codec in plan.given], [8, 0, 126])

    def test_prefer(self) -> None:
        """The browser keeps Opus; the phone's order is its profile's."""
        plan = offer_of_web(BROWSER, PeerProfile(codecs=("PCMA", "PCMU"), transcode=Transcode.PREFER), True)
        self.assertEqual((names(plan), plan.order), (["OPUS"], ("PCMA", "PCMU")))
        self.assertEqual(plan.codec, {"transcode": ["PCMA/8000/1", "PCMU/8000/1"], "mask": ["opus"]})

    def test_never(self) -> None:
        """Without conversion a call needs a codec in common."""
        never = PeerProfile(codecs=("AMR-WB", "PCMU"), transcode=Transcode.NEVER)
        self.assertEqual(offer_of_web(BROWSER, never, True).codec, {})
        self.assertRaises(MediaError, offer_of_web, BROWSER[:1], never, True)

    def test_full(self) -> None:
        """No place is left: what is in common is offered; where nothing is, or the profile says so, 488."""
        mobile = PeerProfile(codecs=("AMR-WB", "PCMU"))
        self.assertEqual(offer_of_web(BROWSER, mobile, False).order, ("PCMU",))
        self.assertRaises(MediaError, offer_of_web, BROWSER, PeerProfile(codecs=("AMR-WB",)), False)
        prefer = PeerProfile(codecs=("PCMU", "AMR-WB"), transcode=Transcode.PREFER)
        self.assertEqual(offer_of_web(BROWSER, prefer, False).order, ("PCMU",))
        refusing = PeerProfile(codecs=("PCMU",), transcode=Transcode.PREFER, when_full=WhenFull.REFUSE)
        self.assertRaises(MediaError, offer_of_web, BROWSER, refusing, False)

    def test_settled(self) -> None:
        """A new offer in a call asks nothing new of the phone."""
        peer = PeerProfile(codecs=("PCMU", "AMR-WB", "AMR"))
        self.assertEqual(offer_of_web(BROWSER, peer, True, ["AMR-WB"]).codec["transcode"], ["AMR-WB/16000/1"])
        self.assertEqual(offer_of_web(BROWSER, peer, True, ["PCMU"]).codec, {})


class TestPhoneOffers(SynchronousTestCase):
    def test_needed(self) -> None:
        """A mobile phone's codecs are all hidden from the browser, which is offered Opus."""
        peer = PeerProfile(codecs=("AMR-WB", "AMR"))
        plan = offer_of_core(carried(MOBILE, peer, False), peer, True)
        self.assertEqual((names(plan), plan.order), (["AMR-WB", "AMR"], ("OPUS",)))
        self.assertEqual(plan.codec, {"transcode": ["opus/48000/2"], "mask": ["AMR-WB", "AMR"]})
        self.assertEqual([codec.rate for codec in plan.given if codec.name == DTMF], [16000, 8000])

    def test_common(self) -> None:
        """One that has mu-law as well is not converted, unless Opus is preferred."""
        mobile = (*MOBILE, Codec(0, "PCMU", 8000))
        for transcode, order in ((Transcode.NEEDED, ("PCMU",)), (Transcode.PREFER, ("OPUS",))):
            peer = PeerProfile(codecs=("AMR-WB", "PCMU"), transcode=transcode)
            self.assertEqual(offer_of_core(carried(mobile, peer, False), peer, True).order, order)

    def test_settled(self) -> None:
        """In a call the browser goes on with what it was told."""
        peer = PeerProfile(codecs=("AMR-WB", "PCMU"))
        mobile = carried((*MOBILE, Codec(0, "PCMU", 8000)), peer, False)
        self.assertEqual(offer_of_core(mobile, peer, True, ["OPUS"]).order, ("OPUS",))
        self.assertEqual(offer_of_core(mobile, peer, True, ["PCMU", "OPUS"]).order, ("PCMU",))

    def test_full(self) -> None:
        """No place is left: 488, or without conversion."""
        peer = PeerProfile(codecs=("AMR-WB", "PCMU"))
        self.assertRaises(MediaError, offer_of_core, carried(MOBILE, peer, False), peer, False)
        prefer = PeerProfile(codecs=("PCMU",), transcode=Transcode.PREFER)
        phone = carried((Codec(0, "PCMU", 8000),), prefer, False)
        self.assertEqual(offer_of_core(phone, prefer, False).codec, {})

    def test_keys(self) -> None:
        """A profile without telephone events: neither side is told of any. What browsers cannot have is left out."""
        peer = PeerProfile(codecs=("EVS", "PCMU"), dtmf=Dtmf.INFO)
        phone = (Codec(98, "EVS", 16000), Codec(0, "PCMU", 8000), Codec(101, DTMF, 8000))
        self.assertEqual([codec.pt for codec in carried(phone, peer, False)], [0])
        self.assertRaises(MediaError, carried, phone[:1], peer, False)


class TestPictures(SynchronousTestCase):
    def test_plain_ones(self) -> None:
        """In the profile's order; of H.264 the common profile only; nothing of what mends loss."""
        browser = (
            Codec(96, "VP8", 90000),
            Codec(97, "RTX", 90000, 1, "apt=96"),
            Codec(98, "H264", 90000, 1, "packetization-mode=1;profile-level-id=640c1f"),
            Codec(102, "H264", 90000, 1, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
            Codec(104, "H264", 90000, 1, "packetization-mode=0;profile-level-id=42E01F"),
        )
        self.assertEqual([codec.pt for codec in pictures(browser, ("H264", "VP8"))], [102, 104, 96])
        self.assertEqual([codec.pt for codec in pictures(browser, ("VP8",))], [96])
        self.assertEqual(pictures(browser, ()), ())


CODECS = st.lists(st.sampled_from(sorted(CONVERTED)), min_size=1, unique=True)


class TestProperties(SynchronousTestCase):
    @settings(max_examples=80, deadline=None)
    @given(CODECS, CODECS, st.sampled_from(Transcode), st.booleans(), st.booleans())
    def test_only_the_profile(
        self, phone: list[str], browser: list[str], transcode: Transcode, is_web: bool, free: bool
    ) -> None:
        """Whatever the two sides have: the other side is offered what it may have, in one order, each once; nothing
        is converted that must not be; and where nothing is left, that is refused and not offered empty."""
        peer = PeerProfile(codecs=tuple(phone), transcode=transcode)
        codecs = [Codec(96 + place, name, 8000) for place, name in enumerate(browser if is_web else phone)]
        try:
            plan = (offer_of_web if is_web else offer_of_core)(codecs, peer, free)
        except MediaError:
            return
        self.assertTrue(plan.order)
        self.assertEqual(len(set(plan.order)), len(plan.order))
        self.assertLessEqual(set(plan.order), set(phone) if is_web else {"OPUS", "G722", "PCMU", "PCMA"})
        self.assertLessEqual(set(names(plan)), {codec.name for codec in codecs})
        if transcode is Transcode.NEVER or not free:
            self.assertFalse(plan.converts)
            self.assertEqual(set(plan.order), set(names(plan)))
