"""Which peers a live test needs, and what becomes of it when one is not there.

    @need("chromium", "kamailio")
    class CallTests(TestCase): ...

Without the peers such a test is skipped, naming the Debian packages to install. With the environment variable
RTCGW_REQUIRE_LIVE=1 it fails instead: continuous integration must not pass because nothing was tried.
This module can be imported anywhere; it starts nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

T = TypeVar("T", bound=type[SynchronousTestCase])

PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Daemons live in sbin, which an ordinary user's PATH lacks."""

MODULES = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"), Path("/usr/local/lib64"))
"""Where Kamailio's modules may be, in a folder of the machine's name or not."""


@frozen
class Program:
    """A peer: the program, the packages that bring it, and what it needs besides."""

    name: str
    packages: tuple[str, ...]
    modules: Mapping[str, str] = {}
    """Kamailio's module to package."""
    libraries: Mapping[str, str] = {}
    """File name of a shared library to package."""
    more: Mapping[str, Callable[[], bool]] = {}
    """What else must be so, in the words of who reads why a test was skipped, to how it is found out."""


def superuser() -> bool:
    """Whether networks can be made: as root, where the kernel has TUN devices."""
    return os.geteuid() == 0 and Path("/dev/net/tun").exists()


@cache
def encodes_amr() -> bool:
    """Whether rtpengine can also speak AMR-WB; the FFmpeg library that it is installed with decides."""
    done = subprocess.run([program("rtpengine"), "--codecs"], capture_output=True, text=True, check=False)
    return any("AMR-WB:" in line and "fully" in line for line in (done.stdout + done.stderr).splitlines())


PEERS: Mapping[str, Program] = {
    "chromium": Program("chromium", ("chromium",)),
    "kamailio": Program(
        "kamailio",
        ("kamailio",),
        {
            "ims_registrar_scscf.so": "kamailio-ims-modules",
            "presence.so": "kamailio-presence-modules",
            "db_sqlite.so": "kamailio-sqlite-modules",
            "xmlrpc.so": "kamailio-xml-modules",
        },
    ),
    "sipp": Program("sipp", ("sip-tester",)),
    "baresip": Program("baresip", ("baresip",)),
    "linphonec": Program("linphonec", ("linphone-cli",)),
    "rtpengine": Program("rtpengine", ("rtpengine-daemon",)),
    "amr": Program(
        "rtpengine",
        ("rtpengine-daemon",),
        libraries={"libvo-amrwbenc.so.0": "libvo-amrwbenc0"},
        more={"libavcodec-extra": encodes_amr},
    ),
    "coturn": Program("turnserver", ("coturn",)),
    "network": Program("ip", ("iproute2",), more={"(root, and /dev/net/tun)": superuser}),
}
"""Which peers there are, by the names that tests ask for. `amr`: rtpengine and the answerer with AMR-WB.
`network`: networks of their own for pages (`netns.py`, `impairment.py`)."""


def required() -> bool:
    """Whether a live test must not be skipped."""
    return os.environ.get("RTCGW_REQUIRE_LIVE", "") not in ("", "0")


def program(name: str) -> str:
    """The full path of a peer's program; raises FileNotFoundError."""
    found = shutil.which(PEERS[name].name, path=PATH)
    if found is None:
        raise FileNotFoundError(PEERS[name].name)
    return found


def missing(*names: str) -> list[str]:
    """The packages that are wanting for these peers, without repetition."""
    packages: list[str] = []
    for name in names:
        peer = PEERS[name]
        there = shutil.which(peer.name, path=PATH) is not None
        packages += () if there else peer.packages
        packages += [package for module, package in peer.modules.items() if not _has_module(module)]
        packages += [package for library, package in peer.libraries.items() if not _has_library(library)]
        packages += [what for what, holds in peer.more.items() if there and not holds()]
    return list(dict.fromkeys(packages))


def need(*names: str) -> Callable[[T], T]:
    """Decorate a test case that needs these peers (keys of `PEERS`)."""
    wanting = missing(*names)
    reason = f"needs {', '.join(names)}; not installed: {' '.join(wanting)}"

    def decorate(case: T) -> T:
        if wanting and required():
            case.setUp = lambda self: self.fail(reason)  # type: ignore[method-assign]
        elif wanting:
            case.skip = reason
        return case

    return decorate


def _has_module(name: str) -> bool:
    """Whether Kamailio has this module; its folder differs by machine and distribution."""
    places = ("kamailio/modules", "*/kamailio/modules")
    return any(next(root.glob(f"{place}/{name}"), None) is not None for root in MODULES for place in places)


def _has_library(name: str) -> bool:
    """Whether a shared library is installed where the linker looks."""
    return any(next(root.glob(f"{place}{name}"), None) is not None for root in MODULES for place in ("", "*/"))
