"""Two streams of records are compared by topic and running number."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.wire import Record
from hil.replay.compare import Comparison
from hil.replay.rules import Rules
from hil.replay.verdict import KINDS, Verdict

from .streams import NAMES, Edited, edit, octets, stream

#: records between two edits, so that each is one of its own
APART = 40


def compared(old: bytes, new: bytes, rules: Rules | None = None) -> Verdict:
    """Return the verdict on two streams; the new one comes in one piece."""
    comparison = Comparison([old], None, rules or Rules(), NAMES)
    comparison.feed(new)
    return comparison.finish()


def counted(verdict: Verdict) -> Counter[tuple[str, str]]:
    """Return how many differences of which kind a verdict has on each topic."""
    found: Counter[tuple[str, str]] = Counter()
    for topic, count in verdict.counts.items():
        found += Counter({(topic, kind): getattr(count, kind) for kind in KINDS})
    return +found


@st.composite
def edited(draw: st.DrawFn) -> tuple[list[Record], Edited]:
    """Draw a stream and edits of it."""
    records = stream(draw(st.integers(60, 900)), draw(st.integers(0, 9)), draw(st.booleans()))
    places, at = [], draw(st.integers(0, 60))
    while at < len(records) - APART:
        places.append((at, draw(st.sampled_from(("missing", "extra", "changed", "late")))))
        at += draw(st.integers(APART, 4 * APART))
    return records, edit(records, places)


@given(edited())
@settings(max_examples=60, deadline=None)
def test_each_edit_is_told_as_what_it_is(pair: tuple[list[Record], Edited]) -> None:
    """Whatever was dropped, added, changed or delayed: the first is named, all are counted."""
    records, new = pair
    verdict = compared(octets(records), octets(new.records))
    assert counted(verdict) == Counter((topic, kind) for topic, kind, _, _ in new.edits)
    if new.edits:
        assert verdict.first is not None
        first = verdict.first
        assert (first.topic, first.kind, first.index, first.t_ns) == new.edits[0]
    else:
        assert verdict.identical
