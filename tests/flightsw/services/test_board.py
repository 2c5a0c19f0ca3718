"""The computer's own readings as housekeeping, its heat for the governor, and its providers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_hal import FakeHal, Ground

from flightsw.app import App, create
from flightsw.codec.bus_payload import MEASURED_POWER
from flightsw.codec.dictionary import (
    STRUCTURE_BY_SID,
    TELECOMMANDS,
    ComputerKind,
    Failure,
    GovernorState,
    Provider,
    ProviderFailure,
    ThermalSource,
)
from flightsw.codec.dictionary.events import PROVIDER_CHOSEN, PROVIDER_FALLBACK
from flightsw.codec.dictionary.housekeeping import COMPUTER
from flightsw.computer.kinds import Computer
from flightsw.computer.reading import Absent, Reading
from flightsw.errors import DeviceTableError
from flightsw.services.board import Board, fields

ZONE = "sys/class/thermal/thermal_zone0"
PI = {
    "sys/firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.5\0",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1500000\n",
    "proc/meminfo": "MemTotal: 4000000 kB\nMemFree: 1 kB\nMemAvailable: 3000000 kB\n",
    f"{ZONE}/type": "cpu-thermal\n",
    f"{ZONE}/temp": "48312\n",
}


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write files below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def fly(tmp_path: Path, root: Path, seconds: float = 12, **config: Any) -> tuple[App, Ground]:
    """Fly with a computer whose files lie below ``root``, in contact all the time."""
    hal = FakeHal(seconds, **config)
    ground = Ground(hal)
    ground.contact(0.5, seconds)
    app = create(hal, tmp_path / "storage")
    if app.board is not None:
        app.board.computer = Computer(app.board.computer.kind, root, "libnone.so")
    app.run()
    return app, ground


def computer_rows(ground: Ground) -> list[Any]:
    """Return every report of structure 7 as a row."""
    data = [one for one in ground.reports(3, 25) if one[0] == COMPUTER.sid]
    return [COMPUTER.struct.parse(one[1:]) for one in data]


def test_what_the_computer_tells_comes_down(tmp_path: Path) -> None:
    """Readings are fields with their bit set; what is not told has bit and value 0."""
    _, ground = fly(tmp_path, plant(tmp_path / "pi", PI), computer="pi")
    row = computer_rows(ground)[-1]
    assert row.kind == ComputerKind.PI
    assert (row.throttled, row.cpu_khz, row.board_cdeg) == (0x50005, 1_500_000, 4831)
    assert (row.memory_used_kib, row.memory_total_kib) == (1_000_000, 4_000_000)
    there = {bit for bit in range(21) if row.valid >> bit & 1}
    assert there == {0, 1, 2, 3, 6, 7}
    assert row.power_mw == row.gpu_cdeg == 0
    assert row.absent == 3, "load, busy cores and the alarm of rpi_volt"
    assert (row.thermal_source, row.bench_cdeg) == (ThermalSource.BENCH, 3500)


def test_nothing_is_made_unless_it_is_told_to(tmp_path: Path) -> None:
    """By default the structure does not exist: not as report, not for a telecommand, not in the
    pool of which ground may make structures."""
    hal = FakeHal(20)
    ground = Ground(hal)
    ground.contact(0.5, 20)
    app = create(hal, tmp_path)
    assert app.board is None
    ground.send(ground.tc(3, 27, bytes((1, COMPUTER.sid))), 2)
    made = {"sid": 100, "interval_s": 5, "parameters": [COMPUTER.sid << 8]}
    ground.send(ground.tc(3, 1, TELECOMMANDS[3, 1].build(made)), 4)
    taken = {"sid": COMPUTER.sid, "interval_s": 5, "parameters": [0x0100]}
    ground.send(ground.tc(3, 1, TELECOMMANDS[3, 1].build(taken)), 6)
    app.run()
    assert computer_rows(ground) == []
    codes = [int.from_bytes(data[4:6], "big") for data in ground.reports(1, 4)]
    assert codes == [Failure.UNKNOWN_ID, Failure.UNKNOWN_ID, Failure.ALREADY_EXISTS]


@pytest.mark.parametrize(
    ("thermal", "board_mdegc", "acted", "source"),
    [
        ("bench", 95_000, 3500, ThermalSource.BENCH),
        ("board", 20_000, 2000, ThermalSource.BOARD),
        ("board", None, 3500, ThermalSource.BENCH),
        ("max", 95_000, 9500, ThermalSource.BOARD),
        ("max", 20_000, 3500, ThermalSource.BENCH),
        ("max", None, 3500, ThermalSource.BENCH),
    ],
)
def test_whose_heat_is_governed(
    tmp_path: Path, thermal: str, board_mdegc: int | None, acted: int, source: ThermalSource
) -> None:
    """The governor acts on the bench's thermometer, the board's or the hotter, and telemetry says
    which; where one of them does not tell the other counts."""
    heat = {} if board_mdegc is None else {f"{ZONE}/temp": str(board_mdegc)}
    root = plant(tmp_path / "host", {f"{ZONE}/type": "cpu-thermal", **heat})
    app, ground = fly(tmp_path, root, 22, computer="gpu", thermal=thermal)
    assert app.sensors.thermal.acted_cdeg == acted
    hot = acted > 8200
    assert app.sensors.thermal.ladder.state == (GovernorState.SAFE if hot else GovernorState.RUN)
    row = computer_rows(ground)[-1]
    assert row.thermal_source == source
    assert row.bench_cdeg == 3500
    assert bool(row.valid & 2) is (board_mdegc is not None)


def test_without_any_thermometer_the_source_is_none(tmp_path: Path) -> None:
    """Where neither tells, nothing is governed as the processor's, and the row says so."""
    board = Board(Computer("none", tmp_path, "libnone.so"), "max")
    assert board.govern(None) is None
    assert board.source == ThermalSource.NONE
    board.thermal = "bench"
    plant(tmp_path, {f"{ZONE}/type": "cpu-thermal", f"{ZONE}/temp": "48000"})
    assert board.govern(None) is None


def test_a_gpu_and_a_jetson_fill_their_fields() -> None:
    """NVML's units and the kernel's become the fields' own; rails keep the order they came in."""
    gpu = [
        Reading("gpu0.temperature", 41, "°C"),
        Reading("gpu0.clock", 1980, "MHz"),
        Reading("gpu0.busy", 73, "%"),
        Reading("gpu0.power", 87654, "mW"),
        Absent("gpu0.ecc_corrected", "this GPU has none"),
    ]
    row = fields(gpu)
    assert (row[12], row[13], row[14], row[17]) == (4100, 1_980_000, 730, 87654)
    assert row[18] is None
    jetson = [
        Reading("zone.gpu-thermal", 50500, "m°C"),
        Reading("gpu.clock", 611_000_000, "Hz"),
        Reading("gpu.load", 470, "1/1000"),
        Reading("rail.VDD_IN", 6544, "mW"),
        Reading("rail.VDD_SOC", 1520, "mW"),
    ]
    row = fields(jetson)
    assert (row[12], row[13], row[14]) == (5050, 611_000, 470)
    assert (row[8], row[9], row[10], row.get(11)) == (6544, 6544, 1520, None)


def test_every_field_has_its_bit() -> None:
    """The number in front of a field's meaning is its place behind ``valid``: ground can rely on
    it."""
    names = [sub.name for sub in COMPUTER.struct.subcons]
    behind = COMPUTER.struct.subcons[names.index("valid") + 1 :]
    for bit, sub in enumerate(behind):
        assert str(sub.docs).startswith(f"{bit}: "), sub.name
    assert STRUCTURE_BY_SID[7] is COMPUTER


def test_a_provider_that_is_not_there_is_told(tmp_path: Path) -> None:
    """CUDA on a computer without it: an event for the fallback, one for what runs, a count in
    housekeeping, and a classifier that works."""
    pytest.importorskip("onnxruntime")
    config = {"inference": "onnx", "providers": "cuda,cpu"}
    app, ground = fly(tmp_path, tmp_path, **config)
    if app.segmenter.provider_number != Provider.CPU:
        pytest.skip("this computer has CUDA")
    events = {
        int.from_bytes(one[:2], "big"): one[2:] for s in (2, 3) for one in ground.reports(5, s)
    }
    fallback = PROVIDER_FALLBACK.struct.parse(events[PROVIDER_FALLBACK.id])
    assert (fallback.provider, fallback.count) == (Provider.CUDA, 1)
    assert fallback.failure in set(ProviderFailure)
    chosen = PROVIDER_CHOSEN.struct.parse(events[PROVIDER_CHOSEN.id])
    assert (chosen.provider, chosen.wanted, chosen.fallbacks) == (Provider.CPU, Provider.CUDA, 1)
    row = computer_rows(ground)[-1]
    assert (row.kind, row.provider, row.fallbacks) == (ComputerKind.NONE, Provider.CPU, 1)


@pytest.mark.parametrize("words", ["vulkan", "", "cuda;cpu"])
def test_a_provider_that_is_none_is_refused(words: str, tmp_path: Path) -> None:
    """A word that names no provider is a mistake of the configuration, before anything flies."""
    with pytest.raises(DeviceTableError, match=r"providers: .* is no provider: name some of"):
        create(FakeHal(providers=words), tmp_path)


def test_who_starts_it_has_the_last_word(tmp_path: Path) -> None:
    """Keys given at the start go before those of the mission."""
    app = create(FakeHal(computer="pi"), tmp_path, overrides={"computer": "none"})
    assert app.board is None


def test_the_power_of_the_board_is_told_to_the_bench(tmp_path: Path) -> None:
    """What the computer draws goes to the bench every ten seconds; without a monitor nothing."""
    rail = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    files = {f"{rail}/in1_label": "VDD_IN", f"{rail}/in1_input": "5000"}
    root = plant(tmp_path / "jetson", files | {f"{rail}/curr1_input": "1300"})
    app, _ = fly(tmp_path / "a", root, 32, computer="jetson")
    told = [one for one in app.hal.cpu.begun if one[0] == MEASURED_POWER]
    assert told == [(MEASURED_POWER, 6500)] * app.board.power_told
    assert len(told) == 3
    app, _ = fly(tmp_path / "b", tmp_path, 32, computer="jetson")
    assert app.hal.cpu.begun == []
