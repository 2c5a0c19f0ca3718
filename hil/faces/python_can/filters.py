"""Which frames a bus object lets through, as python-can's filters say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hil.buses.can_frame import ERROR_FLAG, EXTENDED_FLAG, EXTENDED_MASK


class Filters:
    """The filters of one bus object. Error frames pass them all, as in SocketCAN."""

    def __init__(self, filters: Sequence[Mapping[str, Any]] | None, error_frames: bool) -> None:
        self._error_frames = error_frames
        #: (mask, wanted) of the identifier with its extended flag
        self._wanted = [_wanted(one) for one in filters] if filters else None
        #: nothing is ever held back
        self.open = error_frames and self._wanted is None

    def pass_on(self, can_id: int) -> bool:
        """Tell whether a frame is wanted."""
        if can_id & ERROR_FLAG:
            return self._error_frames
        return self._wanted is None or any(can_id & mask == want for mask, want in self._wanted)


def _wanted(one: Mapping[str, Any]) -> tuple[int, int]:
    mask = int(one["can_mask"]) & EXTENDED_MASK
    want = int(one["can_id"]) & mask
    extended = one.get("extended")
    if extended is not None:
        mask |= EXTENDED_FLAG
        want |= EXTENDED_FLAG * bool(extended)
    return mask, want
