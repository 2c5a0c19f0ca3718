"""A capture of a run that lives: nothing is held back for long, and compression is not waited for.

Records come in batches from a :class:`~hil.digest.RecordStream`, and chunks are closed when they
are full. Both would keep the last records of a run that falls silent, or that computes for a while,
in memory, where a crash takes them. A thread therefore sees to it that what was recorded
:data:`HELD_NS` ago is handed to the system. It sleeps for good while nothing is held back. An event
loop would not do: a run at pace max has none, and may compute for long without recording anything.

The same thread compresses and writes closed chunks, in order; both leave the interpreter to the
run. At most :data:`QUEUE_NBYTES` wait for it. Then, as ``full`` says, whoever records waits
(``slow``), or whole chunks are dropped (``drop``), which leaves a gap in the sequence numbers, and
is counted.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol

from hil.capture.capturefile import ClosedChunk
from hil.capture.writer import CaptureWriter
from hil.digest import RecordStream
from hil.errors import RunDirectoryError, UsageError

#: A record is handed to the system when it is this old. With its turn to come, compression and the
#: write itself it is out within 100 ms.
HELD_NS = 50_000_000
#: Octets of closed chunks that may wait for the disk.
QUEUE_NBYTES = 8 << 20
FULL = ("slow", "drop")


class Wanted(Protocol):
    """What a run says of its capture (see :class:`hil.options.Options`)."""

    @property
    def capture(self) -> bool:
        """Whether there is to be one."""

    @property
    def capture_compression(self) -> str:
        """A name of :data:`hil.capture.compression.NAMES`."""

    @property
    def capture_full(self) -> str:
        """One of :data:`FULL`."""


#: How long to leave alone a stream that is being flushed just now, seconds.
_BUSY_S = 0.001


def recording(
    wanted: Wanted,
    path: Path,
    epoch_ns: int,
    names: Mapping[int, str],
    metadata: Mapping[str, str],
    clock: Callable[[], int],
) -> Recording | Nowhere:
    """Open the capture of a run; see :class:`~hil.capture.writer.CaptureWriter`."""
    if not wanted.capture:
        return Nowhere()
    writer = CaptureWriter(path, epoch_ns, names, metadata, wanted.capture_compression)
    return Recording(writer, wanted.capture_full, clock)


class Recording:
    """Feeds one :class:`CaptureWriter` from a run; a context manager that finishes the capture.

    ``clock`` counts nanoseconds of a steady clock. :meth:`write` may be the sink of a stream, and
    belongs to one thread at a time.
    """

    def __init__(
        self,
        writer: CaptureWriter,
        full: str = "slow",
        clock: Callable[[], int] = time.monotonic_ns,
        queue_nbytes: int = QUEUE_NBYTES,
    ) -> None:
        if full not in FULL:
            raise UsageError(f"full capture {full!r}: say one of {', '.join(FULL)}")
        self.writer = writer
        #: wall seconds that recording took from the run
        self.seconds = 0.0
        #: chunks that were waited for, and chunks that were dropped
        self.waits = self.drops = 0
        writer.store = self._take
        self._full = full
        self._clock = clock
        self._queue_nbytes = queue_nbytes
        self._queue: deque[ClosedChunk] = deque()
        self._queued_nbytes = 0
        #: records of the chunks that were dropped, by MCAP channel
        self._dropped: Counter[int] = Counter()
        self._stream: RecordStream | None = None
        # Since when the stream, and the chunk that is being filled, hold something back.
        self._stream_ns: int | None = None
        self._chunk_ns: int | None = None
        self._filling = self._storing = self._sleeping = self._closing = False
        self._failure: Exception | None = None
        self._turn = threading.Condition(threading.Lock())
        #: held while the stream hands on; whoever has it may wait for the turn, never vice versa
        self._guard = threading.Lock()
        self._cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._thread = threading.Thread(target=self._keep, name="capture", daemon=True)

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # What the disk does not take is told by the writer, whether here or before.
            with contextlib.suppress(RunDirectoryError):
                self._drain()
        finally:
            self.writer.end(error)

    @property
    def counters(self) -> dict[str, int]:
        """Records taken, and what became of those that are not in the capture, for ``run.json``."""
        lost = self.lost
        return {
            "records": self.writer.counters["records"],
            "chunks_waited_for": self.waits,
            "chunks_dropped": self.drops,
            "records_lost": sum(lost.values()),
            **{f"lost {topic}": count for topic, count in lost.items()},
        }

    @property
    def lost(self) -> dict[str, int]:
        """Records that are not in the capture, by topic."""
        lost, names = Counter(self.writer.file.lost), self.writer.file.topics
        for mcap_id, count in self._dropped.items():
            lost[names[mcap_id - 1]] += count
        return dict(sorted(lost.items()))

    def keep(self, stream: RecordStream) -> None:
        """See to it that ``stream``, whose sink we are, holds nothing back for long."""
        self._stream = stream
        stream.guard, stream.held = self._guard, self._held

    def add_metadata(self, name: str, pairs: Mapping[str, str]) -> None:
        """Store a named table of strings, behind what was recorded so far."""
        with self._turn:
            self._settle()
            self.writer.add_metadata(name, pairs)

    def add_attachment(self, name: str, media_type: str, data: bytes) -> None:
        """Store a file, behind what was recorded so far."""
        with self._turn:
            self._settle()
            self.writer.add_attachment(name, media_type, data)

    def _settle(self) -> None:
        """Wait until no chunk is on its way to the file; the turn is ours."""
        while (self._queue or self._storing) and self._failure is None:
            self._turn.wait()

    def write(self, octets: bytes) -> None:
        """Take whole wire records; the sink of a stream."""
        begin_ns = since_ns = self._clock()
        own = threading.current_thread() is self._thread
        with self._turn:
            if self._failure is not None:
                raise self._failure
            if not own and self._stream_ns is not None:
                since_ns, self._stream_ns = self._stream_ns, None
            self._filling = True
            try:
                self.writer.write(octets)
            finally:
                self._filling = False
            if self._chunk_ns is None and self.writer.pending:
                self._chunk_ns = since_ns
                if self._sleeping or not self._thread.is_alive():
                    self._wake()
        if not own:
            self.seconds += (self._clock() - begin_ns) / 1e9

    def _held(self) -> None:
        """The stream begins to hold something back."""
        self._stream_ns = self._clock()
        if self._sleeping or not self._thread.is_alive():
            with self._turn:
                self._wake()

    def _wake(self) -> None:
        """Wake the thread, or start it; the turn is ours."""
        if self._thread.is_alive():
            self._turn.notify_all()
        elif not self._closing:
            self._sleeping = False
            self._thread.start()

    def _take(self, chunk: ClosedChunk) -> None:
        """Take a closed chunk from the writer; the turn is ours."""
        self._chunk_ns = None
        own, nbytes = threading.current_thread() is self._thread, len(chunk.messages)
        if not own and self._full == "drop" and self._is_full(nbytes):
            self.drops += 1
            self._dropped.update(chunk.counts)
            self.writer.drop(chunk)
            return
        is_waited_for = not own and self._is_full(nbytes)
        # Before the wait: a signal may end that, and the chunk is nowhere else by now.
        self._queue.append(chunk)
        self._queued_nbytes += nbytes
        if own:
            return
        self._wake()
        self.waits += is_waited_for
        while len(self._queue) > 1 and self._is_full(0) and self._failure is None:
            self._turn.wait()

    def _is_full(self, nbytes: int) -> bool:
        # What is larger than the whole queue waits until that is empty, and no longer.
        return bool(self._queue) and self._queued_nbytes + nbytes > self._queue_nbytes

    def _drain(self) -> None:
        """Take what the stream holds back, have everything written, end the thread."""
        stream = self._stream
        try:
            if stream is not None:
                stream.flush()
        finally:
            with self._turn:
                self._closing = True
                self._turn.notify_all()
            if self._thread.ident is not None:
                self._thread.join()
            if stream is not None:
                stream.held = stream.guard = None
            self.writer.store = self.writer.file.store
            self.writer.file.lose(self._dropped)
            self._dropped.clear()
        if self._failure is not None:
            raise self._failure

    # --- the thread -------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Write closed chunks, and see that nothing is held back for long."""
        if self._cores:
            # The run is pinned to one core with those whom it is in step with; this is not.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, self._cores)
        with self._turn:
            while not self._closing or self._queue:
                try:
                    self._act()
                except Exception as failure:  # noqa: BLE001  # whoever records next is told
                    self._failure = self._failure or failure
                    self._turn.notify_all()

    def _act(self) -> None:
        """Do the next thing, or wait until there is one; the turn is ours."""
        if self._queue:
            self._store(self._queue.popleft())
            return
        # First this: whoever begins to hold something back looks at it afterwards.
        self._sleeping = True
        due_ns = self._due_ns()
        self._sleeping = due_ns is None
        left_s = None if due_ns is None else (due_ns - self._clock()) / 1e9
        if left_s is None or left_s > 0:
            self._turn.wait(left_s)
        elif self._filling or not self._hand_on():
            self._turn.wait(_BUSY_S)
        self._sleeping = False

    def _due_ns(self) -> int | None:
        """Return when the oldest of what is held back is due; None: nothing is."""
        since = [ns for ns in (self._stream_ns, self._chunk_ns) if ns is not None]
        return min(since) + HELD_NS if since and self._failure is None else None

    def _hand_on(self) -> bool:
        """Close what is held back; False if whoever records is at it. The turn is ours."""
        stream = self._stream
        if stream is not None and self._stream_ns is not None:
            if not self._guard.acquire(blocking=False):
                return False
            self._stream_ns = None
            self._turn.release()
            try:
                stream.hand_on()
            finally:
                self._guard.release()
                self._turn.acquire()
        if self._filling:
            return False
        self.writer.flush()
        return True

    def _store(self, chunk: ClosedChunk) -> None:
        """Write a chunk while the turn is anybody's."""
        self._storing = True
        self._turn.release()
        try:
            if self._failure is None:
                self.writer.file.store(chunk)
            else:
                self.writer.file.lose(chunk.counts)
        finally:
            self._turn.acquire()
            self._storing = False
            self._queued_nbytes -= len(chunk.messages)
            self._turn.notify_all()


class Nowhere:
    """In the place of a recording: what nothing costs, to compare with."""

    seconds = 0.0

    def __enter__(self) -> Nowhere:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass

    @property
    def counters(self) -> dict[str, int]:
        """Nothing was taken."""
        return {}

    @property
    def lost(self) -> dict[str, int]:
        """Nothing was promised."""
        return {}

    def keep(self, stream: RecordStream) -> None:
        """Let a stream do as it likes."""

    def write(self, octets: bytes) -> None:
        """Forget records."""

    def add_metadata(self, name: str, pairs: Mapping[str, str]) -> None:
        """Forget a table."""

    def add_attachment(self, name: str, media_type: str, data: bytes) -> None:
        """Forget a file."""


def told(lost: Mapping[str, int]) -> str:
    """Return what a person is to know of records that are not in a capture; "" if all are."""
    if not lost:
        return ""
    parts = ", ".join(f"{count} of {topic}" for topic, count in lost.items())
    return (
        f"capture: {sum(lost.values())} records were dropped ({parts}): they came faster than the "
        "disk took them"
    )
