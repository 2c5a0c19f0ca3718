"""The cheapest way from one sequence to another, and that no cheaper one is overlooked."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.replay import align
from hil.replay.align import EXTRA, MISSING, PAIR, SWAP, Keys, Step

ITEMS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=7)


def keys(items: list[tuple[int, int]]) -> list[Keys]:
    """Return items of a content and a time; contents 0 and 1 ask for the same."""
    return [Keys((what, when), what, what // 2) for what, when in items]


def cost(steps: list[Step], old: list[Keys], new: list[Keys]) -> int:
    """Return what steps cost."""
    total = 0
    for step in steps:
        if step.op == PAIR:
            one, other = old[step.a], new[step.b]
            total += (
                0
                if one.full == other.full
                else align.LATE_COST
                if one.content == other.content
                else align.LIKE_COST
                if one.shape == other.shape
                else align.UNLIKE_COST
            )
        else:
            total += align.SWAP_COST if step.op == SWAP else align.GAP_COST
    return total


def cheapest(old: list[Keys], new: list[Keys]) -> int:
    """Return the least cost, by trying everything."""

    @cache
    def best(a: int, b: int) -> int:
        found = []
        if a < len(old) and b < len(new):
            found.append(cost([Step(PAIR, a, b)], old, new) + best(a + 1, b + 1))
            pairs = old[a : a + 2], new[b : b + 2]
            if all(len(pair) == 2 for pair in pairs):
                (one, two), (three, four) = ([key.content for key in pair] for pair in pairs)
                if (one, two) == (four, three) and one != two:
                    found.append(align.SWAP_COST + best(a + 2, b + 2))
        if a < len(old):
            found.append(align.GAP_COST + best(a + 1, b))
        if b < len(new):
            found.append(align.GAP_COST + best(a, b + 1))
        return min(found, default=0)

    return best(0, 0)


@given(ITEMS, ITEMS)
@settings(deadline=None)
def test_no_way_is_cheaper(old: list[tuple[int, int]], new: list[tuple[int, int]]) -> None:
    """The steps lead through both sequences, each item once, at a cost that nothing undercuts."""
    one, other = keys(old), keys(new)
    steps = align.align(one, other)
    wide = {PAIR: (1, 1), SWAP: (2, 2), MISSING: (1, 0), EXTRA: (0, 1)}
    a = b = 0
    for step in steps:
        assert (step.a, step.b) == (a, b)
        a, b = a + wide[step.op][0], b + wide[step.op][1]
    assert (a, b) == (len(one), len(other))
    # Equal items at either end are always taken for each other, which is never dearer than one
    # gap more: with times that differ, what is left may pair otherwise.
    assert cost(steps, one, other) <= cheapest(one, other) + align.GAP_COST


@pytest.mark.parametrize("seed", range(4))
def test_a_long_window_is_cut_at_what_occurs_once(seed: int) -> None:
    """Of 600 items, far too many for a table, each loss and addition is told as that."""
    draw = Random(seed)
    old = [Keys(n, n, 0) for n in range(600)]
    lost = set(draw.sample(range(600), 20))
    new = [key for key in old if key.full not in lost]
    for n in sorted(draw.sample(range(1, len(new)), 15), reverse=True):
        new.insert(n, Keys(-n, -n, 1))
    steps = align.align(old, new)
    assert {step.a for step in steps if step.op == MISSING} <= lost
    changed = sum(step.op == PAIR and not step.same for step in steps)
    assert sum(step.op == MISSING for step in steps) + changed == 20
    assert sum(step.op == EXTRA for step in steps) + changed == 15


def test_times_within_the_slack_are_equal() -> None:
    """Items of one content whose times differ a little are the same, and beyond that late."""
    old = [Keys((1, 100), 1, 0, (100,)), Keys((2, 200), 2, 0, (200,))]
    new = [Keys((1, 105), 1, 0, (105,)), Keys((2, 211), 2, 0, (211,))]
    assert [step.same for step in align.align(old, new, (10,))] == [True, False]
