"""Records that say odd things are compared, shown and drawn like any others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.wire import Kind, Record
from hil.about import about, attach
from hil.board import load_board
from hil.capture.writer import CaptureWriter
from hil.cli import main
from hil.faults.plan import NOTHING
from hil.missions import load as load_mission
from hil.options import Options

ROOT = Path(__file__).resolve().parents[3]


def capture(path: Path, *events: dict[str, Any], **facts: str) -> str:
    """Write a capture of events, one a millisecond; return its path."""
    board, mission = load_board(Options().board), load_mission(Options().mission)
    with CaptureWriter(path, 0, {}, about(Options(), board, mission) | facts) as writer:
        attach(writer, board, mission, NOTHING)
        for n, event in enumerate(events):
            payload = json.dumps(event).encode()
            writer.write(Record(Kind.EVENT, 0, 0, 0, n * 10**6, 0, n, 0, payload).pack())
    return str(path)


def differ(tmp_path: Path, old: dict[str, Any], new: dict[str, Any]) -> tuple[str, str]:
    """Return two captures that differ in their last event of three."""
    first: dict[str, Any] = {"name": "FIRST", "value": 1}
    return (
        capture(tmp_path / "old.mcap", first, first, old),
        capture(tmp_path / "new.mcap", first, first, new),
    )


def test_no_value_steers_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters, ends of lines and halves of characters are spelt out, in names too."""
    odd = "\x1b]0;title\x07\n\u202e"
    pair = differ(tmp_path, {"name": odd, odd: 1}, {"name": "\ud800", odd: 2})
    assert main(["diff", *pair]) == 1
    told = capsys.readouterr().out
    assert r"\x1b]0;title\x07\n\u202e" in told
    assert r"\ud800" in told
    assert all(line.isprintable() for line in told.splitlines())
    assert main(["diff", *pair, "--json", "-q"]) == 1
    first = json.loads(capsys.readouterr().out)["first"]
    assert first["fields"][0]["old"] == odd


def test_no_value_is_html_on_the_page(tmp_path: Path) -> None:
    """What a capture says stands on the page as text, in its facts, names and values."""
    bad = "</script><img src=x onerror=alert(1)>\ud800"
    old = capture(tmp_path / "old.mcap", {bad: 1}, {bad: 2}, commit=bad[:-1])
    new = capture(tmp_path / "new.mcap", {bad: 1}, {bad: 3, "more": bad})
    assert main(["diff", old, new, "-q", "--html", str(tmp_path / "page.html")]) == 1
    text = (tmp_path / "page.html").read_text()
    assert "&lt;img src=x" in text
    assert "<img" not in text
    assert text.count("</script>") == 3


def test_numbers_beyond_any_float(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole number that no float holds is compared, tolerated by nothing, and drawn nowhere."""
    pair = differ(tmp_path, {"value": 1.5}, {"value": 10**400})
    assert main(["diff", *pair, "--tolerate", "event.value=3"]) == 1
    assert "event.value: 1.5 -> 1000" in capsys.readouterr().out
    assert main(["diff", *pair, "-q", "--html", str(tmp_path / "page.html")]) == 1
    assert "event.value" in (tmp_path / "page.html").read_text()


def test_no_number_is_the_same_as_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two records that both say NaN only what differs is named."""
    nan = float("nan")
    pair = differ(tmp_path, {"name": "A", "value": nan}, {"name": "B", "value": nan})
    assert main(["diff", *pair, "--json", "-q"]) == 1
    first = json.loads(capsys.readouterr().out)["first"]
    assert [field["name"] for field in first["fields"]] == ["event.name"]


def test_fields_that_differ_as_often_stand_in_one_order(tmp_path: Path) -> None:
    """Text, JSON and page are the same octets whatever the hashes of names are."""
    names = "abcdefghijklmnop"
    pair = differ(tmp_path, dict.fromkeys(names, 1), dict.fromkeys(names, 2))
    said = []
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        page = tmp_path / "page.html"
        command = [sys.executable, "-m", "hil", "diff", *pair, "--json", "--html", str(page)]
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        assert done.returncode == 1
        said.append((done.stdout, done.stderr, page.read_bytes()))
    assert said[0] == said[1]
    lines = said[0][1].decode().splitlines()
    at = next(n for n, line in enumerate(lines) if line.strip() == "event.a 1")
    assert [line.strip() for line in lines[at : at + 8]] == [f"event.{n} 1" for n in names[:8]]


def test_nothing_is_said_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two captures without a record are the same, and that is all that is claimed."""
    empty = capture(tmp_path / "empty.mcap")
    assert main(["diff", empty, empty]) == 0
    assert capsys.readouterr().out.startswith("identical: there are no records")


def test_what_a_capture_lacks_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one that was cut off, or that records were dropped from, equality says less."""
    path = tmp_path / "lacks.mcap"
    with CaptureWriter(path, 0, {}, {}) as writer:
        writer.file.ended = "disk full"
        writer.file.lost["/event"] = 7
    whole = capture(tmp_path / "whole.mcap")
    assert main(["diff", str(path), whole]) == 0
    told = capsys.readouterr().out.splitlines()
    assert f"note: {path}: was cut off; what came behind its end was not recorded" in told
    assert f"note: {path}: 7 records were dropped when it was recorded, on /event" in told
    assert main(["diff", str(path), whole, "--json", "-q"]) == 0
    assert len(json.loads(capsys.readouterr().out)["notes"]) == 2


def test_runs_on_other_boards_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs may record the same on boards and missions that are not the same."""
    old = capture(tmp_path / "old.mcap", {"a": 1})
    mission = load_mission(Options().mission)
    other = load_board("jetson_orin_nano")
    with CaptureWriter(tmp_path / "new.mcap", 0, {}, about(Options(), other, mission)) as writer:
        attach(writer, other, mission, NOTHING)
        writer.write(Record(Kind.EVENT, 0, 0, 0, 0, 0, 0, 0, b'{"a": 1}').pack())
    assert main(["diff", old, str(tmp_path / "new.mcap")]) == 0
    assert "note: the board files of the two are not the same" in capsys.readouterr().out


def test_no_capture_makes_a_large_page(tmp_path: Path) -> None:
    """Names and values of any length and number stay within the 300 KB of a page."""
    names = {f"key{n}": n for n in range(20_000)}
    long = {"name" * 50_000: 1, "text": "long" * 50_000, **names}
    other = {name: f"{value}!" for name, value in long.items()}
    pair = differ(tmp_path, long, other)
    assert main(["diff", *pair, "-q", "--html", str(tmp_path / "page.html")]) == 1
    page = (tmp_path / "page.html").read_bytes()
    assert len(page) < 300_000
    assert b"fields more" in page
