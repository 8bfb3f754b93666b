"""What tests of transfers share: phones that describe themselves, and a page that talks to one of them."""

from __future__ import annotations

from typing import Any, ClassVar

from rtcgw.model.peer import PeerProfile, TransferWay
from rtcgw.sip.message import Request
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, Page, Rig, configured
from tests.peers.core_call import CoreCall

TARGET = "sip:target@ims.test"
ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE, UPDATE, REFER, NOTIFY")


def sdp(name: str, port: int = 4000, version: int = 1) -> str:
    """A phone's description, known by its user name in `o=`."""
    return (
        f"v=0\r\no={name} 1 {version} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )


def origin(request: Request) -> str:
    """The `o=` line of a message."""
    return next(line for line in request.body.decode().splitlines() if line.startswith("o="))


class TransferCase(FlowCase):
    """alice's page talks to the phone ECHO, session `session`; what was said until then is forgotten."""

    way: ClassVar[TransferWay] = TransferWay.GATEWAY
    supported = "replaces"
    """What phones say of themselves."""

    def build(self) -> Rig:
        return Rig(configured(**self.settings), peer=PeerProfile(transfer=self.way))

    def setUp(self) -> None:
        super().setUp()
        self.page = self.rig.page("alice")
        self.session, self.phone = self.talk()
        self.rig.ladder.clear()

    def talk(self, to: str = ECHO, answer: str = "from-echo", page: Page | None = None) -> tuple[str, CoreCall]:
        """A page calls a phone, which answers: the page's session, and the phone's side."""
        page = page or self.page
        session = page.call(to)
        self.rig.advance()
        phone = self.rig.call
        phone.respond(200, "OK", answer, ALLOW, ("Supported", self.supported))
        self.rig.advance()
        page.send("ANSWER", session=session)
        self.rig.advance()
        return session, phone

    def transfer(self, **fields: str) -> None:
        """The page asks for a transfer of its call."""
        self.page.send("TRANSFER", session=self.session, **fields)
        self.rig.advance()

    def news(self, page: Page | None = None) -> list[Any]:
        """What the page was told of its transfer: stages, and the reason of a failure."""
        found = [each for each in (page or self.page).transcript if each["type"] == "TRANSFER"]
        return [each["reason"] if "reason" in each else each["stage"] for each in found]

    def still_talks(self) -> None:
        """The first call is as it was: keys pass, and it ends when the page says so."""
        self.page.send("DTMF", session=self.session, tones="1")
        self.rig.advance()
        self.assertIn(b"Signal=1", self.phone.last("INFO").body)
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertTrue(self.phone.ended)
