"""One test of a user, unchanged, on four rigs; JUnit says which of them it was."""

from __future__ import annotations

import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TEST = """
from hil.testing import between, s

def test_power(rig):
    assert rig.tm.expect("power.payload_mv", between(4000, 6000), within=30 * s)
"""
LAB = """schema = 1
[[instance]]
id = "bench-posix"
type = "posix"
emulate = "posix"
parts = { power_monitor = "i2c0" }
"""


@contextmanager
def payload(endpoint: str, folder: Path) -> Iterator[None]:
    """Fly the flight software as another machine would, with a key of the bench."""
    words = [sys.executable, "-m", "flightsw", "--bench", endpoint, "--storage", str(folder)]
    with subprocess.Popen([*words, "--keys", "keys/client.key", "--stay"]) as flying:
        try:
            yield
        finally:
            flying.terminate()


def free_endpoint() -> str:
    """Return an endpoint on loopback that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"


def kind_of(pytester: pytest.Pytester, *words: str) -> tuple[str, str]:
    """Run the test; return who flew and what was real."""
    result = pytester.runpytest_subprocess("-p", "hil", "-W", "error", "--junit-xml=r.xml", *words)
    result.assert_outcomes(passed=1)
    said = {p.get("name"): p.get("value", "") for p in ET.parse("r.xml").iter("property")}
    return said["hil_flight"], said["hil_kind"]


@pytest.mark.soak
def test_the_same_test_passes_on_every_rig_and_says_which(
    pytester: pytest.Pytester, as_installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulated, in a process of its own, with a real part's board, from another machine."""
    monkeypatch.setenv("PYTHONPATH", as_installed["PYTHONPATH"])
    pytester.makepyfile(test_it=TEST)
    (pytester.path / "bench.toml").write_text(LAB)
    subprocess.run([sys.executable, "-m", "hil", "keys", "new", "keys"], check=True)
    assert kind_of(pytester) == ("flightsw", "emulated")
    assert kind_of(pytester, "--hil-flight=process") == ("process", "emulated")
    real = kind_of(pytester, "--hil-lab=bench.toml", "--hil-speed=real")
    assert real == ("flightsw", "board: power_monitor=bench-posix")
    endpoint = free_endpoint()
    with payload(endpoint, pytester.mkdir("storage")):
        far = kind_of(
            pytester, "--hil-flight=remote", f"--hil-listen={endpoint}", "--hil-keys=keys"
        )
    assert far == ("remote", f"remote: {endpoint}")
