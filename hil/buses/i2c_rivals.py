"""Several controllers on one I2C bus: waiting for a free bus, and arbitration bit by bit.

NXP UM10204, section 3.1.8: controllers that start together go on while they see on SDA what they
send; who sends a one and sees a zero has lost and stops. So the lowest address wins, then the
write, then the lowest data. Where one sends a condition and another a data bit the specification
leaves the outcome undefined; here the data bit goes on, and a start before a stop, and it is
counted. Controllers that send the same to the end never notice.

A rival that loses, or finds the bus busy, tries again when it is free. Its traffic is none of the
payload computer's and is not recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import NamedTuple

from flightsw.codec.wire import Status
from hil.buses.i2c_messages import READ, TEN_BIT, Message, MessageOutcome
from hil.parts.base import Scheduler
from hil.time.phase import Phase

#: done(t_ns at the end, status, octets read)
Done = Callable[[int, int, list[bytes]], None]
Run = Callable[[int, list[Message]], MessageOutcome]


class Wish(NamedTuple):
    """A transaction that another controller wants to run from ``t_ns`` on."""

    t_ns: int
    order: int
    messages: list[Message]
    done: Done | None


def waveform(messages: list[Message]) -> str:
    """Return what a controller drives: bits, ``1`` where it lets go, ``S`` and ``P`` conditions."""
    out = []
    selected = -1  # the 10-bit address that has been written to
    for address, flags, what in messages:
        read = flags & READ
        if flags & TEN_BIT:
            first = f"S11110{address >> 8:02b}"
            # Section 3.1.11: a read selects by both octets of a write, unless one has just done so.
            both = f"{first}01{address & 0xFF:08b}1" if not read or selected != address else ""
            out.append(both + (f"{first}11" if read else ""))
            selected = address
        else:
            out.append(f"S{address:07b}{read}1")
            selected = -1
        if isinstance(what, int):
            # Of a read it drives only the acknowledges: zero, but for the last octet.
            out.append("111111110" * (what - 1) + "1" * 9 if what else "")
        else:
            out.extend(f"{octet:08b}1" for octet in what)
    return "".join(out) + "P"


def lost_at(ours: str, theirs: str) -> tuple[int, bool] | None:
    """Return the bit, counted from 1, at which ``ours`` loses against ``theirs``, or None.

    The flag tells that a condition met a data bit there.
    """
    # Who sees another thing than it sends stops: a zero stays, then a one, a start, a stop.
    rank = "01SP".index
    for index, (one, other) in enumerate(zip_longest(ours, theirs, fillvalue="P"), 1):
        if one != other:
            undefined = not (one.isdigit() and other.isdigit())
            return (index, undefined) if rank(one) > rank(other) else None
    return None


class Rivals:
    """The other controllers of a bus. ``run`` puts messages on the wire, ``bits_ns`` is time."""

    def __init__(self, run: Run, bits_ns: Callable[[int], int]) -> None:
        self._run = run
        self._bits_ns = bits_ns
        self._wishes: list[Wish] = []
        self._order = 0
        #: when the bus is free
        self.free_ns = 0
        self.counters = dict.fromkeys(("rival_transfers", "rival_lost", "lost", "undefined"), 0)

    def request(
        self,
        t_ns: int,
        messages: list[Message],
        done: Done | None = None,
        scheduler: Scheduler | None = None,
        source: int = 0,
    ) -> None:
        """Have another controller run a transaction from ``t_ns`` on.

        It happens once time has passed ``t_ns``: at the payload computer's next transaction, at
        the next :meth:`settle`, or, with a ``scheduler``, at the end of that instant.
        """
        self._order += 1
        self._wishes.append(Wish(t_ns, self._order, messages, done))
        self._wishes.sort(key=lambda wish: wish[:2])
        if scheduler is not None:
            scheduler.at(t_ns, Phase.CHECK, source, lambda t: self.settle(t + 1))

    def settle(self, t_ns: int) -> None:
        """Run everything that starts before ``t_ns``."""
        while self._wishes:
            start_ns = max(self.free_ns, self._wishes[0].t_ns)
            if start_ns >= t_ns:
                return
            self._win(start_ns, self._best(self._ready(start_ns)))

    def enter(self, t_ns: int, messages: list[Message]) -> MessageOutcome:
        """Run the payload computer's transaction among those of the rivals."""
        self.settle(t_ns)
        start_ns = max(t_ns, self.free_ns)
        ready = self._ready(start_ns)
        if ready:
            best, ours = self._best(ready), waveform(messages)
            lost = lost_at(ours, waveform(best.messages))
            if lost is not None:
                self.counters["lost"] += 1
                self.counters["undefined"] += lost[1]
                self._win(start_ns, best)
                return int(Status.ARBITRATION_LOST), start_ns - t_ns + self._bits_ns(lost[0]), []
            if ours != waveform(best.messages):
                self.counters["rival_lost"] += 1
            else:
                self._wishes.remove(best)
        status, duration_ns, data = self._run(start_ns, messages)
        self.free_ns = start_ns + duration_ns
        if ready and best not in self._wishes and best.done is not None:
            best.done(self.free_ns, status, data)
        return status, self.free_ns - t_ns, data

    def _ready(self, start_ns: int) -> list[Wish]:
        return [wish for wish in self._wishes if wish.t_ns <= start_ns]

    def _best(self, ready: list[Wish]) -> Wish:
        best = ready[0]
        for wish in ready[1:]:
            if lost_at(waveform(best.messages), waveform(wish.messages)) is not None:
                best = wish
        self.counters["rival_lost"] += len(ready) - 1
        return best

    def _win(self, start_ns: int, wish: Wish) -> None:
        self._wishes.remove(wish)
        self.counters["rival_transfers"] += 1
        status, duration_ns, data = self._run(start_ns, wish.messages)
        self.free_ns = start_ns + duration_ns
        if wish.done is not None:
            wish.done(self.free_ns, status, data)
