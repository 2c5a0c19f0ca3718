"""What the page about captures shows works as it stands there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from hil.capture.reader import Capture
from hil.capture.recover import Loss, Recovered
from hil.capture.table import ROW
from hil.cli import main
from hil.options import Options
from hil.session import fly

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "capture.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^hil recover .*$", PAGE, re.MULTILINE)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the files lie that the page names."""
    monkeypatch.chdir(tmp_path)
    flown = fly(Options(out=Path("runs/bupt1-1"), duration_s=30.0, transport="direct")).run_dir
    raw = (flown / "capture.mcap").read_bytes()
    for name in ("partial", "lost-1"):
        left = Path(f"runs/bupt1-1.{name}")
        left.mkdir()
        (left / "capture.mcap.partial").write_bytes(raw[: len(raw) // 2])
    Path("capture.mcap").write_bytes(raw[:-1])
    return tmp_path


def test_its_programs_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every program of the page runs on a run, in the order of the page."""
    pytest.importorskip("pyarrow")
    names: dict[str, object] = {}
    for program in PROGRAMS:
        exec(program, names)
    assert len(PROGRAMS) == 4
    assert capsys.readouterr().out
    assert isinstance(names["longest"], int)
    assert names["longest"] > 0


def test_its_commands_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command of the page ends well, and says what it has done and what is lost."""
    assert len(COMMANDS) == 3
    for command in COMMANDS:
        assert main(shlex.split(command, comments=True)[1:]) == 0
        assert " are in " in capsys.readouterr().out
    with Capture("capture.mcap") as capture:
        assert capture.count > 100


def test_it_names_every_key_and_column() -> None:
    """Keys of ``--json``, columns of a table and what a capture offers are all on the page."""
    done = Recovered(Path("a"), None, 0, 0, 0.0, (Loss(1, 2, "why"),)).as_json()
    keys = set(done) | set(json.loads(json.dumps(done))["losses"][0])
    offered = {name for name in vars(Capture) if not name.startswith("_")}
    names = {*keys, *(ROW.names or ()), *offered} - {"close", "octets_read"}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", PAGE)] == []
