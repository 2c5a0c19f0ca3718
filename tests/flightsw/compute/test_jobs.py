"""Image jobs: from telecommand to product, and every way they can end otherwise."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_hal import SECOND, FakeHal, Ground

from flightsw.app import App, create
from flightsw.codec import class_map
from flightsw.codec.dictionary import (
    PART_NBYTES,
    PRODUCT_HEADER,
    PRODUCT_HEADER_NBYTES,
    JobState,
)
from flightsw.codec.dictionary.events import JOB_STATE
from flightsw.compute.product import decimate, pack_classes, unpack_classes
from flightsw.compute.segmenter import ThresholdSegmenter
from flightsw.inspect import inspect
from flightsw.storage import Files


class Flight:
    """A payload computer in permanent contact, a script of telecommands, and what came down."""

    def __init__(self, storage: Path, seconds: float = 60, **config: Any) -> None:
        self.hal = FakeHal(seconds=seconds, downlink_bps=200_000, **config)
        self.ground = Ground(self.hal)
        self.ground.bypass = True
        self.ground.carrier.set(1)
        self.storage = storage

    def fly(self, files: Files | None = None) -> App:
        app = create(self.hal, self.storage, files)
        app.run()
        return app

    def states(self, job: int) -> list[JobState]:
        """Return the states that were reported of a job, in order, without repeats."""
        head = JOB_STATE.id.to_bytes(2, "big") + job.to_bytes(4, "big")
        told = [JobState(d[6]) for d in self.ground.reports(5, 1) if d[:6] == head]
        return [s for n, s in enumerate(told) if n == 0 or s != told[n - 1]]

    def product(self, job: int) -> bytes:
        """Return the product as ground puts it together."""
        parts = {}
        for subtype in (1, 2, 3):
            for data in self.ground.reports(13, subtype):
                if int.from_bytes(data[:4], "big") == job:
                    parts[int.from_bytes(data[4:6], "big")] = data[6:]
        return b"".join(parts[n] for n in sorted(parts))


FULL_LIFE = [
    JobState.ACCEPTED,
    JobState.ACQUIRED,
    JobState.PRODUCT,
    JobState.QUEUED,
    JobState.SENT,
    JobState.ACKNOWLEDGED,
]


def test_a_job_goes_through_its_life_and_the_product_tells_the_truth(tmp_path: Path) -> None:
    """Each state is reported once; the class map is what the segmenter makes of the image."""
    flight = Flight(tmp_path)
    flight.ground.send(flight.ground.take_image(7), 3)
    flight.ground.send(flight.ground.function("ACKNOWLEDGE", job=7), 40)
    flight.fly()
    assert flight.states(7) == FULL_LIFE
    octets = flight.product(7)
    head = PRODUCT_HEADER.parse(octets)
    assert zlib.crc32(octets[:-4]) == int.from_bytes(octets[-4:], "big")
    assert (head.width, head.height, head.decimation, head.tiles) == (384, 256, 1, 6)
    classes = class_map.decode(octets[PRODUCT_HEADER_NBYTES:-4], head.height, head.width)
    image = flight.hal.camera.capture(1).pixels
    tiles = image.reshape(2, 128, 3, 128, 3).swapaxes(1, 2).reshape(6, 128, 128, 3)
    wanted = ThresholdSegmenter().classify(tiles).reshape(2, 3, 128, 128)
    assert np.array_equal(classes, wanted.swapaxes(1, 2).reshape(256, 384))
    shares = (head.sea_permille, head.land_permille, head.cloud_permille)
    counts = np.bincount(classes.ravel(), minlength=3)
    assert all(abs(s - 1000 * c / classes.size) <= 0.5 for s, c in zip(shares, counts, strict=True))
    assert head.model == bytes.fromhex(ThresholdSegmenter().sha256)[:8]
    assert head.position_age_ms == 0xFFFFFFFF
    assert inspect(tmp_path)["jobs"]["7"]["state"] == "ACKNOWLEDGED"
    assert inspect(tmp_path)["products"][7] == octets


def test_a_result_is_not_used_before_the_work_is_done(tmp_path: Path) -> None:
    """With six tiles at ten seconds each the product is made a minute after the image."""
    flight = Flight(tmp_path, seconds=120)
    flight.hal.cpu.ns_per_unit = 10 * SECOND
    flight.ground.send(flight.ground.take_image(1), 3)
    app = flight.fly()
    told = [p for p in flight.ground.packets if p.service == 5] or flight.ground.listen()
    assert told
    times = {
        JobState(p.data[6]): p.t_ns
        for p in flight.ground.packets
        if p.service == 5 and p.data[:2] == JOB_STATE.id.to_bytes(2, "big")
    }
    assert times[JobState.PRODUCT] - times[JobState.ACQUIRED] >= 60 * SECOND
    assert app.compute.work_ns == 60 * SECOND
    assert flight.hal.cpu.begun == [("segmentation", 6)]


def test_a_cloudy_image_is_discarded_with_its_data(tmp_path: Path) -> None:
    """Above the cloud limit of the telecommand the job ends DISCARDED and leaves no image."""
    flight = Flight(tmp_path)
    flight.hal.camera.cloudy = True
    flight.ground.send(flight.ground.take_image(1, max_cloud=50), 3)
    app = flight.fly()
    assert flight.states(1)[-1] == JobState.DISCARDED
    assert app.compute.store.jobs[1].reason.name == "CLOUD"
    assert not list(tmp_path.glob("image-*")) + list(tmp_path.glob("product-*"))


@pytest.mark.parametrize(("failures", "end"), [(1, "SENT"), (2, "SENT"), (3, "FAILED")])
def test_the_imager_gets_three_tries(tmp_path: Path, failures: int, end: str) -> None:
    """A frame that does not come is asked for again; after three the job has failed."""
    flight = Flight(tmp_path)
    flight.hal.camera.fail = failures
    flight.ground.send(flight.ground.take_image(1), 3)
    app = flight.fly()
    assert app.compute.store.jobs[1].state.name == end
    assert app.events.counts["JOB_FAILED"] == (end == "FAILED")


def test_the_more_urgent_product_goes_first(tmp_path: Path) -> None:
    """Products made outside a pass leave in order of priority."""
    flight = Flight(tmp_path)
    flight.ground.carrier.set(0)
    for job, priority in ((1, 30), (2, 10), (3, 20)):
        flight.ground.send(flight.ground.take_image(job, priority), 2 + job)
    flight.ground.contact(50, 60)
    flight.fly()
    flight.ground.listen()
    order = [int.from_bytes(p.data[:4], "big") for p in flight.ground.packets if p.service == 13]
    assert list(dict.fromkeys(order)) == [2, 3, 1]


def test_a_pause_by_telecommand_ends_after_the_batch_in_work(tmp_path: Path) -> None:
    """Paused after the first batch, the job goes on where it was when resumed."""
    flight = Flight(tmp_path, seconds=90, tiles_per_batch=2)
    flight.hal.cpu.ns_per_unit = 2 * SECOND
    flight.ground.send(flight.ground.take_image(1), 3)
    flight.ground.send(flight.ground.function("PAUSE_COMPUTE"), 5)
    flight.ground.send(flight.ground.function("RESUME_COMPUTE"), 60)
    app = flight.fly()
    assert flight.hal.cpu.begun == [("segmentation", 2)] * 3
    assert app.compute.store.jobs[1].state == JobState.SENT
    assert app.compute.checkpoints == 3
    flight.ground.listen()
    assert next(p.t_ns for p in flight.ground.packets if p.service == 13) > 60 * SECOND


def test_a_restart_resumes_from_the_last_checkpoint(tmp_path: Path) -> None:
    """Tiles that were done are not done again, the image is not taken again."""
    flight = Flight(tmp_path, seconds=12, tiles_per_batch=1)
    flight.hal.cpu.ns_per_unit = 2 * SECOND
    flight.ground.send(flight.ground.take_image(1), 3)
    app = flight.fly()
    done = app.compute.store.jobs[1].tiles_done
    assert 2 <= done <= 5
    flight.hal.cpu.begun.clear()
    flight.hal.restarted(30)
    app = flight.fly()
    assert len(flight.hal.cpu.begun) == 6 - done
    assert flight.hal.camera.captures == 1
    assert app.events.counts["JOB_RESUMED"] == 1
    octets = flight.product(1)
    assert zlib.crc32(octets[:-4]) == int.from_bytes(octets[-4:], "big")
    assert octets == inspect(tmp_path)["products"][1]


def test_missing_parts_go_again_when_asked_for(tmp_path: Path) -> None:
    """RESEND_PARTS sends exactly the parts that exist in the range asked for."""
    flight = Flight(tmp_path)
    flight.hal.camera.capture = _noisy(flight.hal.camera.capture)  # type: ignore[method-assign]
    flight.ground.send(flight.ground.take_image(1), 3)
    flight.ground.send(flight.ground.function("RESEND_PARTS", job=1, first=3, count=65535), 30)
    flight.fly()
    count = -(-len(inspect(tmp_path)["products"][1]) // PART_NBYTES)
    assert count > 5
    flight.ground.listen()
    numbers = [int.from_bytes(p.data[4:6], "big") for p in flight.ground.packets if p.service == 13]
    assert numbers == [*range(1, count + 1), *range(3, count + 1)]


def _noisy(capture: Callable[[int], Any]) -> Callable[[int], Any]:
    """Return a capture whose pixels compress badly: a fixed pattern from a counter-based stream."""

    def spoiled(exposure_us: int) -> Any:
        image = capture(exposure_us)
        random = np.random.Generator(np.random.Philox(key=7))
        pick = random.integers(0, 2, image.pixels.shape[:2], np.uint8)
        image.pixels[...] = np.where(pick[..., None] > 0, (10, 30, 90), (90, 80, 40))
        return image

    return spoiled


def test_a_product_that_does_not_compress_is_decimated_to_fit(tmp_path: Path) -> None:
    """The product never exceeds its limit; the header says by how much the map shrank."""
    flight = Flight(tmp_path, product_max_octets=3000)
    flight.hal.camera.capture = _noisy(flight.hal.camera.capture)  # type: ignore[method-assign]
    flight.ground.send(flight.ground.take_image(1), 3)
    flight.fly()
    octets = flight.product(1)
    head = PRODUCT_HEADER.parse(octets)
    assert len(octets) <= 3000
    assert head.decimation > 1
    assert head.width == 384 // head.decimation


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("TAKE_IMAGE", {"job": 0, "exposure_us": 9, "priority": 1, "max_cloud": 1}, 0x10),
        ("TAKE_IMAGE", {"job": 0, "exposure_us": 99, "priority": 1, "max_cloud": 1}, 0x10),
        ("TAKE_IMAGE", {"job": 3, "exposure_us": 99, "priority": 1, "max_cloud": 101}, 0x10),
        ("TAKE_IMAGE", {"job": 1, "exposure_us": 99, "priority": 1, "max_cloud": 9}, 0x12),
        ("RESEND_PARTS", {"job": 9, "first": 1, "count": 1}, 0x11),
        ("RESEND_PARTS", {"job": 1, "first": 0, "count": 1}, 0x10),
        ("ACKNOWLEDGE", {"job": 9}, 0x11),
        ("DISCARD_JOB", {"job": 9}, 0x11),
    ],
)
def test_functions_refuse_what_makes_no_sense(
    tmp_path: Path, name: str, values: dict[str, int], code: int
) -> None:
    """Each wrong argument is TM[1,4] with the code for it."""
    flight = Flight(tmp_path, seconds=30)
    flight.ground.send(flight.ground.take_image(1), 3)
    flight.ground.send(flight.ground.function(name, **values), 20)
    flight.fly()
    assert [int.from_bytes(d[4:6], "big") for d in flight.ground.reports(1, 4)] == [code]


def test_no_more_jobs_are_accepted_than_configured(tmp_path: Path) -> None:
    """The job beyond jobs_max_open is refused as FULL while the others wait."""
    flight = Flight(tmp_path, jobs_max_open=2, seconds=12)
    flight.hal.cpu.ns_per_unit = 100 * SECOND
    for job in (1, 2, 3):
        flight.ground.send(flight.ground.take_image(job), 2 + job)
    flight.fly()
    assert [d[4:10] for d in flight.ground.reports(1, 4)] == [b"\x00\x13\x00\x00\x00\x02"]


def test_old_jobs_are_forgotten_and_still_counted(tmp_path: Path) -> None:
    """Beyond jobs_max_kept the oldest ended job goes with its product; the totals keep it."""
    flight = Flight(tmp_path, jobs_max_kept=1, seconds=90)
    for job in (1, 2):
        flight.ground.send(flight.ground.take_image(job), 10 * job)
        flight.ground.send(flight.ground.function("ACKNOWLEDGE", job=job), 10 * job + 8)
    app = flight.fly()
    assert sorted(app.compute.store.jobs) == [2]
    assert app.compute.store.totals()["ACKNOWLEDGED"] == 2
    assert [p.name for p in tmp_path.glob("product-*")] == ["product-0000000002.bin"]


def test_products_nobody_acknowledges_expire(tmp_path: Path) -> None:
    """Beyond jobs_max_kept the oldest sent product is given up, and its job says why."""
    flight = Flight(tmp_path, jobs_max_kept=1, seconds=60)
    for job in (1, 2):
        flight.ground.send(flight.ground.take_image(job), 10 * job)
    app = flight.fly()
    assert app.compute.store.jobs[1].state == JobState.DISCARDED
    assert app.compute.store.jobs[1].reason.name == "EXPIRED"
    assert app.compute.store.jobs[2].state == JobState.SENT


def test_jobs_that_fail_are_forgotten_like_all_others(tmp_path: Path) -> None:
    """A dead camera fails job after job; the record of them stays bounded, and the count exact."""
    flight = Flight(tmp_path, jobs_max_kept=2, seconds=80)
    flight.hal.camera.fail = 1 << 30
    for job in range(1, 8):
        flight.ground.send(flight.ground.take_image(job), 8 * job)
    app = flight.fly()
    assert sorted(app.compute.store.jobs) == [6, 7]
    assert app.compute.store.totals() == {"FAILED": 7}
    assert len(list(tmp_path.glob("job-*"))) <= 4


def test_products_without_a_pass_fill_the_queue_and_no_more(tmp_path: Path) -> None:
    """Products that wait for a pass count as jobs not yet sent: the one too many is refused."""
    flight = Flight(tmp_path, jobs_max_open=2, seconds=60)
    flight.ground.carrier.set(0)
    for job in (1, 2, 3):
        flight.ground.send(flight.ground.take_image(job), 10 * job)
    flight.hal.clock.at(50 * SECOND, lambda _: flight.ground.carrier.set(1))
    app = flight.fly()
    assert sorted(app.compute.store.jobs) == [1, 2]
    assert [d[4:10] for d in flight.ground.reports(1, 4)] == [b"\x00\x13\x00\x00\x00\x02"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_number_used_anew_is_another_job(tmp_path: Path, restart: bool) -> None:
    """Once a job is forgotten its number may come again, and its new product goes down whole."""
    flight = Flight(tmp_path, jobs_max_kept=1, seconds=60)
    for job, t_s in ((1, 3), (2, 20)):
        flight.ground.send(flight.ground.take_image(job), t_s)
        flight.ground.send(flight.ground.function("ACKNOWLEDGE", job=job), t_s + 10)

    def begin_anew(t_ns: int) -> None:
        flight.hal.camera.shape = (128, 128)
        flight.ground.listen()
        flight.ground.packets.clear()

    flight.hal.clock.at(40 * SECOND, begin_anew)
    flight.ground.send(flight.ground.take_image(1), 45)
    if restart:
        flight.hal.clock.end_ns = int(45.2 * SECOND)
        flight.fly()
        flight.hal.restarted(20)
    app = flight.fly()
    assert app.compute.store.jobs[1].state == JobState.SENT
    assert flight.product(1) == (tmp_path / "product-0000000001.bin").read_bytes()


def test_a_pause_by_telecommand_survives_a_restart(tmp_path: Path) -> None:
    """Ground paused it, so only ground lets it go on."""
    flight = Flight(tmp_path, seconds=10)
    flight.ground.send(flight.ground.function("PAUSE_COMPUTE"), 2)
    flight.ground.send(flight.ground.take_image(1), 4)
    flight.fly()
    flight.hal.restarted(20)
    app = flight.fly()
    assert app.compute.paused
    assert app.compute.store.jobs[1].state == JobState.ACQUIRED
    flight.hal.restarted(20)
    flight.ground.send(flight.ground.function("RESUME_COMPUTE"), flight.hal.clock.t_ns / SECOND + 2)
    assert flight.fly().compute.store.jobs[1].state == JobState.SENT


def test_a_product_that_cannot_be_deleted_is_a_failed_telecommand(tmp_path: Path) -> None:
    """An error of the medium while a job is discarded is reported, and the program flies on."""

    class Stubborn(Files):
        def unlink(self, path: Path) -> None:
            if path.name.startswith("product"):
                raise OSError(5, "Input/output error")
            super().unlink(path)

    flight = Flight(tmp_path, seconds=40)
    flight.ground.send(flight.ground.take_image(1), 3)
    flight.ground.send(flight.ground.function("DISCARD_JOB", job=1), 20)
    flight.ground.send(flight.ground.tc(17, 1), 30)
    flight.fly(Stubborn())
    assert len(flight.ground.reports(1, 8)) == 1
    assert len(flight.ground.reports(17, 2)) == 1


def test_a_stop_while_a_job_is_forgotten_does_not_count_it_twice(tmp_path: Path) -> None:
    """Counted and not yet deleted, it is deleted at the next start."""
    flight = Flight(tmp_path, jobs_max_kept=1, seconds=50)
    for job, t_s in ((1, 3), (2, 20)):
        flight.ground.send(flight.ground.take_image(job), t_s)
    flight.ground.send(flight.ground.function("ACKNOWLEDGE", job=1), 15)
    flight.fly()
    held = {path: path.read_bytes() for path in tmp_path.glob("*0000000001.*")}
    flight.hal.restarted(10)
    now_s = flight.hal.clock.t_ns / SECOND
    flight.ground.send(flight.ground.function("ACKNOWLEDGE", job=2), now_s + 2)
    flight.fly()
    for path, octets in held.items():
        path.write_bytes(octets)
    flight.hal.restarted(5)
    app = flight.fly()
    assert app.compute.store.totals() == {"ACKNOWLEDGED": 2}
    assert not list(tmp_path.glob("*0000000001.*"))


class FullMedium(Files):
    """A medium without room for anything big."""

    def write(self, fd: int, data: bytes) -> None:
        if len(data) > 50_000:
            raise OSError(28, "No space left on device")
        super().write(fd, data)


def test_a_full_medium_fails_the_job_and_nothing_else(tmp_path: Path) -> None:
    """An image that cannot be stored is JOB_FAILED with STORAGE; telecommands go on."""
    flight = Flight(tmp_path)
    flight.ground.send(flight.ground.take_image(1), 3)
    flight.ground.send(flight.ground.tc(17, 1), 10)
    app = flight.fly(FullMedium())
    assert app.compute.store.jobs[1].state == JobState.FAILED
    assert app.compute.store.jobs[1].reason.name == "STORAGE"
    assert len(flight.ground.reports(17, 2)) == 1


def test_an_image_damaged_in_storage_fails_its_job(tmp_path: Path) -> None:
    """After a restart a job whose image fails its CRC ends FAILED, and says STORAGE."""
    flight = Flight(tmp_path, seconds=6)
    flight.hal.cpu.ns_per_unit = 100 * SECOND
    flight.ground.send(flight.ground.take_image(1), 3)
    flight.fly()
    for path in tmp_path.glob("image-*"):
        path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    flight.hal.restarted(10)
    app = flight.fly()
    assert app.compute.store.jobs[1].state == JobState.FAILED
    assert app.storage.repairs == 1


@pytest.mark.parametrize("width", [1, 3, 4, 5, 128])
def test_classes_are_packed_two_bits_a_pixel(width: int) -> None:
    """Packing and unpacking are inverse, rows padded to whole octets, first pixel highest."""
    classes = (np.arange(3 * width) % 3).astype(np.uint8).reshape(3, width)
    octets = pack_classes(classes)
    assert len(octets) == 3 * -(-width // 4)
    assert octets[0] >> 6 == classes[0, 0]
    assert np.array_equal(unpack_classes(octets, (3, width)), classes)


def test_decimation_keeps_the_most_frequent_class() -> None:
    """A block becomes its majority, a tie the lower class; a margin that fills no block is cut."""
    classes = np.array([[0, 1, 2, 2, 1], [1, 1, 2, 0, 1], [0, 0, 1, 2, 0]], np.uint8)
    assert decimate(classes, 2).tolist() == [[1, 2]]
    assert decimate(np.array([[0, 2], [2, 0]], np.uint8), 2).tolist() == [[0]]
