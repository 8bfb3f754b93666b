"""Holds, refused changes, refreshes, transfers, Replaces and forks, each message of each lost once, doubled, and late.

What becomes of the parties is the same in every weather: each hears each thing once, and nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.config.sections import Sip
from rtcgw.model.peer import PeerProfile, TransferWay
from rtcgw.sip.dialog import new_tag
from tests.flows.rig import ECHO, FlowMedia, Page, Rig, configured
from tests.flows.test_replaces import NEWCOMER, naming
from tests.flows.transfers import ALLOW, TARGET
from tests.peers.core_call import CoreCall
from tests.peers.weather import ROUND, Fate, Weather, every

EXPIRES = 1800


class Play:
    """Alice's page talks to a phone; then the weather begins."""

    def __init__(self, weather: Weather, way: TransferWay = TransferWay.GATEWAY, *, talks: bool = True) -> None:
        config = evolve(configured(), sip=evolve(Sip(), session_expires=EXPIRES))
        self.rig = Rig(config, peer=PeerProfile(transfer=way))
        self.alice: Page = self.rig.page("alice", capabilities=["progress"])
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.phone: CoreCall = self.rig.call
        if talks:
            terms = ("Session-Expires", f"{EXPIRES};refresher=uac")
            self.phone.respond(200, "OK", "final", ALLOW, ("Supported", "replaces, timer"), terms)
            self.rig.advance()
            self.alice.answer(self.session)
            self.rig.advance(ROUND)
            self.rig.ladder.clear()
        weather.over(self.rig.network)

    def say(self, kind: str, **fields: object) -> None:
        self.alice.send(kind, session=self.session, **fields)
        self.rig.advance(ROUND)

    def count(self, line: str) -> int:
        return self.rig.ladder.count(f"alice <- {line}")

    def answered(self, phone: CoreCall) -> None:
        """A phone that has answered has the ACK, if it must with its 200 repeated."""
        self.rig.advance(ROUND)
        if not phone.acked:
            phone.answer_again()
            self.rig.advance(ROUND)
        assert phone.acked

    def over(self, phone: CoreCall) -> None:
        """The phone hangs up: the page hears it once, and nothing is left."""
        phone.bye()
        self.rig.advance(ROUND)
        assert self.count("HANGUP hangup") == 1, self.rig.ladder
        self.nothing_left()

    def nothing_left(self) -> None:
        left = self.rig.left()
        assert left == {}, left


class WeatherTests(SynchronousTestCase):
    fate: ClassVar[Fate] = Fate.LOST

    def every(self, least: int, play: Callable[[Weather], None]) -> None:
        """Play it in all weathers; there must be so many messages at least."""
        struck = [weather.struck for weather in every(self.fate, play)][1:]
        self.assertGreaterEqual(len(struck), least)
        self.assertTrue(all(struck), struck)

    def test_hold(self) -> None:
        """The page puts the phone on hold and takes it back; each word has its one OK."""

        def play(weather: Weather) -> None:
            scene = Play(weather)
            scene.phone.canned["UPDATE"] = [(200, "held"), (200, "back")]
            for times, on in ((1, True), (2, False)):
                scene.say("HOLD", on=on)
                self.assertEqual(scene.count("OK HOLD"), times)
            self.assertEqual([each.method for each in scene.phone.requests].count("UPDATE"), 2)
            scene.over(scene.phone)

        self.every(6, play)

    def test_held(self) -> None:
        """The phone holds by re-INVITE: one answer, and the ACK ends its repetitions."""

        def play(weather: Weather) -> None:
            scene = Play(weather)
            scene.phone.request("INVITE", "sendonly")
            scene.rig.advance(ROUND)
            final = scene.phone.responses[-1]
            self.assertEqual((final.status, final.body), (200, b"re-answer(sendonly)"))
            scene.over(scene.phone)

        self.every(5, play)

    def test_refused(self) -> None:
        """A camera that the phone does not take: the page hears so once, and talks on (RFC 6141)."""

        def play(weather: Weather) -> None:
            scene = Play(weather)
            assert isinstance(scene.rig.media, FlowMedia)
            scene.rig.media.media.local = False
            scene.phone.canned["UPDATE"] = [(488, None)]
            scene.say("OFFER", sdp="video")
            self.assertEqual(scene.count("ERROR media-incompatible"), 1)
            self.assertEqual(scene.rig.media.media.reverted, 1)
            scene.over(scene.phone)

        self.every(4, play)

    def test_refresh(self) -> None:
        """The session timer's refresh, of which the page hears nothing."""

        def play(weather: Weather) -> None:
            scene = Play(weather)
            scene.rig.advance(EXPIRES / 2 + ROUND)
            self.assertEqual([each.method for each in scene.phone.requests].count("UPDATE"), 1)
            self.assertEqual([line for line in scene.rig.ladder if line.startswith("alice")], [])
            scene.over(scene.phone)

        self.every(4, play)

    def test_sent(self) -> None:
        """The phone is sent to the target by REFER, and says how it goes."""

        def play(weather: Weather) -> None:
            scene = Play(weather, TransferWay.AUTO)
            scene.phone.canned["REFER"] = [(202, None)]
            scene.say("TRANSFER", to=TARGET)
            for line, state in (("180 Ringing", "active;expires=60"), ("200 OK", "terminated;reason=noresource")):
                headers = ("event", "refer"), ("subscription-state", state), ("content-type", "message/sipfrag")
                scene.phone.request("NOTIFY", f"SIP/2.0 {line}\r\n", *headers)
                scene.rig.advance(ROUND)
            for stage in ("trying", "ringing", "done"):
                self.assertEqual(scene.count(f"TRANSFER {stage}"), 1, stage)
            self.assertTrue(scene.phone.ended)
            scene.nothing_left()

        self.every(8, play)

    def test_sends(self) -> None:
        """The phone sends the page to the target: the page is asked once, the phone hears how it goes and is let go."""

        def play(weather: Weather) -> None:
            scene = Play(weather)
            scene.phone.request("REFER", None, ("refer-to", f"<{TARGET}>"))
            scene.rig.advance(ROUND)
            target = scene.rig.call
            target.ring()
            scene.rig.advance(ROUND)
            target.answer("theirs")
            scene.answered(target)
            self.assertTrue(scene.alice.last("OFFER")["fresh"])
            scene.say("ANSWER", sdp="again")
            told = [each.body.decode().strip() for each in scene.phone.requests if each.method == "NOTIFY"]
            # An unreliable 180 that is lost is lost.
            told = [line for line in dict.fromkeys(told) if "180" not in line]
            self.assertEqual(told, ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"])
            self.assertEqual(scene.count("PARTY"), 1)
            self.assertTrue(scene.phone.ended)
            scene.over(target)

        self.every(14, play)

    def test_replaced(self) -> None:
        """Another phone takes the phone's place: one question to the page, one answer, one farewell."""

        def play(weather: Weather) -> None:
            scene = Play(weather)
            assert scene.phone.dialog is not None
            newcomer = scene.rig.core.call("sip:alice@ims.test", "new", NEWCOMER, naming(scene.phone.dialog.id))
            scene.rig.advance(ROUND)
            scene.say("ANSWER", sdp="again")
            assert newcomer.final is not None
            self.assertEqual(newcomer.final.status, 200)
            self.assertEqual((scene.count("PARTY"), scene.phone.ended), (1, True))
            scene.over(newcomer)

        self.every(7, play)

    def test_forks(self) -> None:
        """Two phones describe themselves early and answer both: one is kept, the other has its ACK and BYE."""

        def play(weather: Weather) -> None:
            scene = Play(weather, talks=False)
            first = scene.phone
            second = CoreCall(scene.rig.core, first.invite, first.flow, tag=new_tag())
            for phone, sdp in ((first, "one"), (second, "two")):
                phone.progress(sdp)
                scene.rig.advance(ROUND)
            for phone in (second, first):
                phone.answer()
                scene.answered(phone)
            self.assertEqual(scene.alice.last("OK")["sdp"], "callee-answer(two)")
            scene.say("ANSWER")
            self.assertEqual((first.ended, second.ended), (True, False))
            scene.over(second)

        self.every(10, play)


class DoubledTests(WeatherTests):
    fate = Fate.TWICE


class LateTests(WeatherTests):
    fate = Fate.LATE
