"""Which ended calls a user of the web has missed, and who is told of it.

A call is missed when it was for a user and nobody took it, for whatever reason: its caller gave up, nobody answered,
the user was busy or not there, something failed. Not missed is what was answered on any device, what the user declined
on one, and a call that was only to be moved to where the user talks already. However many devices rang, it is one.

What it is not: it keeps none itself (`store/missed.py`).
"""

from __future__ import annotations

from typing import Final

from attrs import define

from rtcgw.model.identity import ANONYMOUS, Identity, SessionId
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.identifying import Users
from rtcgw.store.missed import IMissedCalls, MissedCall
from rtcgw.translator.record import CallRecord

_TAKEN: Final = frozenset(
    reason.word
    for reason in (
        Reason.DECLINED,
        Reason.UNWANTED,
        Reason.ANSWERED_ELSEWHERE,
        Reason.TRANSFERRED,
        Reason.REPLACED,
    )
)
"""Reasons of a call that was not answered and yet not missed."""


@define(eq=False)
class MissedCalls:
    """What all pages share. `ended` hears of every call that has ended, and of every set-up that was refused."""

    _users: Users
    _store: IMissedCalls

    def ended(self, record: CallRecord) -> None:
        """A call has ended: whoever has missed it is told."""
        if record.answered or record.reason in _TAKEN or "callee" in record.moved:
            return
        user = record.callee_user if record.direction else self._called(record.callee)
        if user:
            caller = ANONYMOUS if record.private else Identity(record.caller, record.caller_name)
            self._store.add(user, MissedCall(SessionId(record.session), caller, record.setup_at, record.reason))
            self._tell(user)

    def seen(self, user: str) -> None:
        """The user has seen them, on one page or another."""
        if self._store.clear(user):
            self._tell(user)

    def of(self, user: str) -> tuple[native.MissedCall, ...]:
        """What the user has missed, as pages are told it."""
        return tuple(
            native.MissedCall(
                session=each.session,
                from_=native.Party(uri=each.caller.uri, name=each.caller.display),
                at=each.at,
                reason=each.reason,
            )
            for each in self._store.of(user)
        )

    def _called(self, uri: str) -> str | None:
        """The user whom a set-up named that was refused before there was a call, nor a leg of anybody's."""
        user = self._users.locate(uri)
        return None if user is None else user.name

    def _tell(self, user: str) -> None:
        session = self._users.sessions.get(user)
        clients = () if session is None else session.clients
        told = [client for client in clients if "calls" in client.capabilities]
        if told:
            news = native.Missed(missed=self.of(user))
            for client in told:
                client.send(news)
