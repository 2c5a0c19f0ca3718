"""The imager's view: what it keeps of a run for the report."""

from __future__ import annotations

import numpy as np
import pytest

from hil.camera import CameraView
from hil.missions import load as load_mission
from hil.report.thumbnails import LARGEST_SIDE, shrink_mean, thumbnails
from hil.world.world import World

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def view():
    """A camera over the default orbit."""
    mission = load_mission("tiansuan_bupt1")
    return CameraView(mission, World(mission, duration_s=600.0), seed=1)


def test_of_each_exposure_only_a_small_picture_is_kept(view):
    """What stays in memory is what the report shows at most, not the frame nor its truth."""
    frames = {t_ns: view.render(t_ns, 2000) for t_ns in (300 * SECOND, 400 * SECOND)}
    assert list(view.taken) == list(frames)
    for t_ns, frame in frames.items():
        assert frame.shape == (512, 512, 3)
        kept = view.taken[t_ns]
        assert max(kept.shape) <= LARGEST_SIDE
        assert kept.base is None
        assert np.array_equal(kept, shrink_mean(frame, LARGEST_SIDE))


def test_the_report_shows_of_the_small_picture_what_it_would_of_the_frame(view):
    """At the size of a report with room the photograph is the same, octet for octet."""
    frame = view.render(500 * SECOND, 2000)
    rows = [
        {"job": 1, "t_s": 0.0, "state": "", "pixels": pixels}
        for pixels in (frame, view.taken[500 * SECOND])
    ]
    (whole, _), (small, _) = thumbnails(rows, 1 << 20)
    assert small == whole is not None
