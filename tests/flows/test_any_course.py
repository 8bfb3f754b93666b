"""Any course of events from both sides of calls: every call ends once both sides hang up, and nothing of it stays.

    RTCGW_COURSES=5000      so many courses instead of a few
    RTCGW_SEED=7            other ones; each course has a number, which a failure tells

A course that fails is taken again without some of its steps for as long as it still fails, so that the message shows
a short one. Hypothesis was refused here: its courses hardly ever got as far as an answered call, and what makes sense
next depends on what the gateway has said, which it cannot know when it draws.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from random import Random
from typing import ClassVar

from attrs import frozen
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.flows.course import Course
from tests.flows.relayed import RelayedCourse
from tests.flows.steps import BEGINNINGS, ENDS, Step, wild

COURSES = int(os.environ.get("RTCGW_COURSES", "120"))
SEED = int(os.environ.get("RTCGW_SEED", "0"))
LENGTH = 30
"""Steps of a course at most."""


@frozen
class Told:
    """A course as it was taken."""

    terms: dict[str, bool]
    ladder: str
    steps: tuple[Step, ...]
    end: str


class AnyCourseTests(SynchronousTestCase):
    """Random courses, always the same ones unless the environment wishes otherwise."""

    maxDiff = None
    kind: type[Course] = Course
    terms: ClassVar[dict[str, float]] = {"local": 0.6, "early": 0.5, "second": 0.3, "slow": 0.25}
    """How likely each of `MarkedMedia`'s terms is."""

    def test_any_course(self) -> None:
        """No call stays, nothing leaks, each has one record, every request one answer, and no line of a fault."""
        self.search(COURSES)

    def search(self, courses: int) -> None:
        for number in range(SEED, SEED + courses):
            told, wrong = self.first(Random(number))
            if wrong:
                told, wrong = self.shortened(told, wrong)
                course = "\n".join(map(str, (told.terms, told.ladder, *told.steps, told.end)))
                self.fail(f"course {number}:\n{course}\n\n{wrong}")

    def first(self, random: Random) -> tuple[Told, str]:
        """A course thought up on the way."""
        terms = {name: random.random() < chance for name, chance in self.terms.items()}
        ladder = random.choice(("auto", "auto", "patent"))
        end = random.choice(ENDS)
        calm = random.choice((0.5, 0.75, 0.92))
        steps: list[Step] = []
        course = self.kind(ladder, **terms)

        def thought_up() -> Iterator[Step]:
            for step in random.choice(BEGINNINGS):
                steps.append(step)
                yield step
            for _ in range(random.randint(1, LENGTH)):
                sensible = course.sensible()
                steps.append(random.choice(sensible) if sensible and random.random() < calm else wild(random))
                yield steps[-1]

        wrong = self.judged(course, thought_up(), end)
        return Told(terms, ladder, tuple(steps), end), wrong

    def again(self, told: Told) -> str:
        """What is wrong with a course that was thought up before."""
        return self.judged(self.kind(told.ladder, **told.terms), told.steps, told.end)

    def judged(self, course: Course, steps: Iterable[Step], end: str) -> str:
        """Take the steps; what is wrong at the end, empty when nothing is."""
        try:
            for step in steps:
                course.take(step)
            course.end(end)
            faults = [f"{name}: {what}" for name, what in course.faults().items()]
        except Exception:
            faults = [Failure().getTraceback()]
        faults += [failure.getTraceback() for failure in self.flushLoggedErrors()]
        return "\n".join([*course.rig.ladder, "", *faults]) if faults else ""

    def shortened(self, told: Told, wrong: str) -> tuple[Told, str]:
        """The course without the steps that it does not need in order to fail."""
        width = len(told.steps)
        while width:
            for start in range(0, len(told.steps), width):
                steps = told.steps[:start] + told.steps[start + width :]
                fewer = Told(told.terms, told.ladder, steps, told.end)
                still = self.again(fewer)
                if still:
                    told, wrong = fewer, still
                    break
            else:
                width //= 2
        return told, wrong


class RelayedTests(AnyCourseTests):
    """The same with the gateway's own relay; see `relayed.py`."""

    kind = RelayedCourse
    terms: ClassVar[dict[str, float]] = {"video": 0.3}

    def test_any_course(self) -> None:
        """As before, and no port stays open."""
        self.search(COURSES // 3)
