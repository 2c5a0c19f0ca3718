"""A codec that was built of other sources than lie beside the Python is not used, and says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flightsw.codec import native
from flightsw.codec.errors import StaleCodecError
from flightsw.codec.native import check_built, lib

ROOT = Path(__file__).resolve().parents[3]


def test_a_checkout_and_an_installation_fit(tmp_path: Path) -> None:
    """The codec fits the headers that it was built of, and where there are none, anything."""
    assert lib.fs_built_of() != 0
    check_built(lib.fs_built_of(), ROOT / "csrc")
    check_built(lib.fs_built_of(), tmp_path)


def test_another_header_or_none_told_is_stale() -> None:
    """A codec of other headers, or one from before it told, is refused with what to run."""
    for built_of in (0, lib.fs_built_of() ^ 1):
        with pytest.raises(StaleCodecError, match=r"run `python .*build_hook.py`"):
            check_built(built_of, ROOT / "csrc")


def test_a_pull_without_a_build_is_one_line(tmp_path: Path) -> None:
    """With a header changed since the build, the command ends with one line before any work."""
    ignored = shutil.ignore_patterns("*.c", "__pycache__", "fuzz", "shim")
    shutil.copytree(Path(native.__file__).parent, tmp_path / "flightsw" / "codec")
    (tmp_path / "flightsw" / "__init__.py").touch()
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc", ignore=ignored)
    with (tmp_path / "csrc" / "record" / "mcap.h").open("a") as file:
        file.write("/* a pull brought this */\n")
    done = subprocess.run(
        [sys.executable, "-m", "hil", "export", "any.mcap", "--to", "csv"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("hil export: flightsw.codec._codec")
    assert done.stderr.count("\n") == 1
    assert "build_hook.py" in done.stderr
