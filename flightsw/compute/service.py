"""The compute service: image jobs from telecommand to product.

A job is ACCEPTED when its record is durable, ACQUIRED when its image is. Tiles are classified in
batches; a batch announces its work to the processor model, computes, and is taken no earlier than
the work takes. After each batch the classes so far are checkpointed, so a pause, safe mode or a
stop at any instant costs one batch. The product is QUEUED when it is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from flightsw.codec.dictionary import JobReason, JobState
from flightsw.codec.dictionary.events import (
    COMPUTE_PAUSED,
    COMPUTE_RESUMED,
    JOB_FAILED,
    JOB_RESUMED,
    JOB_STATE,
    PARTS_IN_DOUBT,
)
from flightsw.compute.jobs import Job, JobStore
from flightsw.compute.outbox import Outbox, count_parts
from flightsw.compute.product import Classes, make_product, pack_classes, permille, unpack_classes
from flightsw.compute.segmenter import TILE, TileClassifier, join, split_tiles
from flightsw.config import FlightConfig
from flightsw.drivers.imager import Imager
from flightsw.drivers.ublox import Fix
from flightsw.errors import BusError, StorageError
from flightsw.hal import Hal
from flightsw.scheduler import Scheduler
from flightsw.services.events import Events
from flightsw.services.telemetry import Telemetry
from flightsw.storage import Storage

PAUSE_TELECOMMAND, PAUSE_POWER, PAUSE_THERMAL, PAUSE_SAFE = 1, 2, 4, 8
_SECOND_NS = 1_000_000_000
_CAPTURE_TRIES = 3
_NO_AGE = 0xFFFFFFFF
_PAUSED = b"\x01"


class ComputeService:
    """Jobs one after the other, by priority, then as accepted."""

    def __init__(
        self,
        hal: Hal,
        config: FlightConfig,
        scheduler: Scheduler,
        storage: Storage,
        telemetry: Telemetry,
        events: Events,
        imager: Imager | None,
        segmenter: TileClassifier,
        parameters: Mapping[str, float],
        fix: Callable[[], Fix | None],
    ) -> None:
        """``fix()`` returns the last position, None if there is none."""
        self._storage = storage
        self._clock = hal.clock
        self._cpu = hal.cpu
        self._config = config
        self._scheduler = scheduler
        self._events = events
        self._imager = imager
        self._segmenter = segmenter
        self._parameters = parameters
        self._fix = fix
        self.store = JobStore(storage, config.jobs_max_kept)
        self.outbox = Outbox(storage, self.store, telemetry, self._sent, self._lost)
        self.paused = 0
        #: True while the governors ask for rests between batches
        self.slow = False
        self.job: Job | None = None
        self._tiles: Any = None
        self._grid: Any = None
        self._classes: Any = None
        self._work = 0  # counts batches; a result of an older one is not taken
        self._busy = False
        self._rest_until_ns = 0
        self._tries = 0
        self.resumed = 0
        self.checkpoints = 0
        self.work_ns = 0
        self.energy_j = 0.0
        self.abandoned = 0
        self.images = 0

    # --- jobs ------------------------------------------------------------------------------------

    def start(self) -> None:
        """After a restart: queue products again, tell what is resumed, go on."""
        with suppress(StorageError):  # the next start tries again
            self.store.tidy()
        if self._storage.load("pause") == _PAUSED:
            self.pause(PAUSE_TELECOMMAND, True)
        for number in sorted(self.store.jobs):
            job = self.store.jobs[number]
            if not job.open:
                self.store.drop_image(job)  # a stop may have come before it was deleted
            if job.state in (JobState.QUEUED, JobState.SENT):
                self.outbox.queue(job)
            elif job.open:
                self.resumed += 1
                self._events.report(JOB_RESUMED, job.id, job.state, job.tiles_done)
        if self.outbox.in_doubt is not None and self.outbox.in_doubt[0] in self.store.jobs:
            self._events.report(PARTS_IN_DOUBT, *self.outbox.in_doubt)
        self._wake(0)

    def open_jobs(self) -> int:
        """Return how many jobs still want work."""
        return sum(job.open for job in self.store.jobs.values())

    def unsent_jobs(self) -> int:
        """Return how many jobs still want work or have parts that never went to the line."""
        jobs = self.store.jobs.values()
        return sum(job.open or job.state == JobState.QUEUED for job in jobs)

    def accept(self, job: Job) -> None:
        """Take a new job; it is durable when this returns. Raises ``StorageError``."""
        job.accepted_ns = self._clock.now_ns()
        self.outbox.renew(job.id)
        self.store.save(job, durable=True)
        self._tell(job)
        self._wake(0)

    def acknowledge(self, job: Job) -> None:
        """Ground holds the product."""
        self.outbox.forget(job)
        self._set(job, JobState.ACKNOWLEDGED)
        self.store.retire()

    def discard(self, job: Job, reason: JobReason) -> None:
        """End a job and delete its data."""
        if job is self.job:
            self._drop_work()
        self.outbox.forget(job)
        self._set(job, JobState.DISCARDED, reason)
        self.store.drop_image(job)
        self.store.drop_product(job)
        self.store.retire()
        self._wake(0)

    def tell_all(self) -> None:
        """Report each remembered job."""
        for number in sorted(self.store.jobs):
            self._tell(self.store.jobs[number])

    # --- pausing ---------------------------------------------------------------------------------

    def command(self, paused: bool) -> None:
        """Pause or go on by telecommand, which a restart keeps; raises ``StorageError``."""
        self._storage.save("pause", _PAUSED if paused else b"", durable=True)
        self.pause(PAUSE_TELECOMMAND, paused)

    def pause(self, cause: int, paused: bool) -> None:
        """Set or withdraw a cause to pause; work goes on when none is left.

        Safe mode drops the batch in work, the other causes let it end.
        """
        before = self.paused
        self.paused = before | cause if paused else before & ~cause
        if self.paused and not before:
            self._events.report(COMPUTE_PAUSED, self.paused)
        elif before and not self.paused:
            self._events.report(COMPUTE_RESUMED, self.job.id if self.job else 0)
            self._wake(0)
        if paused and cause == PAUSE_SAFE and self._busy:
            self.abandoned += 1
            self._busy = False
            self._work += 1
            self._cpu.end()

    # --- work ------------------------------------------------------------------------------------

    def _wake(self, t_ns: int) -> None:
        self._scheduler.at(t_ns, self._step)

    def _step(self, now_ns: int) -> None:
        """Acquire what waits for its image, else begin the next batch."""
        if self.paused & PAUSE_SAFE:
            return
        try:
            if self._acquire_next() or self._busy or self.paused or now_ns < self._rest_until_ns:
                return
            if self.job is None and not self._pick():
                return
            self._begin_batch()
        except StorageError:
            self._fail(JobReason.STORAGE, 0)

    def _acquire_next(self) -> bool:
        """Take the image of the job that was accepted first; return whether there was one."""
        waiting = [j for j in self.store.jobs.values() if j.state == JobState.ACCEPTED]
        if not waiting:
            return False
        job = min(waiting, key=lambda j: (j.accepted_ns, j.id))
        if self._imager is None:
            self._fail(JobReason.IMAGER, 0, job)
        else:
            self._capture(job, self._imager)
        return True

    def _capture(self, job: Job, imager: Imager) -> None:
        try:
            image = imager.capture(job.exposure_us)
        except BusError as error:
            self._tries += 1
            if self._tries < _CAPTURE_TRIES:
                self._wake(self._clock.now_ns() + _SECOND_NS)
                return
            self._tries = 0
            self._fail(JobReason.IMAGER, error.errno or 0, job)
            return
        self._tries = 0
        self.images += 1
        job.image_ns = image.t_ns
        self._locate(job)
        try:
            self.store.save_image(job, image.pixels)
            self._set(job, JobState.ACQUIRED, durable=True)
        except StorageError:
            self._fail(JobReason.STORAGE, 0, job)
        self._wake(0)

    def _locate(self, job: Job) -> None:
        fix = self._fix()
        if fix is None or fix.fix < 2:
            job.age_ms = _NO_AGE
            return
        job.latitude, job.longitude = fix.latitude, fix.longitude
        job.altitude_m = fix.height_mm // 1000
        job.age_ms = min(max(0, job.image_ns - fix.t_ns) // 1_000_000, _NO_AGE - 1)

    def _pick(self) -> bool:
        """Load the next job to work on; return False if there is none."""
        ready = [j for j in self.store.jobs.values() if j.open and j.state != JobState.ACCEPTED]
        if not ready:
            return False
        job = min(ready, key=lambda j: (j.priority, j.accepted_ns, j.id))
        self.job = job
        self._tiles, self._grid = split_tiles(self.store.image(job))
        job.tiles_total = len(self._tiles)
        self._classes = np.zeros(self._tiles.shape[:3], np.uint8)
        if job.tiles_done:
            done = unpack_classes(self.store.classes(job), (job.tiles_done, TILE, TILE))
            self._classes[: job.tiles_done] = done
        return True

    def _begin_batch(self) -> None:
        job = self.job
        assert job is not None
        first = job.tiles_done
        if first == job.tiles_total:
            self._finish(job)
            return
        last = min(first + int(self._parameters["tiles_per_batch"]), job.tiles_total)
        charge = self._cpu.begin(self._config.model_class, last - first)
        self.energy_j += charge.energy_j
        self.work_ns += charge.duration_ns
        result = self._segmenter.classify(self._tiles[first:last])
        self._busy = True
        self._work += 1
        work = self._work
        self._scheduler.at(
            self._clock.now_ns() + charge.duration_ns,
            lambda now_ns: self._collect(now_ns, work, last, result),
        )

    def _collect(self, now_ns: int, work: int, last: int, result: Any) -> None:
        """Take the result of a batch, checkpoint, go on."""
        if work != self._work or self.job is None:
            return
        self._busy = False
        job = self.job
        self._classes[job.tiles_done : last] = result
        job.tiles_done = last
        job.state = JobState.TILES
        try:
            self.store.save(job, pack_classes(self._classes[:last]))
            self.checkpoints += 1
        except StorageError:
            self._fail(JobReason.STORAGE, 0)
            return
        if last == job.tiles_total:
            self._finish(job)
        rest_s = self._parameters["slow_gap_s"] if self.slow and self.job is not None else 0
        self._rest_until_ns = now_ns + int(rest_s * _SECOND_NS)
        self._wake(self._rest_until_ns)

    def _finish(self, job: Job) -> None:
        """Keep or discard; make the product and queue it."""
        classes = join(self._classes, self._grid)
        job.counts = [int(n) for n in np.bincount(classes.ravel(), minlength=3)[:3]]
        self._drop_work()
        try:
            if permille(job.counts)[2] > job.max_cloud * 10:
                self.discard(job, JobReason.CLOUD)
            else:
                self._keep(job, classes)
        except StorageError:
            self._fail(JobReason.STORAGE, 0, job)
        self._wake(0)

    def _keep(self, job: Job, classes: Classes) -> None:
        """Make the product durable, then queue it."""
        sha256 = self._segmenter.sha256
        product = make_product(job, classes, sha256, self._config.product_max_octets)
        self.store.save_product(job, product)
        job.product_nbytes = len(product)
        job.state = JobState.PRODUCT
        self._tell(job)
        self._set(job, JobState.QUEUED, durable=True)
        self.outbox.queue(job)
        self.store.drop_image(job)

    # --- ends ------------------------------------------------------------------------------------

    def _sent(self, job: Job) -> None:
        if job.state == JobState.QUEUED:
            try:
                self._set(job, JobState.SENT)
            except StorageError:
                # The journal of the line knows it; a restart sets the state again.
                job.state = JobState.SENT
            self._scheduler.at(0, self._expire)

    def _expire(self, now_ns: int) -> None:
        """Give up the oldest products that ground never acknowledged, beyond those kept."""
        sent = sorted(j.id for j in self.store.jobs.values() if j.state == JobState.SENT)
        for number in sent[: max(0, len(sent) - self._config.jobs_max_kept)]:
            try:
                self.discard(self.store.jobs[number], JobReason.EXPIRED)
            except StorageError:
                return  # the next product that is sent tries again

    def _lost(self, job: Job) -> None:
        self._fail(JobReason.STORAGE, 0, job)

    def _fail(self, reason: JobReason, detail: int, job: Job | None = None) -> None:
        job = job or self.job
        assert job is not None, "a failure without a job"
        if job is self.job:
            self._drop_work()
        self._events.report(JOB_FAILED, job.id, reason, detail)
        try:
            self._set(job, JobState.FAILED, reason)
            self.store.drop_image(job)
            self.store.retire()
        except StorageError:
            # In memory it has failed; a restart tries it once more.
            job.state = JobState.FAILED
        self._wake(self._clock.now_ns() + _SECOND_NS)

    def _drop_work(self) -> None:
        if self._busy:
            self._busy = False
            self._work += 1
            self._cpu.end()
        self.job = self._tiles = self._grid = self._classes = None

    def _set(
        self,
        job: Job,
        state: JobState,
        reason: JobReason = JobReason.NONE,
        durable: bool = False,
    ) -> None:
        job.state, job.reason = state, reason
        self.store.save(job, durable=durable)
        self._tell(job)

    def _tell(self, job: Job) -> None:
        self._events.report(
            JOB_STATE,
            job.id,
            job.state,
            job.reason,
            job.tiles_done,
            job.tiles_total,
            job.product_nbytes,
            count_parts(job.product_nbytes),
        )
