"""Session timers with SIPp behind the S-CSCF: 422 in both directions, and who refreshes, in both roles (RFC 4028).

90 s is the least interval that there is, so a refresh takes 45 s: the courses that wait so long run side by side.
"""

from __future__ import annotations

from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.script import PLAIN_ALLOW, Script, sdp
from tests.live.test_sipp_changes import BOB, SETTLED, ChangeCase

TIMER = ("Supported", "timer")
CONTACT = ("Contact", "<sip:[user]@[local_ip]:[local_port]>")


def expires(seconds: int, refresher: str) -> tuple[str, str]:
    return ("Session-Expires", f"{seconds};refresher={refresher}")


@need("kamailio", "sipp")
class IntervalTests(ChangeCase):
    async def test_theirs_too_short(self) -> None:
        """A phone that asks for 60 s is told the least, 90, and gets it; its refresh is answered with the same."""
        await self.begin()
        script = Script.calling(headers=(TIMER, ("Session-Expires", "60")))
        script.gets(422, "Min-SE: 90").ack_first_refusal()
        script.invite(sdp(version=1), (TIMER, expires(90, "uac"), ("Min-SE", "90")))
        granted = "Session-Expires: 90;refresher=uac"
        script.answered(granted, "Require: timer")
        script.ask("UPDATE", None, (TIMER, expires(90, "uac"))).gets(200, granted, not_=("m=audio",))
        script.ask("INVITE", sdp(version=1), (TIMER, expires(90, "uac"))).gets(200, granted).ack().bye()
        wanda = await self.page.client("wanda")
        phone = self.alice.calling(script, named("gw1").uri)
        self.addCleanup(phone.stop)
        call = await wanda.called()
        await call.accept()
        await call.ended("hangup")
        await phone.passed()

    async def test_ours_too_short(self) -> None:
        """A phone that wants longer sessions refuses ours with 422: it is called once more with as much."""
        await self.begin()
        script = Script.called(("Session-Expires: 1800", "Supported: [^[:cntrl:]]*timer"))
        script.says(422, None, (("Min-SE", "3600"),), tag=True).hears("ACK")
        script.invited(("Session-Expires: 3600", "Min-SE: 3600", "m=audio"))
        script.answers(headers=(TIMER, ("Require", "timer"), expires(3600, "uac"))).pause(SETTLED).bye()
        phone = await self.bob.called(script)
        self.addCleanup(phone.stop)
        call = await (await self.page.client("wanda")).call(BOB)
        await call.answered()
        await call.ended("hangup")
        await phone.passed()


@need("kamailio", "sipp")
class RefreshTests(ChangeCase):
    timeout = 110

    async def test_refreshes(self) -> None:
        """Three calls side by side: one that we placed and refresh by UPDATE, one that we took and refresh by
        re-INVITE, one whose phone should refresh and does not."""
        await self.begin()
        henry = await self.sipp("henry")
        placed = Script.called().answers(headers=(TIMER, ("Require", "timer"), expires(90, "uac")))
        placed.hears("UPDATE", "Session-Expires: 90;refresher=uac", not_=("m=audio",))
        placed.says(200, None, (CONTACT, TIMER, expires(90, "uac"))).bye()
        taken = Script.calling(headers=(TIMER, expires(90, "uas")), allow=PLAIN_ALLOW)
        taken.answered("Session-Expires: 90;refresher=uas")
        taken.hears("INVITE", "Session-Expires: 90;refresher=uac", "m=audio [1-9]")
        taken.says(200, sdp(version=1), (CONTACT, TIMER, expires(90, "uac"))).hears("ACK").bye()
        silent = Script.calling(headers=(TIMER, expires(90, "uac"))).answered("Session-Expires: 90;refresher=uac")
        silent.hung_up("Reason: Q.850;cause=102")
        wanda = await self.page.client("wanda")
        first = await self.bob.called(placed, timeout=80)
        self.addCleanup(first.stop)
        call = await wanda.call(BOB)
        await call.answered()
        second = self.alice.calling(taken, named("gw1").uri, timeout=80)
        self.addCleanup(second.stop)
        await (await wanda.called()).accept()
        third = henry.calling(silent, named("gw1").uri, timeout=80)
        self.addCleanup(third.stop)
        dead = await wanda.called()
        await dead.accept()
        await first.passed()
        await second.passed()
        await third.passed()
        await wanda.expect_among("HANGUP", session=dead.session, reason="timeout")
