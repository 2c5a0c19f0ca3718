"""Conditions on records: what they mean, and what is told of those that mean nothing."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.errors import UsageError
from hil.replay.condition import parse
from hil.replay.naming import dictionary_words, meant, resolve

FIELDS = {"t": 300.5, "seq": 4711, "tm.hk.mode": "SAFE", "event.name": "SAFE_MODE", "read[2]": 0}
OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

#: a text and what it says of the fields, made together
Said = tuple[str, Callable[[dict[str, int]], bool]]


@st.composite
def comparisons(draw: st.DrawFn) -> Said:
    """A comparison of one of three fields with a number, either way around."""
    name, sign = draw(st.sampled_from("abc")), draw(st.sampled_from(sorted(OPERATORS)))
    number, turned = draw(st.integers(-3, 3)), draw(st.booleans())
    ask = OPERATORS[sign]
    if turned:
        return f"{number} {sign} {name}", lambda fields: bool(ask(number, fields[name]))
    return f"{name}{sign}{number}", lambda fields: bool(ask(fields[name], number))


def joined(inner: st.SearchStrategy[Said]) -> st.SearchStrategy[Said]:
    """Conditions made of others, in parentheses, so that no precedence is assumed."""
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda p: (f"({p[0][0]} and {p[1][0]})", lambda f: p[0][1](f) and p[1][1](f))),
        pairs.map(lambda p: (f"({p[0][0]} or {p[1][0]})", lambda f: p[0][1](f) or p[1][1](f))),
        inner.map(lambda one: (f"not ({one[0]})", lambda f: not one[1](f))),
    )


@given(
    said=st.recursive(comparisons(), joined, max_leaves=12),
    values=st.tuples(*[st.integers(-3, 3)] * 3),
)
@settings(deadline=None)
def test_a_condition_means_what_it_says(said: Said, values: tuple[int, int, int]) -> None:
    """However it is nested, a condition holds exactly where what it was made of does."""
    text, meaning = said
    fields = dict(zip("abc", values, strict=True))
    condition = parse(text)
    resolve(condition, fields, ())
    assert condition.holds(fields) is meaning(fields)


@given(a=st.booleans(), b=st.booleans(), c=st.booleans())
@settings(deadline=None)
def test_and_binds_closer_than_or(a: bool, b: bool, c: bool) -> None:
    """As everywhere: not before and, and before or."""
    fields: dict[str, Any] = {"a": int(a), "b": int(b), "c": int(c)}
    condition = parse("a or b and not c")
    resolve(condition, fields, ())
    assert condition.holds(fields) is (a or (b and not c))


@given(text=st.text(alphabet="ab.=!<>()'\" 0x1eandornt[]-/", max_size=40) | st.text(max_size=20))
@settings(deadline=None)
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    """No text does anything but become a condition or an error of usage."""
    told = ""
    try:
        condition = parse(text)
        resolve(condition, ["a", "b", "ab.a"], dictionary_words())
        assert condition.holds({"a": 1, "b": "x"}) in (True, False)
    except UsageError as refused:
        told = str(refused)
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("seq=4711", True),
        ("mode == SAFE and t > 300", True),
        ("tm.mode==SAFE", True),
        ("tm.mode != 'SAFE'", False),
        ("name=SAFE_MODE and t>3.1e2", False),
        ("read[2] == 0x0", True),
        ("read[2]", False),
        ("event.name", True),
        ("not read[2]", True),
        ("tm.mode == 2", False),
    ],
)
def test_names_may_be_short(text: str, holds: bool) -> None:
    """A field goes by the end of its name, and a word of the dictionary stands for itself."""
    condition = parse(text)
    resolve(condition, FIELDS, dictionary_words())
    assert condition.holds(FIELDS) is holds


def test_a_field_that_is_not_there_is_nothing() -> None:
    """Every comparison with it is false, also that it is something else."""
    condition = parse("tm.mode==SAFE or tm.mode!=SAFE")
    resolve(condition, FIELDS, dictionary_words())
    assert condition.holds({"t": 1.0}) is False


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tm.mod==SAFE", "no record has a field 'tm.mod'; did you mean 'tm.hk.mode'?"),
        ("mode==SAFFE", "'SAFFE' is no field and no known word; did you mean 'SAFE'?"),
        ("sequ=3", "did you mean 'seq'?"),
        ("mode==", "'mode==>>': a field, a number or a text must stand here"),
        ("seq=1 seq=2", "'seq=1 >>seq=2': and, or, or the end must stand here"),
        ("(seq=1", "a ) must stand here"),
        ("1<2", "nothing is compared with a field"),
        ("1<seq<3", "compare two things at a time"),
        ("seq=§", "no name, number, text in quotes or operator"),
        ("", "a field, a number or a text must stand here"),
        ("(" * 60 + "seq" + ")" * 60, "nested too deeply"),
        ("seq=1 or " * 300 + "seq=1", "at most 2000"),
    ],
)
def test_what_is_wrong_is_shown(text: str, told: str) -> None:
    """A wrong name is told with the nearest known one, a wrong form with its place."""
    with pytest.raises(UsageError) as refused:
        resolve(parse(text), FIELDS, dictionary_words())
    assert told in str(refused.value)


def test_a_name_of_several_fields_is_refused() -> None:
    """What could be this or that is asked back, unless one of them is nearer."""
    known = ["tm.hk.mode", "event.x.mode", "tm.hk.sub.mode"]
    assert meant("tm.mode", known) == ["tm.hk.mode"]
    with pytest.raises(UsageError, match=r"'mode' may be any of event\.x\.mode, tm\.hk\.mode"):
        resolve(parse("mode=1"), known, ())
