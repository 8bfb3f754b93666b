"""The dialect's reference is what the code does: schema, tables and example ladders."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import (
    Accept,
    Confirm,
    Description,
    End,
    Event,
    Info,
    Kind,
    Progress,
    ProgressAck,
    ProgressAcked,
    Ringback,
    Setup,
    Sound,
    Stage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native, reference
from tests.peers.browser import Browser, BrowserSide, sandbox_config
from tests.rtcweb.doubles import ALICE, CAROL, CLIENT, SDP, World, checked

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/protocol.md"

OFFER, PRANSWER, ANSWER = (Description(kind, SDP) for kind in Kind)

ARRIVING: dict[str, Event] = {
    "180": Progress(Stage.RINGING),
    "183 with a description, reliable": Progress(Stage.SESSION, PRANSWER, True),
    "200 to PRACK": ProgressAcked(),
    "200 with a description": Accept(ANSWER),
    "ACK": Confirm(),
    "BYE": End(Reason.HANGUP),
    "change taken": UpdateAccept(ANSWER),
    "change refused": UpdateReject(Reason.MEDIA),
    "re-INVITE with video": Update(OFFER),
    "INFO 7": Info("7"),
}
"""What a ladder's `network <-` line means to the page's leg."""
MEDIA: dict[str, tuple[Event, ...]] = {
    "an early answer": (Progress(Stage.TRYING, PRANSWER),),
    "the first packet": (),
}
"""What its `media` line means: what the call makes of it, as far as the leg is concerned."""
LEAVING: dict[str, Event] = {
    "180": Progress(Stage.RINGING),
    "183 with a description": Progress(Stage.SESSION, PRANSWER),
    "200 with a description": Accept(ANSWER),
    "PRACK": ProgressAck(),
    "ACK": Confirm(),
    "BYE": End(Reason.HANGUP),
    "200 to re-INVITE": UpdateAccept(ANSWER),
    "488 to re-INVITE": UpdateReject(Reason.MEDIA),
    "INFO 15*#": Info("15*#"),
}
"""What its `network ->` line means; what the page's leg must have reported."""


class WrittenTests(SynchronousTestCase):
    """The files in the repository are what the code would write."""

    def test_schema_file(self) -> None:
        """A client author who validates against the file has the dialect that the gateway speaks."""
        found = (ROOT / "rtcgw/rtcweb/native.schema.json").read_text(encoding="utf-8")
        self.assertEqual(found, reference.schema_text(), "run make docs")
        jsonschema.Draft202012Validator.check_schema(json.loads(found))

    def test_page(self) -> None:
        """Nobody reads of a field that does not exist."""
        text = PAGE.read_text(encoding="utf-8")
        self.assertEqual(text, reference.page(text), "run make docs")

    def test_every_code_is_described(self) -> None:
        """Every error code that the code uses is in the reference."""
        used: set[str] = set()
        for path in (ROOT / "rtcgw/rtcweb").rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            used |= set(
                re.findall(r'(?:code=|Refused\(|refuse\(message, |error\([a-z.]+, |WireError\()"([a-z-]+)"', text)
            )
            used |= set(re.findall(r'native\.CODES\["([a-z-]+)"\]', text))
        self.assertTrue(used)
        self.assertEqual(used - set(native.CODES), set())


class LadderTests(SynchronousTestCase):
    """The example ladders of docs/protocol.md happen as they are printed."""

    def test_ladders(self) -> None:
        """Each line of each ladder: sent, heard, reported or delivered, in that order."""
        blocks = re.findall(r"```ladder(.*?)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
        self.assertEqual(len(blocks), 11)
        for words, lines in blocks:
            self.replay("patent" in words, lines.splitlines())

    def replay(self, patent: bool, lines: list[str]) -> None:
        config = sandbox_config()
        ladder = "patent" if patent else "auto"
        world, clock = World(), Clock()
        side = BrowserSide(world, clock, evolve(config, call=evolve(config.call, ladder=ladder)))
        page = side.connect()
        names: dict[str, str] = {}
        for line in lines:
            who, kind, rest = line.split(None, 2)
            if who == "network":
                self.network(world, side, kind, rest)
            elif who == "media":
                world.deliver(*MEDIA[rest])
            elif who == "call":
                world.deliver(Ringback(Sound(rest)))
            elif kind == "reloads":
                page.drop()
                page = side.connect()
            elif kind == "waits":
                clock.advance(float(rest))
            elif who == "page":
                message = {"type": kind} | self.real(rest, names)
                CLIENT.validate(message)
                fields = {name: value for name, value in message.items() if name not in ("type", "id")}
                page.send(kind, id=message.get("id"), **fields)
            else:
                self.heard(page, kind, json.loads(rest), names, line)
        page.nothing()
        checked(page)

    def real(self, text: str, names: dict[str, str]) -> dict[str, Any]:
        """A message with the real session and a real description."""
        message: dict[str, Any] = json.loads(text)
        for name in ("session", "resume"):
            if name in message:
                message[name] = names[message[name]]
        if "sdp" in message:
            message["sdp"] = SDP
        return message

    def heard(self, page: Browser, kind: str, wanted: dict[str, Any], names: dict[str, str], line: str) -> None:
        found = page.expect(kind)
        for name, value in wanted.items():
            if name in ("session", "resume"):
                self.assertEqual(names.setdefault(value, found[name]), found[name], line)
            elif name == "sdp":
                self.assertEqual(found[name], SDP, line)
            elif name == "calls":
                self.assertEqual(found[name], [call | {"session": names[call["session"]]} for call in value], line)
            else:
                self.assertEqual(found.get(name), value, line)

    def network(self, world: World, side: BrowserSide, way: str, what: str) -> None:
        if (way, what) == ("<-", "INVITE"):
            world.ring(side, "alice", Setup(CAROL, ALICE, OFFER))
        elif (way, what) == ("->", "INVITE"):
            self.assertEqual(len(world.placed), 1)
        elif way == "<-":
            world.deliver(ARRIVING[what])
        else:
            wanted = LEAVING[what]
            while world.reported and type(world.reported[0]) is not type(wanted):
                world.reported.pop(0)
            self.assertEqual(world.reported[:1], [wanted], what)
            del world.reported[0]
