"""Signed log-in tokens: JWT (RFC 7519) with HS256, RS256 or ES256, checked against keys that know what they are for.

A key is tied to its one algorithm when it is loaded: an RSA key verifies RS256 and nothing else, a P-256 key ES256,
a shared secret HS256. The token's header only chooses among keys; it can never make a public key serve as a shared
secret (RFC 8725 §3.1, "algorithm confusion"), nor ask for `none`.

The signature, issuer and audience are PyJWT's business. Time is checked here, because PyJWT reads the wall clock
itself and a gateway whose clock is injected must not have two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from rtcgw.config import Login

USER: Final = re.compile(r"[^\s:@/\x00-\x1f\x7f]{1,64}\Z")
"""A user's name, wherever it comes from: it is dialled, logged and shown."""
DISPLAY_LIMIT: Final = 128
"""Characters of a display name."""
RSA_LEAST: Final = 2048
"""Bits of an RSA key (RFC 7518 §3.3)."""
SECRET_LEAST: Final = 32
"""Bytes of a shared secret (RFC 7518 §3.2)."""
KEYS_LIMIT: Final = 64
"""Keys taken from one JWKS file."""


class BadKey(ValueError):
    """A key in the configuration cannot serve. The message never shows the key."""


class BadToken(Exception):
    """A token is not accepted; the text is for our log, not for the client."""


@frozen
class Key:
    """A key and the one algorithm that it serves."""

    algorithm: str
    secret: Any = field(repr=False)
    """The shared secret's bytes, or a public key object."""
    kid: str | None = None


@frozen
class Claims:
    """What a verified token says."""

    user: str
    """`sub`."""
    expires: float
    """`exp`, in seconds since the epoch."""
    impu: str | None = None
    display: str | None = None


def read_key(text: str) -> Key:
    """A key from the configuration: a PEM public key or certificate, else a shared secret. Raises `BadKey`."""
    if "-----BEGIN" not in text:
        return _shared(text.encode(), None)
    try:
        if "CERTIFICATE" in text:
            public = load_pem_x509_certificate(text.encode()).public_key()
        else:
            public = load_pem_public_key(text.encode())  # type: ignore[assignment]
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("not a PEM public key or certificate") from None
    return _public(public, None)


def read_jwks(path: str) -> list[Key]:
    """The keys of a JWKS file (RFC 7517) that can verify; others (encryption, unknown kinds) are left out.

    Raises `BadKey` when the file is no JWKS or none of its keys can serve.
    """
    try:
        listed = json.loads(Path(path).read_text(encoding="utf-8"))["keys"]
        if not isinstance(listed, list):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise BadKey(f"{path} is not a JWKS file") from None
    keys = [key for entry in listed[:KEYS_LIMIT] if (key := _from_jwk(entry)) is not None]
    if not keys:
        raise BadKey(f"{path} has no key for HS256, RS256 or ES256")
    return keys


def _from_jwk(entry: object) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    kid = entry.get("kid")
    kid = kid if isinstance(kid, str) else None
    try:
        loaded = jwt.PyJWK(entry)
        key = _shared(loaded.key, kid) if entry.get("kty") == "oct" else _public(loaded.key, kid)
    except (jwt.PyJWTError, BadKey, ValueError, TypeError, AttributeError):
        return None
    return key if entry.get("alg", key.algorithm) == key.algorithm else None


def _shared(secret: bytes, kid: str | None) -> Key:
    if len(secret) < SECRET_LEAST:
        raise BadKey(f"a shared secret needs at least {SECRET_LEAST} bytes")
    return Key("HS256", secret, kid)


def _public(key: object, kid: str | None) -> Key:
    public = key if isinstance(key, RSAPublicKey | EllipticCurvePublicKey) else key.public_key()  # type: ignore[attr-defined]
    if isinstance(public, RSAPublicKey) and public.key_size >= RSA_LEAST:
        return Key("RS256", public, kid)
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return Key("ES256", public, kid)
    raise BadKey(f"only RSA keys of at least {RSA_LEAST} bits and P-256 keys can serve")


class TokenVerifier:
    """Checks tokens. `now` is wall-clock time in seconds since the epoch."""

    __slots__ = ("_algorithms", "_audience", "_issuer", "_keys", "_leeway", "_now")

    def __init__(
        self,
        keys: Iterable[Key],
        algorithms: Iterable[str],
        now: Callable[[], float],
        issuer: str = "",
        audience: str = "",
        leeway: float = 60.0,
    ) -> None:
        self._algorithms = frozenset(algorithms)
        self._keys = tuple(key for key in keys if key.algorithm in self._algorithms)
        self._now = now
        self._issuer = issuer or None
        self._audience = audience or None
        self._leeway = leeway

    def verify(self, token: str) -> Claims:
        """What the token says. Raises `BadToken`."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise BadToken("not a JWT") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        candidates = [
            key for key in self._keys if key.algorithm == algorithm and (kid is None or key.kid in (None, kid))
        ]
        if not candidates:
            raise BadToken(f"no key for alg {algorithm!r:.20}, kid {kid!r:.40}")
        problem: Exception | None = None
        for key in candidates:
            try:
                return self._claims(self._decode(token, key))
            except jwt.InvalidSignatureError as error:
                problem = error
            except (jwt.PyJWTError, ValueError, RecursionError) as error:
                raise BadToken(str(error)[:200]) from None
        raise BadToken(str(problem))

    def _decode(self, token: str, key: Key) -> Mapping[str, Any]:
        return jwt.decode(
            token,
            key.secret,
            algorithms=[key.algorithm],
            issuer=self._issuer,
            audience=self._audience,
            options={
                "require": ["exp", "sub"],
                "verify_aud": self._audience is not None,
                "verify_iss": self._issuer is not None,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )

    def _claims(self, claims: Mapping[str, Any]) -> Claims:
        now, leeway = self._now(), self._leeway
        expires = _time(claims["exp"])
        if expires + leeway <= now:
            raise BadToken("expired")
        if "nbf" in claims and _time(claims["nbf"]) - leeway > now:
            raise BadToken("not valid yet")
        user, impu, display = claims["sub"], claims.get("impu"), claims.get("name")
        if not isinstance(user, str) or not USER.match(user):
            raise BadToken("sub is not a user's name")
        if impu is not None and not isinstance(impu, str):
            raise BadToken("impu is not text")
        if display is not None and not isinstance(display, str):
            raise BadToken("name is not text")
        return Claims(user, expires, impu, clean_display(display))


def _time(value: object) -> float:
    """A NumericDate (RFC 7519 §2)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e11:
        raise BadToken("a time is not a number of seconds")
    return float(value)


def clean_display(text: str | None) -> str | None:
    """A display name fit to print, or None."""
    if text is None:
        return None
    return "".join(char for char in text if char.isprintable()).strip()[:DISPLAY_LIMIT] or None


def verifier(login: Login, now: Callable[[], float]) -> TokenVerifier:
    """The verifier that the configuration asks for. Raises `BadKey`."""
    keys = [read_key(text) for text in login.keys] + (read_jwks(login.jwks) if login.jwks else [])
    return TokenVerifier(keys, login.algorithms, now, login.issuer, login.audience, login.leeway)
