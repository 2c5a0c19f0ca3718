"""pySerial's own tests, unmodified, on a loop of an emulated UART.

They lie in its source distribution only, which pip brings once and whose digest is pinned.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

serial = pytest.importorskip("serial")
ROOT = Path(__file__).resolve().parents[2]
VERSION = "3.5"
SHA256 = "3c77e014170dfffbd816e6ffc205e9842efb10be9f58ec16d3e8675b4925cddb"
#: What its ``run_all_tests.py`` does, with the outcome as JSON instead of text.
RUNNER = """
import glob, json, sys, unittest
import hil.faces.pyserial
sys.path.insert(0, ".")
suite, ported, lost = unittest.TestSuite(), set(), []
for name in sorted(path[:-3] for path in glob.glob("test*.py")):
    try:
        module = __import__(name)
    except ImportError as error:
        lost.append(f"{name}: {error}")
        continue
    loaded = unittest.defaultTestLoader.loadTestsFromModule(module)
    if hasattr(module, "PORT") and not name.endswith("rfc2217"):
        module.PORT = sys.argv[1]
        ported |= {case.id() for group in loaded for case in group}
    suite.addTest(loaded)
result = unittest.TextTestRunner(verbosity=2).run(suite)
wrong = [(case.id(), text) for case, text in result.errors + result.failures]
skipped = [case.id() for case, _ in result.skipped]
json.dump({"ran": result.testsRun, "on_port": len(ported - set(skipped)), "wrong": wrong,
           "skipped": sorted(skipped), "lost": lost}, sys.stdout)
"""


def cache() -> Path:
    """Return the folder in which what was brought once is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "flatsat" / "oracles"


def source(folder: Path) -> Path:
    """Return pySerial's source distribution; skips where pip cannot bring it."""
    name = f"pyserial-{VERSION}.tar.gz"
    kept = cache() / name
    if not kept.is_file():
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"),
                *("--no-build-isolation", "--retries", "0", "--timeout", "20", "-q"),
                *("-d", str(folder), f"pyserial=={VERSION}"),
            ],
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            why = done.stderr.strip().splitlines() or ["pip says nothing"]
            pytest.skip(f"the tests of pySerial {VERSION} cannot be brought: {why[-1]}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder / name, kept)  # noqa: PTH105  # whole or not at all, on one line
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == SHA256, f"{kept} is another file"
    return kept


def outcome(tests: Path, url: str) -> dict[str, Any]:
    """Run all tests on a port and return what came of them."""
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, url],
        capture_output=True,
        text=True,
        cwd=tests,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_all_of_its_tests_pass_on_an_emulated_line(tmp_path: Path) -> None:
    """All 61 run and none fails, cancelled writes included; 5 skip themselves but on real ports.

    43 of those that pass use the port; the others are about pySerial's own helpers.
    """
    if serial.VERSION != VERSION:
        pytest.skip(f"pySerial {serial.VERSION} is installed, these are the tests of {VERSION}")
    with tarfile.open(source(tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    found = outcome(tmp_path / f"pyserial-{VERSION}" / "test", "hil://loop")
    assert found["wrong"] == []
    assert (found["ran"], found["on_port"]) == (61, 43)
    skipped = {name.split(".")[0] for name in found["skipped"]}
    assert (len(found["skipped"]), skipped) == (5, {"test_exclusive", "test_rs485"})
    assert [name for name in found["lost"] if "serial" in name] == []
