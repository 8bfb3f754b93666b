"""How a table of keys becomes an object of its section's class.

A section is a frozen attrs class whose every field is `name: Annotated[type, Kind, "what it is for"]`.
`read_table` turns a TOML table into such an object and collects *all* problems on the way, so that an
operator mends a file once and not once per mistake. This module knows no section by name.

A pydantic model was refused: its messages name Python types, its coercions turn "5" into 5, and it
would be the largest dependency of the project.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import attrs
from attrs import Factory, frozen

from rtcgw.config.kinds import Kind, Many, Source, Wrong

T = TypeVar("T")


@frozen
class Table(Kind):
    """A table of its own: `[section.key]`."""

    section: type[Any]

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return f"a table with the keys {', '.join(keys_of(self.section))}"

    def read(self, value: object, source: Source) -> object:
        """Tables are read by `read_table`, which knows where they stand."""
        raise Wrong


@frozen
class Tables(Kind):
    """A list of tables."""

    section: type[Any]

    @property
    def allowed(self) -> str:
        """See `Kind`."""
        return f"a list of tables with the keys {', '.join(keys_of(self.section))}"

    def read(self, value: object, source: Source) -> object:
        """Tables are read by `read_table`, which knows where they stand."""
        raise Wrong


@frozen
class Key:
    """One key of a section, as its class declares it."""

    name: str
    kind: Kind
    doc: str
    default: object
    """The value when the key is absent; `attrs.NOTHING` when it must be present."""

    @property
    def mandatory(self) -> bool:
        """Whether the key must be present."""
        return self.default is attrs.NOTHING


_KEYS: dict[type[Any], dict[str, Key]] = {}


def keys_of(section: type[Any]) -> dict[str, Key]:
    """The keys that a section's class declares, in order. Fields that are no `Annotated` are no keys."""
    found = _KEYS.get(section)
    if found is None:
        hints = get_type_hints(section, include_extras=True)
        found = _KEYS[section] = {}
        for name, attribute in attrs.fields_dict(section).items():
            if get_origin(hints[name]) is Annotated:
                _, kind, doc = get_args(hints[name])
                default: Any = attribute.default
                found[name] = Key(name, kind, doc, default.factory() if isinstance(default, Factory) else default)  # type: ignore[arg-type]
    return found


def read_table(section: type[T], table: Mapping[str, object], source: Source, where: str) -> T | None:
    """An object of class `section` from a TOML table; None when something was wrong (see `source.problems`)."""
    keys = keys_of(section)
    before = len(source.problems)
    for name in table:
        if name not in keys and not _file_key(name, keys):
            source.problems.append(f"{where} {name}: no such key; allowed: {', '.join(keys)}{_guess(name, keys)}")
    values: dict[str, object] = {}
    for key in keys.values():
        given = _given(key, table, source, where)
        if given is not None:
            values[key.name] = given[0]
    if len(source.problems) > before:
        return None
    return section(**values)


def _given(key: Key, table: Mapping[str, object], source: Source, where: str) -> tuple[object] | None:
    """The value given for `key`, in a tuple; None when it is absent or wrong."""
    beside = f"{key.name}_file"
    place = f"{where} {key.name}"
    if key.kind.secret and not isinstance(key.kind, Many) and beside in table:
        if key.name in table:
            source.problems.append(f"{place}: given twice, by {key.name} and by {beside}; allowed: one of them")
            return None
        return _from_file(key.kind, table[beside], source, f"{where} {beside}")
    if key.name not in table:
        if key.mandatory:
            source.problems.append(f"{place}: missing; allowed: {key.kind.allowed}")
        return None
    value = table[key.name]
    if isinstance(key.kind, Table):
        return _sub_table(key.kind, value, source, place)
    if isinstance(key.kind, Tables):
        return _sub_tables(key.kind, value, source, place)
    return _checked(key.kind, value, source, place)


def _checked(kind: Kind, value: object, source: Source, place: str) -> tuple[object] | None:
    try:
        return (kind.read(value, source),)
    except Wrong as error:
        source.problems.append(complaint(place, kind, value, str(error)))
        return None


def _from_file(kind: Kind, name: object, source: Source, place: str) -> tuple[object] | None:
    if not isinstance(name, str):
        source.problems.append(f"{place}: found {show(name)}; allowed: the name of a file that holds the secret")
        return None
    try:
        return (kind.read(source.read_text(name).strip(), source),)
    except Wrong as error:
        source.problems.append(f"{place}: {error}; allowed: the name of a file that holds {kind.allowed}")
        return None


def _sub_table(kind: Table, value: object, source: Source, place: str) -> tuple[object] | None:
    if not isinstance(value, dict):
        source.problems.append(complaint(place, kind, value))
        return None
    head, _, name = place.rpartition(" ")
    found = read_table(kind.section, value, source, f"{head[:-1]}.{name}]")
    return None if found is None else (found,)


def _sub_tables(kind: Tables, value: object, source: Source, place: str) -> tuple[object] | None:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        source.problems.append(complaint(place, kind, value))
        return None
    found = [read_table(kind.section, item, source, f"{place}[{n}]") for n, item in enumerate(value, 1)]
    return None if None in found else (tuple(found),)


def complaint(place: str, kind: Kind, value: object, reason: str = "") -> str:
    """The sentence about a wrong value. A secret is not shown, not even a wrong one."""
    what = "a secret" if kind.secret else show(value)
    return f"{place}: found {what}{': ' + reason if reason else ''}; allowed: {kind.allowed}"


def show(value: object) -> str:
    """A value as an operator would have written it, cut to a line."""
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _file_key(name: str, keys: Mapping[str, Key]) -> bool:
    """Whether `name` is the `<key>_file` of a secret."""
    key = keys.get(name.removesuffix("_file")) if name.endswith("_file") else None
    return key is not None and key.kind.secret and not isinstance(key.kind, Many)


def _guess(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    return f" (did you mean {near[0]}?)" if near else ""
