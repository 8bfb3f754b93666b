"""The echo of the sandbox beyond plain sound: pictures, Opus, changes of the call, whole pictures on demand."""

from __future__ import annotations

import struct

from attrs import define, field

from rtcgw.media.packets.rtcp import APP_FEEDBACK, empty_report, parts, picture_wanted
from rtcgw.media.peers import CorePeer, CoreStream, core_peer
from rtcgw.media.sdp import Direction, Session, parse
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.message import make_response
from rtcgw.translator.sipinfo import MEDIA_CONTROL, PICTURE_FAST_UPDATE
from tests.sandbox.test_phones import PhoneCase
from tests.sandbox.world import HOST, MEDIA, World, pictures, sdp

OURS = 0xC0FFEE


@define
class Camera:
    """The caller's end of the pictures: packets out, and what comes back."""

    world: World
    there: CoreStream
    """The phone's line."""
    seq: int = 0
    seen: list[bytes] = field(factory=list)
    asked: list[bytes] = field(factory=list)
    """RTCP."""

    def __attrs_post_init__(self) -> None:
        self.world.network.attach((HOST, MEDIA + 2), lambda packet, source: self.seen.append(packet))
        self.world.network.attach((HOST, MEDIA + 3), lambda packet, source: self.asked.append(packet))

    def show(self, pt: int = 97, payload: bytes = b"picture", ssrc: int = OURS) -> bytes:
        """Send one packet; it."""
        self.seq += 1
        packet = struct.pack("!BBHII", 0x80, 0x80 | pt, self.seq, 3000 * self.seq, ssrc) + payload
        assert self.there.address is not None
        self.world.network.send(packet, (HOST, MEDIA + 2), self.there.address)
        self.world.advance()
        return packet

    def ask(self, report: bytes) -> None:
        assert self.there.rtcp is not None
        self.world.network.send(report, (HOST, MEDIA + 3), self.there.rtcp)
        self.world.advance()


class EchoCase(PhoneCase):
    def connect(self, body: bytes) -> tuple[Dialog, CorePeer]:
        """A call that is answered: its dialog and the phone's description."""
        asked = self.call("echo", body)
        self.assertEqual(asked.statuses[:2], [180, 200])
        return asked.acknowledge(), core_peer(asked.last.body.decode())

    def change(self, dialog: Dialog, body: bytes) -> Session:
        """Another description within the call; the answer."""
        asked = self.world.in_dialog(dialog, "INVITE", body)
        self.assertEqual(asked.statuses, [200])
        asked.acknowledge()
        self.world.advance()
        return parse(asked.last.body.decode())

    def camera(self, peer: CorePeer | Session) -> Camera:
        stream = (core_peer(str(peer)) if isinstance(peer, Session) else peer).at(1, "video")
        assert stream is not None
        return Camera(self.world, stream)


class PictureTests(EchoCase):
    def test_you_see_yourself(self) -> None:
        """Every packet comes back as it went, in either codec, but under an SSRC of the phone's own."""
        _, peer = self.connect(pictures())
        self.assertEqual([codec.name for codec in peer.streams[1].codecs], ["H264", "VP8"])
        camera = self.camera(peer)
        sent = [camera.show(97), camera.show(96), camera.show(99)]
        self.assertEqual([packet[:8] + packet[12:] for packet in camera.seen], [p[:8] + p[12:] for p in sent[:2]])
        sources = {int.from_bytes(packet[8:12], "big") for packet in camera.seen}
        self.assertEqual(len(sources), 1)
        self.assertNotIn(OURS, sources)

    def test_what_is_offered(self) -> None:
        """Only one of the codecs is offered: only that one is spoken, under the number that the offer gave it."""
        for codecs, name in (("97", "H264"), ("96", "VP8")):
            _, peer = self.connect(pictures(codecs))
            self.assertEqual([(codec.pt, codec.name) for codec in peer.streams[1].codecs], [(int(codecs), name)])

    def test_feedback(self) -> None:
        """The profile of each line is the offer's; feedback is promised as far as it has an effect, and was offered."""
        for proto, feedback in (("RTP/AVP", ()), ("RTP/AVPF", ("nack pli", "ccm fir"))):
            _, peer = self.connect(pictures(proto=proto))
            self.assertEqual([stream.proto for stream in peer.streams], ["RTP/AVP", proto])
            self.assertEqual(peer.streams[1].feedback, feedback)
            self.assertEqual("rtcp-fb" in peer.streams[1].attributes, bool(feedback))

    def test_ports(self) -> None:
        """Sound and pictures have ports of their own, each with one for reports; all are free after the call."""
        dialog, peer = self.connect(pictures())
        named = {where for stream in peer.streams for where in (stream.address, stream.rtcp)}
        self.assertEqual({(HOST, port) for port in self.world.ports - self.ports}, named)
        self.assertEqual(len(named), 4)
        self.world.in_dialog(dialog, "BYE")
        self.assertEqual(self.world.ports, self.ports)

    def test_lines_that_cannot_be(self) -> None:
        """A second picture, keys for encryption, text: refused with port 0, in their places; the rest is taken."""
        more = b"m=video 9000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\nm=text 9002 RTP/AVP 98\r\n"
        asked = self.call("echo", pictures() + more)
        lines = parse(asked.last.body.decode()).media
        self.assertEqual([line.kind for line in lines], ["audio", "video", "video", "text"])
        self.assertEqual([line.port > 0 for line in lines], [True, True, False, False])
        secured = parse(self.call("echo", pictures(proto="RTP/SAVP")).last.body.decode())
        self.assertEqual([line.port > 0 for line in secured.media], [True, False])
        self.assertEqual(secured.media[1].proto, "RTP/SAVP")

    def test_tone_shows_nothing(self) -> None:
        """The other phones have no picture; a call with one is a call with sound."""
        asked = self.call("tone", pictures())
        self.assertEqual([line.port > 0 for line in parse(asked.last.body.decode()).media], [True, False])

    def test_elsewhere(self) -> None:
        """Nothing is sent beyond this machine, neither packets nor reports."""
        for line in (b"c=IN IP4 192.0.2.1\r\n", b"a=rtcp:5000 IN IP4 192.0.2.1\r\n"):
            self.assertEqual(self.call("echo", pictures() + line).statuses, [488])
        self.assertEqual(self.world.ports, self.ports)

    def test_opus(self) -> None:
        """Opus is said back without being understood, and its keys with it."""
        keys = b"a=rtpmap:110 telephone-event/48000\r\n"
        asked = self.call("echo", sdp("111 110") + b"a=rtpmap:111 opus/48000/2\r\n" + keys)
        asked.acknowledge()
        peer = core_peer(asked.last.body.decode())
        self.assertEqual(
            [codec.rtpmap for codec in peer.streams[0].codecs], ["111 opus/48000/2", "110 telephone-event/48000"]
        )
        end = self.world.listen(asked.last.body)
        for end.pt in (111, 110):
            end.play(3)
        self.world.advance()
        self.assertEqual(end.types, {111: 3, 110: 3})


class ChangeTests(EchoCase):
    def test_added_and_removed(self) -> None:
        """Pictures begin in the middle of a call and end again; the sound keeps its port, each line its place."""
        dialog, peer = self.connect(sdp("0"))
        added = self.change(dialog, pictures())
        camera = self.camera(added)
        camera.show()
        self.assertEqual(len(camera.seen), 1)
        removed = self.change(dialog, pictures(port=0))
        self.assertEqual([line.port > 0 for line in removed.media], [True, False])
        camera.show()
        self.assertEqual(len(camera.seen), 1)
        self.assertEqual(len(self.world.ports - self.ports), 2)
        again = self.camera(self.change(dialog, pictures()))
        again.show()
        self.assertEqual(len(again.seen), 1)
        assert peer.streams[0].address is not None
        for description in (added, removed):
            self.assertEqual(description.media[0].port, peer.streams[0].address[1])

    def test_nothing_to_show(self) -> None:
        """A caller without camera has no picture to be shown; with hers alone, none is sent her."""
        _, peer = self.connect(pictures(direction="recvonly"))
        self.assertIs(peer.streams[1].direction, Direction.INACTIVE)
        dialog, peer = self.connect(pictures(direction="sendonly"))
        self.assertIs(peer.streams[1].direction, Direction.RECVONLY)
        camera = self.camera(peer)
        camera.show()
        self.assertEqual(camera.seen, [])
        self.change(dialog, pictures())
        camera.show()
        self.assertEqual(len(camera.seen), 1)

    def test_vanished(self) -> None:
        """A description that has forgotten a line is refused, and the call goes on as it was (RFC 3264 §8)."""
        dialog, peer = self.connect(pictures())
        self.assertEqual(self.world.in_dialog(dialog, "INVITE", sdp()).statuses, [488])
        camera = self.camera(peer)
        camera.show()
        self.assertEqual(len(camera.seen), 1)

    def test_asked_for_an_offer(self) -> None:
        """Asked for its own description in the middle of a call, it offers what is agreed, line by line."""
        dialog, peer = self.connect(pictures(proto="RTP/AVPF"))
        asked = self.world.in_dialog(dialog, "INVITE")
        offer = core_peer(asked.last.body.decode())
        self.assertEqual([s.address for s in offer.streams], [s.address for s in peer.streams])
        self.assertEqual([s.codecs for s in offer.streams], [s.codecs for s in peer.streams])
        asked.acknowledge(pictures("96", proto="RTP/AVPF"))
        self.world.advance()
        camera = self.camera(peer)
        camera.show(96)
        camera.show(97)  # it did not want that any more
        self.assertEqual(len(camera.seen), 1)

    def test_offer_answered_amiss(self) -> None:
        """An answer with another number of lines than the phone's offer: no call."""
        self.call("echo", b"").acknowledge(pictures())
        self.world.advance()
        self.assertEqual(self.world.methods, ["BYE"])
        self.assertEqual(self.calls, 0)


class WholePictureTests(EchoCase):
    def test_by_report(self) -> None:
        """Whoever asks the echo for a whole picture (PLI, FIR) is asked for one: it shows what it is shown."""
        _, peer = self.connect(pictures(proto="RTP/AVPF"))
        camera = self.camera(peer)
        theirs = picture_wanted(OURS, 1)
        camera.ask(theirs)
        self.assertEqual(camera.asked, [], "nothing has been shown yet")
        camera.show()
        fir = struct.pack("!BBHIIII", 0x84, APP_FEEDBACK, 4, OURS, 0, 1, 1 << 24)
        for number, report in enumerate((theirs, empty_report(OURS) + fir), 1):
            camera.ask(report)
            self.assertEqual(len(camera.asked), number)
        wish = (parts(camera.asked[0]) or [])[-1]
        self.assertEqual((wish.kind, wish.form), (APP_FEEDBACK, 1))
        ssrc = int.from_bytes(camera.seen[0][8:12], "big")
        self.assertEqual(struct.unpack("!II", wish.data[4:12]), (ssrc, OURS))

    def test_other_reports(self) -> None:
        """Other reports, broken ones and rubbish are not answered."""
        _, peer = self.connect(pictures(proto="RTP/AVPF"))
        camera = self.camera(peer)
        camera.show()
        nack = struct.pack("!BBHIII", 0x81, 205, 3, OURS, 1, 0)
        for report in (empty_report(OURS), nack, picture_wanted(OURS, 1)[:-1], b"", b"\xff" * 40):
            camera.ask(report)
        self.assertEqual(camera.asked, [])

    def test_by_info(self) -> None:
        """The same by signalling, for callers without feedback (RFC 5168)."""
        self.world.on_request = lambda tx: tx.respond(make_response(tx.request, 200))
        dialog, _ = self.connect(pictures())
        asked = self.world.in_dialog(dialog, "INFO", PICTURE_FAST_UPDATE, content_type=MEDIA_CONTROL)
        self.assertEqual(asked.statuses, [200])
        self.world.advance()
        self.assertEqual(self.world.methods, ["INFO"])
        request = self.world.requests[0].request
        self.assertEqual((request.get("content-type"), request.body), (MEDIA_CONTROL, PICTURE_FAST_UPDATE))

    def test_by_info_without_a_picture(self) -> None:
        """Nobody is asked for pictures in a call of sound, nor by a phone that shows none."""
        for name, body in (("echo", sdp()), ("tone", pictures())):
            dialog = self.call(name, body).acknowledge()
            asked = self.world.in_dialog(dialog, "INFO", PICTURE_FAST_UPDATE, content_type=MEDIA_CONTROL)
            self.assertEqual(asked.statuses, [200])
        self.world.advance()
        self.assertEqual(self.world.methods, [])

    def test_other_infos(self) -> None:
        """What else comes by INFO is answered as RFC 6086 has it; none of it passes for the wish for a picture."""
        dialog, _ = self.connect(pictures())
        info = self.world.in_dialog
        self.assertEqual(info(dialog, "INFO").statuses, [200])
        other = info(dialog, "INFO", b"<media_control/>", content_type=MEDIA_CONTROL)
        self.assertEqual(other.statuses, [200])
        self.assertEqual(info(dialog, "INFO", b"<nonsense", content_type=MEDIA_CONTROL).statuses, [400])
        keys = info(dialog, "INFO", b"Signal=5", content_type="application/dtmf-relay")
        self.assertEqual((keys.last.status, keys.last.get("accept")), (415, MEDIA_CONTROL))
        package = info(dialog, "INFO", PICTURE_FAST_UPDATE, content_type=MEDIA_CONTROL, info_package="conference")
        self.assertEqual((package.last.status, package.last.get("recv-info")), (469, ""))
        self.assertEqual(self.world.methods, [])
