"""linphonec, headless, as a subscriber of the core: answers, plays a file, records what it hears.

It has no control port: commands are typed on its standard input. What it says there is late (a buffer of the C
library), so its own log file tells when something has happened.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.live import tones
from tests.live.ims.core import ImsCore
from tests.live.ims.subscribers import Subscriber
from tests.live.requirements import program
from tests.live.running import Running
from tests.live.waiting import HOST, until

CONFIG = """\
[sip]
sip_port={sip}
sip_tcp_port=0
sip_tls_port=0
guess_hostname=0
contact="{user}" <sip:{user}@{host}:{sip}>
media_encryption=none
keepalive_period=0
auto_net_state_mon=0
default_proxy=0
register_only_when_network_is_up=0
use_rfc2833=1

[net]
mtu=1300

[rtp]
audio_rtp_port={rtp}-{rtp_end}

[proxy_0]
reg_proxy=<sip:{host}:{proxy};transport=udp>
reg_route=<sip:{host}:{proxy};transport=udp;lr>
reg_identity={uri}
reg_sendregister=1
reg_expires=600
publish=0

[auth_info_0]
username={user}
userid={impi}
passwd={password}
realm={realm}
domain={realm}

[audio_codec_0]
mime=PCMU
rate=8000
channels=1
enabled=1

[audio_codec_1]
mime=PCMA
rate=8000
channels=1
enabled=1

[sound]
echocancellation=0

[misc]
uuid=4bbb9b8a-0000-4000-8000-000000000001
"""


class Linphone:
    """One phone that answers at once, says `tone` and records what it hears."""

    def __init__(self, who: Subscriber, folder: Path, core: ImsCore, *, tone: float = 900) -> None:
        self.who = who
        self.folder = folder.absolute()
        self.core = core
        self.tone = tone
        self.recording = self.folder / "heard.wav"
        self._log = self.folder / "linphone-core.log"

    async def start(self) -> None:
        """Start it and wait until it is registered."""
        (self.folder / ".local/share/linphone").mkdir(parents=True)
        who = self.who
        config = CONFIG.format(
            host=HOST,
            sip=who.sip_port,
            user=who.user,
            uri=who.uri,
            impi=who.impi,
            password=who.password,
            realm=who.realm,
            rtp=who.rtp_port,
            rtp_end=who.rtp_port + 9,
            proxy=self.core.ports.icscf,
        )
        (self.folder / "linphonerc").write_text(config, encoding="utf-8")
        argv = [program("linphonec"), "-a", "-c", str(self.folder / "linphonerc")]
        argv += ["-d", "5", "-l", str(self._log)]
        self.running = Running("linphonec", argv, self.folder, env={"HOME": str(self.folder)}, typed=True)
        await self._logged(r"to \[LinphoneRegistrationOk\]")
        self.type("soundcard use files")
        self.type(f"record {self.recording}")
        self.type(f"play {tones.write_tone(self.folder / 'tone.wav', self.tone)}")

    async def stop(self) -> None:
        """De-register and end."""
        self.type("quit")
        await self.running.stop()

    def type(self, command: str) -> None:
        """One command, as at its prompt."""
        self.running.type(command)

    async def in_call(self, timeout: float = 10) -> None:
        """Wait until a call is connected."""
        await self._logged("to LinphoneCallStreamsRunning", timeout)

    async def call_ended(self, timeout: float = 10) -> None:
        """Wait until a call has ended."""
        await self._logged("to LinphoneCallEnd", timeout)

    def press(self, key: str) -> None:
        """Press a key of the keypad."""
        self.type(key)

    def hang_up(self) -> None:
        """End the call."""
        self.type("terminate")

    def heard(self) -> float:
        """Hz of what it heard, after the call."""
        return tones.heard(self.recording)

    async def recorded(self, seconds: float) -> None:
        """Wait until so much has been recorded."""
        enough = 2 * 8000 * seconds
        await until(f"{seconds} s of sound", lambda: self.recording.exists() and self.recording.stat().st_size > enough)

    async def _logged(self, pattern: str, timeout: float = 10) -> None:
        def look() -> object:
            return self._log.exists() and re.search(pattern, self._log.read_text(encoding="utf-8", errors="replace"))

        await until(f"linphone logs {pattern}\n{self.running.tail()}", look, timeout)
