"""Stop the flight software at its n-th storage operation, for every n, and start it again."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from zlib import crc32

import pytest
from fake_hal import SECOND, FakeHal, Ground

from flightsw.app import App, create
from flightsw.codec.dictionary import PART_LAST, JobState
from flightsw.storage import Files

JOBS = (11, 12, 13)
#: the operations of one undisturbed run are fewer than this
OPERATIONS_MAX = 400


class Killed(BaseException):
    """The process is gone; nothing in it may catch this."""


class DyingFiles(Files):
    """Stops at the ``n``-th operation; a write stops half-way through its octets."""

    def __init__(self, n: int) -> None:
        self.left = n

    def _count(self) -> bool:
        self.left -= 1
        return self.left == 0

    def write(self, fd: int, data: bytes) -> None:
        if self._count():
            super().write(fd, data[: len(data) // 2])
            raise Killed
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        # What was written is seen by the next start of the same test without forcing it out.
        if self._count():
            raise Killed

    def rename(self, old: Path, new: Path) -> None:
        if self._count():
            raise Killed
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        if self._count():
            raise Killed
        super().unlink(path)

    def truncate(self, fd: int, nbytes: int) -> None:
        if self._count():
            raise Killed
        super().truncate(fd, nbytes)


class Mission:
    """Two jobs by telecommand and one by the schedule, in one contact, with a repeat of all."""

    def __init__(self) -> None:
        self.hal = FakeHal(seconds=24, fsync=True, downlink_bps=100_000, product_max_octets=6000)
        self.hal.camera.shape = (128, 128)
        self.ground = Ground(self.hal)
        self.ground.bypass = True
        self.ground.contact(1, 500)
        planned = self.ground.take_image(JOBS[2])
        self.packets = [
            self.ground.tc(11, 1),
            self.ground.insert((8, planned)),
            self.ground.take_image(JOBS[0], priority=20),
            self.ground.take_image(JOBS[1]),
        ]
        for number, packet in enumerate(self.packets):
            self.ground.send(packet, 2 + number * 0.3)

    def repeat(self) -> None:
        """Send every telecommand again, as ground does when it heard no report."""
        for number, packet in enumerate(self.packets):
            self.ground.send(packet, self.hal.clock.t_ns / SECOND + 1 + number * 0.3)

    def parts(self) -> dict[int, dict[int, tuple[int, bytes]]]:
        """Return job -> part -> (subtype, octets) as received."""
        held: dict[int, dict[int, tuple[int, bytes]]] = {job: {} for job in JOBS}
        for subtype in (1, 2, 3):
            for data in self.ground.reports(13, subtype):
                job, part = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:6], "big")
                held[job][part] = subtype, data[6:]
        return held

    def repeats(self) -> list[tuple[int, int]]:
        """Return the (job, part) that came more than once."""
        seen = Counter(
            (int.from_bytes(data[:4], "big"), int.from_bytes(data[4:6], "big"))
            for subtype in (1, 2, 3)
            for data in self.ground.reports(13, subtype)
        )
        return [key for key, count in seen.items() if count > 1]


def _fly(mission: Mission, storage: Path, files: Files | None) -> App:
    app = create(mission.hal, storage, files)
    app.run()
    return app


def _check_products(mission: Mission, storage: Path) -> None:
    """Every product is whole on ground and equal to what was made."""
    for job, parts in mission.parts().items():
        last = max(parts)
        assert parts[last][0] == PART_LAST, f"job {job}: last part missing"
        octets = b"".join(parts[number][1] for number in range(1, last + 1))
        assert crc32(octets[:-4]) == int.from_bytes(octets[-4:], "big")
        assert octets == (storage / f"product-{job:010d}.bin").read_bytes()


@pytest.mark.parametrize("first", range(1, 17))
def test_a_stop_at_any_storage_operation_loses_no_job_and_repeats_no_part(
    first: int, tmp_path: Path
) -> None:
    """Whatever operation it stops at, jobs accepted are finished and no part goes twice unasked."""
    n = first
    while n < OPERATIONS_MAX:
        mission, storage = Mission(), tmp_path / str(n)
        files = DyingFiles(n)
        try:
            _fly(mission, storage, files)
        except Killed:
            pass
        else:
            assert files.left > 0
            return
        mission.hal.restarted(12)
        mission.repeat()
        mission.hal.config["fsync"] = False
        app = _fly(mission, storage, None)
        states = {job: app.compute.store.jobs[job].state for job in JOBS}
        assert set(states.values()) == {JobState.SENT}, f"stop at {n}: {states}"
        assert mission.repeats() == [], f"stop at {n}"
        mission.hal.restarted(5)
        for job in JOBS:
            mission.ground.send(mission.ground.function("RESEND_PARTS", job=job, first=1, count=99))
        _fly(mission, storage, None)
        _check_products(mission, storage)
        n += 16
    pytest.fail(f"still stopped at operation {n}")


def test_an_undisturbed_run_sends_each_product_once(tmp_path: Path) -> None:
    """Without a stop all three products arrive whole, each part once, and every report is good."""
    mission = Mission()
    app = _fly(mission, tmp_path, None)
    assert mission.repeats() == []
    _check_products(mission, tmp_path)
    assert app.verification.failed == app.verification.rejected == 0
    assert len(mission.ground.reports(1, 7)) == 5


@pytest.mark.parametrize("seed", range(40))
def test_a_second_stop_while_it_recovers_does_no_more_harm(seed: int, tmp_path: Path) -> None:
    """Stopped once at work and once while recovering, nothing is lost or repeated."""
    mission = Mission()
    for n in (20 + seed * 5, 1 + seed * 2):
        with contextlib.suppress(Killed):
            _fly(mission, tmp_path, DyingFiles(n))
        mission.hal.restarted(12)
        mission.repeat()
    mission.hal.config["fsync"] = False
    app = _fly(mission, tmp_path, None)
    assert {app.compute.store.jobs[job].state for job in JOBS} == {JobState.SENT}
    assert mission.repeats() == []


class FullFiles(Files):
    """A medium that is full from its ``n``-th write on, for so many writes."""

    def __init__(self, n: int, lasting: int) -> None:
        self.n = n
        self.lasting = lasting
        self.writes = 0

    def write(self, fd: int, data: bytes) -> None:
        self.writes += 1
        if self.n <= self.writes < self.n + self.lasting:
            super().write(fd, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        super().write(fd, data)


def test_a_restart_on_a_full_medium_can_be_commanded(tmp_path: Path) -> None:
    """A start needs no room: ground can still reach the computer, and discard what fills it."""
    mission = Mission()
    mission.hal.config["fsync"] = False
    _fly(mission, tmp_path, None)
    mission.hal.restarted(12)
    mission.ground.send(mission.ground.tc(17, 1), mission.hal.clock.t_ns / SECOND + 2)
    app = _fly(mission, tmp_path, FullFiles(1, 100_000))
    assert app.storage.unshortened >= 3
    assert len(mission.ground.reports(17, 2)) == 1


@pytest.mark.parametrize("lasting", [1, 3, 1000])
@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_medium_that_is_full_at_any_write_stops_nothing_else(
    first: int, lasting: int, tmp_path: Path
) -> None:
    """Jobs end sent or failed, or wait while nothing can be journaled, and the program flies on."""
    good_ends = {JobState.SENT, JobState.FAILED} | ({JobState.QUEUED} if lasting > 3 else set())
    n = first
    while n < OPERATIONS_MAX:
        mission = Mission()
        mission.hal.config["fsync"] = False
        mission.ground.send(mission.ground.tc(17, 1), 20)
        files = FullFiles(n, lasting)
        app = _fly(mission, tmp_path / str(n), files)
        if files.writes < n:
            return
        ends = {job: held.state for job, held in app.compute.store.jobs.items()}
        assert set(ends.values()) <= good_ends, f"full at write {n}: {ends}"
        assert len(mission.ground.reports(17, 2)) == 1
        assert mission.repeats() == []
        n += 3
    pytest.fail(f"still writing at write {n}")
