"""jetson-stats, unmodified, on the power modes and the telemetry of an emulated Jetson."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hil.faces.jetson_tools import gpu_field
from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
tegra_parse = pytest.importorskip("jtop.core.tegra_parse", reason="jetson-stats is not installed")

needs_shim = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)


def run(folder: Path, board: str, *command: str) -> str:
    """Run a program on the bench of a board, and return what it printed."""
    words = [sys.executable, "-m", "hil", "run", "--pace", "max", "-q", "--board", board]
    words += ["--out", str(folder / "run"), "--", *command]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def parsed(line: str) -> dict[str, Any]:
    """Return what jetson-stats makes of a line of tegrastats."""
    from jtop.core.tegrastats import Tegrastats

    seen: dict[str, Any] = Tegrastats._decode(Tegrastats.__new__(Tegrastats), line)
    return seen


@needs_shim
@pytest.mark.parametrize(
    ("board", "on", "off", "khz", "rails"),
    [
        (
            "jetson_agx_orin",
            8,
            4,
            1_728_000,
            {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "NC", "VDDQ_VDD2_1V8AO"},
        ),
        ("jetson_orin_nano", 6, 0, 1_510_000, {"VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"}),
    ],
)
def test_jtop_reads_the_lines_of_tegrastats(
    tmp_path: Path, board: str, on: int, off: int, khz: int, rails: set[str]
) -> None:
    """Each of three lines has all cores, zones, rails and clocks where jetson-stats looks."""
    text = run(tmp_path, board, "sh", "-c", "tegrastats --interval 100 | head -n 3")
    lines = text.splitlines()
    assert len(lines) == 3
    for line in lines:
        seen = parsed(line)
        cores = seen["CPU"].values()
        assert [core for core in cores if core] == [{"val": 0, "frq": khz}] * on
        assert sum(not core for core in cores) == off
        assert set(seen["WATT"]) == rails
        assert {"cpu", "gpu", "cv0", "cv1", "cv2", "soc0", "soc1", "soc2", "tj"} == set(
            seen["TEMP"]
        )
        assert seen["GR3D"] == {"val": 0, "frq": 306_000}
        assert seen["EMC"]["frq"] > 2_000_000
        assert seen["RAM"]["tot"] > 7000


@needs_shim
def test_jtop_lists_asks_and_sets_power_modes(tmp_path: Path) -> None:
    """jetson-stats finds the modes of an AGX Orin, the one in force, and sets another by force."""
    program = """
import json
from jtop.core.nvpmodel import nvpmodel_decode, nvpmodel_query, set_nvpmodel_level
default, names, masks = nvpmodel_decode()
before = nvpmodel_query()
took = set_nvpmodel_level(1, True), set_nvpmodel_level(3, False)
print(json.dumps([default, names, masks, before, took, nvpmodel_query()]))
"""
    default, names, masks, before, took, after = json.loads(
        run(tmp_path, "jetson_agx_orin", sys.executable, "-c", program)
    )
    assert default == before == {"name": "MODE_30W", "id": 2}
    assert names == ["MAXN", "MODE_15W", "MODE_30W", "MODE_50W"]
    assert masks == ["0", "248", "240", "0"]
    # The second one takes a boot too, and nobody agrees to it.
    assert took == [True, False]
    assert after == {"name": "MODE_15W", "id": 1}


@needs_shim
def test_jtop_finds_the_gpu_and_its_clocks(tmp_path: Path) -> None:
    """jetson-stats finds the GPU below devfreq, with the limit of the power mode."""
    program = """
import json
from jtop.core.gpu import find_igpu, igpu_read_freq
((name, gpu),) = find_igpu("/sys/class/devfreq/").items()
print(json.dumps([name, igpu_read_freq(gpu["frq_path"])]))
"""
    name, clocks = json.loads(run(tmp_path, "jetson_orin_nano", sys.executable, "-c", program))
    assert clocks == {"governor": "nvhost_podgov", "cur": 306000, "max": 624750, "min": 306000}
    assert name


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (gpu_field(10, [1300], listed=False), {"val": 10, "frq": 1_300_000}),
        (gpu_field(12, [1300, 1300]), {"val": 12, "frq": 1_300_000}),
        (gpu_field(None, [1000, 1000, 1000]), {"frq": 1_000_000}),
    ],
)
def test_jtop_reads_the_three_shapes_of_the_gpu(field: str, expected: dict[str, int]) -> None:
    """JetPack 6 as jetson-stats knows it, JetPack 7, and Thor, which tells no load."""
    assert tegra_parse.VALS(f"EMC_FREQ 2%@1866 {field} APE 150")["GR3D"] == expected
