"""An emulated camera port: whole frames, one at a time."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from flightsw.codec.wire import Status
from hil.buses.base import Outcome
from hil.errors import ConfigError
from hil.parts.base import FrameSource
from hil.parts.fault_windows import FOREVER_NS, FaultWindows

#: What a fault of a camera port may be, and the counter that it moves.
FAULT_KINDS: Final = ("absent", "timeout")
#: How long a driver waits for a frame that does not come: the 1 s of libcamera's and V4L2's users.
TIMEOUT_NS: Final = 1_000_000_000


class FrameFault(NamedTuple):
    """One fault of a camera port: ``absent`` (unplugged) or ``timeout`` (no frame comes)."""

    kind: str
    from_ns: int = 0
    until_ns: int = FOREVER_NS


class FrameBus:
    """A camera port with one imager."""

    kind = "frames"

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: FaultWindows[FrameFault] = FaultWindows(f"frames {name}", FAULT_KINDS)
        self.counters: dict[str, int] = dict.fromkeys(("frames", "absent", "timeout"), 0)
        self._source: FrameSource | None = None

    def attach(self, source: FrameSource) -> None:
        """Connect the one imager of this port."""
        if self._source is not None:
            raise ConfigError(f"frames {self.name}: two imagers on one port; remove one")
        self._source = source

    def capture(self, t_ns: int, exposure_us: int) -> Outcome:
        """Capture a frame: ``(status, duration_ns, payload of a FRAME record)``.

        ``ABSENT`` when no imager answers, ``TIMEOUT`` after 1 s when a fault holds the frame back.
        """
        for fault in self.faults.at(t_ns):
            self.counters[fault.kind] += 1
            if fault.kind == "timeout":
                return int(Status.TIMEOUT), TIMEOUT_NS, b""
            return int(Status.ABSENT), 0, b""
        duration_ns, payload = (
            (0, b"") if self._source is None else self._source.frame_capture(t_ns, exposure_us)
        )
        if not payload:
            self.counters["absent"] += 1
            return int(Status.ABSENT), 0, b""
        self.counters["frames"] += 1
        return int(Status.OK), duration_ns, payload

    def describe(self) -> dict[str, Any]:
        """Return the frame size, where an imager tells it."""
        return {
            key: getattr(self._source, key)
            for key in ("width", "height")
            if hasattr(self._source, key)
        }
