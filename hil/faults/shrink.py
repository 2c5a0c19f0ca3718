"""Shrinking a set of faults to a smallest one that still fails (Zeller and Hildebrandt 2002).

What is shrunk is the explicit plan, never the seed that it was made from: a row that is taken out
changes nothing about the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

#: Is given sets of items in order of preference; returns the index of the first that fails, or
#: None. It may try several at once, but not answer with a later one than the first.
FirstFailing = Callable[[Sequence[tuple[T, ...]]], int | None]


def ddmin(items: Iterable[T], first_failing: FirstFailing[T]) -> tuple[T, ...]:
    """Return a part of ``items``, which fail together, that fails and loses that with any item.

    The order of the items stays. The result is the same however many sets are tried at once.
    """
    kept = tuple(items)
    pieces = min(2, len(kept))
    while pieces:
        parts = list(split(kept, pieces))
        # Small sets first: one that fails saves most. With two parts each is the other's rest.
        subsets = parts if pieces < len(kept) or len(kept) == 1 else []
        rests = [without(parts, i) for i in range(pieces)] if pieces > 2 or not subsets else []
        candidates = [*(subset for subset in subsets if len(subset) < len(kept)), *rests]
        nsubsets = len(candidates) - len(rests)
        found = first_failing(candidates) if candidates else None
        if found is None:
            if pieces >= len(kept):
                break
            pieces = min(len(kept), 2 * pieces)
        else:
            kept = candidates[found]
            pieces = min(len(kept), 2 if found < nsubsets else max(pieces - 1, 2))
    return kept


def split(items: tuple[T, ...], pieces: int) -> Iterator[tuple[T, ...]]:
    """Yield ``items`` in ``pieces`` runs whose lengths differ by one at most."""
    at = 0
    for left in range(pieces, 0, -1):
        take = -(-(len(items) - at) // left)
        yield items[at : at + take]
        at += take


def without(parts: Sequence[tuple[T, ...]], index: int) -> tuple[T, ...]:
    """Return the items of all parts but one."""
    return tuple(item for i, part in enumerate(parts) if i != index for item in part)
