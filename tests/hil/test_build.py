"""``hil --version --json``: what was built, of what, and what this host adds."""

from __future__ import annotations

import json
import platform
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flightsw.codec import tier
from hil import __version__, build
from hil.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_version_as_json_names_the_build(capsys: pytest.CaptureFixture[str]) -> None:
    """One object on stdout: version, machine, tiers of the codec, natives, libzmq, extras."""
    assert main(["--version", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["version"] == __version__
    assert told["machine"] == platform.machine()
    assert told["codec"]["tiers"] == list(tier.available())
    assert told["codec"]["chosen"] == tier.active()
    assert told["natives"].keys() == {"codec", "shim", "supervisor", "board"}
    assert told["libzmq"]["curve"] is True
    assert set(told["extras"]["orbit"]) == {"onnxruntime", "basemap-data", "pillow"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the sources with a shim that is linked as the build hook would."""
    if shutil.which("cc") is None:
        pytest.skip("there is no compiler")
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    shutil.copytree(ROOT / "boards" / "firmware", tmp_path / "boards" / "firmware")
    (tmp_path / "hil" / "faces").mkdir(parents=True)
    (tmp_path / "empty.c").touch()
    option = runpy.run_path(str(tmp_path / "csrc" / "natives.py"))["build_id"]("shim")
    command = ["cc", "-shared", "-nostdlib", *option, str(tmp_path / "empty.c"), "-Wl,-s"]
    subprocess.run([*command, "-o", str(tmp_path / "hil/faces/_shim.so")], check=True)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="build IDs are of ELF files")
def test_a_native_built_of_other_sources_is_told(tree: Path) -> None:
    """A file fits the sources that it was built of, and no longer when one of them changes."""
    assert build.natives(tree)["board"] is None
    before = build.natives(tree)["shim"]
    assert before is not None
    assert before["fits"] is True
    with (tree / "csrc" / "shim" / "shim.h").open("a") as header:
        header.write("/* another line */\n")
    assert build.natives(tree)["shim"] == {**before, "fits": False}


@pytest.mark.skipif(sys.platform != "linux", reason="build IDs are of ELF files")
def test_an_installation_has_no_sources_to_fit(tree: Path) -> None:
    """Without sources a native still names those that it was built of."""
    with_sources = build.natives(tree)["shim"]
    shutil.rmtree(tree / "csrc")
    assert with_sources is not None
    assert build.natives(tree)["shim"] == {**with_sources, "fits": None}


def test_a_file_without_a_build_id_says_nothing() -> None:
    """What was linked by hand carries no fingerprint."""
    assert build.build_id(b"\x7fELF" + bytes(64)) == ""
