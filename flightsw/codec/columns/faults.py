"""Bad packets in a batch: which rows, why, and how many.

Foreign packets are not all what their layout says. One of them must not stop the others, and none
may pass unseen: columns mark it, count it, and say what was wrong with the first.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import CodecError, FieldRangeError, SyncError, TruncatedError
from flightsw.codec.native import lib
from flightsw.codec.octets import places_of

#: What is wrong with a packet, by the codes of ``csrc/columns/variable.h``.
REASONS: dict[int, str] = {
    lib.FS_V_SHORT: "ends too early",
    lib.FS_V_LENGTH: "has a count that does not agree with its list",
    lib.FS_V_FORMAT: "does not hold its constant",
    lib.FS_V_RANGE: "holds a value out of range",
    lib.FS_V_ABSENT: "needs a field that is not there",
    lib.FS_V_ARITHMETIC: "has an expression beyond 64 bits or a division by zero",
    lib.FS_V_EXTRA: "has octets behind its last field",
    lib.FS_V_PARTIAL: "holds part of an octet or of an element",
    lib.FS_V_ZERO: "has a string without its zero octet",
}


_TOO_SHORT = (lib.FS_V_SHORT, lib.FS_V_PARTIAL, lib.FS_V_ZERO)


class Fault(NamedTuple):
    """The first bad packet of a batch: its row, the field, the reason, and where in it (bits)."""

    row: int
    field: str
    reason: str
    bit: int
    number: int

    def error(self, code: int) -> CodecError:
        """Return TruncatedError or SyncError for it."""
        kind = TruncatedError if code in _TOO_SHORT else SyncError
        return kind(
            f"layout: packet {self.row}, {self.field}, bit {self.bit}: {self.reason} (found"
            f" {self.number}); correct or discard it, or decode without strict"
        )


class Judged:
    """Adds the verdict on each packet to columns; ``faults`` is None where none was asked for."""

    faults: npt.NDArray[np.uint8] | None = None  #: code of each packet, 0 if it is good
    fault: Fault | None = None  #: the first bad one
    count: int

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Which packets are good."""
        if self.faults is None:
            return np.ones(self.count, np.bool_)
        return np.equal(self.faults, 0)

    @property
    def bad_count(self) -> int:
        """How many packets are bad."""
        return 0 if self.faults is None else int(np.count_nonzero(self.faults))

    def reasons(self) -> dict[str, int]:
        """Return how many packets are bad for which reason."""
        if self.faults is None:
            return {}
        codes = Counter(self.faults[self.faults != 0].tolist())
        return {REASONS[code]: count for code, count in codes.items()}


def judged(
    layout_nbytes: int, nbytes: int, offsets: Any, lengths: Any
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], Fault | None]:
    """Judge packets of a layout of one size by their lengths.

    Returns offsets as uint64, the code of each packet and the first fault.
    """
    if offsets is None:
        raise FieldRangeError("layout: lengths need offsets")
    where = places_of("layout", offsets, np.uint64).copy()
    many = places_of("layout", lengths, np.uint64)
    if many.shape != where.shape:
        raise FieldRangeError(f"layout: {len(where)} offsets and {len(many)} lengths")
    beyond = (where > nbytes) | (many > nbytes - np.minimum(where, nbytes))
    short, extra = beyond | (many < layout_nbytes), many > layout_nbytes
    codes = np.where(short, lib.FS_V_SHORT, np.where(extra, lib.FS_V_EXTRA, 0)).astype(np.uint8)
    if not codes.any():
        return where, codes, None
    row = int(np.flatnonzero(codes)[0])
    number = int(many[row])
    fault = Fault(row, "its length", REASONS[int(codes[row])], 8 * layout_nbytes, number)
    return where, codes, fault
