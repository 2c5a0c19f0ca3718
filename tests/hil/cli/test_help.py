"""Help is for people: it says what the words mean, without the marks of docstrings."""

from __future__ import annotations

import pytest

from hil.cli import VERBS, main


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_shows_no_marks_of_docstrings(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No help text holds double backticks or roles of reST."""
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert "``" not in out
    assert ":class:" not in out


def test_help_of_bench_explains_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Floor and peer are said in words, and each benchmark has its line."""
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    lines = capsys.readouterr().out.splitlines()
    words = ("ours", "floor", "peer", "time", "capture", "codec", "x memcpy", "tiers", "peers")
    for word in words:
        assert any(line.startswith(f"{word}  ") for line in lines)
