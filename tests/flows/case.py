"""What every flow test has: a rig, a way to read its ladder, and a look afterwards at what is left."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.flows.rig import Rig, configured, lines


class FlowCase(SynchronousTestCase):
    """`rig` is registered; `settings` are keys of `[call]`. After each test nothing of any call may be left."""

    settings: ClassVar[dict[str, Any]] = {}
    maxDiff = None

    def setUp(self) -> None:
        self.rig = self.build()

    def build(self) -> Rig:
        return Rig(configured(**self.settings))

    def reads(self, text: str) -> None:
        """What was said since the last look is exactly this."""
        said, self.rig.ladder[:] = list(self.rig.ladder), []
        self.assertEqual(said, lines(text), "\n" + "\n".join(said))

    def tearDown(self) -> None:
        self.assertEqual(self.rig.left(), {})
