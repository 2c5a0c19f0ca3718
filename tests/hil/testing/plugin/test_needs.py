"""``needs_hw`` skips by name what the bound boards lack, or fails it, and holds boards for one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hil.boards.boardtype import load_type
from hil.boards.identity import Wanted
from hil.boards.lab import Instance
from hil.errors import BoardError
from hil.testing.plugin.hardware import held

Inner = Callable[..., pytest.RunResult]

LAB = """schema = 1
[[instance]]
id = "bench-1"
type = "posix"
emulate = "posix"
parts = { power_monitor = "i2c0" }
"""
NEEDS = """
import pytest

@pytest.mark.needs_hw({0!r})
def test_a():
    pass
"""


@pytest.fixture
def lab(pytester: pytest.Pytester) -> tuple[str, ...]:
    """Bind a part to a board that is a program of this computer."""
    path = pytester.path / "bench.toml"
    path.write_text(LAB)
    return (f"--hil-lab={path}", "--hil-speed=real")


def test_without_a_board_a_test_is_skipped_and_the_reason_says_why(inner: Inner) -> None:
    """The reason names capability and board file, and how a board is bound."""
    result = inner(NEEDS.format("can_fd"), "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*needs can_fd, and all of board raspberrypi4 is emulated*"])


def test_a_lab_can_refuse_to_be_green_by_skipping(inner: Inner) -> None:
    """With --hil-require-hw what would be skipped is an error."""
    result = inner(NEEDS.format("can_fd"), "--hil-require-hw")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*--hil-require-hw: needs can_fd*"])


def test_a_board_is_asked_what_it_can(inner: Inner, lab: tuple[str, ...]) -> None:
    """What the firmware says that it can do runs; what it lacks skips by the board's name."""
    text = NEEDS.format("i2c") + NEEDS.format("boot-loader").replace("test_a", "test_b")
    result = inner(text, "-rs", *lab)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*needs boot_loader, which no board that is bound can: bench-1*"])


def test_a_board_belongs_to_one_worker_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a run has a board, another finds its lock taken; behind it, free."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    board = Instance("bench-1", load_type("uno"), Wanted(uid=bytes(range(8))))
    with held([board, board]):
        (lock,) = tmp_path.glob("*/*.lock")
        assert lock.parent.stat().st_mode & 0o777 == 0o700
        fd = os.open(lock, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with (
            pytest.raises(BoardError, match="another test run has had this board for 0 s"),
            held([board], limit_s=0.0),
        ):
            pass
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)


def test_an_emulated_board_is_everybodys_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run starts for itself needs no lock."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with held([Instance("bench-1", load_type("posix"), emulate="posix")]):
        assert list(tmp_path.iterdir()) == []
