"""The native dialect's reference, printed from its classes: the JSON Schema, and the tables of docs/protocol.md.

`tools/protocol_docs.py` writes both; a test fails when a file is not what this module prints, so that neither can
drift from the code. It is never imported by the running gateway.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

import msgspec

from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
CLIENT: Final = get_args(native.ClientMessage)
GATEWAY: Final = get_args(native.GatewayMessage)

_TITLES: Final[Mapping[type[msgspec.Struct], str]] = {
    native.LoggedIn: " for LOGIN",
    native.Servers: " for ICE_SERVERS",
    native.Incoming: " of a call",
    native.Change: " of a change",
}
"""What is added to a message's type where several messages share it."""

BEGIN: Final = "<!-- Written by tools/protocol_docs.py from the code, down to the end mark. -->"
END: Final = "<!-- The end of what is written from the code. -->"


def schema() -> dict[str, Any]:
    """The JSON Schema of the dialect: `$defs/client` is what a client may send, `$defs/gateway` what it hears."""
    refs, components = msgspec.json.schema_components((*CLIENT, *GATEWAY), ref_template="#/$defs/{name}")
    cut = len(CLIENT)
    return {
        "$schema": DRAFT,
        "title": f"rtcgw native dialect, {native.SUBPROTOCOL}",
        "description": "One JSON object per WebSocket text frame. Clients ignore fields that they do not know.",
        "anyOf": [{"$ref": "#/$defs/client"}, {"$ref": "#/$defs/gateway"}],
        "$defs": {
            "client": {"description": "From client to gateway.", "anyOf": list(refs[:cut])},
            "gateway": {"description": "From gateway to client.", "anyOf": list(refs[cut:])},
            **components,
        },
    }


def schema_text() -> str:
    """The schema as the file has it."""
    return json.dumps(schema(), indent=2) + "\n"


def tables() -> str:
    """Every message with every field, the error codes, the reasons and the close codes, as Markdown."""
    defs = schema()["$defs"]
    parts = ["## From the client", *(_message(defs, kind) for kind in CLIENT)]
    parts += ["## From the gateway", *(_message(defs, kind) for kind in GATEWAY)]
    parts += ["## Parts of messages", *(_part(defs, name) for name in ("IceServer", "Contact", "Party"))]
    parts += ["## Codes of ERROR", _list("Code", native.CODES.items())]
    parts += ["## Reasons of HANGUP", _list("Word", ((reason.word, reason.text) for reason in Reason))]
    parts += ["## Close codes", _list("Code", ((str(code), text) for code, text in native.CLOSE_CODES.items()))]
    return "\n\n".join(parts) + "\n"


def page(text: str) -> str:
    """The page `text` with what stands between its two marks written anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


def _message(defs: Mapping[str, Any], kind: type[msgspec.Struct]) -> str:
    entry = defs[kind.__name__]
    title = f"{kind.__struct_config__.tag}{_TITLES.get(kind, '')}"
    return f"### {title}\n\n{entry['description']}\n\n" + _fields(defs, entry)


def _part(defs: Mapping[str, Any], name: str) -> str:
    return f"### {name}\n\n{defs[name]['description']}\n\n" + _fields(defs, defs[name])


def _fields(defs: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    rows = ["| field | value | | |", "|---|---|---|---|"]
    for name, value in entry["properties"].items():
        if name != "type":
            must = "required" if name in entry["required"] else ""
            rows.append(f"| `{name}` | {_kind(defs, value)} | {must} | {value.get('description', '')} |")
    return "\n".join(rows)


def _kind(defs: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """The type and the bounds of a field, in a few words."""
    if "anyOf" in value:
        return " or ".join(_kind(defs, choice) for choice in value["anyOf"])
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return _kind(defs, defs[name]) if "enum" in defs[name] else str(name)
    if "enum" in value:
        return ", ".join(f"`{word}`" for word in value["enum"])
    if value["type"] == "array":
        return f"list of {_kind(defs, value['items'])}{_most(value, 'maxItems', 'entries')}"
    if value["type"] == "object":
        return f"object{_most(value, 'maxProperties', 'fields')}"
    if value["type"] == "string":
        return f"text{_most(value, 'maxLength', 'characters')}"
    return str(value["type"])


def _most(value: Mapping[str, Any], key: str, unit: str) -> str:
    return f", at most {value[key]} {unit}" if key in value else ""


def _list(name: str, entries: Iterator[tuple[str, str]] | Any) -> str:
    return "\n".join([f"| {name} | |", "|---|---|", *(f"| `{word}` | {text} |" for word, text in entries)])
