"""Memory for results that is used again.

Fresh memory costs more than writing into it: the system clears it page by page when it is first
touched, at less than a tenth of the speed of the caches. So the memory of the last results is kept,
and handed out again once nobody holds them or a view of them.

Each result is a new array over memory that belongs to another object, so that every view of it, and
every view of those, keeps that very array; whether it still lives is what a weak reference tells.
Counts of references would not: what they are depends on the interpreter.
"""

from __future__ import annotations

from weakref import ReferenceType, ref

import numpy as np
import numpy.typing as npt

#: Below it the memory of small objects serves better, and beyond it too much would be kept.
_LEAST_NBYTES, _MOST_NBYTES = 1 << 16, 1 << 26
#: As a rule a caller holds one result while the next is made.
_MOST = 2


class Room:
    """Hands out arrays of octets, and keeps the memory of the last two for the next time."""

    def __init__(self) -> None:
        self._kept: list[tuple[memoryview, ReferenceType[npt.NDArray[np.uint8]]]] = []

    def array(self, nbytes: int) -> npt.NDArray[np.uint8]:
        """Return at least ``nbytes`` octets that nobody else holds, whatever is in them."""
        if not _LEAST_NBYTES <= nbytes <= _MOST_NBYTES:
            return np.empty(nbytes, np.uint8)
        for k, (memory, handed_out) in enumerate(self._kept):
            if len(memory) >= nbytes and handed_out() is None:
                array = np.frombuffer(memory, np.uint8)
                self._kept[k] = memory, ref(array)
                return array
        memory = np.empty(nbytes + nbytes // 8, np.uint8).data
        array = np.frombuffer(memory, np.uint8)
        self._kept = [*self._kept[1 - _MOST :], (memory, ref(array))]
        return array
