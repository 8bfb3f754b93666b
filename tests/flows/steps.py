"""The words of random courses: what pages, phones, the network and time may do, and how likely each is.

A step is a name and its arguments, so that a course that fails can be shown, shortened and taken again. `wild` thinks
up any step; what makes sense in the present state is the course's own to say (`course.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final, TypeAlias

from rtcgw.media.backend import News, Party
from tests.flows.rig import ECHO
from tests.flows.transfers import sdp
from tests.peers.browser import ANSWER_SDP, SDP

Step: TypeAlias = tuple[Any, ...]

PAGE_OFFER, PAGE_ANSWER = SDP, ANSWER_SDP
PHONE_OFFER, PHONE_ANSWER = sdp("phone"), sdp("phone", version=2)
PHONE_HOLDS = sdp("phone", version=3) + "a=sendonly\r\n"
PHONE_MOVES = sdp("phone", port=4100, version=4)

USERS: Final = ("alice", "bob", "carol")
TARGETS: Final = (ECHO, ECHO, "carol", "bob", "tel:+15559999", "nobody")
CALLED: Final = ("sip:alice@ims.test", "tel:+15550011")
OFFERS: Final = (PAGE_OFFER, PAGE_OFFER, PAGE_OFFER, None, "bad")

REQUESTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("RINGING", {}),
    ("PRANSWER", {"sdp": PAGE_ANSWER}),
    ("PRANSWER", {}),
    ("ANSWER", {"sdp": PAGE_ANSWER}),
    ("ANSWER", {"sdp": "bad"}),
    ("ANSWER", {}),
    ("DECLINE", {}),
    ("DECLINE", {"reason": "busy"}),
    ("OFFER", {"sdp": PAGE_OFFER}),
    ("OFFER", {"sdp": "bad"}),
    ("CANDIDATE", {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "mid": "0"}),
    ("DTMF", {"tones": "12"}),
    ("HOLD", {"on": True}),
    ("HOLD", {"on": False}),
    ("TRANSFER", {"to": "carol"}),
    ("TRANSFER", {"to": ECHO}),
    ("TRANSFER", {"to": "nobody"}),
    ("HANGUP", {}),
)
RESPONSES: Final[tuple[tuple[int, str | None, bool], ...]] = (
    (100, None, False),
    (180, None, False),
    (180, PHONE_ANSWER, False),
    (180, None, True),
    (183, PHONE_ANSWER, True),
    (183, PHONE_ANSWER, False),
    (181, None, False),
    (182, None, False),
    (199, None, False),
    (200, PHONE_ANSWER, False),
    (200, None, False),
    (200, "bad", False),
    (302, None, False),
    (404, None, False),
    (407, None, False),
    (480, None, False),
    (486, None, False),
    (488, None, False),
    (491, None, False),
    (500, None, False),
    (503, None, False),
    (603, None, False),
)
ASKED: Final[tuple[tuple[str, str | None], ...]] = (
    ("INVITE", PHONE_OFFER),
    ("INVITE", PHONE_HOLDS),
    ("INVITE", None),
    ("INVITE", "bad"),
    ("UPDATE", PHONE_OFFER),
    ("UPDATE", None),
    ("INFO", None),
    ("OPTIONS", None),
    ("PRACK", None),
    ("REFER", None),
    ("NOTIFY", None),
    ("BYE", None),
)
CANNED: Final[tuple[tuple[str, int, str | None], ...]] = (
    ("INVITE", 200, PHONE_ANSWER),
    ("INVITE", 200, None),
    ("INVITE", 488, None),
    ("INVITE", 491, None),
    ("INVITE", 481, None),
    ("UPDATE", 200, PHONE_ANSWER),
    ("UPDATE", 491, None),
    ("UPDATE", 500, None),
    ("PRACK", 481, None),
    ("BYE", 481, None),
    ("INFO", 415, None),
    ("REFER", 202, None),
    ("REFER", 603, None),
)
WAITS: Final = (0.05, 0.3, 1.0, 4.5, 12.0, 35.0)
NEWS: Final = (News.SOUND, News.SILENT, News.DTLS, News.STALLED, News.MOVED, News.KEYFRAME, News.LOST)

_CALL: Final[Step] = ("call", 0, ECHO, PAGE_OFFER)
_RING: Final[Step] = ("ring", CALLED[0], PHONE_OFFER, True)
_TAKEN: Final[tuple[Step, ...]] = (
    _CALL,
    ("respond", 1, (200, PHONE_ANSWER, False), False),
    ("request", 0, 0, ("ANSWER", {})),
)
"""A phone takes a page's call, and says that it knows REFER."""
_GIVEN: Final[tuple[Step, ...]] = (_RING, ("request", 0, 0, ("ANSWER", {"sdp": PAGE_ANSWER})))
"""A page takes a phone's."""

BEGINNINGS: Final[tuple[tuple[Step, ...], ...]] = (
    (_CALL,),
    (_RING,),
    (("call", 0, "carol", PAGE_OFFER),),
    (("ring", CALLED[0], None, True),),
    (("ring", CALLED[0], PHONE_OFFER, False),),
    (("open", "alice"), _RING),
    _TAKEN,
    _GIVEN,
    (*_TAKEN, *_TAKEN),
    (*_GIVEN, *_TAKEN),
)
"""Each way in which a call may begin, and what random steps would seldom come to: calls that are talked in."""
ENDS: Final = ("pages", "phones", "killed", "both", "gateway")


def which(random: Random) -> int:
    """One of a few, the newest most often."""
    return random.choice((0, 0, 0, 1, 2, 3))


def _one(name: str, *what: tuple[Any, ...]) -> Callable[[Random], Step]:
    return lambda random: (name, *(random.choice(each) for each in what))


def _several(name: str, *what: tuple[Any, ...]) -> Callable[[Random], Step]:
    return lambda random: (name, which(random), *(random.choice(each) for each in what))


_WILD: Final[Mapping[Callable[[Random], Step], int]] = {
    lambda random: ("request", which(random), which(random), random.choice(REQUESTS)): 8,
    _several("respond", RESPONSES, (False, False, True)): 6,
    _several("ask", ASKED): 6,
    _several("cancel"): 1,
    _several("ack"): 1,
    _several("answer_again"): 1,
    _several("call", TARGETS, OFFERS): 2,
    _one("ring", CALLED, (PHONE_OFFER, PHONE_OFFER, None, "bad"), (True, True, False)): 2,
    _one("lose", USERS): 2,
    _one("open", USERS): 2,
    _one("resume", USERS): 2,
    _one("logout", USERS): 1,
    lambda random: ("take_up", which(random), which(random)): 3,
    lambda random: ("transfer", which(random), which(random), which(random)): 2,
    _several("merge"): 1,
    _several("seen"): 1,
    _several("can", CANNED): 3,
    lambda random: ("fates", [random.choice((0, 1, 1, 2)) for _ in range(random.randint(1, 6))]): 3,
    _one("silent", (True, False, False)): 1,
    _one("wait", WAITS): 3,
    _several("fire"): 3,
    _one("news", NEWS, tuple(Party)): 2,
}


def wild(random: Random) -> Step:
    """Any step, whether it makes sense or not."""
    make = random.choices(list(_WILD), list(_WILD.values()))[0]
    return make(random)
