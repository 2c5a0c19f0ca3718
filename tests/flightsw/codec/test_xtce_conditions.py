"""Conditions as lists of comparisons, against the conditions themselves on every small value."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.columns import expression as ex
from flightsw.codec.xtce.conditions import Comparison, Range, cases_of, narrow, range_of

REFS = {name: ex.Ref(name) for name in ("a", "b")}
ATOMS = st.builds(
    lambda op, name, slope, offset, number: ex.Binary(
        op,
        ex.Binary("+", ex.Binary("*", REFS[name], ex.Number(slope)), ex.Number(offset)),
        ex.Number(number),
    ),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.sampled_from(["a", "b"]),
    st.integers(-3, 3),
    st.integers(-4, 4),
    st.integers(-12, 12),
)
CONDITIONS = st.recursive(
    ATOMS | st.sampled_from([*REFS.values(), ex.Number(0), ex.Number(1)]),
    lambda inner: st.one_of(
        st.builds(lambda e: ex.Unary("not", e), inner),
        st.builds(
            lambda op, one, other: ex.Binary(op, truth(one), truth(other)),
            st.sampled_from(["&", "|"]),
            inner,
            inner,
        ),
    ),
    max_leaves=5,
)


def truth(e: ex.Expr) -> ex.Expr:
    """Return an expression that is 0 or 1."""
    return ex.Binary("!=", e, ex.Number(0)) if isinstance(e, ex.Ref) else e


def holds(every: tuple[Comparison, ...], values: dict[str, int]) -> bool:
    """Whether all comparisons hold."""
    return all(ex.BINARY[each.sign](values[each.name], each.value) for each in every)


@given(condition=CONDITIONS, wanted=st.booleans())
def test_one_list_of_comparisons_holds_where_the_condition_does(
    condition: ex.Expr, wanted: bool
) -> None:
    """Never two, or a reader could not choose; and none where the condition is not as wanted."""
    cases = cases_of(condition, wanted)
    for a, b in itertools.product(range(-4, 4), range(8)):
        values = {"a": a, "b": b}
        expected = bool(ex.evaluate(condition, values, {})) is wanted
        assert sum(holds(case, values) for case in cases) == expected


@given(
    every=st.lists(
        st.builds(
            Comparison,
            st.sampled_from(["a", "b"]),
            st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
            st.integers(-10, 10),
        ),
        max_size=6,
    )
)
def test_what_is_known_of_a_value_leaves_out_what_cannot_be(every: list[Comparison]) -> None:
    """None exactly where no value passes; and what is left of the comparisons says the same."""
    known = {"a": range_of(3, signed=True), "b": range_of(3, signed=False)}
    result = narrow(known, tuple(every))
    space = list(itertools.product(range(-4, 4), range(8)))
    passing = [p for p in space if holds(tuple(every), dict(zip("ab", p, strict=True)))]
    assert (result is None) is (not passing)
    if result is not None:
        now, left = result
        assert [p for p in space if holds(left, dict(zip("ab", p, strict=True)))] == passing
        for i, name in enumerate("ab"):
            values = {p[i] for p in passing}
            assert (now[name].low, now[name].high) == (min(values), max(values))


def test_a_range_ends_at_values_that_can_be() -> None:
    """Holes at its ends make it smaller."""
    assert Range(0, 3).narrowed("!=", 0) == Range(1, 3)
    assert Range(0, 3, frozenset({2})).narrowed("!=", 3) == Range(0, 1)
    assert Range(1, 1).narrowed("!=", 1) is None
