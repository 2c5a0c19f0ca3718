"""A run that was recorded is flown again from what its capture holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.cli import main
from hil.options import Options
from hil.replay.flown import flown
from hil.session import fly


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short flight with a fault of a bus and a kill."""
    out = tmp_path_factory.mktemp("runs") / "killed"
    faults = ("i2c-1:nak_address,address=0x40,first=5,last=9", "kill@30")
    return fly(Options(out=out, duration_s=90.0, transport="direct", faults=faults)).run_dir


def test_a_capture_alone_is_enough(killed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options and fault plan come out of the capture, and the run comes out identical."""
    with flown(killed / "capture.mcap") as run:
        assert run.options == Options(duration_s=90.0, transport="direct")
        assert run.plan.kills == (30_000_000_000,)
        assert [row.values for row in run.plan.rows] == [
            {"address": "0x40", "first": "5", "last": "9"}
        ]
        assert run.differences() == []
        digest = run.digest
    assert main(["replay", str(killed / "capture.mcap")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("identical")
    assert digest is not None
    assert digest in out
