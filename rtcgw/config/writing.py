"""The configuration written out: the default file, the reference page, and what is in force.

All three come from the classes in `sections`, so that a key cannot exist without being documented
and no page can name a key that does not exist.
"""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from rtcgw.config.kinds import Ports
from rtcgw.config.peers import PeerKeys
from rtcgw.config.reading import Key, Table, Tables, keys_of
from rtcgw.config.sections import LISTS, NAMED, SECTIONS, ProfileKeys, UserKeys

if TYPE_CHECKING:
    from rtcgw.config import Config

WIDTH = 100
HIDDEN = "(hidden)"

EXAMPLES: Mapping[type[Any], Mapping[str, object]] = {
    ProfileKeys: {
        "name": "gw1",
        "impi": "gw1@ims.example.com",
        "impus": ("sip:gw1@ims.example.com", "tel:+15550011"),
        "domain": "ims.example.com",
        "secret": "env:GW1_SECRET",
    },
    UserKeys: {"name": "alice", "impu": "tel:+15550011", "display": "Alice"},
    PeerKeys: {"match": ("sip:*@pbx.example.com", "tel:+49*")},
}
"""Values shown for the sections that stand any number of times; a test loads them."""


def to_toml(value: object, kind: object = None) -> str:
    """A value as it is written behind a key."""
    if isinstance(kind, Ports) and isinstance(value, tuple):
        return f'"{value[0]}-{value[1]}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return json.dumps(value.value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, (int, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes):
        return json.dumps(value.hex())
    if isinstance(value, tuple):
        return f"[{', '.join(to_toml(item) for item in value)}]"
    inner = ", ".join(f"{key.name} = {_shown(key, getattr(value, key.name))}" for key in keys_of(type(value)).values())
    return f"{{ {inner} }}"


def _shown(key: Key, value: object) -> str:
    """The value with every secret hidden; an absent one is told from a hidden one."""
    if key.kind.secret and value:
        return json.dumps([HIDDEN] * len(value) if isinstance(value, tuple) else HIDDEN)
    return to_toml(value, key.kind)


def purpose(section: type[Any]) -> str:
    """What a section is for, on one line: its class docstring."""
    return " ".join((inspect.getdoc(section) or "").split())


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH - 2, break_long_words=False, break_on_hyphens=False)]


def sample() -> str:
    """The text of `etc/rtcgw.toml`: every key, commented, with its default."""
    lines = [
        *_comment(
            "The configuration of rtcgw. Every key stands here with what it is for, what is allowed and its "
            "default; a key that is left out has its default. A wrong key or value is refused at start."
        ),
        *_comment(
            'Secrets: written out, or "env:NAME" from the environment, or in a file named by <key>_file. '
            "Relative file names are taken from the folder of this file."
        ),
        *_comment("Try a change with: twistd rtcgw --config FILE --check"),
    ]
    for name, section in SECTIONS.items():
        lines += _sample_section(name, section)
    titles = {
        **{f"[{name}.NAME]": each for name, each in NAMED.items()},
        **{f"[[{n}]]": each for n, each in LISTS.items()},
    }
    for title, section in titles.items():
        lines += ["", *_comment(f"{purpose(section)} Any number of these."), f"# {title}"]
        for key in keys_of(section).values():
            lines += ["", *_key_comment(key), f"# {_example_line(section, key)}"]
    return "\n".join(lines) + "\n"


def _sample_section(name: str, section: type[Any]) -> Iterator[str]:
    yield from ("", *_comment(purpose(section)), f"[{name}]")
    inner = []
    for key in keys_of(section).values():
        if isinstance(key.kind, Table):
            inner.append((f"{name}.{key.name}", key.kind.section))
        else:
            yield from ("", *_key_comment(key), f"{key.name} = {to_toml(key.default, key.kind)}")
    for path, table in inner:
        yield from _sample_section(path, table)


def _key_comment(key: Key) -> list[str]:
    default = "Mandatory." if key.mandatory else f"Default: {to_toml(key.default, key.kind)}"
    return [*_comment(key.doc), *_comment(f"Allowed: {key.kind.allowed}."), f"# {default}"]


def _example_line(section: type[Any], key: Key) -> str:
    value = EXAMPLES[section].get(key.name, key.default)
    return f"{key.name} = {to_toml(value, key.kind)}"


def reference() -> str:
    """The text of `docs/configuration.md`."""
    lines = [
        "# Configuration",
        "",
        "`twistd rtcgw --config FILE` reads one TOML file. `etc/rtcgw.toml` shows every key with its default; a key",
        "left out has its default. A wrong section, key or value is refused at start, all of them at once, naming",
        "section, key, what was found and what is allowed. `--check` goes further and tries each listener and peer;",
        "`--print-config` shows what is in force, without secrets.",
        "",
        'A **secret** may be written out, be taken from the environment (`password = "env:NAME"`), or stand in a',
        'file of its own (`password_file = "/run/secrets/rtcgw"`). Relative file names are taken from the folder of',
        "the configuration file.",
        "",
        "This page is written from the classes in `rtcgw/config/sections.py` by `make docs`.",
    ]
    for name, section in SECTIONS.items():
        lines += _reference_section(f"[{name}]", section)
    for name, section in NAMED.items():
        lines += _reference_section(f"[{name}.NAME]", section)
    for name, section in LISTS.items():
        lines += _reference_section(f"[[{name}]]", section)
    return "\n".join(lines) + "\n"


def _reference_section(title: str, section: type[Any]) -> Iterator[str]:
    yield from ("", f"## `{title}`", "", purpose(section), "", "| key | for | allowed | default |", "|---|---|---|---|")
    inner = []
    for key in keys_of(section).values():
        if isinstance(key.kind, Table):
            inner.append((f"[{title[1:-1]}.{key.name}]", key.kind.section))
            continue
        default = "mandatory" if key.mandatory else f"`{to_toml(key.default, key.kind)}`"
        yield f"| `{key.name}` | {_cell(key.doc)} | {_cell(key.kind.allowed)} | {_cell(default)} |"
        if isinstance(key.kind, Tables):
            inner.append((f"{title} {key.name}", key.kind.section))
    for name, table in inner:
        yield from _reference_section(name, table)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def effective(config: Config) -> str:
    """What is in force, as TOML, with every secret hidden."""
    lines: list[str] = []
    for name, section in SECTIONS.items():
        lines += _effective_section(name, section, getattr(config, name))
    for name, table in config.peer_tables.items():
        lines += _effective_section(f"peer.{name}", PeerKeys, table)
    for profile in config.profiles:
        lines += ["", "[[profile]]"]
        lines += [f"{key.name} = {_shown(key, getattr(profile, key.name))}" for key in keys_of(ProfileKeys).values()]
    for user in config.users:
        lines += ["", "[[user]]"]
        for key in keys_of(UserKeys).values():
            value = config.passwords.get(user.name) if key.name == "password" else getattr(user, key.name)
            if value:
                lines.append(f"{key.name} = {_shown(key, value)}")
    return "\n".join(lines).lstrip() + "\n"


def _effective_section(name: str, section: type[Any], values: object) -> Iterator[str]:
    yield from ("", f"[{name}]")
    inner = []
    for key in keys_of(section).values():
        value = getattr(values, key.name)
        if isinstance(key.kind, Table):
            inner.append((f"{name}.{key.name}", key.kind.section, value))
        else:
            yield f"{key.name} = {_shown(key, value)}"
    for path, table, value in inner:
        yield from _effective_section(path, table, value)
