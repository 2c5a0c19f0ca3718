"""One direction of a serial line, sans I/O: rate, latency, damage, a receiver at another rate.

:class:`Line` has no clock and no descriptor: octets go in with :meth:`Line.put` and come out of
:meth:`Line.take`, both with the time as an argument, so the same line runs in a simulation and
under :mod:`hil.boards.cable`. Equal seeds and equal octets are damaged equally, however they were
cut into pieces.

Not modelled: break, parity, modem lines, a hop of single octets within a USB packet.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Final

from hil.buses.uart_wave import Setting, far_off, resample
from hil.errors import UsageError

SECOND_NS: Final = 1_000_000_000
#: start bit, eight data bits, stop bit
BITS: Final = 10
COUNTERS: Final = (
    *("octets", "garbled", "dropped", "duplicated"),
    *("baud_mismatch", "misread", "lost_unplugged"),
)


@dataclass(frozen=True)
class Trouble:
    """What a line does to octets: shares of them, 0 to 1, and a delay. All zero: nothing."""

    #: share that arrives as another octet
    garble: float = 0.0
    #: share that never arrives
    drop: float = 0.0
    #: share that arrives twice
    duplicate: float = 0.0
    #: from the last bit sent to the octet received
    latency_ns: int = 0

    @property
    def share(self) -> float:
        """The share of octets that something happens to."""
        return self.garble + self.drop + self.duplicate

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value < 0 or (entry.name != "latency_ns" and value > 1):
                raise UsageError(f"{entry.name} {value:g}: give a share of octets from 0 to 1")
        if self.share > 1:
            raise UsageError(f"garble, drop and duplicate make {self.share:g}: at most 1 in sum")


class Damage:
    """A stream of octets with :class:`Trouble`; gaps are drawn: sound octets cost nothing."""

    def __init__(self, seed: int, name: str, counters: dict[str, int]) -> None:
        self._random = random.Random(f"{seed}/{name}")  # noqa: S311  # damage, not a secret
        self._counters = counters
        self._trouble = Trouble()
        self._gap = -1

    @property
    def trouble(self) -> Trouble:
        """What happens now."""
        return self._trouble

    @trouble.setter
    def trouble(self, trouble: Trouble) -> None:
        self._trouble = trouble
        self._gap = self._draw_gap()

    def _draw_gap(self) -> int:
        """Return how many octets pass before the next one that is hit; -1: none is ever hit."""
        share = self._trouble.share
        if share <= 0.0:
            return -1
        if share >= 1.0 - 1e-12:
            return 0
        # log1p, because 1 - share is 1 for a share below 1e-16; and no such gap ends within a run
        gap = math.log(1.0 - self._random.random()) / math.log1p(-share)
        return int(min(gap, 1e18))

    def damaged(self, octets: bytes) -> bytes:
        """Return what arrives of ``octets``."""
        if not 0 <= self._gap < len(octets):
            self._gap -= len(octets) if self._gap >= 0 else 0
            return octets
        whole = bytearray()
        at = 0
        while 0 <= self._gap < len(octets) - at:
            hit = at + self._gap
            whole += octets[at:hit]
            whole += self._hit(octets[hit])
            at = hit + 1
            self._gap = self._draw_gap()
        whole += octets[at:]
        self._gap -= len(octets) - at
        return bytes(whole)

    def _hit(self, octet: int) -> bytes:
        trouble, counters = self._trouble, self._counters
        which = self._random.random() * trouble.share
        if which < trouble.garble:
            counters["garbled"] += 1
            return bytes((octet ^ self._random.randrange(1, 256),))
        if which < trouble.garble + trouble.drop:
            counters["dropped"] += 1
            return b""
        counters["duplicated"] += 1
        return bytes((octet, octet))


class Line:
    """One direction of a line.

    ``baud`` is the rate of the sender; 0: octets take no time. ``grain``: :attr:`due_ns` names the
    arrival of this many octets or the end of a burst, whichever is first, so that whoever waits is
    not woken for each octet.
    """

    def __init__(
        self,
        baud: int = 0,
        seed: int = 1,
        name: str = "line",
        grain: int = 1,
        trouble: Trouble | None = None,
    ) -> None:
        self.baud = baud
        #: rate of the receiver; 0: that of the sender
        self.read_baud = 0
        #: False: the sender keeps the rate by itself, and the line adds no time of its own
        self.is_paced = True
        self.grain = grain
        self.counters = dict.fromkeys(COUNTERS, 0)
        self._damage = Damage(seed, name, self.counters)
        if trouble is not None:
            self._damage.trouble = trouble
        #: (first bit, rate, octets) of bursts, and how many octets of the first have been taken
        self._bursts: deque[tuple[int, int, bytes]] = deque()
        self._taken = 0
        self._free_ns = 0
        self.pending = 0

    @property
    def trouble(self) -> Trouble:
        """What the line does to octets; may be set at any time and holds from the next taken on."""
        return self._damage.trouble

    @trouble.setter
    def trouble(self, trouble: Trouble) -> None:
        self._damage.trouble = trouble

    @property
    def is_misread(self) -> bool:
        """Whether sender and receiver are too far apart to understand each other."""
        if not self.baud or not self.read_baud:
            return False
        return far_off(Setting(self.baud), Setting(self.read_baud))

    def line_time_ns(self, noctets: int, baud: int | None = None) -> int:
        """Return how long ``noctets`` octets back to back take at a rate, rounded up."""
        rate = self.baud if baud is None else baud
        return -(-noctets * BITS * SECOND_NS // rate) if rate else 0

    def put(self, octets: bytes, now_ns: int) -> None:
        """Send octets: the first bit leaves now, or when the line is free."""
        if not octets:
            return
        if self.is_misread:
            self.counters["baud_mismatch"] += len(octets)
            rates = Setting(self.baud), Setting(self.read_baud)
            octets, discarded, _ = resample(octets, *rates)
            self.counters["misread"] += len(octets) + discarded
            if not octets:
                return
        start_ns = max(now_ns, self._free_ns)
        rate = self.baud if self.is_paced else 0
        self._bursts.append((start_ns, rate, octets))
        self._free_ns = start_ns + self.line_time_ns(len(octets), rate)
        self.pending += len(octets)

    def _arrival_ns(self, place: int) -> int:
        """Return when octet ``place`` of the first burst is there."""
        start_ns, baud, _ = self._bursts[0]
        return start_ns + self.line_time_ns(place + 1, baud) + self.trouble.latency_ns

    @property
    def due_ns(self) -> int | None:
        """When there is something to take; None: nothing is on the way."""
        if not self._bursts:
            return None
        count = len(self._bursts[0][2])
        return self._arrival_ns(min(self._taken + self.grain, count) - 1)

    def take(self, now_ns: int) -> bytes:
        """Return what has arrived by now."""
        arrived = bytearray()
        while self._bursts:
            start_ns, baud, octets = self._bursts[0]
            count = len(octets)
            if baud:
                passed_ns = now_ns - self.trouble.latency_ns - start_ns
                count = min(count, max(passed_ns * baud // (BITS * SECOND_NS), 0))
            elif start_ns + self.trouble.latency_ns > now_ns:
                count = 0
            arrived += octets[self._taken : count]
            self._taken = max(self._taken, count)
            if count < len(octets):
                break
            self._bursts.popleft()
            self._taken = 0
        self.pending -= len(arrived)
        self.counters["octets"] += len(arrived)
        return self._damage.damaged(bytes(arrived)) if arrived else b""

    def cut(self, now_ns: int) -> None:
        """Lose what is on the way: the line was pulled out."""
        self.counters["lost_unplugged"] += self.pending
        self._bursts.clear()
        self._taken, self.pending, self._free_ns = 0, 0, now_ns


class LinePair:
    """Both directions, for simulations: ``to_board`` and ``to_host`` with one rate and seed."""

    def __init__(
        self, baud: int = 0, seed: int = 1, trouble: Trouble | None = None, grain: int = 1
    ) -> None:
        self.to_board = Line(baud, seed, "to_board", grain, trouble)
        self.to_host = Line(baud, seed, "to_host", grain, trouble)

    @property
    def due_ns(self) -> int | None:
        """When there is something to take at either end."""
        return earliest(self.to_board.due_ns, self.to_host.due_ns)

    @property
    def counters(self) -> Mapping[str, int]:
        """The counters of both directions, ``to_board.octets`` and so on."""
        return {
            f"{name}.{key}": count
            for name, line in (("to_board", self.to_board), ("to_host", self.to_host))
            for key, count in line.counters.items()
        }

    def each(self, act: Callable[[Line], None]) -> None:
        """Do something to both directions."""
        act(self.to_board)
        act(self.to_host)


def earliest(*times_ns: int | None) -> int | None:
    """Return the least of those times that are there."""
    return min((t_ns for t_ns in times_ns if t_ns is not None), default=None)
