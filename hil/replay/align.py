"""Which items of two sequences belong together, where some were changed, lost, added or swapped.

Small stretches are aligned at least cost (Needleman and Wunsch, J. Mol. Biol. 48, 1970; with the
exchange of two neighbours of Damerau, CACM 7, 1964). Long ones are first cut at items that occur
once in both (Cohen's patience diff), so that the work stays small however long a window is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

#: what can be done with the next item or items
PAIR, MISSING, EXTRA, SWAP = range(4)

#: Costs, so that: an item that is only late costs less than one that was lost and came again; one
#: that changed less than one lost and another added; two swapped less than two changed.
LATE_COST, LIKE_COST, UNLIKE_COST, GAP_COST, SWAP_COST = 2, 3, 5, 3, 3
#: the table of least costs has at most so many cells
CELLS = 4096


class Keys(NamedTuple):
    """What an item is compared by: all that counts; the same without its time; what it asks for.

    ``times`` are those that may differ a little, nanoseconds.
    """

    full: Hashable
    content: Hashable
    shape: Hashable
    times: tuple[int, ...] = ()


class Step(NamedTuple):
    """One step along both sequences; ``a`` and ``b`` are where it begins.

    A PAIR takes one item of each, a SWAP two of each, MISSING and EXTRA one of one.
    """

    op: int
    a: int
    b: int
    #: of a pair: nothing that counts differs
    same: bool = False


def align(
    old: Sequence[Keys],
    new: Sequence[Keys],
    slack: tuple[float, ...] = (),
    goes_on: bool = False,
) -> list[Step]:
    """Return the steps that lead through both sequences, in order. Items of the same content whose
    ``times`` differ by no more than ``slack`` count as equal. Where both streams go on behind their
    sequences (``goes_on``), what is left of one at its end costs nothing: its like is to come."""
    return _Aligner(old, new, slack).steps(goes_on)


class _Aligner:
    """The work on one pair of sequences."""

    def __init__(self, old: Sequence[Keys], new: Sequence[Keys], slack: tuple[float, ...]) -> None:
        self.old, self.new, self.slack = old, new, slack
        self.out: list[Step] = []

    def steps(self, goes_on: bool = False) -> list[Step]:
        """Return the steps through both sequences."""
        self._align(0, len(self.old), 0, len(self.new), 0 if goes_on else GAP_COST)
        return self.out

    def _same(self, a: int, b: int) -> bool:
        """Tell whether nothing that counts differs between two items."""
        one, other = self.old[a], self.new[b]
        if one.full == other.full:
            return True
        if not self.slack or one.content != other.content:
            return False
        pairs = zip(one.times, other.times, self.slack, strict=True)
        return all(abs(left - right) <= slack for left, right, slack in pairs)

    def _cost(self, a: int, b: int) -> int:
        """Return what it costs to take one item for another."""
        if self._same(a, b):
            return 0
        one, other = self.old[a], self.new[b]
        if one.content == other.content:
            return LATE_COST
        return LIKE_COST if one.shape == other.shape else UNLIKE_COST

    def _swapped(self, a: int, b: int) -> bool:
        """Tell whether the two items from ``a`` on are those from ``b`` on the other way round."""
        old, new = self.old, self.new
        return (
            old[a].content == new[b + 1].content
            and old[a + 1].content == new[b].content
            and old[a].content != old[a + 1].content
        )

    def _align(self, a: int, a_end: int, b: int, b_end: int, left: int = GAP_COST) -> None:
        """Append the steps through ``old[a:a_end]`` and ``new[b:b_end]``; ``left`` is what an item
        costs that is left at the end of one."""
        while a < a_end and b < b_end and self._same(a, b):
            self.out.append(Step(PAIR, a, b, True))
            a, b = a + 1, b + 1
        a_stop, b_stop = a_end, b_end
        while a < a_stop and b < b_stop and self._same(a_stop - 1, b_stop - 1):
            a_stop, b_stop = a_stop - 1, b_stop - 1
        left = left if a_stop == a_end else GAP_COST
        if (a_stop - a) * (b_stop - b) <= CELLS:
            self._cheapest(a, a_stop, b, b_stop, left)
        elif anchors := self._anchors(a, a_stop, b, b_stop):
            for one, other in anchors:
                self._align(a, one, b, other)
                a, b = one, other
            self._last(a, a_stop, b, b_stop, left)
        else:
            self._in_place(a, a_stop, b, b_stop)
        self.out += (Step(PAIR, a_stop + n, b_stop + n, True) for n in range(a_end - a_stop))

    def _last(self, a: int, a_end: int, b: int, b_end: int, left: int) -> None:
        """Append the stretch behind the last anchor, which begins with it."""
        self.out.append(Step(PAIR, a, b, self._same(a, b)))
        self._align(a + 1, a_end, b + 1, b_end, left)

    def _in_place(self, a: int, a_end: int, b: int, b_end: int) -> None:
        """Pair what stands at the same place: nothing better is known."""
        common = min(a_end - a, b_end - b)
        self.out += (Step(PAIR, a + n, b + n, self._same(a + n, b + n)) for n in range(common))
        self.out += (Step(MISSING, one, b_end) for one in range(a + common, a_end))
        self.out += (Step(EXTRA, a_end, other) for other in range(b + common, b_end))

    def _anchors(self, a: int, a_end: int, b: int, b_end: int) -> list[tuple[int, int]]:
        """Return places of items that are there once in both, in the order of both, as many as
        can be; told by everything that counts, or else by content."""
        for level in ("full", "content"):
            left = [getattr(keys, level) for keys in self.old[a:a_end]]
            right = [getattr(keys, level) for keys in self.new[b:b_end]]
            once, also_once = Counter(left), Counter(right)
            place = {key: b + n for n, key in enumerate(right) if also_once[key] == 1}
            pairs = [
                (a + n, place[key]) for n, key in enumerate(left) if once[key] == 1 and key in place
            ]
            if pairs:
                return _rising(pairs)
        return []

    def _cheapest(self, a: int, a_end: int, b: int, b_end: int, left: int) -> None:
        """Append the steps of least cost."""
        n, m = a_end - a, b_end - b
        #: best[i][j] is the cost from (a + i, b + j) to the end
        best = [[0] * (m + 1) for _ in range(n + 1)]
        best[n] = [(m - j) * left for j in range(m + 1)]
        for i in range(n - 1, -1, -1):
            row, below = best[i], best[i + 1]
            row[m] = (n - i) * left
            for j in range(m - 1, -1, -1):
                cost = below[j + 1] + self._cost(a + i, b + j)
                cost = min(cost, below[j] + GAP_COST, row[j + 1] + GAP_COST)
                if i + 1 < n and j + 1 < m and self._swapped(a + i, b + j):
                    cost = min(cost, best[i + 2][j + 2] + SWAP_COST)
                row[j] = cost
        self._walk(a, b, best, left)

    def _walk(self, a: int, b: int, best: list[list[int]], left: int) -> None:
        """Append the steps that a table of costs holds; of equal ones a pair comes first."""
        n, m = len(best) - 1, len(best[0]) - 1
        i = j = 0
        while i < n and j < m:
            step, cost, wide = self._choice(a, b, i, j, best)
            assert best[i][j] == cost + best[i + wide[0]][j + wide[1]], "the table leads to its end"
            self.out.append(step)
            i, j = i + wide[0], j + wide[1]
        assert best[i][j] == (n - i + m - j) * left, "the table leads to its end"
        self.out += (Step(MISSING, one, b + j) for one in range(a + i, a + n))
        self.out += (Step(EXTRA, a + n, other) for other in range(b + j, b + m))

    def _choice(
        self, a: int, b: int, i: int, j: int, best: list[list[int]]
    ) -> tuple[Step, int, tuple[int, int]]:
        """Return the step from (i, j), its cost, and how many items of each side it takes."""
        n, m, left = len(best) - 1, len(best[0]) - 1, best[i][j]
        cost = self._cost(a + i, b + j)
        if left == best[i + 1][j + 1] + cost:
            return Step(PAIR, a + i, b + j, cost == 0), cost, (1, 1)
        can_swap = i + 1 < n and j + 1 < m and self._swapped(a + i, b + j)
        if can_swap and left == best[i + 2][j + 2] + SWAP_COST:
            return Step(SWAP, a + i, b + j), SWAP_COST, (2, 2)
        if left == best[i + 1][j] + GAP_COST:
            return Step(MISSING, a + i, b + j), GAP_COST, (1, 0)
        return Step(EXTRA, a + i, b + j), GAP_COST, (0, 1)


def _rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest run of pairs, not necessarily neighbours, whose second numbers rise."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for nth, (_, place) in enumerate(pairs):
        at = bisect_left(tails, place)
        before.append(ends[at - 1] if at else -1)
        tails[at : at + 1] = [place]
        ends[at : at + 1] = [nth]
    chain: list[tuple[int, int]] = []
    at = ends[-1]
    while at >= 0:
        chain.append(pairs[at])
        at = before[at]
    return chain[::-1]
