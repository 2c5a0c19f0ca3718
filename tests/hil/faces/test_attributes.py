"""Live attributes behind the bench's socket: what a driver of the kernel would show of a part."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from flightsw.codec.wire import Kind, Record, Status, pack, unpack_all, unpack_from
from hil.board import load_board
from hil.boardparts import COMPUTER_NAMES, KERNEL_DRIVERS
from hil.buses.faults import BusFault
from hil.errors import ConfigError
from hil.faces.attributes import WAITING_LIMIT, Tree
from hil.faces.computers import COMPUTERS, Firmware
from hil.faces.host import Host
from hil.faces.hwmon import DRIVERS, rounded
from hil.faces.nodes import nodes_of
from hil.faces.reception import ERRNO_TABLE
from hil.missions import load
from hil.rig import Rig
from hil.sysfs import tree_of
from hil.time.present import Present

SECOND = 1_000_000_000
BOARD = """
[board]
name = "bound"
title = "parts that drivers hold"
adapter = "bcm2835"
computer = "raspberrypi4"

[bus.i2c-1]
kind = "i2c"
bitrate = "400 kHz"

[part.rails]
type = "ina3221"
bus = "i2c-1"
address = 0x40
shunts = ["10 mohm", "10 mohm", "10 mohm"]
kernel = "ina3221"
labels = ["FIRST", "", "THIRD"]
world = { bus1_v = "5.0 V", current1_a = "-1.5 A", bus2_v = "3.3 V", current2_a = "0.2 A" }

[part.mixed]
type = "ina3221"
bus = "i2c-1"
address = 0x41
shunts = ["10 mohm", "20 mohm", "7 mohm"]
kernel = "ina3221"
world = { current3_a = "1.001 A" }

[part.old]
type = "ina219"
bus = "i2c-1"
address = 0x44
kernel = "ina2xx"
world = { bus_v = "12 V", current_a = "1.25 A" }

[part.new]
type = "ina228"
bus = "i2c-1"
address = 0x45
shunt = "2 mohm"
kernel = "ina238"
world = { bus_v = "48 V", current_a = "-10 A", temperature_c = "-12.5 degC" }

[part.warm]
type = "lm75"
bus = "i2c-1"
address = 0x48
kernel = "lm75"
world = { temperature_c = "-20.125 degC" }

[part.cold]
type = "mcp9808"
bus = "i2c-1"
address = 0x18
kernel = "jc42"
world = { temperature_c = "-3.0625 degC" }

[part.fine]
type = "tmp117"
bus = "i2c-1"
address = 0x49
kernel = "tmp117"
world = { temperature_c = "25.5 degC" }
"""
BY_PART = {"rails": 2, "mixed": 3, "old": 4, "new": 5, "warm": 6, "cold": 7}


class Bench:
    """A rig of held parts behind a socket, served by the thread of the test."""

    def __init__(
        self, folder: Path, pace: str = "max", clock: Callable[[], int] | None = None
    ) -> None:
        path = folder / "bound.toml"
        path.write_text(BOARD)
        mission = load("tiansuan_bupt1")
        self.rig = Rig(load_board(path), mission, seed=1, duration_s=600.0, flight=False)
        nodes = nodes_of(self.rig.exchange.lanes.values()).values()
        self.octets = bytearray()
        self.rig.stream.sink = self.octets.extend
        self.tree, look = tree_of(self.rig.board, nodes, self.rig.wiring.parts, self.rig.world)
        self.rig.watch = lambda rig: look()
        self.path = folder / "bench"
        present = Present(self.rig.kernel, pace, clock) if clock is not None else None
        self.host = Host(self.rig.exchange, self.path, pace, self.tree, present)
        self.host.settle(SECOND)
        self.sockets: list[socket.socket] = []

    def ask(self, one: socket.socket, message: bytes) -> Record:
        """Send a message and serve until its reply is there."""
        one.send(message)
        return self.answer(one)

    def answer(self, one: socket.socket) -> Record:
        """Serve until a message is there."""
        for _ in range(2000):
            try:
                return unpack_from(one.recv(1 << 16))[0]
            except BlockingIOError:
                self.host.step(0.01)
        raise AssertionError("no answer")

    def open(self, path: str) -> socket.socket:
        """Return a handle on an attribute."""
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.connect(str(self.path))
        one.setblocking(False)
        self.sockets.append(one)
        reply = self.ask(one, pack(Kind.OPEN, payload=path.encode()))
        assert reply.kind == Kind.OPEN, reply.payload
        return one

    def read(self, part: str, file: str) -> tuple[int, str]:
        """Return (errno, text) of a file of a part's driver."""
        reply = self.ask(self.open(f"{self.folder(part)}/{file}"), pack(Kind.ATTRIBUTE))
        return int.from_bytes(reply.payload[:4], "little"), reply.payload[4:].decode()

    def value(self, part: str, file: str) -> int:
        """Return the number in a file."""
        code, text = self.read(part, file)
        assert code == 0, errno.errorcode[code]
        assert text.endswith("\n")
        return int(text)

    def write(self, part: str, file: str, text: str) -> int:
        """Write a file; return errno."""
        one = self.open(f"{self.folder(part)}/{file}")
        reply = self.ask(one, pack(Kind.ATTRIBUTE, address=1, payload=text.encode()))
        return int.from_bytes(reply.payload[:4], "little")

    def folder(self, part: str) -> str:
        """Return the class folder of a part's sensor device."""
        if part == "fine":
            return "/sys/bus/iio/devices/iio:device0"
        return f"/sys/class/hwmon/hwmon{BY_PART[part]}"

    def transfers(self) -> list[Record]:
        """Return every I2C transaction so far."""
        self.rig.stream.flush()
        return [one for one in unpack_all(bytes(self.octets)) if one.kind == Kind.I2C]

    def pass_time(self, t_ns: int) -> None:
        """Let virtual time go on by ``t_ns``."""
        self.host.settle(self.rig.kernel.now_ns + t_ns)

    def close(self) -> None:
        """Close every handle, and the bench."""
        for one in self.sockets:
            one.close()
        self.host.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench that does not wait for bus time."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_the_tables_and_the_board_file_know_the_same_names() -> None:
    """Every driver and computer that a board file may name has a table, and no other."""
    assert set(DRIVERS) == set(KERNEL_DRIVERS)
    assert set(COMPUTERS) == set(COMPUTER_NAMES)


@pytest.mark.parametrize(
    ("part", "file", "value"),
    [
        ("rails", "in1_input", 5000),
        ("rails", "in2_input", 3296),  # 3.3 V is 412.5 steps of 8 mV; the part has 412
        ("rails", "curr1_input", -1500),
        ("rails", "curr2_input", 200),
        ("rails", "in4_input", -15000),
        ("rails", "in7_input", -13000),
        ("rails", "curr4_input", -1300),
        ("rails", "curr1_crit", 16380),
        ("rails", "curr4_crit", 65532),
        ("rails", "in1_enable", 1),
        ("rails", "shunt1_resistor", 10000),
        ("rails", "samples", 1),
        ("rails", "update_interval", 7),  # 3 channels x (1.1 + 1.1) ms = 6.6 ms
        ("mixed", "curr3_input", 1000),  # 7007 uV: 175 steps of 40 uV over 7 mohm
        ("old", "in1_input", 12000),
        ("old", "in0_input", 125),
        ("old", "curr1_input", 1250),
        ("old", "power1_input", 15_000_000),
        ("old", "shunt_resistor", 100_000),
        ("new", "in1_input", 48000),
        ("new", "in0_input", -20),
        ("new", "curr1_input", -10000),
        ("new", "power1_input", 480_000_000),
        ("new", "temp1_input", -12500),
        ("warm", "temp1_input", -20125),
        ("warm", "temp1_max", 80000),
        ("warm", "temp1_max_hyst", 75000),
        ("cold", "temp1_input", -3063),  # -3062.5, halves away from zero
        ("fine", "in_temp_raw", 3264),
    ],
)
def test_a_file_shows_the_part_in_the_units_of_sysfs(
    bench: Bench, part: str, file: str, value: int
) -> None:
    """Each file has the number that hwmon's interface defines: mV, mA, uW, m°C, uOhm, rounded."""
    assert bench.value(part, file) == value


def test_a_value_set_through_the_world_face_is_read_within_a_step(bench: Bench) -> None:
    """Over its range, in1_input and curr1_input are what the part was set to, within its LSB."""
    part = bench.rig.wiring.parts["rails"]
    for step in range(-8, 9):
        volt, ampere = 1.6 * (step + 8), 2.0 * step
        part.set("bus1_v", volt)
        part.set("current1_a", ampere)
        bench.pass_time(10_000_000)
        assert abs(bench.value("rails", "in1_input") - volt * 1000) <= 8
        assert abs(bench.value("rails", "curr1_input") - ampere * 1000) <= 4


def test_a_read_is_a_transaction_with_its_bus_time(bench: Bench) -> None:
    """Reading a measurement is recorded as one register read; remembered numbers cost nothing."""
    before = len(bench.transfers())
    bench.value("rails", "in1_input")
    record = bench.transfers()[-1]
    assert len(bench.transfers()) == before + 1
    assert (record.address, record.duration_ns, record.status) == (0x40, 120_000, Status.OK)
    for file in ("shunt1_resistor", "in1_enable", "samples", "update_interval"):
        bench.value("rails", file)
    assert len(bench.transfers()) == before + 1


def test_a_limit_is_kept_by_the_driver(bench: Bench) -> None:
    """A limit is read from the part once; what is written goes to the part, rounded to its step."""
    before = len(bench.transfers())
    assert bench.value("rails", "curr2_max") == bench.value("rails", "curr2_max") == 16380
    assert len(bench.transfers()) == before + 1
    assert bench.write("rails", "curr2_max", "1234\n") == 0
    assert bench.value("rails", "curr2_max") == 1236
    assert len(bench.transfers()) == before + 2
    assert bench.rig.wiring.parts["rails"].file.values[0x0A] == 309 << 3


def test_an_alarm_follows_its_limit(bench: Bench) -> None:
    """curr2_crit below the current raises curr2_crit_alarm after the next cycle, and no other."""
    assert bench.value("rails", "curr2_crit_alarm") == 0
    assert bench.write("rails", "curr2_crit", "100") == 0
    bench.pass_time(20_000_000)
    assert bench.value("rails", "curr2_crit_alarm") == 1
    bench.pass_time(20_000_000)
    assert bench.value("rails", "curr1_crit_alarm") == 0


def test_a_channel_switched_off_has_no_data(bench: Bench) -> None:
    """in1_enable 0 switches the channel off in the part; reading it is ENODATA."""
    assert bench.write("rails", "in1_enable", "0") == 0
    assert bench.read("rails", "in1_input") == (errno.ENODATA, "")
    assert bench.rig.wiring.parts["rails"].file.values[0] == 0x3127
    assert bench.value("rails", "update_interval") == 4
    assert bench.write("rails", "in1_enable", "2") == errno.EINVAL


def test_averaging_and_interval_reach_the_part(bench: Bench) -> None:
    """samples and update_interval take the nearest setting that the part has."""
    assert bench.write("rails", "samples", "60") == 0
    assert bench.value("rails", "samples") == 64
    assert bench.write("rails", "update_interval", "100") == 0
    assert bench.value("rails", "update_interval") == 64 * 3 * 2 * 204 // 1000
    assert bench.rig.wiring.parts["rails"].file.values[0] == 0x7000 | 3 << 9 | 1 << 6 | 1 << 3 | 7


@pytest.mark.parametrize("text", ["", "x", "1.5", "0x"])
def test_what_is_no_number_is_refused(bench: Bench, text: str) -> None:
    """Writing nonsense to a limit is EINVAL, and nothing crosses the bus."""
    before = len(bench.transfers())
    assert bench.write("rails", "curr1_crit", text) == errno.EINVAL
    assert len(bench.transfers()) == before
    assert bench.host.attributes.counters["failed"] == 1


def test_a_fault_of_the_bus_is_the_errno_of_the_read(bench: Bench) -> None:
    """A part that does not answer gives its adapter's errno, and the next read is served."""
    bus = bench.rig.wiring.buses["i2c-1"]
    here = bus.counters["transfers"]
    bus.faults.add(BusFault("i2c-1", "nak_address", first=here, last=here))
    assert bench.read("rails", "in1_input") == (errno.EREMOTEIO, "")
    assert bench.value("rails", "in1_input") == 5000


def test_accesses_of_one_device_wait_for_each_other(tmp_path: Path) -> None:
    """Readers that ask at once are answered one after the other, each after its bus time."""
    bench = Bench(tmp_path, "x1")
    handles = [bench.open(f"{bench.folder('rails')}/in{n % 2 + 1}_input") for n in range(6)]
    for one in handles:
        one.send(pack(Kind.ATTRIBUTE))
    replies = [bench.answer(one) for one in handles]
    assert [int(reply.payload[4:]) for reply in replies] == [5000, 3296] * 3
    done = sorted(reply.t_ns for reply in replies)
    assert all(later - earlier >= 120_000 for earlier, later in pairwise(done))
    bench.close()


def test_what_waits_for_a_device_has_an_end(tmp_path: Path) -> None:
    """A program that writes on and on while the bus is slow gets EBUSY, and fills no memory."""
    bench = Bench(tmp_path, "real", clock=lambda: 0)  # no bus is slower than one on no time
    one = bench.open(f"{bench.folder('rails')}/curr1_crit")
    for _ in range(WAITING_LIMIT + 9):
        one.send(b"1000\n")
        bench.host.step(0.0)
    assert max(len(device.waiting) for device in bench.host.tree.devices) == WAITING_LIMIT
    assert bench.host.attributes.counters["failed"] == 9
    bench.close()


def test_octets_without_a_head_are_written(bench: Bench) -> None:
    """What a program writes that inherited the descriptor reaches the part, without an answer."""
    one = bench.open(f"{bench.folder('rails')}/curr1_crit")
    one.send(b"1000\n")
    assert bench.value("rails", "curr1_crit") == 1000
    assert bench.host.attributes.counters["unanswered"] == 1


def test_any_name_of_a_file_leads_to_it(bench: Bench) -> None:
    """Links of sysfs are followed, up and down; a name that leads nowhere is refused."""
    names = ("/sys/bus/i2c/devices/1-0040/hwmon/hwmon2", "/sys/bus/i2c/drivers/ina3221/1-0040")
    for name in (names[0], f"{names[0]}/device/hwmon/hwmon2", f"{names[1]}/hwmon/../hwmon/hwmon2"):
        reply = bench.ask(bench.open(f"{name}/in1_input"), pack(Kind.ATTRIBUTE))
        assert reply.payload[4:] == b"5000\n"
    tree = Tree()
    tree.links["/sys/a"] = "b"
    tree.links["/sys/b"] = "a"
    assert tree.find("/sys/a/x") is None
    assert tree.find("/sys/nothing") is None


def test_an_open_i2c_bus_tells_what_is_held(bench: Bench) -> None:
    """OPEN of the bus names the addresses of its held parts."""
    one = bench.open("/dev/i2c-1")
    reply = bench.ask(one, pack(Kind.OPEN))
    about = json.loads(reply.payload[ERRNO_TABLE.size :])
    assert about["held"] == [0x18, 0x40, 0x41, 0x44, 0x45, 0x48, 0x49]


def test_the_overlay_marks_what_is_live_and_what_hides(bench: Bench, tmp_path: Path) -> None:
    """Live files and whole folders have the sticky bit, texts and links have not."""
    bench.tree.write(tmp_path / "root")
    sensors = tmp_path / "root/sys/class/hwmon"
    assert sensors.stat().st_mode & 0o7777 == 0o1755
    one = sensors / "hwmon2/in1_input"
    assert (one.stat().st_mode & 0o7777, one.stat().st_size) == (0o1444, 4096)
    assert (sensors / "hwmon2/curr1_crit").stat().st_mode & 0o7777 == 0o1644
    assert (sensors / "hwmon2/in3_label").read_text() == "THIRD\n"
    assert not (sensors / "hwmon2/in2_label").exists()
    assert (sensors / "hwmon2/name").read_text() == "ina3221\n"


def test_temperature_and_clock_follow_the_world(bench: Bench) -> None:
    """The zone shows the chip's temperature in its steps, and cpufreq the profile's clock."""
    world = bench.rig.world
    zone, clock = "/sys/class/thermal/thermal_zone0/temp", "cpu3/cpufreq/scaling_cur_freq"

    def read(path: str) -> int:
        return int(bench.ask(bench.open(path), pack(Kind.ATTRIBUTE)).payload[4:])

    world.thermal.preheat(84.0)
    bench.pass_time(2 * SECOND)
    shown = read(zone)
    assert abs(shown - world.state["thermal.chip_c"] * 1000) <= 487
    assert (410_040 - shown) % 487 == 0
    step = world.payload.clock_step
    assert step > 0
    expected = world.payload.clock_hz[step] // 1000
    assert read(f"/sys/devices/system/cpu/{clock}") == expected < 1_800_000


def test_throttle_flags_stay_until_boot(bench: Bench) -> None:
    """Bits 0 to 3 hold while their cause does, bits 16 to 19 from then on."""
    world = bench.rig.world
    firmware = Firmware(world)
    assert firmware.throttled() == "0\n"
    world.state["power.payload_v"] = 4.5
    assert (firmware.throttled(), firmware.low_voltage()) == ("50005\n", "1\n")
    world.state["power.payload_v"] = 5.1
    assert (firmware.throttled(), firmware.low_voltage()) == ("50000\n", "0\n")
    world.payload.clock_step = 1
    assert firmware.throttled() == "70002\n"
    world.state["thermal.chip_c"] = 85.0
    assert firmware.throttled() == "70006\n"


@pytest.mark.parametrize(
    ("value", "divisor", "nearest"),
    [(7, 2, 4), (-7, 2, -4), (5, 3, 2), (-5, 3, -2), (4, 3, 1), (-4, 3, -1), (0, 5, 0)],
)
def test_rounding_is_to_the_nearest(value: int, divisor: int, nearest: int) -> None:
    """Halves go away from zero, on both sides."""
    assert rounded(value, divisor) == nearest


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ('kernel = "jc42"', 'kernel = "lm75"', "jc42"),
        ('kernel = "jc42"', 'labels = ["A"]', "goes with 'kernel'"),
        ('["FIRST", "", "THIRD"]', '"FIRST"', "array of short names"),
        ('computer = "raspberrypi4"', 'computer = "raspberrypi44"', "raspberrypi4"),
        ('bus1_v = "5.0 V"', 'bus1_v = "5.0 A"', "bus1_v"),
    ],
)
def test_a_board_file_that_is_wrong_is_refused(
    tmp_path: Path, old: str, new: str, wrong: str
) -> None:
    """A driver that cannot hold the part, labels without one and odd units name their key."""
    path = tmp_path / "wrong.toml"
    assert old in BOARD
    path.write_text(BOARD.replace(old, new))
    with pytest.raises(ConfigError, match=wrong):
        load_board(path)


def test_two_runs_give_the_same_records(tmp_path: Path) -> None:
    """The probes of the drivers are part of the run: same board and seed, same digest."""
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name)
        assert [one.address for one in bench.transfers()].count(0x40) == 2
        bench.rig.stream.flush()
        digests.add(bench.rig.stream.hexdigest())
        bench.close()
    assert len(digests) == 1
