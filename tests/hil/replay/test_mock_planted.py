"""Changes planted in the flight software: a replay in mock names each where it first shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flightsw
from hil.options import Options
from hil.session import fly

ROOT = Path(__file__).resolve().parents[3]
FLIGHTSW = Path(flightsw.__file__).parent  # of this tree, or of an installation
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two minutes of the default flight: a start, and a contact from 74 s on."""
    out = tmp_path_factory.mktemp("planted") / "run"
    return fly(Options(out=out, duration_s=120.0, transport="direct")).run_dir


def planted(run: Path, folder: Path, file: str, old: str, new: str) -> dict[str, Any]:
    """Replay with one line of the flight software changed; return the verdict."""
    tree = folder / "flightsw"

    def codec(directory: str, names: list[str]) -> list[str]:
        return ["codec"] if directory == str(FLIGHTSW) else []

    shutil.copytree(FLIGHTSW, tree, ignore=codec)
    (tree / "codec").symlink_to(FLIGHTSW / "codec")
    path = tree / file
    text = path.read_text()
    assert text.count(old) == 1, f"{file} has no line {old!r} any more: plant another"
    path.write_text(text.replace(old, new))
    command = [sys.executable, "-m", "hil", "replay", str(run), "--mode", "mock", "--json", "-q"]
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    # In a folder of its own: the one that it is started in comes before all others.
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 1, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def changes(told: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the changed fields of the first divergence: recorded and replayed."""
    return {one["name"]: (one["old"], one["new"]) for one in told["verdict"]["first"]["fields"]}


def test_a_scale_factor_shows_in_the_first_telemetry(run: Path, tmp_path: Path) -> None:
    """Volts at half their scale are named in the packet of the first contact that carries them."""
    file, line = "drivers/ina3221.py", "_BUS_MV_PER_STEP = 8"
    told = planted(run, tmp_path, file, line, "_BUS_MV_PER_STEP = 4")
    first = told["verdict"]["first"]
    assert (first["kind"], first["topic"]) == ("changed", "/bus/ttyAMA2")
    assert first["t_ns_recorded"] == first["t_ns_replayed"]
    assert 74 * SECOND < first["t_ns_recorded"] < 75 * SECOND
    found = changes(told)
    assert set(found) == {"tm.power.payload_mv", "tm.power.bus_mv", "tm.power.solar_mv"}
    assert all(old == 2 * new for old, new in found.values())


def test_a_swapped_byte_shows_in_its_register(run: Path, tmp_path: Path) -> None:
    """A word written with its octets swapped is named by register, and all else is as it was."""
    word = "_CONFIGURATION_WORD.to_bytes(2, "
    told = planted(run, tmp_path, "drivers/ina3221.py", word + '"big")', word + '"little")')
    first = told["verdict"]["first"]
    assert (first["kind"], first["topic"], first["t_ns_replayed"]) == (
        *("changed", "/bus/i2c-1"),
        240_000,
    )
    assert changes(told)["i2c.power_monitor.CONFIG"] == (0x7527, 0x2775)
    assert told["verdict"]["counts"]["/bus/i2c-1"]["changed"] == 1
    assert told["verdict"]["rejoined"]["/bus/i2c-1"] == first["seq_recorded"] + 1
    assert told["figures"]["improvised"] == 1


def test_a_late_transaction_is_told_as_late(run: Path, tmp_path: Path) -> None:
    """A flash that is asked 50 us later than then still answers, and its time is named."""
    file, line = "drivers/w25q.py", "_PROGRAM_STEP_NS = 400_000"
    told = planted(run, tmp_path, file, line, "_PROGRAM_STEP_NS = 450_000")
    first = told["verdict"]["first"]
    assert (first["kind"], first["topic"]) == ("late", "/bus/spi-0")
    assert set(changes(told)) == {"t_ns"}
    assert first["t_ns_replayed"] - first["t_ns_recorded"] == 50_000
    assert "improvised" not in told["figures"]
    assert told["verdict"]["counts"]["/bus/i2c-1"]["late"] == 0


def test_a_missing_packet_is_named(run: Path, tmp_path: Path) -> None:
    """An event that is no longer reported is named in the frame that carried it, and by number."""
    lines = "        self._report_parameters()\n        if self.storage"
    told = planted(run, tmp_path, "app.py", lines, "        if self.storage")
    first = told["verdict"]["first"]
    assert first["topic"] == "/bus/ttyAMA2"
    found = changes(told)
    old, new = found["tm.event.PARAMETERS_LOADED"]
    assert new is None
    assert "event.PARAMETERS_LOADED" in old
    assert found["tm.seq"] == (2, 1)
