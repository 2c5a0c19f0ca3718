"""Imager: format, timing, absence."""

from __future__ import annotations

import numpy as np
import pytest

from flightsw.codec.wire import Status
from hil.buses.frames import FrameBus
from hil.errors import HilError
from hil.parts.base import FrameSource
from hil.parts.imager import FRAME_HEADER, ImagerPart


def test_a_frame_has_its_header_and_pixels() -> None:
    """Width, height, 3 channels of 8 bits, then the pixels row by row; exposure plus read-out."""
    imager = ImagerPart("camera", width=4, height=2, readout_ms=10.0)
    scene = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    seen: list[tuple[int, int]] = []

    def render(t_ns: int, exposure_us: int) -> np.ndarray:
        seen.append((t_ns, exposure_us))
        return scene

    imager.render = render
    assert isinstance(imager, FrameSource)
    duration_ns, payload = imager.frame_capture(7, 1_500)
    assert duration_ns == 11_500_000
    assert FRAME_HEADER.unpack_from(payload) == (4, 2, 3, 8, 0)
    assert payload[FRAME_HEADER.size :] == bytes(range(24))
    assert seen == [(7, 1_500)]
    assert imager.snapshot()["counters"]["frames"] == 1


def test_a_camera_without_a_scene_is_absent() -> None:
    """Before the rig has given it something to see, the port answers absent."""
    bus = FrameBus("csi0")
    imager = ImagerPart("camera")
    bus.attach(imager)
    assert bus.capture(0, 1) == (Status.ABSENT, 0, b"")
    assert imager.counters["absent"] == 1


@pytest.mark.parametrize(
    "scene",
    [np.zeros((2, 4, 3), np.uint16), np.zeros((4, 2, 3), np.uint8), np.zeros((2, 4), np.uint8)],
)
def test_a_scene_of_the_wrong_shape_is_refused(scene: np.ndarray) -> None:
    """A renderer that does not fit the sensor is named with both shapes."""
    imager = ImagerPart("camera", width=4, height=2)
    imager.render = lambda t_ns, exposure_us: scene
    with pytest.raises(HilError, match="imager camera: scene at 5 ns is uint"):
        imager.frame_capture(5, 1)
