"""A certificate of its own making, for `--sandbox --tls`: enough for a browser that is told to go on.

It is kept in a folder, so that the browser's exception survives a restart, and made anew when it
is about to expire or does not name an address it should. Not for real use: nobody vouches for it.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = datetime.timedelta(days=397)
"""Browsers refuse a longer one."""
RENEW = datetime.timedelta(days=30)


@frozen
class KeyPair:
    """The two PEM files that a TLS endpoint wants."""

    key: Path
    certificate: Path


def own_certificate(folder: Path, names: Iterable[str], now: datetime.datetime) -> KeyPair:
    """The certificate kept in `folder` for these host names and addresses, made when there is none that fits.

    `now` is aware. Raises OSError when the folder cannot be written.
    """
    pair = KeyPair(folder / "sandbox-key.pem", folder / "sandbox-cert.pem")
    wanted = frozenset(names)
    if not _fits(pair, wanted, now):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(pair, sorted(wanted), now)
    return pair


def _fits(pair: KeyPair, names: frozenset[str], now: datetime.datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    except (OSError, ValueError):
        return False
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = {str(name.value) for name in found}
    return (
        names <= named
        and certificate.not_valid_after_utc - now > RENEW
        and certificate.public_key() == key.public_key()
    )


def _make(pair: KeyPair, names: list[str], now: datetime.datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rtcgw sandbox")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(pair.key, private, 0o600)
    _write(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file that nobody else could read at any moment, whatever the umask says."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(data)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
