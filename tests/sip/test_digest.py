"""Digest: published responses, the client's choices, the registrar's judgement."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip import digest
from rtcgw.sip.digest import HASHES, AuthRefused, DigestClient, DigestServer, Exchange, Outcome, split_algorithm
from rtcgw.sip.headers import Challenge, Credentials
from rtcgw.sip.uri import Uri

SDP = (
    b"v=0\r\no=bob 2890844526 2890844526 IN IP4 media.biloxi.com\r\ns=-\r\nc=IN IP4 media.biloxi.com\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\nm=video 51372 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\n"
    b"m=video 53000 RTP/AVP 32\r\na=rtpmap:32 MPV/90000\r\n"
)
FIRST = "00000001"
RFC7616 = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"


def response(
    algorithm: str, user: str, realm: str, password: str, request: str, nonce: str, qop: str | None, cnonce: str
) -> str:
    name, session = split_algorithm(algorithm)
    method, uri = request.split()
    return Exchange(
        HASHES[name], user, realm, password.encode(), method, uri, nonce, qop, FIRST, cnonce, SDP, session
    ).response()


class VectorTests(SynchronousTestCase):
    def test_rfc_2617(self) -> None:
        """RFC 2617 §3.5."""
        nonce, cnonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093", "0a4f113b"
        user = ("Mufasa", "testrealm@host.com", "Circle Of Life")
        self.assertEqual(
            response("MD5", *user, "GET /dir/index.html", nonce, "auth", cnonce), "6629fae49393a05397450978507c4ef1"
        )

    def test_rfc_7616(self) -> None:
        """RFC 7616 §3.9.1; §3.9.2 as corrected by erratum 4897, which uses the SHA-512/256 of FIPS 180-4."""
        user = ("Mufasa", "http-auth@example.org", "Circle of Life")
        cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
        for algorithm, expected in (
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ):
            self.assertEqual(response(algorithm, *user, "GET /dir/index.html", RFC7616, "auth", cnonce), expected)
        jason = ("J\u00e4s\u00f8n Doe", "api@example.org", "Secret, or not?")
        nonce, cnonce = "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
        self.assertEqual(
            response("SHA-512-256", *jason, "GET /doe.json", nonce, "auth", cnonce),
            "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5",
        )

    def test_sip(self) -> None:
        """The SIP examples of draft-smith-sipping-auth-examples: no qop, auth, auth-int, and the -sess forms."""
        bob = ("bob", "biloxi.com", "zanzibar", "INVITE sip:bob@biloxi.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093")
        for algorithm, qop, expected in (
            ("MD5", None, "bf57e4e0d0bffc0fbaedce64d59add5e"),
            ("MD5", "auth", "89eb0059246c02b2f6ee02c7961d5ea3"),
            ("MD5", "auth-int", "bdbeebb2da6adb6bca02599c2239e192"),
            ("MD5-sess", "auth", "e4e4ea61d186d07a92c9e1f6919902e9"),
            ("md5-SESS", "auth-int", "91984da2d8663716e91554859c22ca70"),
        ):
            self.assertEqual(response(algorithm, *bob, qop, "0a4f113b"), expected, f"{algorithm} {qop}")


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = DigestClient("bob", "zanzibar", lambda: "0a4f113b")

    def answer(self, *challenges: str) -> Credentials:
        parsed = [Challenge.parse(text) for text in challenges]
        return Credentials.parse(self.client.answer(parsed, "INVITE", "sip:bob@biloxi.com", SDP))

    def test_answer(self) -> None:
        """All that the challenge asks to be given back, quoted where the grammar wants quotes."""
        challenge = Challenge.parse(
            'Digest realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", qop="auth,auth-int", '
            'algorithm=MD5, opaque="5ccc", domain="sip:x"'
        )
        self.assertEqual(
            self.client.answer([challenge], "INVITE", "sip:bob@biloxi.com"),
            'Digest username="bob", realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
            'uri="sip:bob@biloxi.com", response="89eb0059246c02b2f6ee02c7961d5ea3", algorithm=MD5, cnonce="0a4f113b", '
            'opaque="5ccc", qop=auth, nc=00000001',
        )

    def test_old_form(self) -> None:
        """A challenge without qop and algorithm is met in the form of RFC 2069."""
        answer = self.answer('Digest realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"')
        self.assertEqual(answer.params["response"], "bf57e4e0d0bffc0fbaedce64d59add5e")
        self.assertEqual(set(answer.params), {"username", "realm", "nonce", "uri", "response"})

    def test_integrity(self) -> None:
        """Only auth-int on offer: the body is covered."""
        answer = self.answer('Digest realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", qop="auth-int"')
        self.assertEqual(
            (answer.params["response"], answer.params["qop"]), ("bdbeebb2da6adb6bca02599c2239e192", "auth-int")
        )

    def test_topmost_supported(self) -> None:
        """Of several challenges the first that can be met is, whatever stands before it (RFC 8760 §2.4)."""
        answer = self.answer(
            'Basic realm="a"',
            'Digest realm="a", nonce="n1", algorithm=SHA3-256, qop="auth"',
            'Digest realm="a", nonce="n2", algorithm=SHA-256, qop="new"',
            'Digest realm="a", nonce="n3", algorithm=SHA-512-256-sess, qop="auth"',
            'Digest realm="a", nonce="n4", algorithm=MD5, qop="auth"',
        )
        self.assertEqual((answer.params["nonce"], answer.params["algorithm"]), ("n3", "SHA-512-256-sess"))
        self.assertEqual(len(answer.params["response"] or ""), 64)

    def test_counting(self) -> None:
        """Each use of a nonce has the next count and the same cnonce; a new nonce begins anew (stale)."""
        first, other = (
            'Digest realm="a", nonce="n1", qop="auth"',
            'Digest realm="a", nonce="n2", qop="auth", stale=true',
        )
        counts = [self.answer(text).params["nc"] for text in (first, first, other, first)]
        self.assertEqual(counts, ["00000001", "00000002", "00000001", "00000003"])

    def test_cnonces_are_fresh(self) -> None:
        """Nobody can foretell a cnonce."""
        challenge = [Challenge.parse('Digest realm="a", nonce="n", qop="auth"')]
        answers = [Credentials.parse(DigestClient("b", "p").answer(challenge, "BYE", "sip:h")) for _ in range(2)]
        self.assertNotEqual(*(answer.params["cnonce"] for answer in answers))

    def test_refused(self) -> None:
        """What cannot be met says why, and never says the password."""
        for texts, why in (
            ((), "no challenge"),
            (('Basic realm="a"',), "scheme Basic is not met"),
            (('Digest realm="a", nonce="n", algorithm=NEW',), "algorithm new is not known"),
            (('Digest realm="a"',), "challenge without realm or nonce"),
            (('Digest nonce="n"',), "challenge without realm or nonce"),
            (('Digest realm="a", nonce="n", qop="new"',), "no known qop"),
        ):
            error = self.assertRaises(AuthRefused, self.answer, *texts)
            self.assertEqual(str(error), why)
        self.assertNotIn("zanzibar", repr(self.client) + repr(vars(DigestClient)))

    def test_nonces_are_bounded(self) -> None:
        """A server that makes a nonce for each request fills no memory."""
        for number in range(digest.MAX_NONCES + 10):
            self.answer(f'Digest realm="a", nonce="{number}", qop="auth"')
        self.assertEqual(len(self.client._uses), digest.MAX_NONCES)
        again = self.answer('Digest realm="a", nonce="0", qop="auth"')
        self.assertEqual(again.params["nc"], FIRST)


class ServerTests(SynchronousTestCase):
    uri = Uri.parse("sip:ims.test")

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = self.make("SHA-256", "MD5")
        self.client = DigestClient("bob", "zanzibar")

    def make(self, *algorithms: str, qops: tuple[str, ...] = ("auth",)) -> DigestServer:
        return DigestServer("ims.test", {"bob": "zanzibar"}.get, self.clock, algorithms, qops=qops)

    def answer(self, challenges: list[str], client: DigestClient | None = None, body: bytes = b"") -> str:
        parsed = [Challenge.parse(text) for text in challenges]
        return (client or self.client).answer(parsed, "REGISTER", "sip:ims.test", body)

    def check(self, answer: str, body: bytes = b"") -> Outcome:
        return self.server.check([answer], "REGISTER", self.uri, body).outcome

    def test_every_algorithm(self) -> None:
        """Whatever the server offers, our client is let in with the right password and kept out with another."""
        for algorithm in ("MD5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess", "SHA-512-256-sess"):
            for qop in ("auth", "auth-int"):
                self.server = self.make(algorithm, qops=(qop,))
                self.assertIs(self.check(self.answer(self.server.challenge(), body=b"x"), b"x"), Outcome.OK)
                wrong = self.answer(self.server.challenge(), DigestClient("bob", "guess"), b"x")
                self.assertIs(self.check(wrong, b"x"), Outcome.WRONG)
                stranger = self.answer(self.server.challenge(), DigestClient("eve", ""), b"x")
                self.assertIs(self.check(stranger, b"x"), Outcome.WRONG)

    def test_offer(self) -> None:
        """The best algorithm comes first, with one nonce for all."""
        offered = [Challenge.parse(text) for text in self.server.challenge(stale=True)]
        self.assertEqual([challenge.params["algorithm"] for challenge in offered], ["SHA-256", "MD5"])
        self.assertEqual(len({challenge.params["nonce"] for challenge in offered}), 1)
        self.assertEqual({challenge.params["stale"] for challenge in offered}, {"true"})
        self.assertRaises(ValueError, self.make, "SHA3-256")

    def test_no_replay(self) -> None:
        """Credentials that were heard on the way do not serve again; the next count does."""
        challenges = self.server.challenge()
        answer = self.answer(challenges)
        self.assertEqual([self.check(answer), self.check(answer)], [Outcome.OK, Outcome.STALE])
        self.assertIs(self.check(self.answer(challenges)), Outcome.OK)

    def test_old_nonce(self) -> None:
        """After its lifetime a nonce is stale, so that the client tries again by itself."""
        challenges = self.server.challenge()
        self.clock.advance(301)
        self.assertIs(self.check(self.answer(challenges)), Outcome.STALE)
        foreign = self.make("SHA-256").challenge()
        self.assertIs(self.check(self.answer(foreign)), Outcome.STALE)

    def test_wrong_password_is_not_stale(self) -> None:
        """A guess with an old nonce is a wrong guess."""
        answer = self.answer(self.make("SHA-256").challenge(), DigestClient("bob", "guess"))
        self.assertIs(self.check(answer), Outcome.WRONG)

    def test_bound_to_the_request(self) -> None:
        """Credentials for one request open no other."""
        answer = self.answer(self.server.challenge())
        self.assertIs(self.server.check([answer], "INVITE", self.uri).outcome, Outcome.WRONG)
        self.assertIs(self.server.check([answer], "REGISTER", Uri.parse("sip:other")).outcome, Outcome.WRONG)
        self.assertIs(self.server.check([answer], "REGISTER", Uri.parse("sip:IMS.test")).outcome, Outcome.OK)

    def test_no_attempt(self) -> None:
        """None, those for others, and the empty response of an IMS subscriber's first REGISTER ask for a challenge."""
        for lines in (
            [],
            ['Bearer token="x"'],
            ['Digest username="bob", realm="other", nonce="n", uri="sip:x", response="1"'],
            ['Digest username="bob", realm="ims.test", nonce="", uri="sip:ims.test", response=""'],
        ):
            self.assertIs(self.server.check(lines, "REGISTER", self.uri).outcome, Outcome.NONE)

    def test_broken(self) -> None:
        """What cannot be read as credentials is told apart from a wrong password."""
        good = self.answer(self.server.challenge())
        for line in ("", "Digest =", good.replace("nc=00000001", "nc=1"), good.replace("nc=00000001", "nc=0000000x"),
                     good.replace("cnonce", "x")):  # fmt: skip
            self.assertIs(self.check(line), Outcome.BROKEN, line)
        for line in (good.replace("SHA-256", "SHA-512-256"), good.replace("qop=auth", "qop=none"),
                     good.replace('uri="sip:ims.test"', 'uri="%"')):  # fmt: skip
            self.assertIs(self.check(line), Outcome.WRONG, line)

    def test_other_realms_do_not_hide_ours(self) -> None:
        """A request with credentials for two realms is judged by ours."""
        lines = ['Digest realm="other", nonce="n"', self.answer(self.server.challenge())]
        verdict = self.server.check(lines, "REGISTER", self.uri)
        self.assertEqual((verdict.outcome, verdict.username), (Outcome.OK, "bob"))

    def test_nonces_are_bounded(self) -> None:
        """A flood of requests without credentials fills no memory; who was pushed out tries again."""
        self.patch(digest, "MAX_ISSUED", 20)
        first = self.server.challenge()
        for _ in range(30):
            self.server.challenge()
        self.assertEqual(len(self.server), 20)
        self.assertIs(self.check(self.answer(first)), Outcome.STALE)

    @given(st.text(max_size=60), st.text(max_size=30))
    @settings(max_examples=100, deadline=None)
    def test_never_raises(self, text: str, more: str) -> None:
        """Whatever stands in Authorization is judged, and is not let in."""
        for line in (
            text,
            f'Digest realm="ims.test", {text}',
            f'Digest realm="ims.test", response="{more}", nc="{more}"',
        ):
            self.assertIsNot(self.check(line), Outcome.OK)
