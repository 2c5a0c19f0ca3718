"""What makes a run fail: the first seed that does, and the smallest fault plan that still does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flightsw.codec import dictionary
from hil.config import nearest
from hil.errors import UsageError
from hil.faults.plan import Row, rows_toml
from hil.faults.shrink import ddmin
from hil.faults.trials import Case, Trial, Trials

#: What ``--fails`` may say besides ``condition:NAME``, ``event:NAME`` and ``exit:CODE``.
PLAIN = ("verdict", "lost", "exit", "check")
PREFIXES = ("condition:", "event:", "exit:")
#: Names of the conditions that a mission profile can ask for, as their verdict gives them.
CONDITIONS = (
    *("no brown-out", "battery", "chip", "board", "jobs", "products", "delivery"),
    *("telecommands", "overruns", "restarts"),
)
#: Events of the bench and of the ground; the others are those of the dictionary.
EVENTS = (
    *("UUT_START", "UUT_LOST", "WATCHDOG_RESET", "EPS_SWITCH", "SUPPLY", "BROWN_OUT"),
    *("ROLES_MISSING", "CONTACT_BEGIN", "CONTACT_END", "PACKET_REFUSED", "PRODUCT_RECEIVED"),
    *("TELECOMMAND_FAILED", "TELECOMMAND_GIVEN_UP"),
)
#: What real boards and programs tell begins with these.
_OPEN = ("BOARD_", "FRONT_END_", "SHADOW_", "PROGRAM_")


@dataclass(frozen=True)
class Found:
    """What a search came to; ``seed`` is None if nothing failed."""

    seed: int | None
    #: the marks of which any one makes a failure
    marks: tuple[str, ...]
    why: tuple[str, ...]
    #: the plan as it was, and the smallest part of it that fails
    rows: tuple[Row, ...]
    kept: tuple[Row, ...]
    flown: int

    def as_json(self) -> dict[str, Any]:
        """Return the object of ``hil bisect --json``."""
        return {
            "seed": self.seed,
            "fails_by": list(self.marks),
            "why": list(self.why),
            "faults": len(self.rows),
            "kept": [
                {**({"on": row.on} if row.on else {}), "kind": row.kind, **row.values}
                for row in self.kept
            ],
            "runs": self.flown,
        }


def wanted_marks(fails: str) -> tuple[str, ...]:
    """Return the marks that ``--fails`` names, none for what fails by itself.

    Raises :class:`~hil.errors.UsageError` for words that no run is marked with.
    """
    if fails and fails not in PLAIN and not fails.startswith(PREFIXES):
        raise UsageError(
            f"--fails {fails!r}: say {', '.join(PLAIN)}, condition:NAME, event:NAME or exit:CODE"
        )
    head, _, name = fails.partition(":")
    if head == "exit" and name and not name.lstrip("-").isdecimal():
        raise UsageError(f"--fails {fails!r}: an exit code is a number, as exit:1")
    events = (*EVENTS, *(event.name for event in dictionary.EVENTS))
    known = {"condition": CONDITIONS, "event": tuple(sorted(events))}.get(head, (name,))
    if name not in known and not (head == "event" and name.startswith(_OPEN)):
        near = nearest(name, known)
        raise UsageError(f"--fails {fails!r}: there is no such {head}{near}; {', '.join(known)}")
    return (fails,) if fails else ()


def signature(trial: Trial, has_check: bool) -> tuple[str, ...]:
    """Return what a failing trial is recognised by: its check, its loss, its failed conditions or
    its exit code; nothing if it did not fail."""
    marks = trial.marks
    if has_check:
        return ("check",) if "check" in marks else ()
    if "lost" in marks:
        return ("lost",)
    heads = ("condition:",) if "verdict" in marks else ("exit:",) if "exit" in marks else ()
    return tuple(sorted(mark for mark in marks if mark.startswith(heads))) if heads else ()


def search(
    trials: Trials,
    seeds: Sequence[int],
    plan_of: Callable[[int], Sequence[Row]],
    fails: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> Found:
    """Find the first of ``seeds`` whose run fails, then the smallest part of its plan that does.

    Raises :class:`~hil.errors.UsageError` if the run fails without any fault, since then there is
    nothing to shrink, and what the trials raise.
    """
    marks = wanted_marks(fails)
    has_check = bool(trials.check)
    plans = {seed: tuple(plan_of(seed)) for seed in seeds}
    cases = [Case(seed, rows_toml(plans[seed])) for seed in seeds]

    def failed(trial: Trial) -> bool:
        return bool(trial.marks & set(marks)) if marks else bool(signature(trial, has_check))

    index = trials.first(cases, failed)
    if index is None:
        rows = plans[seeds[0]] if len(seeds) == 1 else ()
        return Found(None, marks, (), rows, (), trials.flown)
    seed, rows = seeds[index], plans[seeds[index]]
    whole = trials.one(cases[index])
    marks = marks or signature(whole, has_check)
    told = "; ".join(whole.why) or ", ".join(marks)
    say(f"seed {seed} fails with {len(rows)} faults: {told}")
    if not rows:
        return Found(seed, marks, whole.why, (), (), trials.flown)

    def still(trial: Trial) -> bool:
        return bool(trial.marks & set(marks))

    if still(trials.one(Case(seed, ""))):
        raise UsageError(
            f"seed {seed} fails without any fault ({told}): there is no plan to shrink; "
            "leave the faults away, or say with --fails what the faults are to blame for"
        )

    def first_failing(parts: Sequence[tuple[Row, ...]]) -> int | None:
        found = trials.first([Case(seed, rows_toml(part)) for part in parts], still)
        if found is not None:
            say(f"{len(parts[found])} of {len(rows)} faults still fail ({trials.flown} runs)")
        return found

    kept = ddmin(rows, first_failing)
    why = trials.one(Case(seed, rows_toml(kept))).why
    return Found(seed, marks, why, rows, kept, trials.flown)
