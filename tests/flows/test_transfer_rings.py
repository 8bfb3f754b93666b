"""Transfers by which calls would come to consist of nothing but each other: they fail, and nobody echoes."""

from __future__ import annotations

from tests.flows.rig import Page
from tests.flows.transfers import TransferCase, sdp


class RingTests(TransferCase):
    """bob's page and carol's talk to each other twice, each time handed on by alice."""

    def setUp(self) -> None:
        super().setUp()
        # The marks that stand for descriptions here are none to the media that carry phones to each other.
        self.rig.translator._web_media = self.rig.media
        self.page.send("HANGUP", session=self.session)
        self.bob, self.carol = self.rig.page("bob"), self.rig.page("carol")
        self.rig.advance()
        self.bobs, self.carols = zip(*(self.handed_on() for _ in range(2)), strict=True)
        self.seen = len(self.carol.transcript), len(self.bob.transcript)

    def handed_on(self) -> tuple[str, str]:
        """bob calls alice, who hands him on to carol: the sessions of the two."""
        mine = self.bob.call("alice", sdp("bob"))
        self.rig.advance()
        self.session = self.page.invited
        self.page.send("ANSWER", session=self.session, sdp=sdp("alice"))
        self.rig.advance()
        self.bob.send("ANSWER", session=mine)
        self.rig.advance()
        self.transfer(to="carol")
        hers = self.carol.invited
        self.carol.send("ANSWER", session=hers, sdp="hers")
        self.rig.advance()
        self.bob.send("ANSWER", session=mine, sdp="his")
        self.rig.advance()
        return mine, hers

    def join(self, page: Page, sessions: tuple[str, ...]) -> None:
        """A page joins its two calls; whoever is asked for a change takes it."""
        page.send("TRANSFER", session=sessions[0], **{"with": sessions[1]})
        for _ in range(8):
            self.rig.advance(0.5)
            start, self.seen = self.seen, (len(self.carol.transcript), len(self.bob.transcript))
            for other, since in zip((self.carol, self.bob), start, strict=True):
                for news in other.transcript[since:]:
                    if news["type"] == "OFFER":
                        other.send("ANSWER", session=news["session"], sdp="theirs")

    def test_by_who_calls(self) -> None:
        """bob leaves carol with herself; when she tries to leave as well, nobody would be left, and nothing happens
        however long it takes."""
        self.join(self.bob, self.bobs)
        self.assertEqual(self.bob.last("HANGUP")["reason"], "transferred")
        self.assertEqual(len(self.rig.translator.calls), 3)
        self.join(self.carol, self.carols)
        self.rig.advance(60)
        self.assertNotEqual(self.news(self.carol)[-1], "done")
        self.carol.send("HANGUP", session=self.carols[0])
        self.rig.advance()
        self.assertEqual(len(self.rig.translator.calls), 0)

    def test_by_who_is_called(self) -> None:
        """Who was called may join the calls as well, though the page's id is that of the call next to its own."""
        self.join(self.carol, self.carols)
        self.assertEqual(self.carol.last("HANGUP")["reason"], "transferred")
        self.assertEqual(len(self.rig.translator.calls), 3)
        self.bob.send("HANGUP", session=self.bobs[1])
        self.rig.advance()
        self.assertEqual(len(self.rig.translator.calls), 0)
