"""The configuration: one frozen class per TOML section, every key typed, ranged and explained.

    load("etc/rtcgw.toml") -> Config        raises ConfigError, which lists everything that is wrong

`sections` declares the keys, `kinds` what may stand behind one, `reading` turns tables into objects,
`checks` looks at keys together. A key is never taken from the command line, except that
`twistd rtcgw --listen` replaces one value after loading.

Secrets may be written out, taken from the environment (`env:NAME`) or from a file (`secret_file`);
they are kept out of every `repr`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from rtcgw.config.checks import cross_checks, is_loopback, listen_address, owner_of, peer_address, trusts
from rtcgw.config.kinds import ConfigError, Listener, Source, Wrong
from rtcgw.config.peers import PeerKeys, Peers, check_peers, peers_of
from rtcgw.config.reading import complaint, read_table
from rtcgw.config.sections import (
    LISTS,
    NAMED,
    SECTIONS,
    Call,
    Contact,
    Ice,
    IceServer,
    Log,
    Login,
    Manhole,
    Media,
    ProfileKeys,
    Records,
    Rtpengine,
    Sandbox,
    Sip,
    UserKeys,
    Web,
)
from rtcgw.model.identity import Profile, User

__all__ = [
    "Call",
    "Config",
    "ConfigError",
    "Contact",
    "Ice",
    "IceServer",
    "Log",
    "Login",
    "Manhole",
    "Media",
    "Peers",
    "Records",
    "Rtpengine",
    "Sandbox",
    "Sip",
    "Web",
    "check_listener",
    "is_loopback",
    "listen_address",
    "load",
    "loads",
    "peer_address",
    "trusts",
]


@frozen
class Config:
    """The whole configuration."""

    web: Web = field(factory=Web)
    login: Login = field(factory=Login)
    call: Call = field(factory=Call)
    sip: Sip = field(factory=Sip)
    media: Media = field(factory=Media)
    ice: Ice = field(factory=Ice)
    manhole: Manhole = field(factory=Manhole)
    log: Log = field(factory=Log)
    records: Records = field(factory=Records)
    sandbox: Sandbox = field(factory=Sandbox)
    profiles: tuple[Profile, ...] = ()
    users: tuple[User, ...] = ()
    peers: Peers = field(factory=Peers)
    peer_tables: Mapping[str, PeerKeys] = field(factory=dict)
    """`[peer.NAME]` as it stands in the file."""
    passwords: Mapping[str, str] = field(factory=dict, repr=False)
    """Sandbox passwords by user name; empty without `--sandbox`."""


def load(path: str | Path, sandbox: bool = False, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in the file `path`. `sandbox` allows users to have passwords. Raises `ConfigError`."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: byte {error.start} is not UTF-8 text"]) from None
    return loads(text, path.parent, sandbox, environ, str(path))


def loads(
    text: str,
    folder: Path,
    sandbox: bool = False,
    environ: Mapping[str, str] = os.environ,
    name: str = "configuration",
) -> Config:
    """The configuration in `text`; relative file names are taken from `folder`. Raises `ConfigError`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{name}: not TOML: {error}"]) from None
    source = Source(folder, environ)
    _check_names(tables, source)
    values: dict[str, Any] = {}
    for section, keys in SECTIONS.items():
        table = tables.get(section, {})
        if not isinstance(table, dict):
            source.problems.append(f"[{section}]: found a value; allowed: a section")
        else:
            values[section] = read_table(keys, table, source, f"[{section}]")
    profiles = _read_list("profile", ProfileKeys, tables, source)
    users = _read_list("user", UserKeys, tables, source)
    peers = _read_named("peer", PeerKeys, tables, source)
    if not source.problems:
        media = values["media"]
        source.problems.extend(cross_checks(values, profiles, users, sandbox))
        source.problems.extend(check_peers(peers, media.backend, media.codecs))
    if source.problems:
        raise ConfigError(source.problems)
    return Config(
        **values,
        profiles=tuple(_profile(keys) for keys in profiles),
        users=tuple(_user(keys, profiles) for keys in users),
        peers=peers_of(peers, values["media"].codecs),
        peer_tables=peers,
        passwords={keys.name: keys.password for keys in users if keys.password},
    )


def check_listener(endpoint: str, place: str) -> str:
    """`endpoint` when it is a server endpoint string; else raises `ConfigError` naming `place`."""
    kind = Listener()
    try:
        return kind.read(endpoint, Source(Path(), {}))
    except Wrong as error:
        raise ConfigError([complaint(place, kind, endpoint, str(error))]) from None


def _check_names(tables: Mapping[str, object], source: Source) -> None:
    named = (f"[{name}.NAME]" for name in NAMED)
    known = ", ".join([*(f"[{name}]" for name in SECTIONS), *named, *(f"[[{name}]]" for name in LISTS)])
    every = {*SECTIONS, *NAMED, *LISTS}
    source.problems.extend(f"[{name}]: no such section; allowed: {known}" for name in tables if name not in every)


def _read_list(name: str, keys: type[Any], tables: Mapping[str, object], source: Source) -> list[Any]:
    """The `[[name]]` tables that could be read."""
    rows = tables.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        source.problems.append(f"[[{name}]]: found one table or value; allowed: tables written [[{name}]]")
        return []
    found = []
    for number, row in enumerate(rows, 1):
        label = f" ({row['name']})" if isinstance(row.get("name"), str) else ""
        found.append(read_table(keys, row, source, f"[[{name}]] {number}{label}"))
    return [keys for keys in found if keys is not None]


def _read_named(name: str, keys: type[Any], tables: Mapping[str, object], source: Source) -> dict[str, Any]:
    """The `[name.NAME]` tables that could be read, by their names."""
    named = tables.get(name, {})
    if not isinstance(named, dict) or not all(isinstance(table, dict) for table in named.values()):
        source.problems.append(f"[{name}]: found a value; allowed: sections written [{name}.NAME]")
        return {}
    found = {each: read_table(keys, table, source, f"[{name}.{each}]") for each, table in named.items()}
    return {each: table for each, table in found.items() if table is not None}


def _profile(keys: ProfileKeys) -> Profile:
    return Profile(
        keys.name,
        keys.impi,
        keys.impus,
        keys.domain,
        keys.attach,
        keys.scheme,
        keys.secret,
        keys.k,
        keys.opc,
        keys.max_calls,
    )


def _user(keys: UserKeys, profiles: list[ProfileKeys]) -> User:
    """The user; one with a public identity but no profile named is carried by the identity's profile."""
    profile = keys.profile or (owner_of(keys.impu, profiles) if keys.impu else "")
    return User(keys.name, keys.impu or None, profile or None, keys.display or None)
