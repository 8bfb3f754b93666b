"""What may be wrong between keys that are each right by themselves, and addresses of endpoint strings."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rtcgw.config.kinds import Wrong
from rtcgw.config.owned import OWNED, OWNED_PREFIXES
from rtcgw.config.sections import Call, Login, Manhole, Media, ProfileKeys, Sip, UserKeys
from rtcgw.model.identity import Scheme, canonical_key


def cross_checks(
    values: Mapping[str, Any], profiles: list[ProfileKeys], users: list[UserKeys], sandbox: bool
) -> list[str]:
    """What is wrong between keys that are each right by themselves."""
    return [
        *_check_profiles(profiles),
        *_check_users(users, profiles, sandbox),
        *_check_manhole(values["manhole"]),
        *_check_call(values["call"]),
        *_check_sip(values["sip"]),
        *_check_media(values["media"]),
        *_check_jwks(values["login"]),
    ]


def _twice(place: str, names: list[str]) -> list[str]:
    return [f"{place}: found {name!r} twice; allowed: once" for name in dict.fromkeys(names) if names.count(name) > 1]


def _check_profiles(profiles: list[ProfileKeys]) -> list[str]:
    problems = _twice("[[profile]] name", [p.name for p in profiles])
    problems += _twice("[[profile]] impus", [canonical_key(impu) for p in profiles for impu in p.impus])
    for number, profile in enumerate(profiles, 1):
        place = f"[[profile]] {number} ({profile.name})"
        if profile.scheme is Scheme.DIGEST and not profile.secret:
            problems.append(f'{place} secret: missing; allowed: a secret text, since scheme is "digest"')
        if profile.scheme is Scheme.AKA and not (profile.k and profile.opc):
            problems.append(f'{place} k, opc: missing; allowed: 32 hexadecimal digits each, since scheme is "aka"')
    return problems


def _check_users(users: list[UserKeys], profiles: list[ProfileKeys], sandbox: bool) -> list[str]:
    problems = _twice("[[user]] name", [user.name for user in users])
    problems += _twice("[[user]] impu", [canonical_key(user.impu) for user in users if user.impu])
    names = [profile.name for profile in profiles]
    known = ", ".join(impu for profile in profiles for impu in profile.impus) or "none, since there is no profile"
    for number, user in enumerate(users, 1):
        place = f"[[user]] {number} ({user.name})"
        owner = owner_of(user.impu, profiles)
        if user.impu and not owner:
            problems.append(f'{place} impu: found "{user.impu}"; allowed: a public identity of a profile: {known}')
        if user.profile and user.profile not in names:
            problems.append(f'{place} profile: found "{user.profile}"; allowed: {", ".join(names) or "none"}')
        elif user.profile and owner and owner != user.profile:
            problems.append(f'{place} profile: found "{user.profile}"; allowed: "{owner}", whose the impu is')
        if user.password and not sandbox:
            problems.append(f"{place} password: found a secret; allowed: with --sandbox only, users log in by token")
    return problems


def _check_manhole(manhole: Manhole) -> list[str]:
    if not manhole.enabled:
        return []
    problems = []
    if not is_loopback(listen_address(manhole.listen)[0]):
        problems.append(
            f'[manhole] listen: found "{manhole.listen}"; allowed: a loopback address, '
            "such as tcp:8023:interface=127.0.0.1"
        )
    if not manhole.password:
        problems.append("[manhole] password: missing; allowed: a secret of at least 8 characters, since it is enabled")
    return problems


def _check_call(call: Call) -> list[str]:
    """A header that the stack itself writes or reads would be a hole: a page could route, assert, or hang up."""
    problems = _twice("[call] headers", [name.lower() for name in call.headers])
    for name in call.headers:
        if name.lower() in OWNED or name.lower().startswith(OWNED_PREFIXES):
            problems.append(
                f'[call] headers: found "{name}"; allowed: names that no gateway acts on, such as X-Account'
            )
    return problems


def _check_sip(sip: Sip) -> list[str]:
    problems = []
    if 0 < sip.session_expires < sip.min_se:
        found = f"found {sip.session_expires}"
        problems.append(f"[sip] session_expires: {found}; allowed: 0, or at least min_se ({sip.min_se})")
    if sip.t1 > sip.t2:
        problems.append(f"[sip] t2: found {sip.t2:g}; allowed: not less than t1, {sip.t1:g}")
    if sip.listen.startswith("ssl:") and not sip.peer.startswith("tls:"):
        problems.append(f'[sip] peer: found "{sip.peer}"; allowed: a tls: endpoint, since listen serves TLS alone')
    return problems


def _check_media(media: Media) -> list[str]:
    only = [codec for codec in media.codecs if codec.startswith("AMR")]
    if only and media.backend != "rtpengine":
        return [f'[media] codecs: found "{only[0]}"; allowed: with backend = "rtpengine" only']
    low, high = media.rtp_ports
    if media.backend == "embedded" and media.address == media.core_address and low <= media.port <= high:
        return [f"[media] port: found {media.port}; allowed: a port outside rtp_ports, {low}-{high}"]
    return []


def _check_jwks(login: Login) -> list[str]:
    if not login.jwks:
        return []
    try:
        keys = json.loads(Path(login.jwks).read_text(encoding="utf-8"))["keys"]
        if not isinstance(keys, list) or not keys:
            raise Wrong
    except (OSError, ValueError, KeyError, TypeError):
        return [f'[login] jwks: found "{login.jwks}"; allowed: a JWKS file, {{"keys": [...]}} with at least one key']
    return []


def listen_address(endpoint: str) -> tuple[str, int]:
    """Interface and port of a `tcp:` or `ssl:` server endpoint string; `""` is every IPv4 interface.

    Other kinds of endpoint (`systemd:`, `unix:`) have no address of their own: `("", 0)`.
    """
    scheme, plain, named = _words(endpoint)
    if scheme not in ("tcp", "tcp4", "tcp6", "ssl"):
        return "", 0
    return named.get("interface", ""), int(named.get("port", plain[0] if plain else "0"))


def peer_address(endpoint: str) -> tuple[str, int]:
    """Host and port of a `tcp:` or `tls:` client endpoint string."""
    _, plain, named = _words(endpoint)
    words = iter(plain)
    host = named["host"] if "host" in named else next(words)
    return host, int(named["port"] if "port" in named else next(words))


def trusts(networks: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether an IP address is in one of these networks; what is no address is not."""
    ranges = tuple(ipaddress.ip_network(network) for network in networks)

    def trusted(host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in ranges)

    return trusted


def _words(endpoint: str) -> tuple[str, list[str], dict[str, str]]:
    """The scheme, the plain words and the named ones of an endpoint string; `\\:` stands for a colon in a word."""
    scheme, *words = (word.replace("\0", ":") for word in endpoint.replace("\\:", "\0").split(":"))
    named = dict(word.split("=", 1) for word in words if "=" in word)
    return scheme, [word for word in words if "=" not in word], named


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. An empty host is every interface: no."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def owner_of(impu: str, profiles: list[ProfileKeys]) -> str:
    """The name of the profile that has this public identity, or an empty text."""
    key = canonical_key(impu)
    return next((p.name for p in profiles if key in map(canonical_key, p.impus)), "")
