"""A board's clock in host time: a line through the quickest of the last TIME round trips.

A TIME reply says when the last octet of the request came and when the reply was composed, in
microseconds of a counter of 32 bits that wraps every 71.6 minutes. Line time is known and taken off
both ways; what is left of a round trip is waiting, on one side or the other, and the less of it
there was the better the middle of the host's two stamps is where the middle of the board's is. So
only the best quartile counts (as clocks over networks are set: Mills, RFC 5905 section 10).
"""

from __future__ import annotations

from collections import deque
from math import sqrt
from typing import NamedTuple

US = 1_000
WRAP = 1 << 32
#: Round trips that are remembered, and how many of them a line needs at least.
DEPTH, LEAST = 64, 4
#: A line is fitted through more than one point only if they are at least so far apart.
LEAST_SPAN_NS = 50_000_000


class Sample(NamedTuple):
    """One round trip: the middle of the board's two stamps and of the host's, and what it took."""

    board_us: int  #: extended beyond 32 bits
    host_ns: int
    waiting_ns: int  #: of the round trip, neither on the line nor in the board


class ClockFit:
    """Fits host time to board time; every figure is that of the samples since the last reset."""

    def __init__(self) -> None:
        self.resets = 0
        self._samples: deque[Sample] = deque(maxlen=DEPTH)
        self._clear()

    def _clear(self) -> None:
        self._samples.clear()
        self._last_us: int | None = None
        self._at_us, self._at_ns, self._ns_per_us = 0, 0, float(US)
        #: Root mean square of what the samples of the fit are off, in ns; None before a fit.
        self.residual_ns: float | None = None
        #: How much faster (above 0) the board's clock runs than the host's, in 1e-6.
        self.drift_ppm: float | None = None
        #: Samples in the fit, of those that are remembered.
        self.fitted = 0

    def reset(self) -> None:
        """Forget everything: after a reset the board's counter starts anew."""
        self.resets += 1
        self._clear()

    @property
    def ready(self) -> bool:
        """Whether board time can be converted."""
        return self.residual_ns is not None

    def extend_us(self, t_us: int) -> int:
        """Return a stamp of 32 bits as the one next to the last sample, beyond 32 bits."""
        last = self._last_us
        if last is None:
            return t_us
        half = WRAP >> 1
        return last + ((t_us - last + half) % WRAP) - half

    def add(
        self, sent_ns: int, received_ns: int, board_us: tuple[int, int], line_ns: tuple[int, int]
    ) -> None:
        """Take a round trip: host stamps, the reply's two stamps, line time of request and reply.

        ``sent_ns`` is when the first octet of the request went out, ``received_ns`` when the last
        one of the reply was there. Only of a request that was sent once.
        """
        came = self.extend_us(board_us[0])
        spent = (board_us[1] - board_us[0]) % WRAP
        begin, end = sent_ns + line_ns[0], received_ns - line_ns[1]
        self._last_us = came
        self._samples.append(
            Sample(came + spent // 2, (begin + end) // 2, end - begin - spent * US)
        )
        if len(self._samples) >= LEAST:
            self._fit()

    def _fit(self) -> None:
        quickest = sorted(self._samples, key=lambda sample: sample.waiting_ns)
        best = quickest[: max(LEAST, len(quickest) // 4)]
        n = len(best)
        # Around the mean, so that a float holds what matters of numbers of 64 bits.
        self._at_us = sum(sample.board_us for sample in best) // n
        self._at_ns = sum(sample.host_ns for sample in best) // n
        x = [float(sample.board_us - self._at_us) for sample in best]
        y = [float(sample.host_ns - self._at_ns) for sample in best]
        xx = sum(a * a for a in x)
        self._ns_per_us = float(US)
        if (max(x) - min(x)) * US >= LEAST_SPAN_NS:
            self._ns_per_us = sum(a * b for a, b in zip(x, y, strict=True)) / xx
        off = [b - self._ns_per_us * a for a, b in zip(x, y, strict=True)]
        self.residual_ns = sqrt(sum(a * a for a in off) / n)
        self.drift_ppm = (US / self._ns_per_us - 1) * 1e6
        self.fitted = n

    def to_host_ns(self, t_us: int) -> int:
        """Return the host time of a stamp of 32 bits, ns; before a fit that of the last sample."""
        board_us = self.extend_us(t_us)
        if self.residual_ns is None and self._samples:
            last = self._samples[-1]
            return last.host_ns + (board_us - last.board_us) * US
        return self._at_ns + round((board_us - self._at_us) * self._ns_per_us)

    def figures(self) -> dict[str, float | int | None]:
        """Return what ``hil boards`` shows of the clock."""
        return {
            "samples": len(self._samples),
            "fitted": self.fitted,
            "residual_ns": self.residual_ns,
            "drift_ppm": self.drift_ppm,
            "resets": self.resets,
        }
