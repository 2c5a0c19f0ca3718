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
    assert bus.counters == {"frames": 1, "absent": 1, "timeout": 2}


def test_a_port_has_one_imager() -> None:
    """A second imager is refused."""
    bus = FrameBus("csi0")
    bus.attach(Still())
    with pytest.raises(ConfigError, match="two imagers"):
        bus.attach(Still())
