"""An engineer's telnet to the manhole: name, password, questions, answers.

prompt = await Prompt.open(8023)
assert await prompt.login("admin", "password")
print(await prompt.ask("calls()"))
"""

from __future__ import annotations

import re
from typing import Any, cast

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from tests.live.waiting import HOST, reactor, until

IAC, SB, SE = 255, 250, 240
WILL, WONT, DO, DONT = 251, 252, 253, 254
CONSENT = {WILL: DO, WONT: DONT, DO: WILL, DONT: WONT}

_COMMAND = re.compile(rb"\xff(?:[\xfb-\xfe].|\xfa.*?\xff\xf0|[\xf1-\xf9])", re.DOTALL)
_TERMINAL = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[78=>cDEHM]|[()*+].)")
_COUNTER = re.compile(r"^(\S.*?) {2,}(\S.*?) {2,}(\d+)$", re.MULTILINE)


class Prompt(Protocol):
    """One telnet connection. It agrees to every option the server proposes."""

    def __init__(self) -> None:
        self.shown = b""
        """All that was shown and not yet taken by `_until`."""
        self.transcript = ""
        """All that was shown ever, without what drives the terminal."""
        self.lost = False

    @classmethod
    async def open(cls, port: int) -> Prompt:
        prompt = cls()
        await connectProtocol(TCP4ClientEndpoint(reactor, HOST, port), prompt)
        return prompt

    async def login(self, user: str, password: str) -> bool:
        """Say who one is; whether one was let in."""
        await self._until("name: ")
        self._type(user)
        await self._until("word: ")
        self._type(password)
        return ">>> " in await self._until("failed", ">>> ")

    async def ask(self, line: str) -> str:
        """Type a line; what is shown for it, the echo of the line and the next prompt left out."""
        self._type(line)
        text = await self._until("\n>>> ")
        return text.partition("\n")[2].removesuffix(">>> ").strip("\n")

    async def counters(self) -> dict[tuple[str, str], int]:
        """The gateway's counters by room and name."""
        return {(room, what): int(count) for room, what, count in _COUNTER.findall(await self.ask("counters()"))}

    async def close(self) -> None:
        if not self.lost:
            cast(Any, self.transport).abortConnection()
            await until("the manhole's connection is closed", lambda: self.lost, 5)

    def dataReceived(self, data: bytes) -> None:
        self.shown += data
        for found in _COMMAND.finditer(self.shown):
            command = found[0]
            if command[1] in CONSENT:
                cast(Any, self.transport).write(bytes((IAC, CONSENT[command[1]], command[2])))
        self.shown = _COMMAND.sub(b"", self.shown)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True

    def _type(self, line: str) -> None:
        cast(Any, self.transport).write(line.encode() + b"\r\n")

    async def _until(self, *ends: str) -> str:
        """What is shown until it holds one of `ends`."""

        def look() -> bool:
            text = self._text()
            return self.lost or any(end in text for end in ends)

        await until(f"the manhole shows one of {ends}, not only {self._text()!r}", look, 5)
        text, self.shown = self._text(), b""
        self.transcript += text
        return text

    def _text(self) -> str:
        return _TERMINAL.sub("", self.shown.decode("utf-8", "replace")).replace("\r", "")
