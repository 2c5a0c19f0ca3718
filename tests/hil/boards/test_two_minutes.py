"""Two minutes of the default flight at the pace of the wall, one part behind real firmware.

Each takes its two minutes, so they run with ``-m soak``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from flightsw.codec.wire import Flag, Kind, Status
from hil.board import load_board
from hil.boards import emulators
from hil.capture.reader import Capture
from hil.missions import load as load_mission
from hil.options import Options
from hil.session import fly

pytestmark = pytest.mark.soak

TWO_MINUTES_S = 120.0
LAB = """schema = 1

[[instance]]
id = "bench"
type = "{type}"
emulate = "{kind}"
"""
#: What QEMU models on the I2C bus of an LM3S6965 is a TMP105, which an LM75's driver reads.
LM75 = """
[part.temp_board]
type = "lm75"
bus = "i2c-1"
address = 0x48
role = "temp_board"
driver = "lm75"
world = { temperature_c = "thermal.board_c" }
"""


def short_mission(folder: Path) -> str:
    """Return the default mission for a flight that ends before a product can come down."""
    text = Path(load_mission("tiansuan_bupt1").path).read_text()
    path = folder / "two_minutes.toml"
    path.write_text(re.sub(r"(?m)^min_products = .*\n", "", text))
    return str(path)


def board_with_lm75(folder: Path) -> str:
    """Return the default board with an LM75 where its TMP117 for the board's temperature is."""
    text = load_board("raspberrypi4").source
    begin = text.index("[part.temp_board]")
    end = text.index("[part.", begin + 1)
    path = folder / "lm75.toml"
    path.write_text(text[:begin] + LM75.lstrip() + "\n" + text[end:])
    return str(path)


@pytest.mark.parametrize(
    ("type_", "kind", "part", "address"),
    [
        ("posix", "posix", "power_monitor", 0x40),
        ("uno", "simavr", "power_monitor", 0x40),
        ("lm3s6965evb", "qemu", "temp_board", 0x48),
    ],
)
def test_two_minutes_with_a_part_behind_real_firmware(
    tmp_path: Path, type_: str, kind: str, part: str, address: int
) -> None:
    """The verdict is good, and the capture shows that this part, and it alone, was real."""
    if (lack := emulators.missing(kind)) is not None:
        pytest.skip(lack)
    (tmp_path / "lab.toml").write_text(LAB.format(type=type_, kind=kind))
    board = board_with_lm75(tmp_path) if part == "temp_board" else "raspberrypi4"
    outcome = fly(
        Options(
            board=board,
            mission=short_mission(tmp_path),
            out=tmp_path / "run",
            duration_s=TWO_MINUTES_S,
            pace="real",
            lab=tmp_path / "lab.toml",
            bind=(f"{part}=bench",),
        )
    )
    run = json.loads((outcome.run_dir / "run.json").read_text())
    print(json.dumps({"boards": run["boards"], "lateness": run["lateness"]}, indent=1))
    assert outcome.verdict.good, "\n".join(outcome.verdict.lines())
    seen: Counter[tuple[int, bool, int]] = Counter()
    with Capture(outcome.run_dir / "capture.mcap") as capture:
        for record in capture.records():
            if record.kind == Kind.I2C:
                real = bool(record.flags & Flag.BOARD)
                seen[record.address, real, record.status] += 1
    print(seen)
    assert {where for where, real, _ in seen if real} == {address}
    assert {(real, status) for where, real, status in seen if where == address} == {
        (True, Status.OK)
    }
    assert run["boards"]["real"] == [f"{part} by bench:i2c0"]
    assert run["boards"]["boards"]["bench"]["losses"] == 0
