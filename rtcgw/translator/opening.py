"""The first offer and its answers, on their way through the media from one leg to the other.

    caller's offer -> media -> callee          and once more where the callee refuses it and there is a second way
    callee's early and final answers -> media -> caller
    the gateway's own early answer -> caller   its media connect, or its preconditions are met, while nobody rings yet

A set-up without an offer between the networks turns things round: the callee is offered what the gateway makes up, and
its answer becomes the gateway's offer to the caller. So it is for a phone that offers nothing to a browser, and for
whoever is moved here out of another call. A page that offers nothing by itself is another matter: it waits for the
phone's offer (the literal ladder of Fig. 8). Two of one kind have no gateway's media between them that could offer
anything: the callee makes the offer, or refuses.

What it is not: it does not know how far the call is (`call.py`), nor later offers (`change.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve
from twisted.logger import Logger

from rtcgw.media.backend import MediaError, Party, Result
from rtcgw.model.events import Accept, Confirm, Description, Kind, Progress, ProgressAck, Setup, Stage
from rtcgw.model.reason import Reason
from rtcgw.translator.joint import Joint

log = Logger()

Described = Progress | ProgressAck | Accept | Confirm
"""Events that may carry a description of the first exchange."""


class Opening:
    """The first exchange of one call. `refused(error)` is called when it cannot come about."""

    __slots__ = ("_answers", "_joint", "_refused", "_setup", "bare")

    def __init__(self, setup: Setup, joint: Joint, refused: Callable[[MediaError], None]) -> None:
        self._setup = setup
        self._joint = joint
        self._refused = refused
        self._answers: dict[Party, str] = {}
        """Per answering party its last answer, as it came."""
        self.bare = setup.description is None and _must_offer(joint, setup)
        """The caller has offered nothing: the callee must still be offered something to answer."""

    # -- the offer -------------------------------------------------------------------------

    def offer(self, then: Callable[[Setup], None]) -> None:
        """The set-up as the callee must see it."""
        media, description = self._joint.media, self._setup.description
        if description is not None:
            offer = description.sdp
            self._joint.ask(lambda: media.offer(Party.CALLER, offer), lambda sdp: then(self._with(sdp)), self._refused)
        elif self.bare:
            self._joint.ask(lambda: media.make_offer(Party.CALLEE), lambda sdp: then(self._with(sdp)), self._refused)
        else:
            then(self._setup)

    def again(self, then: Callable[[Setup], None], refused: Callable[[MediaError], None]) -> None:
        """The set-up by the peer profile's second way; what the callee has answered to the first one is void."""
        if self._setup.description is None:
            refused(MediaError(Reason.MEDIA, "there was no offer to make anew"))
            return
        self._answers.pop(Party.CALLEE, None)
        self._joint.ask(self._joint.media.fallback, lambda sdp: then(self._with(sdp)), refused)

    def _with(self, sdp: str) -> Setup:
        direct = self._joint.caller.access.on_web and self._joint.callee.access.on_web
        return evolve(self._setup, description=Description(Kind.OFFER, sdp), warm=self._setup.warm and not direct)

    # -- the gateway's own early answer ----------------------------------------------------

    def warm(self) -> None:
        """Give the caller's browser an early answer, that its media connect while the phone rings.

        A courtesy: where it cannot be had, the answer that counts will come later.
        """
        self._joint.ask(self._early, self._give, self._cold)

    def stand_in(self, give: Callable[[Description], None]) -> None:
        """The same as the final answer, for `give`; where the media have none, nothing follows."""

        def given(sdp: str) -> None:
            if sdp:
                give(Description(Kind.ANSWER, sdp))

        self._joint.ask(self._early, given, self._cold)

    def reserve(self, refused: Callable[[MediaError], None]) -> None:
        """Give the caller's phone an early answer, that its preconditions be met before anybody is alerted."""

        def give(sdp: str) -> None:
            if sdp:
                self._give(sdp)
            else:
                refused(MediaError(Reason.PRECONDITION, "preconditions without an early answer"))

        self._joint.ask(self._early, give, refused)

    def _early(self) -> Result:
        """Empty where the media gives none."""
        return self._joint.media.early_answer(Party.CALLER) or ""

    def _give(self, sdp: str) -> None:
        if sdp:
            self._joint.caller.deliver(Progress(Stage.TRYING, Description(Kind.PRANSWER, sdp)))

    def _cold(self, error: MediaError) -> None:
        log.debug("call {session}: no early answer: {detail}", session=self._joint.caller.session, detail=error.detail)

    # -- answers ---------------------------------------------------------------------------

    def carry(self, party: Party, event: Described) -> None:
        """An event of the first exchange, told to the other leg with the description that the media makes of its own.

        An answer without a description repeats the party's early one, which thereby becomes final.
        """
        other = self._joint.leg(party.other)
        description = event.description
        if isinstance(event, Progress) and event.another:
            self._answers.pop(party, None)  # it was another one's, and is nobody's answer now
        if description is None and isinstance(event, Accept) and party in self._answers:
            description = Description(Kind.ANSWER, self._answers[party])
        if description is None:
            if self._mute(party, event):
                self._refused(MediaError(Reason.MEDIA, "an offer was never answered"))
            else:
                other.deliver(event)
            return
        if isinstance(event, Confirm) and (self.bare or other.access.on_web):
            # The caller's answer is between it and the media: the callee has answered long ago.
            self._ask(party, description, lambda sdp: other.deliver(Confirm()))
            return
        # After a bare set-up the callee's answer becomes the gateway's offer to the caller.
        kind = Kind.OFFER if self.bare and party is Party.CALLEE else description.kind
        self._ask(party, description, lambda sdp: other.deliver(_told(event, kind, sdp)))

    def learn(self, party: Party, description: Description) -> None:
        """An early answer of which the other party is told nothing; its Accept will carry it."""
        self._ask(party, description, lambda sdp: None)

    def _ask(self, party: Party, description: Description, then: Callable[[str], None]) -> None:
        media, sdp = self._joint.media, description.sdp
        if description.kind is Kind.OFFER:
            self._joint.ask(lambda: media.offer(party, sdp), then, self._refused)
            return
        self._answers[party] = sdp
        final = description.kind is Kind.ANSWER
        self._joint.ask(lambda: media.answer(party, sdp, final), then, self._refused)

    def _mute(self, party: Party, event: Described) -> bool:
        """Whether the call would stand without an answer to its first offer: a 2xx or an ACK that owes one lacks it."""
        if isinstance(event, Accept):
            return self._setup.description is not None
        return isinstance(event, Confirm) and self.bare and party not in self._answers


def _told(event: Described, kind: Kind, sdp: str) -> Described:
    """The event with this description; itself where that is the one it bears: direct media change none for pages."""
    had = event.description
    if had is not None and had.sdp == sdp and had.kind is kind:
        return event
    return evolve(event, description=Description(kind, sdp))


def _must_offer(joint: Joint, setup: Setup) -> bool:
    """Whether the gateway's media offers to the callee where the caller has not."""
    caller, callee = joint.caller.access.on_web, joint.callee.access.on_web
    return caller is not callee and (setup.moved or not caller)
