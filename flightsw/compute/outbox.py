"""Product parts on their way to the line: by priority, each handed over once.

Parts are claimed in small runs, and a claim is journaled before its first part leaves. After a
restart every claimed part counts as sent: those of the last claim are in doubt and are reported,
and go again only when ground asks for them.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from flightsw.codec.dictionary import PART_FIRST, PART_LAST, PART_NBYTES, PART_NEXT
from flightsw.compute.jobs import Job, JobStore
from flightsw.errors import StorageError
from flightsw.services.telemetry import Telemetry
from flightsw.storage import Storage

_CLAIM = struct.Struct(">IHH")  # job, first part, count
_SETTLED = b""
_CLAIM_PARTS = 8
_JOURNALED_MAX = 4096
_PART_HEAD = struct.Struct(">IH")
_SERVICE = 13


def count_parts(nbytes: int) -> int:
    """Return how many parts a product of ``nbytes`` octets has."""
    return -(-nbytes // PART_NBYTES)


class Outbox:
    """The queue of parts; a :class:`~flightsw.services.downlink.PartSource`."""

    def __init__(
        self,
        storage: Storage,
        store: JobStore,
        telemetry: Telemetry,
        on_sent: Callable[[Job], None],
        on_lost: Callable[[Job], None],
    ) -> None:
        """Call ``on_sent(job)`` when the last part of a product was claimed.

        ``on_lost(job)`` is called when a product cannot be read; the job is out of the queue then.
        """
        self._journal = storage.journal("line")
        self._store = store
        self._telemetry = telemetry
        self._on_sent = on_sent
        self._on_lost = on_lost
        self._next: dict[int, int] = {}  # job -> next part never claimed
        self._queue: list[tuple[int, int]] = []  # (priority, job), sorted
        self._again: deque[tuple[int, int, int]] = deque()  # (job, first, count)
        self._claimed: deque[bytes] = deque()  # packets ready for the line
        self._open_claim = b""  # the last claim until it is settled
        self._product: tuple[int, bytes] = (-1, b"")
        self._waiting = 0
        #: (job, first, count) of the claim that a restart left in doubt
        self.in_doubt: tuple[int, int, int] | None = None
        self._journaled = 0
        self.parts_resent = 0
        self.unsaved = 0
        self._load()

    def _load(self) -> None:
        for record in self._journal.records:
            if record == _SETTLED:
                self.in_doubt = None
                continue
            job, first, count = _CLAIM.unpack(record)
            self._next[job] = max(self._next.get(job, 1), first + count)
            self.in_doubt = (job, first, count)
        self._compact()

    def _summary(self) -> list[bytes]:
        """Return the records that say how far each product has gone, and the open claim."""
        self._next = {job: part for job, part in self._next.items() if job in self._store.jobs}
        rows = [_CLAIM.pack(job, 1, part - 1) for job, part in sorted(self._next.items())]
        return [*rows, self._open_claim or _SETTLED]

    def _compact(self) -> None:
        """Keep the journal short."""
        self._journal.shorten(self._summary())
        self._journaled = 0

    def renew(self, number: int) -> None:
        """Forget what was sent of a job whose number is used anew; raises ``StorageError``.

        The number must not be among the jobs yet.
        """
        if self._product[0] == number:
            self._product = (-1, b"")
        if number in self._next:
            self._journal.rewrite(self._summary())
            self._journaled = 0

    def queue(self, job: Job) -> None:
        """Queue what was never claimed of a product."""
        entry = (job.priority, job.id)
        left = count_parts(job.product_nbytes) - self._next.get(job.id, 1) + 1
        if left <= 0:
            self._on_sent(job)
        elif entry not in self._queue:
            self._queue.append(entry)
            self._queue.sort()
            self._waiting += left

    def resend(self, job: Job, first: int, count: int) -> int:
        """Queue parts that ground asks for; return how many.

        Parts never claimed are left out: they come by themselves.
        """
        last = min(first + count - 1, self._next.get(job.id, 1) - 1)
        wanted = last - first + 1
        if wanted <= 0:
            return 0
        self._again.append((job.id, first, wanted))
        self._waiting += wanted
        return wanted

    def forget(self, job: Job) -> None:
        """Drop what is queued of a job, acknowledged or discarded."""
        entry = (job.priority, job.id)
        if entry in self._queue:
            self._queue.remove(entry)
            self._waiting -= count_parts(job.product_nbytes) - self._next.get(job.id, 1) + 1
        dropped = sum(count for number, _, count in self._again if number == job.id)
        self._again = deque(row for row in self._again if row[0] != job.id)
        self._waiting -= dropped

    def waiting(self) -> int:
        """Return how many parts wait for the line."""
        return self._waiting + len(self._claimed)

    def next_part(self) -> bytes | None:
        """Return the next part as a TM[13,x] packet, already journaled as claimed."""
        if not self._claimed and not self._claim():
            return None
        return self._claimed.popleft()

    def settle(self) -> None:
        """Note that the line has everything claimed; call after it was written."""
        if self._open_claim and not self._claimed:
            self._open_claim = b""
            if self._append(_SETTLED) and self._journaled > _JOURNALED_MAX:
                self._compact()

    def _claim(self) -> bool:
        """Claim the next run of parts; return False when there is none or it cannot be noted."""
        while self._again or self._queue:
            if self._again:
                number, first, left = self._again[0]
            else:
                number = self._queue[0][1]
                first = self._next.get(number, 1)
                left = count_parts(self._store.jobs[number].product_nbytes) - first + 1
            job, run = self._store.jobs[number], min(left, _CLAIM_PARTS)
            try:
                product = self._load_product(job)
            except StorageError:
                self.forget(job)
                self._on_lost(job)
                continue
            claim = _CLAIM.pack(number, first, run)
            if not self._append(claim):
                return False
            self._open_claim = claim
            self._take(job, first, run, product)
            return True
        return False

    def _append(self, record: bytes) -> bool:
        try:
            self._journal.append(record, durable=record != _SETTLED)
            self._journaled += 1
        except StorageError:
            # Not noted, not sent: a part must not go twice.
            self.unsaved += 1
            return False
        return True

    def _take(self, job: Job, first: int, run: int, product: bytes) -> None:
        total = count_parts(len(product))
        self._waiting -= run
        for part in range(first, first + run):
            body = product[(part - 1) * PART_NBYTES : part * PART_NBYTES]
            kind = PART_LAST if part == total else PART_FIRST if part == 1 else PART_NEXT
            packet = self._telemetry.pack(_SERVICE, kind, _PART_HEAD.pack(job.id, part) + body)
            self._claimed.append(packet)
        if self._again:
            left = self._again.popleft()[2] - run
            if left:
                self._again.appendleft((job.id, first + run, left))
            self.parts_resent += run
            return
        self._next[job.id] = first + run
        if first + run > total:
            self._queue.pop(0)
            self._on_sent(job)

    def _load_product(self, job: Job) -> bytes:
        if self._product[0] != job.id:
            self._product = (job.id, self._store.product(job))
        return self._product[1]
