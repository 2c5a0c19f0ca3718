"""What a payload computer has in its storage, read from outside while the software does not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flightsw.codec.dictionary import JobState
from flightsw.compute.jobs import JobStore
from flightsw.storage import Storage

_WITH_PRODUCT = (JobState.QUEUED, JobState.SENT, JobState.ACKNOWLEDGED)


def inspect(storage: Path) -> dict[str, Any]:
    """Return ``jobs`` (id as text -> state, reason, tiles), ``products`` (id -> octets) and counts.

    Raises :class:`~flightsw.errors.StorageError` when the folder cannot be read.
    """
    opened = Storage(storage)
    store = JobStore(opened, kept=1)
    return {
        "jobs": {
            str(number): {
                "state": job.state.name,
                "reason": job.reason.name,
                "tiles_done": job.tiles_done,
                "tiles_total": job.tiles_total,
                "product_nbytes": job.product_nbytes,
            }
            for number, job in sorted(store.jobs.items())
        },
        "products": {
            number: store.product(job)
            for number, job in sorted(store.jobs.items())
            if job.state in _WITH_PRODUCT
        },
        "retired": dict(sorted(store.retired.items())),
        "repairs": opened.repairs,
    }
