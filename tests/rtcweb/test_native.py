"""The native dialect's reader: strict, total, and of one mind with the schema that is published."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.dialects.reference import CLIENT as KINDS
from rtcgw.rtcweb.dialects.wire import ID_LIMIT, WireError
from tests.rtcweb.doubles import CLIENT

TAGS = [str(kind.__struct_config__.tag) for kind in KINDS]
NAMES = sorted({field.encode_name for kind in KINDS for field in msgspec.structs.fields(kind)} - {"id", "type"})
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "echo", "1.0", "a\nb", "é€", "x" * 65, "x" * 300, "x" * 1100]),
    st.lists(st.sampled_from(["progress", "x" * 65, 5]), max_size=3),
    st.dictionaries(st.sampled_from(["rtt", "", "kind"]), st.sampled_from([1, "host", None, []]), max_size=2),
)
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from([*TAGS, "OK", "nothing"])},
    optional={"id": st.sampled_from([1, "a", "", None, True, -5, 2**53, "x" * 65]), "session": VALUES},
).flatmap(
    lambda head: st.dictionaries(st.sampled_from([*NAMES, "unknown"]), VALUES, max_size=3).map(lambda rest: head | rest)
)


def either_or(message: dict[str, Any]) -> bool:
    """The rules between fields, which the schema leaves to words."""
    given = {name for name, value in message.items() if value is not None}
    if message["type"] == "OFFER":
        return ("to" in given) != ("session" in given) and ("session" not in given or "sdp" in given)
    if message["type"] == "LOGIN":
        return given & {"token", "user", "password", "resume"} in ({"token"}, {"user", "password"}, {"resume"})
    if message["type"] == "TRANSFER":
        return ("to" in given) != ("with" in given)
    return True


class ReadingTests(SynchronousTestCase):
    """Bytes to messages."""

    @given(MESSAGES)
    @settings(max_examples=300, deadline=None)
    def test_schema_agrees(self, message: dict[str, Any]) -> None:
        """Whoever's messages pass the published schema is understood, and nobody else."""
        data = json.dumps(message).encode()
        fits = CLIENT.is_valid(message) and either_or(message)
        try:
            found = native.decode(data)
        except WireError as error:
            self.assertFalse(fits, f"{message}: {error.text}")
        else:
            self.assertTrue(fits, message)
            self.assertEqual(native.decode(native._encoder.encode(found)), found)

    @given(st.binary(max_size=200))
    @settings(max_examples=200, deadline=None)
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever a client sends is a message or a WireError, never another exception."""
        for text in (data, b'{"type": "PING", "id": ' + data, b'{"type": "' + data + b'", "id": 1}'):
            try:
                native.decode(text)
            except WireError as error:
                self.assertIn(error.code, native.CODES)
                self.assertLessEqual(len(error.text), 200)

    def test_path(self) -> None:
        """An error names the field and what it should be."""
        for text, words in (
            ('{"type": "OFFER", "id": 1, "to": 5}', "`$.to`"),
            ('{"type": "OFFER", "id": 1, "to": "x", "sdp": {}}', "`$.sdp`"),
            ('{"type": "CANDIDATE", "session": "s"}', "`candidate`"),
            ('{"type": "CANDIDATE", "session": "s", "candidate": null, "mLineIndex": "0"}', "`$.mLineIndex`"),
            ('{"type": "PING", "id": 1, "sdpp": "x"}', "`sdpp`"),
            ('{"type": "OFFER", "id": 1, "to": "x", "sdp": "' + "x" * 32769 + '"}', "<= 32768 - at `$.sdp`"),
        ):
            with self.assertRaises(WireError) as caught:
                native.decode(text.encode())
            self.assertEqual(caught.exception.code, "malformed")
            self.assertIn(words, caught.exception.text)

    def test_id(self) -> None:
        """The id of a broken message comes back in its error, where it is one."""
        for written, found in (
            ('"a"', "a"),
            ("7", 7),
            ("-7", -7),
            (f'"{"x" * ID_LIMIT}"', "x" * ID_LIMIT),
            (f'"{"x" * (ID_LIMIT + 1)}"', None),
            ('""', None),
            ("true", None),
            ("1.5", None),
            ("[1]", None),
            (str(2**53), None),
        ):
            with self.assertRaises(WireError) as caught:
                native.decode(b'{"type": "NONE", "id": ' + written.encode() + b"}")
            self.assertEqual(caught.exception.request_id, found, written)

    def test_numbers(self) -> None:
        """A version that is a number, or an id that is a fraction, is not bent into shape."""
        for text in (
            b'{"type": "LOGIN", "id": 1, "token": "t", "version": 1.0}',
            b'{"type": "PING", "id": 1.0}',
            b'{"type": "PING", "id": "1", "id": false}',
        ):
            self.assertRaises(WireError, native.decode, text)
