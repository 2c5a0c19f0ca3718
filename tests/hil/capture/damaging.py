"""Captures to damage, and ways to damage them."""

from __future__ import annotations

import random
from pathlib import Path

from flightsw.codec.wire import Flag, Kind, Record
from hil.capture import topics
from hil.capture.contents import by_walking
from hil.capture.mcapread import Source
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.errors import CaptureError

EPOCH_NS = 1_680_480_000 * 10**9
NAMES = {0: "i2c-1", 1: "can0"}
PER_CHUNK = 6


def small_records(count: int, seed: int = 1) -> list[Record]:
    """Return records of several shapes, ``seq`` from 0."""
    rng = random.Random(seed)
    made = []
    for seq in range(count):
        kind = (Kind.I2C, Kind.CAN, Kind.EVENT, Kind.TM)[seq % 4]
        bare = kind == Kind.EVENT
        payload = b'{"n":%d}' % seq if bare else rng.randbytes(rng.randrange(24))
        head = (0, 0, 0) if bare else (int(Flag.REPLY), rng.randrange(3), rng.randrange(128))
        t_ns, duration_ns = seq * 10**7 + rng.randrange(10**7), rng.randrange(10**6)
        made.append(
            Record(kind, seq % 2, head[0], head[1], t_ns, duration_ns, seq, head[2], payload)
        )
    return made


def write_small(path: Path, records: list[Record]) -> bytes:
    """Write a finished capture of chunks of :data:`PER_CHUNK` records, with one small attachment;
    return its octets."""
    whole, topics.SCHEMA_TEXT = topics.SCHEMA_TEXT, b"a short one, so that the file is small"
    try:
        with CaptureWriter(path, EPOCH_NS, NAMES, {"board": "trial"}) as writer:
            writer.add_attachment("board.toml", "application/toml", b"[board]\n")
            for i in range(0, len(records), PER_CHUNK):
                writer.write(b"".join(record.pack() for record in records[i : i + PER_CHUNK]))
                writer.flush()
    finally:
        topics.SCHEMA_TEXT = whole
    return path.read_bytes()


def chunk_ends(path: Path) -> list[int]:
    """Return where each chunk of a whole capture ends."""
    source = Source(path)
    try:
        places = by_walking(source).places
    finally:
        source.close()
    return [int(end) for end in places["at"] + places["length"]]


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """Return the octets with one to three accidents: bits, octets, runs, gaps, cuts."""
    octets = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not octets:
            break
        at = rng.randrange(len(octets))
        nbytes = rng.choice((1, 2, 4, 8, 20, 300))
        match rng.randrange(8):
            case 0 | 1:
                octets[at] ^= 1 << rng.randrange(8)
            case 2:
                octets[at] = rng.choice((0, 1, 2, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 3:
                octets[at : at + nbytes] = bytes(len(octets[at : at + nbytes]))
            case 4:
                octets[at : at + nbytes] = rng.randbytes(len(octets[at : at + nbytes]))
            case 5:
                del octets[at : at + nbytes]
            case 6:
                octets[at:at] = rng.choice((rng.randbytes(nbytes), octets[at : at + nbytes]))
            case _:
                del octets[max(at, 1) :]
    return bytes(octets)


def read_tolerantly(path: Path) -> tuple[list[Record] | None, list[str], bool]:
    """Return what a tolerant reader gives (None: it refuses the file), what it says is damaged, and
    whether a strict reader gives all of it, too, without a word."""
    try:
        with Capture(path, tolerant=True) as capture:
            got: list[Record] | None = list(capture.records())
            said = [str(damage) for damage in capture.damages]
    except CaptureError as error:
        got, said = None, [str(error)]
    try:
        with Capture(path) as capture:
            assert list(capture.records()) == got
    except CaptureError as error:
        strict = str(error)
    else:
        return got, said, True
    assert "octet" in strict
    assert "\n" not in strict
    return got, said, False


def check_damaged(path: Path, records: list[Record]) -> None:
    """Assert that no record of a damaged file is wrong, and that what is missing is spoken of."""
    got, said, is_silent = read_tolerantly(path)
    remaining = iter(records)
    assert all(record in remaining for record in got or ()), "a wrong record, or a wrong order"
    if got != records:
        assert said, "records are missing and nothing is said"
        assert not is_silent, "a strict reader noticed nothing"
