"""A camera that delivers whole frames of 8-bit pixels.

What it sees comes from a function set by the rig; the part owns timing and format. Global shutter:
the whole frame shows the instant of exposure. Not modelled: rolling shutter, raw Bayer data,
automatic exposure, register access (CCI).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hil.errors import HilError
from hil.parts.base import Param, Part
from hil.parts.limits import check_limits

#: width, height, channels, bits per sample, spare; then pixels row by row.
FRAME_HEADER = struct.Struct("<HHBBH")

Render = Callable[[int, int], NDArray[np.uint8]]


class ImagerPart(Part):
    """The camera. ``render(t_ns, exposure_us)`` returns uint8 of shape (height, width, 3)."""

    PARAMS: ClassVar[Mapping[str, Param]] = {
        "width": Param(None, 640),
        "height": Param(None, 480),
        "readout_ms": Param(None, 33.0),
    }

    def __init__(
        self,
        name: str,
        seed: int = 0,
        *,
        width: int = 640,
        height: int = 480,
        readout_ms: float = 33.0,
    ) -> None:
        super().__init__(name, seed)
        check_limits(
            name,
            {
                "width": (width, 1, 0xFFFF),
                "height": (height, 1, 0xFFFF),
                "readout_ms": (readout_ms, 0, 60_000),
            },
        )
        self.width, self.height = width, height
        self.render: Render | None = None
        self.counters: dict[str, int] = dict.fromkeys(("frames", "absent"), 0)
        self._readout_ns = round(readout_ms * 1e6)

    def frame_capture(self, t_ns: int, exposure_us: int) -> tuple[int, bytes]:
        """Expose at ``t_ns``; return (duration_ns, payload). No payload: there is no sensor.

        Raises :class:`~hil.errors.HilError` if the scene does not have the shape of the sensor.
        """
        if self.render is None:
            self.counters["absent"] += 1
            return 0, b""
        pixels = self.render(t_ns, exposure_us)
        if pixels.shape != (self.height, self.width, 3) or pixels.dtype != np.uint8:
            raise HilError(
                f"imager {self.name}: scene at {t_ns} ns is {pixels.dtype} {pixels.shape}, the "
                f"sensor wants uint8 ({self.height}, {self.width}, 3); mend the renderer"
            )
        self.counters["frames"] += 1
        header = FRAME_HEADER.pack(self.width, self.height, 3, 8, 0)
        return exposure_us * 1000 + self._readout_ns, header + pixels.tobytes()

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return super().snapshot() | {"counters": dict(self.counters)}
