"""Fig. 6: every message takes the steps that the figure draws."""

from __future__ import annotations

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rtcgw.model.reason import Reason
from rtcgw.translator.factory import Unreachable
from rtcgw.translator.flow import Form, IWorld, Network, Received, dispatch


@implementer(IWorld)
@define
class World:
    """`bob` speaks the native dialect, `jabba` Jabber; everybody else is in the IMS."""

    done: list[str] = field(factory=list)

    def network(self, destination: str) -> Network:
        if destination == "nobody":
            raise Unreachable(Reason.NOT_FOUND)
        return Network.RTCWEB if destination in ("bob", "jabba") else Network.IMS

    def readable(self, destination: str, form: Form) -> bool:
        return form is (Form.JABBER if destination == "jabba" else Form.NATIVE)

    def to_ims(self, message: Received) -> None:
        self.done.append(f"ims {message.destination}")

    def to_client(self, message: Received) -> None:
        self.done.append(f"client {message.destination}")


class FlowTests(SynchronousTestCase):
    """Each path of the figure, by its step numbers."""

    def check(self, message: Received, path: str, done: str) -> None:
        world = World()
        self.assertEqual((dispatch(message, world), world.done), (path, [done]))

    def test_browser_calls_phone(self) -> None:
        self.check(Received(Form.NATIVE, True, "tel:+1"), "602-604-606-608-610-612", "ims tel:+1")

    def test_sip_browser_calls_phone(self) -> None:
        """What is SIP already needs no translation to go into the IMS."""
        self.check(Received(Form.SIP, True, "tel:+1"), "602-604-606-608-612", "ims tel:+1")

    def test_phone_calls_browser(self) -> None:
        self.check(Received(Form.SIP, True, "bob"), "602-604-606-616-618-620", "client bob")

    def test_browser_calls_browser(self) -> None:
        """Browsers of one dialect meet without translation and without the core."""
        self.check(Received(Form.NATIVE, True, "bob"), "602-604-606-616-620", "client bob")

    def test_browsers_of_two_dialects(self) -> None:
        self.check(Received(Form.NATIVE, True, "jabba"), "602-604-606-616-618-620", "client jabba")

    def test_page_traffic(self) -> None:
        """What is no session protocol goes to the client and never into the IMS."""
        self.check(Received(Form.NATIVE, False, "alice"), "602-604-620", "client alice")

    def test_refusal_passes_through(self) -> None:
        """A destination that neither network has is refused by name."""
        with self.assertRaises(Unreachable) as caught:
            dispatch(Received(Form.NATIVE, True, "nobody"), World())
        self.assertIs(caught.exception.reason, Reason.NOT_FOUND)
