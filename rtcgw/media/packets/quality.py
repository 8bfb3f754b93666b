"""How good a stream is: loss and jitter as packets pass (RFC 3550), and what people would say of it (the E-model).

`mos` is the transmission rating of ITU-T G.107 reduced to what a gateway can know: delay, codec and packet loss;
everything else has the recommendation's default values, which add up to R = 93.2. Wideband codecs are rated on the
scale of G.107.1, where the best is R = 129, mapped to opinions as that recommendation says.
It is an estimate to compare calls by, not a measurement of speech.
"""

from __future__ import annotations

import math
from typing import NamedTuple

DROPOUT = 3000
"""Sequence numbers by which a stream may leap forward before its next packet must confirm it (RFC 3550 §A.1)."""
MISORDER = 100
"""Sequence numbers that a packet may come late by, likewise."""
_WILD = 10
"""Seconds between arrival and timestamp beyond which a packet says nothing of jitter: a pause, another clock."""


class Meter:
    """Loss and jitter of one stream, source after source (RFC 3550 §A.1, A.3, A.8).

    `begin` opens a source, `take` counts a packet of it. Times are seconds, `rate` is the timestamps' clock in Hz.
    """

    __slots__ = (
        "_expected_before",
        "_jitter",
        "_odd",
        "_received_before",
        "_received_now",
        "_span",
        "_transit",
        "_wild",
        "last",
        "rate",
        "seq",
        "ts",
    )

    def __init__(self, rate: int = 8000) -> None:
        self.rate = rate
        self.seq = 0
        """Newest sequence number."""
        self.ts = 0
        """Its timestamp."""
        self.last: float | None = None
        """When a packet came last."""
        self._span = -1
        """Distance of the newest sequence number from the source's first; -1 before any."""
        self._received_now = 0
        self._expected_before = self._received_before = 0
        """Totals of the sources before the present one."""
        self._transit = math.nan
        """Arrival less timestamp, in its units; nan, with which nothing compares, where there is none yet."""
        self._wild = _WILD * rate
        self._jitter = 0.0
        """In timestamp units, as in the RFC."""
        self._odd = -1
        """Sequence number that would confirm a leap."""

    def begin(self, seq: int, ts: int) -> None:
        """The packet that is counted next is the first of its source."""
        self._expected_before += self._span + 1
        self._received_before += self._received_now
        self._span = self._received_now = 0
        self.seq, self.ts = seq, (ts - 1) & 0xFFFFFFFF
        self._transit, self._odd = math.nan, -1

    def clock(self, rate: int) -> None:
        """The timestamps' clock is another one from now on."""
        if rate != self.rate:
            self._jitter *= rate / self.rate
            self.rate, self._transit, self._wild = rate, math.nan, _WILD * rate

    def take(self, seq: int, ts: int, now: float) -> bool:
        """Count a packet. False: it is so far from the others that it may be forged; not counted (see `leaps`)."""
        step = (seq - self.seq) & 0xFFFF
        if step < DROPOUT:
            self.seq = seq
            self._span += step
            if ts != self.ts:  # of several packets of one picture the first says it all
                self.ts = ts
                transit = now * self.rate - ts
                change = transit - self._transit
                self._transit = transit
                if change < 0:
                    change = -change
                if change < self._wild:
                    self._jitter += (change - self._jitter) * 0.0625
        elif step <= 0xFFFF - MISORDER:
            return False
        self._received_now += 1
        self.last = now
        return True

    def leaps(self, seq: int) -> bool:
        """Whether a packet refused by `take` follows the one refused before: the source has really leapt."""
        confirmed = seq == self._odd
        self._odd = (seq + 1) & 0xFFFF
        return confirmed

    @property
    def received(self) -> int:
        """Packets that came, those that came twice included."""
        return self._received_before + self._received_now

    @property
    def expected(self) -> int:
        """Packets that should have come, by their sequence numbers."""
        return self._expected_before + self._span + 1

    @property
    def lost(self) -> int:
        """Packets that never came. Duplicates make good for losses, as in RFC 3550 §6.4.1, but never for more."""
        return max(0, self.expected - self.received)

    @property
    def jitter(self) -> float:
        """Milliseconds."""
        return 1000 * self._jitter / self.rate


class _Rating(NamedTuple):
    """What a codec costs, and how it stands loss."""

    impairment: float
    """Ie, equipment impairment without loss."""
    robustness: float
    """Bpl, packet-loss robustness."""
    wide: bool = False
    """On the wideband scale."""


_RATINGS = {
    # ITU-T G.113 appendix I: G.711 with loss concealment; GSM EFR, which AMR 12.2 is.
    "PCMU": _Rating(0, 25.1),
    "PCMA": _Rating(0, 25.1),
    "AMR": _Rating(5, 10),
    # ITU-T G.113 amendment 1, wideband: G.722 at 64 kbit/s, G.722.2 at 12.65 kbit/s, the rate of most networks.
    "G722": _Rating(13, 4.9, wide=True),
    "AMR-WB": _Rating(13, 4.3, wide=True),
    # No recommendation rates Opus. At 24 kbit/s it is judged at least as good as G.722.2 at 23.85 kbit/s (Ie,wb 8),
    # and its concealment as G.711's with appendix I on the narrow scale, brought to the wide one.
    "OPUS": _Rating(8, 18, wide=True),
}
_NARROW, _WIDE = 93.2, 129.0
FRAME = 20.0
"""Milliseconds of sound that a packet usually holds, which its receiver has to wait for."""


def delay_impairment(delay: float) -> float:
    """Idd of ITU-T G.107 §7.4 for a one-way delay in milliseconds; nothing up to 100 ms."""
    if delay <= 100:
        return 0.0
    x = math.log2(delay / 100)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def opinion(rating: float) -> float:
    """R as a mean opinion score (ITU-T G.107 annex B), 1 to 4.5."""
    if rating <= 0:
        return 1.0
    if rating >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating))


def rating(codec: str, loss: float, delay: float) -> float:
    """R on the scale of narrowband speech: `loss` 0 to 1, one-way `delay` in milliseconds from mouth to ear.

    A codec that is not known is rated as AMR.
    """
    known = _RATINGS.get(codec, _RATINGS["AMR"])
    best = _WIDE if known.wide else _NARROW
    percent = 100 * min(max(loss, 0.0), 1.0)
    worst = _WIDE if known.wide else 95.0  # G.107 (7-29); G.107.1 has the whole scale in its place
    effective = known.impairment + (worst - known.impairment) * percent / (percent + known.robustness)
    found = best - delay_impairment(delay) - effective
    return found / 1.29 if known.wide else found  # G.107.1 annex A


def mos(codec: str, loss: float, delay: float, jitter: float) -> float:
    """The opinion that listeners would have, 1 to 4.5.

    `loss` 0 to 1 of the packets, one-way `delay` of the network and `jitter` in milliseconds. A receiver is taken to
    wait for one packet and to hold back twice the jitter.
    """
    return opinion(rating(codec, loss, delay + FRAME + 2 * jitter))
