"""Image jobs as they are kept in storage: record, image, classes so far, product.

Every change of a job is one atomic save. A record holds the classes of the tiles that are done, so
that record and classes can never disagree.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.codec.dictionary import JobReason, JobState
from flightsw.errors import StorageError
from flightsw.storage import Storage

Pixels = NDArray[np.uint8]

_HEAD_NBYTES = 4
#: states in which a job still wants work on board
OPEN = (JobState.ACCEPTED, JobState.ACQUIRED, JobState.TILES, JobState.PRODUCT)
#: states after which nothing more happens to a job
ENDED = (JobState.ACKNOWLEDGED, JobState.FAILED, JobState.DISCARDED)


class Job:
    """One image job. Times in nanoseconds of mission time."""

    __slots__ = (
        "accepted_ns",
        "age_ms",
        "altitude_m",
        "counts",
        "exposure_us",
        "id",
        "image_ns",
        "latitude",
        "longitude",
        "max_cloud",
        "priority",
        "product_nbytes",
        "reason",
        "shape",
        "state",
        "tiles_done",
        "tiles_total",
    )

    def __init__(self, number: int, exposure_us: int, priority: int, max_cloud: int) -> None:
        self.id = number
        self.exposure_us = exposure_us
        self.priority = priority
        #: percent; the job is discarded above it
        self.max_cloud = max_cloud
        self.state = JobState.ACCEPTED
        self.reason = JobReason.NONE
        self.accepted_ns = 0
        self.image_ns = 0
        #: 1e-7 degrees, 1e-7 degrees, metres, age of the position (0xFFFFFFFF: none)
        self.latitude = self.longitude = self.altitude_m = 0
        self.age_ms = 0xFFFFFFFF
        self.shape = (0, 0)
        self.tiles_done = 0
        self.tiles_total = 0
        #: pixels of sea, land, cloud in the tiles done
        self.counts = [0, 0, 0]
        self.product_nbytes = 0

    @property
    def open(self) -> bool:
        """True while the job wants work on board."""
        return self.state in OPEN

    @property
    def ended(self) -> bool:
        """True when nothing more happens to the job."""
        return self.state in ENDED

    def pack(self) -> bytes:
        """Return the record as JSON."""
        row = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(row, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def unpack(cls, octets: bytes) -> Job:
        """Return the job of a record."""
        row: dict[str, Any] = json.loads(octets)
        job = cls(row["id"], row["exposure_us"], row["priority"], row["max_cloud"])
        for name, value in row.items():
            setattr(job, name, value)
        job.state, job.reason = JobState(job.state), JobReason(job.reason)
        job.shape = (row["shape"][0], row["shape"][1])
        return job


class JobStore:
    """The jobs of all starts, and their data."""

    def __init__(self, storage: Storage, kept: int) -> None:
        """``kept`` jobs that have ended are remembered, with their products."""
        self._storage = storage
        self._kept = kept
        self.jobs: dict[int, Job] = {}
        #: what became of jobs that are no longer remembered, by name of their state
        self.retired: Counter[str] = Counter()
        #: (id, time of acceptance) of the job that was retired last
        self._last_retired: tuple[int, int] = (0, -1)
        self._leftover: Job | None = None
        self._load()

    def _load(self) -> None:
        retired = self._storage.load("jobs-retired")
        if retired is not None:
            row = json.loads(retired)
            self.retired.update(row["counts"])
            self._last_retired = (row["last"][0], row["last"][1])
        for name in self._storage.names("job-"):
            blob = self._storage.load(name)
            if blob is not None:
                job = Job.unpack(_split(blob)[0])
                if (job.id, job.accepted_ns) == self._last_retired:
                    self._leftover = job  # counted, but a stop came before it was deleted
                else:
                    self.jobs[job.id] = job

    def tidy(self) -> None:
        """Delete what a stop left of a job that was being retired; raises ``StorageError``."""
        if self._leftover is not None:
            self._delete(self._leftover)
            self._leftover = None

    def save(self, job: Job, classes: bytes = b"", durable: bool = False) -> None:
        """Save the record and, while tiles are worked on, the packed classes of those done."""
        record = job.pack()
        blob = len(record).to_bytes(_HEAD_NBYTES, "big") + record + classes
        self._storage.save(f"job-{job.id:010d}", blob, durable)
        self.jobs[job.id] = job

    def classes(self, job: Job) -> bytes:
        """Return the packed classes of the tiles that are done."""
        blob = self._storage.load(f"job-{job.id:010d}")
        return b"" if blob is None else _split(blob)[1]

    def save_image(self, job: Job, pixels: Pixels) -> None:
        """Save the image; it is on the medium when this returns."""
        job.shape = (pixels.shape[0], pixels.shape[1])
        self._storage.save(f"image-{job.id:010d}", pixels.tobytes(), durable=True)

    def image(self, job: Job) -> Pixels:
        """Return the image; raises :class:`~flightsw.errors.StorageError`."""
        blob = self._storage.load(f"image-{job.id:010d}")
        if blob is None or len(blob) != job.shape[0] * job.shape[1] * 3:
            raise StorageError(f"job {job.id}: its image is not in storage; take it again")
        return np.frombuffer(blob, np.uint8).reshape(*job.shape, 3)

    def save_product(self, job: Job, octets: bytes) -> None:
        """Save the product as a file of its own, its CRC-32 inside."""
        self._storage.replace(self._product_path(job.id), octets, durable=True)

    def product(self, job: Job) -> bytes:
        """Return the product; raises :class:`~flightsw.errors.StorageError`."""
        try:
            return self._product_path(job.id).read_bytes()
        except OSError as error:
            raise StorageError(
                f"job {job.id}: its product cannot be read: {error.strerror}"
            ) from error

    def drop_image(self, job: Job) -> None:
        """Delete the image of a job that no longer needs it."""
        self._storage.delete(f"image-{job.id:010d}")

    def drop_product(self, job: Job) -> None:
        """Delete the product."""
        self._storage.unlink(self._product_path(job.id))

    def retire(self) -> None:
        """Forget the oldest jobs that have ended, beyond as many as are kept."""
        ended = [job for job in self.jobs.values() if job.ended]
        for job in sorted(ended, key=lambda j: j.id)[: max(0, len(ended) - self._kept)]:
            self.retired[job.state.name] += 1
            self._last_retired = (job.id, job.accepted_ns)
            row = {"counts": dict(sorted(self.retired.items())), "last": self._last_retired}
            self._storage.save("jobs-retired", json.dumps(row).encode())
            del self.jobs[job.id]
            self._delete(job)

    def _delete(self, job: Job) -> None:
        self.drop_product(job)
        self._storage.delete(f"job-{job.id:010d}")

    def totals(self) -> Counter[str]:
        """Return how many jobs of all starts are in each state, by its name."""
        totals = Counter(self.retired)
        for job in self.jobs.values():
            totals[job.state.name] += 1
        return totals

    def _product_path(self, number: int) -> Path:
        return self._storage.root / f"product-{number:010d}.bin"


def _split(blob: bytes) -> tuple[bytes, bytes]:
    end = _HEAD_NBYTES + int.from_bytes(blob[:_HEAD_NBYTES], "big")
    return blob[_HEAD_NBYTES:end], blob[end:]
