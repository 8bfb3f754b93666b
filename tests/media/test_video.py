"""H.264 and VP8: which payload type of one side is which of the other."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access
from rtcgw.model.peer import PeerProfile
from tests.media.descriptions import H264, codecs, line, page, phone, phone_line, web_line
from tests.media.memory import Bench

BOTH = page(web_line(), web_line("video", "1"))


def offered(peer: PeerProfile | None = None) -> tuple[Bench, str]:
    bench = Bench(peer=peer)
    return bench, str(bench.session.offer(bench.web, BOTH))


def video(fmtp: str, pt: int = 102, **kwargs: object) -> str:
    return phone_line("video", (pt,), port=5000, fmtp={pt: fmtp}, **kwargs)  # type: ignore[arg-type]


class TestChoice(SynchronousTestCase):
    """Offers and answers."""

    def test_offered_on(self) -> None:
        """The plainest H.264 of each packetization mode and one VP8; no repairs, no redundancy, no feedback."""
        _, offer = offered()
        media = line(offer, "video")
        self.assertEqual([codec.name for codec in media.codecs], ["H264", "H264", "VP8"])
        modes = [(codec.fmtp or "").split(";")[1:] for codec in media.codecs[:2]]
        self.assertEqual(
            modes,
            [["packetization-mode=1", "profile-level-id=42e01f"], ["packetization-mode=0", "profile-level-id=42e01f"]],
        )
        self.assertEqual((media.proto, media.get("rtcp-fb"), media.bandwidth), ("RTP/AVP", None, None))

    def test_order_of_the_profile(self) -> None:
        """The profile decides which comes first, and what is left out."""
        self.assertEqual(codecs(offered(PeerProfile(video=("VP8",)))[1], "video"), [(96, "VP8")])

    def test_mode_of_the_answer(self) -> None:
        """A phone of mode 0 is matched with the browser's mode 0; its own level comes along."""
        bench, offer = offered()
        pt = next(codec.pt for codec in line(offer, "video").codecs if "mode=0" in (codec.fmtp or ""))
        theirs = phone(phone_line(), video(H264.format(mode=0, level="42e00c")).replace("102", str(pt)))
        answer = line(str(bench.session.answer(bench.core, theirs, True)), "video")
        self.assertEqual(
            [(codec.pt, codec.fmtp) for codec in answer.codecs], [(104, H264.format(mode=0, level="42e00c"))]
        )

    def test_phones_that_name_baseline(self) -> None:
        """Baseline of the same mode is taken for the constrained one if there is no other; the page keeps its own."""
        bench = Bench(Access.WEB)
        bench.session.offer(bench.web, page(web_line(), web_line("video", "1", (106,))))
        theirs = phone(phone_line(), video(H264.format(mode=1, level="42000c"), 97).replace(" rtx/", " H264/"))
        answer = line(str(bench.session.answer(bench.core, theirs, True)), "video")
        self.assertEqual(
            [(codec.pt, codec.fmtp) for codec in answer.codecs], [(106, H264.format(mode=1, level="42e01f"))]
        )

    def test_modes_are_never_mixed(self) -> None:
        """A phone of a mode that was not offered gets no picture; the sound stays."""
        bench = Bench()
        bench.session.offer(bench.web, page(web_line(), web_line("video", "1", (106,))))
        theirs = phone(phone_line(), video("profile-level-id=42e01f").replace("102", "97"))
        text = str(bench.session.answer(bench.core, theirs, True))
        self.assertEqual((line(text).port, line(text, "video").port), (10000, 0))

    def test_the_phone_offers(self) -> None:
        """Its parameters reach the browser, the browser's reach it, and its limit of bandwidth holds."""
        bench = Bench(Access.CORE)
        theirs = phone(phone_line(), video(H264.format(mode=1, level="42e00c"), extra=("b=AS:384",)))
        theirs = theirs.replace("b=AS:384\r\n", "").replace("RTP/AVP 102\r\n", "RTP/AVP 102\r\nb=AS:384\r\n")
        offer = line(str(bench.session.offer(bench.core, theirs)), "video")
        self.assertEqual([codec.fmtp for codec in offer.codecs], [H264.format(mode=1, level="42e00c")])
        self.assertEqual((offer.bandwidth, offer.get("rtcp-fb")), (384, f"{offer.codecs[0].pt} nack pli"))
        pt = offer.codecs[0].pt
        answered = web_line("video", "1", (pt,), fmtp={pt: H264.format(mode=1, level="42e01f")})
        answered = answered.replace(f"rtpmap:{pt} rtx", f"rtpmap:{pt} H264")
        text = str(bench.session.answer(bench.web, page(web_line(formats=(0, 8, 101)), answered), True))
        media = line(text, "video")
        self.assertEqual(
            [(codec.pt, codec.fmtp) for codec in media.codecs], [(102, H264.format(mode=1, level="42e01f"))]
        )

    def test_feedback(self) -> None:
        """A phone with AVPF is answered with AVPF and what it listed of the two kinds that are translated."""
        bench = Bench(Access.CORE)
        fb = ("a=rtcp-fb:* nack pli", "a=rtcp-fb:* ccm tmmbr", "a=rtcp-fb:* trr-int 100")
        theirs = phone(phone_line(), video(H264.format(mode=1, level="42e01f"), proto="RTP/AVPF", extra=fb))
        pt = line(str(bench.session.offer(bench.core, theirs)), "video").codecs[0].pt
        answered = web_line("video", "1", (pt,), fmtp={pt: H264.format(mode=1, level="42e01f")})
        answered = answered.replace(f"rtpmap:{pt} rtx", f"rtpmap:{pt} H264")
        text = str(bench.session.answer(bench.web, page(web_line(formats=(0, 8, 101)), answered), True))
        media = line(text, "video")
        self.assertEqual((media.proto, media.attributes["rtcp-fb"]), ("RTP/AVPF", ["102 nack pli"]))
        self.assertEqual(line(text).proto, "RTP/AVP")
        again = line(str(bench.session.make_offer(bench.core)), "video")
        self.assertEqual((again.proto, again.attributes["rtcp-fb"]), ("RTP/AVPF", ["102 nack pli"]))
