"""The verdict of a run: the conditions of the mission profile, each with its figure.

A condition that rests on a value which the profile marks unknown says so: such a verdict is good
only as far as that value is right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hil.errors import ConfigError

GOOD, BAD = "good", "bad"
#: groups of equal causes that a figure names; run.json holds every one
CAUSES_SHOWN = 4
#: Groups of the profile that decide what the computer does and when, and so its power and heat.
_ACTIVITY = (
    *("time", "orbit", "stations", "link", "power", "thermal", "payload", "imager", "plan"),
    *("governor", "flight"),
)


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
    jobs_planned: int
    #: job -> why its telecommand was refused on board, e.g. ``WRONG_MODE (safe mode)``
    jobs_refused: Mapping[int, str]
    products_made: Mapping[int, bytes]
    products_received: Mapping[int, bytes]
    #: product parts that came again without being asked for
    parts_sent_twice: int
    #: what stood against the delivery of products, "" for nothing
    no_delivery: str
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
    #: kills of the fault plan that found the payload computer down already
    kills_missed: int = 0


@dataclass(frozen=True)
class Condition:
    """One judged condition."""

    name: str
    good: bool
    figure: str
    limit: str
    #: groups and keys of the mission profile that this rests on
    rests_on: tuple[str, ...] = ()
    #: the figure as a number, what it is compared with, and the unit of both; None: no number
    value: float | None = None
    limit_value: float | None = None
    unit: str = ""


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
            out.append(f"  rests on {plural(len(self.unknowns), 'value')} that nobody published:")
            out += [f"      {key}: {why}" for key, why in self.unknowns.items()]
        return out


Judge = Callable[[Books, Any], Condition]


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural where there is not exactly one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def causes(texts: Iterable[str]) -> str:
    """Return equal texts once with their number, the most frequent first, few of them."""
    counts = Counter(texts)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{n} x {text}" if n > 1 else text for text, n in ranked[:CAUSES_SHOWN]]
    more = sum(n for _, n in ranked[CAUSES_SHOWN:])
    return ", ".join(shown) + (f" and {more} more" if more else "")


def brown_out(books: Books, _: Any) -> Condition:
    """The supply never failed."""
    n = books.brown_outs
    return Condition("no brown-out", n == 0, plural(n, "brown-out"), "none", _ACTIVITY, n, 0)


def battery(books: Books, limit: float) -> Condition:
    """The battery stays above its limit."""
    lowest = books.min_battery_v
    words = f"down to {lowest:.2f} V", f"at least {limit:g} V"
    return Condition("battery", lowest >= limit, *words, _ACTIVITY, lowest, limit, "V")


def chip(books: Books, limit: float) -> Condition:
    """The processor stays below its limit."""
    return _temperature("chip", books.max_chip_c, limit)


def board(books: Books, limit: float) -> Condition:
    """The board stays below its limit."""
    return _temperature("board", books.max_board_c, limit)


def _temperature(name: str, highest: float, limit: float) -> Condition:
    words = f"up to {highest:.1f} °C", f"at most {limit:g} °C"
    return Condition(name, highest <= limit, *words, _ACTIVITY, highest, limit, "°C")


def jobs(books: Books, _: Any) -> Condition:
    """Each accepted job is finished or accounted for."""
    done, lost = len(books.jobs), len(books.jobs_lost)
    figure = f"{books.jobs_planned} planned, {done + lost} accepted, {done} accounted for"
    states = Counter(books.jobs.values())
    figure += "".join(f"; {n} {state}" for state, n in sorted(states.items()))
    if books.jobs_refused:
        figure += "; refused: " + causes(books.jobs_refused.values())
    if lost:
        figure += "; lost: " + causes(books.jobs_lost.values())
    return Condition("jobs", not lost, figure, "none lost", _ACTIVITY, lost, 0)


def products(books: Books, _: Any) -> Condition:
    """Every product received equals the product made, and none came twice."""
    received = books.products_received
    wrong = [job for job in received if books.products_made.get(job) != received[job]]
    equal = len(received) - len(wrong)
    figure = f"{equal} of {len(received)} received equal those made"
    if wrong:
        more = f" and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        figure += f"; different: {', '.join(map(str, wrong[:8]))}{more}"
    if books.parts_sent_twice:
        figure += f"; {plural(books.parts_sent_twice, 'part')} sent twice unasked"
    good = not wrong and not books.parts_sent_twice
    return Condition("products", good, figure, "all", _ACTIVITY, equal, len(received))


def enough(books: Books, wanted: float) -> Condition:
    """Enough products came down."""
    n = len(books.products_received)
    figure = plural(n, "product")
    if n < wanted and books.no_delivery:
        figure += f": {books.no_delivery}"
    return Condition("delivery", n >= wanted, figure, f"at least {wanted:g}", _ACTIVITY, n, wanted)


def telecommands(books: Books, _: Any) -> Condition:
    """Every telecommand whose report could come is verified."""
    done, sent = books.telecommands_verified, books.telecommands_sent
    figure = f"{done} of {sent} verified"
    if books.telecommands_open:
        texts = (f"{kind_of(n)}: {state}" for n, state in books.telecommands_open.items())
        figure += "; open: " + causes(texts)
    good = not books.telecommands_open
    limit = "every one that could be reported"
    return Condition("telecommands", good, figure, limit, _ACTIVITY, done, sent)


def kind_of(telecommand: str) -> str:
    """Return the name of a telecommand without its time and its job."""
    return re.sub(r" job \d+| of \d+ s$", "", telecommand)


def overruns(books: Books, limit: float) -> Condition:
    """Rate groups keep their time."""
    n = books.overruns
    words = f"{n}", f"at most {limit:g}"
    return Condition("overruns", n <= limit, *words, ("payload", "imager", "flight"), n, limit)


def crashes(books: Books, _: Any) -> Condition:
    """The flight software never stops by itself; what stops it from outside is told.

    However it stopped, it must be back within the time that watchdog and boot take.
    """
    figure = plural(books.restarts, "restart")
    figure += "".join(f", {n} stopped: {cause}" for cause, n in sorted(books.stops.items()))
    if books.kills_missed:
        figure += f", {plural(books.kills_missed, 'kill')} found it down"
    if books.down_s:
        figure += f", down for the last {books.down_s:.0f} s"
    good = not books.stops.get("crash") and books.down_s <= books.down_limit_s
    limit = f"no crash of its own, back within {books.down_limit_s:g} s"
    keys = ("payload", "power")
    return Condition("restarts", good, figure, limit, keys, books.stops.get("crash", 0), 0)


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
    wanted = asked(limits)
    conditions = [JUDGES[key](books, limit) for key, limit in wanted.items()]
    keys = tuple(dict.fromkeys(key for c in conditions for key in c.rests_on))
    keys += tuple(f"verdict.{key}" for key in wanted)
    return Verdict(tuple(conditions), unknown(keys))
