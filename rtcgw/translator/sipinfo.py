"""INFO in both directions: keys, and the wish for a whole picture.

    application/dtmf-relay             Signal=5, Duration=160 (ms): `Info`
    application/dtmf                   one key: `Info`
    application/media_control+xml      picture_fast_update (RFC 5168): `Keyframe`

All three are legacy INFO usages, without an Info-Package (RFC 6086 §2); a package is refused with
469, for we declare none. Keys go one per INFO and one after the other: over UDP two INFOs at once
could arrive in either order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.model.events import Info, Keyframe
from rtcgw.model.peer import Dtmf, PeerProfile
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.sip.xmlbody import Bounds, XmlError, walk
from rtcgw.translator.sipdialog import Ask
from rtcgw.translator.sipport import ISipPort

if TYPE_CHECKING:
    from rtcgw.translator.sipleg import SipLeg

log = Logger()

DTMF_RELAY: Final = "application/dtmf-relay"
DTMF: Final = "application/dtmf"
MEDIA_CONTROL: Final = "application/media_control+xml"
ACCEPT: Final = f"{DTMF_RELAY}, {DTMF}, {MEDIA_CONTROL}"
QUEUE_LIMIT: Final = 32
"""INFOs that may wait for the answer to an earlier one; further keys are dropped."""
PICTURE_GAP: Final = 0.5
"""Seconds between two whole pictures asked for, each way: each costs the sender ten times a plain one."""
DURATIONS: Final = (40, 10_000)
"""Milliseconds of a key, shortest and longest; what is said beyond is brought in between."""
DURATION: Final = 100
MAX_BYTES: Final = 2048
_CONTROL: Final = Bounds(MAX_BYTES, 8, 32)
PICTURE_FAST_UPDATE: Final = (
    b'<?xml version="1.0" encoding="utf-8"?>\r\n'
    b"<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>\r\n"
)

_KEYS = frozenset("0123456789ABCD*#")
_NUMBERED = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}
"""Keys by the event numbers of RFC 4733, as some phones write them."""


class Unreadable(ValueError):
    """A body is not what its type says."""


def _key(text: str) -> str:
    text = text.strip().upper()
    key = _NUMBERED.get(text, text)
    if key not in _KEYS:
        raise Unreadable("no such key")
    return key


def read_dtmf_relay(body: bytes) -> Info:
    """`Signal=5` and `Duration=160` in lines of any end. Raises `Unreadable`."""
    fields: dict[str, str] = {}
    for line in body[:MAX_BYTES].decode("latin-1").splitlines():
        name, _, value = line.partition("=")
        fields.setdefault(name.strip().lower(), value.strip())
    length = fields.get("duration", "")
    known = length.isascii() and length.isdigit()
    shortest, longest = DURATIONS
    duration = min(max(int(length[:6]), shortest), longest) if known else DURATION
    return Info(_key(fields.get("signal", "")), duration)


def read_dtmf(body: bytes) -> Info:
    """One key as text. Raises `Unreadable`."""
    return Info(_key(body[:MAX_BYTES].decode("latin-1")), DURATION)


@define
class _Control:
    """Looks for picture_fast_update while expat walks through the document."""

    _root: str = ""
    wanted: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]  # RFC 5168 has no namespace; some phones write one
        self._root = self._root or local
        if self._root != "media_control":
            raise XmlError("the root is not media_control")
        self.wanted = self.wanted or local == "picture_fast_update"

    def data(self, text: str) -> None:
        """No text matters."""

    def end(self, name: str) -> None:
        """No end matters."""


def read_media_control(body: bytes) -> Keyframe | None:
    """Whether a whole picture is asked for; None: something else is (RFC 5168 §6). Raises `Unreadable`."""
    reader = _Control()
    try:
        walk(body, reader, _CONTROL)
    except XmlError as error:
        raise Unreadable(str(error)) from None
    return Keyframe() if reader.wanted else None


_READERS = {DTMF_RELAY: read_dtmf_relay, DTMF: read_dtmf, MEDIA_CONTROL: read_media_control}


@define(eq=False)
class Infos:
    """The INFOs of one leg."""

    _port: ISipPort
    _clock: IReactorTime
    _queue: deque[tuple[str, bytes]] = field(factory=deque, init=False)
    """Content types and bodies; the first one is out."""
    _asked: float = field(default=float("-inf"), init=False)
    """When we last asked for a picture."""
    _heard: float = field(default=float("-inf"), init=False)
    """When the peer last did."""

    # -- ours ------------------------------------------------------------------------------

    def put(self, dialog: Dialog, event: Info | Keyframe, peer: PeerProfile) -> None:
        """Send keys, if they may reach the peer at all, or ask for a whole picture."""
        if isinstance(event, Keyframe):
            now = self._clock.seconds()
            if now - self._asked >= PICTURE_GAP and dialog.takes("INFO") is not False:
                self._asked = now
                self._add(dialog, MEDIA_CONTROL, PICTURE_FAST_UPDATE)
        elif peer.dtmf is not Dtmf.NONE:
            for digit in event.digits[:QUEUE_LIMIT]:
                if digit.upper() in _KEYS:
                    body = f"Signal={digit.upper()}\r\nDuration={event.duration}\r\n"
                    self._add(dialog, DTMF_RELAY, body.encode())

    def _add(self, dialog: Dialog, kind: str, body: bytes) -> None:
        if len(self._queue) < QUEUE_LIMIT:
            self._queue.append((kind, body))
            if len(self._queue) == 1:
                self._send(dialog)

    def _send(self, dialog: Dialog) -> None:
        kind, body = self._queue[0]
        request = dialog.request("INFO")
        request.set("content-type", kind)
        request.body = body
        Ask(self._port, dialog, request, lambda response: self._answered(dialog, kind, response))

    def _answered(self, dialog: Dialog, kind: str, response: Response | None) -> None:
        """The next one. A peer that refuses one refuses all of its kind, and the call does not end for that.

        Not even for 481 or silence (RFC 5057 §5.1 would allow it): phones that know no INFO answer it oddly.
        """
        if not self._queue:
            return  # the call has ended meanwhile
        self._queue.popleft()
        if response is None or response.status >= 300:
            status = 0 if response is None else response.status
            log.info("INFO with {kind} refused: {status}", kind=kind, status=status, ration="SIP")
            self._queue = deque(item for item in self._queue if item[0] != kind)
        if self._queue:
            self._send(dialog)

    def end(self) -> None:
        """The call is over."""
        self._queue.clear()

    # -- theirs ----------------------------------------------------------------------------

    def answer(self, request: Request) -> tuple[Response, Info | Keyframe | None]:
        """The response to an INFO of the peer, and what it says."""
        if "info-package" in request.headers:
            response = make_response(request, 469, "Bad Info Package")
            response.set("recv-info", "")
            return response, None
        if not request.body:
            return make_response(request, 200, "OK"), None
        kind = (request.get("content-type") or "").partition(";")[0].strip().lower()
        read = _READERS.get(kind)
        encoding = (request.get("content-encoding") or "identity").strip().lower()
        if read is None or encoding != "identity":
            response = make_response(request, 415, "Unsupported Media Type")
            response.set("accept", ACCEPT)
            return response, None
        try:
            event = read(request.body)
        except Unreadable as error:
            log.info("INFO with {kind} not used: {error}", kind=kind, error=str(error), ration="SIP")
            return make_response(request, 400, "Bad Request"), None
        if isinstance(event, Keyframe):
            event = self._rated(event)
        return make_response(request, 200, "OK"), event

    def _rated(self, event: Keyframe) -> Keyframe | None:
        now = self._clock.seconds()
        if now - self._heard < PICTURE_GAP:
            return None
        self._heard = now
        return event


# -- actions of `siptable` -----------------------------------------------------------------------


def inform(leg: SipLeg, event: Info | Keyframe) -> None:
    """Keys for the peer, or a wish for a whole picture."""
    assert leg.dialog is not None
    _of(leg).put(leg.dialog, event, leg.peer)


def informed(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """INFO from the peer."""
    response, event = _of(leg).answer(request)
    leg.port.decorate(response, leg.peer)
    tx.respond(response)
    if event is not None:
        leg.report(event)


def _of(leg: SipLeg) -> Infos:
    if leg.infos is None:
        leg.infos = Infos(leg.port, leg.clock)
    return leg.infos
