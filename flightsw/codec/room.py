"""Memory for results that is used again.

Fresh memory costs more than writing into it: the system clears it page by page when it is first
touched, at less than a tenth of the speed of the caches. So the last arrays that were handed out
are kept, and handed out again once nobody else holds them or a view of them.
"""

from __future__ import annotations

from sys import getrefcount

import numpy as np
import numpy.typing as npt

#: Below it the memory of small objects serves better.
_LEAST_NBYTES = 1 << 16
#: References to an array that is only kept: the list, the loop, the call that counts them.
_ONLY_KEPT = 3
#: As a rule a caller holds one result while the next is made.
_MOST = 2


class Room:
    """Hands out arrays of octets, and keeps the last two for the next time."""

    def __init__(self) -> None:
        self._kept: list[npt.NDArray[np.uint8]] = []

    def array(self, nbytes: int) -> npt.NDArray[np.uint8]:
        """Return at least ``nbytes`` octets that nobody else holds, whatever is in them."""
        if nbytes < _LEAST_NBYTES:
            return np.empty(nbytes, np.uint8)
        for kept in self._kept:
            if len(kept) >= nbytes and getrefcount(kept) <= _ONLY_KEPT:
                return kept
        fresh = np.empty(nbytes + nbytes // 8, np.uint8)
        self._kept = [*self._kept[1 - _MOST :], fresh]
        return fresh
