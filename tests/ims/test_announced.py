"""Allow, Supported and Accept are honest: what is announced is built, and what is built is announced."""

from __future__ import annotations

import importlib
import inspect

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.ims.screen import ACCEPT_ANYWHERE, ALLOW, METHODS, OPTIONS, extensions, refusal, supported
from rtcgw.model.events import Progress, Stage
from rtcgw.model.identity import Identity
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.translator import sipinfo, sipleg
from tests.ims.requests import request
from tests.ims.rig import Rig
from tests.translator.sipbench import UasBench

ELSEWHERE = {"ACK", "CANCEL", "OPTIONS", "NOTIFY", "SUBSCRIBE"}
"""Methods that no leg's table answers: the transactions, the routing function and the subscriptions do."""
CONDITIONED = PeerProfile(preconditions=True)


def keeper(name: str) -> str:
    """The text of the module that a table names."""
    return inspect.getsource(importlib.import_module(f"rtcgw.{name}"))


class AnnouncedTests(SynchronousTestCase):
    def test_methods(self) -> None:
        """A phone that reads Allow may send each of these, and only these."""
        self.assertEqual(set(METHODS), set(sipleg._METHODS) | ELSEWHERE)
        self.assertEqual(ALLOW.split(", "), list(METHODS))
        for method in METHODS:
            self.assertIsNone(refusal(request(method)), method)

    def test_methods_in_a_dialog(self) -> None:
        """No method that is allowed is refused as unknown by a call in progress, but those that are not a call's."""
        bench = UasBench()
        for method in sorted(set(METHODS) - {"ACK", "CANCEL", "NOTIFY", "SUBSCRIBE"}):
            self.assertNotIn(405, bench.request(method).statuses, method)
        self.assertEqual(bench.request("PUBLISH").statuses, [405])

    def test_options(self) -> None:
        """Each option tag is named where it is acted upon."""
        for tag, module in OPTIONS.items():
            self.assertIn(f'"{tag}"', keeper(module), tag)
        for module in METHODS.values():
            self.assertTrue(keeper(module), module)

    def test_what_is_required_is_what_is_supported(self) -> None:
        """What we say that we support may be required of us, and nothing else may."""
        for peer in (PLAIN_PEER, CONDITIONED):
            told = supported(peer).split(", ")
            self.assertEqual(frozenset(told), extensions(peer))
            self.assertIsNone(refusal(request(require=", ".join(told)), extensions(peer)))
        self.assertEqual(extensions(CONDITIONED) - extensions(PLAIN_PEER), {"precondition"})

    def test_an_old_pbx(self) -> None:
        """A peer that chokes on an extension is not told of it; one that requires it all the same has it."""
        old = PeerProfile(without=tuple(OPTIONS))
        self.assertEqual(supported(old), "")
        self.assertEqual(extensions(old), extensions(PLAIN_PEER))
        self.assertNotIn("100rel", supported(PeerProfile(without=("100rel",))).split(", "))
        rig = Rig().start()
        invite = rig.agent().invite("sip:pbx@ims.test", Identity("alice"), old)
        self.assertNotIn("supported", invite.headers)
        self.assertEqual(invite.get("allow"), ALLOW)

    def test_unreliable_for_an_old_pbx(self) -> None:
        """A PBX that says 100rel and does not mean it gets plain 1xx."""
        bench = UasBench(peer=PeerProfile(without=("100rel",)))
        bench.leg.deliver(Progress(Stage.RINGING))
        self.assertNotIn("rseq", bench.tx.responses[-1].headers)

    def test_bodies(self) -> None:
        """The answer to OPTIONS names every body that is read: descriptions, keys, pictures, news of transfers."""
        read = {"application/sdp", "message/sipfrag", *sipinfo._READERS}
        self.assertEqual(set(ACCEPT_ANYWHERE.split(", ")), read)
