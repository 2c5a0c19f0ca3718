"""Whether a sensor reading may be believed, and what to act on when it may not.

Flight data of small satellites has runs of zeros and of frozen values while the rest goes on, so
neither a zero nor an unchanging reading is taken at face value. The last good value stands in for a
bad one until it is too old.
"""

from __future__ import annotations

from flightsw.codec.dictionary import Suspicion

_SECOND_NS = 1_000_000_000


class Trusted:
    """One reading with its limits. Values are integers in the unit of telemetry."""

    __slots__ = (
        "_count",
        "_frozen_after",
        "_raw",
        "_reference",
        "_reference_move",
        "good",
        "good_ns",
        "lower",
        "raw",
        "suspicion",
        "upper",
        "zero_is_bad",
    )

    def __init__(
        self,
        lower: int,
        upper: int,
        *,
        zero_is_bad: bool = True,
        frozen_after: int = 60,
        reference_move: int = 0,
    ) -> None:
        """Believe lower..upper.

        A reading that is the same ``frozen_after`` times in a row, while its reference moved by
        more than ``reference_move`` (0: never checked), is frozen.
        """
        self.lower = lower
        self.upper = upper
        self.zero_is_bad = zero_is_bad
        self._frozen_after = frozen_after
        self._reference_move = reference_move
        self._raw: int | None = None
        self._count = 0
        self._reference: int | None = None
        #: last reading, believed or not
        self.raw = 0
        self.good: int | None = None
        self.good_ns = 0
        self.suspicion = Suspicion.NONE

    def update(self, now_ns: int, raw: int | None, reference: int | None = None) -> Suspicion:
        """Take a reading (None: it failed); ``reference`` is a related reading, if any."""
        self.suspicion = self._judge(raw, reference)
        if raw is not None:
            self.raw = raw
        if self.suspicion == Suspicion.NONE:
            self.good, self.good_ns = raw, now_ns
        return self.suspicion

    def distrust(self, suspicion: Suspicion, good: int | None, good_ns: int) -> None:
        """Take the last reading back after a cross-check; restore what was good before it."""
        self.suspicion = suspicion
        self.good, self.good_ns = good, good_ns

    def value(self, now_ns: int, max_age_s: float) -> int | None:
        """Return the last good value, None if there is none that is young enough."""
        if self.good is None or now_ns - self.good_ns > max_age_s * _SECOND_NS:
            return None
        return self.good

    def _judge(self, raw: int | None, reference: int | None) -> Suspicion:
        if raw is None:
            return Suspicion.DROPOUT
        if raw == self._raw:
            self._count += 1
        else:
            self._raw, self._count, self._reference = raw, 1, reference
        if raw == 0 and self.zero_is_bad:
            return Suspicion.ZERO
        if not self.lower <= raw <= self.upper:
            return Suspicion.RANGE
        if self._is_frozen(reference):
            return Suspicion.FROZEN
        return Suspicion.NONE

    def _is_frozen(self, reference: int | None) -> bool:
        if not self._reference_move or self._count < self._frozen_after:
            return False
        if reference is None or self._reference is None:
            return False
        return abs(reference - self._reference) > self._reference_move
