"""Camera port: frames, absence, faults."""

from __future__ import annotations

import pytest

from flightsw.codec.wire import Status
from hil.buses.frames import FrameBus, FrameFault
from hil.errors import ConfigError


class Still:
    """An imager that shows the same four octets."""

    width, height = 2, 2

    def frame_capture(self, t_ns: int, exposure_us: int) -> tuple[int, bytes]:
        return exposure_us * 1000, b"abcd"


def test_a_frame_takes_the_time_of_its_imager() -> None:
    """Status, duration and payload of a capture are those of the imager."""
    bus = FrameBus("csi0")
    bus.attach(Still())
    assert bus.capture(0, 500) == (Status.OK, 500_000, b"abcd")
    assert bus.counters["frames"] == 1
    assert bus.describe() == {"width": 2, "height": 2}


def test_an_empty_port_answers_absent() -> None:
    """Without an imager a capture is absent and counted."""
    bus = FrameBus("csi0")
    assert bus.capture(0, 500) == (Status.ABSENT, 0, b"")
    assert bus.counters["absent"] == 1


def test_faults_hold_in_their_window() -> None:
    """An unplugged or hanging imager says so, and works again afterwards."""
    bus = FrameBus("csi0")
    bus.attach(Still())
    bus.faults.add(FrameFault("absent", 0, 10))
    bus.faults.add(FrameFault("timeout", 10, 20))
    assert [bus.capture(t_ns, 1)[0] for t_ns in (0, 10, 20)] == [
        Status.ABSENT,
        Status.TIMEOUT,
        Status.OK,
    ]
    assert bus.capture(10, 1)[1] == 10**9
    assert [bus.counters[name] for name in ("frames", "absent", "timeout")] == [1, 1, 2]


def test_a_port_has_one_imager() -> None:
    """A second imager is refused."""
    bus = FrameBus("csi0")
    bus.attach(Still())
    with pytest.raises(ConfigError, match="two imagers"):
        bus.attach(Still())


@pytest.mark.parametrize(
    ("fault", "duration_ns", "pixels"),
    [
        (FrameFault("delay", value=700), 5_700, b"pixels"),
        (FrameFault("truncate", value=2), 5_000, b"pi\0\0\0\0"),
        (FrameFault("bit_flip", value=9), 5_000, b"pkxels"),
        (FrameFault("duplicate"), 0, b"before"),
    ],
    ids=lambda value: value.kind if isinstance(value, FrameFault) else "",
)
def test_faults_spoil_a_frame(fault: FrameFault, duration_ns: int, pixels: bytes) -> None:
    """Late, cut, flipped, or the one before once more: flagged and counted, the header whole."""

    class Camera:
        content = b"before"

        def frame_capture(self, t_ns: int, exposure_us: int) -> tuple[int, bytes]:
            return 5_000, b"8 octets" + self.content

    bus, camera = FrameBus("csi0"), Camera()
    bus.attach(camera)
    bus.capture(0, 5)
    assert not bus.faulted
    camera.content = b"pixels"
    bus.faults.add(fault)
    assert bus.capture(1, 5) == (Status.OK, duration_ns, b"8 octets" + pixels)
    assert bus.faulted
    assert bus.counters[fault.kind] == 1
