"""Calls that we place and that fork: who is heard, who has ended, who has the call."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import (
    Accept,
    Confirm,
    Connected,
    Description,
    End,
    Event,
    Kind,
    Progress,
    ProgressAck,
    ProgressAcked,
    Stage,
    Stray,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import ANONYMOUS, Identity
from rtcgw.model.reason import Reason
from rtcgw.sip.dialog import DialogId
from rtcgw.translator.sipdialog import FORK_LIMIT, place_of
from rtcgw.translator.sipstate import State
from tests.translator.sipbench import OURS, UacBench, UasBench

ALLOW = "INVITE, ACK, BYE, UPDATE"
HUSH = Progress(Stage.TRYING, another=True)


def early(sdp: str, stage: Stage = Stage.SESSION, sounds: bool | None = None, another: bool = False) -> Progress:
    """What the caller is told of a description before the answer."""
    return Progress(stage, Description(Kind.PRANSWER, sdp), sounds=sounds, another=another)


class ForkCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = self.begin()

    def begin(self, sdp: str | None = "offer", patent: bool = False) -> UacBench:
        self.bench = UacBench(patent=patent)
        self.bench.setup(sdp)
        return self.bench

    def news(self) -> list[Event]:
        """What the caller was told since the last look."""
        heard, self.bench.heard = self.bench.heard, []
        return heard


class ChoiceTests(ForkCase):
    """One of them is heard before the answer."""

    def test_the_first_is_heard(self) -> None:
        """A second fork that describes itself rings, and does not take the first one's place."""
        bench = self.bench
        bench.response(183, "a", tag="a")
        bench.response(183, "b", tag="b")
        bench.response(180, "b", tag="b")
        bench.response(183, "a", tag="a")
        self.assertEqual(self.news(), [early("a"), Progress(Stage.RINGING), early("a")])

    def test_authorised_sound_is_heard(self) -> None:
        """A fork whose network says that it sends sound is heard instead of one that does not say so."""
        for first in ("", "inactive", "recvonly"):
            bench = self.begin()
            bench.response(183, "a", tag="a", p_early_media=first)
            bench.response(183, "b", tag="b", p_early_media="sendonly")
            sounds = False if first else None
            self.assertEqual(self.news(), [early("a", sounds=sounds), early("b", sounds=True, another=True)])
            bench.response(183, "c", tag="c", p_early_media="sendrecv")
            bench.response(180, tag="a")
            self.assertEqual(self.news(), [Progress(Stage.RINGING)])

    def test_silence_gives_way(self) -> None:
        """A fork that is silent by its own word gives way to one that says nothing; its later ringing still rings."""
        bench = self.bench
        bench.response(183, "b", tag="b")
        bench.response(180, "a", tag="a", p_early_media="sendrecv")
        self.assertEqual(self.news(), [early("b"), early("a", Stage.RINGING, True, True)])
        bench.response(180, tag="a", p_early_media="inactive")
        self.assertEqual(self.news(), [Progress(Stage.RINGING), early("b", another=True)])
        bench.response(183, tag="a", p_early_media="sendrecv")
        self.assertEqual(self.news(), [early("a", sounds=True, another=True)])

    def test_sound_without_a_description(self) -> None:
        """Who has not described itself cannot be heard, whatever its network says."""
        bench = self.bench
        bench.response(183, "a", tag="a")
        bench.response(183, tag="b", p_early_media="sendrecv")
        self.assertEqual(self.news(), [early("a")])
        bench.response(183, "b", tag="b")
        self.assertEqual(self.news(), [early("b", sounds=True, another=True)])

    def test_every_dialog_has_its_numbers(self) -> None:
        """Each reliable 1xx gets its PRACK in its own dialog; RSeq and CSeq count in each by themselves."""
        bench = self.bench
        bench.response(183, "a", rseq=7, tag="a")
        bench.response(180, rseq=900, tag="b")
        bench.response(183, "a", rseq=7, tag="a")  # repeated: the first PRACK is still on its way
        bench.response(180, rseq=8, tag="a")
        bench.response(180, rseq=902, tag="b")  # one is missing
        bench.response(183, "b", rseq=901, tag="b")
        pracks = [(tx.request.to.tag, tx.request.get("rack"), tx.request.cseq.number) for tx in bench.port.asked[1:]]
        self.assertEqual(
            pracks,
            [
                ("a", "7 10 INVITE", 11),
                ("b", "900 10 INVITE", 11),
                ("a", "8 10 INVITE", 12),
                ("b", "901 10 INVITE", 12),
            ],
        )

    def test_update_moves_the_ear(self) -> None:
        """A fork that changes its media before the answer is heard from then on: its answer describes ours to it."""
        bench = self.bench
        bench.response(183, "a", rseq=1, tag="a")
        bench.response(183, "b", rseq=1, tag="b")
        self.news()
        tx = bench.request("UPDATE", "b2", tag="b")
        self.assertEqual(self.news(), [HUSH, Update(Description(Kind.OFFER, "b2"))])
        crossing = bench.request("UPDATE", "a2", tag="a")
        self.assertEqual(crossing.statuses, [500])
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "ours")))
        self.assertEqual((tx.statuses, tx.responses[0].body), ([200], b"ours"))
        bench.response(183, "a", tag="a")
        self.assertEqual(self.news(), [])
        bench.response(200, tag="b")
        self.assertEqual(self.news(), [Accept(Description(Kind.ANSWER, "b2"))])

    def test_update_too_early(self) -> None:
        """No offer while ours is unanswered in that dialog; without an offer it is answered at once."""
        bench = self.bench
        bench.response(183, "a", rseq=1, tag="a")
        bench.response(180, tag="b")
        self.assertEqual(bench.request("UPDATE", "b2", tag="b").statuses, [491])
        self.assertEqual(bench.request("UPDATE", tag="b").statuses, [200])

    def test_no_change_while_one_is_under_way(self) -> None:
        """While the caller's change is being asked for in one fork, no other one is heard."""
        bench = self.bench
        bench.response(183, "a", rseq=1, tag="a", allow=ALLOW)
        bench.leg.deliver(Update(Description(Kind.OFFER, "new")))
        asked = bench.port.asked[-1]
        self.news()
        bench.response(183, "b", rseq=1, tag="b", p_early_media="sendrecv")
        self.assertEqual(bench.request("UPDATE", "b2", tag="b").statuses, [491])
        self.assertEqual(self.news(), [])
        bench.answer(asked, 200, "a2")
        bench.response(180, tag="a")
        self.assertEqual(
            self.news(),
            [
                UpdateAccept(Description(Kind.ANSWER, "a2")),
                Progress(Stage.RINGING),
                early("b", sounds=True, another=True),
            ],
        )

    def test_offerless(self) -> None:
        """A caller that has answered one fork's offer is not given another one before the call is answered."""
        bench = self.begin(None)
        bench.response(183, "a", tag="a")
        bench.response(183, "b", tag="b", p_early_media="sendrecv")
        offer = Progress(Stage.SESSION, Description(Kind.OFFER, "a"))
        self.assertEqual(self.news(), [offer])
        bench.response(200, "b", tag="b")
        self.assertEqual(self.news(), [Accept(Description(Kind.OFFER, "b"))])
        self.assertEqual((bench.sent, bench.state), (["INVITE"], State.ANSWERED))

    def test_untagged(self) -> None:
        """A peer without tags has one dialog, which is heard; beside tagged ones it only rings."""
        bench = self.bench
        bench.response(183, "old", to="<sip:echo@ims.test>")
        self.assertEqual(self.news(), [early("old")])
        bench.response(183, "a", tag="a")
        bench.response(180, "old", to="<sip:echo@ims.test>")
        self.assertEqual(self.news(), [early("a"), Progress(Stage.RINGING)])

    def test_beyond_the_bound(self) -> None:
        """Of too many forks the last ones ring and are not heard; one of them may answer."""
        bench = self.bench
        for number in range(FORK_LIMIT + 1):
            bench.response(183, f"s{number}", rseq=1, tag=f"t{number}")
        self.assertEqual(len(bench.port.dialogs), FORK_LIMIT)
        bench.response(183, "last", tag=f"t{FORK_LIMIT}", p_early_media="sendrecv")
        self.assertEqual(self.news(), [early("s0")])
        bench.response(200, "last", tag=f"t{FORK_LIMIT}")
        self.assertEqual(self.news(), [Accept(Description(Kind.ANSWER, "last"))])
        self.assertEqual(list(bench.port.dialogs), [DialogId("c1", OURS, f"t{FORK_LIMIT}")])


def placed(host: str, port: int, media: str = "") -> str:
    """A description whose sound is at this place."""
    return f"v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio {port} RTP/AVP 0\r\nc=IN IP4 {host}\r\na=x\r\n{media}"


A, B, C = placed("192.0.2.1", 4000), placed("192.0.2.2", 4000), placed("192.0.2.2", 5000)


class FirstMediaTests(ForkCase):
    """Whose sound comes first, where no network says who sends."""

    def hear(self, host: str, port: int) -> list[Event]:
        self.bench.leg.deliver(Stray(host, port))
        return self.news()

    def test_the_first_sound_is_heard(self) -> None:
        """The fork that was chosen sends nothing, another one does: that one is heard, and stays."""
        bench = self.bench
        bench.response(183, A, tag="a")
        bench.response(183, B, tag="b")
        self.news()
        self.assertEqual(self.hear("192.0.2.2", 4000), [early(B, another=True)])
        bench.response(183, A, tag="a")
        self.assertEqual(self.news(), [])

    def test_which_of_two_behind_one_address(self) -> None:
        """By its port; from a third port only where there is one fork at that address."""
        bench = self.bench
        for tag, sdp in (("a", A), ("b", B), ("c", C)):
            bench.response(183, sdp, tag=tag)
        self.news()
        self.assertEqual(self.hear("192.0.2.2", 6000), [])
        self.assertEqual(self.hear("192.0.2.2", 5000), [early(C, another=True)])
        self.assertEqual(self.hear("192.0.2.1", 6000), [early(A, another=True)])

    def test_not_heard(self) -> None:
        """A stranger's packets, those of a silent network and of a fork that has ended change nothing; nor do any where
        the chosen network says that it sends."""
        bench = self.bench
        self.assertEqual(self.hear("192.0.2.1", 4000), [])
        bench.response(183, A, tag="a")
        bench.response(183, B, tag="b", p_early_media="inactive")
        bench.response(183, "no place", tag="d")
        bench.response(183, placed("192.0.2.3", 1), tag="e")
        bench.response(199, tag="e")
        self.news()
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"):
            self.assertEqual(self.hear(host, 4000), [], host)
        bench.response(183, tag="a", p_early_media="sendrecv")
        bench.response(183, C, tag="c")
        self.news()
        self.assertEqual(self.hear("192.0.2.2", 5000), [])

    def test_where_sound_is(self) -> None:
        """The address of the line counts before that of the session; a name is none."""
        self.assertEqual(place_of(A), ("192.0.2.1", 4000))
        picture = "m=video 1 x 0\nc=IN IP4 192.0.2.7\n"
        session = f"v=0\nc=IN IP6 2001:db8::1\n{picture}m=audio 9 x 0\n{picture}"
        self.assertEqual(place_of(session), ("2001:db8::1", 9))
        for nowhere in (None, "", "m=audio 1 x 0\r\n", "c=IN IP4 name.test\r\nm=audio 1 x 0\r\n", "m=audio x"):
            self.assertIsNone(place_of(nowhere))


class StageTests(ForkCase):
    def test_forwarded_and_queued(self) -> None:
        """181 and 182 are told, and it rings as ever afterwards."""
        bench = self.bench
        bench.response(181)
        bench.response(182, "music")
        bench.response(180)
        self.assertEqual(
            self.news(), [Progress(Stage.FORWARDED), early("music", Stage.QUEUED), Progress(Stage.RINGING)]
        )

    def test_reliable(self) -> None:
        """They may be reliable."""
        self.bench.response(182, rseq=3)
        self.assertEqual(self.bench.sent[1:], ["PRACK"])


class TerminatedTests(ForkCase):
    """199 ends one early dialog."""

    def test_another_is_heard(self) -> None:
        """When the fork that is heard ends, the best of the others is: by rank, then by age."""
        bench = self.bench
        bench.response(183, "a", tag="a", p_early_media="sendrecv")
        bench.response(183, "b", tag="b", p_early_media="inactive")
        bench.response(183, "c", tag="c")
        bench.response(183, "d", tag="d")
        self.news()
        bench.response(199, tag="a")
        self.assertEqual(self.news(), [early("c", another=True)])
        self.assertNotIn(DialogId("c1", OURS, "a"), bench.port.dialogs)
        bench.response(183, "a", tag="a")  # overtaken by its end
        self.assertEqual((self.news(), len(bench.port.dialogs)), ([], 3))
        bench.response(199, tag="d")
        self.assertEqual(self.news(), [])

    def test_nobody_left(self) -> None:
        """The last one that described itself ends: what was said of its sound is void, and the call goes on."""
        bench = self.bench
        bench.response(183, "a", tag="a", p_early_media="sendrecv")
        bench.response(180, tag="b")
        self.news()
        bench.response(199, tag="a")
        self.assertEqual(self.news(), [HUSH])
        bench.response(183, "b", tag="b")
        bench.response(200, "b", tag="b")
        self.assertEqual(self.news(), [early("b"), Accept(Description(Kind.ANSWER, "b"))])

    def test_reliable(self) -> None:
        """A reliable 199 gets its PRACK like any other (RFC 6228 §4)."""
        self.bench.response(180, rseq=1, tag="a")
        self.bench.response(199, rseq=2, tag="a")
        self.assertEqual(self.bench.sent, ["INVITE offer", "PRACK", "PRACK"])

    def test_never_heard_of(self) -> None:
        """The end of a dialog that nobody knew is no news."""
        self.bench.response(199, tag="a")
        self.bench.response(199, to="<sip:echo@ims.test>")
        self.assertEqual((self.news(), self.bench.port.dialogs), ([], {}))

    def test_room_for_the_next(self) -> None:
        """A hunt through a long list: who has ended gives up its place."""
        bench = self.bench
        for number in range(3 * FORK_LIMIT):
            bench.response(183, f"s{number}", tag=f"t{number}")
            bench.response(199, tag=f"t{number}")
        bench.response(183, "at last", tag="z")
        self.assertEqual(self.news()[-1], early("at last"))
        self.assertLessEqual(len(bench.leg.early.all()), FORK_LIMIT)

    def test_its_prack_was_held(self) -> None:
        """With the literal ladder: no PRACK goes into a dialog that has ended."""
        bench = self.begin(patent=True)
        bench.response(183, "a", rseq=1, tag="a")
        bench.response(199, tag="a")
        self.assertEqual((bench.sent, bench.leg.machine.timers()), (["INVITE offer"], {}))
        bench.leg.deliver(ProgressAck())
        self.assertEqual(self.news()[-1], ProgressAcked())

    def test_changes_in_it(self) -> None:
        """What was asked in it, or by it, is void."""
        bench = self.bench
        bench.response(183, "a", rseq=1, tag="a", allow=ALLOW)
        bench.leg.deliver(Update(Description(Kind.OFFER, "new")))
        bench.response(199, tag="a")
        self.assertEqual(self.news()[1:], [UpdateReject(Reason.CONFLICT), HUSH])
        bench.response(183, "b", rseq=1, tag="b")
        tx = bench.request("UPDATE", "b2", tag="b")
        bench.response(199, tag="b")
        self.assertEqual(tx.statuses, [487])
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "late")))
        self.assertEqual(tx.statuses, [487])

    def test_offerless(self) -> None:
        """The caller has answered the one that ended: the next that describes itself is offered anew."""
        bench = self.begin(None)
        bench.response(183, "a", tag="a")
        bench.response(199, tag="a")
        bench.response(183, "b", tag="b")
        offers = [event for event in self.news() if isinstance(event, Progress) and event.description is not None]
        self.assertEqual([event.description for event in offers], [Description(Kind.OFFER, sdp) for sdp in "ab"])


class AnswerTests(ForkCase):
    """The first answer has the call."""

    def test_several_answers(self) -> None:
        """The first is kept; each other one gets ACK and BYE once, and for its repetitions the ACK alone."""
        bench = self.bench
        bench.response(183, "a", rseq=1, tag="a")
        bench.response(180, rseq=1, tag="b")
        bench.response(200, "a", tag="a")
        bench.response(200, "b", tag="b")
        bye = bench.port.asked[-1].request
        # The dialog had a PRACK: its BYE counts on from there, or the fork would refuse it as out of order.
        self.assertEqual((bye.method, bye.to.tag, bye.cseq.number), ("BYE", "b", 12))
        bench.response(200, "b", tag="b")
        bench.response(200, "new", tag="new")
        bench.response(200, "a", tag="a")
        self.assertEqual(bench.sent[3:], ["ACK", "ACK", "BYE", "ACK", "ACK", "BYE", "ACK"])
        self.assertEqual(list(bench.port.dialogs), [DialogId("c1", OURS, "a")])

    def test_unheard_answer(self) -> None:
        """A fork that was not heard answers without repeating what it said in its 1xx: that is its answer."""
        bench = self.bench
        bench.response(183, "a", rseq=1, tag="a")
        bench.response(183, "b", rseq=1, tag="b")
        bench.response(200, tag="b")
        self.assertEqual(self.news()[-1], Accept(Description(Kind.ANSWER, "b")))

    def test_offer_of_a_fork_never_heard_of(self) -> None:
        """It has the caller's answer in its ACK, or the call cannot go on."""
        bench = self.begin(None)
        bench.response(183, "a", tag="a")
        bench.response(200, "b", tag="b")
        bench.leg.deliver(Confirm(Description(Kind.ANSWER, "mine")))
        self.assertEqual(bench.sent, ["INVITE", "ACK mine"])
        bench = self.begin(None)
        bench.response(183, "a", tag="a")
        bench.response(200, "b", tag="b")
        bench.clock.advance(32)
        self.assertEqual((self.news()[-1], bench.sent), (End(Reason.TIMEOUT), ["INVITE", "ACK", "BYE"]))

    def test_given_up(self) -> None:
        """One CANCEL is for all forks; whoever answers all the same gets ACK and BYE."""
        bench = self.bench
        bench.response(183, "a", tag="a")
        bench.response(180, tag="b")
        bench.end(Reason.CANCELLED)
        bench.response(199, tag="a")
        bench.response(200, "b", tag="b")
        bench.response(200, "c", tag="c")
        self.assertEqual(bench.sent[1:], ["CANCEL", "ACK", "BYE", "ACK", "BYE"])

    def test_connected(self) -> None:
        """Somebody else answers than was called, and the network says who."""
        for header, party in (
            ('"Carol" <sip:carol@ims.test>', Identity("sip:carol@ims.test", "Carol")),
            ("<sip:echo@ims.test>", None),
        ):
            bench = self.begin()
            bench.response(200, "a", p_asserted_identity=header)
            self.assertEqual(self.news()[1:], [] if party is None else [Connected(party)])
        bench.request("UPDATE", None, ("p-asserted-identity", "<sip:carol@ims.test>"))
        bench.request("INVITE", "x", ("p-asserted-identity", "<sip:dave@ims.test>, <tel:+15550009>"))
        bench.request("UPDATE", None, ("p-asserted-identity", "<sip:dave@ims.test>"))
        told = [event for event in self.news() if isinstance(event, Connected)]
        self.assertEqual([each.party.uri for each in told], ["sip:carol@ims.test", "sip:dave@ims.test"])
        bench = self.begin()
        bench.response(200, "a", p_asserted_identity="<sip:carol@ims.test>", privacy="id")
        self.assertEqual(self.news()[1:], [Connected(ANONYMOUS)])

    def test_the_same_by_number(self) -> None:
        """Who was called by number and is asserted by number and address is nobody else."""
        bench = UacBench()
        bench.setup(target="tel:+15550002")
        bench.response(200, "a", p_asserted_identity="<sip:gw@ims.test>, <tel:+1-555-0002>")
        self.assertEqual(len(bench.heard), 1)

    def test_caller_renamed(self) -> None:
        """The caller of a call that we were given is another one after a transfer; who hides stays hidden."""
        for headers, told in (
            ((), ["sip:new@ims.test"]),
            ((("p-asserted-identity", "<sip:new@ims.test>"),), []),
            ((("privacy", "id"),), []),
        ):
            bench = UasBench(headers=headers)
            bench.leg.deliver(Accept(Description(Kind.ANSWER, "final")))
            bench.ack()
            for name in ("new", "new"):
                bench.request("UPDATE", None, ("p-asserted-identity", f"<sip:{name}@ims.test>"))
            parties = [event.party.uri for event in bench.heard if isinstance(event, Connected)]
            self.assertEqual(parties, told)

    def test_changed_meanwhile(self) -> None:
        """A 1xx that repeats what a change has replaced since does not bring it back."""
        bench = self.bench
        bench.response(183, "a", rseq=1, tag="a")
        bench.request("UPDATE", "a2", tag="a")
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "ours")))
        self.news()
        bench.response(180, "a", rseq=2, tag="a")
        self.assertEqual(self.news(), [Progress(Stage.RINGING)])

    def test_why_it_ended(self) -> None:
        """What the callee's network says about a refusal and about a BYE is told."""
        self.bench.response(480, reason='Q.850;cause=19;text="No answer"', tag="a")
        self.assertEqual(self.news(), [End(Reason.NO_ANSWER, "No answer", 480)])
        bench = self.begin()
        bench.response(200, "a")
        bench.request("BYE", None, ("reason", 'Q.850;cause=38;text="link down"'))
        self.assertEqual(self.news()[-1], End(Reason.UNREACHABLE, "link down"))
