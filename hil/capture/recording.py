"""A capture of a run that lives: nothing is held back for long, and compression is not waited for.

Records come in batches from a :class:`~hil.digest.RecordStream`, and chunks are closed when they
are full. Both would keep the last records of a run that falls silent, or that computes for a while,
in memory, where a crash takes them. A thread therefore sees to it that what was recorded
:data:`HELD_NS` ago is handed to the system. It sleeps for good while nothing is held back.

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
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType

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
#: How long to leave alone a stream that is being flushed just now, seconds.
_BUSY_S = 0.001


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
        self._stream: RecordStream | None = None
        # Since when the stream, and the chunk that is being filled, hold something back.
        self._stream_ns: int | None = None
        self._chunk_ns: int | None = None
        self._filling = self._sleeping = self._closing = False
        self._failure: RunDirectoryError | None = None
        self._turn = threading.Condition(threading.Lock())
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
            self._drain()
        except RunDirectoryError:
            pass  # the writer says it again
        finally:
            self.writer.end(error)

    @property
    def counters(self) -> dict[str, int]:
        """What went into the capture and what did not, for ``run.json``."""
        lost = {f"lost {topic}": count for topic, count in self.writer.file.lost.items()}
        return {
            **self.writer.counters,
            "chunks_waited_for": self.waits,
            "chunks_dropped": self.drops,
            "records_lost": sum(lost.values()),
            **lost,
        }

    @property
    def lost(self) -> Mapping[str, int]:
        """Records that are not in the capture, by topic."""
        return self.writer.file.lost

    def follow(self, stream: RecordStream) -> None:
        """Take everything that ``stream`` records from now on, and have it hold nothing back."""
        self._stream = stream
        stream.sink, stream.held = self.write, self._held

    def write(self, octets: bytes) -> None:
        """Take whole wire records; the sink of a stream."""
        begin_ns = self._clock()
        turn, writer = self._turn, self.writer
        with turn:
            if self._failure is not None:
                raise self._failure
            since_ns = self._stream_ns or begin_ns
            self._stream_ns = None
            before = writer.pending
            self._filling = True
            try:
                writer.write(octets)
            finally:
                self._filling = False
            pending = writer.pending
            if pending <= before or self._chunk_ns is None:
                self._chunk_ns = since_ns if pending else None
            if pending and self._sleeping:
                self._wake()
        if threading.current_thread() is not self._thread:
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
        size, own = len(chunk.messages), threading.current_thread() is self._thread
        if self._full == "drop" and not own and self._is_full(size):
            self.drops += 1
            self.writer.drop(chunk)
            return
        if not own and self._is_full(size):
            self.waits += 1
            while self._is_full(size) and self._failure is None:
                self._turn.wait()
        self._queue.append(chunk)
        self._queued_nbytes += size
        if not own:
            self._wake()

    def _is_full(self, size: int) -> bool:
        # What is larger than the whole queue has to wait until that is empty, and no longer.
        return bool(self._queue) and self._queued_nbytes + size > self._queue_nbytes

    def _drain(self) -> None:
        """Hand everything on, end the thread."""
        stream = self._stream
        if stream is not None:
            try:
                stream.flush()
            finally:
                stream.sink = stream.held = None
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        while self._queue and self._failure is None:
            self.writer.file.store(self._queue.popleft())
        self.writer.store = self.writer.file.store

    # --- the thread -------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Write closed chunks, and see that nothing is held back for long."""
        if self._cores:
            # The run is pinned to one core with those whom it is in step with; this is not.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, self._cores)
        turn = self._turn
        with turn:
            while not self._closing or self._queue:
                if self._queue:
                    self._store(self._queue.popleft())
                    continue
                due_ns = self._due_ns()
                self._sleeping = due_ns is None
                left_s = None if due_ns is None else (due_ns - self._clock()) / 1e9
                if left_s is None or left_s > 0:
                    turn.wait(left_s)
                    self._sleeping = False
                elif self._filling or not self._hand_on():
                    turn.wait(_BUSY_S)

    def _due_ns(self) -> int | None:
        """Return when the oldest of what is held back is due; None: nothing is."""
        since = [ns for ns in (self._stream_ns, self._chunk_ns) if ns is not None]
        return min(since) + HELD_NS if since else None

    def _hand_on(self) -> bool:
        """Close what is held back; False if the stream is at it just now. The turn is ours."""
        stream = self._stream
        if stream is not None and self._stream_ns is not None:
            self._turn.release()
            try:
                if not stream.try_flush():
                    return False
            except RunDirectoryError:
                return True
            finally:
                self._turn.acquire()
        if self._filling:
            return False
        self._chunk_ns = None
        self.writer.flush()
        return True

    def _store(self, chunk: ClosedChunk) -> None:
        """Write a chunk while the turn is anybody's."""
        self._turn.release()
        try:
            if self._failure is None:
                self.writer.file.store(chunk)
            else:
                self.writer.file.lose(chunk.counts)
        except RunDirectoryError as failure:
            self._failure = failure
        finally:
            self._turn.acquire()
            self._queued_nbytes -= len(chunk.messages)
            self._turn.notify_all()
