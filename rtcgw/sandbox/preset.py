"""The configuration of `twistd rtcgw --sandbox`: two users, a stand-in core, answering phones, all on loopback.

It changes a configuration that is there (the defaults, or a file given by `--config`): what the sandbox
must own it replaces, the rest (rates, times, codecs, ports) stays as configured. The stand-in core and the
phones read the same `Config`: their domain is the profiles' and their port `sandbox.core_port`.
"""

from __future__ import annotations

import datetime
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve
from twisted.internet.endpoints import quoteStringArgument

from rtcgw.config import Config, Contact, Web, is_loopback, listen_address
from rtcgw.model.identity import Attach, Profile, User
from rtcgw.sandbox.certificate import KeyPair, own_certificate

DOMAIN = "sandbox.test"
"""`.test` is reserved (RFC 2606): it can be nobody's."""

USERS = {"alice": "Alice", "bob": "Bob"}
"""Log-in names and display names; the password of each is the name."""

PHONES = {
    "echo": "gives back your voice and picture",
    "tone": "plays a tone",
    "early": "is heard ringing, then answers",
    "busy": "is always busy",
    "ring": "rings and never answers",
    "caller": "calls you back ten seconds later",
    "hold": "puts you on hold now and then",
    "transfer": "transfers you to echo",
}
"""The phones of the stand-in core, and what each does."""

TLS_PORT = 8443

RECORDS = "sandbox-calls.jsonl"
"""The records of calls, in the folder in which the sandbox was started."""


def phone_uri(name: str) -> str:
    """The address of a phone or user of the sandbox."""
    return f"sip:{name}@{DOMAIN}"


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the sandbox keeps its certificate: systemd's state folder, else the user's own."""
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].partition(":")[0])
    home = environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path("~/.local/state").expanduser()) / "rtcgw"


def sandbox_config(tls: bool, base: Config, state: Path | None = None) -> Config:
    """`base` turned into a sandbox; with `tls` the page is served by HTTPS under a certificate of its own.

    Raises OSError when the certificate cannot be kept in `state`.
    """
    listen = _secured(base.web.listen, state or state_folder()) if tls else base.web.listen
    media = base.media
    host = listen_address(listen)[0]
    if not is_loopback(host) and is_loopback(media.address):
        # Whoever loads the page from another machine must reach the sound there as well.
        media = evolve(media, address=reachable_address(host))
    return evolve(
        base,
        web=evolve(base.web, listen=listen, contacts=contacts()),
        sip=evolve(
            base.sip,
            listen="tcp:15070:interface=127.0.0.1",
            peer=f"tcp:127.0.0.1:{base.sandbox.core_port}",
            transport="auto",
            trusted=("127.0.0.1",),
            advertise="",
        ),
        media=evolve(media, core_address="127.0.0.1"),
        sandbox=evolve(base.sandbox, enabled=True),
        profiles=tuple(_profile(name) for name in USERS),
        users=tuple(User(name, phone_uri(name), name, display) for name, display in USERS.items()),
        passwords={name: name for name in USERS},
    )


def with_records(config: Config, folder: Path) -> Config:
    """`config` with records of the calls in `folder`, unless it says where they go, or nobody may write there."""
    if config.records.file or not os.access(folder, os.W_OK | os.X_OK):
        return config
    return evolve(config, records=evolve(config.records, file=str(folder / RECORDS)))


def contacts() -> tuple[Contact, ...]:
    """What the page offers to dial: every phone, then the users themselves."""
    phones = [Contact(name, phone_uri(name), what) for name, what in PHONES.items()]
    return (*phones, *(Contact(display, name) for name, display in USERS.items()))


def _profile(name: str) -> Profile:
    """A subscription of the stand-in core, with a secret that lives as long as the process."""
    return Profile(
        name=name,
        impi=f"{name}@{DOMAIN}",
        impus=(phone_uri(name),),
        domain=DOMAIN,
        attach=Attach.A,
        secret=secrets.token_urlsafe(16),
    )


def _secured(listen: str, folder: Path) -> str:
    """The endpoint string `listen` with TLS. The default one moves to the usual port for HTTPS."""
    host, port = listen_address(listen)
    if listen.startswith("ssl:"):
        return listen
    pair = own_certificate(folder, _names(host), datetime.datetime.now(datetime.UTC))
    return tls_endpoint(host, TLS_PORT if listen == Web().listen else port, pair)


def tls_endpoint(host: str, port: int, pair: KeyPair) -> str:
    """A Twisted endpoint string; colons in its words are escaped."""
    words = ["ssl", str(port), *(f"{name}={quoteStringArgument(str(path))}" for name, path in _files(pair))]
    if host:
        words.append(f"interface={quoteStringArgument(host)}")
    return ":".join(words)


def _files(pair: KeyPair) -> tuple[tuple[str, Path], ...]:
    return ("privateKey", pair.key), ("certKey", pair.certificate)


def _names(host: str) -> set[str]:
    """What a browser may call the page's host."""
    names = {"localhost", "127.0.0.1", "::1"}
    if not is_loopback(host):
        names |= {reachable_address(host), socket.gethostname()}
    return names


def reachable_address(host: str) -> str:
    """The address under which others reach a listener on `host`; an interface wildcard gives the outward one."""
    if host not in ("", "0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        return host
    family = socket.AF_INET6 if host == "::" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if host == "::" else "192.0.2.1", 9))  # chooses a route, sends nothing
        except OSError:
            return "::1" if host == "::" else "127.0.0.1"
        return str(probe.getsockname()[0])
