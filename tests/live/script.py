"""SIPp scenarios put together from steps, for what happens inside a call: one script, both roles.

script = Script.calling()                                   SIPp calls: INVITE ... ACK are there
script = Script.called()                                    SIPp is called, and has answered
script.ask("INVITE", sdp("sendonly")).gets(200, "a=recvonly").ack()
script.hears("UPDATE", "a=sendonly").says(200, sdp("recvonly"))
script.bye()
run = await sipp.called(script, name="hold")

Each step is an assertion, as in a scenario of hand: what does not come as it should fails the call. `must` are regular
expressions that the message must match; `not_` what it must not. Numbers of our requests are counted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from attrs import define, field

ALLOW = "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, OPTIONS"
PLAIN_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS"
"""Of a phone without UPDATE."""
RETRANSMITTED = frozenset({"INVITE", "BYE", "UPDATE", "PRACK"})

Headers = Iterable[tuple[str, str]]


def sdp(direction: str = "sendrecv", version: int = 2, connection: str = "[media_ip]", lines: str = "0 101") -> str:
    """SIPp's description; `connection` "0.0.0.0" is the old hold."""
    return (
        f"v=0\no=- 1 {version} IN IP4 [local_ip]\ns=-\nc=IN IP4 {connection}\nt=0 0\n"
        f"m=audio [media_port] RTP/AVP {lines}\na=rtpmap:101 telephone-event/8000\na={direction}\n"
    )


@define
class Script:
    """Steps of one call, in SIPp's words."""

    role: str
    """`calling` or `called`."""
    _steps: list[str] = field(factory=list)
    _cseq: int = 0
    _sent: tuple[str, int, int] = ("", 0, 0)
    """The last request of ours that waits for its ACK: its method, number, and step."""
    _names: int = 0
    _kept: bool = False

    # -- beginnings ------------------------------------------------------------------------

    @classmethod
    def calling(cls, offer: str | None = "", headers: Headers = (), allow: str = ALLOW) -> Script:
        """SIPp calls [callee]; `offer` None: without one, and the ACK must answer. Stops after the INVITE."""
        script = cls("calling")
        return script.invite(sdp(version=1) if offer == "" else offer, (("Allow", allow), *headers))

    @classmethod
    def called(cls, must: Iterable[str] = ()) -> Script:
        """SIPp is called; stops after the INVITE, which must match `must`."""
        return cls("called").invited(must)

    def invited(self, must: Iterable[str] = ()) -> Script:
        """The INVITE outside a dialog, or the next one after a refusal."""
        kept = (
            '<ereg regexp="[^ ].*" search_in="hdr" header="From:" check_it="true" assign_to="remote"/>'
            '<ereg regexp="[^ ].*" search_in="hdr" header="To:" check_it="true" assign_to="local"/>'
            '<ereg regexp="sip:[^ ;&gt;]*" search_in="hdr" header="Contact:" check_it="true" assign_to="target"/>'
        )
        return self._recv('request="INVITE" rrs="true"', must, kept)

    def answers(self, description: str = "", headers: Headers = (), allow: str = ALLOW) -> Script:
        """The 200 of a called SIPp, and the ACK."""
        tagged = (("Contact", "<sip:[user]@[local_ip]:[local_port]>"), ("Allow", allow), *headers)
        self.says(200, description or sdp(version=1), tagged, tag=True)
        return self.hears("ACK")

    def answered(self, *must: str, answer: str | None = None) -> Script:
        """The 200 that a calling SIPp gets, whatever comes before it, and its ACK."""
        self._optional(100, 180, 183)
        kept = (
            '<ereg regexp="[^ ].*" search_in="hdr" header="To:" check_it="true" assign_to="remote"/>'
            '<ereg regexp="sip:[^ ;&gt;]*" search_in="hdr" header="Contact:" check_it="true" assign_to="target"/>'
        )
        self._recv('response="200" rrs="true"', must, kept)
        return self.ack(answer)

    # -- what SIPp says --------------------------------------------------------------------

    def invite(self, description: str | None, headers: Headers = ()) -> Script:
        """The first INVITE of a calling SIPp, or the same once more after a refusal."""
        self._cseq += 1
        head = (
            "INVITE [callee] SIP/2.0\n"
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
            "Max-Forwards: 70\n"
            "Route: <sip:orig@[remote_ip]:[remote_port];lr>\n"
            "From: <sip:[user]@ims.test>;tag=[call_number]c[pid]\n"
            "To: <[callee]>\n"
            "Call-ID: [call_id]\n"
            f"CSeq: {self._cseq} INVITE\n"
            "Contact: <sip:[user]@[local_ip]:[local_port]>\n"
            "P-Preferred-Identity: <sip:[user]@ims.test>\n"
        )
        self._sent = ("INVITE", self._cseq, len(self._steps))
        return self._send(head, headers, description, True)

    def ask(
        self, method: str, description: str | None = None, headers: Headers = (), contact: str = "[user]"
    ) -> Script:
        """A request inside the dialog."""
        self._cseq += 1
        self._sent = (method, self._cseq, len(self._steps))
        more = (("Contact", f"<sip:{contact}@[local_ip]:[local_port]>"), *headers)
        return self._send(self._head(method, self._cseq), more, description, method in RETRANSMITTED)

    @property
    def cseq(self) -> int:
        """The number of our last request."""
        return self._cseq

    def ack(self, description: str | None = None, cseq: int | None = None) -> Script:
        """The ACK of our last INVITE, or of that with this number, after its 2xx."""
        return self._send(self._head("ACK", cseq or self._sent[1]), (), description, False)

    def ack_refusal(self) -> Script:
        """The ACK of a refusal belongs to its INVITE's transaction."""
        back = len(self._steps) - self._sent[2]
        head = self._head("ACK", self._sent[1]).replace("[branch]", f"[branch-{back}]")
        return self._send(head, (), None, False)

    def ack_first_refusal(self) -> Script:
        """The same for an INVITE outside a dialog."""
        back = len(self._steps) - self._sent[2]
        head = (
            "ACK [callee] SIP/2.0\n"
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch-{back}]\n"
            "Max-Forwards: 70\n"
            "Route: <sip:orig@[remote_ip]:[remote_port];lr>\n"
            "From: <sip:[user]@ims.test>;tag=[call_number]c[pid]\n"
            "To: <[callee]>[peer_tag_param]\n"
            "Call-ID: [call_id]\n"
            f"CSeq: {self._sent[1]} ACK\n"
        )
        return self._send(head, (), None, False)

    def says(self, status: int, description: str | None = None, headers: Headers = (), tag: bool = False) -> Script:
        """The response to the request that came last; `tag`: it makes the dialog."""
        head = (
            f"SIP/2.0 {status} Scripted\n[last_Via:]\n[last_Record-Route:]\n[last_From:]\n"
            f"[last_To:]{';tag=[call_number]s[pid]' if tag else ''}\n[last_Call-ID:]\n[last_CSeq:]\n"
        )
        return self._send(head, headers, description, tag and status >= 200)

    def says_late(self, status: int, description: str | None = None, headers: Headers = ()) -> Script:
        """The response to the request that was kept."""
        tag = ";tag=[call_number]s[pid]" if self.role == "called" else ""
        local = "[$local]" if self.role == "called" else "<sip:[user]@ims.test>;tag=[call_number]c[pid]"
        head = f"SIP/2.0 {status} Scripted\n[$via]From: [$remote]\nTo: {local}{tag}\n[last_Call-ID:]\nCSeq: [$number]\n"
        return self._send(head, headers, description, False)

    def bye(self) -> Script:
        """SIPp hangs up."""
        return self.ask("BYE").gets(200)

    def notify(self, line: str, over: bool = False) -> Script:
        """A NOTIFY of `refer`: how the peer's REFER goes (RFC 3515)."""
        state = "terminated;reason=noresource" if over else "active;expires=60"
        self._cseq += 1
        self._sent = ("NOTIFY", self._cseq, len(self._steps))
        headers = (
            ("Contact", "<sip:[user]@[local_ip]:[local_port]>"),
            ("Event", "refer"),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag;version=2.0"),
        )
        return self._send(self._head("NOTIFY", self._cseq), headers, f"{line}\n", True)

    def hung_up(self, *must: str) -> Script:
        """The other side hangs up."""
        return self.hears("BYE", *must).says(200)

    def pause(self, seconds: float) -> Script:
        """Nothing happens for a while."""
        return self._step(f'<pause milliseconds="{seconds * 1000:.0f}"/>')

    # -- what SIPp hears -------------------------------------------------------------------

    def gets(self, status: int, *must: str, not_: Iterable[str] = ()) -> Script:
        """The response to our last request."""
        if self._sent[0] == "INVITE":
            self._optional(100)
        return self._recv(f'response="{status}"', must, "", not_)

    def hears(self, method: str, *must: str, not_: Iterable[str] = ()) -> Script:
        """A request."""
        return self._recv(f'request="{method}"', must, "", not_)

    def keeps(self, method: str, *must: str) -> Script:
        """A request that `says_late` will answer."""
        self._kept = True
        kept = (
            '<ereg regexp="(Via: [^[:cntrl:]]*[[:cntrl:]]+)+" search_in="msg" check_it="true" assign_to="via"/>'
            '<ereg regexp="[^ ].*" search_in="hdr" header="CSeq:" check_it="true" assign_to="number"/>'
        )
        return self._recv(f'request="{method}"', must, kept)

    # -- SIPp's words ----------------------------------------------------------------------

    def _optional(self, *statuses: int) -> None:
        for status in statuses:
            self._step(f'<recv response="{status}" optional="true"/>')

    def _head(self, method: str, number: int) -> str:
        if self.role == "calling":
            local, remote = "<sip:[user]@ims.test>;tag=[call_number]c[pid]", "[$remote]"
        else:
            local, remote = "[$local];tag=[call_number]s[pid]", "[$remote]"
        return (
            f"{method} [$target] SIP/2.0\n"
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
            "Max-Forwards: 70\n[routes]\n"
            f"From: {local}\nTo: {remote}\nCall-ID: [call_id]\nCSeq: {number} {method}\n"
        )

    def _send(self, head: str, headers: Headers, description: str | None, repeated: bool) -> Script:
        text = head + "".join(f"{name}: {value}\n" for name, value in headers)
        if description is None:
            text += "Content-Length: 0\n\n"
        else:
            if "\nContent-Type:" not in text:
                text += "Content-Type: application/sdp\n"
            text += f"Content-Length: [len]\n\n{description}"
        attributes = ' retrans="500"' if repeated else ""
        return self._step(f"<send{attributes}><![CDATA[\n{text}]]></send>")

    def _recv(self, what: str, must: Iterable[str], more: str = "", not_: Iterable[str] = ()) -> Script:
        actions = more
        for wanted, forms in (("check_it", must), ("check_it_inverse", not_)):
            for form in forms:
                self._names += 1
                name = f"seen{self._names}"
                actions += f'<ereg regexp={quoteattr(form)} search_in="msg" {wanted}="true" assign_to="{name}"/>'
        return self._step(f"<recv {what}><action>{actions}</action></recv>" if actions else f"<recv {what}/>")

    def _step(self, text: str) -> Script:
        self._steps.append(text)
        return self

    def xml(self, name: str) -> str:
        """The scenario as SIPp reads it."""
        names = ["remote", "target", *(["local"] if self.role == "called" else [])]
        names += [f"seen{number + 1}" for number in range(self._names)]
        names += ["via", "number"] if self._kept else []
        used = f'<Reference variables="{",".join(names)}"/>'
        body = "\n".join(self._steps)
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{escape(name)}">\n{body}\n{used}\n</scenario>\n'
        )
