"""REFER with SIPp behind the S-CSCF, both ways and in both roles."""

from __future__ import annotations

from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.script import ALLOW, Script
from tests.live.test_sipp_changes import SETTLED, ChangeCase
from tests.live.webclient import Call

TAKES_REFER = f"{ALLOW}, REFER, NOTIFY"
FRANK = named("frank").uri
DAVE = named("dave").uri
"""Never registered: whoever calls there gets 480."""


@need("kamailio", "sipp")
class ReferTests(ChangeCase):
    async def transfer(self, call: Call) -> None:
        client = call.client
        sent = client.send("TRANSFER", session=call.session, to=FRANK)
        await client.expect_among("OK", for_="TRANSFER", id=sent)

    async def test_sent_elsewhere(self) -> None:
        """SIPp is sent to frank, says how it goes, and is let go."""

        def steps(script: Script) -> None:
            script.hears("REFER", f"Refer-To: *<{FRANK}>", "Referred-By: *<sip:gw1@ims.test>").says(202)
            script.notify("SIP/2.0 100 Trying").gets(200)
            script.notify("SIP/2.0 180 Ringing").gets(200)
            script.notify("SIP/2.0 200 OK", over=True).gets(200)
            script.hung_up()

        await self.begin()
        for role in (self.called, self.calling):
            call, phone = await role(steps, TAKES_REFER)
            await self.transfer(call)
            for stage in ("trying", "ringing", "done"):
                await call.client.expect_among("TRANSFER", session=call.session, stage=stage)
            await call.client.expect_among("HANGUP", session=call.session, reason="transferred")
            await phone.passed()
            await self.page.leave()

    async def test_not_through(self) -> None:
        """SIPp does not get through to frank: the call goes on."""

        def steps(script: Script) -> None:
            script.hears("REFER", f"Refer-To: *<{FRANK}>").says(202)
            script.notify("SIP/2.0 486 Busy Here", over=True).gets(200)
            script.pause(SETTLED).bye()

        await self.begin()
        for role in (self.called, self.calling):
            call, phone = await role(steps, TAKES_REFER)
            await self.transfer(call)
            await call.client.expect_among("TRANSFER", session=call.session, stage="failed", status=486)
            await phone.passed()
            await self.page.leave()

    async def test_sends_the_page(self) -> None:
        """SIPp sends the page to somebody who is not there: it is notified of that, and the call goes on."""

        def steps(script: Script) -> None:
            script.ask("REFER", None, (("Refer-To", f"<{DAVE}>"),)).gets(202)
            script.hears("NOTIFY", "SIP/2.0 100 Trying", "Event: *refer", "active").says(200)
            script.hears("NOTIFY", "SIP/2.0 4[08][04] ", "terminated;reason=noresource").says(200)
            script.bye()

        await self.both(steps, TAKES_REFER)

    async def test_broken(self) -> None:
        """A REFER to nobody, and one that asks for another method, change nothing."""

        def steps(script: Script) -> None:
            script.ask("REFER").gets(400)
            script.ask("REFER", None, (("Refer-To", f"<{DAVE};method=BYE>"),)).gets(400)
            script.bye()

        await self.both(steps, TAKES_REFER)
