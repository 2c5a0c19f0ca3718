"""What frames held, as tables: a row for each packet or other unit, and one for each frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flightsw.codec.native import lib

#: What a row of :class:`Units` holds, by its ``kind``.
KINDS = ("packet", "idle", "encapsulation", "bitstream", "opaque", "sdu", "octets", "control")
#: What became of a frame, by its ``verdict``.
VERDICTS = ("taken", "bad_fecf", "bad_fhec", "bad_version", "bad_length", "foreign")

#: Bits of ``since``: what happened on a channel since its unit before.
SINCE_START: int = lib.FS_SINCE_START
SINCE_FRAMES: int = lib.FS_SINCE_FRAMES
SINCE_RESTART: int = lib.FS_SINCE_RESTART
SINCE_PIECE: int = lib.FS_SINCE_PIECE
SINCE_BROKEN: int = lib.FS_SINCE_BROKEN
SINCE_REPLAY: int = lib.FS_SINCE_REPLAY

#: Rows of units: where they stand in ``octets``, the frames (given to the receiver, from 0) in
#: which they begin and end, frames of their channel missing before them, and ``since``. ``info`` is
#: how many bits of a bitstream are valid, or the protocol of USLP.
UNIT_DTYPE = np.dtype(
    [
        ("offset", "=u8"),
        ("first_frame", "=u8"),
        ("frame", "=u8"),
        ("nbytes", "=u4"),
        ("lost", "=u4"),
        ("info", "=u4"),
        ("vcid", "u1"),
        ("map", "u1"),
        ("kind", "u1"),
        ("since", "u1"),
    ]
)

#: Rows of frames: count of the virtual channel (AOS: the cycle above the 24 bits), frames missing
#: before, control field, data zone, ``FS_FRAME_`` flags, units completed, header fields, verdict,
#: and construction rule and protocol of USLP.
FRAME_DTYPE = np.dtype(
    [
        ("count", "=u8"),
        ("lost", "=u4"),
        ("ocf", "=u4"),
        ("data_at", "=u4"),
        ("data_nbytes", "=u4"),
        ("flags", "=u4"),
        ("rows", "=u4"),
        ("scid", "=u2"),
        ("pointer", "=u2"),
        ("vcid", "u1"),
        ("map", "u1"),
        ("mc_count", "u1"),
        ("verdict", "u1"),
        ("rule", "=u4"),
        ("protocol", "=u4"),
    ]
)


class Units(NamedTuple):
    """What frames held: ``rows`` of :data:`UNIT_DTYPE`, the ``octets`` of all of them, and
    ``frames`` of :data:`FRAME_DTYPE`, one for each frame, if they were asked for.
    """

    rows: npt.NDArray[Any]
    octets: npt.NDArray[np.uint8]
    frames: npt.NDArray[Any] | None

    def each(self) -> Iterator[bytes]:
        """Yield the octets of each unit, in order."""
        for at, n in zip(self.rows["offset"].tolist(), self.rows["nbytes"].tolist(), strict=True):
            yield self.octets[at : at + n].tobytes()
