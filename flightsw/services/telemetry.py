"""Making telemetry packets, and the store in which they wait for a pass.

Verification and event reports survive a restart: they are journaled as they are made and struck
off after they were handed to the line, so a stop in between repeats some but loses none.
Housekeeping is kept in memory only. When the store is full the oldest packet of the least
important queue is dropped and counted.
"""

from __future__ import annotations

import struct
from collections import deque

from flightsw.codec.packet import pus
from flightsw.errors import StorageError
from flightsw.hal import Clock
from flightsw.storage import Storage

#: Queues in order of importance.
VERIFICATION, REPORT, HOUSEKEEPING = range(3)
_NQUEUES = 3
_DURABLE = (VERIFICATION, REPORT)
#: records that the journal may have beyond those that wait, before it is rewritten
_SPARE_RECORDS = 256
_TAKEN = 0xFF
_TAKEN_ROW = struct.Struct(">BHH")


class PacketStore:
    """Bounded queues of finished packets."""

    def __init__(self, storage: Storage, limit: int) -> None:
        self._limit = limit
        self._journal = storage.journal("telemetry")
        self._queues: tuple[deque[bytes], ...] = tuple(deque() for _ in range(_NQUEUES))
        self._taken = [0, 0]
        #: the packet that was taken last, and its queue
        self._last: tuple[int, bytes] = (HOUSEKEEPING, b"")
        self._journaled = 0
        self.waiting = 0
        self.dropped = 0
        #: records that the journal could not take; a restart forgets or repeats these packets
        self.unsaved = 0
        self._load()

    def _load(self) -> None:
        for record in self._journal.records:
            if record[0] == _TAKEN:
                _, verifications, reports = _TAKEN_ROW.unpack(record)
                for number, count in zip(_DURABLE, (verifications, reports), strict=True):
                    for _ in range(min(count, len(self._queues[number]))):
                        self._queues[number].popleft()
            elif record[0] in _DURABLE:
                self._queues[record[0]].append(record[1:])
        self.waiting = sum(map(len, self._queues))
        self._journaled = len(self._journal.records)
        self._shorten([])

    def put(self, queue: int, packet: bytes) -> None:
        """Add a packet; may drop an older one."""
        if self.waiting >= self._limit:
            self._drop()
        self._queues[queue].append(packet)
        self.waiting += 1
        if queue in _DURABLE:
            try:
                self._journal.append(bytes((queue,)) + packet)
                self._journaled += 1
            except StorageError:
                self.unsaved += 1

    def take(self) -> bytes | None:
        """Return and remove the next packet in order of importance, None if there is none."""
        for number, queue in enumerate(self._queues):
            if queue:
                self.waiting -= 1
                if number in _DURABLE:
                    self._taken[number] += 1
                packet = queue.popleft()
                self._last = number, packet
                return packet
        return None

    def settle(self, whole: bool = True) -> None:
        """Strike off what was taken since the last call; call when the line has it.

        ``whole`` says that the line has all of the last packet too; else that one stays.
        """
        number, packet = self._last
        held = [0, 0]
        if not whole and number in _DURABLE:
            held[number] = 1
        gone = [max(0, taken - kept) for taken, kept in zip(self._taken, held, strict=True)]
        if not any(gone):
            return
        kept_packets = [bytes((number,)) + packet] if any(held) else []
        waiting = len(self._queues[0]) + len(self._queues[1])
        if not waiting or self._journaled > waiting + _SPARE_RECORDS:
            self._shorten(kept_packets)
        else:
            try:
                self._journal.append(_TAKEN_ROW.pack(_TAKEN, *gone))
                self._journaled += 1
            except StorageError:
                self.unsaved += 1
        self._taken = held

    def _shorten(self, held: list[bytes]) -> None:
        """Rewrite the journal: what is held first, because it is the oldest of its queue."""
        records = held + [bytes((n,)) + packet for n in _DURABLE for packet in self._queues[n]]
        if self._journal.shorten(records):
            self._journaled = len(records)
        elif any(self._taken):
            self.unsaved += 1

    def _drop(self) -> None:
        for number in reversed(range(_NQUEUES)):
            if self._queues[number]:
                self._queues[number].popleft()
                if number in _DURABLE:
                    self._taken[number] += 1
                self.waiting -= 1
                self.dropped += 1
                return


class Telemetry:
    """Packs reports of one application process and hands them to the store."""

    def __init__(self, apid: int, clock: Clock, store: PacketStore) -> None:
        self.apid = apid
        self._clock = clock
        self.store = store
        self._sequence = 0
        self._counters: dict[int, int] = {}
        #: packets made
        self.made = 0

    def pack(self, service: int, subtype: int, data: bytes) -> bytes:
        """Return a finished telemetry packet, stamped now."""
        kind = service << 8 | subtype
        counter = self._counters.get(kind, 0)
        self._counters[kind] = (counter + 1) & 0xFFFF
        sequence = self._sequence
        self._sequence = (sequence + 1) & 0x3FFF
        self.made += 1
        now_ns = self._clock.now_ns()
        return pus.pack_tm(
            self.apid, sequence, service, subtype, data, t_ns=now_ns, counter=counter
        )

    def report(self, queue: int, service: int, subtype: int, data: bytes) -> None:
        """Make a report and queue it."""
        self.store.put(queue, self.pack(service, subtype, data))
