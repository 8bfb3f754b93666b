"""Kinds of configuration values: what may stand behind a key.

A kind says in words what it allows and turns a TOML value into the program's own. It knows neither
the key nor the section it serves: `rtcgw.config.reading` puts the place in front of its complaint.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, cast

from attrs import define, field, frozen
from twisted.internet.endpoints import clientFromString, serverFromString

from rtcgw.model import wave

_NO_REACTOR = cast(Any, object())
"""Endpoint strings are only parsed here; an endpoint keeps its reactor and does not use it before it listens."""


class Wrong(ValueError):
    """A value is not allowed behind its key. The message, when there is one, says what is the matter."""


class ConfigError(Exception):
    """The configuration cannot be used. `problems` lists everything found wrong, one sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@define
class Source:
    """Where a configuration comes from, and what was found wrong with it so far."""

    folder: Path
    """Relative file names are taken from here: the folder of the configuration file."""
    environ: Mapping[str, str] = field(repr=False)
    problems: list[str] = field(factory=list)

    def path(self, name: str) -> Path:
        """The file that `name` means."""
        return self.folder / Path(name).expanduser()

    def read_text(self, name: str) -> str:
        """The text of the file `name`; raises `Wrong` when it cannot be had."""
        try:
            return self.path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise Wrong(f"the file {self.path(name)} cannot be read: {reason}") from None


class Kind:
    """What may stand behind a key."""

    secret = False
    """True: the value is never shown, and may be given as `env:NAME` or by the key `<name>_file`."""

    @property
    def allowed(self) -> str:
        """What is allowed, as the end of the sentence "allowed: ..."."""
        raise NotImplementedError

    def read(self, value: object, source: Source) -> object:
        """The value as the program wants it; raises `Wrong`."""
        raise NotImplementedError


@frozen
class Flag(Kind):
    """Yes or no."""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return "true or false"

    def read(self, value: object, source: Source) -> bool:
        """See `Kind`."""
        if not isinstance(value, bool):
            raise Wrong
        return value


@frozen
class Whole(Kind):
    """A whole number within bounds, both included."""

    low: int
    high: int
    unit: str = ""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return f"a whole number{_of(self.unit)} from {self.low} to {self.high}"

    def read(self, value: object, source: Source) -> int:
        """See `Kind`."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise Wrong
        return value


@frozen
class Number(Kind):
    """A number within bounds, both included; whole numbers are taken as well."""

    low: float
    high: float
    unit: str = "seconds"

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return f"a number{_of(self.unit)} from {self.low:g} to {self.high:g}"

    def read(self, value: object, source: Source) -> float:
        """See `Kind`."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            raise Wrong
        return float(value)


@frozen
class Text(Kind):
    """A text; with a pattern, one that matches it wholly."""

    what: str = "a text"
    pattern: str = r"[^\x00-\x1f\x7f]+"
    empty: bool = False

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return f'{self.what}, or "" for none' if self.empty else self.what

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        if not isinstance(value, str) or not ((self.empty and not value) or re.fullmatch(self.pattern, value)):
            raise Wrong
        return value


@frozen
class Choice(Kind):
    """One of a few words or numbers; the value is the word, or the member of `enum` with that value."""

    words: tuple[str, ...] | tuple[int, ...]
    enum: type[Enum] | None = None

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return " or ".join(f'"{word}"' if isinstance(word, str) else str(word) for word in self.words)

    def read(self, value: object, source: Source) -> object:
        """See `Kind`."""
        if isinstance(value, (bool, float)) or value not in self.words:
            raise Wrong
        return value if self.enum is None else self.enum(value)


@frozen
class Many(Kind):
    """A list of values of one kind, without repetition."""

    item: Kind
    least: int = 0
    most: int = 1000

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        least = f" of at least {self.least}" if self.least else ""
        return f"a list{least}, each {self.item.allowed}"

    @property
    def secret(self) -> bool:  # type: ignore[override]
        """A list of secrets is one."""
        return self.item.secret

    def read(self, value: object, source: Source) -> tuple[object, ...]:
        """See `Kind`."""
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            raise Wrong
        values = tuple(self.item.read(item, source) for item in value)
        if len(set(values)) != len(values):
            raise Wrong("the same entry stands there twice")
        return values


@frozen
class Listener(Kind):
    """A Twisted server endpoint string, of one of `schemes` where they are given."""

    schemes: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        kinds = f" ({' or '.join(self.schemes)})" if self.schemes else ""
        return f"a Twisted server endpoint string{kinds} such as tcp:8080:interface=127.0.0.1"

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        return _endpoint(value, self.schemes, serverFromString)


@frozen
class Peer(Kind):
    """A Twisted client endpoint string, of one of `schemes`."""

    schemes: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        kinds = f" ({' or '.join(self.schemes)})" if self.schemes else ""
        return f"a Twisted client endpoint string{kinds} such as tcp:127.0.0.1:5060"

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        return _endpoint(value, self.schemes, clientFromString)


def _endpoint(value: object, schemes: tuple[str, ...], parse: Any) -> str:
    """The endpoint string `value`, when `parse` (Twisted's own) takes it."""
    if not isinstance(value, str) or (schemes and value.partition(":")[0] not in schemes):
        raise Wrong
    try:
        parse(_NO_REACTOR, value)
    except Exception as error:  # Twisted raises whatever a plugin raises: ValueError, TypeError, OSError, SSL's own
        raise Wrong(str(error) or type(error).__name__) from None
    return value


@frozen
class Network(Kind):
    """An IP address or network, in text."""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return "an IP address or network such as 192.0.2.7 or 192.0.2.0/24"

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        if not isinstance(value, str):
            raise Wrong
        try:
            ipaddress.ip_network(value)
        except ValueError as error:
            raise Wrong(str(error)) from None
        return value


@frozen
class Address(Kind):
    """An IP address of this host, in text."""

    empty: bool = False

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return "an IP address" + (', or "" for none' if self.empty else "")

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        if not isinstance(value, str):
            raise Wrong
        if value == "" and self.empty:
            return value
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise Wrong from None


@frozen
class Ports(Kind):
    """A range of ports, both ends included, written `20000-29999`."""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return 'a range of at least 4 ports from 1024 to 65535, such as "20000-29999"'

    def read(self, value: object, source: Source) -> tuple[int, int]:
        """See `Kind`."""
        found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", value) if isinstance(value, str) else None
        if found is None:
            raise Wrong
        low, high = int(found[1]), int(found[2])
        if not 1024 <= low <= high - 3 <= 65532:
            raise Wrong
        return low, high


@frozen
class Datagram(Kind):
    """Where a UDP service is: `udp:host:port`."""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return "a UDP address such as udp:127.0.0.1:2223"

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        if not isinstance(value, str):
            raise Wrong
        try:
            split_datagram(value)
        except ValueError:
            raise Wrong from None
        return value


def split_datagram(text: str) -> tuple[str, int]:
    """Host and port of `udp:192.0.2.1:2223` or `udp:[2001:db8::1]:2223`; raises ValueError."""
    found = re.fullmatch(r"udp:(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):([0-9]{1,5})", text)
    if found is None or not 0 < int(found[3]) < 65536:
        raise ValueError(text)
    return str(ipaddress.ip_address(found[1] or found[2])), int(found[3])


@frozen
class ReadableFile(Kind):
    """The name of a file that can be read now; the value is its full path."""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return 'the name of a readable file, or "" for none'

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        if not isinstance(value, str):
            raise Wrong
        if not value:
            return ""
        source.read_text(value)
        return str(source.path(value))


@frozen
class WritableFile(Kind):
    """The name of a file that can be written now, and that other files may stand beside; the value is its full path."""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return 'the name of a file in a folder that can be written, or "" for none'

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        if not isinstance(value, str):
            raise Wrong
        if not value:
            return ""
        path = source.path(value).absolute()
        if not path.parent.is_dir():
            raise Wrong(f"there is no folder {path.parent}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise Wrong(f"the folder {path.parent} cannot be written")
        if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
            raise Wrong(f"{path} cannot be written, or is no file")
        return str(path)


@frozen
class SoundFile(Kind):
    """The name of a sound file that can be played; the value is its full path."""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return f'the name of {wave.ALLOWED}, or "" for none'

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        if not isinstance(value, str):
            raise Wrong
        if not value:
            return ""
        try:
            wave.read_wave(source.path(value))
        except wave.WaveError as error:
            raise Wrong(str(error)) from None
        return str(source.path(value).absolute())


@frozen
class Secret(Kind):
    """A text that is never shown: written out, or `env:NAME` for an environment variable, or in `<key>_file`."""

    least: int = 1
    empty: bool = True
    secret = True

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        size = f" of at least {self.least} characters" if self.least > 1 else ""
        return f"a secret text{size}, or env:NAME to take it from the environment"

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        if not isinstance(value, str):
            raise Wrong
        if value == "" and self.empty:
            return value
        if value.startswith("env:"):
            name = value[4:]
            if name not in source.environ:
                raise Wrong(f"the environment has no variable {name}")
            value = source.environ[name]
        if len(value) < self.least:
            raise Wrong("it is too short")
        return value


@frozen
class SigningKey(Secret):
    """What a log-in token may be signed with: a shared secret, `env:NAME`, or `file:NAME` of a PEM public key."""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return f"a shared secret of at least {self.least} characters, env:NAME, or file:NAME of a PEM public key"

    def read(self, value: object, source: Source) -> str:
        """See `Kind`."""
        if isinstance(value, str) and value.startswith("file:"):
            return source.read_text(value[5:]).strip()
        return Secret.read(self, value, source)


@frozen
class HexKey(Secret):
    """A secret of 16 bytes, written as 32 hexadecimal digits."""

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return "32 hexadecimal digits, or env:NAME to take them from the environment"

    def read(self, value: object, source: Source) -> bytes:  # type: ignore[override]
        """See `Kind`."""
        text = Secret.read(self, value, source)
        try:
            key = bytes.fromhex(text)
        except ValueError:
            raise Wrong("these are no hexadecimal digits") from None
        if len(key) not in (0, 16):
            raise Wrong("the length is wrong")
        return key


def _of(unit: str) -> str:
    return f" of {unit}" if unit else ""
