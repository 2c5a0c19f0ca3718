"""An emulated camera port: whole frames, one at a time, with faults and interceptors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from flightsw.codec.bus_payload import FRAME_HEADER
from flightsw.codec.wire import Status
from hil.buses.base import Outcome
from hil.buses.intercept import Crossing, Interceptor, through
from hil.errors import ConfigError
from hil.parts.base import FrameSource
from hil.parts.fault_windows import FOREVER_NS, FaultWindows

#: What a fault of a camera port may be, and the counter that it moves.
FAULT_KINDS: Final = ("absent", "timeout", "delay", "duplicate", "truncate", "bit_flip")
#: How long a driver waits for a frame that does not come: the 1 s of libcamera's and V4L2's users.
HEADER_NBYTES: Final = FRAME_HEADER.size
TIMEOUT_NS: Final = 1_000_000_000


class FrameFault(NamedTuple):
    """One fault of a camera port.

    ``absent``: unplugged; ``timeout``: no frame comes; ``delay``: it comes ``value`` ns late;
    ``duplicate``: the frame before comes again, in no time; ``truncate``: pixels from octet
    ``value`` on are zero; ``bit_flip``: bit ``value`` of the pixels is another.
    """

    kind: str
    from_ns: int = 0
    until_ns: int = FOREVER_NS
    value: int = 0


class FrameBus:
    """A camera port with one imager."""

    kind = "frames"

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: FaultWindows[FrameFault] = FaultWindows(f"frames {name}", FAULT_KINDS)
        self.counters: dict[str, int] = dict.fromkeys(("frames", *FAULT_KINDS, "intercepted"), 0)
        #: whether a fault or an interceptor changed the last frame
        self.faulted = False
        self._source: FrameSource | None = None
        self._interceptor: Interceptor | None = None
        self._last = b""

    def attach(self, source: FrameSource) -> None:
        """Connect the one imager of this port."""
        if self._source is not None:
            raise ConfigError(f"frames {self.name}: two imagers on one port; remove one")
        self._source = source

    def intercept(self, interceptor: Interceptor | None) -> None:
        """Put a callable into the way of every frame; None takes it out."""
        self._interceptor = interceptor

    def capture(self, t_ns: int, exposure_us: int) -> Outcome:
        """Capture a frame: ``(status, duration_ns, payload of a FRAME record)``.

        ``ABSENT`` when no imager answers, ``TIMEOUT`` after 1 s when a fault holds the frame back.
        """
        self.faulted = False
        crossing = Crossing(t_ns, self.name, 0, exposure_us)
        if self._interceptor is None:
            return self._run(crossing)
        outcome, did = through(self._interceptor, crossing, self._run)
        self.faulted |= did
        self.counters["intercepted"] += did
        return outcome[0], outcome[1], bytes(outcome[2])

    def _run(self, crossing: Crossing) -> Outcome:
        t_ns, _, _, exposure_us = crossing
        late_ns = 0
        kinds: dict[str, int] = {}
        for fault in self.faults.at(t_ns):
            self.faulted = True
            self.counters[fault.kind] += 1
            if fault.kind == "timeout":
                return int(Status.TIMEOUT), TIMEOUT_NS, b""
            if fault.kind == "absent":
                return int(Status.ABSENT), 0, b""
            kinds[fault.kind] = fault.value
            late_ns += fault.value if fault.kind == "delay" else 0
        if "duplicate" in kinds and self._last:
            duration_ns, payload = 0, self._last
        elif self._source is None:
            duration_ns, payload = 0, b""
        else:
            duration_ns, payload = self._source.frame_capture(t_ns + late_ns, exposure_us)
        if not payload:
            self.counters["absent"] += 1
            return int(Status.ABSENT), 0, b""
        self._last = payload
        self.counters["frames"] += 1
        return int(Status.OK), duration_ns + late_ns, _spoil(payload, kinds)

    def describe(self) -> dict[str, Any]:
        """Return the frame size, where an imager tells it."""
        return {
            key: getattr(self._source, key)
            for key in ("width", "height")
            if hasattr(self._source, key)
        }


def _spoil(payload: bytes, kinds: Mapping[str, int]) -> bytes:
    """Return a frame with the damage that is due to its pixels."""
    head, pixels = payload[:HEADER_NBYTES], payload[HEADER_NBYTES:]
    if "truncate" in kinds:
        pixels = pixels[: kinds["truncate"]].ljust(len(pixels), b"\0")
    if "bit_flip" in kinds and pixels:
        flipped = bytearray(pixels)
        flipped[kinds["bit_flip"] // 8 % len(pixels)] ^= 1 << (kinds["bit_flip"] & 7)
        pixels = bytes(flipped)
    return head + pixels
