"""Bus libraries from PyPI, unmodified, through device files: `hil run -- python ...`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)


def run(folder: Path, program: str, *needs: str, pace: str = "max") -> str:
    """Run a Python program on the bench of the default board; return what it printed."""
    for module in needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    words = [sys.executable, "-m", "hil", "run", "--pace", pace, "--out", str(folder / "run"), "-q"]
    done = subprocess.run(
        [*words, "--", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_smbus2_reads_words_blocks_and_messages(tmp_path: Path) -> None:
    """smbus2's SMBus calls and i2c_rdwr read the same identity of the TMP117."""
    program = """
from smbus2 import SMBus, i2c_msg
with SMBus(1) as bus:
    print(hex(bus.read_word_data(0x48, 0x0F)), bus.read_i2c_block_data(0x48, 0x0F, 2))
    write, read = i2c_msg.write(0x48, [0x0F]), i2c_msg.read(0x48, 2)
    bus.i2c_rdwr(write, read)
    print(list(read))
    bus.write_i2c_block_data(0x48, 0x02, [0x12, 0x34])
    print(hex(bus.read_word_data(0x48, 0x02)))
    try:
        bus.read_byte(0x2F)
    except OSError as error:
        print(error.errno)
"""
    lines = run(tmp_path, program, "smbus2").splitlines()
    assert lines == ["0x1701 [1, 23]", "[1, 23]", "0x3412", "121"]


def test_a_transaction_with_a_wrong_pec_is_ebadmsg(tmp_path: Path) -> None:
    """With PEC asked for, a part that does not speak it gives EBADMSG, as from the kernel."""
    program = """
from smbus2 import SMBus
bus = SMBus(1)
bus.pec = 1
try:
    bus.read_word_data(0x48, 0x0F)
except OSError as error:
    print(error.errno)
"""
    assert run(tmp_path, program, "smbus2") == "74\n"


def test_spidev_exchanges_and_keeps_its_settings(tmp_path: Path) -> None:
    """spidev reads the flash's identity by xfer2 and by readbytes, in the mode that it sets."""
    program = """
import spidev
spi = spidev.SpiDev(0, 0)
spi.max_speed_hz, spi.mode = 5_000_000, 0
print(spi.xfer2([0x9F, 0, 0, 0])[1:], spi.mode, spi.max_speed_hz, spi.bits_per_word)
spi.writebytes([0x06])
print(spi.xfer([0x05, 0])[1] & 2, len(spi.readbytes(16)))
spi.mode = 1
print(spi.xfer2([0x9F, 0, 0, 0])[1:] != [0xEF, 0x40, 0x18])
"""
    lines = run(tmp_path, program, "spidev").splitlines()
    assert lines == ["[239, 64, 24] 0 5000000 8", "2 16", "True"]


def test_periphery_reaches_i2c_and_spi(tmp_path: Path) -> None:
    """python-periphery reads the TMP117 and the flash."""
    program = """
from periphery import I2C, SPI
i2c = I2C("/dev/i2c-1")
messages = [I2C.Message([0x0F]), I2C.Message([0, 0], read=True)]
i2c.transfer(0x48, messages)
print(messages[1].data)
spi = SPI("/dev/spidev0.0", 0, 1_000_000)
print(spi.transfer([0x9F, 0, 0, 0])[1:])
"""
    lines = run(tmp_path, program, "periphery").splitlines()
    assert lines == ["[1, 23]", "[239, 64, 24]"]


def test_duplicates_and_children_keep_their_device(tmp_path: Path) -> None:
    """dup, fork and threads: each reads what the device holds, and none gets another's answer."""
    program = """
import fcntl, os, sys, threading
fd = os.open("/dev/i2c-1", os.O_RDWR)
fcntl.ioctl(fd, 0x0703, 0x48)
copy = os.dup(fd)
os.close(fd)
def identity(n):
    for _ in range(200):
        os.write(n, bytes([0x0F]))
    return os.read(n, 2)
print(identity(copy), flush=True)
def both(address, register, expected):
    own = os.open("/dev/i2c-1", os.O_RDWR)
    fcntl.ioctl(own, 0x0703, address)
    for _ in range(200):
        os.write(own, bytes([register]))
        got = os.read(own, 2)
        if got != expected:
            print("mixed up", got)
pid = os.fork()
both(0x49, 0x0F, b"\\x01\\x17") if pid else print(identity(copy), flush=True)
if not pid:
    os._exit(0)
os.waitpid(pid, 0)
want = b"\\x01\\x17"
threads = [threading.Thread(target=both, args=(0x48 + n % 2, 0x0F, want)) for n in range(8)]
[t.start() for t in threads], [t.join() for t in threads]
print(identity(copy))
"""
    assert run(tmp_path, program).splitlines() == [repr(b"\x01\x17")] * 3


def test_pyserial_reads_the_gnss_receiver(tmp_path: Path) -> None:
    """pyserial opens the tty by its name and reads NMEA; at another rate it reads garbage."""
    program = """
import serial
with serial.Serial("/dev/ttyAMA1", 115200, timeout=20) as port:
    port.reset_input_buffer()
    port.read_until(b"$")
    print(port.read(2))
    port.baudrate = 9600
    print(any(not port.read(40).isascii() for _ in range(50)))
"""
    assert run(tmp_path, program, pace="x10").splitlines() == ["b'GN'", "True"]


def test_gpiod_holds_lines_and_hears_edges(tmp_path: Path) -> None:
    """libgpiod 2 reads, sets, is refused what another holds, and gets the PPS with its time."""
    program = """
import gpiod, time
from gpiod.line import Direction, Edge, Value
chip, begin = "/dev/gpiochip0", time.monotonic_ns()
print(gpiod.is_gpiochip_device(chip), gpiod.Chip(chip).get_info().num_lines)
out = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.ACTIVE)
pps = gpiod.LineSettings(edge_detection=Edge.RISING)
with gpiod.request_lines(chip, consumer="test", config={18: pps, 24: out}) as lines:
    print(lines.get_value(24).value, gpiod.Chip(chip).get_line_info(18).consumer)
    lines.set_value(24, Value.INACTIVE)
    print(lines.get_value(24).value)
    try:
        gpiod.request_lines(chip, config={18: None})
    except OSError as error:
        print(error.errno)
    events = lines.read_edge_events() + lines.read_edge_events()
    apart = (events[1].timestamp_ns - events[0].timestamp_ns) / 1e9
    print(events[0].line_offset, events[1].line_seqno, round(apart, 1))
    print(begin < events[0].timestamp_ns < events[1].timestamp_ns <= time.monotonic_ns())
print(gpiod.request_lines(chip, config={18: None}).offsets)
"""
    lines = run(tmp_path, program, "gpiod", pace="x30").splitlines()
    assert lines == ["True 58", "1 test", "0", "16", "18 2 1.0", "True", "[18]"]


def test_gpiod_watches_lines(tmp_path: Path) -> None:
    """libgpiod 2 is told when lines that it watches are requested, set up anew and released."""
    program = """
import gpiod, time
from gpiod.line import Direction
begin = time.monotonic_ns()
with gpiod.Chip("/dev/gpiochip0") as chip:
    print(chip.watch_line_info(5).used, chip.watch_line_info(7).used)
    with chip.request_lines({5: None, 6: None}, consumer="a") as lines:
        out = gpiod.LineSettings(direction=Direction.OUTPUT)
        lines.reconfigure_lines({5: out, 6: out})
    seen = []
    for _ in range(3):
        event = chip.read_info_event()
        info = event.line_info
        seen.append(event.timestamp_ns)
        print(event.event_type.name, info.offset, info.used, info.consumer, info.direction.name)
    print(begin < seen[0] <= seen[1] <= seen[2] <= time.monotonic_ns(), chip.get_line_info(5).used)
    chip.unwatch_line_info(5)
    try:
        chip.unwatch_line_info(5)
    except OSError as error:
        print(error.errno)
    with chip.request_lines({5: None, 7: None}):
        event = chip.read_info_event()
        print(event.line_info.offset, chip.wait_info_event(0.01))
"""
    lines = run(tmp_path, program, "gpiod").splitlines()
    assert lines[:2] == ["False False", "LINE_REQUESTED 5 True a INPUT"]
    assert lines[2:4] == ["LINE_CONFIG_CHANGED 5 True a OUTPUT", "LINE_RELEASED 5 False None INPUT"]
    assert lines[4:] == ["True False", "16", "7 False"]


def test_periphery_drives_a_line(tmp_path: Path) -> None:
    """python-periphery's GPIO writes an output and reads it back."""
    program = """
from periphery import GPIO
line = GPIO("/dev/gpiochip0", 26, "out")
line.write(True)
print(line.read(), line.direction)
line.close()
"""
    assert run(tmp_path, program, "periphery") == "True out\n"


def test_python_sees_the_nodes(tmp_path: Path) -> None:
    """exists, glob, listdir and stat agree that the device files are there."""
    program = """
import glob, os, stat
print(sorted(glob.glob("/dev/i2c-*") + glob.glob("/dev/spidev*") + glob.glob("/dev/gpiochip*")))
status = os.stat("/dev/i2c-1")
print(os.path.exists("/dev/i2c-1"), stat.S_ISCHR(status.st_mode), os.major(status.st_rdev))
print(stat.S_ISCHR(os.fstat(os.open("/dev/spidev0.0", os.O_RDWR)).st_mode))
print("i2c-1" in os.listdir("/dev"), "null" in os.listdir("/dev"), os.path.exists("/dev/i2c-2"))
"""
    lines = run(tmp_path, program).splitlines()
    assert lines[0] == "['/dev/gpiochip0', '/dev/i2c-1', '/dev/spidev0.0']"
    assert lines[1:] == ["True True 89", "True", "True True False"]


def test_what_is_not_modelled_is_named_once(tmp_path: Path) -> None:
    """An ioctl that nobody models fails with EOPNOTSUPP and one line on stderr."""
    program = """
import fcntl, os, sys
os.dup2(1, 2)
fd = os.open("/dev/i2c-1", os.O_RDWR)
for _ in range(3):
    try:
        fcntl.ioctl(fd, 0x0777)
    except OSError as error:
        print(error.errno, flush=True)
"""
    lines = run(tmp_path, program).splitlines()
    said = "hil-shim: ioctl 0x777 on /dev/i2c-1 is not modelled (EOPNOTSUPP)"
    assert lines == [said, "95", "95", "95"]


def test_spi_modes_that_the_controller_has_are_taken(tmp_path: Path) -> None:
    """spi-bcm2835 knows chip selects active high and three-wire, but no LSB first."""
    program = """
import spidev
spi = spidev.SpiDev(0, 0)
spi.cshigh = True
print(spi.xfer2([0x9F, 0, 0, 0])[1:])
spi.cshigh = False
print(spi.xfer2([0x9F, 0, 0, 0])[1:])
try:
    spi.lsbfirst = True
except OSError as error:
    print(error.errno)
"""
    lines = run(tmp_path, program, "spidev").splitlines()
    assert lines == ["[255, 255, 255]", "[239, 64, 24]", "22"]
