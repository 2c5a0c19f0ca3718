"""The options of ``hil run``."""

from __future__ import annotations

import pytest

from hil.cli.run import options, parser


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("600", 600.0), ("10 min", 600.0), ("600 s", 600.0), ("1.5h", 5400.0), ("12.25", 12.25)],
)
def test_a_duration_is_seconds_or_has_its_unit(text: str, seconds: float) -> None:
    """A plain number is seconds; a unit of time may stand behind it, as in the files."""
    assert options(parser().parse_args(["--duration", text])).duration_s == seconds
