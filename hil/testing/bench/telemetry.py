"""What comes down, and what else is told: waiting for it, and saying why it did not come."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher, get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any

from hil.config import nearest
from hil.errors import ExpectationError, UnknownNameError
from hil.testing.bench.log import (
    BENCH,
    DICTIONARY,
    SECOND,
    Entry,
    Evidence,
    Log,
    Mark,
    Name,
    is_stale,
    seconds,
    words_of,
)
from hil.testing.bench.wanted import distance, fits, told

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench

#: of a failure: lines of what was seen instead, and characters of each
SHOWN, WIDTH = 8, 160
_MEANINGS = 6
#: how like a known name one is that was meant to be it
_SLIP = 0.85


class Telemetry:
    """Values by name, as replay and diff have them: ``power.payload_mv``, ``event.BOOT``.

    Also what bench and ground say: ``bench.UUT_LOST``, ``ground.CONTACT_BEGIN``, ``fault.kill``.
    Parts of a name in front of the last may be left out where only one is meant.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    @property
    def _log(self) -> Log:
        return self._bench.log

    def expect(
        self,
        name: str,
        wanted: Any = None,
        *,
        within: int = 10 * SECOND,
        since: Mark | None = None,
    ) -> Evidence:
        """Let virtual time pass until a value is what is wanted; return the evidence.

        ``wanted`` is a value, ``between``, ``above``, ``below`` or a function that says yes; None
        is any. ``within`` counts from now. What came before the mark ``since``, or was sampled
        before it, does not count; without one it is the last act of the test, or the start. Raises
        :class:`~hil.errors.ExpectationError`, which is an AssertionError.
        """
        mark = self._log.acted if since is None else since
        what = self._wanted(name, wanted)
        for entry in self._log.since(mark):
            found = self._fits(what, wanted, entry)
            if found is not None:
                return found
        begun_ns = self._bench.now_ns

        def awaited(entry: Entry) -> bool:
            return not is_stale(entry, mark) and self._fits(what, wanted, entry) is not None

        last = self._bench.wait(awaited, within)
        if last is not None:
            found = what.of(last)
            assert found is not None, "what was awaited fits"
            return found
        raise ExpectationError(self._failure(what, wanted, mark, begun_ns))

    def last(self, name: str, since: Mark | None = None) -> Evidence | None:
        """Return the newest value under a name, of those after a mark if there is one."""
        what = self.meant(name)
        entries = self._log.entries if since is None else self._log.since(since)
        return next((one for entry in reversed(entries) if (one := what.of(entry))), None)

    def all(self, name: str, since: Mark | None = None) -> list[Evidence]:
        """Return every value under a name, oldest first."""
        what = self.meant(name)
        entries = self._log.entries if since is None else self._log.since(since)
        return [one for entry in entries if (one := what.of(entry))]

    def never(self, name: str, wanted: Any = None, *, for_: int) -> None:
        """Let virtual time pass, and raise ``ExpectationError`` at once if the value comes.

        Raises ``UsageError`` for a time ``for_`` that is none, or longer than the run.
        """
        what, mark = self._wanted(name, wanted), self._log.mark()

        def awaited(entry: Entry) -> bool:
            return not is_stale(entry, mark) and self._fits(what, wanted, entry) is not None

        entry = self._bench.wait(awaited, self._bench.stay(for_))
        if entry is None:
            return
        found = what.of(entry)
        after = seconds(entry.t_ns - mark.t_ns)
        raise ExpectationError(
            f"{what} {told(wanted) or 'came'} {after} after it was to stay away for "
            f"{seconds(for_)}\n  {found}\n  {entry}\n{self._bench.state()}"
        )

    def meant(self, name: str) -> Name:
        """Return what a name means. Raises ``UnknownNameError`` for none, and for several."""
        found = self._log.meant(name)
        if len(found) == 1:
            return found[0]
        if not found and not self._bench.has_dictionary:
            near = get_close_matches(name, BENCH, n=1, cutoff=_SLIP)
            if near:
                raise UnknownNameError(
                    f"nothing here is called {name!r}; did you mean {near[0]!r}?"
                )
            lead, dot, last = name.rpartition(".")
            return Name(lead, last) if dot else Name(name, None)
        names = self._log.names()
        if found:
            listed = ", ".join(map(str, found[:_MEANINGS]))
            raise UnknownNameError(f"{name!r} may be any of {listed}; say more of its name")
        raise UnknownNameError(f"nothing here is called {name!r}{near_names(name, names)}")

    def _wanted(self, name: str, wanted: Any) -> Name:
        """Return what a name means, where what is wanted of it can ever be.

        Raises ``UnknownNameError`` for a value of an event, or a word, that the dictionary has not.
        """
        what = self.meant(name)
        if not self._bench.has_dictionary:
            return what
        asked = wanted if isinstance(wanted, Mapping) else {what.field: wanted}
        known = {one.field for one in DICTIONARY.values() if one.entry == what.entry and one.field}
        came = known.union(*(e.values for e in self._log.entries if e.name == what.entry))
        for key, value in asked.items():
            if known and key is not None and key not in came:
                raise UnknownNameError(
                    f"{what.entry} has no {key!r}{nearest(key, known)}; it has "
                    f"{', '.join(sorted(known))}"
                )
            if key is not None:
                _check_word(what.entry, key, value)
        return what

    def _fits(self, what: Name, wanted: Any, entry: Entry) -> Evidence | None:
        found = what.of(entry)
        if found is None:
            return None
        if isinstance(wanted, Mapping) and isinstance(found.value, Mapping):
            values = found.value
            same = all(key in values and fits(one, values[key]) for key, one in wanted.items())
            return found if same else None
        return found if fits(wanted, found.value) else None

    def _failure(self, what: Name, wanted: Any, mark: Mark, begun_ns: int) -> str:
        now_ns, log = self._bench.now_ns, self._log
        until = f"t={seconds(begun_ns)} to {seconds(now_ns)}"
        lines = [
            f"no {what} {told(wanted)}".rstrip()
            + f" within {seconds(now_ns - begun_ns)} ({until}),"
            f" after #{mark.number} at t={seconds(mark.t_ns)}"
        ]
        entries = log.since(mark)
        seen = [one for entry in entries if (one := what.of(entry))]
        if seen:
            lines += _listed("seen instead, nearest first:", _nearest(seen, wanted))
        stale = [one for entry in log.stale(mark) if (one := what.of(entry))]
        if stale:
            lines += _listed("came after the mark, sampled before it:", stale[::-1])
        before = [one for entry in log.entries[: mark.entries] if (one := what.of(entry))]
        if before:
            lines.append(cut(f"last before the mark: {before[-1]}"))
        if not seen:
            lines += _others(what, entries)
        if self._bench.over:
            lines.append("the run has come to its end: open the bench with a longer duration_s")
        return "\n".join([*lines, self._bench.state()])


def _check_word(entry: str, key: str, value: Any) -> None:
    """Raise ``UnknownNameError`` for a value that a field which is told by name never has."""
    words = words_of(entry, key)
    if isinstance(value, Enum) or not words:
        return
    if isinstance(value, int) and value in words:
        raise UnknownNameError(f"{entry}.{key} is told by name: say {words[value]!r}, not {value}")
    if isinstance(value, str) and value not in words.values():
        listed = ", ".join(words.values())
        hint = nearest(value.upper(), words.values())
        raise UnknownNameError(f"{entry}.{key} is never {value!r}{hint}; it is one of {listed}")


def near_names(name: str, names: Mapping[str, Any]) -> str:
    """Return the names nearest to one that there is not."""
    hint = nearest(name, names)
    last = name.rpartition(".")[2]
    ends = [known for known in names if known.rpartition(".")[2] == last]

    def unlike(known: str) -> float:
        return -SequenceMatcher(None, name, known).ratio()

    near = sorted(names, key=unlike)[:_MEANINGS]
    return hint or f"; near are {', '.join(dict.fromkeys([*ends, *near]))}"


def _nearest(seen: list[Evidence], wanted: Any) -> list[Evidence]:
    """Return the values nearest first; of equals the newest, once."""
    newest: dict[Any, Evidence] = {}
    for one in seen:
        newest[str(one.value)] = one
    return sorted(newest.values(), key=lambda one: (distance(wanted, one.value), -one.number))


def _listed(title: str, shown: list[Any]) -> list[str]:
    more = len(shown) - SHOWN
    rest = [f"  and {more} more"] if more > 0 else []
    lines = [str(one) for one in shown[:SHOWN]]
    return [title, *(f"  {cut(line)}" for line in lines), *rest]


def cut(line: str) -> str:
    """Return a line that is no longer than a person reads."""
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _others(what: Name, entries: list[Entry]) -> list[str]:
    """Return what else came, by names most like the one that did not."""
    if not entries:
        return ["nothing came at all"]
    newest = {entry.name: entry for entry in entries}
    count = {name: sum(entry.name == name for entry in entries) for name in newest}

    def unlike(entry: Entry) -> float:
        return -SequenceMatcher(None, str(what), entry.name).ratio()

    shown = [
        f"{entry} ({count[entry.name]} of them)" if count[entry.name] > 1 else str(entry)
        for entry in sorted(newest.values(), key=unlike)
    ]
    return _listed("what came instead, names most like it first:", shown)
