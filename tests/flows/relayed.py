"""Random courses with the relay of the gateway's own process between the parties, in place of marked media.

Pages write what browsers do, phones what phones do, but nothing flows: what is looked at is that the relay's sessions
follow any course of descriptions, and that their ports are free afterwards.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.task import Clock

from rtcgw.config import Config
from rtcgw.media.embedded.backend import EmbeddedBackend, EmbeddedSettings
from rtcgw.media.webside.dtls import Identity
from tests.flows.course import Course
from tests.flows.rig import Page, Rig
from tests.flows.steps import PAGE_ANSWER, PAGE_OFFER
from tests.media.memory import Network
from tests.peers.webrtc import WebRtcPeer

IDENTITY: Final = Identity()
"""Of all pages: making one takes longer than a call."""


class RelayedCourse(Course):
    """`video`: pages offer pictures as well."""

    def build(self, config: Config, video: bool = False, **media: bool) -> Rig:
        self.video = video
        clock = Clock()
        self.network = Network(clock)
        backend = EmbeddedBackend(EmbeddedSettings(setup_time=120), clock, self.network)
        backend.start()
        self.free = list(self.network.ports)
        return Rig(config, backend, clock=clock)

    def written(self, page: Page, sdp: str, session: str | None) -> str:
        browser = WebRtcPeer(Clock(), lambda data, target: None, identity=IDENTITY, extras=["video"] * self.video)
        if sdp == PAGE_ANSWER:
            page.look()
            offers = [each for each in page.transcript if each["type"] == "OFFER" and each["session"] == session]
            return browser.answer(offers[-1]["sdp"]) if offers else sdp
        return browser.offer() if sdp == PAGE_OFFER else sdp

    def faults(self) -> dict[str, Any]:
        found = super().faults()
        ports = [port for port in self.network.ports if port not in self.free]
        return found | ({"ports": ports} if ports else {})
