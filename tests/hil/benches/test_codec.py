"""The benchmark of the codec: its table, its subjects, and what it says while it measures."""

from __future__ import annotations

import io
import json

import pytest

from hil.benches.codec import run, subjects, table
from hil.benches.codec.row import Row
from hil.cli import main
from hil.cli.progress import Line


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Be one."""
        return True


def test_one_subject_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """--only measures the machine and that subject; each row has our figure, tiers and ratios."""
    assert main(["bench", "codec", "--quick", "--json", "--only", "bch"]) == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert captured.err == ""
    assert all(row["op"].startswith("memcpy") for row in rows[:4])
    assert len(rows) > 4
    for row in rows:
        assert row["ours"] > 0
        assert row["ours"] in row["tiers"].values()
        assert set(row["times_peer"]) == set(row["peers"])


def test_what_is_measured_is_said() -> None:
    """The subject and its number are told before it is measured."""
    said: list[str] = []
    run(quick=True, only=("bch",), watch=said.append)
    assert said == ["memcpy", "bch (1 of 1)"]


def test_a_line_is_for_terminals() -> None:
    """A terminal gets the text, cut to its width and gone at the end; a pipe gets nothing."""
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        with Line(stream) as line:
            line("crc (1 of 2)")
    assert terminal.getvalue() == "\r\x1b[Kcrc (1 of 2)\r\x1b[K"
    assert pipe.getvalue() == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["codec", "--only", "crq"], "did you mean 'crc'"),
        (["codec", "--only", "nothing-like-it"], ", ".join(subjects())),
        (["codec", "--only", ""], "there are"),
        (["capture", "--only", "crc"], "leave --only out"),
    ],
)
def test_a_subject_that_is_none_is_refused(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong subject is one line with the names there are, and exit code 2."""
    assert main(["bench", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert says in captured.err


def test_the_table_says_how_many_times_better() -> None:
    """Of a cost less is better and of a speed more; both ratios are above 1 where ours wins."""
    rows = [
        Row("a", "GB/s", {"portable": 2.0, "avx2": 10.0}, 20.0, {"peer": 2.5}),
        Row("b", "ns/packet", {"portable": 8.0}, 4.0, {"peer": 80.0}),
    ]
    lines = table([row.as_object() for row in rows]).splitlines()
    assert lines[1].split() == [
        *("a", "GB/s", "10", "2.00", "portable", "2", "avx2", "10", "peer", "2.5", "(x4)"),
    ]
    assert lines[2].split() == [
        "b",
        "ns/packet",
        "8",
        "2.00",
        "portable",
        "8",
        "peer",
        "80",
        "(x10)",
    ]
