"""Signed tokens: what is accepted, and every way to be refused."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.config import Login
from rtcgw.rtcweb.tokens import BadKey, BadToken, TokenVerifier, clean_display, read_jwks, read_key, verifier

SECRET = "a shared secret of thirty-two bytes or more"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ALGORITHMS = ("HS256", "RS256", "ES256")
NOW = 1_700_000_000.0


def pem(key: Any) -> str:
    text: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


class TokenTests(SynchronousTestCase):
    """One verifier with a key of each kind, and an issuer's tokens."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.verifier = self.make(SECRET, pem(RSA), pem(EC))

    def make(self, *keys: str, algorithms: tuple[str, ...] = ALGORITHMS, **options: Any) -> TokenVerifier:
        options = {"issuer": "https://id.test", "audience": "rtcgw"} | options
        return TokenVerifier(map(read_key, keys), algorithms, self.clock.seconds, **options)

    def token(self, key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any) -> str:
        body = {"sub": "alice", "exp": NOW + 300, "iss": "https://id.test", "aud": "rtcgw"} | claims
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, key, algorithm, headers={"kid": kid} if kid else None)

    def refused(self, token: str, words: str, verifier: TokenVerifier | None = None) -> None:
        with self.assertRaises(BadToken) as caught:
            (verifier or self.verifier).verify(token)
        self.assertIn(words, str(caught.exception))

    def test_accepted(self) -> None:
        """Each algorithm, with its key."""
        for key, algorithm in ((SECRET, "HS256"), (RSA, "RS256"), (EC, "ES256")):
            claims = self.verifier.verify(self.token(key, algorithm, impu="sip:a@b", name="Alice A."))
            self.assertEqual(
                (claims.user, claims.expires, claims.impu, claims.display), ("alice", NOW + 300, "sip:a@b", "Alice A.")
            )

    def test_time(self) -> None:
        """A clock that is a minute off is forgiven, more is not."""
        self.verifier.verify(self.token(exp=NOW - 59))
        self.refused(self.token(exp=NOW - 60), "expired")
        self.verifier.verify(self.token(nbf=NOW + 60))
        self.refused(self.token(nbf=NOW + 61), "not valid yet")
        self.clock.advance(360)
        self.refused(self.token(), "expired")
        for wrong in ("tomorrow", True, 1e30, [1]):
            with self.assertRaises(BadToken):
                self.verifier.verify(self.raw(exp=wrong))

    def raw(self, **claims: Any) -> str:
        """A token whose claims PyJWT would not have issued."""
        body = {"sub": "alice", "exp": NOW + 300, "iss": "https://id.test", "aud": "rtcgw"} | claims
        return jwt.api_jws.PyJWS().encode(json.dumps(body).encode(), SECRET, "HS256")

    def test_claims(self) -> None:
        """Issuer, audience and subject must be there and right."""
        for claims in ({"iss": "https://evil.test"}, {"iss": None}, {"aud": "other"}, {"aud": None}, {"sub": None}):
            with self.assertRaises(BadToken):
                self.verifier.verify(self.token(**claims))
        wrong: tuple[dict[str, Any], ...] = (
            {"exp": None},
            {"sub": 5},
            {"sub": "a b"},
            {"sub": ""},
            {"impu": 5},
            {"name": ["x"]},
        )
        for unissued in wrong:
            with self.assertRaises(BadToken):
                self.verifier.verify(self.raw(**unissued))
        anyone = self.make(SECRET, issuer="", audience="")
        self.assertEqual(anyone.verify(self.token(iss="x", aud="y")).user, "alice")

    def test_signature(self) -> None:
        """Another's signature, a changed body, no signature."""
        self.refused(self.token("x" * 40), "Signature")
        head, body, signature = self.token().split(".")
        self.refused(f"{head}.{body[:-2]}.{signature}", "")
        self.refused(f"{head}.{body}.", "")
        self.refused(jwt.encode({"sub": "alice", "exp": NOW + 9}, "", "none"), "no key for alg 'none'")
        for junk in ("", "x", "a.b.c", "." * 2000, "é.é.é"):
            with self.assertRaises(BadToken):
                self.verifier.verify(junk)

    def test_confusion(self) -> None:
        """A public key is no shared secret, though it be known to all (RFC 8725 §3.1)."""
        public = self.make(pem(RSA))
        head = base64url_encode(b'{"alg": "HS256", "typ": "JWT"}')
        text = head + b"." + self.token().split(".")[1].encode()
        forged = text + b"." + base64url_encode(hmac.digest(pem(RSA).encode(), text, "sha256"))
        self.refused(forged.decode(), "no key for alg 'HS256'", public)

    def test_algorithms(self) -> None:
        """What the configuration does not allow is refused, whatever keys there are."""
        strict = self.make(SECRET, pem(RSA), algorithms=("RS256",))
        self.refused(self.token(), "no key", strict)
        self.assertEqual(strict.verify(self.token(RSA, "RS256")).user, "alice")

    def test_bad_keys(self) -> None:
        """Keys that are too weak or of no use stop the gateway at start, without being shown."""
        weak = pem(rsa.generate_private_key(65537, 1024))  # noqa: S505 -- that is the point
        other = pem(ec.generate_private_key(ec.SECP384R1()))
        broken = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
        for text in ("short", weak, other, broken):
            with self.assertRaises(BadKey) as caught:
                read_key(text)
            self.assertNotIn(text[:20], str(caught.exception))
        self.assertNotIn(SECRET, repr(read_key(SECRET)))

    def test_display(self) -> None:
        """A name is shown as it is, without what would garble a log or a header."""
        for text, clean in (
            ("Ål", "Ål"),
            ("a\r\nB", "aB"),
            (" x ", "x"),
            ("\0", None),
            (None, None),
            ("n" * 999, "n" * 128),
        ):
            self.assertEqual(clean_display(text), clean)


class JwksTests(TokenTests):
    """The same tokens, with the keys in a JWKS file."""

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        keys: list[Any] = [
            RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"kid": "r", "use": "sig"},
            ECAlgorithm.to_jwk(EC.public_key(), as_dict=True) | {"kid": "e", "alg": "ES256"},
            {"kty": "oct", "k": base64url_encode(SECRET.encode()).decode(), "kid": "s"},
            RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"kid": "x", "use": "enc"},
            ECAlgorithm.to_jwk(EC.public_key(), as_dict=True) | {"kid": "y", "alg": "HS256"},
            {"kty": "oct", "k": "c2hvcnQ"},
            {"kty": "nonsense"},
            "no key",
        ]
        self.path.write_text(json.dumps({"keys": keys}))
        login = Login(issuer="https://id.test", audience="rtcgw", jwks=str(self.path))
        self.verifier = verifier(login, self.clock.seconds)

    def test_usable(self) -> None:
        """Keys for other purposes, too short or unknown are left out."""
        self.assertEqual(
            [(key.kid, key.algorithm) for key in read_jwks(str(self.path))],
            [("r", "RS256"), ("e", "ES256"), ("s", "HS256")],
        )

    def test_kid(self) -> None:
        """The token names its key; another's name does not serve."""
        self.assertEqual(self.verifier.verify(self.token(RSA, "RS256", kid="r")).user, "alice")
        for kid in ("e", "x", "unknown"):
            self.refused(self.token(RSA, "RS256", kid=kid), "no key")

    def test_bad_files(self) -> None:
        """A file that is no JWKS, or has no key of use, stops the gateway at start."""
        for text in ("", "[]", '{"keys": 5}', '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}'):
            self.path.write_text(text)
            self.assertRaises(BadKey, read_jwks, str(self.path))
        self.assertRaises(BadKey, read_jwks, "/nowhere/at/all")
