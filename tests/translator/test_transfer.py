"""Transfers, every row of their table: who is asked, what the asker hears, and what may come too late."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from rtcgw.media.backend import Access, Party
from rtcgw.model.events import (
    Accept,
    Confirm,
    End,
    Progress,
    Setup,
    Stage,
    Transfer,
    Transferring,
    TransferStage,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import DialogRef, SessionId
from rtcgw.model.peer import PLAIN_PEER, TransferWay
from rtcgw.model.reason import Reason
from rtcgw.translator.transfer import OUTCOME_TIME, TRANSFER_TABLE, Transferal, TransferState
from tests.translator.callcase import answer, offer
from tests.translator.doubles import RecordedLeg
from tests.translator.sipbench import rows, walk
from tests.translator.test_factory import PHONE, Fixture

TARGET = "sip:target@ims"
TRYING, RINGING, DONE = (
    Transferring(stage) for stage in (TransferStage.TRYING, TransferStage.RINGING, TransferStage.DONE)
)


def failed(reason: Reason, status: int | None = None) -> Transferring:
    return Transferring(TransferStage.FAILED, reason, status)


class Phone(RecordedLeg):
    """A recorded phone that may be sent elsewhere."""

    def replaces(self, announced: bool = False) -> DialogRef | None:
        return DialogRef(self.session, "theirs", "ours")


class TransferTests(Fixture):
    """A page talks to a phone, session `s`; what the table has met is in `walked`."""

    way = TransferWay.AUTO

    def setUp(self) -> None:
        super().setUp()
        self.walked: set[tuple[Any, Any]] = set()
        self.destinations.profile = evolve(PLAIN_PEER, transfer=self.way)
        self.page, self.phone = self.call("s")

    def call(self, name: str, answered: bool = True) -> tuple[RecordedLeg, Phone]:
        page = self.place(name)
        recorded = self.destinations.made[-1]
        phone = Phone("phone", Access.CORE, SessionId(name))
        call = self.translator.calls[SessionId(name)]
        call.put(phone, recorded)
        phone.parent = call
        if answered:
            phone.say(Accept(answer("final")))
            page.say(Confirm())
        page.heard.clear()
        phone.heard.clear()
        return page, phone

    def ask(self, event: Transfer, leg: RecordedLeg | None = None) -> None:
        (leg or self.page).say(event)
        for job in self.translator.transfers._jobs.values():
            assert isinstance(job, Transferal)
            job.machine.watch = lambda label, old, what, new: self.walked.add((old, what))

    def heard(self) -> list[Transferring]:
        """What the page has heard of it since the last look."""
        found = [event for event in self.page.heard if isinstance(event, Transferring)]
        self.page.heard.clear()
        return found

    def test_refer(self) -> None:
        """The phone is asked, in the page's name, and how it goes is passed on; the call has served when it is done."""
        self.ask(Transfer(TARGET))
        self.assertEqual(self.phone.heard, [Transfer(TARGET, referred_by="sip:alice@web")])
        for event in (TRYING, TRYING, RINGING, DONE):
            self.phone.say(event)
        self.assertEqual(self.page.heard, [TRYING, RINGING, DONE, End(Reason.TRANSFERRED)])
        self.assertEqual(self.phone.heard[-1], End(Reason.TRANSFERRED))
        self.assertEqual((len(self.translator.transfers), self.clock.getDelayedCalls()), (0, []))

    def test_referred_and_failed(self) -> None:
        """However it fails at the phone, the call stays; a word that comes later is nobody's."""
        for last, told in (
            (failed(Reason.BUSY, 486), failed(Reason.BUSY, 486)),
            (failed(Reason.DECLINED, 603), failed(Reason.DECLINED, 603)),
        ):
            self.ask(Transfer(TARGET))
            self.phone.say(TRYING)
            self.phone.say(last)
            self.phone.say(DONE)
            self.assertEqual(self.heard(), [TRYING, told])
        self.ask(Transfer(TARGET))
        self.phone.say(failed(Reason.NOT_FOUND, 404))
        self.assertEqual(self.heard(), [failed(Reason.NOT_FOUND, 404)])
        self.ask(Transfer(TARGET))
        self.phone.say(TRYING)
        self.clock.advance(OUTCOME_TIME)
        self.assertEqual(self.heard(), [TRYING, failed(Reason.TIMEOUT)])
        self.assertEqual(len(self.translator.calls), 1)

    def test_hangs_up(self) -> None:
        """A phone that hangs up has gone to the target if it had agreed, and nowhere if it had not."""
        self.ask(Transfer(TARGET))
        self.phone.say(End(Reason.HANGUP))
        self.assertEqual(self.heard(), [])
        self.page, self.phone = self.call("again")
        self.ask(Transfer(TARGET))
        self.phone.say(TRYING)
        self.phone.say(End(Reason.HANGUP))
        self.assertEqual(self.heard(), [TRYING, DONE])
        self.assertEqual(len(self.translator.transfers), 0)

    def test_barred(self) -> None:
        """A phone that refuses REFER as such is moved: the target rings, answers, and has the phone."""
        self.ask(Transfer(TARGET))
        self.phone.say(failed(Reason.FORBIDDEN, 403))
        target = self.destinations.made[-1]
        self.assertEqual(target.heard, [Setup(PHONE, self.target(), None, referred_by="sip:alice@web", moved=True)])
        target.say(Accept(offer("theirs")))
        self.phone.heard.clear()
        target.say(End(Reason.BUSY))
        self.phone.say(UpdateReject(Reason.MEDIA))
        self.assertEqual(self.heard(), [TRYING, failed(Reason.BUSY)])
        self.ask(Transfer(TARGET))
        self.phone.say(failed(Reason.FORBIDDEN, 403))
        target = self.destinations.made[-1]
        target.say(Progress(Stage.QUEUED))
        target.say(Progress(Stage.RINGING))
        target.say(Accept(offer("theirs")))
        self.phone.say(UpdateAccept(answer("mine")))
        self.assertEqual(self.heard(), [TRYING, RINGING, DONE])

    @staticmethod
    def target() -> Any:
        return evolve(PHONE, uri=TARGET)

    def test_attended(self) -> None:
        """The phone is sent to whom the page talks to besides, with that dialog; barred, both are joined."""
        page, phone = self.call("other")
        self.translator.transfers.asked(
            self.translator.calls[SessionId("s")], Party.CALLER, Transfer("", SessionId("other"))
        )
        self.assertEqual(
            self.phone.heard,
            [Transfer(PHONE.uri, None, DialogRef("other", "theirs", "ours"), referred_by="sip:alice@web")],
        )
        self.phone.say(failed(Reason.DECLINED, 603))
        self.assertEqual(self.heard(), [TRYING, failed(Reason.OVERLOADED)])
        self.assertIs(phone.parent, self.translator.calls[SessionId("other")])
        self.assertEqual(page.heard, [])

    def test_impossible(self) -> None:
        """A call that is not answered, an emergency number, a second transfer, another call that is none."""
        self.ask(Transfer("", SessionId("nothing")))
        self.assertEqual(self.heard(), [failed(Reason.CONFLICT)])
        self.ask(Transfer(TARGET))
        self.ask(Transfer(TARGET))
        self.assertEqual(self.heard(), [failed(Reason.CONFLICT)])
        self.phone.say(End(Reason.HANGUP))
        self.page, self.phone = self.call("rings", answered=False)
        self.ask(Transfer(TARGET))
        self.assertEqual(self.heard(), [failed(Reason.CONFLICT)])

    def test_asked_by_a_phone(self) -> None:
        """A phone's REFER is the gateway's to carry out: the page is moved, and the phone hears of it."""
        self.ask(Transfer(TARGET, referred_by="sip:boss@ims"), self.phone)
        target = self.destinations.made[-1]
        self.assertEqual(target.heard[0].referred_by, "sip:boss@ims")  # type: ignore[union-attr]
        target.say(End(Reason.BUSY, status=486))
        self.assertEqual(self.phone.heard, [TRYING, failed(Reason.BUSY, 486)])

    def test_every_row(self) -> None:
        """The tests above walk each row of the table; the first step is taken before anybody can watch."""
        walked: set[tuple[Any, Any]] = set()
        for case in walk(TransferTests):
            assert isinstance(case, TransferTests)
            walked |= case.walked
        self.assertEqual(
            {str(row) for row in rows(TRANSFER_TABLE) - walked if row[0] is not TransferState.ASKED}, set()
        )
