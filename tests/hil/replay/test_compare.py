"""Two streams of records are compared by topic and running number."""

from __future__ import annotations

from flightsw.codec.wire import Kind, pack
from hil.replay.compare import Comparison
from hil.replay.rules import Rules

NAMES = {0: "i2c-1", 1: "can0"}


def stream(n: int) -> list[bytes]:
    """Return ``n`` records on two topics, each with its number as payload."""
    return [
        pack(
            kind=Kind.CAN if seq % 3 else Kind.I2C,
            channel=1 if seq % 3 else 0,
            t_ns=1000 * seq,
            seq=seq,
            payload=seq.to_bytes(4, "little"),
        )
        for seq in range(n)
    ]


def test_a_stream_is_identical_to_itself() -> None:
    """However the octets are cut into batches, nothing diverges."""
    records = stream(100)
    comparison = Comparison([b"".join(records[:30]), b"".join(records[30:])], None, Rules(), NAMES)
    for record in records:
        comparison.feed(record)
    verdict = comparison.finish()
    assert verdict.identical
    assert verdict.same_octets
    assert verdict.counts["/bus/can0"].recorded == verdict.counts["/bus/can0"].replayed == 66
