"""Emergency numbers, in every spelling."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.emergency import DEFAULTS, NONE, Emergency

USUAL = Emergency.of(DEFAULTS)


class EmergencyTests(SynchronousTestCase):
    def test_every_spelling(self) -> None:
        """However an emergency number is written, it is one."""
        for address in (
            "112",
            " 112 ",
            "1-1-2",
            "(1) 1.2",
            "911",
            "tel:112",
            "TEL:112;phone-context=+49",
            "tel:1-1-2",
            "sip:112@ims.test",
            "<sip:112@ims.test>",
            "sips:112@ims.test:5061;transport=tls",
            "sip:112;phone-context=ims.test@ims.test;user=phone",
            "sip:112:secret@ims.test",
            "sip:%31%31%32@ims.test",
            "112@ims.test",
            "urn:service:sos",
            "URN:Service:SOS",
            "urn:service:sos.police",
            "urn:service:sos.ecall.manual;x",
        ):
            self.assertTrue(USUAL.covers(address), address)

    def test_others(self) -> None:
        """A longer number, a person, another service are none."""
        for address in (
            "1120",
            "+112",
            "01149112",
            "tel:+49112",
            "alice",
            "sip:alice112@ims.test",
            "sip:alice@112.test",
            "urn:service:counseling",
            "urn:service:sosimple",
            "",
            ":",
            "sip:",
        ):
            self.assertFalse(USUAL.covers(address), address)

    def test_list(self) -> None:
        """The operator's list is what counts, in whatever spelling it is written; an empty one covers nothing."""
        mine = Emergency.of(("1-1-0", "tel:999", "", "urn:service:sos.fire"))
        self.assertTrue(mine.covers("110"))
        self.assertTrue(mine.covers("sip:999@ims.test"))
        self.assertTrue(mine.covers("urn:service:sos.fire"))
        self.assertFalse(mine.covers("urn:service:sos"))
        self.assertFalse(mine.covers("112"))
        self.assertFalse(mine.covers(""))
        self.assertFalse(NONE.covers("112"))
        self.assertFalse(NONE.covers(""))
