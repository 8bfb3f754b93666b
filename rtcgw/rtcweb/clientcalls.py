"""The requests of a page that are about calls: which leg each of them means, and what there is to say without one.

Each function carries out one type of message for a `client.Client` that has logged in; `client.py` has the table.

A call is named by its session, and a user's calls are theirs on every page: whichever page asks, it may take a call
up (OFFER) or end it (HANGUP), also one that is on another page. What else there is to a call, only the page that has
it may ask for. Another user's session is no session.

What it is not: it decides nothing within a call (`useragent.py`), and it does not know who may log in (`client.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.logger import Logger

from rtcgw.model.events import Description, End, Kind, Setup
from rtcgw.model.identity import Identity, new_session_id
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.legstates import Role
from rtcgw.rtcweb.usersession import UserSession
from rtcgw.translator.flow import Form
from rtcgw.translator.leg import ILeg

if TYPE_CHECKING:
    from rtcgw.rtcweb.client import Client

log = Logger()


def offer(client: Client, message: native.Offer) -> None:
    """OFFER: a call, a change of one, or one that this page takes up."""
    home = client.here
    if message.session is not None:
        _offer_again(client, message, message.session, home)
    elif len(home.calls()) >= client.desk.users.max_calls:
        client.refuse(message, "limit")
    else:
        _place(client, message, message.to or "", home)


def _place(client: Client, message: native.Offer, to: str, home: UserSession) -> None:
    """WAITING to the page (Fig. 8, S808), then the call is the translator's."""
    user = home.user
    headers = _headers(message, client.desk.headers)
    if headers is None:
        client.refuse(message, "forbidden-header")
        return
    setup = Setup(
        caller=Identity(user.impu or user.name, user.display),
        callee=Identity(to),
        description=None if message.sdp is None else Description(Kind.OFFER, message.sdp),
        headers=headers,
        private=message.anonymous,
    )
    leg = client.new_leg(new_session_id(), Role.CALLER, home)
    leg.place(message, setup.callee)
    try:
        client.desk.translator.place(leg, setup, Form.NATIVE)
    except Exception:
        log.failure("call {session}: internal error while placing it", session=leg.session)
        leg.deliver(End(Reason.INTERNAL))


def _headers(message: native.Offer, allowed: Mapping[str, str]) -> tuple[tuple[str, str], ...] | None:
    """The page's headers, spelled as configured; None where one of them is not allowed, or stands twice."""
    if not message.headers:
        return ()
    found = {name.lower(): value for name, value in message.headers.items()}
    if len(found) != len(message.headers) or not found.keys() <= allowed.keys():
        return None
    return tuple((allowed[name], value) for name, value in found.items())


def _offer_again(client: Client, message: native.Offer, session: str, home: UserSession) -> None:
    leg = client.legs.get(session)
    if leg is not None:
        leg.request(message)
        return
    leg = home.any(session)
    if leg is None:
        client.refuse(message, "no-session")
    elif leg.movable:
        leg.rejoin(message, client)
    else:
        client.refuse(message, "illegal-state")


def in_call(
    client: Client,
    message: native.Ringing
    | native.Pranswer
    | native.Answer
    | native.Decline
    | native.Dtmf
    | native.Hold
    | native.Transfer,
) -> None:
    """What only the page may ask for that has the call."""
    leg = client.legs.get(message.session)
    if leg is None:
        client.refuse(message, "no-session")
    else:
        leg.request(message)


def transfer(client: Client, message: native.Transfer) -> None:
    """TRANSFER, to another call of the same user's at most."""
    if message.with_ is not None and client.here.any(message.with_) is None:
        client.refuse(message, "no-session")
    else:
        in_call(client, message)


def hang_up(client: Client, message: native.Hangup) -> None:
    """HANGUP of a call of this page's, or of one of the user's that is elsewhere or waits for its page."""
    leg = client.legs.get(message.session)
    if leg is not None:
        leg.request(message)
        return
    leg = client.here.any(message.session)
    if leg is None:
        client.refuse(message, "no-session")
        return
    leg.hang_up_elsewhere(message)
    client.send(native.Ok(for_="HANGUP", id=message.id, session=message.session))


def candidate(client: Client, message: native.Candidate) -> None:
    """CANDIDATE."""
    leg = client.legs.get(message.session)
    if leg is None:
        client.refuse(message, "no-session")
    else:
        leg.candidate(message, client)


def ice(client: Client, message: native.Ice) -> None:
    """ICE: the nominated pair (440)."""
    leg = client.legs.get(message.session)
    if leg is None:
        client.refuse(message, "no-session")
        return
    leg.nominated(message.pair)
    client.send(native.Ok(for_="ICE", id=message.id, session=message.session))


def merge(client: Client, message: native.Merge) -> None:
    """MERGE of calls that this page has, each named once; its answer waits until it is known who has come."""
    legs = [client.legs.get(session) for session in dict.fromkeys(message.sessions)]
    found = [leg for leg in legs if leg is not None]
    if len(found) < len(legs):
        client.refuse(message, "no-session")
        return
    if len(legs) < len(message.sessions):
        client.refuse(message, "illegal-state")
        return

    def done(outcome: ILeg | Reason) -> None:
        if isinstance(outcome, Reason):
            client.send(native.Error(id=message.id, code=outcome.word, text=outcome.text))
        else:
            client.send(native.Ok(for_="MERGE", id=message.id, session=outcome.session))

    client.desk.translator.merge(found, done)
