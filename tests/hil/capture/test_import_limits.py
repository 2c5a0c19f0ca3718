"""Foreign files that say what no capture can hold: counted or told in a line, never more."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from hil.capture.importing.downlink import CLTU_TAIL, CltuSource
from hil.capture.importing.unit import UNIT_LIMIT_NBYTES
from hil.capture.reader import Capture
from hil.cli import main


def run(tmp_path: Path, content: bytes, *options: str) -> tuple[int, Path]:
    """Import a file by the command; return its exit code, and where the capture would be."""
    file, out = tmp_path / "file", tmp_path / "out.mcap"
    file.write_bytes(content)
    return main(["import", str(file), *options, "--out", str(out)]), out


GOOD = b"(1436509052.249713) can0 044#2A366C\n"


@pytest.mark.parametrize(
    "line", [b"(99999999999.000000)", b"(9999-12-31 23:59:59.999999)", b"(1950-01-01 00:00:00.1)"]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_time_that_is_none(
    tmp_path: Path, line: bytes, is_first: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line of a log at a time that no capture can hold is skipped and counted, wherever it is."""
    bad = line + b" can0 123#00\n"
    code, out = run(tmp_path, bad + GOOD if is_first else GOOD + bad, "--as", "candump")
    assert code == 0
    assert "skipped_lines" in capsys.readouterr().out
    with Capture(out) as capture:
        assert [record.payload.hex() for record in capture.records()] == ["2a366c"]


def test_a_rate_at_which_nothing_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Octets so slow that their times do not fit are kept as far as they do."""
    options = ("--as", "frames", "--frame-nbytes", "1000000", "--rate", "0.001")
    code, out = run(tmp_path, bytes(3_000_000), *options)
    assert code == 1
    assert "longer than 292 years" in capsys.readouterr().err
    with Capture(out) as capture:
        assert capture.count == 1


def test_uplink_without_an_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link unit whose tail does not come is damage, not a record that none can read back."""
    unit = b"\xeb\x90" + bytes(40) + CLTU_TAIL
    code, out = run(tmp_path, unit * 3 + bytes(UNIT_LIMIT_NBYTES + (1 << 20)), "--as", "cltu")
    assert code == 1
    assert f"octet {3 * len(unit)}: no tail sequence" in capsys.readouterr().err
    with Capture(out) as capture:
        assert [record.payload for record in capture.records()] == [unit] * 3


@pytest.mark.parametrize("cut", range(1, len(CLTU_TAIL) + 1))
def test_a_tail_across_two_reads(cut: int) -> None:
    """A tail sequence is found wherever the reads of the file end in it."""
    unit = bytes((1 << 20) - cut) + CLTU_TAIL
    units = list(CltuSource(io.BytesIO(unit + CLTU_TAIL + b"rest"), "file"))
    assert [len(u.payload) for u in units] == [len(unit), len(CLTU_TAIL), 4]


def test_an_import_that_fails_leaves_no_capture(tmp_path: Path) -> None:
    """What lacks the rest of its file is not taken for a whole capture."""
    lines = b"".join(b"(1436509052.249713) can%d 044#2A\n" % n for n in range(300))
    assert run(tmp_path, lines, "--as", "candump")[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
