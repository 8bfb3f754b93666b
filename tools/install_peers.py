"""Install the Debian packages of the live tests' peers, where that is possible without asking anybody.

Root, or sudo that wants no password, and apt: then what is missing from tests/live/packages.txt is installed,
and no daemon is started or left to start at boot (Kamailio, rtpengine and coturn would take the ports that the tests,
or their owner, want). Anywhere else it says what is missing and ends well: the suites concerned are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LIST = Path(__file__).parent.parent / "tests/live/packages.txt"
POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks this program before a package starts a daemon; 101 forbids it."""
DAEMONS = {"kamailio": "kamailio", "rtpengine-daemon": "rtpengine-daemon", "coturn": "coturn"}
"""Package to its service."""


def main() -> int:
    """Install what is missing; always 0, for missing peers are the tests' business."""
    packages = [line for line in LIST.read_text(encoding="utf-8").split("\n") if line and not line.startswith("#")]
    wanting = [package for package in packages if not installed(package)]
    if not wanting:
        return 0
    become = superuser()
    if shutil.which("apt-get") is None or become is None:
        why = "this is no Debian" if shutil.which("apt-get") is None else "neither root nor sudo"
        say(f"not installed ({why}): {' '.join(wanting)}; the live suites that need them will be skipped")
        return 0
    say(f"installing {' '.join(wanting)}")
    with no_daemons(become):
        if not install(become, wanting):
            # One package that this release does not have must not keep the others away.
            for package in wanting:
                install(become, [package], update=False)
    stay_off(become, wanting)
    left = [package for package in wanting if not installed(package)]
    if left:
        say(f"could not be installed: {' '.join(left)}; the live suites that need them will be skipped")
    return 0


def superuser() -> list[str] | None:
    """What to put before a command that needs root; None when there is no way."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and run(["sudo", "-n", "true"]):
        return ["sudo", "-n"]
    return None


def installed(package: str) -> bool:
    """Whether dpkg has the package, configured."""
    if shutil.which("dpkg-query") is None:
        return False
    asked = ["dpkg-query", "--show", "--showformat=${Status}", package]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout == "install ok installed"


def install(become: Sequence[str], packages: Sequence[str], update: bool = True) -> bool:
    """apt-get install, asking nothing."""
    apt = [*become, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]
    options = ["-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends"]
    if update:
        run([*apt, "update"])
    return run([*apt, "install", *options, *packages])


@contextmanager
def no_daemons(become: Sequence[str]) -> Iterator[None]:
    """While this holds, no package starts its daemon. A policy that is there already is left alone."""
    if POLICY.exists():
        yield
        return
    subprocess.run([*become, "tee", str(POLICY)], input=b"#!/bin/sh\nexit 101\n", stdout=subprocess.DEVNULL, check=True)
    run([*become, "chmod", "755", str(POLICY)])
    try:
        yield
    finally:
        run([*become, "rm", str(POLICY)])


def stay_off(become: Sequence[str], packages: Sequence[str]) -> None:
    """Keep the daemons that came with `packages` from starting at the next boot."""
    if shutil.which("systemctl"):
        for package in packages:
            if package in DAEMONS and installed(package):
                run([*become, "systemctl", "--quiet", "disable", DAEMONS[package]])


def run(command: Sequence[str]) -> bool:
    """Run a command quietly unless it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode and command[-1] != "true":
        sys.stderr.write(done.stdout[-2000:])
    return done.returncode == 0


def say(text: str) -> None:
    """Tell whoever ran `make test`."""
    sys.stdout.write(f"live peers: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
