"""One test of a user, unchanged: all emulated, with a real board, with the software elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hil.time.transports.keys import make_keys
from tests.hil.serving.netns import Machine, machines

__all__ = ["machines"]
pytestmark = pytest.mark.soak
PORT = 5557
PLUGIN = "hil.testing.plugin"
LAB = """schema = 1

[[instance]]
id = "bench-posix"
type = "posix"
emulate = "posix"
"""
TEST = '''
from hil.testing.bench import between, s


def test_the_payload_has_its_volts(rig):
    """The payload bus is at its five volts when the software is up."""
    rig.tm.expect("event.BOOT")
    rig.tm.expect("power.payload_mv", between(4500, 5500), within=15 * s)
    rig.tc.send("request_17_1")
'''


def junit_of(folder: Path, words: Sequence[str], before: Sequence[str] = ()) -> dict[str, str]:
    """Run the test of a user; return what its JUnit says of the rig."""
    (folder / "test_user.py").write_text(TEST)
    command = [*before, sys.executable, "-m", "pytest", "-q", "-p", "no:randomly"]
    if not any(one.value.startswith(PLUGIN) for one in entry_points(group="pytest11")):
        command += ["-p", PLUGIN]  # run from its sources, which nobody has installed
    command += ["--rootdir", str(folder), "-c", "/dev/null", "-p", "no:cacheprovider"]
    command += ["--junitxml", str(folder / "junit.xml"), "--hil-seed", "1", *words]
    done = subprocess.run(
        [*command, str(folder / "test_user.py")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = ElementTree.parse(folder / "junit.xml").iter("property")
    return {one.attrib["name"]: one.attrib["value"] for one in found}


def test_everything_is_emulated_or_a_part_is_real(tmp_path: Path) -> None:
    """The same test passes with and without a board, and its JUnit says which it was."""
    assert junit_of(tmp_path, [])["hil_kind"] == "emulated"
    (tmp_path / "lab.toml").write_text(LAB)
    bound = ["--hil-lab", str(tmp_path / "lab.toml"), "--hil-bind", "power_monitor=bench-posix"]
    told = junit_of(tmp_path, bound)
    assert told["hil_kind"] == "board: power_monitor=bench-posix"


def test_the_software_is_on_another_machine(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    """Over a cable and with keys the records are those of one process."""
    bench, pi = machines
    make_keys(tmp_path / "keys")
    endpoint = f"tcp://{bench.address}:{PORT}"
    words = ["-m", "flightsw", "--bench", endpoint, "--storage", str(tmp_path / "pi")]
    words += ["--keys", str(tmp_path / "keys" / "client.key")]
    away = ["--hil-flight", "remote", "--hil-listen", endpoint]
    with pi.start([sys.executable, *words], stderr=subprocess.PIPE) as software:
        told = junit_of(tmp_path, [*away, "--hil-keys", str(tmp_path / "keys")], bench.command([]))
        assert software.wait(60) == 0
    assert told["hil_kind"] == f"remote: {endpoint}"
    assert told["hil_digest"] == junit_of(tmp_path, [])["hil_digest"]
