"""The imager's view: what it keeps of a run for the report."""

from __future__ import annotations

import numpy as np
import pytest

from hil.board import find_board, load_board
from hil.camera import CameraView
from hil.errors import ConfigError
from hil.missions import load as load_mission
from hil.parts.imager import FRAME_HEADER
from hil.report.thumbnails import LARGEST_SIDE, shrink_mean, thumbnails
from hil.rig import Rig
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


def rig_with_imager(folder, keys):
    """Return a rig on the default board whose imager has more keys in the board file."""
    text = find_board("raspberrypi4").read_text()
    path = folder / "board.toml"
    path.write_text(text.replace('type = "imager"\n', f'type = "imager"\n{keys}\n'))
    mission = load_mission("tiansuan_bupt1")
    return Rig(load_board(str(path)), mission, seed=1, duration_s=20.0)


def test_the_scene_has_the_size_that_the_board_file_gives_the_sensor(tmp_path):
    """Width and height of the board win over the mission's, for the part and for what it sees."""
    sensor = rig_with_imager(tmp_path, "width = 160\nheight = 96").wiring.of_type("imager")
    _, payload = sensor.frame_capture(0, 2000)
    assert FRAME_HEADER.unpack_from(payload)[:2] == (160, 96)
    assert len(payload) == FRAME_HEADER.size + 160 * 96 * 3


@pytest.mark.parametrize("keys", ["width = 1", "height = 60000"])
def test_a_sensor_that_cannot_be_is_refused(keys, tmp_path):
    """A size that no scene can be rendered in is one line of ours, not an error of a library."""
    with pytest.raises(ConfigError, match="2 to 4096"):
        rig_with_imager(tmp_path, keys)
