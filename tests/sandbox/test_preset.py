"""The configuration behind `--sandbox`."""

from __future__ import annotations

import datetime
from pathlib import Path

from attrs import evolve
from cryptography import x509
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase

from rtcgw.config import Config, Web, is_loopback, listen_address, peer_address
from rtcgw.sandbox.certificate import LIFE, own_certificate
from rtcgw.sandbox.preset import PHONES, USERS, reachable_address, sandbox_config, state_folder, with_records

NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)


class PresetTests(TestCase):
    def test_two_users(self) -> None:
        """alice and bob can log in with their names, and each is registered at the stand-in core."""
        config = sandbox_config(False, Config())
        self.assertEqual(config.passwords, {"alice": "alice", "bob": "bob"})
        self.assertTrue(config.sandbox.enabled)
        impus = {impu for profile in config.profiles for impu in profile.impus}
        self.assertEqual({user.impu for user in config.users}, impus)
        self.assertEqual([user.profile for user in config.users], [profile.name for profile in config.profiles])
        self.assertEqual(len({profile.secret for profile in config.profiles}), len(USERS))

    def test_all_on_loopback(self) -> None:
        """Trying it opens nothing to the network."""
        config = sandbox_config(False, Config())
        for host in (
            listen_address(config.web.listen)[0],
            listen_address(config.sip.listen)[0],
            peer_address(config.sip.peer)[0],
            config.media.address,
            config.media.core_address,
        ):
            self.assertTrue(is_loopback(host), host)
        self.assertEqual(peer_address(config.sip.peer)[1], config.sandbox.core_port)

    def test_contacts(self) -> None:
        """The page offers every phone and both users."""
        contacts = {contact.address for contact in sandbox_config(False, Config()).web.contacts}
        self.assertEqual(contacts, {f"sip:{name}@sandbox.test" for name in PHONES} | set(USERS))

    def test_records(self) -> None:
        """Calls leave their records where the sandbox was started, or where the file says, or nowhere."""
        folder = Path(self.mktemp())
        folder.mkdir()
        config = with_records(Config(), folder)
        self.assertEqual(config.records.file, str(folder / "sandbox-calls.jsonl"))
        self.assertEqual(with_records(config, Path("/elsewhere")), config)
        self.assertEqual(with_records(Config(), folder / "missing"), Config())

    def test_base_is_kept(self) -> None:
        """What a configuration file says of other matters still holds."""
        config = sandbox_config(False, evolve(Config(), web=Web(ping=3.0, listen="tcp:9999:interface=127.0.0.1")))
        self.assertEqual((config.web.ping, config.web.listen), (3.0, "tcp:9999:interface=127.0.0.1"))

    def test_sound_follows_the_page(self) -> None:
        """A page served to other machines comes with an address for the sound that they can reach."""
        config = sandbox_config(False, evolve(Config(), web=Web(listen="tcp:8080:interface=192.0.2.9")))
        self.assertEqual(config.media.address, "192.0.2.9")
        self.assertEqual(config.media.core_address, "127.0.0.1")

    def test_tls(self) -> None:
        """--tls serves the page by HTTPS on 8443, with a certificate that Twisted takes."""
        folder = Path(self.mktemp()) / "a:b=c"
        config = sandbox_config(True, Config(), folder)
        self.assertEqual(listen_address(config.web.listen), ("127.0.0.1", 8443))
        self.assertTrue(config.web.listen.startswith("ssl:"))
        serverFromString(MemoryReactorClock(), config.web.listen)
        again = sandbox_config(True, config, folder)
        self.assertEqual(again.web.listen, config.web.listen)

    def test_state_folder(self) -> None:
        """The certificate is kept where the system wants state, or in the user's home."""
        self.assertEqual(state_folder({"STATE_DIRECTORY": "/var/lib/rtcgw:/x"}), Path("/var/lib/rtcgw"))
        self.assertEqual(state_folder({"XDG_STATE_HOME": "/s"}), Path("/s/rtcgw"))
        self.assertEqual(state_folder({}).parts[-3:], (".local", "state", "rtcgw"))

    def test_reachable_address(self) -> None:
        """A listener on one address is reached there; one on every interface is reached on a real address."""
        self.assertEqual(reachable_address("192.0.2.1"), "192.0.2.1")
        self.assertNotIn(reachable_address(""), ("", "0.0.0.0"))  # noqa: S104 - what must not come out


class CertificateTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def read(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / "sandbox-cert.pem").read_bytes())

    def test_kept(self) -> None:
        """A browser's exception survives a restart: the same certificate is used again."""
        own_certificate(self.folder, ["localhost", "127.0.0.1"], NOW)
        first = self.read()
        own_certificate(self.folder, ["localhost"], NOW + datetime.timedelta(days=90))
        self.assertEqual(self.read(), first)

    def test_names(self) -> None:
        """Every name and address that is asked for stands in it; a new one makes a new certificate."""
        own_certificate(self.folder, ["localhost"], NOW)
        own_certificate(self.folder, ["localhost", "192.0.2.1"], NOW)
        names = self.read().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual({str(name.value) for name in names}, {"localhost", "192.0.2.1"})

    def test_renewed(self) -> None:
        """One that is about to expire is replaced."""
        own_certificate(self.folder, ["localhost"], NOW)
        first = self.read()
        own_certificate(self.folder, ["localhost"], NOW + LIFE - datetime.timedelta(days=10))
        self.assertNotEqual(self.read(), first)

    def test_damaged(self) -> None:
        """A damaged file, or a key of another certificate, is replaced instead of failing every start."""
        pair = own_certificate(self.folder, ["localhost"], NOW)
        for path in (pair.key, pair.certificate):
            path.write_bytes(b"broken")
            own_certificate(self.folder, ["localhost"], NOW)
            self.assertTrue(path.read_bytes().startswith(b"-----BEGIN"))

    def test_key_is_private(self) -> None:
        """Nobody else on the machine can read the key."""
        pair = own_certificate(self.folder, ["localhost"], NOW)
        self.assertEqual(pair.key.stat().st_mode & 0o777, 0o600)
