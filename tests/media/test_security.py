"""SDES towards the core: offered, chosen, kept through new offers, and never spoken of elsewhere."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaError
from rtcgw.media.embedded.security import MAX_KEYS
from rtcgw.media.packets.sdes import Crypto
from rtcgw.media.packets.srtp import closing, opening
from rtcgw.model.peer import PeerProfile, Srtp
from rtcgw.model.reason import Reason
from tests.media.descriptions import line, page, phone, phone_line, used, web_line
from tests.media.memory import PHONE, Bench

SDES = PeerProfile(srtp=Srtp.SDES)
EITHER = PeerProfile(srtp=Srtp.OPPORTUNISTIC)
KEY = Crypto.make(1, "AES_CM_128_HMAC_SHA1_80")


def secured(*keys: Crypto, proto: str = "RTP/SAVP", version: int = 1) -> str:
    return phone(phone_line(proto=proto, extra=[f"a=crypto:{key.line}" for key in keys]), version=version)


def offered(text: str) -> list[Crypto]:
    found = [Crypto.parse(value) for value in line(text).attributes.get("crypto", ())]
    return [crypto for crypto in found if crypto is not None]


class TestOffers(SynchronousTestCase):
    """We offer."""

    def test_required(self) -> None:
        """RTP/SAVP with a key for each suite; the phone's choice is used, and another offer repeats it."""
        bench = Bench(peer=SDES)
        text = str(bench.session.offer(bench.web, page()))
        ours = offered(text)
        self.assertEqual((line(text).proto, [key.tag for key in ours]), ("RTP/SAVP", [1, 2]))
        shown = str(bench.session.answer(bench.core, secured(KEY), True))
        self.assertNotIn("crypto", shown)
        again = str(bench.session.make_offer(bench.core))
        self.assertEqual((line(again).proto, offered(again)), ("RTP/SAVP", ours[:1]))

    def test_required_and_refused(self) -> None:
        """An answer without a key, in the clear, or with a key for something else is no answer."""
        for wrong in (phone(), secured(proto="RTP/SAVP"), secured(Crypto.make(7, KEY.suite))):
            bench = Bench(peer=SDES)
            bench.session.offer(bench.web, page())
            error = self.assertRaises(MediaError, bench.session.answer, bench.core, wrong, True)
            self.assertIs(error.reason, Reason.MEDIA)

    def test_opportunistic(self) -> None:
        """RTP/AVP with keys: encrypted where the phone answers with one, plain where not (RFC 8643)."""
        for answer, keyed in ((secured(KEY, proto="RTP/AVP"), True), (phone(), False)):
            bench = Bench(peer=EITHER)
            text = str(bench.session.offer(bench.web, page()))
            self.assertEqual((line(text).proto, len(offered(text))), ("RTP/AVP", 2))
            bench.session.answer(bench.core, answer, True)
            self.assertEqual(bench.session.talks.lines[0].security.keys is not None, keyed)

    def test_plain(self) -> None:
        """A profile without encryption offers none."""
        self.assertEqual(offered(str(Bench().session.offer(Bench().web, page()))), [])


class TestAnswers(SynchronousTestCase):
    """The phone offers."""

    def test_by_profile(self) -> None:
        """Who may offer what: keys where the profile has encryption, plain where it does not insist."""
        table = (
            (SDES, secured(KEY), "RTP/SAVP"),
            (SDES, secured(KEY, proto="RTP/AVP"), "RTP/AVP"),
            (SDES, phone(), None),
            (SDES, secured(), None),
            (EITHER, secured(KEY), "RTP/SAVP"),
            (EITHER, secured(KEY, proto="RTP/AVP"), "RTP/AVP"),
            (EITHER, phone(), "RTP/AVP"),
            (PeerProfile(), secured(KEY), None),
            (PeerProfile(), secured(KEY, proto="RTP/AVP"), "RTP/AVP"),
        )
        for peer, text, proto in table:
            bench = Bench(Access.CORE, peer=peer)
            if proto is None:
                self.assertRaises(MediaError, bench.session.offer, bench.core, text)
                continue
            bench.session.offer(bench.core, text)
            answer = str(bench.session.answer(bench.web, page(web_line(formats=(0, 8, 126), setup="active")), True))
            keyed = peer.srtp is not Srtp.NONE and "a=crypto" in text
            self.assertEqual((line(answer).proto, [key.tag for key in offered(answer)]), (proto, [1] if keyed else []))

    def test_plain_line_beside_a_secured_one(self) -> None:
        """A line that cannot be secured is refused, and the other is not."""
        bench = Bench(Access.CORE, peer=SDES)
        keyed = phone_line(proto="RTP/SAVP", extra=[f"a=crypto:{KEY.line}"])
        text = str(bench.session.offer(bench.core, phone(keyed, phone_line("video", (96,), port=5000))))
        self.assertEqual(used(text), [("audio", True)])

    def test_keys_are_kept(self) -> None:
        """A refresh repeats our key; what flows is not interrupted."""
        bench = Bench(peer=SDES)
        bench.session.offer(bench.web, page())
        bench.session.answer(bench.core, secured(KEY), True)
        first = offered(bench.reanswer(bench.core, secured(KEY, version=2)))
        self.assertEqual(offered(bench.reanswer(bench.core, secured(KEY, version=3))), first)

    def test_packets(self) -> None:
        """What the phone gets opens with our key; what it sends under its own reaches the browser."""
        bench = Bench(peer=SDES)
        bench.listen_to(str(bench.session.offer(bench.web, bench.browser.offer())))
        ours = offered(bench.told_core)[0]
        bench.browser.accept(str(bench.session.answer(bench.core, secured(KEY), True)))
        bench.network.spend(1)
        opened, _ = opening(ours.profile, ours.key)
        shut, _ = closing(KEY.profile, KEY.key)
        bench.network.ports[PHONE] = lambda data, _: bench.phone.feed(opened(data))
        send = bench.phone.send
        bench.phone.send = lambda packet: send(shut(packet))
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))

    def test_many_keys(self) -> None:
        """Beyond the bound keys are not read, however many there are."""
        others = [f"a=crypto:{tag} F8_128_HMAC_SHA1_80 inline:x" for tag in range(MAX_KEYS)]
        bench = Bench(Access.CORE, peer=SDES)
        text = phone(phone_line(proto="RTP/SAVP", extra=[*others, f"a=crypto:{KEY.line}"]))
        self.assertRaises(MediaError, bench.session.offer, bench.core, text)

    def test_nothing_is_told(self) -> None:
        """Keys are in no representation of what holds them."""
        bench = Bench(peer=SDES)
        bench.session.offer(bench.web, page())
        bench.session.answer(bench.core, secured(KEY), True)
        secret = KEY.line.partition("inline:")[2]
        line_ = bench.session.talks.lines[0]
        for thing in (line_, line_.core_line("127.0.0.1"), bench.session.talks.core.peer, bench.session.stats()):
            self.assertNotIn(secret, repr(thing))
            self.assertNotIn("inline:", repr(thing))
