"""Imports go down the floors of docs/architecture.md, and the reactor is handed in.

The tests read the source; they import nothing of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from twisted.trial.unittest import TestCase

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rtcgw"

FLOORS = (
    {"model", "machine"},
    {"config"},
    {"sip", "media", "store"},
    {"translator"},
    {"rtcweb", "ims"},
    {"junction", "web", "ops", "sandbox"},
    {"gateway"},
    {"tap"},
)
"""From the ground up. A room may import from the floors below its own, never from its own or above."""

MEDIA = (("packets",), ("webside",), ("embedded", "engine", "mixer"))
"""The folders of the media room, from the ground up; the two backends and the mixer know nothing of each other."""

FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    """The room of `rtcgw.room.module`; empty for the package itself, which holds the version only."""
    return module.partition(".")[2].partition(".")[0]


def name_of(path: Path) -> str:
    """The dotted name of a source file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The dotted names a file imports anywhere, `from x import y` as `x.y` (types only count as well)."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


class FloorTests(TestCase):
    def test_every_room_has_a_floor(self) -> None:
        """A new room is put on a floor before anything is built in it."""
        rooms = {room_of(name_of(path)) for path in sources(PACKAGE)} - {""}
        self.assertEqual(rooms - set(FLOOR_OF), set())

    def test_imports_go_down_only(self) -> None:
        """No room knows a room above it or beside it: rtcweb never knows ims, the translator knows neither."""
        wrong = [
            f"{name_of(path)} imports {found}"
            for path in sources(PACKAGE)
            for found in imports(path)
            if found.startswith("rtcgw.") and not self._allowed(room_of(name_of(path)), room_of(found))
        ]
        self.assertEqual(wrong, [])

    @staticmethod
    def _allowed(mine: str, other: str) -> bool:
        if other == mine or other not in FLOOR_OF:
            return True  # within a room; or a name of the package itself, such as __version__
        return mine != "" and FLOOR_OF[other] < FLOOR_OF[mine]

    def test_nobody_imports_relatively(self) -> None:
        """Every import names its floor in full, so that this test and a reader can see it."""
        self.assertEqual([p for p in sources(PACKAGE) for found in imports(p) if found.startswith(".")], [])

    def test_nothing_imports_the_tests(self) -> None:
        """The gateway runs without its tests."""
        self.assertEqual([p for p in sources(PACKAGE) for found in imports(p) if found.split(".")[0] == "tests"], [])


class MediaTests(TestCase):
    def test_folders_of_the_media_room(self) -> None:
        """Within the media room imports go down as well: a backend is built of packets, never the other way round."""
        wrong = []
        for number, folders in enumerate(MEDIA):
            for folder in folders:
                barred = {name for names in MEDIA[number:] for name in names} - {folder}
                for path in sources(PACKAGE / "media" / folder):
                    words = [name.split(".") for name in imports(path) if name.startswith("rtcgw.media.")]
                    wrong += [f"{name_of(path)} imports {'.'.join(found)}" for found in words if found[2] in barred]
        self.assertEqual(wrong, [])
        self.assertTrue(all(sources(PACKAGE / "media" / folder) for folders in MEDIA for folder in folders))


class ReactorTests(TestCase):
    def test_only_tap_imports_the_reactor(self) -> None:
        """Time and sockets are handed in, so that every test can own them."""
        users = {name_of(p) for p in sources(PACKAGE) for found in imports(p) if found == "twisted.internet.reactor"}
        self.assertEqual(users - {"rtcgw.tap"}, set())

    def test_unit_tests_do_not_either(self) -> None:
        """A unit test that needs the reactor waits for real time; only live tests and the bench may."""
        apart = {"live", "bench"}
        users = {
            name_of(path)
            for path in sources(ROOT / "tests")
            if path.relative_to(ROOT / "tests").parts[0] not in apart
            for found in imports(path)
            if found == "twisted.internet.reactor"
        }
        self.assertEqual(users, set())

    def test_twisteds_sip_stays_in_its_room(self) -> None:
        """twisted.protocols.sip imports the reactor and has faults that rtcgw.sip mends: nobody else meets it."""
        users = {room_of(name_of(p)) for p in sources(PACKAGE) for f in imports(p) if "twisted.protocols.sip" in f}
        self.assertEqual(users - {"sip"}, set())

    def test_plugin_imports_nothing_of_ours(self) -> None:
        """`twistd --help` of any other program on the machine does not load the gateway."""
        found = list(imports(ROOT / "twisted/plugins/rtcgw_plugin.py"))
        self.assertEqual(found, ["twisted.application.service.ServiceMaker"])


class MapTests(TestCase):
    def test_every_module_has_its_place(self) -> None:
        """Who looks for a subject in the two largest rooms finds its module on the map, and none that is gone."""
        _, _, chapter = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").partition("### Where is what")
        chapter, _, _ = chapter.partition("\n## ")
        for room in ("translator", "rtcweb"):
            _, _, rows = chapter.partition(f"modules of `rtcgw/{room}/`")
            named = set(re.findall(r"`([a-z]+)`", rows.partition("| subject |")[0]))
            there = {path.stem for path in (PACKAGE / room).glob("*.py")} - {"__init__"}
            self.assertEqual(named, there)
