"""What holds for every legal description and every course of offers and answers (RFC 3264, RFC 8829).

Descriptions are made at random out of what phones and browsers write, odd things included; whatever is exchanged,
lines keep their places, answers fit their offers, numbers keep their meaning, and nothing of WebRTC reaches the core.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media import sdp
from rtcgw.media.backend import Access, IMediaSession, MediaError, Party, Reoffer
from rtcgw.media.codecs import ident
from rtcgw.media.embedded.backend import EmbeddedBackend, EmbeddedSettings
from rtcgw.media.embedded.session import EmbeddedSession
from rtcgw.media.sdp import Direction, parse
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PeerProfile, Srtp, Transcode
from tests.media.descriptions import page, phone, phone_line, web_line
from tests.media.memory import Network

FEW = settings(
    max_examples=40,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink a whole call takes minutes
)
WEBRTC = (
    *("ice", "candidate", "fingerprint", "setup", "msid", "ssrc", "extmap", "group", "mid", "rtcp-mux"),
    *("rtcp-rsize", "bundle-only", "end-of-candidates"),
)
DIRECTIONS = st.sampled_from([direction.value for direction in Direction])
ODD = st.lists(
    st.sampled_from(
        [
            *("a=curr:qos local none", "a=des:qos mandatory local sendrecv", "a=conf:qos remote sendrecv"),
            *("a=ptime:30", "a=maxptime:240", "a=rtcp:4555", "a=ptime:x", "b=RS:0", "a=X-whatever", "k=clear:x"),
            *("a=rtpmap:200 TOO/8000", "a=rtpmap:98", "a=fmtp:98", "a=rtcp-fb:* nack pli", "i=what is this", "="),
            "a=rtpmap:98 EVS/16000/1\r\na=fmtp:98 br=5.9-24.4;bw=nb-swb;mode-set=0,1,2",
        ]
    ),
    max_size=4,
)
SOUNDS = st.lists(st.sampled_from([0, 8, 9, 18, 101, 111]), min_size=1, max_size=5, unique=True)
PICTURES = st.lists(st.sampled_from([96, 102, 104, 106]), min_size=1, max_size=3, unique=True)
PROTOS = st.sampled_from(["RTP/AVP", "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "UDP/TLS/RTP/SAVPF", "TCP/MSRP"])
PEERS = st.builds(
    PeerProfile,
    codecs=st.sampled_from([("PCMU", "PCMA", "G722", "OPUS"), ("OPUS", "PCMA"), ("G722", "PCMU")]),
    video=st.sampled_from([("H264", "VP8"), ("VP8",), ()]),
    transcode=st.sampled_from(list(Transcode)),
    srtp=st.sampled_from([Srtp.NONE, Srtp.OPPORTUNISTIC]),
    preconditions=st.booleans(),
)


@st.composite
def phone_lines(draw: Any, kinds: list[str] | None = None) -> list[str]:
    """Media lines of a phone; where `kinds` is given, these and perhaps more."""
    wanted = kinds or draw(st.lists(st.sampled_from(["audio", "video", "message", "application"]), max_size=3))
    found = []
    for place, kind in enumerate(wanted or ["audio"]):
        if kind not in ("audio", "video"):
            found.append(f"m={kind} {draw(st.sampled_from([0, 9]))} TCP/MSRP *\r\na=path:msrp://x\r\n")
            continue
        formats = draw(SOUNDS if kind == "audio" else PICTURES)
        port = draw(st.sampled_from([0, 4000, 4000, 4000])) + 100 * place
        proto = "RTP/AVP" if kind == "audio" and place == 0 else draw(PROTOS)
        extra = draw(ODD)
        found.append(phone_line(kind, formats, port if port >= 4000 else 0, proto, draw(DIRECTIONS), extra))
    return found


@st.composite
def web_lines(draw: Any, kinds: list[str] | None = None) -> list[str]:
    """Media lines of a browser."""
    wanted = kinds or ["audio", *draw(st.lists(st.sampled_from(["video", "application"]), max_size=2))]
    found = []
    for place, kind in enumerate(wanted):
        formats = None
        if kind == "audio":
            formats = draw(st.sampled_from([(111, 9, 0, 8, 110, 126), (0, 8, 126), (111, 110, 126), (111, 9, 0)]))
        elif kind == "video":
            formats = draw(PICTURES)
        alive = place == 0 or draw(st.booleans())
        found.append(web_line(kind, f"m{place}", formats, draw(DIRECTIONS), 9 if alive else 0))
    return found


def kinds_of(lines: list[str]) -> list[str]:
    return [line[2:].split(" ", 1)[0] for line in lines]


class Talk:
    """A session of a backend that serves all examples: making one takes longer than many calls."""

    _backend: EmbeddedBackend | None = None
    _count = count()

    def __init__(self, caller: Access, peer: PeerProfile) -> None:
        if Talk._backend is None:
            network = Network()
            Talk._backend = EmbeddedBackend(EmbeddedSettings(), network.clock, network)
            Talk._backend.start()
        web = caller is Access.WEB
        kinds = (Access.WEB, Access.CORE) if web else (Access.CORE, Access.WEB)
        self.web = Party.CALLER if web else Party.CALLEE
        self.core = self.web.other
        name = SessionId(f"s{next(self._count)}")
        opened: IMediaSession = Talk._backend.open(name, *kinds, lambda news: None, peer)
        assert isinstance(opened, EmbeddedSession)
        self.session = opened

    @property
    def told_web(self) -> str:
        return self.session.talks.web.origin.text

    @property
    def told_core(self) -> str:
        return self.session.talks.core.origin.text

    def close(self) -> None:
        self.session.close()
        assert Talk._backend is not None
        Talk._backend._clock.advance(0)  # type: ignore[attr-defined]  # the ports are free again


class Course:
    """One call's exchanges, each checked."""

    def __init__(self, case: SynchronousTestCase, caller: Access, peer: PeerProfile) -> None:
        self.case = case
        self.bench = Talk(caller, peer)
        self.numbers: dict[tuple[Party, int, int], object] = {}
        self.said: dict[Party, str] = {}
        """What each party said last."""
        self.versions: dict[Party, dict[int, str]] = {}

    def told(self, party: Party, text: str) -> sdp.Session:
        """A description of ours for `party`."""
        session = parse(text)
        version, body = int(session.version), text.split("\r\n", 2)[2]
        seen = self.versions.setdefault(party, {})
        if version in seen:
            self.case.assertEqual(body, seen[version], "the same version, the same text")
        else:
            self.case.assertTrue(all(version > other for other in seen), "versions grow, also past refused ones")
        seen[version] = body
        if party is self.bench.core:
            names = set(session.attributes).union(*(media.attributes for media in session.media))
            self.case.assertFalse({name for name in names if name.startswith(WEBRTC)}, text)
            self.case.assertNotIn("OPUS", [c.name for m in session.media for c in m.codecs if c.rate != 48000])
        else:
            shown = ("a=curr", "a=des", "a=conf", "a=crypto")
            self.case.assertFalse([line for line in text.split("\r\n") if line.startswith(shown)], text)
        return session

    def keep(self, party: Party, session: sdp.Session) -> None:
        """No number of ours ever means something else."""
        for place, media in enumerate(session.media):
            for codec in media.codecs if media.port or media.get("bundle-only") is not None else ():
                known = self.numbers.setdefault((party, place, codec.pt), ident(codec))
                self.case.assertEqual(known[0], ident(codec)[0], (place, codec))  # type: ignore[index]

    def answered(self, party: Party, offer: str, text: str) -> None:
        """Our answer to an offer of `party` fits it."""
        theirs, ours = parse(offer), self.told(party, text)
        self.case.assertEqual([media.kind for media in ours.media], [media.kind for media in theirs.media])
        for asked, given_ in zip(theirs.media, ours.media, strict=True):
            self.case.assertEqual(given_.proto, asked.proto)
            if given_.port == 0:
                continue
            self.case.assertTrue(asked.port or asked.get("bundle-only") is not None)
            self.case.assertEqual(given_.get("mid"), asked.get("mid"))
            self.case.assertLessEqual(set(given_.formats), set(asked.formats))
            allowed = theirs.direction_of(asked).mirrored
            direction = ours.direction_of(given_)
            self.case.assertEqual(direction, direction.within(allowed))
        self.said[party] = offer

    def offered(self, party: Party, text: str, before: str) -> sdp.Session:
        """Our offer to `party`: what it had stays in its place."""
        session = self.told(party, text)
        self.keep(party, session)
        had = [media.kind for media in parse(before).media] if before else []
        self.case.assertEqual([media.kind for media in session.media][: len(had)], had)
        return session


class Properties(SynchronousTestCase):
    """See the module."""

    @FEW
    @given(phone_lines(), web_lines())
    def test_read_and_print(self, plain: list[str], web: list[str]) -> None:
        """What is read prints and reads back the same."""
        for text in (phone(*plain), page(*web)):
            self.assertEqual(parse(str(parse(text))), parse(text))

    @FEW
    @given(st.data(), PEERS)
    def test_browser_calls(self, data: Any, peer: PeerProfile) -> None:
        """A browser's call, then changes of either side at random."""
        course = Course(self, Access.WEB, peer)
        try:
            self.browser_calls(data, course)
        finally:
            course.bench.close()

    def browser_calls(self, data: Any, course: Course) -> None:
        bench = course.bench
        first = page(*data.draw(web_lines()))
        try:
            offer = str(bench.session.offer(bench.web, first))
        except MediaError:
            return
        course.offered(bench.core, offer, "")
        answer = self.reply(data, offer)
        try:
            text = str(bench.session.answer(bench.core, answer, True))
        except MediaError:
            return
        course.answered(bench.web, first, text)
        course.said[bench.core] = answer
        self.changes(data, course)

    @FEW
    @given(st.data(), PEERS)
    def test_phone_calls(self, data: Any, peer: PeerProfile) -> None:
        """A phone's call, then changes of either side at random."""
        course = Course(self, Access.CORE, peer)
        try:
            self.phone_calls(data, course)
        finally:
            course.bench.close()

    def phone_calls(self, data: Any, course: Course) -> None:
        bench, first = course.bench, phone(*data.draw(phone_lines()))
        try:
            offer = str(bench.session.offer(bench.core, first))
        except MediaError:
            return
        course.offered(bench.web, offer, "")
        answer = self.reply_of_page(data, offer)
        try:
            text = str(bench.session.answer(bench.web, answer, True))
        except MediaError:
            return
        course.answered(bench.core, first, text)
        course.said[bench.web] = answer
        self.changes(data, course)

    def changes(self, data: Any, course: Course) -> None:
        """New offers of either party, each answered, refused or reverted."""
        bench = course.bench
        for round_ in range(2, 2 + data.draw(st.integers(0, 4))):
            party = data.draw(st.sampled_from([bench.web, bench.core]))
            text = self.new_offer(data, course, party, round_)
            before = (bench.told_web, bench.told_core)
            try:
                found = bench.session.reoffer(party, text)
            except MediaError:
                self.assertEqual((bench.told_web, bench.told_core), before, "a refused change has changed nothing")
                continue
            assert isinstance(found, Reoffer)
            self.assertEqual((found.answer is None) + (found.offer is None), 1)
            if found.answer is not None:
                course.answered(party, text, found.answer)
            else:
                self.ask(data, course, (party, text, str(found.offer)), before)

    def ask(self, data: Any, course: Course, change: tuple[Party, str, str], before: tuple[str, str]) -> None:
        """The other party takes the change, or does not."""
        party, text, offer = change
        bench = course.bench
        course.offered(party.other, offer, before[party is bench.web])
        reply = self.reply(data, offer) if party is bench.web else self.reply_of_page(data, offer)
        try:
            if data.draw(st.booleans()):
                result = str(bench.session.answer(party.other, reply, True))
                course.answered(party, text, result)
                course.said[party.other] = reply
                return
        except MediaError:
            pass
        bench.session.revert()
        self.assertEqual((bench.told_web, bench.told_core), before)

    def new_offer(self, data: Any, course: Course, party: Party, version: int) -> str:
        """A new offer of `party`, with its lines in their places and perhaps another."""
        bench = course.bench
        told = bench.told_web if party is bench.web else bench.told_core
        kinds = [media.kind for media in parse(told).media]
        if data.draw(st.booleans()):
            kinds.append("video")
        if party is bench.core:
            return phone(*data.draw(phone_lines(kinds)), version=version)
        mids = [media.get("mid") for media in parse(told).media]
        lines = data.draw(web_lines(kinds))
        for place, mid in enumerate(mids):
            if mid is not None:
                lines[place] = lines[place].replace(f"a=mid:m{place}\r\n", f"a=mid:{mid}\r\n")
        return page(*lines, version=version)

    def reply(self, data: Any, offer: str) -> str:
        """A phone's answer: some of the codecs, under their numbers, with the odd line in between."""
        found = []
        for media in parse(offer).media:
            codecs = media.codecs
            if media.port == 0 or not data.draw(st.integers(0, 4)):
                found.append(f"m={media.kind} 0 {media.proto} {' '.join(media.formats)}\r\n")
                continue
            kept = data.draw(st.lists(st.sampled_from(codecs), min_size=1, unique=True))
            lines = [f"m={media.kind} 4000 {media.proto} {' '.join(str(codec.pt) for codec in kept)}"]
            lines += self._maps(kept) + data.draw(ODD)
            found.append("\r\n".join([*lines, f"a={data.draw(DIRECTIONS)}"]) + "\r\n")
        return phone(*found)

    def reply_of_page(self, data: Any, offer: str) -> str:
        """A browser's answer, as `reply`."""
        found: list[str] = []
        for media in parse(offer).media:
            mid = media.get("mid") or "0"
            alive = media.port or media.get("bundle-only") is not None
            if not alive or (found and not data.draw(st.integers(0, 3))):
                found.append(f"m={media.kind} 0 {media.proto} {' '.join(media.formats)}\r\na=mid:{mid}\r\n")
                continue
            kept = data.draw(st.lists(st.sampled_from(media.codecs), min_size=1, unique=True))
            line = web_line(media.kind, mid, (), data.draw(DIRECTIONS), setup="active")
            head, _, rest = line.partition("\r\n")
            formats = " ".join(str(codec.pt) for codec in kept)
            found.append("\r\n".join([head.rstrip() + " " + formats, *self._maps(kept), rest]))
        return page(*found)

    @staticmethod
    def _maps(codecs: list[sdp.Codec]) -> list[str]:
        def lines() -> Iterator[str]:
            for codec in codecs:
                yield f"a=rtpmap:{codec.rtpmap}"
                if codec.fmtp is not None:
                    yield f"a=fmtp:{codec.pt} {codec.fmtp}"

        return list(lines())
