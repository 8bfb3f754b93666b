"""Write etc/rtcgw.toml, rtcgw/default.toml and docs/configuration.md from the configuration's classes.

`tests/config/test_written.py` fails when one of them is not what this script would write.
"""

from __future__ import annotations

from pathlib import Path

from rtcgw.config.writing import reference, sample

ROOT = Path(__file__).parent.parent

PAGES = {
    "etc/rtcgw.toml": sample,
    "rtcgw/default.toml": sample,
    "docs/configuration.md": reference,
}


def main() -> None:
    """Write the three files."""
    for name, text in PAGES.items():
        (ROOT / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
