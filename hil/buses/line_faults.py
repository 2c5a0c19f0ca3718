"""Faults of a serial line, as data, and the one function that applies them.

A fault is a window of virtual time, a direction and a rate. Which octets it hits comes from the
line's own random stream, so the same seed damages the same octets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from flightsw.codec.wire import Status
from hil.parts.fault_windows import FOREVER_NS

#: What a line fault may be, and the counter that it moves.
KINDS: Final = (
    *("bit_flip", "drop", "duplicate", "framing", "overrun", "silence", "parity"),
    *("spam", "delay", "stall"),
)
#: Those that act when octets are handed over, and that of the receiving driver.
SENDER_KINDS: Final = ("delay",)
DRIVER_KINDS: Final = ("stall",)


class LineFault(NamedTuple):
    """One fault of a serial line.

    ``bit_flip`` inverts data bit ``bit`` (-1: a drawn one); ``drop`` loses the octet; ``duplicate``
    doubles it; ``framing`` spoils its stop bit, so that the receiver discards it; ``overrun`` loses
    it in a full receive register; ``silence`` cuts the line for whole chunks; ``parity`` inverts
    the parity bit, where there is one; ``spam`` puts ``times`` drawn octets behind it; ``delay``
    has it leave ``value_ns`` later. While a ``stall`` holds, the payload computer's driver does not
    empty the receive FIFO: what does not fit is lost, the rest comes at the end of the window.
    """

    kind: str
    from_ns: int = 0
    until_ns: int = FOREVER_NS
    #: ``rx`` towards the payload computer, ``tx`` away from it, ``both``
    direction: str = "both"
    #: share of octets hit, 0..1
    rate: float = 1.0
    bit: int = -1
    times: int = 1
    value_ns: int = 0


def damage(
    data: bytes,
    faults: Iterable[LineFault],
    random: np.random.Generator,
    counters: dict[str, int],
    has_parity: bool = False,
) -> tuple[bytes, int]:
    """Pass ``data`` through ``faults``; return what arrives and the ``wire.Status`` of it.

    A flipped bit that a parity bit gives away counts as a parity error too; Linux hands such an
    octet on as it is unless INPCK is set.
    """
    status = int(Status.OK)
    for fault in faults:
        if fault.kind in SENDER_KINDS or fault.kind in DRIVER_KINDS:
            continue
        if fault.kind == "parity" and not has_parity:
            continue
        if fault.kind == "silence":
            counters["silence"] += len(data)
            return b"", int(Status.ABSENT)
        hits = _hits(len(data), fault.rate, random)
        if not hits:
            continue
        counters[fault.kind] += len(hits)
        if fault.kind == "bit_flip" and has_parity:
            counters["parity"] += len(hits)
        data = _hit(data, hits, fault, random)
        if fault.kind == "overrun":
            status = int(Status.OVERRUN)
        elif fault.kind == "framing":
            status = int(Status.FRAMING)
        elif status == Status.OK:
            status = int(Status.DAMAGED)
    return data, status


def _hits(count: int, rate: float, random: np.random.Generator) -> list[int]:
    """Draw which of ``count`` octets are hit; a rate of 1 draws nothing."""
    if rate >= 1.0:
        return list(range(count))
    return [int(i) for i in np.flatnonzero(random.random(count) < rate)]


def _hit(data: bytes, hits: list[int], fault: LineFault, random: np.random.Generator) -> bytes:
    octets = [bytes((octet,)) for octet in data]
    for i in hits:
        if fault.kind == "bit_flip":
            bit = fault.bit if fault.bit >= 0 else int(random.integers(8))
            octets[i] = bytes((data[i] ^ (1 << bit),))
        elif fault.kind == "duplicate":
            octets[i] *= 2
        elif fault.kind == "spam":
            octets[i] += random.bytes(fault.times)
        elif fault.kind == "parity":
            continue
        else:
            octets[i] = b""
    return b"".join(octets)
