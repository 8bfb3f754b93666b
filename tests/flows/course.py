"""Random courses of calls through the whole gateway: what pages, phones, the network and time do, step by step.

course = Course(...)            a rig with pages of three users, and a phone behind the core
course.sensible()               steps that make sense now
course.take(step)               one step; one that makes no sense now is not taken
course.end("pages")             everybody on that side hangs up, and nobody on the other
course.faults()                 what is wrong afterwards; empty when nothing is
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from rtcgw.config import Config
from rtcgw.media.backend import MediaNews, News, Party
from rtcgw.model.reason import Reason
from rtcgw.sip.dialog import Dialog, new_tag
from tests.flows.rig import ECHO, FlowMedia, Page, Rig, configured
from tests.flows.steps import (
    PAGE_ANSWER,
    PAGE_OFFER,
    PHONE_ANSWER,
    PHONE_HOLDS,
    PHONE_MOVES,
    PHONE_OFFER,
    USERS,
    Step,
)
from tests.peers.core_call import CoreCall
from tests.peers.network import Packet

WORDS: Final = ["progress", "trickle", "ringback", "dtmf", "calls", "participants"]
PAGES_LIMIT: Final = 8
"""Pages of one course; the gateway's own bound on a user's is another matter."""
CALLS_LIMIT: Final = 6


_RINGS: Final = (
    (180, None, False),
    (183, PHONE_ANSWER, True),
    (200, PHONE_ANSWER, False),
)
_TALKS: Final = (
    ("INVITE", PHONE_OFFER),
    ("INVITE", PHONE_HOLDS),
    ("INVITE", None),
    ("UPDATE", PHONE_MOVES),
    ("INFO", None),
    ("REFER", None),
)
_Says: TypeAlias = tuple[tuple[str, dict[str, Any]], ...]
_RUNG: Final[_Says] = (("ANSWER", {"sdp": PAGE_ANSWER}), ("ANSWER", {"sdp": PAGE_ANSWER}), ("RINGING", {}))
_ASKED: Final[_Says] = (("ANSWER", {"sdp": PAGE_ANSWER}), ("ANSWER", {"sdp": PAGE_ANSWER}), ("DECLINE", {}))
_CONFIRMS: Final[_Says] = (("ANSWER", {}),)
_TALKING: Final[_Says] = (
    ("OFFER", {"sdp": PAGE_OFFER}),
    ("HOLD", {"on": True}),
    ("HOLD", {"on": False}),
    ("DTMF", {"tones": "1"}),
    ("TRANSFER", {"to": "carol"}),
    ("TRANSFER", {"to": ECHO}),
)
_MORE: Final[tuple[Callable[[int], list[Step]], ...]] = (
    lambda page: [],
    lambda page: [("call", page, ECHO, PAGE_OFFER), ("call", page, "carol", PAGE_OFFER)],
    lambda page: [("transfer", page, 0, 1), ("merge", page)],
)
"""What a page would begin that talks in no call, in one, in several."""


_ALLOWS: Final = (
    "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO",
    "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, REFER, NOTIFY",
    "INVITE, ACK, CANCEL, BYE",
)


class Course:
    """What happens in one rig."""

    def __init__(self, ladder: str = "auto", **media: bool) -> None:
        self.rig = self.build(configured(ladder=ladder), **media)
        self.pages: list[Page] = []
        self.asked: list[tuple[Page, int]] = []
        """Requests of pages, each of which is owed an answer while its page is there."""
        self.placed: list[CoreCall] = []
        """Calls of phones, in order."""
        self.dialogs: dict[CoreCall, dict[str, Dialog]] = {}
        """Of calls to phones, by the tag of each phone that has answered."""
        self.handed_over = False
        """Somebody has asked for a transfer or a conference."""
        self._fates: list[int] = []
        self.rig.network.fate = self._fate
        for user in USERS:
            self.open(user)

    def build(self, config: Config, **media: bool) -> Rig:
        """The gateway, with media that only mark what passes."""
        return Rig(config, media=FlowMedia(**media))

    def written(self, page: Page, sdp: str, session: str | None) -> str:
        """What a page writes where a step says `PAGE_OFFER` or `PAGE_ANSWER`."""
        return sdp

    def take(self, step: Step) -> None:
        """One step, and time for it to arrive."""
        name, *args = step
        getattr(self, name)(*args)
        self.rig.advance()

    def sensible(self) -> list[Step]:
        """What people and phones would do next."""
        found: list[Step] = []
        for index, page in enumerate(self.there):
            live = 0
            for number, session in enumerate(reversed(self.known(page)[-3:])):
                due = self._due(page, session)
                live += due is _TALKING
                found += [("request", index, number, each) for each in due]
            found += _MORE[min(live, 2)](index)
        for number, call in enumerate(reversed(self._called())):
            if call._final is None:
                found += [("respond", number, each, False) for each in _RINGS]
        for number, call in enumerate(reversed([call for call in self.rig.core.calls if call.dialog is not None])):
            if not call.ended and (call in self._called() or self._accepted(call)):
                found += [("ask", number, each) for each in _TALKS]
        return found

    def _due(self, page: Page, session: str) -> _Says:
        """What a page would say next in this call."""
        heard = [m for m in page.transcript if m.get("session") == session and m["type"] in ("OK", "OFFER", "HANGUP")]
        said = [m for m in heard if m["type"] != "OK" or m["for"] in ("OFFER", "ANSWER")]
        if not said or said[-1]["type"] == "HANGUP":
            return ()
        if said[-1]["type"] == "OFFER":
            return _RUNG if "from" in said[-1] else _ASKED
        return _CONFIRMS if said[-1]["for"] == "OFFER" and len(said) == 1 else _TALKING

    # -- pages -------------------------------------------------------------------------------

    def open(self, user: str) -> None:
        """Another page of this user."""
        if len(self.pages) < PAGES_LIMIT:
            self.pages.append(self.rig.page(user, f"{user}{len(self.pages)}", capabilities=WORDS))

    def resume(self, user: str) -> None:
        """The newest page of this user is reloaded, or is loaded twice: its log-in goes on in another one."""
        for page in reversed(self.pages):
            token = page.transcript[0].get("resume")
            if page.name.startswith(user) and token and len(self.pages) < PAGES_LIMIT:
                name = f"{user}{len(self.pages)}"
                try:
                    self.pages.append(self.rig.page(user, name, capabilities=WORDS, resume=token))
                except AssertionError:  # too late, or it has been resumed before: it logs in anew
                    self.open(user)
                return

    def lose(self, user: str) -> None:
        """The newest page of this user is killed."""
        for page in reversed(self.there):
            if page.name.startswith(user):
                page.drop()
                return

    def logout(self, user: str) -> None:
        """The newest page of this user logs out."""
        for page in reversed(self.there):
            if page.name.startswith(user):
                self._send(page, "LOGOUT")
                return

    def call(self, which: int, to: str, sdp: str | None) -> None:
        """A page places a call."""
        if self.there and len(self.rig.translator.calls) < CALLS_LIMIT:
            page = self.there[which % len(self.there)]
            self._send(page, "OFFER", to=to, **({} if sdp is None else {"sdp": sdp}))

    def request(self, which: int, session: int, what: tuple[str, dict[str, Any]]) -> None:
        """A page says something about a call that it knows, or knew."""
        if self.there:
            page = self.there[which % len(self.there)]
            known = self.known(page)
            if known:
                kind, fields = what
                self._send(page, kind, session=known[-1 - session % len(known)], **fields)

    def take_up(self, which: int, session: int) -> None:
        """A page takes up a call of its user's that it has not had: after a reload, or from another page."""
        if self.there:
            page = self.there[which % len(self.there)]
            user = page.name.rstrip("0123456789")
            others = [other for other in self.pages if other.name.rstrip("0123456789") == user]
            known = [each for other in others for each in self.known(other)]
            if known:
                self._send(page, "OFFER", session=known[-1 - session % len(known)], sdp=PAGE_OFFER)

    def transfer(self, which: int, session: int, other: int) -> None:
        """A page wants the other sides of two of its calls to talk to each other."""
        if self.there:
            page = self.there[which % len(self.there)]
            known = self.known(page)
            if known:
                first, second = known[-1 - session % len(known)], known[-1 - other % len(known)]
                self._send(page, "TRANSFER", session=first, **{"with": second})

    def merge(self, which: int) -> None:
        """A page makes a conference of its last two calls."""
        if self.there:
            page = self.there[which % len(self.there)]
            known = self.known(page)
            if len(known) > 1:
                self._send(page, "MERGE", sessions=known[-2:])

    def seen(self, which: int) -> None:
        """A user has seen the missed calls."""
        if self.there:
            self._send(self.there[which % len(self.there)], "SEEN")

    @property
    def there(self) -> list[Page]:
        """Pages that are connected, the oldest first."""
        return [page for page in self.pages if not page.gone]

    def known(self, page: Page) -> list[str]:
        """Calls that this page has heard of, each once, in order."""
        page.look()
        begun = [m["session"] for m in page.transcript if m["type"] in ("WAITING", "OFFER") and "session" in m]
        return list(dict.fromkeys(begun))

    def _send(self, page: Page, kind: str, **fields: Any) -> None:
        self.handed_over = self.handed_over or kind in ("TRANSFER", "MERGE")
        if "sdp" in fields:
            fields["sdp"] = self.written(page, fields["sdp"], fields.get("session"))
        self.asked.append((page, page.send(kind, **fields)))

    # -- phones ------------------------------------------------------------------------------

    def ring(self, called: str, sdp: str | None, acks: bool) -> None:
        """A phone calls; without `acks` it acknowledges nothing by itself."""
        if len(self.rig.core.calls) < CALLS_LIMIT and called.lower() in self.rig.core.registered:
            call = self.rig.core.call(called, sdp)
            call.auto_ack = call.auto_prack = acks
            self._obliging(call)
            self.placed.append(call)

    def respond(self, which: int, what: tuple[int, str | None, bool], fork: bool) -> None:
        """A phone that is called answers, or another one to which the call has forked."""
        called = self._called()
        if called:
            status, sdp, reliable = what
            call = called[-1 - which % len(called)]
            call.tag = new_tag() if fork else call.tag
            headers = call._rel(reliable) if status < 200 else ()
            if status == 407:
                call.challenge()
            elif status < 200 and call._final is not None:
                return
            else:
                self._obliging(call)
                allow = (("Allow", _ALLOWS[which % len(_ALLOWS)]),) if status == 200 else ()
                call.respond(status, "Scripted", sdp, *headers, *allow)
                if call.dialog is not None:  # the same phone goes on with the dialog that it has
                    call.dialog = self.dialogs.setdefault(call, {}).setdefault(call.tag, call.dialog)

    def ask(self, which: int, what: tuple[str, str | None]) -> None:
        """A phone asks for something within its dialog."""
        calls = [call for call in self.rig.core.calls if call.dialog is not None]
        if calls:
            method, sdp = what
            call = calls[-1 - which % len(calls)]
            more: tuple[tuple[str, str], ...] = ()
            if method == "PRACK":
                more = (("RAck", "1 1 INVITE"),)
            elif method == "REFER":
                self.handed_over = True
                more = (("Refer-To", "<sip:carol@ims.test>"),)
            elif method == "NOTIFY":
                more = (("Event", "refer"), ("Subscription-State", "active"))
            call.request(method, sdp, *more)

    def cancel(self, which: int) -> None:
        """A phone that calls gives up, perhaps too late."""
        if self.placed:
            self.placed[-1 - which % len(self.placed)].cancel()

    def ack(self, which: int) -> None:
        """A phone that calls acknowledges the answer, perhaps again, with a description that nobody asked for."""
        answered = [call for call in self.placed if call.dialog is not None and self._accepted(call)]
        if answered:
            answered[-1 - which % len(answered)].ack(PHONE_ANSWER)

    def answer_again(self, which: int) -> None:
        """A phone has not seen the ACK."""
        for call in self._called()[which:]:
            if call._final is not None:
                call.answer_again()
                return

    def can(self, which: int, what: tuple[str, int, str | None]) -> None:
        """How a phone will answer the next request of its kind."""
        calls = self.rig.core.calls
        if calls:
            method, status, sdp = what
            calls[-1 - which % len(calls)].canned.setdefault(method, []).insert(0, (status, sdp))

    def _obliging(self, call: CoreCall) -> None:
        """The phone takes the changes that it will be asked for, unless `can` says otherwise."""
        for method in ("INVITE", "UPDATE"):
            call.canned.setdefault(method, [(200, PHONE_ANSWER)] * 8)

    def _called(self) -> list[CoreCall]:
        return [call for call in self.rig.core.calls if call not in self.placed]

    def _accepted(self, call: CoreCall) -> bool:
        return any(one.cseq.method == "INVITE" and 200 <= one.status < 300 for one in call.responses)

    # -- between them --------------------------------------------------------------------------

    def fates(self, copies: list[int]) -> None:
        """How many copies of each of the coming packets arrive."""
        self._fates[:] = copies

    def _fate(self, packet: Packet) -> int:
        return self._fates.pop(0) if self._fates else 1

    def silent(self, on: bool) -> None:
        """The core hears and says nothing, or does again."""
        self.rig.core.silent = on

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.rig.advance(seconds)

    def fire(self, which: int) -> None:
        """A slow media engine answers."""
        waiting = [media for media in self.media if media.pending]
        if waiting:
            waiting[which % len(waiting)].fire()

    def _fire_all(self) -> None:
        while any(media.pending for media in self.media):
            self.take(("fire", 0))

    def news(self, state: News, party: Party) -> None:
        """The media of the last call say something."""
        backend = self.rig.media
        if isinstance(backend, FlowMedia) and backend.opened:
            backend.news(MediaNews(party, state, "5" if state is News.KEYS else ""))

    @property
    def media(self) -> list[Any]:
        """The media sessions there have been, of media that only mark what passes."""
        return self.rig.media.sessions if isinstance(self.rig.media, FlowMedia) else []

    # -- the end -------------------------------------------------------------------------------

    def end(self, how: str) -> None:
        """One side, or both, hang up all they have; what the network did until now it does no longer."""
        self._fates.clear()
        self.rig.core.silent = False
        self.rig.advance(0.5)
        if how == "pages":  # what waits for the media no page has heard of
            self._fire_all()
        ends: dict[str, tuple[Callable[[], None], ...]] = {
            "pages": (self._pages_hang_up,),
            "phones": (self._phones_hang_up, self._pages_hang_up),
            "both": (self._phones_hang_up, self._pages_hang_up),
            "killed": (self._killed,),
            "gateway": (self._stopped,),
        }
        for each in ends[how]:
            each()
        if self.handed_over:  # phones may talk to each other, or wait for each other, without any page
            self.rig.advance(0.5)
            self._phones_hang_up()
        self.rig.advance(1.0)

    def _pages_hang_up(self) -> None:
        for user in USERS:  # also what waits for a page of theirs
            if not any(page.name.startswith(user) for page in self.there):
                self.pages.append(self.rig.page(user, f"{user}{len(self.pages)}", capabilities=WORDS))
        for page in self.there:
            user = page.name.rstrip("0123456789")
            for each in list(self.pages):
                if each.name.rstrip("0123456789") == user:
                    for session in self.known(each):
                        self._send(page, "HANGUP", session=session)

    def _phones_hang_up(self) -> None:
        for call in list(self.rig.core.calls):
            if call in self.placed:
                if call.dialog is not None and self._accepted(call):
                    call.bye()
                else:
                    call.cancel()
            elif call._final is None:
                call.reject(480, "Temporarily Unavailable")
            else:
                call.answer_again()
                self.rig.advance(0.2)
                # Which of the phones it has forked to has got through, whatever they said later, is not known here.
                for dialog in self.dialogs.get(call, {}).values():
                    call.dialog = dialog
                    call.bye()
        self.rig.advance(0.5)

    def _killed(self) -> None:
        for page in self.there:
            page.drop()
        self.rig.advance(self.rig.config.call.grace + 1)

    def _stopped(self) -> None:
        self.rig.translator.drain()
        self.rig.translator.end_all(Reason.SHUTDOWN)

    # -- what is wrong -------------------------------------------------------------------------

    def faults(self) -> dict[str, Any]:
        """What is left of any call, calls without a record, requests without an answer or with two."""
        found: dict[str, Any] = {}
        if self.rig.translator.calls:
            found["calls that do not end"] = [call.view() for call in self.rig.translator.calls.values()]
        found |= self.rig.left()
        recorded = {record.session for record in self.rig.records}
        missing = {session for page in self.pages for session in self.known(page)} - recorded
        if missing:
            found["calls without a record"] = missing
        found |= self._unanswered()
        return found

    def _unanswered(self) -> dict[str, Any]:
        wrong: dict[str, Any] = {}
        for page in self.pages:
            page.look()
            asked = [request for owner, request in self.asked if owner is page]
            replies = [message["id"] for message in page.transcript if message.get("id") in asked]
            if not page.gone and sorted(set(replies)) != sorted(asked):
                wrong[f"{page.name}: not answered"] = sorted(set(asked) - set(replies))
            if len(replies) != len(set(replies)):
                wrong[f"{page.name}: answered twice"] = sorted({each for each in replies if replies.count(each) > 1})
        return wrong
