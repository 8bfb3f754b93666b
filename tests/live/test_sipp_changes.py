"""Calls that change, with SIPp behind the S-CSCF: re-INVITE, UPDATE, hold, glare, refusals, each in both roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.live.cases import GatewayCase
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.script import ALLOW, PLAIN_ALLOW, Script, sdp
from tests.live.sipp import Sipp, SippRun
from tests.live.webclient import Call

BOB = named("bob").uri
ANSWERED = "m=audio [1-9]"
UNFIT = sdp().replace("RTP/AVP", "RTP/SAVP")
"""A description that nobody can take: encrypted, and without keys."""

OLD_HOLD = "0.0.0.0"  # noqa: S104 - the connection address of RFC 2543's hold, nothing is bound to it
SETTLED = 0.5
"""Seconds until the page has heard that its call is answered, so that what it hears next is about the change."""
Steps = Callable[[Script], object]


class ChangeCase(GatewayCase):
    """SIPp as the called and as the calling party, one after the other, at one gateway and one page."""

    page: Gateway
    alice: Sipp
    bob: Sipp

    async def begin(self, **sections: dict[str, Any]) -> None:
        self.page = await self.gateway("gw1", sections=sections)
        self.alice, self.bob = await self.sipp("alice"), await self.sipp("bob")

    async def called(self, steps: Steps, allow: str = ALLOW, timeout: float = 20) -> tuple[Call, SippRun]:
        """A page calls SIPp, which answers at once."""
        script = Script.called()
        steps(script.answers(allow=allow))
        phone = await self.bob.called(script, timeout=timeout)
        self.addCleanup(phone.stop)
        call = await (await self.page.client("wanda")).call(BOB)
        await call.answered()
        return call, phone

    async def calling(self, steps: Steps, allow: str = ALLOW, timeout: float = 20) -> tuple[Call, SippRun]:
        """SIPp calls a page, which answers at once."""
        script = Script.calling(allow=allow).answered(ANSWERED)
        steps(script)
        wanda = await self.page.client("wanda")
        phone = self.alice.calling(script, named("gw1").uri, timeout=timeout)
        self.addCleanup(phone.stop)
        call = await wanda.called()
        await call.accept()
        return call, phone

    async def both(self, steps: Steps, allow: str = ALLOW) -> None:
        """The same in both roles; SIPp hangs up in the end."""
        await self.begin()
        for role in (self.called, self.calling):
            call, phone = await role(lambda script: steps(script.pause(SETTLED)), allow)
            await phone.passed()
            await call.client.expect_among("HANGUP", session=call.session, reason="hangup")
            await self.page.leave()

    async def holds(self, steps: Steps, allow: str = ALLOW, fails: bool = False) -> None:
        """The page puts SIPp on hold, in both roles, hears whether that went well, and hangs up."""
        await self.begin()
        for role in (self.called, self.calling):
            call, phone = await role(steps, allow)
            client = call.client
            sent = client.send("HOLD", session=call.session, on=True)
            if fails:
                await client.expect_among("ERROR", id=sent)
            else:
                await client.expect_among("OK", for_="HOLD", id=sent)
            sent = client.send("HANGUP", session=call.session)
            await client.expect_among("OK", for_="HANGUP", id=sent)
            await phone.passed()
            await self.page.leave()


@need("kamailio", "sipp")
class PhoneChangesTests(ChangeCase):
    """SIPp changes the call."""

    async def test_hold(self) -> None:
        """Hold by sendonly, by inactive, and by c=0.0.0.0, each taken back: the answers say what RFC 3264 §6.1 asks."""

        def steps(script: Script) -> None:
            for version, (direction, answer) in enumerate(
                (("sendonly", "a=recvonly"), ("inactive", "a=inactive"), ("sendrecv", "a=sendrecv")), 2
            ):
                script.ask("INVITE", sdp(direction, version)).gets(200, ANSWERED, answer).ack()
            script.ask("INVITE", sdp("sendonly", 5, OLD_HOLD)).gets(200, ANSWERED, "a=(recvonly|inactive)").ack()
            script.ask("INVITE", sdp("sendrecv", 6)).gets(200, ANSWERED, "a=sendrecv").ack()
            script.bye()

        await self.both(steps)

    async def test_update(self) -> None:
        """The same by UPDATE; one without a description is answered without one."""

        def steps(script: Script) -> None:
            script.ask("UPDATE", sdp("sendonly")).gets(200, ANSWERED, "a=recvonly")
            script.ask("UPDATE", sdp("sendrecv", 3)).gets(200, ANSWERED, "a=sendrecv")
            script.ask("UPDATE").gets(200, not_=("m=audio",))
            script.bye()

        await self.both(steps)

    async def test_offerless(self) -> None:
        """A re-INVITE without an offer gets one in the 200; the ACK answers, and the call goes on."""

        def steps(script: Script) -> None:
            script.ask("INVITE").gets(200, ANSWERED).ack(sdp(version=2))
            script.ask("UPDATE").gets(200).pause(0.3).bye()

        await self.both(steps)

    async def test_refused(self) -> None:
        """A change that nobody can take is refused with 488; the call is as it was, and the next change is taken."""

        def steps(script: Script) -> None:
            script.ask("INVITE", UNFIT).gets(488).ack_refusal()
            script.ask("UPDATE", UNFIT).gets(488)
            script.ask("INVITE", sdp("sendonly", 3)).gets(200, "a=recvonly").ack()
            script.bye()

        await self.both(steps)

    async def test_two_at_once(self) -> None:
        """A second change before the ACK of the first is told to come back: 500 with Retry-After."""

        def steps(script: Script) -> None:
            script.ask("INVITE", sdp("sendonly")).gets(200)
            first = script.cseq
            script.ask("UPDATE", sdp("sendrecv", 3)).gets(500, "Retry-After: [0-9]")
            script.ack(cseq=first)
            script.ask("UPDATE", sdp("sendrecv", 3)).gets(200).bye()

        await self.both(steps)

    async def test_moves(self) -> None:
        """A change that is taken moves the phone: BYE goes to its new address. One that is refused does not."""

        def steps(script: Script) -> None:
            script.ask("INVITE", sdp("sendonly"), contact="moved").gets(200).ack()
            script.ask("INVITE", UNFIT, contact="elsewhere").gets(488).ack_refusal()
            script.hears("BYE", "BYE sip:moved@").says(200)

        await self.begin()
        for role in (self.called, self.calling):
            call, phone = await role(lambda script: steps(script.pause(SETTLED)))
            await phone.saw("^SIP/2.0 488")
            sent = call.client.send("HANGUP", session=call.session)
            await call.client.expect_among("OK", for_="HANGUP", id=sent)
            await phone.passed()
            await self.page.leave()


@need("kamailio", "sipp")
class GatewayChangesTests(ChangeCase):
    """The page puts SIPp on hold, which makes the gateway ask for a change."""

    HELD = "a=(sendonly|inactive)"

    async def test_by_update(self) -> None:
        """A phone that takes UPDATE is asked by UPDATE."""

        def steps(script: Script) -> None:
            script.hears("UPDATE", self.HELD, "Contact:", "Session-Expires:").says(200, sdp("recvonly"))
            script.hung_up()

        await self.holds(steps)

    async def test_by_reinvite(self) -> None:
        """Another one by re-INVITE; a reliable 183 to it gets its PRACK."""

        def steps(script: Script) -> None:
            script.keeps("INVITE", self.HELD, "Supported: [^[:cntrl:]]*100rel")
            contact = ("Contact", "<sip:[user]@[local_ip]:[local_port]>")
            script.says(183, sdp("recvonly"), (contact, ("Require", "100rel"), ("RSeq", "7")))
            script.hears("PRACK", "RAck: 7 ").says(200)
            script.says_late(200, sdp("recvonly"), (contact,))
            script.hears("ACK").hung_up()

        await self.holds(steps, PLAIN_ALLOW)

    async def test_not_by_update(self) -> None:
        """UPDATE that needs a person is refused with 504: the gateway asks by re-INVITE."""

        def steps(script: Script) -> None:
            script.hears("UPDATE", self.HELD).says(504)
            contact = ("Contact", "<sip:[user]@[local_ip]:[local_port]>")
            script.hears("INVITE", self.HELD).says(200, sdp("recvonly"), (contact,))
            script.hears("ACK").hung_up()

        await self.holds(steps)

    async def test_glare(self) -> None:
        """491: the gateway asks again a while later, and the page is none the wiser."""

        def steps(script: Script) -> None:
            script.hears("INVITE", self.HELD).says(491).hears("ACK")
            contact = ("Contact", "<sip:[user]@[local_ip]:[local_port]>")
            script.hears("INVITE", self.HELD).says(200, sdp("recvonly"), (contact,))
            script.hears("ACK").hung_up()

        await self.holds(steps, PLAIN_ALLOW)

    async def test_both_at_once(self) -> None:
        """The phone's own re-INVITE that crosses ours gets 491; ours is then taken."""

        def steps(script: Script) -> None:
            script.keeps("INVITE", self.HELD)
            script.ask("INVITE", sdp("sendonly")).gets(491).ack_refusal()
            script.says_late(200, sdp("recvonly"), (("Contact", "<sip:[user]@[local_ip]:[local_port]>"),))
            script.hears("ACK").hung_up()

        await self.holds(steps, PLAIN_ALLOW)

    async def test_refused(self) -> None:
        """488 to ours: the page hears that it was not taken, the call goes on as it was (RFC 6141)."""

        def steps(script: Script) -> None:
            script.hears("UPDATE", self.HELD).says(488).hung_up()

        await self.holds(steps, fails=True)
