"""What a fault makes of an SPI transaction; the rows are those of ``hil.buses.faults``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hil.buses.faults import BusFault, flip_bit

#: (octets, clock or 0 for the device's, bits per word or 0, flags, delay after it)
Segment = tuple[bytes, int, int, int, int]
SegmentOutcome = tuple[int, int, list[bytes]]


class Run(Protocol):
    """Clock segments out."""

    def __call__(
        self,
        t_ns: int,
        chip_select: int,
        segments: list[Segment],
        present: bool = True,
        late: bool = False,
    ) -> SegmentOutcome: ...


def spoil(
    fault: BusFault,
    t_ns: int,
    chip_select: int,
    segments: list[Segment],
    run: Run,
    time_ns: Callable[[int, Segment, int], int],
) -> SegmentOutcome:
    """Run a transaction the way the fault makes it go.

    ``time_ns(chip_select, segment, octets)`` is what octets of a segment take.
    """
    kind, args = fault.kind, fault.args
    if kind == "absent":
        return run(t_ns, chip_select, segments, present=False)
    if kind == "wrong_mode":
        return run(t_ns, chip_select, segments, late=True)
    if kind == "truncate":
        return _truncated(t_ns, chip_select, segments, args.get("after", 0), run, time_ns)
    if kind in ("delay", "duplicate", "spam"):
        late_ns = args.get("ns", 0)
        ahead = [(bytes(len(tx)), *rest) for tx, *rest in segments] if kind == "spam" else segments
        for _ in range({"delay": 0, "duplicate": 1}.get(kind, args.get("times", 1))):
            late_ns += run(t_ns + late_ns, chip_select, ahead)[1]  # type: ignore[arg-type]
        status, duration_ns, rx = run(t_ns + late_ns, chip_select, segments)
        return status, duration_ns + late_ns, rx
    if kind == "bit_flip" and args.get("write", 0):
        flipped = flip_bit([segment[0] for segment in segments], args)
        changed = [(tx, *was[1:]) for tx, was in zip(flipped, segments, strict=True)]
        return run(t_ns, chip_select, changed)
    status, duration_ns, rx = run(t_ns, chip_select, segments)
    if kind == "bit_flip":
        rx = flip_bit(rx, args)
    elif kind == "stuck_miso":
        level = b"\xff" if args.get("level", 0) else b"\x00"
        rx = [level * len(part) for part in rx]
    else:
        assert kind == "stretch", f"fault kind {kind!r} is in the table but not in the bus"
        duration_ns += args.get("ns", 0)
    return status, duration_ns, rx


def _truncated(
    t_ns: int,
    chip_select: int,
    segments: list[Segment],
    after: int,
    run: Run,
    time_ns: Callable[[int, Segment, int], int],
) -> SegmentOutcome:
    """Let the part see only the first octets; the time is that of the whole."""
    seen: list[Segment] = []
    for tx, *rest in segments:
        seen.append((tx[: max(after, 0)], *rest))  # type: ignore[arg-type]
        after -= len(tx)
    status, duration_ns, rx = run(t_ns, chip_select, seen)
    padded = []
    for segment, part in zip(segments, rx, strict=True):
        padded.append(part.ljust(len(segment[0]), b"\xff"))
        duration_ns += time_ns(chip_select, segment, len(segment[0]) - len(part))
    return status, duration_ns, padded
