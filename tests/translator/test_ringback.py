"""Ring-back: every row of the table, and what a caller hears in the ways that networks behave."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.machine import Machine
from rtcgw.model.events import Progress, Sound, Stage
from rtcgw.model.peer import EarlyMedia
from rtcgw.translator.ringback import RING_TABLE, RingEvent, RingState, RingTone
from tests.translator.callcase import pranswer

S, E = RingState, RingEvent
SOUND = {
    S.SILENT: Sound.NONE,
    S.EXPECTING: Sound.NONE,
    S.PLAYING: Sound.NETWORK,
    S.MUTED: Sound.NONE,
    S.RINGING: Sound.LOCAL,
    S.WAITING: Sound.LOCAL,
    S.HEARD: Sound.NETWORK,
    S.HUSHED: Sound.LOCAL,
    S.OVER: Sound.NONE,
}
"""What the caller hears in each state."""

RINGING = Progress(Stage.RINGING)
EARLY = pranswer("early")


class TableTests(SynchronousTestCase):
    """The table itself."""

    def tone(self, state: RingState, habit: EarlyMedia = EarlyMedia.AUTO) -> RingTone:
        self.told: list[Sound] = []
        tone = RingTone(Clock(), self.told.append, habit)
        tone.machine.state = state
        return tone

    def test_told_on_change_only(self) -> None:
        """In every state, whatever happens: the caller is told what it will hear, and only when that changes."""
        for state in S:
            for event in E:
                tone = self.tone(state)
                tone.machine.handle(event)
                after = tone.machine.state
                changed = [] if SOUND[after] is SOUND[state] else [SOUND[after]]
                self.assertEqual(self.told, changed, f"{state.name} {event.name} -> {after.name}")

    def test_ringing_is_kept(self) -> None:
        """What rings goes on ringing until it is answered; what does not ring begins only with a 180."""
        rings = {S.RINGING, S.WAITING, S.HEARD, S.HUSHED}
        for state in set(S) - {S.OVER}:
            for event in set(E) - {E.ANSWERED}:
                tone = self.tone(state)
                tone.machine.handle(event)
                self.assertEqual(tone.machine.state in rings, state in rings or event is E.RINGS, f"{state} {event}")

    def test_every_state_can_come_about(self) -> None:
        """No row is idle talk: from the beginning each state is reached, and each can be answered."""
        found, fresh = {S.SILENT}, [S.SILENT]
        while fresh:
            rows = RING_TABLE.rows[fresh.pop()]
            for row in rows.values():
                if row.next not in found:
                    found.add(row.next)
                    fresh.append(row.next)
        self.assertEqual(found, set(S))
        self.assertTrue(all(E.ANSWERED in RING_TABLE.rows[state] for state in set(S) - {S.OVER}))

    def test_no_timer(self) -> None:
        """It holds nothing that a call's end would have to free."""
        self.assertEqual(Machine(RING_TABLE, self, Clock()).table.timers, {})


class HabitCase(SynchronousTestCase):
    """`hears` after each step."""

    habit = EarlyMedia.AUTO

    def setUp(self) -> None:
        self.told: list[Sound] = []
        self.tone = RingTone(Clock(), self.told.append, self.habit)

    def hears(self, *sounds: Sound) -> None:
        """What was told since the last look."""
        told, self.told[:] = list(self.told), []
        self.assertEqual(told, list(sounds))


class AutoTests(HabitCase):
    """RFC 3960 §3.2 and RFC 5009."""

    def test_plain_phone(self) -> None:
        """180, 200: the caller's own tone until the answer."""
        self.tone.progressed(RINGING)
        self.hears(Sound.LOCAL)
        self.tone.progressed(RINGING)
        self.hears()
        self.tone.answered()
        self.hears(Sound.NONE)

    def test_network_says_that_it_sends(self) -> None:
        """An announcement, promised by P-Early-Media: heard at once, and no ring-back over it."""
        self.tone.progressed(Progress(Stage.SESSION, EARLY, sounds=True))
        self.hears(Sound.NETWORK)
        self.tone.progressed(RINGING)
        self.tone.heard()
        self.hears()
        self.tone.answered()
        self.hears(Sound.NONE)

    def test_network_says_that_it_is_silent(self) -> None:
        """Believed, whatever packets come: comfort noise is no ring-back tone."""
        self.tone.progressed(Progress(Stage.SESSION, EARLY, sounds=False))
        self.tone.heard()
        self.hears()
        self.tone.progressed(RINGING)
        self.tone.heard()
        self.hears(Sound.LOCAL)

    def test_network_changes_its_mind(self) -> None:
        """The last word holds: first a tone of the network's own, then ringing without one, then an announcement."""
        self.tone.progressed(Progress(Stage.SESSION, EARLY, sounds=True))
        self.tone.progressed(Progress(Stage.RINGING, sounds=False))
        self.tone.progressed(Progress(Stage.SESSION, EARLY, sounds=True))
        self.hears(Sound.NETWORK, Sound.NONE, Sound.LOCAL, Sound.NETWORK)

    def test_first_packet(self) -> None:
        """A network that says nothing: the local tone until its first packet."""
        self.tone.progressed(Progress(Stage.RINGING, EARLY))
        self.hears(Sound.LOCAL)
        self.tone.heard()
        self.hears(Sound.NETWORK)

    def test_description_without_sound(self) -> None:
        """183 with a description and no packets: silence is what it is, until the phone rings."""
        self.tone.progressed(Progress(Stage.SESSION, EARLY))
        self.hears()
        self.tone.progressed(RINGING)
        self.hears(Sound.LOCAL)

    def test_ringing_while_packets_flow(self) -> None:
        """180 after 183, packets flowing: the network's own ring-back is not doubled."""
        self.tone.progressed(Progress(Stage.SESSION, EARLY))
        self.tone.heard()
        self.hears(Sound.NETWORK)
        self.tone.progressed(RINGING)
        self.hears()

    def test_announcement_is_over(self) -> None:
        """An announcement, then a phone that rings: when the network's sound stops the local tone takes over."""
        self.tone.progressed(Progress(Stage.SESSION, EARLY))
        self.tone.heard()
        self.tone.progressed(RINGING)
        self.hears(Sound.NETWORK)
        self.tone.lulled()
        self.hears(Sound.LOCAL)
        self.tone.heard()
        self.hears(Sound.NETWORK)

    def test_promise_without_description(self) -> None:
        """Sound that nothing has described cannot be heard: the caller is not left in silence."""
        self.tone.progressed(Progress(Stage.RINGING, sounds=True))
        self.hears(Sound.LOCAL)

    def test_second_try(self) -> None:
        """An offer refused after an announcement: the second try begins with what rings, not with the network."""
        self.tone.progressed(Progress(Stage.SESSION, EARLY, sounds=True))
        self.tone.retried()
        self.hears(Sound.NETWORK, Sound.NONE)
        self.tone.progressed(RINGING)
        self.tone.heard()
        self.tone.retried()
        self.hears(Sound.LOCAL, Sound.NETWORK, Sound.LOCAL)
        self.tone.answered()
        self.hears(Sound.NONE)

    def test_after_the_answer(self) -> None:
        """The first packet after the answer is the conversation."""
        self.tone.progressed(RINGING)
        self.tone.answered()
        self.hears(Sound.LOCAL, Sound.NONE)
        self.tone.heard()
        self.tone.progressed(RINGING)
        self.tone.lulled()
        self.hears()


class LocalTests(HabitCase):
    """`early_media = "local"`: a network whose sound is not wanted."""

    habit = EarlyMedia.LOCAL

    def test_never_the_network(self) -> None:
        """Whatever it promises and sends."""
        self.tone.progressed(Progress(Stage.SESSION, EARLY, sounds=True))
        self.tone.heard()
        self.hears()
        self.tone.progressed(RINGING)
        self.tone.heard()
        self.tone.lulled()
        self.hears(Sound.LOCAL)


class NetworkTests(HabitCase):
    """`early_media = "network"`: a network that plays its tones without saying so."""

    habit = EarlyMedia.NETWORK

    def test_once_it_has_described_itself(self) -> None:
        """The local tone only as long as there is no early description; then the network's, even if it pauses."""
        self.tone.progressed(RINGING)
        self.hears(Sound.LOCAL)
        self.tone.progressed(Progress(Stage.RINGING, EARLY, sounds=False))
        self.hears(Sound.NETWORK)
        self.tone.lulled()
        self.hears()
