"""Columns of a link that is running: a few packets at a time, without any allocation.

Everything that a call needs is made once: the buffer in which packets arrive, the columns in which
their values end, and the table that tells C about both.

    live = layout.live(16)
    nbytes = sock.recv_into(live.buffer)
    live(nbytes // layout.nbytes)
    live.columns["bus_v"]
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.fixed_columns import Columns, PreparedLayout
from flightsw.codec.errors import CodecError, FieldRangeError
from flightsw.codec.native import ffi, lib


class Live:
    """Decodes up to ``capacity`` packets from ``buffer`` into ``columns``, again and again.

    Packet i begins at octet i * ``stride`` of the buffer; its values are in row i of each column,
    and rows behind those of the last call keep what they had. A borrowed buffer must not change its
    size while this lives.
    """

    def __init__(
        self,
        prepared: PreparedLayout,
        columns: Columns,
        stride: int,
        buffer: bytearray | memoryview | npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """Borrow ``buffer``, or own one that is just large enough.

        Raises FieldRangeError if packets overlap, CodecError if the buffer is too small.
        """
        nbytes = prepared.nbytes
        if not nbytes <= stride < 1 << 31:
            raise FieldRangeError(f"live batch: stride {stride}, must be at least {nbytes} octets")
        need = (columns.capacity - 1) * stride + nbytes
        self.buffer = bytearray(need) if buffer is None else buffer
        octets = ffi.from_buffer("uint8_t[]", self.buffer)
        if len(octets) < need:
            raise CodecError(
                f"live batch of {columns.capacity} packets: a buffer of {len(octets)} octets,"
                f" must have {need}"
            )
        self.columns, self.capacity, self.stride = columns, columns.capacity, stride
        self._state = ffi.new(
            "fs_layout_live *",
            (prepared.pointer, octets, len(octets), stride, columns.pointers, columns.capacity),
        )
        self._keep: tuple[Any, ...] = (prepared, octets)
        self._decode = lib.fs_layout_live_decode

    def __call__(self, count: int) -> None:
        """Decode the first ``count`` packets; FieldRangeError beyond 0 to ``capacity``."""
        if not 0 <= count <= self.capacity or self._decode(self._state, count) < 0:
            raise FieldRangeError(
                f"live batch: {count} packets, must be 0 to {self.capacity}; nothing was written"
            )
