"""The registrar's news about our registration, read from XML that anybody may have written."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.ims import regevent
from rtcgw.ims.regevent import Applied, RegEventError, RegView, parse

OPEN = b'<?xml version="1.0"?>\n<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="%d" state="%s">'


def document(inner: bytes, version: int = 0, state: bytes = b"full") -> bytes:
    return OPEN % (version, state) + inner + b"</reginfo>"


def entry(contacts: bytes, state: bytes = b"active") -> bytes:
    return b'<registration aor="sip:gw1@ims.test" id="a7" state="%s">%s</registration>' % (state, contacts)


def contact(name: bytes, state: bytes = b"active", more: bytes = b'event="registered"') -> bytes:
    return b'<contact id="%s" state="%s" %s><uri>sip:%s@127.0.0.1:5070</uri></contact>' % (name, state, more, name)


class ParseTests(SynchronousTestCase):
    def test_full_document(self) -> None:
        """Addresses, contacts, states, events, times and instances are all read."""
        body = document(
            entry(
                contact(b"one", b"active", b'event="shortened" expires="36001"')
                + b'<contact id="two" state="terminated" event="probation" retry-after="7"><uri> sip:x@y </uri>'
                b'<display-name>Some One</display-name><unknown-param name="+sip.instance">"&lt;urn:uuid:1&gt;"'
                b"</unknown-param></contact>"
            ),
            3,
        )
        info = parse(body)
        self.assertEqual((info.version, info.full), (3, True))
        (only,) = info.entries
        self.assertEqual((only.id, only.aor, only.state), ("a7", "sip:gw1@ims.test", "active"))
        one, two = only.contacts
        self.assertEqual(
            (one.uri, one.active, one.event, one.expires), ("sip:one@127.0.0.1:5070", True, "shortened", 36001)
        )
        self.assertEqual((two.uri, two.active, two.event, two.retry_after), ("sip:x@y", False, "probation", 7))
        self.assertEqual(two.instance, "<urn:uuid:1>")

    def test_what_other_namespaces_say_is_skipped(self) -> None:
        """An operator's extensions neither disturb nor deceive."""
        body = document(
            b'<x:registration xmlns:x="urn:x" aor="sip:evil@x" id="e"><x:contact/></x:registration>'
            + entry(contact(b"one"))
        )
        self.assertEqual([item.aor for item in parse(body).entries], ["sip:gw1@ims.test"])

    def test_strange_numbers_are_no_numbers(self) -> None:
        """A negative, endless or lettered time is as good as none."""
        for text in (b"-1", b"99999999999", b"soon", b"\xc2\xb2"):
            info = parse(document(entry(contact(b"one", b"active", b'event="registered" expires="%s"' % text))))
            self.assertIsNone(info.entries[0].contacts[0].expires)

    def test_hostile_documents_are_refused(self) -> None:
        """Entity bombs, endless nesting, floods of elements, other documents: refused before they cost anything."""
        bomb = b'<!DOCTYPE reginfo [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + document(b"&b;")[21:]
        outside = b'<!DOCTYPE r SYSTEM "file:///etc/passwd">' + document(b"")[21:]
        for body in (
            b"",
            b"no xml",
            b"\xff\xfe\x00",
            bomb,
            outside,
            document(b"<a>" * 50 + b"</a>" * 50),
            document(b"<a/>" * (regevent.BOUNDS.elements + 1)),
            document(entry(b"<contact><uri>" + b"x" * 2000 + b"</uri></contact>")),
            document(b"") + b" " * regevent.BOUNDS.octets,
            b'<reginfo version="0" state="full"/>',
            b'<other xmlns="urn:ietf:params:xml:ns:reginfo" version="0"/>',
            b'<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" state="full"/>',
            b'<?xml version="1.0" encoding="x-strange"?>' + document(b"")[21:],
            b'<?xml version="1.0" encoding="shift_jis"?>' + document(b"")[21:],
            b'<?xml version="1.0" encoding="utf-7"?>' + document(b"")[21:],
            document(b"")[:-3],
        ):
            with self.subTest(body=body[:80]):
                self.assertRaises(RegEventError, parse, body)

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=200), st.integers(0, 150), st.integers(0, 150))
    def test_nothing_else_is_raised(self, noise: bytes, start: int, end: int) -> None:
        """Whatever the network writes into the document, there is a value or one kind of error."""
        whole = document(entry(contact(b"one")))
        try:
            parse(whole[:start] + noise + whole[end:])
        except RegEventError as error:
            self.assertNotEqual(str(error), "")


class ViewTests(SynchronousTestCase):
    def take(self, view: RegView, body: bytes) -> Applied:
        return view.apply(parse(body))

    def test_partial_documents_add_up(self) -> None:
        """A partial document changes the contacts it names and leaves the others alone."""
        view = RegView()
        self.take(view, document(entry(contact(b"one") + contact(b"two")), 5))
        gone = contact(b"two", b"terminated", b'event="expired"')
        self.assertEqual(self.take(view, document(entry(gone), 6, b"partial")), Applied.TAKEN)
        self.assertEqual([(c.id, c.active) for c in view.contacts()], [("one", True), ("two", False)])

    def test_old_versions_are_dropped(self) -> None:
        """A document that was overtaken, or comes twice, changes nothing."""
        view = RegView()
        self.take(view, document(entry(contact(b"one")), 5))
        for version in (5, 4):
            self.assertEqual(self.take(view, document(entry(b"", b"terminated"), version)), Applied.OLD)
        self.assertFalse(view.all_terminated())

    def test_a_missed_document_is_noticed(self) -> None:
        """After a gap a partial document cannot be trusted; a full one can."""
        view = RegView()
        self.assertEqual(self.take(view, document(entry(contact(b"one")), 2, b"partial")), Applied.GAP)
        self.take(view, document(entry(contact(b"one")), 5))
        self.assertEqual(self.take(view, document(entry(contact(b"one")), 7, b"partial")), Applied.GAP)
        self.assertEqual(self.take(view, document(entry(contact(b"one")), 9)), Applied.TAKEN)

    def test_all_terminated(self) -> None:
        """A registrar that names no contacts and no reason still says that the registration is over."""
        view = RegView()
        self.assertFalse(view.all_terminated())
        self.take(view, document(entry(b"", b"terminated")))
        self.assertTrue(view.all_terminated())

    def test_bounded(self) -> None:
        """Partial documents without end do not fill the memory."""
        view = RegView()
        self.take(view, document(b"", 0))
        for version in range(1, 4):
            inner = b"".join(
                b'<registration aor="sip:%d@x" id="%d-%d" state="active"/>' % (n, version, n) for n in range(300)
            )
            self.take(view, document(inner, version, b"partial"))
        self.assertEqual(len(view.entries), regevent.MAX_REGISTRATIONS)
