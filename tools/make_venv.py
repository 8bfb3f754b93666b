"""Make a virtual environment with pip in it, from nothing but Python and an index of packages.

    python3 tools/make_venv.py .venv

Debian splits `ensurepip` off into a package that needs root to install. Where it is wanting, pip's own wheel
is fetched from the index that pip would use (PIP_INDEX_URL, pip.conf, PyPI) and installs itself. Runs on the
system's Python, so it uses the standard library only.
"""

from __future__ import annotations

import configparser
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
from pathlib import Path

NEEDED = (3, 11)
WHEEL = re.compile(r'href="([^"]*/)?(pip-([0-9.]+)-py3-none-any\.whl)(#sha256=[0-9a-f]{64})?"')


def main() -> None:
    """Make the environment named on the command line."""
    if sys.version_info < NEEDED:
        sys.exit(f"Python {'.'.join(map(str, NEEDED))} or later is needed; this is {sys.version.split()[0]}")
    folder = Path(sys.argv[1])
    has_pip = importlib.util.find_spec("ensurepip") is not None
    venv.EnvBuilder(with_pip=has_pip, symlinks=True, clear=True).create(folder)
    if not has_pip:
        bootstrap(folder / "bin/python")


def bootstrap(python: Path) -> None:
    """Put pip into the environment of `python`, by pip's own wheel, which can run without being installed."""
    with tempfile.TemporaryDirectory() as scratch:
        wheel = fetch_pip(index_url(), Path(scratch))
        subprocess.run([python, wheel / "pip", "install", "--quiet", "--no-index", wheel], check=True)


def fetch_pip(index: str, folder: Path) -> Path:
    """The newest pip wheel of the index, its hash checked; ends the process when there is none."""
    page = f"{index.rstrip('/')}/pip/"
    found = list(WHEEL.finditer(_read(page).decode()))
    if not found:
        sys.exit(f"{page} has no pip; install the package python3-venv instead")
    newest = max(found, key=lambda match: [int(part) for part in match[3].split(".")])
    data = _read(urllib.parse.urljoin(page, (newest[1] or "") + newest[2]))
    if newest[4] and hashlib.sha256(data).hexdigest() != newest[4].removeprefix("#sha256="):
        sys.exit(f"{newest[2]} from {page} is damaged")
    wheel = folder / newest[2]
    wheel.write_bytes(data)
    return wheel


def index_url() -> str:
    """The index that pip would ask."""
    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"]
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(
        [
            "/etc/pip.conf",
            Path("~/.pip/pip.conf").expanduser(),
            Path("~/.config/pip/pip.conf").expanduser(),
            os.environ.get("PIP_CONFIG_FILE", ""),
        ]
    )
    return settings.get("global", "index-url", fallback="https://pypi.org/simple")


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - the index that pip itself trusts
        return bytes(answer.read())


if __name__ == "__main__":
    main()
