"""Folders of sockets: those of killed processes go, those of living ones stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hil.time.transports.private import OWNER, PrivateDirectory, sweep

HOLD = (
    "from hil.time.transports.private import PrivateDirectory\n"
    "made = PrivateDirectory()\n"
    "print(made.path, flush=True)\n"
    "input()\n"
)


def test_the_folder_of_a_killed_process_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its owner lives a folder stays; after SIGKILL whoever makes the next one removes it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        assert (theirs / OWNER).read_text() == f"{other.pid}\n"
        ours = PrivateDirectory()
        assert {theirs, ours.path} == set(tmp_path.iterdir())
        other.send_signal(signal.SIGKILL)
    again = PrivateDirectory()
    assert {ours.path, again.path} == set(tmp_path.iterdir())
    ours.remove()
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_folder_of_a_killed_run_stays(tmp_path: Path) -> None:
    """Folders of other names, folders without an owner yet and links are left alone."""
    target = tmp_path / "hil-documents"
    fresh, link = tmp_path / "hil-0123456789ab", tmp_path / "hil-0123456789ac"
    for folder in (target, fresh):
        folder.mkdir()
    (target / OWNER).write_text(f"{os.getpid()}\n")
    link.symlink_to(target)
    assert sweep(tmp_path) == 0
    assert set(tmp_path.iterdir()) == {target, fresh, link}
    assert (target / OWNER).exists()
    assert sweep(tmp_path / "nowhere") == 0
