"""The periphery face: what python-periphery answers to the same statements, and time that passes.

Each program below runs twice: with the real package under `hil run --`, through device files, and
in this process with the look-alike. What it prints must be the same.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import inspect
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.wire import Kind
from hil.board import load_board
from hil.buses.uart import UARTBus
from hil.digest import RecordStream
from hil.errors import UsageError
from hil.exchange import Exchange
from hil.faces import periphery
from hil.faces.periphery import Machine
from hil.hosting import SHIM
from hil.missions import load as load_mission
from hil.rig import Rig
from hil.time.kernel import Kernel

ROOT = Path(__file__).resolve().parents[3]
HEAD = """
def told(act):
    try:
        print(repr(act()))
    except Exception as error:
        kinds = [one.__name__ for one in type(error).__mro__ if one.__module__ != "builtins"]
        print(kinds[:1] or type(error).__name__, getattr(error, "errno", None), error)
"""
PROGRAMS = {
    "i2c": """
from periphery import I2C, I2CError
i2c = I2C("/dev/i2c-1")
def read(address, data, flags=0):
    messages = [I2C.Message([0x0F]), I2C.Message(data, read=True, flags=flags)]
    i2c.transfer(address, messages)
    return messages[1].data
for data in ([0, 0], b"..", bytearray(2)):
    told(lambda: read(0x48, data))
told(lambda: read(0x4B, [0, 0]))
told(lambda: read(0x48, [0], flags=0x4000))
told(lambda: i2c.transfer(0x48, [I2C.Message([2, 0x12, 0x34]), I2C.Message(b"\\x02")]))
told(lambda: read(0x48, []))
told(lambda: i2c.transfer(0x48, [I2C.Message(b"")]))
told(lambda: i2c.transfer(0x48, [I2C.Message([2, 0x40, 0])]))
told(lambda: i2c.transfer(0x48, []))
told(lambda: i2c.transfer(0x48, (I2C.Message([1]),)))
told(lambda: i2c.transfer(0x48, [I2C.Message([1])] * 43))
told(lambda: i2c.transfer(0x48, [I2C.Message([300])]))
told(lambda: i2c.transfer(0x48, [I2C.Message(bytes(9000))]))
told(lambda: I2C.Message(5))
told(lambda: I2C.Message([5], read=1))
told(lambda: I2C.Message([5], flags="x"))
told(lambda: I2C("/dev/i2c-7"))
told(lambda: i2c.devpath)
with I2C("/dev/i2c-1") as other:
    told(lambda: other.devpath)
i2c.close()
i2c.close()
told(lambda: i2c.fd)
told(lambda: i2c.transfer(0x48, [I2C.Message([0x0F])]))
""",
    "spi": """
from periphery import SPI, SPIError
spi = SPI("/dev/spidev0.0", 0, 1e6)
def settings():
    return spi.mode, spi.max_speed, spi.bit_order, spi.bits_per_word, spi.extra_flags
told(settings)
for data in ([0x9F, 0, 0, 0], b"\\x9f...", bytearray((0x9F, 0, 0, 0))):
    told(lambda: spi.transfer(data))
told(lambda: spi.transfer([]))
told(lambda: spi.transfer([256]))
told(lambda: spi.transfer((1, 2)))
told(lambda: spi.transfer(["a"]))
told(lambda: spi.transfer([1.5]))
spi.mode = 3
told(lambda: (spi.transfer([0x9F, 0, 0, 0]), settings()))
spi.mode = 1
told(lambda: spi.transfer([0x9F, 0, 0, 0])[1:] == [0xEF, 0x40, 0x18])
spi.mode = 0
spi.max_speed = 5e6
spi.bits_per_word = 0
told(settings)
for name, value in (("mode", 4), ("mode", "0"), ("max_speed", "fast"), ("max_speed", 0),
                    ("bit_order", "lsb"), ("bit_order", "big"), ("bit_order", 1),
                    ("bits_per_word", 256), ("bits_per_word", "8"), ("bits_per_word", 7),
                    ("extra_flags", 4), ("extra_flags", "4"), ("extra_flags", 0)):
    told(lambda: setattr(spi, name, value))
    told(settings)
told(lambda: SPI("/dev/spidev0.0", 0, 1e6, "msb", 8, 0x20))
told(lambda: SPI("/dev/spidev0.0", 5, 1e6))
told(lambda: SPI("/dev/spidev0.0", 0, 1e6, "both"))
told(lambda: SPI("/dev/spidev0.0", 0, 1e6, bits_per_word=-1))
told(lambda: SPI("/dev/spidev0.9", 0, 1e6))
told(lambda: SPI(5, 0, 1e6))
again = SPI("/dev/spidev0.0", 0, 2e6)
told(settings)
told(lambda: spi.transfer(bytes(70000)))
spi.close()
spi.close()
told(lambda: (spi.fd, spi.devpath))
told(lambda: spi.mode)
told(lambda: spi.transfer([1]))
""",
    "gpio": """
from periphery import GPIO, CdevGPIO, EdgeEvent, GPIOError
line = GPIO("/dev/gpiochip0", 26, "out")
def state(line):
    return (line.line, line.direction, line.edge, line.bias, line.drive, line.inverted, line.label,
            line.name, line.chip_name, line.chip_label, line.devpath)
told(lambda: (state(line), line.read(), isinstance(line, GPIO), GPIO.__name__ != "None"))
line.write(True)
told(line.read)
told(lambda: line.write(1))
told(line.poll)
told(line.read_event)
told(lambda: GPIO("/dev/gpiochip0", 26, "in"))
told(lambda: setattr(line, "edge", "both"))
line.drive = "open_drain"
told(lambda: (line.read(), line.drive))
line.inverted = True
told(lambda: (line.read(), line.inverted))
line.direction = "high"
told(lambda: (line.read(), line.direction))
told(lambda: setattr(line, "direction", "in"))
told(lambda: (line.direction, line.fd))
told(line.read)
line.drive = "default"
line.direction = "in"
told(lambda: (line.read(), line.direction))
told(lambda: state(line))
told(lambda: line.write(True))
line.close()
line.close()
line = GPIO("/dev/gpiochip0", 27, "in", bias="pull_up", label="mine")
told(lambda: (line.read(), state(line)))
line.bias = "pull_down"
told(lambda: (line.read(), line.bias))
told(lambda: setattr(line, "drive", "open_drain"))
told(line.read_event)
told(lambda: line.poll(0))
told(lambda: line.poll("x"))
line.edge = "both"
told(lambda: (line.poll(0), line.poll(0.01), GPIO.poll_multiple([line], 0)))
for name, value in (("direction", "up"), ("direction", 1), ("edge", "all"), ("bias", None),
                    ("drive", "x"), ("inverted", 0)):
    told(lambda: setattr(line, name, value))
line.close()
told(lambda: (line.fd, line.line, line.direction))
told(line.read)
told(lambda: GPIO("/dev/gpiochip0", 99, "in"))
told(lambda: GPIO("/dev/gpiochip0", 99, "out"))
told(lambda: GPIO("/dev/gpiochip9", 0, "in"))
told(lambda: GPIO("/dev/gpiochip0", "LED", "in"))
told(lambda: GPIO("/dev/gpiochip0", 1.5, "in"))
told(lambda: GPIO(5, 1, "in"))
told(lambda: GPIO("/dev/gpiochip0", 1, "in", drive="open_drain"))
told(lambda: GPIO("/dev/gpiochip0", 1, "out", edge="both").direction)
with CdevGPIO("/dev/gpiochip0", 18, "in", edge="rising") as pps:
    first = (pps.poll(2), pps.read_event(), pps.read_event())
    told(lambda: (first[0], first[1].edge, isinstance(first[1], EdgeEvent)))
""",
    "serial": """
from periphery import Serial, SerialError
port = Serial("/dev/ttyAMA1", 115200)
def settings():
    return port.baudrate, port.stopbits, port.xonxoff, port.rtscts, port.vmin, port.vtime
told(settings)
data = b""
while b"$GNRMC" not in data:
    data += port.read(1)
told(lambda: (type(port.read(20)), len(port.read(20))))
told(lambda: port.read(0))
told(lambda: port.poll(3))
told(port.poll)
told(lambda: port.poll("x"))
told(lambda: len(port.read(7, 1.5)))
told(lambda: port.write(b"$PUBX,00*33\\r\\n"))
told(lambda: port.write([36, 37]))
told(lambda: port.write("text"))
told(lambda: port.write([300]))
port.flush()
told(port.output_waiting)
port.vmin = 5
told(lambda: (len(port.read(5)), settings()))
port.vmin, port.vtime = 0, 0.55
told(settings)
port.baudrate = 9600
port.stopbits = 2
told(settings)
for name, value in (("baudrate", 1234), ("baudrate", "9600"), ("databits", 9), ("databits", "8"),
                    ("parity", "mark"), ("parity", 0), ("stopbits", 3), ("stopbits", 1.0),
                    ("xonxoff", 1), ("rtscts", 1), ("vmin", 256), ("vmin", 1.5), ("vtime", 26),
                    ("vtime", "1")):
    told(lambda: setattr(port, name, value))
port.close()
port.close()
told(lambda: (port.fd, port.devpath))
told(lambda: Serial("/dev/ttyAMA9", 115200))
told(lambda: Serial("/dev/ttyAMA1", 1200000))
told(lambda: Serial("/dev/ttyAMA1", "fast"))
told(lambda: Serial("/dev/ttyAMA1", 9600, parity="mark"))
told(lambda: Serial("/dev/ttyAMA1", 9600, xonxoff=1))
""",
}


def rig() -> Rig:
    """Return the default board as `hil run --` has it."""
    mission = load_mission("tiansuan_bupt1")
    return Rig(load_board("raspberrypi4"), mission, seed=1, duration_s=3600, flight=False)


def in_process(program: str) -> str:
    """Run a program with the look-alike; return what it printed."""
    out = io.StringIO()
    with periphery.installed(Machine(rig().exchange)), contextlib.redirect_stdout(out):
        exec(compile(HEAD + program, "program", "exec"), {})
    return out.getvalue()


@pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_statements_have_the_same_results(name: str, tmp_path: Path) -> None:
    """Values, types, errors with errno and text, and settings are those of the real package."""
    if importlib.util.find_spec("periphery") is None:
        pytest.skip("python-periphery is not installed")
    pace = "x10" if name in ("serial", "gpio") else "max"
    words = [sys.executable, "-m", "hil", "run", "--pace", pace, "-q", "--out"]
    program = [sys.executable, "-W", "ignore", "-c", HEAD + PROGRAMS[name]]
    done = subprocess.run(
        [*words, str(tmp_path / "run"), "--", *program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert in_process(PROGRAMS[name]).splitlines() == done.stdout.splitlines()


@pytest.mark.parametrize("name", ["I2C", "SPI", "CdevGPIO", "Serial"])
def test_signatures_and_names_are_those_of_the_package(name: str) -> None:
    """Constructors take the same arguments, and every public name of a class is there."""
    real = getattr(pytest.importorskip("periphery"), name)
    ours = getattr(periphery.look_alike(Machine(rig().exchange)), name)
    theirs = inspect.signature(real.__init__).parameters
    mine = inspect.signature(ours.__init__).parameters
    assert list(mine) == list(theirs)
    assert set(filter(lambda n: n[0] != "_", dir(real))) - set(dir(ours)) == set()


def module() -> tuple[Any, Machine]:
    """Return the look-alike on a fresh rig."""
    machine = Machine(rig().exchange)
    return periphery.look_alike(machine), machine


def test_what_a_program_does_takes_its_bus_time_and_is_recorded() -> None:
    """A read of two octets at 400 kHz moves the clock by its bits, and is in the digest."""
    made, machine = module()
    before = machine.exchange.recorder.count  # type: ignore[attr-defined]
    i2c = made.I2C("/dev/i2c-1")
    i2c.transfer(0x48, [i2c.Message([0x0F]), i2c.Message([0, 0], read=True)])
    # Start, 2 addresses, 1 + 2 octets with their acknowledgement, repeated start, stop: 48 bits.
    assert machine.now_ns() == 48 * 2500
    assert machine.exchange.recorder.count == before + 1  # type: ignore[attr-defined]


def test_sleep_and_edges_share_one_clock() -> None:
    """The module's sleeps move the bench; an edge carries the time at which it happened."""
    made, machine = module()
    made.sleep(0.5)
    made.sleep_ms(20)
    made.sleep_us(3)
    assert machine.now_ns() == 520_003_000
    with made.GPIO("/dev/gpiochip0", 18, "in", edge="rising") as pps:
        first, second = pps.read_event(), pps.read_event()
    assert (first.edge, second.edge) == ("rising", "rising")
    assert second.timestamp == machine.now_ns()
    assert second.timestamp - first.timestamp == pytest.approx(1e9, abs=1e3)


def test_a_path_of_another_kind_is_enotty() -> None:
    """A device that knows no such ioctl says so as Linux does, when the first one comes."""
    made, _ = module()
    with pytest.raises(made.I2CError, match="Querying supported functions") as raised:
        made.I2C("/dev/spidev0.0")
    assert raised.value.errno == errno.ENOTTY
    with pytest.raises(made.SPIError, match="Setting SPI mode") as raised:
        made.SPI("/dev/i2c-1", 0, 1e6)
    assert raised.value.errno == errno.ENOTTY


def test_a_wait_without_an_end_is_told() -> None:
    """Where a real program would hang for ever the look-alike says so."""
    kernel = Kernel()
    exchange = Exchange(kernel, RecordStream())
    bus = UARTBus("ttyS0", kernel, 1, exchange.emitter(0, Kind.UART), 9600)
    exchange.connect(0, bus)
    port = periphery.look_alike(Machine(exchange)).Serial("/dev/ttyS0", 9600)
    assert port.read(1, 2.5) == b""
    assert kernel.now_ns == 2_500_000_000
    with pytest.raises(UsageError, match="will never come"):
        port.read(1)


class Parrot:
    """A device that repeats what it hears."""

    uart_send: Any

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        self.uart_send(t_ns, data)


def line(device: Any, **given: Any) -> tuple[Any, UARTBus, Kernel]:
    """Return the look-alike on a single serial line with a device."""
    kernel = Kernel()
    exchange = Exchange(kernel, RecordStream())
    bus = UARTBus("ttyS0", kernel, 1, exchange.emitter(0, Kind.UART), 9600, **given)
    bus.attach(device)
    exchange.connect(0, bus)
    return periphery.look_alike(Machine(exchange)), bus, kernel


def test_character_size_and_parity_reach_the_line() -> None:
    """What a pseudo-terminal forgets is kept here: 7E2 goes over the line as 7E2."""
    made, bus, kernel = line(Parrot())
    port = made.Serial("/dev/ttyS0", 9600, 7, "even", 2)
    assert (port.databits, port.parity, port.stopbits) == (7, "even", 2)
    assert tuple(bus.setting) == (9600, 7, "E", 2)
    port.write(b"U")
    port.flush()
    assert kernel.now_ns == bus.line_time_ns(1)
    assert bus.counters["format_mismatch"] == 1  # for the device is set to 8N1
    port.databits, port.parity = 8, "none"
    port.stopbits = 1
    assert tuple(bus.setting) == (9600, 8, "N", 1)


def test_vmin_and_vtime_end_a_read() -> None:
    """A read waits for VMIN octets, or for a gap of VTIME behind the last one."""
    made, _, kernel = line(Parrot())
    port = made.Serial("/dev/ttyS0", 9600)
    port.vmin, port.vtime = 4, 0.3
    port.write(b"abcdef")
    assert port.read(10) == b"abcdef"
    port.write(b"gh")
    before_ns = kernel.now_ns
    assert port.read(10) == b"gh"
    assert 300_000_000 <= kernel.now_ns - before_ns < 310_000_000


def test_input_without_room_is_lost_and_counted() -> None:
    """More than the driver's buffer holds is dropped, and the port says how much."""
    made, bus, _ = line(Parrot(), rx_fifo=16)
    port = made.Serial("/dev/ttyS0", 9600)
    port.write(bytes(range(32)))
    made.sleep(1)
    assert (port.input_waiting(), port.rx_overrun) == (16, 16)
    assert port.read(16) == bytes(range(16))
    assert bus.counters["rx_octets"] == 32


def test_the_module_is_found_and_given_back() -> None:
    """Inside the block every way to import it finds the look-alike, afterwards what was there."""
    before = sys.modules.get("periphery")
    with periphery.installed(Machine(rig().exchange)) as made:
        scope: dict[str, Any] = {}
        exec("from periphery.i2c import I2C, I2CError\nimport periphery", scope)
        assert scope["periphery"] is made
        assert scope["I2C"] is made.I2C
        with pytest.raises(scope["I2CError"]) as raised:
            made.I2C("/dev/i2c-5")
        assert raised.value.errno == errno.ENOENT
    assert sys.modules.get("periphery") is before


def test_sysfs_gpio_says_that_it_is_not_there() -> None:
    """The two-argument form, which goes by /sys/class/gpio, is a GPIOError with the way out."""
    made, _ = module()
    with pytest.raises(made.GPIOError, match="give a path"):
        made.GPIO(17, "out")
