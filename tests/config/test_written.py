"""The default file, the reference page and `--print-config` are what the classes say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import TestCase

from rtcgw.config import Config, load, loads
from rtcgw.config.kinds import Source, Wrong
from rtcgw.config.reading import Table, Tables, keys_of
from rtcgw.config.sections import LISTS, NAMED, SECTIONS
from rtcgw.config.writing import effective, reference, sample, to_toml

ROOT = Path(__file__).parent.parent.parent


class FileTests(TestCase):
    def test_files_are_up_to_date(self) -> None:
        """Nobody reads of a key that does not exist: `make docs` writes the three files anew."""
        for name, text in {
            "etc/rtcgw.toml": sample(),
            "rtcgw/default.toml": sample(),
            "docs/configuration.md": reference(),
        }.items():
            self.assertEqual((ROOT / name).read_text(encoding="utf-8"), text, f"{name}: run make docs")

    def test_default_file_is_the_defaults(self) -> None:
        """Starting with the file as shipped is the same as starting with none."""
        self.assertEqual(load(ROOT / "etc/rtcgw.toml"), Config())

    def test_every_key_is_commented_with_its_default(self) -> None:
        """Above each key of the file stands what it is for, what is allowed and its default."""
        text = sample()
        for section in (*SECTIONS.values(), *NAMED.values(), *LISTS.values()):
            for key in keys_of(section).values():
                if isinstance(key.kind, Table):
                    continue
                found = re.search(rf"((?:^# .*\n)+)(?:# )?{key.name} = ", text, re.M)
                self.assertIsNotNone(found, key.name)
                self.assertTrue(key.doc.endswith("."), key.doc)
                self.assertIn("# Default: " if not key.mandatory else "# Mandatory.", found[1] if found else "")

    def test_defaults_are_allowed(self) -> None:
        """Every default passes its own check, so that writing it out changes nothing."""
        source = Source(ROOT, {})
        for section in SECTIONS.values():
            for key in keys_of(section).values():
                if isinstance(key.kind, (Table, Tables)):
                    continue
                written = tomllib.loads(f"x = {to_toml(key.default, key.kind)}")["x"]
                try:
                    self.assertEqual(key.kind.read(written, source), key.default, key.name)
                except Wrong as error:
                    self.fail(f"{section.__name__}.{key.name}: {error}")

    def test_examples_load(self) -> None:
        """Whoever takes the comment signs off the examples gets a configuration that loads."""
        lines = sample().splitlines()
        start = lines.index("# [[profile]]")
        examples = [line[2:] for line in lines[start:] if re.match(r"# (\[\[|[a-z_]+ = )", line)]
        config = loads("\n".join(examples), ROOT, environ={"GW1_SECRET": "s"})
        self.assertEqual([profile.name for profile in config.profiles], ["gw1"])
        self.assertEqual(config.users[0].profile, "gw1")

    def test_peer_example_loads(self) -> None:
        """The same for the section of a peer."""
        lines = sample().splitlines()
        start, end = lines.index("# [peer.NAME]"), lines.index("# [[profile]]")
        example = ["[peer.NAME]", *(line[2:] for line in lines[start:end] if re.match(r"# [a-z_]+ = ", line))]
        config = loads("\n".join(example), ROOT)
        self.assertEqual(config.peers.of("sip:desk@pbx.example.com").name, "NAME")


class EffectiveTests(TestCase):
    def test_reads_back(self) -> None:
        """What --print-config prints is TOML that gives the same configuration."""
        config = loads('[web]\nping = 2.5\ncontacts = [{name = "a \\"b\\"", address = "c"}]\n', ROOT)
        self.assertEqual(loads(effective(config), ROOT), config)

    def test_secrets_are_hidden(self) -> None:
        """No secret of any kind is printed, but one sees that it is set."""
        config = loads(
            """
            [login]
            keys = ["swordfish-swordfish-swordfish-swordfish"]
            [manhole]
            password = "swordfish"
            [ice]
            servers = [{urls = ["turn:t"], username = "u", credential = "swordfish"}]
            [[profile]]
            name = "p"
            impi = "p@d"
            impus = ["sip:p@d"]
            domain = "d"
            scheme = "aka"
            secret = "swordfish"
            k = "00112233445566778899aabbccddeeff"
            opc = "00112233445566778899aabbccddeeff"
            [[user]]
            name = "alice"
            password = "swordfish"
            """,
            ROOT,
            sandbox=True,
        )
        text = effective(config)
        self.assertNotIn("swordfish", text)
        self.assertNotIn("00112233", text)
        self.assertEqual(text.count('"(hidden)"'), 7)
        self.assertNotIn("(hidden)", effective(evolve(Config(), web=config.web)))
