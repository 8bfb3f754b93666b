"""baresip, headless, as a subscriber of the core: plays a tone, records what it hears, is driven by ctrl_tcp.

    phone = Baresip(named("erin"), folder, core, tone=700)
    await phone.start()                     registered
    await phone.dial("sip:gw1@ims.test")
    await phone.event("CALL_ESTABLISHED")
    await phone.hang_up()
    assert abs(await phone.heard() - 440) < 5

What baresip 1.0 wants to be told: `ausine` needs a source of 48 kHz and two channels, or the 200 is never sent;
`module_app menu.so` must be there for ctrl_tcp's commands to exist; it listens for TLS on its SIP port + 1;
names of recordings are cut at 128 characters, hence a relative folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import NetstringReceiver
from twisted.python.failure import Failure

from tests.live import tones
from tests.live.ims.core import ImsCore
from tests.live.ims.subscribers import Subscriber
from tests.live.requirements import program
from tests.live.running import Running
from tests.live.waiting import HOST, bound, reactor, until, within

CONFIG = """\
poll_method epoll
sip_listen {host}:{sip}
sip_trans_def udp
net_interface {host}
call_local_timeout 60
call_max_calls 4
audio_player aubridge,sink
audio_source ausine,{tone:g}
audio_alert aubridge,alert
ausrc_srate 48000
ausrc_channels 2
auplay_srate 48000
auplay_channels 1
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
rtp_ports {rtp}-{rtp_end}
rtp_stats yes
jitter_buffer_delay 1-5
snd_path .
rtcp_mux {mux}
module_path {modules}
{more}module g722.so
module g711.so
module ausine.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {host}:{control}
"""

ACCOUNT = (
    '<{uri}>;auth_user={impi};auth_pass={password};outbound="sip:{host}:{proxy};transport=udp";regint=600'
    ";answermode={answer};audio_codecs={codecs};ptime=20;dtmfmode=rtpevent{more}\n"
)

NEEDED = {
    "srtp": ("srtp",),
    "srtp-mand": ("srtp",),
    "dtls_srtp": ("srtp", "dtls_srtp"),
    "ice": ("stun", "turn", "ice"),
    "OPUS": ("opus",),
    "AMR-WB": ("amr",),
}
"""The modules that a kind of encryption, a way through NAT, or a codec is in, in the order of loading."""
MODULES = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")


class _Control(NetstringReceiver):
    """ctrl_tcp: JSON in netstrings; answers in the order of the commands, events in between."""

    MAX_LENGTH = 1 << 20

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.answers: list[Deferred[dict[str, Any]]] = []
        self.lost = False

    def stringReceived(self, string: bytes) -> None:
        message = json.loads(string)
        if message.get("event"):
            self.events.append(message)
        elif self.answers:
            self.answers.pop(0).callback(message)

    def command(self, name: str, params: str) -> Deferred[dict[str, Any]]:
        self.sendString(json.dumps({"command": name, "params": params, "token": name}).encode())
        answer: Deferred[dict[str, Any]] = Deferred()
        self.answers.append(answer)
        return answer

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.lost = True
        answers, self.answers = self.answers, []
        for answer in answers:
            answer.errback(reason)


class Baresip:
    """One phone."""

    def __init__(
        self,
        who: Subscriber,
        folder: Path,
        core: ImsCore,
        *,
        tone: float = 700,
        answer: str = "auto",
        codecs: str = "PCMU,PCMA",
        mediaenc: str = "",
        medianat: str = "",
    ) -> None:
        """`tone`: Hz of what it says. `answer`: "auto" at once, "manual" only when `accept` is called.

        `mediaenc`: "srtp" offers SDES (RFC 4568) as well, "srtp-mand" takes nothing else, "dtls_srtp" is what browsers
        speak, with `medianat` "ice". `codecs` are named as baresip does, e.g. "AMR-WB/16000" (octet-aligned only).
        """
        self.who = who
        self.folder = folder.absolute()
        self.core = core
        self.tone = tone
        self.answer = answer
        self.codecs = codecs
        self.mediaenc = mediaenc
        self.medianat = medianat
        self._seen = 0

    async def start(self) -> None:
        """Start it, connect to its control port, and wait until it is registered."""
        self.folder.mkdir(parents=True)
        self._write_configuration()
        self.running = Running("baresip", [program("baresip"), "-f", str(self.folder), "-v"], self.folder)
        try:
            await until("baresip's control port", lambda: bound(self._control_port, "tcp"))
            endpoint = TCP4ClientEndpoint(reactor, HOST, self._control_port)
            self._control = cast(_Control, await connectProtocol(endpoint, _Control()))
            await self.running.said(r"200 OK .*\[\d bindings?\]")
        except BaseException:
            await self.running.stop()
            raise

    async def stop(self) -> None:
        """De-register and end."""
        await self.running.stop()
        await until("the control connection is closed", lambda: self._control.lost, 2)

    async def dial(self, uri: str) -> None:
        """Call somebody."""
        await self._command("dial", uri)

    async def accept(self) -> None:
        """Answer the call that rings."""
        await self._command("accept")

    async def hang_up(self) -> None:
        """End or refuse the call, and wait until it is closed."""
        await self._command("hangup")
        await self.event("CALL_CLOSED")

    async def press(self, keys: str) -> None:
        """Press keys of the keypad; each is sent as telephone events (RFC 4733)."""
        for key in keys:
            await self._command("sndcode", key)

    async def transfer(self, uri: str) -> None:
        """Send the other party to somebody else by REFER, and leave the rest to it."""
        await self._command("transfer", uri)

    async def hold(self) -> None:
        """Put the call on hold."""
        await self._command("hold")

    async def resume(self) -> None:
        """Take it back."""
        await self._command("resume")

    async def event(self, kind: str, timeout: float = 10.0) -> Mapping[str, Any]:
        """Wait for an event of this type that was not waited for yet: CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED."""

        def look() -> Mapping[str, Any] | None:
            events = self._control.events
            for place in range(self._seen, len(events)):
                if events[place].get("type") == kind:
                    self._seen = place + 1
                    return events[place]
            return None

        kinds = [event.get("type") for event in self._control.events[self._seen :]]
        return await until(f"{self.who.user}'s event {kind}, came: {kinds}", look, timeout)

    @property
    def digits(self) -> str:
        """The keys heard so far."""
        kind = "CALL_DTMF_START"
        return "".join(str(event.get("param")) for event in self._control.events if event.get("type") == kind)

    def recording(self, heard: bool = True) -> Path:
        """The WAV file of what the latest call heard (or said), complete when the call has ended."""
        found = sorted(self.folder.glob(f"dump-*-{'dec' if heard else 'enc'}.wav"), key=lambda p: p.stat().st_mtime_ns)
        if not found:
            raise AssertionError(f"{self.who.user} has recorded nothing:\n{self.running.tail()}")
        return found[-1]

    def heard(self) -> float:
        """Hz of what the latest call heard."""
        return tones.heard(self.recording())

    async def hears(self, hertz: float, timeout: float = 10) -> None:
        """Wait until the loudest tone of the last half second is this one."""

        def look() -> bool:
            return abs(tones.dominant(*tones.read_growing(self.recording())) - hertz) <= 10

        await until(f"{self.who.user} hears {hertz:g} Hz", look, timeout)

    @property
    def _control_port(self) -> int:
        return self.who.sip_port + 1000

    async def _command(self, name: str, params: str = "") -> dict[str, Any]:
        answer = await within(f"{self.who.user} obeys {name}", self._control.command(name, params), 5)
        if not answer.get("ok"):
            raise AssertionError(f"{self.who.user} refuses {name} {params}: {answer}")
        return answer

    def _more(self) -> list[str]:
        """Modules besides the usual ones."""
        codecs = [codec.partition("/")[0].upper() for codec in self.codecs.split(",")]
        wanted = [module for word in (self.mediaenc, self.medianat, *codecs) for module in NEEDED.get(word, ())]
        return list(dict.fromkeys(wanted))

    def _write_configuration(self) -> None:
        modules = next((path for path in MODULES if Path(path).is_dir()), None)
        modules = modules or str(next(Path("/usr/lib").glob("*/baresip/modules")))
        who = self.who
        config = CONFIG.format(
            host=HOST,
            sip=who.sip_port,
            rtp=who.rtp_port,
            rtp_end=who.rtp_port + 9,
            tone=self.tone,
            modules=modules,
            more="".join(f"module {module}.so\n" for module in self._more()),
            mux="yes" if self.mediaenc == "dtls_srtp" else "no",
            control=self._control_port,
        )
        words = {"mediaenc": self.mediaenc, "medianat": self.medianat}
        account = ACCOUNT.format(
            uri=who.uri,
            impi=who.impi,
            password=who.password,
            host=HOST,
            proxy=self.core.ports.icscf,
            answer=self.answer,
            codecs=self.codecs,
            more="".join(f";{word}={value}" for word, value in words.items() if value),
        )
        for name, text in {"config": config, "accounts": account, "contacts": ""}.items():
            (self.folder / name).write_text(text, encoding="utf-8")
