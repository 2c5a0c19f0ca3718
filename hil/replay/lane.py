"""The items of one topic in both streams, paired in order as they come.

As long as they are equal they are only counted. Where they part, a window of both is aligned, and
what is settled is handed on step by step; a step is settled when the streams are firmly together
again behind it, or when the window is as long as it may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from hil.replay.align import EXTRA, MISSING, PAIR, SWAP, Keys, Step, align

T = TypeVar("T")

#: so many equal items in a row, or items equal but for their time, are no accident
FIRM, FIRM_LATE = 4, 8
#: items of a window: at first, and at most
WINDOW, WINDOW_LIMIT = 16, 512
#: what a window may weigh: windows of camera frames are short
WINDOW_NBYTES = 8 << 20
#: so many items wait at most for the other stream to have any; then half of them are lost
WAITING = 8192
WAITING_NBYTES = 32 << 20


class Found(NamedTuple, Generic[T]):
    """One difference: what kind of step, and the items with their running numbers."""

    op: int
    #: running numbers, of what comes next where the side has no item
    a: int
    b: int
    old: tuple[T, ...]
    new: tuple[T, ...]
    #: the items at that place, also where only one side is concerned
    at: tuple[T | None, T | None]


class Side(Generic[T]):
    """What one stream has on the topic and the other had no chance yet to match."""

    __slots__ = ("done", "items", "marks", "nbytes")

    def __init__(self) -> None:
        #: the items, and what of each counts, as octets
        self.items: list[T] = []
        self.marks: list[bytes] = []
        #: items that were matched, and dropped from the lists
        self.done = 0
        self.nbytes = 0

    def add(self, items: Iterable[T], marks: Iterable[bytes]) -> None:
        """Take new items."""
        before = len(self.marks)
        self.items += items
        self.marks += marks
        self.nbytes += sum(map(len, self.marks[before:]))

    def drop(self, count: int) -> None:
        """Forget the first items."""
        self.nbytes -= sum(map(len, self.marks[:count]))
        del self.items[:count], self.marks[:count]
        self.done += count


class Lane(Generic[T]):
    """One topic. ``keys`` gives what an item is aligned by, ``found`` gets each difference,
    ``joined`` the first equal item behind a difference. Items whose marks are equal are equal, but
    where times may differ a little: then ``near`` returns how many pairs are within ``slack``."""

    def __init__(
        self,
        keys: Callable[[T, bytes], Keys],
        found: Callable[[Found[T]], None],
        joined: Callable[[T, T], None],
        near: Callable[[list[T], list[T]], int] | None = None,
        slack: tuple[float, ...] = (),
    ) -> None:
        self.old: Side[T] = Side()
        self.new: Side[T] = Side()
        self._keys = keys
        self._found = found
        self._joined = joined
        self._near = near
        self._slack = slack
        self._window = WINDOW
        #: a difference was found and nothing equal since
        self.parted = False
        #: the new stream was ended before its time: what it has not at its end is not lost
        self._open_end = False
        #: the last item of the old stream that the new one has as well, changed or not
        self.last: T | None = None
        #: items of the old stream that were passed over for its end, and the number of the first
        self.passed: list[T] = []
        self.passed_at = 0

    @property
    def is_empty(self) -> bool:
        """Nothing waits on either side."""
        return not self.old.items and not self.new.items

    def settle(self, final: bool = False, open_end: bool = False) -> None:
        """Match what both sides have; ``final``: no more will come; ``open_end``: what the old
        stream has beyond the end of the new is not lost."""
        self._open_end = open_end
        self._equal()
        while (self.old.items or self.new.items) and self._part(final):
            self._equal()

    def _equal(self) -> None:
        """Drop equal items from the front."""
        old, new = self.old, self.new
        count = min(len(old.items), len(new.items))
        if old.marks[:count] != new.marks[:count]:
            pairs = enumerate(zip(old.marks, new.marks, strict=False))
            count = next(n for n, (one, other) in pairs if one != other)
        if self._near is not None:
            count = min(count, self._near(old.items[:count], new.items[:count]))
        if not count:
            return
        if self.parted:
            self.parted = False
            self._joined(old.items[0], new.items[0])
        self.last = old.items[count - 1]
        old.drop(count)
        new.drop(count)

    def _part(self, final: bool) -> bool:
        """Align the front of both sides; return whether anything was settled."""
        old, new = self.old, self.new
        longest = max(len(old.items), len(new.items))
        shortest = min(len(old.items), len(new.items))
        waited = longest > WAITING or old.nbytes + new.nbytes > WAITING_NBYTES
        if not final and not waited and shortest < self._window:
            return False
        if not shortest or (waited and shortest < self._window and not final):
            return self._lose(final)
        if self._all_late():
            return True
        window = self._limit(WINDOW_LIMIT) if final else self._window
        whole = final and window >= longest
        fronts = self._front(old, window), self._front(new, window)
        steps = align(*fronts, self._slack, goes_on=not whole)
        take = len(steps) if whole else self._firm(steps)
        if whole and self._open_end:
            while take and steps[take - 1].op == MISSING:
                take -= 1
        if not take and not whole:
            if window < self._limit(min(WINDOW_LIMIT, shortest)):
                self._window = window * 2
                return True
            if not final and shortest < WINDOW_LIMIT and window < self._limit(WINDOW_LIMIT):
                self._window = window * 2
                return False
            take = max(1, len(steps) // 2)
        else:
            self._window = WINDOW
        self._take(steps[:take])
        if whole:
            self._pass_over()
        return True

    def _all_late(self) -> bool:
        """Take the items at the front that are all equal but for their time, where none of them is
        there at its own time: a short way for streams that are shifted for good."""
        left, right = self._front(self.old, FIRM_LATE), self._front(self.new, FIRM_LATE)
        if len(left) < FIRM_LATE or not _same_content(left, right):
            return False
        late = self._late_front(WINDOW_LIMIT)  # most often enough to see that it is not so
        if late >= FIRM_LATE:
            late = self._late_front(WAITING)
        if late < FIRM_LATE:
            return False
        self._take([Step(PAIR, n, n) for n in range(late)])
        return True

    def _late_front(self, most: int) -> int:
        """Return how many of the first ``most`` items are equal but for their time, while neither
        stream has the other's among its own."""
        count = min(len(self.old.items), len(self.new.items), most)
        left, right = self._front(self.old, count), self._front(self.new, count)
        times, others = {keys.full for keys in right}, {keys.full for keys in left}
        alike = enumerate(zip(left, right, strict=True))
        return next(
            (
                n
                for n, (a, b) in alike
                if a.content != b.content or a.full in times or b.full in others
            ),
            count,
        )

    def _limit(self, most: int) -> int:
        """Return how many items a window may have so that it is not too heavy."""
        waiting = len(self.old.items) + len(self.new.items)
        mean = max(1, (self.old.nbytes + self.new.nbytes) // max(1, waiting))
        return max(WINDOW, min(most, WINDOW_NBYTES // mean))

    def _front(self, side: Side[T], window: int) -> list[Keys]:
        return [
            self._keys(item, mark)
            for item, mark in zip(side.items[:window], side.marks[:window], strict=True)
        ]

    def _lose(self, final: bool) -> bool:
        """Give up on items that the other stream does not have: all of them at the end, else the
        older half, or those before the first that it has."""
        old, new = self.old, self.new
        is_lost = len(old.items) >= len(new.items)
        side, other = (old, new) if is_lost else (new, old)
        count = len(side.items) if final else len(side.items) // 2
        if is_lost and not other.items and self._open_end:
            self._pass_over()
            return True
        if other.marks and other.marks[0] in side.marks:
            count = side.marks.index(other.marks[0])
        self._take([Step(MISSING if is_lost else EXTRA, 0, 0)] * count)
        return count > 0

    def _pass_over(self) -> None:
        """Leave what the old stream has beyond the end of the new."""
        if not self.passed:
            self.passed_at = self.old.done
        self.passed += self.old.items
        self.old.drop(len(self.old.items))

    def miss(self, count: int) -> None:
        """Take the first items that were passed over for lost: others that the new stream has
        came behind them."""
        for nth, item in enumerate(self.passed[:count]):
            at = (item, None)
            self._found(Found(MISSING, self.passed_at + nth, self.new.done, (item,), (), at))
        del self.passed[:count]

    def _firm(self, steps: list[Step]) -> int:
        """Return how many steps lead up to where the streams are together for certain."""
        run = late = end = 0
        is_late = self._late(steps)
        for nth, step in enumerate(steps):
            run = run + 1 if step.same else 0
            late = late + 1 if is_late[nth] else 0
            if run >= FIRM or late >= FIRM_LATE:
                end = nth + 1
        return end

    def _late(self, steps: list[Step]) -> list[bool]:
        """Tell of each step whether it pairs items that are equal but for their time, while neither
        stream has the other's item at its own time."""
        pairs = [(n, s) for n, s in enumerate(steps) if s.op == PAIR and not s.same]
        found = [False] * len(steps)
        if len(pairs) < FIRM_LATE:
            return found
        old, new = self._front(self.old, WINDOW_LIMIT), self._front(self.new, WINDOW_LIMIT)
        alike = [(n, s) for n, s in pairs if old[s.a].content == new[s.b].content]
        if len(alike) >= FIRM_LATE:
            olds, news = {keys.full for keys in old}, {keys.full for keys in new}
            for n, step in alike:
                found[n] = old[step.a].full not in news and new[step.b].full not in olds
        return found

    def _take(self, steps: list[Step]) -> None:
        """Hand on what differs, and drop what was stepped over."""
        old, new = self.old, self.new
        a = b = 0
        for step in steps:
            wide = 2 if step.op == SWAP else 1
            one = () if step.op == EXTRA else tuple(old.items[a : a + wide])
            other = () if step.op == MISSING else tuple(new.items[b : b + wide])
            if step.op == PAIR and step.same:
                if self.parted:
                    self.parted = False
                    self._joined(one[0], other[0])
            else:
                self.parted = True
                at = (
                    old.items[a] if a < len(old.items) else None,
                    new.items[b] if b < len(new.items) else None,
                )
                self._found(Found(step.op, old.done + a, new.done + b, one, other, at))
            if one and other:
                self.last = one[-1]
            a, b = a + len(one), b + len(other)
        old.drop(a)
        new.drop(b)


def _same_content(left: list[Keys], right: list[Keys]) -> bool:
    return all(one.content == other.content for one, other in zip(left, right, strict=False))
