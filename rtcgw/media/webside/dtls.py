"""DTLS-SRTP handshakes (RFC 5764, RFC 8122) by OpenSSL: the only module that knows pyOpenSSL.

Datagrams go in, datagrams come out; no sockets, no timers. Who repeats a lost flight, and when,
is decided in `webleg.py`, because OpenSSL's own timer reads the machine's clock and cannot be
given another. DTLS 1.2 at most: the record headers of 1.3 could not be cut at datagram size below.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from rtcgw.media.packets.srtp import PROFILES, Keys

MTU = 1200
"""Octets of a datagram that every path carries (RFC 8261 §5; IPv6 minimum less the headers)."""
_DTLS_1_2 = 0xFEFD
_RECORD = 13
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}
"""Functions taken from a peer; MD5 and SHA-1 prove nothing any more (RFC 8122 §5)."""


class DtlsError(Exception):
    """The handshake failed; `datagrams` (an alert) should still be sent. The message is for the log."""

    def __init__(self, text: str, datagrams: list[bytes]) -> None:
        super().__init__(text)
        self.datagrams = datagrams


@frozen
class Fingerprint:
    """The hash of a certificate that a description promises (RFC 8122 §5)."""

    algorithm: str
    value: str
    """Upper-case hexadecimal octets with colons."""

    @classmethod
    def parse(cls, text: str) -> Fingerprint | None:
        """Of `sha-256 AB:CD...`; None for a malformed value or a hash that proves nothing."""
        algorithm, _, value = text.strip().partition(" ")
        algorithm, value = algorithm.lower(), value.strip().upper()
        known = _HASHES.get(algorithm)
        if known is None or len(value) != 3 * known.digest_size - 1:
            return None
        return cls(algorithm, value)


class Identity:
    """The gateway's certificate, made anew at each start, and the TLS context that all calls share."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rtcgw")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = fingerprint(certificate, "sha-256").value
        """Of the certificate, SHA-256."""
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
        context.set_max_proto_version(_DTLS_1_2)
        # Both sides show a self-signed certificate; what proves it is the fingerprint, checked by `proves`.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_tlsext_use_srtp(b":".join(profile.name for profile in PROFILES))
        self.context = context


def fingerprint(certificate: x509.Certificate, algorithm: str) -> Fingerprint:
    """The fingerprint of a certificate by one of the known functions."""
    return Fingerprint(algorithm, certificate.fingerprint(_HASHES[algorithm]).hex(":").upper())


class Association:
    """One DTLS association over memory buffers. `client`: we send the first flight."""

    __slots__ = ("_ssl", "closed", "finished")

    def __init__(self, identity: Identity, client: bool) -> None:
        self._ssl = SSL.Connection(identity.context, None)
        self._ssl.set_ciphertext_mtu(MTU)
        if client:
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()
        self.finished = False
        """The handshake is complete; whose certificate it was is for `proves` to say."""
        self.closed = False
        """The peer has said close_notify."""

    def start(self) -> list[bytes]:
        """The first flight of a client. Raises `DtlsError`."""
        return self._advance()

    def feed(self, datagram: bytes) -> list[bytes]:
        """Take one datagram; what is to be sent in answer. Raises `DtlsError`."""
        self._ssl.bio_write(datagram)
        if not self.finished:
            return self._advance()
        try:
            self._ssl.recv(2048)
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error:
            pass  # nothing to read, or a stray record: both leave the association as it is (RFC 6347 §4.1.2.7)
        return self._outgoing()

    def proves(self, promised: Iterable[Fingerprint]) -> bool:
        """The peer's certificate is one that its description promised."""
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        return certificate is not None and any(
            fingerprint(certificate, one.algorithm).value == one.value for one in promised
        )

    def keys(self, client: bool) -> Keys | None:
        """The SRTP keys (RFC 5764 §4.2); None when no protection profile was agreed."""
        name = self._ssl.get_selected_srtp_profile()
        profile = next((one for one in PROFILES if one.name == name), None)
        if profile is None:
            return None
        key, salt = profile.key, profile.salt
        material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        of_client = material[:key] + material[2 * key : 2 * key + salt]
        of_server = material[key : 2 * key] + material[2 * key + salt :]
        return Keys(profile, of_client, of_server) if client else Keys(profile, of_server, of_client)

    def close(self) -> list[bytes]:
        """Say close_notify, as far as there is anybody to say it to."""
        try:
            self._ssl.shutdown()
        except SSL.Error:
            return []
        return self._outgoing()

    def _advance(self) -> list[bytes]:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return self._outgoing()
        except SSL.Error as error:
            raise DtlsError(_words(error), self._outgoing()) from None
        self.finished = True
        return self._outgoing()

    def _outgoing(self) -> list[bytes]:
        """What OpenSSL wrote, as datagrams of whole records, as many in each as the MTU takes.

        The memory buffer keeps no datagram borders, and a record cut in two would be lost (RFC 6347 §4.1.1).
        """
        pieces = bytearray()
        while True:
            try:
                pieces += self._ssl.bio_read(65536)
            except SSL.Error:
                break
        datagrams: list[bytes] = []
        start = place = 0
        while place + _RECORD <= len(pieces):
            end = place + _RECORD + int.from_bytes(pieces[place + 11 : place + 13], "big")
            if end - start > MTU and place > start:
                datagrams.append(bytes(pieces[start:place]))
                start = place
            place = end
        if start < len(pieces):
            datagrams.append(bytes(pieces[start:]))
        return datagrams


def _words(error: SSL.Error) -> str:
    """OpenSSL's reasons, without its file names."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(reason[-1]) for reason in reasons) or type(error).__name__
