"""The verdict of a run: the conditions of the mission profile, each with its figure.

A condition that rests on a value which the profile marks unknown says so: such a verdict is good
only as far as that value is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hil.errors import ConfigError

GOOD, BAD = "good", "bad"


@dataclass
class Books:
    """What a run leaves behind for its verdict."""

    min_battery_v: float
    max_chip_c: float
    max_board_c: float
    brown_outs: int
    #: job id -> how it ended: ``acknowledged``, ``discarded (CLOUD)``, ``queued``, ...
    jobs: Mapping[int, str]
    #: jobs that are neither finished nor accounted for, with what is known of them
    jobs_lost: Mapping[int, str]
    products_made: Mapping[int, bytes]
    products_received: Mapping[int, bytes]
    #: product parts that came again without being asked for
    parts_sent_twice: int
    telecommands_sent: int
    telecommands_verified: int
    #: name -> state, of telecommands that are neither verified nor excused
    telecommands_open: Mapping[str, str]
    overruns: int
    restarts: int
    #: why the payload computer stopped -> how often; ``crash``: by itself
    stops: Mapping[str, int]
    #: how long the payload computer had been down when the run ended, seconds; 0: it was up
    down_s: float
    #: what watchdog, reset and boot may take together, seconds
    down_limit_s: float


@dataclass(frozen=True)
class Condition:
    """One judged condition."""

    name: str
    good: bool
    figure: str
    limit: str
    #: keys of the mission profile that this rests on
    rests_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """All conditions; good only if each is."""

    conditions: tuple[Condition, ...]
    #: profile keys that are unknown and that a condition rests on, with their reason
    unknowns: Mapping[str, str]

    @property
    def good(self) -> bool:
        """True when every condition holds."""
        return all(condition.good for condition in self.conditions)

    def lines(self) -> list[str]:
        """Return the verdict as text, a line a condition, then the values it rests on."""
        width = max(len(condition.name) for condition in self.conditions)
        out = [f"verdict: {GOOD if self.good else BAD}"]
        for condition in self.conditions:
            mark = "ok " if condition.good else "BAD"
            text = f"  {mark} {condition.name:<{width}}  {condition.figure}"
            out.append(f"{text}  ({condition.limit})")
        if self.unknowns:
            out.append(f"  rests on {len(self.unknowns)} values that nobody published:")
            out += [f"      {key}: {why}" for key, why in self.unknowns.items()]
        return out


Judge = Callable[[Books, Any], Condition]


def brown_out(books: Books, _: Any) -> Condition:
    """The supply never failed."""
    keys = ("power",)
    good = books.brown_outs == 0
    return Condition("no brown-out", good, f"{books.brown_outs} brown-outs", "none", keys)


def battery(books: Books, limit: float) -> Condition:
    """The battery stays above its limit."""
    figure = f"down to {books.min_battery_v:.2f} V"
    good = books.min_battery_v >= limit
    return Condition("battery", good, figure, f"at least {limit:g} V", ("power",))


def chip(books: Books, limit: float) -> Condition:
    """The processor stays below its limit."""
    figure = f"up to {books.max_chip_c:.1f} °C"
    keys = ("thermal", "payload")
    return Condition("chip", books.max_chip_c <= limit, figure, f"at most {limit:g} °C", keys)


def board(books: Books, limit: float) -> Condition:
    """The board stays below its limit."""
    figure = f"up to {books.max_board_c:.1f} °C"
    keys = ("thermal", "payload")
    return Condition("board", books.max_board_c <= limit, figure, f"at most {limit:g} °C", keys)


def jobs(books: Books, _: Any) -> Condition:
    """Each accepted job is finished or accounted for."""
    done = len(books.jobs)
    figure = f"{done} of {done + len(books.jobs_lost)} finished or accounted for"
    states = Counter(books.jobs.values())
    figure += "".join(f"; {n} {state}" for state, n in sorted(states.items()))
    if books.jobs_lost:
        figure += "; lost: " + ", ".join(f"{job} {why}" for job, why in books.jobs_lost.items())
    return Condition("jobs", not books.jobs_lost, figure, "none lost")


def products(books: Books, _: Any) -> Condition:
    """Every product received equals the product made, and none came twice."""
    received = books.products_received
    wrong = [job for job in received if books.products_made.get(job) != received[job]]
    figure = f"{len(received) - len(wrong)} of {len(received)} received equal those made"
    if wrong:
        figure += f"; different: {wrong}"
    if books.parts_sent_twice:
        figure += f"; {books.parts_sent_twice} parts sent twice unasked"
    return Condition("products", not wrong and not books.parts_sent_twice, figure, "all")


def enough(books: Books, wanted: float) -> Condition:
    """Enough products came down."""
    n = len(books.products_received)
    keys = ("link", "imager")
    return Condition("delivery", n >= wanted, f"{n} products", f"at least {wanted:g}", keys)


def telecommands(books: Books, _: Any) -> Condition:
    """Every telecommand whose report could come is verified."""
    figure = f"{books.telecommands_verified} of {books.telecommands_sent} verified"
    if books.telecommands_open:
        figure += "; open: " + ", ".join(f"{n} {s}" for n, s in books.telecommands_open.items())
    return Condition("telecommands", not books.telecommands_open, figure, "all that could be")


def overruns(books: Books, limit: float) -> Condition:
    """Rate groups keep their time."""
    good = books.overruns <= limit
    return Condition("overruns", good, f"{books.overruns}", f"at most {limit:g}")


def crashes(books: Books, _: Any) -> Condition:
    """The flight software never stops by itself; what stops it from outside is told.

    However it stopped, it must be back within the time that watchdog and boot take.
    """
    figure = f"{books.restarts} restarts"
    figure += "".join(f", {n} stopped: {cause}" for cause, n in sorted(books.stops.items()))
    if books.down_s:
        figure += f", down for the last {books.down_s:.0f} s"
    good = not books.stops.get("crash") and books.down_s <= books.down_limit_s
    limit = f"no crash of its own, back within {books.down_limit_s:g} s"
    return Condition("restarts", good, figure, limit)


#: key of the profile's [verdict] group -> how it is judged
JUDGES: dict[str, Judge] = {
    "no_brown_out": brown_out,
    "min_battery_v": battery,
    "max_chip_c": chip,
    "max_board_c": board,
    "jobs_accounted": jobs,
    "products_equal": products,
    "min_products": enough,
    "telecommands_verified": telecommands,
    "max_overruns": overruns,
    "no_crash": crashes,
}


def asked(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conditions that a profile asks for; one that is ``false`` is not asked.

    Raises :class:`~hil.errors.ConfigError` if there is none: nothing asked is nothing proved.
    """
    found = {key: limits[key] for key in JUDGES if limits.get(key, False) is not False}
    if not found:
        raise ConfigError(
            f"the profile's [verdict] asks for nothing; give one of {', '.join(JUDGES)}"
        )
    return found


def judge(
    books: Books, limits: Mapping[str, Any], unknown: Callable[[tuple[str, ...]], Mapping[str, str]]
) -> Verdict:
    """Judge a run by the limits of its mission profile.

    ``unknown(keys)`` returns those of the keys that the profile does not know, with the reason.
    """
    conditions = [JUDGES[key](books, limit) for key, limit in asked(limits).items()]
    keys = tuple(dict.fromkeys(key for c in conditions for key in c.rests_on))
    return Verdict(tuple(conditions), unknown(keys))
