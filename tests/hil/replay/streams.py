"""Streams of records for tests, and edits of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from flightsw.codec.wire import Kind, Record
from hil.capture.topics import topic_of

NAMES = {0: "i2c-1", 1: "can0", 2: "uart-1"}
KINDS = (Kind.I2C, Kind.CAN, Kind.UART)


def stream(n: int, seed: int = 0, repeats: bool = False) -> list[Record]:
    """Return ``n`` records on three topics; with ``repeats`` most have the same content, as those
    of a part that is polled, else each has its own."""
    draw = random.Random(seed)
    records, t_ns = [], 0
    for seq in range(n):
        channel = draw.randrange(3)
        t_ns += draw.randrange(1, 1000)
        what = draw.randrange(3) if repeats else seq
        payload = what.to_bytes(4, "little") + bytes(draw.randrange(3) if not repeats else 1)
        records.append(Record(KINDS[channel], channel, 1, 0, t_ns, 5, seq, 0x40, payload))
    return records


def octets(records: list[Record], renumber: bool = True) -> bytes:
    """Return the octets of a stream, numbered anew."""
    numbered = (r._replace(seq=n) if renumber else r for n, r in enumerate(records))
    return b"".join(record.pack() for record in numbered)


@dataclass
class Edited:
    """A stream with edits, and what they are."""

    records: list[Record]
    #: (topic, kind, running number of the recorded stream, time) in order of time
    edits: list[tuple[str, str, int, int]] = field(default_factory=list)


def edit(records: list[Record], edits: list[tuple[int, str]]) -> Edited:
    """Apply (place, kind) to a stream; places rise and are apart from each other."""
    new: list[Record] = []
    told: list[tuple[str, str, int, int]] = []
    seen = {topic_of(k, n, NAMES): 0 for n, k in enumerate(KINDS)}
    kinds = dict(edits)
    held: dict[str, Record] = {}
    for at, record in enumerate(records):
        topic = topic_of(record.kind, record.channel, NAMES)
        kind = kinds.get(at)
        if topic in held:
            # The neighbour on its topic that it changes places with, each at the other's time.
            first = held.pop(topic)
            place = next(n for n, r in enumerate(new) if r is first)
            new[place] = record._replace(t_ns=first.t_ns)
            new.append(first._replace(t_ns=record.t_ns))
            seen[topic] += 1
            continue
        if kind is not None:
            told.append((topic, kind, seen[topic], record.t_ns))
        if kind == "missing":
            pass
        elif kind == "extra":
            new += [record._replace(payload=b"not there before", t_ns=record.t_ns), record]
        elif kind == "changed":
            new.append(record._replace(payload=bytes((record.payload[0] ^ 0xA5,)) + b"new"))
        elif kind == "late":
            new.append(record._replace(t_ns=record.t_ns + 1))
        else:
            if kind == "swapped":
                held[topic] = record
            new.append(record)
        seen[topic] += 1
    assert not held, "a swap needs a neighbour"
    return Edited(new, told)
