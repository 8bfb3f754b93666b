"""What the registrar's announcements mean for us."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.ims.line import Line
from rtcgw.ims.regevent import RegContact, RegEntry, RegInfo, RegView
from rtcgw.ims.regnews import Verdict, judge
from tests.ims.rig import Rig


def entry(*contacts: RegContact, state: str = "active", name: str = "a") -> RegEntry:
    return RegEntry(name, f"sip:{name}@ims.test", state, contacts)


class JudgeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.line: Line = Rig().agent().line

    def judged(self, *entries: RegEntry) -> tuple[Verdict, float] | None:
        view = RegView()
        view.apply(RegInfo(0, True, entries))
        return judge(view, self.line)

    def contact(
        self, active: bool, event: str, expires: int | None = None, retry_after: int | None = None
    ) -> RegContact:
        return RegContact("c", f"sip:{self.line.token}@127.0.0.1:5070", active, event, expires, retry_after)

    def test_all_well(self) -> None:
        """Being registered or refreshed, and what happens to other contacts, is no news."""
        other = RegContact("d", "sip:other@127.0.0.1", False, "rejected")
        strange = RegContact("e", "no uri", False, "rejected")
        for event in ("registered", "created", "refreshed", ""):
            self.assertIsNone(self.judged(entry(other, strange, self.contact(True, event))))
        self.assertIsNone(self.judged())
        self.assertIsNone(self.judged(entry()))

    def test_ended(self) -> None:
        """Each way of being thrown out has its consequence."""
        for event, verdict, seconds in (
            ("rejected", Verdict.REJECTED, 0),
            ("deactivated", Verdict.DEACTIVATED, 0),
            ("expired", Verdict.DEACTIVATED, 0),
            ("unregistered", Verdict.DEACTIVATED, 0),
            ("", Verdict.DEACTIVATED, 0),
        ):
            self.assertEqual(self.judged(entry(self.contact(False, event), state="terminated")), (verdict, seconds))

    def test_probation(self) -> None:
        """The time to stay away is the registrar's, or half a minute."""
        self.assertEqual(self.judged(entry(self.contact(False, "probation", retry_after=90))), (Verdict.PROBATION, 90))
        self.assertEqual(self.judged(entry(self.contact(False, "probation"))), (Verdict.PROBATION, 30))

    def test_shortened(self) -> None:
        """Less time is told with the time that is left."""
        self.assertEqual(self.judged(entry(self.contact(True, "shortened", expires=60))), (Verdict.SHORTENED, 60))
        self.assertIsNone(self.judged(entry(self.contact(True, "shortened"))))

    def test_one_identity_of_several(self) -> None:
        """An identity that ends alone does not end the registration."""
        ended = entry(self.contact(False, "rejected"), state="terminated", name="a")
        self.assertIsNone(self.judged(ended, entry(self.contact(True, "registered"), name="b")))

    def test_no_contacts_named(self) -> None:
        """A registrar that says only "terminated" means us too."""
        self.assertEqual(self.judged(entry(state="terminated")), (Verdict.DEACTIVATED, 0))

    def test_by_instance(self) -> None:
        """The instance id names us even when the registrar writes another URI."""
        made = RegContact("c", "sip:x@y", False, "rejected", instance=f"<{self.line.instance.upper()}>")
        self.assertEqual(self.judged(entry(made)), (Verdict.REJECTED, 0))
