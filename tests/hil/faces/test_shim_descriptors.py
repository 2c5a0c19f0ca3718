"""Descriptors of devices in the hands of programs: what they become is what the kernel's would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hil.errors import HostError
from hil.faces.nodes import write_overlay
from hil.hosting import environment, shim_path
from tests.hil.faces.test_host import Bench

CC = shutil.which("cc")

pytestmark = pytest.mark.skipif(CC is None, reason="cc is not installed")


@pytest.fixture
def lines(tmp_path: Path) -> dict[str, str]:
    """Run the program of ``descriptors.c`` on a bench; return what it prints, by name."""
    try:
        shim = shim_path()
    except HostError as error:
        pytest.skip(str(error))
    source, program = Path(__file__).with_name("descriptors.c"), tmp_path / "descriptors"
    assert CC is not None
    subprocess.run(
        [CC, "-pthread", "-Wall", "-Wextra", "-o", str(program), str(source)], check=True
    )
    (tmp_path / "file").write_text("descriptors\n")
    bench = Bench(tmp_path)
    write_overlay(tmp_path / "root", bench.host.nodes.values(), {})
    env = environment(bench.path, shim)
    command = [str(program), str(tmp_path / "file")]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as child:
        bench.host.serve_until_exit(child.pid)
        assert child.stdout is not None
        found = dict(line.split() for line in child.stdout)
    bench.host.close()
    return found


def test_a_descriptor_stays_a_device_until_it_is_closed_and_no_longer(
    lines: dict[str, str],
) -> None:
    """A child of vfork takes nothing from its parent; close_range, closefrom and fclose close;
    streams and vectors reach the device; a child of fork waits for no thread of its parent."""
    names = ("vfork", "close_range", "fdopen", "closefrom", "fopen", "vectors", "fork")
    assert lines == dict.fromkeys(names, "1")
