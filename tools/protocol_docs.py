"""Write rtcgw/rtcweb/native.schema.json, and the tables of docs/protocol.md, from the dialect's classes.

`tests/rtcweb/test_reference.py` fails when one of them is not what this script would write.
"""

from __future__ import annotations

from pathlib import Path

from rtcgw.rtcweb.dialects.reference import page, schema_text

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Write the two files."""
    (ROOT / "rtcgw/rtcweb/native.schema.json").write_text(schema_text(), encoding="utf-8")
    protocol = ROOT / "docs/protocol.md"
    protocol.write_text(page(protocol.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
