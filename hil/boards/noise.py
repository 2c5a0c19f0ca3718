"""What disturbs a line: text of something that is no board, and programs that use our port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SAMPLE_NBYTES: Final = 48
#: How often the counters of the link are looked at, and for how long nothing is looked up again.
LOOK_NS, PAUSE_NS = 1_000_000_000, 10_000_000_000
#: Counters that a sound line leaves alone, of a link and of a stick's; how many are no accident.
SIGNS: Final = ("rx_bad_frames", "hints", "timeouts", "unreadable")
ACCIDENTS: Final = 2


class Noise:
    """Keeps the last octets that were no answer, and tells when a line gets bad."""

    def __init__(self) -> None:
        self._sample = b""
        self._seen = 0
        self._look_ns = 0

    def start(self) -> None:
        """A port has been opened: what was heard on another one does not count."""
        self._sample = b""

    def hear(self, octets: bytes) -> None:
        """Take octets that came while no session was open."""
        self._sample = (self._sample + octets)[-SAMPLE_NBYTES:]

    @property
    def text(self) -> str:
        """The last octets, as far as they can be printed; '' for none."""
        return "".join(chr(octet) if 32 <= octet < 127 else "." for octet in self._sample)

    def due(self, now_ns: int) -> bool:
        """Tell whether :meth:`grown` is to be asked."""
        return now_ns >= self._look_ns

    def grown(self, counters: Mapping[str, int], now_ns: int) -> bool:
        """Tell whether the line has become bad since the last time, by more than an accident."""
        total = sum(counters.get(name, 0) for name in SIGNS)
        bad, self._seen = total - self._seen > ACCIDENTS, total
        self._look_ns = now_ns + (PAUSE_NS if bad else LOOK_NS)
        return bad
