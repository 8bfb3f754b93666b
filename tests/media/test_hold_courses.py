"""Holds and cameras in any order, taken and refused: what is refused has changed nothing, and holds last until taken
back, whatever else changes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import MediaError, Reoffer
from rtcgw.media.sdp import Direction, parse
from tests.media.descriptions import page, phone, phone_line, used, web_line
from tests.media.memory import Bench

STEPS = st.lists(
    st.tuples(st.sampled_from(("hold", "camera", "phone holds", "phone refreshes")), st.booleans(), st.booleans()),
    max_size=12,
)
"""What happens, on or off, and whether the other side takes it."""


class Course:
    """A call whose both sides change their minds; the phone answers what it is offered, line by line."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.camera = self.held = self.phone_holds = False
        self.seen_camera = False
        """The camera was offered once, so its line is there for good."""
        self.version = 1
        self.refusals = 0
        self.bench.session.offer(self.bench.web, self.page())
        self.bench.session.answer(self.bench.core, self.phone(self.bench.told_core), True)

    def page(self) -> str:
        """The page's offer."""
        lines = [web_line()]
        if self.seen_camera or self.camera:
            lines.append(web_line("video", "1", (96,), port=9 if self.camera else 0))
        return page(*lines, version=self.version)

    def phone(self, told: str) -> str:
        """The phone's answer to what it was told."""
        self.version += 1
        wish = Direction.SENDONLY if self.phone_holds else Direction.SENDRECV
        lines = []
        for media in parse(told).media:
            direction = wish.within((media.direction or Direction.SENDRECV).mirrored).value
            formats = (0, 101) if media.kind == "audio" else (96,)
            port = 0 if media.port == 0 else 4000 if media.kind == "audio" else 5000
            lines.append(phone_line(media.kind, formats, port, direction=direction))
        return phone(*lines, version=self.version)

    @property
    def state(self) -> object:
        """All that a refused change must leave as it was."""
        talks = self.bench.session.talks
        lines = [
            (line.kind, line.core.told, line.core.direction, line.web.told, line.agreed, line.held, line.deaf)
            for line in talks.lines
        ]
        relays = [(line.relay._hears, line.relay._wants) for line in talks.lines]
        return self.bench.told_core, self.bench.told_web, talks.holders, lines, relays

    def decided(self, offer: str, takes: bool) -> bool:
        """The phone has an offer."""
        session = self.bench.session
        if takes:
            session.answer(self.bench.core, self.phone(offer), True)
        else:
            session.revert()
            self.refusals += 1
        return takes

    # -- steps -----------------------------------------------------------------------------

    def hold(self, on: bool, takes: bool) -> None:
        offer = str(self.bench.session.hold(self.bench.web, on))
        if not offer:
            assert on is self.held
        elif self.decided(offer, takes):
            self.held = on

    def switch_camera(self, on: bool, takes: bool) -> None:
        before, self.camera = self.camera, on
        self.version += 1
        found = self.bench.session.reoffer(self.bench.web, self.page())
        assert isinstance(found, Reoffer)
        if found.offer is not None and not self.decided(found.offer, takes):
            self.camera = before
        self.seen_camera = self.seen_camera or self.camera

    def phone_offers(self, holds: bool) -> None:
        self.phone_holds = holds
        wish = Direction.SENDONLY if holds else Direction.SENDRECV
        self.version += 1
        lines = []
        for kind, is_used in used(self.bench.told_core):
            formats, port = ((0, 101), 4000) if kind == "audio" else ((96,), 5000)
            lines.append(phone_line(kind, formats, port if is_used else 0, direction=wish.value))
        found = self.bench.session.reoffer(self.bench.core, phone(*lines, version=self.version))
        assert isinstance(found, Reoffer)
        if found.offer is not None:  # a picture that is to be seen again is the page's to decide
            self.bench.session.answer(self.bench.web, page(*self.page_answers(found.offer)), True)

    def page_answers(self, offer: str) -> list[str]:
        kinds = enumerate(parse(offer).media)
        return [
            web_line(media.kind, str(place), (0, 126) if media.kind == "audio" else (96,), port=9 if media.port else 0)
            for place, media in kinds
        ]


class CourseTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(STEPS)
    def test_any(self, steps: list[tuple[str, bool, bool]]) -> None:
        """The phone always knows of a hold in force, and of none that it has refused."""
        course = Course()
        bench = course.bench
        for what, on, takes in steps:
            before = course.state
            refusals = course.refusals
            if what == "hold":
                course.hold(on, takes)
            elif what == "camera":
                course.switch_camera(on, takes)
            else:
                course.phone_offers(on if what == "phone holds" else course.phone_holds)
            if course.refusals > refusals:
                self.assertEqual(course.state, before, (what, on))
            sound = parse(bench.told_core).media[0].direction or Direction.SENDRECV
            self.assertEqual(sound.receives, not course.held, (what, on, takes))
            relay = bench.session.talks.lines[0].relay
            self.assertEqual(relay._hears, not course.held and not course.phone_holds)
            self.assertEqual(relay._wants, not course.held)
        if course.held:
            course.hold(False, True)
        self.assertRaises(MediaError, bench.session.reoffer, bench.web, "rubbish")
        bench.session.close()
