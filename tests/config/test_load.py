"""What an operator meets who writes a configuration file: right, wrong, and very wrong."""

from __future__ import annotations

import wave
from pathlib import Path

from twisted.trial.unittest import TestCase

from rtcgw.config import Config, ConfigError, check_listener, listen_address, load, loads, peer_address, trusts
from rtcgw.config.owned import OWNED, OWNED_PREFIXES
from rtcgw.model.identity import Attach, Scheme, User
from rtcgw.sip.names import LISTS, SINGLE

HERE = Path(__file__).parent

PROFILE = """
[[profile]]
name = "gw1"
impi = "gw1@ims.test"
impus = ["sip:gw1@ims.test", "tel:+15550011"]
domain = "ims.test"
secret = "hidden-secret"
"""


class LoadingTests(TestCase):
    def read(self, text: str, sandbox: bool = False, **environ: str) -> Config:
        folder = Path(self.mktemp())
        folder.mkdir()
        return loads(text, folder, sandbox, environ)

    def refused(self, text: str, sandbox: bool = False) -> tuple[str, ...]:
        with self.assertRaises(ConfigError) as caught:
            self.read(text, sandbox)
        problems: tuple[str, ...] = caught.exception.problems
        return problems

    def test_empty_file_is_the_defaults(self) -> None:
        """A file that sets nothing runs with what the documentation calls the defaults."""
        self.assertEqual(self.read(""), Config())

    def test_values_are_taken(self) -> None:
        """What stands in the file is in force, each in the type the program wants."""
        config = self.read(
            """
            [web]
            ping = 5
            origins = ["https://a.example"]
            contacts = [{name = "Desk", address = "sip:desk@example.com"}]
            [media]
            backend = "rtpengine"
            rtp_ports = "30000-30999"
            [media.rtpengine]
            nodes = ["udp:127.0.0.1:2223", "udp:[::1]:2224"]
            [ice]
            servers = [{urls = ["stun:stun.example.com"]}]
            """
        )
        self.assertEqual(config.web.ping, 5.0)
        self.assertIsInstance(config.web.ping, float)
        self.assertEqual(config.web.contacts[0].address, "sip:desk@example.com")
        self.assertEqual(config.media.rtp_ports, (30000, 30999))
        self.assertEqual(config.media.rtpengine.addresses, (("127.0.0.1", 2223), ("::1", 2224)))
        self.assertEqual(config.ice.servers[0].urls, ("stun:stun.example.com",))

    def test_profiles_and_users(self) -> None:
        """A user with a public identity is carried by the profile whose identity it is."""
        config = self.read(PROFILE + '[[user]]\nname = "alice"\nimpu = "sip:+1555-0011@ims.test;user=phone"\n')
        profile = config.profiles[0]
        self.assertEqual(
            (profile.name, profile.attach, profile.scheme, profile.secret),
            ("gw1", Attach.A, Scheme.DIGEST, "hidden-secret"),
        )
        self.assertEqual(config.users, (User("alice", "sip:+1555-0011@ims.test;user=phone", "gw1", None),))

    def test_music_on_hold(self) -> None:
        """A file that cannot be played is refused at the start, with what was found and what is wanted; one that can
        is found wherever the gateway runs."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        rows = (
            ("stereo.wav", 2, 2, 8000, 1, "has 2 channels of 16 bits at 8000 Hz"),
            ("short.wav", 1, 1, 8000, 1, "has 1 channels of 8 bits at 8000 Hz"),
            ("odd.wav", 1, 2, 44100, 1, "has 1 channels of 16 bits at 44100 Hz"),
            ("empty.wav", 1, 2, 8000, 0, "is 0.00 seconds long"),
            ("good.wav", 1, 2, 16000, 1, ""),
        )
        for name, channels, width, rate, seconds, why in rows:
            with wave.open(str(folder / name), "wb") as file:
                file.setparams((channels, width, rate, 0, "NONE", ""))
                file.writeframes(bytes(channels * width * rate * seconds))
            text = f'[media]\nhold_music = "{name}"\n'
            if not why:
                self.assertEqual(loads(text, folder, False, {}).media.hold_music, str(folder / name))
                continue
            error = self.assertRaises(ConfigError, loads, text, folder, False, {})
            self.assertIn(why, error.problems[0])
            self.assertIn("[media] hold_music", error.problems[0])
            self.assertIn("allowed: the name of a WAV file: PCM, 16 bits, mono, 8000 or 16000 Hz", error.problems[0])
        for name in ("nowhere.wav", __file__):
            self.assertEqual(len(self.refused(f'[media]\nhold_music = "{name}"\n')), 1)
        self.assertEqual(self.read('[media]\nhold_music = ""\n[call]\nhold_after = 0\n').call.hold_after, 0.0)

    def test_all_problems_at_once(self) -> None:
        """Two mistakes in one file are told in one go, each with section, key, what was found and what is allowed."""
        problems = self.refused('[web]\nlistn = 3\nping = "often"\n[sipp]\nx = 1\n[call]\nladder = "fast"\n')
        self.assertEqual(len(problems), 4)
        self.assertTrue(problems[0].startswith("[sipp]: no such section; allowed: [web], [login], "))
        self.assertTrue(problems[1].startswith("[web] listn: no such key; allowed: listen, path, "))
        self.assertTrue(problems[1].endswith("(did you mean listen?)"))
        self.assertEqual(problems[2], '[web] ping: found "often"; allowed: a number of seconds from 1 to 3600')
        self.assertEqual(problems[3], '[call] ladder: found "fast"; allowed: "auto" or "patent"')

    def test_wrong_values(self) -> None:
        """Each of these is refused, naming its key."""
        for place, text in {
            "[web] ping": "[web]\nping = 0",
            "[web] page": "[web]\npage = 1",
            "[web] max_frame": "[web]\nmax_frame = true",
            "[web] path": '[web]\npath = "ws"',
            "[web] origins": '[web]\norigins = ["example.com"]',
            "[web] listen": '[web]\nlisten = "tcp:notaport"',
            "[web] contacts": "[web]\ncontacts = [1]",
            "[web] contacts[1] address": '[web]\ncontacts = [{name = "x"}]',
            "[login] algorithms": '[login]\nalgorithms = ["none"]',
            "[login] jwks": '[login]\njwks = "absent.json"',
            "[sip] listen": '[sip]\nlisten = "unix:/tmp/x"',
            "[sip] peer": '[sip]\npeer = "tcp:127.0.0.1"',
            "[sip] trusted": '[sip]\ntrusted = ["example.com"]',
            "[sip] t2": "[sip]\nt1 = 1\nt2 = 0.5",
            "[sip] keep_alive": "[sip]\nkeep_alive = -1",
            "[media] latch": '[media]\nlatch = "on"',
            "[media] advertise": '[media]\nadvertise = ["gw.example.com"]',
            "[media] address": '[media]\naddress = "eth0"',
            "[media] rtp_ports": '[media]\nrtp_ports = "5-6"',
            "[media] port": "[media]\nport = 20001",
            "[media] codecs": '[media]\ncodecs = ["PCMU", "PCMU"]',
            "[media] rtpengine": "[media]\nrtpengine = 7",
            "[media.rtpengine] nodes": '[media.rtpengine]\nnodes = ["tcp:127.0.0.1:2223"]',
            "[ice] servers[1] urls": '[ice]\nservers = [{urls = ["http://x"]}]',
            "[web]": "web = 1",
            "[[user]]": "[user]\nname = 'x'",
        }.items():
            problems = self.refused(text)
            self.assertEqual(len(problems), 1, problems)
            self.assertTrue(problems[0].startswith(place + ":"), problems)
            self.assertIn("; allowed: ", problems[0])

    def test_headers_of_pages(self) -> None:
        """Pages may set what nobody acts on; a header that is the stack's own is refused at the start."""
        self.assertEqual(self.read('[call]\nheaders = ["X-Account", "Subject"]').call.headers, ("X-Account", "Subject"))
        for name in ("Route", "p-asserted-identity", "I", "Content-Foo", "Proxy-Foo", "From", "Identity", "Via"):
            (problem,) = self.refused(f'[call]\nheaders = ["{name}"]')
            self.assertIn(f'[call] headers: found "{name}"', problem)
        self.assertIn("twice", self.refused('[call]\nheaders = ["X-A", "x-a"]')[0])
        self.assertTrue(self.refused('[call]\nheaders = ["X A"]'))

    def test_every_known_header_is_owned(self) -> None:
        """Whatever header the SIP stack knows by name, no page may set."""
        known = {*LISTS, *SINGLE, "from", "to", "cseq", "rack", "rseq", "event", "referred-by", "replaces", "privacy"}
        loose = {name for name in known if name not in OWNED and not name.startswith(OWNED_PREFIXES)}
        self.assertEqual(loose, set())

    def test_profile_needs_its_secret(self) -> None:
        """A profile that could never authenticate is refused, in either scheme."""
        self.assertIn("secret: missing", self.refused(PROFILE.replace('secret = "hidden-secret"', ""))[0])
        self.assertIn("k, opc: missing", self.refused(PROFILE + 'scheme = "aka"')[0])

    def test_names_are_unique(self) -> None:
        """Two profiles of one name or with one number would take each other's calls."""
        problems = self.refused(PROFILE + PROFILE)
        self.assertIn("[[profile]] name: found 'gw1' twice; allowed: once", problems)
        self.assertIn("[[profile]] impus: found 'tel:+15550011' twice; allowed: once", problems)

    def test_user_must_fit_a_profile(self) -> None:
        """A number that no profile has, or a profile that is not there, could never be called."""
        problems = self.refused(PROFILE + '[[user]]\nname = "a"\nimpu = "tel:+1999"\nprofile = "other"\n')
        self.assertIn('[[user]] 1 (a) impu: found "tel:+1999"; allowed: a public identity of a profile', problems[0])
        self.assertEqual(problems[1], '[[user]] 1 (a) profile: found "other"; allowed: gw1')

    def test_passwords_are_for_the_sandbox(self) -> None:
        """A user's password outside the sandbox is refused, and not shown."""
        text = '[[user]]\nname = "alice"\npassword = "wonderland"\n'
        self.assertEqual(self.read(text, sandbox=True).passwords, {"alice": "wonderland"})
        problem = self.refused(text)[0]
        self.assertIn("password: found a secret; allowed: with --sandbox only", problem)
        self.assertNotIn("wonderland", problem)

    def test_manhole_only_on_loopback_and_with_password(self) -> None:
        """The manhole is refused on an address that others reach, and without a password."""
        problems = self.refused('[manhole]\nenabled = true\nlisten = "tcp:8023"\n')
        self.assertTrue(problems[0].startswith("[manhole] listen: "))
        self.assertTrue(problems[1].startswith("[manhole] password: missing"))
        self.assertTrue(self.read('[manhole]\nenabled = true\npassword = "long enough"').manhole.enabled)

    def test_no_such_file(self) -> None:
        """A file that is not there is one clear sentence."""
        with self.assertRaises(ConfigError) as caught:
            load("absent.toml")
        self.assertEqual(caught.exception.problems, ("absent.toml: cannot be read: No such file or directory",))

    def test_no_toml(self) -> None:
        """A file that is no TOML says where it goes wrong; one that is no text says at which byte."""
        self.assertIn("not TOML", self.refused("[web\n")[0])
        path = Path(self.mktemp())
        path.write_bytes(b"[web]\n\xff")
        with self.assertRaises(ConfigError) as caught:
            load(path)
        self.assertIn("byte 6 is not UTF-8", str(caught.exception))


class SecretTests(TestCase):
    def test_from_the_environment(self) -> None:
        """env:NAME takes the secret from the environment; a name that is not set is refused."""
        text = PROFILE.replace("hidden-secret", "env:GW1")
        self.assertEqual(loads(text, HERE, environ={"GW1": "from-env"}).profiles[0].secret, "from-env")
        with self.assertRaises(ConfigError) as caught:
            loads(text, HERE, environ={})
        self.assertIn("the environment has no variable GW1", str(caught.exception))

    def test_from_a_file(self) -> None:
        """secret_file takes the secret from a file beside the configuration; both at once are refused."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "s").write_text("from-file\n")
        text = PROFILE.replace('secret = "hidden-secret"', 'secret_file = "s"')
        self.assertEqual(loads(text, folder).profiles[0].secret, "from-file")
        with self.assertRaises(ConfigError) as caught:
            loads(text + 'secret = "x"\n', folder)
        self.assertIn("given twice", str(caught.exception))
        with self.assertRaises(ConfigError) as caught:
            loads(text, folder.parent / "elsewhere")
        self.assertIn("secret_file: the file", str(caught.exception))

    def test_never_shown(self) -> None:
        """No secret appears in a repr or in a complaint about it."""
        config = loads(PROFILE + '[login]\nkeys = ["0123456789abcdef0123456789abcdef"]\n', HERE)
        self.assertNotIn("hidden-secret", repr(config))
        self.assertNotIn("0123456789abcdef", repr(config))
        for text in ('[login]\nkeys = ["zebrafish"]', PROFILE + 'k = "zebrafish"', '[manhole]\npassword = "zebra"'):
            with self.assertRaises(ConfigError) as caught:
                loads(text, HERE)
            self.assertNotIn("zebra", str(caught.exception))

    def test_aka_keys(self) -> None:
        """K and OPc are 32 hexadecimal digits, neither more nor less."""
        text = PROFILE.replace('secret = "hidden-secret"', 'scheme = "aka"\nk = "{0}"\nopc = "{0}"')
        self.assertEqual(loads(text.format("0f" * 16), HERE).profiles[0].k, b"\x0f" * 16)
        for wrong in ("0f" * 15, "0f" * 17, "xy" * 16):
            with self.assertRaises(ConfigError):
                loads(text.format(wrong), HERE)

    def test_signing_key_files(self) -> None:
        """A key may stand in a PEM file, and a JWKS file must hold keys."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "k.pem").write_text("-----BEGIN PUBLIC KEY-----\n")
        (folder / "jwks.json").write_text('{"keys": [{"kty": "oct"}]}')
        login = loads('[login]\nkeys = ["file:k.pem"]\njwks = "jwks.json"', folder).login
        self.assertEqual(login.keys, ("-----BEGIN PUBLIC KEY-----",))
        self.assertEqual(login.jwks, str(folder / "jwks.json"))
        for text in ("{}", '{"keys": []}', "[", "[1]"):
            (folder / "jwks.json").write_text(text)
            with self.assertRaises(ConfigError) as caught:
                loads('[login]\njwks = "jwks.json"', folder)
            self.assertIn("[login] jwks: found", str(caught.exception))


class EndpointTests(TestCase):
    def test_addresses(self) -> None:
        """Interface and port are read from every way to write an endpoint string."""
        self.assertEqual(listen_address("tcp:8080:interface=127.0.0.1"), ("127.0.0.1", 8080))
        self.assertEqual(listen_address("tcp:port=8080"), ("", 8080))
        self.assertEqual(listen_address(r"ssl:8443:privateKey=k:interface=\:\:1"), ("::1", 8443))
        self.assertEqual(listen_address("systemd:domain=INET:index=0"), ("", 0))
        self.assertEqual(peer_address("tcp:127.0.0.1:5060"), ("127.0.0.1", 5060))
        self.assertEqual(peer_address("tls:host=core.example.com:port=5061"), ("core.example.com", 5061))

    def test_trust(self) -> None:
        """An address is trusted when a network of the list holds it, in whichever form it is written."""
        trusted = trusts(("192.0.2.0/24", "2001:db8::1"))
        self.assertEqual([trusted(host) for host in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1")], [True] * 3)
        self.assertEqual([trusted(host) for host in ("192.0.3.1", "2001:db8::2", "pcscf", "")], [False] * 4)

    def test_on_the_command_line(self) -> None:
        """A wrong --listen is refused like a wrong key."""
        self.assertEqual(check_listener("tcp:0", "--listen"), "tcp:0")
        with self.assertRaises(ConfigError) as caught:
            check_listener("nonsense", "--listen")
        self.assertTrue(str(caught.exception).startswith('--listen: found "nonsense"'))
