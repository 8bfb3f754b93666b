"""One INVITE, several phones: the page hears one of them, one of them has the call, all others are ended properly."""

from __future__ import annotations

from rtcgw.media.backend import MediaNews, News, Party
from rtcgw.sip.dialog import new_tag
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia, Rig, configured
from tests.peers.core_call import CoreCall

SENDS = ("P-Early-Media", "sendrecv")
SILENT = ("P-Early-Media", "inactive")


class ForkCase(FlowCase):
    """Alice calls ECHO, and the core rings as many phones as a test wants."""

    def build(self) -> Rig:
        return Rig(configured(**self.settings))

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice", capabilities=["progress", "ringback"])
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.ladder.clear()

    def another(self) -> CoreCall:
        """One more phone that the INVITE has reached."""
        return CoreCall(self.rig.core, self.rig.call.invite, self.rig.call.flow, tag=new_tag())

    def forked(self, count: int = 2) -> list[CoreCall]:
        return [self.rig.call, *(self.another() for _ in range(count - 1))]

    def terminate(self, phone: CoreCall) -> None:
        """199: the proxy has heard that this phone will not answer."""
        phone.respond(199, "Early Dialog Terminated", None, ("Reason", "SIP;cause=486"))
        self.rig.advance()

    def hang_up(self) -> None:
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()

    @property
    def page_hears(self) -> list[str]:
        """The descriptions that the page was given before the answer."""
        self.alice.look()
        return [one["sdp"] for one in self.alice.transcript if one["type"] in ("PROGRESS", "RINGING") and "sdp" in one]


class SoundTests(ForkCase):
    def test_authorised_sound(self) -> None:
        """A ringing phone, an announcement that the network authorises, and its end: the page hears each in turn."""
        first, second = self.forked()
        first.progress("one")
        self.rig.advance()
        first.ring()
        second.respond(183, "Session Progress", "two", SENDS)
        self.rig.advance()
        self.terminate(second)
        self.reads(
            """
            core -> 183 INVITE one
            alice <- PROGRESS callee-pranswer(one)
            core <- PRACK
            core -> 200 PRACK
            core -> 180 INVITE
            core -> 183 INVITE two
            alice <- RINGING
            alice <- RINGBACK local
            alice <- PROGRESS callee-pranswer(two)
            alice <- RINGBACK network
            core -> 199 INVITE
            alice <- PROGRESS callee-pranswer(one)
            alice <- RINGBACK local
            """
        )
        first.answer()
        self.rig.advance()
        self.reads(
            """
            core -> 200 INVITE
            alice <- OK OFFER callee-answer(one)
            alice <- RINGBACK none
            core <- ACK
            """
        )
        self.alice.answer(self.session)
        self.hang_up()

    def test_answer_of_nobody(self) -> None:
        """The second phone answers and has never described itself: what the first one said is no answer of its."""
        first, second = self.forked()
        first.progress("one")
        self.rig.advance()
        second.respond(200, "OK")
        self.rig.advance()
        self.assertEqual(self.alice.last("HANGUP")["reason"], "media-incompatible")
        self.assertTrue(second.ended)

    def test_the_silent_one_gives_way(self) -> None:
        """A fork whose network says that it is silent is not waited for."""
        first, second = self.forked()
        first.respond(183, "Session Progress", "one", SILENT)
        second.respond(183, "Session Progress", "two")
        self.rig.advance()
        self.assertEqual(self.page_hears, ["callee-pranswer(one)", "callee-pranswer(two)"])
        self.hang_up()

    def test_the_first_sound(self) -> None:
        """No network says who sends; the sound of the second phone comes first, and it is heard."""
        first, second = self.forked()
        places = [f"v=0\r\nc=IN IP4 192.0.2.{host}\r\nm=audio 4000 RTP/AVP 0\r\n" for host in (1, 2)]
        first.progress(places[0])
        second.progress(places[1])
        self.rig.advance()
        assert isinstance(self.rig.media, FlowMedia)
        self.rig.media.news(MediaNews(Party.CALLEE, News.STRAY, "192.0.2.2:4000"))
        self.rig.first_packet()
        self.assertIn("192.0.2.2", self.page_hears[-1])
        self.assertEqual(self.alice.last("RINGBACK")["sound"], "network")
        first.ring()
        second.answer(places[1])
        self.rig.advance()
        self.rig.media.news(MediaNews(Party.CALLEE, News.STRAY, "192.0.2.1:4000"))
        self.alice.answer(self.session)
        self.hang_up()

    def test_hunting(self) -> None:
        """One phone after the other is rung and gives up: each is heard while it is the one, and nothing is left."""
        phones = self.forked(5)
        for number, phone in enumerate(phones):
            phone.progress(f"s{number}")
            self.rig.advance()
            if phone is not phones[-1]:
                self.terminate(phone)
        self.assertEqual(self.page_hears, [f"callee-pranswer(s{number})" for number in range(5)])
        phones[-1].answer("s4")
        self.rig.advance()
        self.alice.answer(self.session)
        self.assertEqual(len(self.rig.index), 1)
        self.hang_up()

    def test_update_in_each(self) -> None:
        """Two phones with conditions of their own each have their UPDATE answered, one after the other."""
        first, second = self.forked()
        first.progress("one")
        second.progress("two")
        self.rig.advance()
        for phone, offer in ((second, "two-ready"), (first, "one-ready")):
            phone.request("UPDATE", offer)
            self.rig.advance()
            self.assertEqual(phone.responses[-1].status, 200)
            self.assertTrue(phone.responses[-1].body)
        second.answer()
        self.rig.advance()
        self.assertIn("two-ready", str(self.alice.last("OK")["sdp"]))
        self.alice.answer(self.session)
        self.hang_up()


class LossTests(ForkCase):
    """The same with a network that loses, repeats and reorders."""

    def test_199_overtakes(self) -> None:
        """A 1xx that comes after the end of its dialog makes it no new one."""
        first, second = self.forked()
        first.ring()
        self.terminate(second)
        second.progress("late")
        self.rig.advance()
        self.assertEqual((self.page_hears, len(self.rig.index)), ([], 1))
        self.assertNotIn("core <- PRACK", self.rig.ladder)
        self.hang_up()

    def test_lost_prack(self) -> None:
        """A PRACK that is lost is repeated in its own dialog; the 183 that is repeated meanwhile is no news."""
        first, second = self.forked()
        self.rig.lose("PRACK")
        first.progress("one")
        second.progress("two")
        self.rig.advance(0.1)
        first.respond(183, "Session Progress", "one", ("Require", "100rel"), ("RSeq", str(first.rseq)))
        self.rig.advance(1)
        self.assertEqual((first.pracked, second.pracked), (True, True))
        self.assertEqual(self.page_hears, ["callee-pranswer(one)"])
        self.hang_up()

    def test_lost_ack(self) -> None:
        """Every 200 that is repeated because an ACK was lost gets its ACK; the loser gets no second BYE for it."""
        first, second = self.forked()
        first.answer("one")
        self.rig.advance()
        self.rig.lose("ACK")
        second.answer("two")
        self.rig.advance()
        self.assertFalse(second.acked)
        byes = [line for line in self.rig.ladder if line == "core <- BYE"]
        self.rig.ladder.clear()
        second.answer_again()
        first.answer_again()
        self.rig.advance()
        self.reads(
            """
            core -> 200 INVITE two
            core -> 200 INVITE one
            core <- ACK
            core <- ACK
            """
        )
        self.assertEqual((len(byes), second.acked, second.ended), (1, True, True))
        self.alice.answer(self.session)
        self.hang_up()

    def test_three_answer_at_once(self) -> None:
        """Three 200s in one packet train, one of a phone that was never heard of: one call, two BYEs."""
        first, second, third = self.forked(3)
        first.progress("one")
        second.ring()
        self.rig.advance()
        for phone, sdp in ((third, "three"), (first, "one"), (second, "two")):
            phone.answer(sdp)
        self.rig.advance()
        self.assertEqual([phone.ended for phone in (first, second, third)], [True, True, False])
        self.assertEqual([phone.acked for phone in (first, second, third)], [True, True, True])
        self.assertIn("three", str(self.alice.last("OK")["sdp"]))
        self.alice.answer(self.session)
        self.hang_up()
        self.assertTrue(third.ended)

    def test_given_up(self) -> None:
        """One CANCEL for all; a phone that answers across it gets ACK and BYE."""
        first, second = self.forked()
        first.progress("one")
        second.ring()
        self.rig.advance()
        self.alice.send("HANGUP", session=self.session)
        second.answer("two")
        self.rig.advance()
        self.assertTrue(second.ended)
        self.assertEqual(self.rig.ladder.count("core <- CANCEL"), 1)


class StageTests(ForkCase):
    def test_forwarded_and_queued(self) -> None:
        """181 and 182 are told by PROGRESS with a stage; then it rings and is answered as ever."""
        phone = self.rig.call
        phone.respond(181, "Call Is Being Forwarded")
        phone.respond(182, "Queued")
        self.rig.advance()
        stages = [one.get("stage") for one in self.alice.transcript if one["type"] == "PROGRESS"]
        self.assertEqual(stages, ["forwarded", "queued"])
        phone.ring()
        phone.answer("final")
        self.rig.advance()
        self.alice.answer(self.session)
        self.assertEqual(self.alice.last("RINGBACK")["sound"], "none")
        self.hang_up()

    def test_old_page(self) -> None:
        """A page that does not know PROGRESS hears nothing of it, and music of a queue as ringing."""
        self.hang_up()
        old = self.rig.page("bob", capabilities=[])
        session = old.call(ECHO)
        self.rig.advance()
        self.rig.call.respond(181, "Call Is Being Forwarded")
        self.rig.call.respond(182, "Queued", "music")
        self.rig.advance()
        kinds = [one["type"] for one in old.transcript if one.get("session") == session]
        self.assertEqual(kinds, ["WAITING", "RINGING"])
        old.send("HANGUP", session=session)
        self.rig.advance()
