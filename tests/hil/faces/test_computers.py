"""What emulated payload computers show of themselves, and what their power modes change."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from flightsw.codec.wire import Status
from hil.board import board_names, load_board
from hil.buses.adapters import errno_for
from hil.faces.attributes import Tree, steps_of
from hil.faces.computer_tables import COMPUTERS, UNLIMITED, Computer
from hil.faces.computers import add_computer
from hil.faces.jetson_tools import described, gpu_field, read_conf

CPUS = "/sys/devices/system/cpu"
GPU = "/sys/class/devfreq/17000000.gpu"
JETSONS = [name for name, computer in COMPUTERS.items() if computer.jetson]


def world(chip_c: float = 40.0, step: int = 0) -> Any:
    """Return a world at rest; ``step``: how far its payload's clock is down."""
    payload = SimpleNamespace(clock_hz=(2.0e9, 1.0e9, 0.5e9), clock_step=step)
    state = {"thermal.chip_c": chip_c, "power.payload_v": 5.0}
    return SimpleNamespace(state=state, payload=payload)


def tree_of(name: str, around: Any = None) -> Tree:
    """Return what a computer shows."""
    tree = Tree()
    add_computer(tree, name, around or world())
    return tree


def read(tree: Tree, path: str) -> str:
    """Return the text of a live file, found by way of links."""
    attribute = tree.find(path)
    assert attribute is not None, path
    try:
        next(steps_of({path: attribute}, path))
    except StopIteration as end:
        return str(end.value).strip()
    raise AssertionError(f"{path} needs a bus")


def write(tree: Tree, path: str, text: str) -> None:
    """Write to a live file; raises what the program would get."""
    attribute = tree.find(path)
    assert attribute is not None, path
    assert attribute.store is not None, path
    for _ in attribute.store(text):
        raise AssertionError(f"{path} needs a bus")


def take(tree: Tree, mode: int) -> None:
    """Do what ``nvpmodel -m`` does."""
    conf = read_conf(tree.files["/etc/nvpmodel.conf"].decode())
    for parameter, argument, value in conf.settings[mode]:
        write(tree, conf.paths[parameter, argument], value)


@pytest.mark.parametrize("name", COMPUTERS)
def test_a_computer_has_its_zones_clocks_and_names(name: str) -> None:
    """Zones at the chip's temperature within a step, top clocks, model and compatible names."""
    computer, tree = COMPUTERS[name], tree_of(name)
    assert tree.files["/sys/firmware/devicetree/base/model"] == f"{computer.model}\0".encode()
    for number, zone in enumerate(computer.zones):
        folder = f"/sys/class/thermal/thermal_zone{number}"
        assert abs(int(read(tree, f"{folder}/temp")) - 40_000) <= zone.step_mc / 2
    cores = sum(cluster.cores for cluster in computer.clusters)
    assert tree.files["/proc/cpuinfo"].decode().count("processor\t:") == cores


def test_each_board_that_names_a_computer_fits_it() -> None:
    """A Raspberry Pi 5 has the RP1's errno, a Jetson its own, and each board's name is found."""
    adapters = {name: load_board(name) for name in board_names()}
    named = {board.computer: board.adapter for board in adapters.values() if board.computer}
    assert named["raspberrypi5"] == "rp1"
    assert named["jetson_agx_orin"] == named["jetson_orin_nano"] == "tegra"
    assert errno_for("rp1", Status.NAK_DATA) == errno.EREMOTEIO
    assert errno_for("rp1", Status.ARBITRATION_LOST) == errno.EAGAIN


def test_the_zone_of_a_raspberry_pi_5_reads_in_its_steps_and_has_the_trips_of_its_fan() -> None:
    """450000 - 550 n m°C, critical at 110 °C, fan at 50, 60, 67.5 and 75 °C, 5 °C less back."""
    tree = tree_of("raspberrypi5", world(41.3))
    folder = "/sys/devices/virtual/thermal/thermal_zone0"
    assert (450_000 - int(read(tree, f"{folder}/temp"))) % 550 == 0
    trips = [
        tuple(tree.files[f"{folder}/trip_point_{n}_{what}"].decode().strip() for what in parts)
        for n in range(5)
        for parts in [("type", "temp", "hyst")]
    ]
    assert trips[0] == ("critical", "110000", "0")
    assert trips[1:] == [("active", str(at), "5000") for at in (50_000, 60_000, 67_500, 75_000)]


@pytest.mark.parametrize(
    ("name", "revision", "memory_mb", "chip"),
    [("raspberrypi4", 0xC03115, 4096, 3), ("raspberrypi5", 0xC04170, 4096, 4)],
)
def test_the_revision_of_a_raspberry_pi_decodes_to_what_it_is(
    name: str, revision: int, memory_mb: int, chip: int
) -> None:
    """New-style revision codes: bits 20 to 22 are 256 MB << n, bits 12 to 15 the processor."""
    files = tree_of(name).files
    code = int.from_bytes(files["/sys/firmware/devicetree/base/system/linux,revision"], "big")
    assert code == revision
    assert (code >> 23 & 1, 256 << (code >> 20 & 7), code >> 12 & 15) == (1, memory_mb, chip)


def test_the_firmware_of_a_raspberry_pi_5_tells_of_its_throttling() -> None:
    """get_throttled lies below the chip's own address, and says that the clock is capped."""
    tree = tree_of("raspberrypi5", world(step=1))
    path = "/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
    assert read(tree, path) == "20002"


@pytest.mark.parametrize("name", JETSONS)
def test_every_power_mode_sets_cores_and_clocks(name: str) -> None:
    """Cores that are off, the clock of those that are on, GPU and memory: as the table has it."""
    computer = COMPUTERS[name]
    assert computer.jetson is not None
    tree = tree_of(name)
    for number, mode in enumerate(computer.jetson.modes):
        take(tree, number)
        cores = [n for one in computer.clusters for n in range(one.first, one.first + one.cores)]
        on = [core for core in cores if read(tree, f"{CPUS}/cpu{core}/online") == "1"]
        assert on == cores[: mode.cores]
        most = computer.clusters[0].most_khz
        clock = int(read(tree, f"{CPUS}/cpu{on[-1]}/cpufreq/scaling_cur_freq"))
        assert clock == (most if mode.cpu_khz == UNLIMITED else mode.cpu_khz)
        limit = computer.jetson.gpu_hz[1] if mode.gpu_hz == UNLIMITED else mode.gpu_hz
        assert int(read(tree, f"{GPU}/max_freq")) == limit
        memory = int(read(tree, "/sys/kernel/debug/bpmp/debug/clk/emc/rate"))
        assert memory == (mode.emc_hz if mode.emc_hz > 0 else computer.jetson.emc_hz)


@pytest.mark.parametrize("name", JETSONS)
def test_a_jetson_starts_in_its_default_mode(name: str) -> None:
    """The limits at the start are those that the default mode would set."""
    computer = COMPUTERS[name]
    assert computer.jetson is not None
    fresh, taken = tree_of(name), tree_of(name)
    take(taken, computer.jetson.default)
    paths = [path for path, one in fresh.live.items() if one.store]
    assert [read(fresh, path) for path in paths] == [read(taken, path) for path in paths]
    assert read(fresh, "/var/lib/nvpmodel/status") == f"pmode:{computer.jetson.default:04d}"


def test_heat_brings_a_clock_down_further_than_its_mode_does() -> None:
    """The lower of the two holds: 2201.6 MHz halved is below the 1728 MHz of MODE_30W."""
    cool, warm = tree_of("jetson_agx_orin"), tree_of("jetson_agx_orin", world(95.0, step=1))
    path = f"{CPUS}/cpu0/cpufreq/scaling_cur_freq"
    assert (read(cool, path), read(warm, path)) == ("1728000", "1100800")
    hot = tree_of("jetson_agx_orin", world(104.0, step=2))
    assert read(hot, path) == "729600"  # no mode lets the cores run slower


@pytest.mark.parametrize(("text", "kept"), [("1", "115200"), ("9999999", "2201600")])
def test_a_limit_stays_within_the_clocks_of_its_core(text: str, kept: str) -> None:
    """What is written below or above the range of the hardware becomes its end."""
    tree = tree_of("jetson_agx_orin")
    path = f"{CPUS}/cpufreq/policy0/scaling_max_freq"
    write(tree, path, text)
    assert read(tree, path) == kept
    with pytest.raises(OSError, match="no number") as refused:
        write(tree, path, "fast")
    assert refused.value.errno == errno.EINVAL
    assert read(tree, path) == kept


def test_a_configuration_is_read_back_as_it_was_written() -> None:
    """Names, numbers and the default of all modes survive the file, and verbose text has them."""
    for computer in COMPUTERS.values():
        if computer.jetson is not None:
            _check_conf(computer)


def _check_conf(computer: Computer) -> None:
    jetson = computer.jetson
    assert jetson is not None
    tree = Tree()
    add_computer(tree, next(n for n, one in COMPUTERS.items() if one is computer), world())
    conf = read_conf(tree.files["/etc/nvpmodel.conf"].decode())
    assert list(conf.names.values()) == [mode.name for mode in jetson.modes]
    assert conf.default == jetson.default
    assert all(tree.find(path) is not None for path in conf.paths.values())
    lines = list(described(conf))
    assert lines[0] == f"PM_CONFIG: DEFAULT={jetson.modes[conf.default].name}({conf.default})"
    assert sum(line.startswith("POWER_MODEL: ID=") for line in lines) == len(jetson.modes)


def test_the_gpu_of_a_line_has_three_shapes() -> None:
    """One clock, several clocks, and clocks without a load."""
    assert gpu_field(10, [1300], listed=False) == "GR3D_FREQ 10%@1300"
    assert gpu_field(12, [1300, 1300]) == "GR3D_FREQ 12%@[1300,1300]"
    assert gpu_field(None, [1000] * 3) == "GR3D_FREQ @[1000,1000,1000]"
