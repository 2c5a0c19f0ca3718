"""``hil://`` for pySerial: what a URL finds, what a port does, and that it tells what is wrong."""

from __future__ import annotations

import asyncio
import os
import re
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

import hil.faces.pyserial as face
from hil.errors import UsageError
from hil.faces.pyserial import benches
from hil.faces.pyserial.address import OPTIONS, parse
from hil.testing.small_rig import SmallRig

END_NS = 3_600_000_000_000
ROOT = Path(__file__).resolve().parents[3]


class Terminal:
    """A device that keeps what it hears, answers each line, and can move modem lines."""

    def __init__(self) -> None:
        self.heard = b""
        self.modem = (-1, -1)
        self.breaks = 0
        self.uart_send: Callable[[int, bytes], None]
        self.uart_lines: Callable[..., None]

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        self.heard += data
        if data.endswith(b"\n"):
            self.uart_send(t_ns, self.heard.splitlines()[-1][::-1] + b"\n")

    def uart_modem(self, t_ns: int, rts: int, dtr: int) -> None:
        self.modem = (rts, dtr)

    def uart_break(self, t_ns: int) -> None:
        self.breaks += 1


@pytest.fixture
def terminal() -> Iterator[tuple[Terminal, face.Served]]:
    """Give a device on ``hil://term`` and its bench."""
    device = Terminal()
    with face.register("term", device) as served:
        yield device, served


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a program that is not run by ``hil run``."""
    monkeypatch.delenv("HIL_BENCH", raising=False)


def port(url: str, *args: Any, **settings: Any) -> Any:
    """Open a port that no test waits for longer than a minute."""
    return serial.serial_for_url(url, *args, **{"timeout": 60, **settings})


# Finding a line


def test_install_adds_the_package_once() -> None:
    """Importing it is enough, and doing more of it changes nothing."""
    face.install()
    face.install()
    assert serial.protocol_handler_packages.count("hil.faces.pyserial") == 1


@pytest.mark.parametrize(
    ("url", "bench", "line"),
    [
        ("hil://ttyAMA1", "", "ttyAMA1"),
        ("HIL://ttyAMA1", "", "ttyAMA1"),
        ("hil://raspberrypi4/ttyAMA1", "raspberrypi4", "ttyAMA1"),
        ("hil:///dev/ttyAMA1", "", "/dev/ttyAMA1"),
        ("hil://rig%201/a%2fb", "rig 1", "a/b"),
    ],
)
def test_a_url_names_a_bench_and_a_line(url: str, bench: str, line: str) -> None:
    """The bench may be left out; a device path is a line; case and spaces are kept."""
    assert parse(url)[1:3] == (bench, line)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("hil://", "expected hil://LINE"),
        ("hil:///", "expected hil://LINE"),
        ("hil://a?speed=1", "no option 'speed'; there are baud, bytesize"),
        ("hil://a?baud=fast", "baud=fast cannot be read"),
        ("hil://a?rtscts=maybe", "rtscts=maybe cannot be read"),
    ],
)
def test_a_url_that_cannot_be_read_says_what_it_should_be(url: str, why: str) -> None:
    """The error is pySerial's own, one line, and names the URL."""
    with pytest.raises(serial.SerialException, match="hil:") as caught:
        serial.serial_for_url(url, do_not_open=True)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_in_a_url_are_taken_over_and_later_ones_win() -> None:
    """A port opens with what its URL says, which a program may change."""
    url = "hil://loop?baud=1200&bytesize=7&parity=e&stopbits=2&rtscts=1&xonxoff=true"
    with port(url) as one:
        found = one.get_settings()
        assert (found["baudrate"], found["bytesize"], found["parity"]) == (1200, 7, "E")
        assert (found["stopbits"], found["rtscts"], found["xonxoff"]) == (2, True, True)
        one.baudrate = 9600
        assert one.baudrate == 9600
        assert serial.serial_for_url("hil://loop?stopbits=1.5", do_not_open=True).stopbits == 1.5


@pytest.mark.parametrize("url", ["hil://term", "hil://term/term", "hil:///dev/term"])
def test_a_registered_line_is_found(terminal: tuple[Terminal, face.Served], url: str) -> None:
    """By its name, by its bench and name, by its device path."""
    with port(url, 115_200) as one:
        one.write(b"hello\n")
        assert one.readline() == b"olleh\n"


def test_a_rig_is_found_by_each_of_its_lines() -> None:
    """A rig of this process serves its serial lines; what is no serial line is refused by kind."""
    with face.register("small", SmallRig(END_NS)):
        with port("hil://small/ttyAMA1", 115_200) as one:
            one.write(b"echo")
            assert one.read(4) == b"echo"
        with pytest.raises(serial.SerialException, match="i2c-1 is a bus of kind i2c"):
            port("hil://small/i2c-1")
        with pytest.raises(serial.SerialException, match="no such device; there are /dev/i2c-1"):
            port("hil://small/ttyS9")


@pytest.mark.usefixtures("bare")
def test_a_line_that_is_not_there_names_what_is(terminal: tuple[Terminal, face.Served]) -> None:
    """The error names the URL, the lines there are, and what to do."""
    with pytest.raises(serial.SerialException) as caught:
        port("hil://nowhere")
    assert "hil://nowhere: no bench has it: run the program under `hil run --`" in str(caught.value)
    assert "hil://term/term" in str(caught.value)


def test_a_bench_that_has_gone_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HIL_BENCH of a bench that has ended is one line with the path."""
    monkeypatch.setenv("HIL_BENCH", str(tmp_path / "gone"))
    with pytest.raises(serial.SerialException, match=r"no bench answers at .*gone"):
        port("hil://ttyAMA1")


def test_the_bench_of_hil_run_is_found_by_rig_and_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """HIL_BENCH is one bench: its rig and board are its names, others are refused."""
    with face.register("here", SmallRig(END_NS)) as served:
        monkeypatch.setenv("HIL_BENCH", str(served.path))
        monkeypatch.setattr(benches, "registered", dict)
        for url in ("hil://ttyAMA1", "hil://small/ttyAMA1", "hil://none/ttyAMA1"):
            with port(url, 115_200) as one:
                one.write(b"x")
                assert one.read() == b"x"
        with pytest.raises(serial.SerialException, match="is board 'none', rig 'small'"):
            port("hil://other/ttyAMA1")


def test_registering_what_is_no_line_is_refused(terminal: tuple[Terminal, face.Served]) -> None:
    """A name that is taken, a thing without lines and a closed bench are named."""
    with pytest.raises(UsageError, match="'term': there is one of that name"):
        face.register("term", Terminal())
    with pytest.raises(UsageError, match="give a rig or a device, not a int"):
        face.register("x", 5)
    terminal[1].close()
    with pytest.raises(UsageError, match="'term' has ended"):
        terminal[1].do(lambda: None)


def test_python_can_uses_the_serial_adapter_of_a_can_bus() -> None:
    """``interface="slcan"`` on a hil:// channel sends and receives frames of the emulated bus."""
    can = pytest.importorskip("can")
    with face.register("small", SmallRig(END_NS)) as served:
        assert served.lines() == ["ttyAMA1", "ttyCAN0"]
        for channel in ("hil://ttyCAN0", "hil://small/ttyCAN0"):
            options = {"bitrate": 500_000, "sleep_after_open": 0}
            with can.Bus(interface="slcan", channel=channel, **options) as bus:
                bus.send(can.Message(arbitration_id=0x120, data=b"abc", is_extended_id=False))
                answer = bus.recv(60)
                assert (answer.arbitration_id, bytes(answer.data)) == (0x121, b"abc")
                assert bus.get_version(60) is not None


def test_a_serial_adapter_waits_whatever_the_terminal_was_left_with() -> None:
    """A port on /dev/ttyCAN0 leaves VMIN 0; hil://ttyCAN0 opened after it still has its answer."""
    with face.register("small", SmallRig(END_NS)):
        with port("hil://small/ttyCAN0") as one:
            path = os.ttyname(one.fileno())
        serial.Serial(path).close()
        with port("hil://small/ttyCAN0") as one:
            one.write(b"V\r")
            assert one.read(6).startswith(b"V")


# A port


def test_a_port_needs_a_url_and_opens_once() -> None:
    """Without a URL and when it is open, open() says so; a closed port does nothing."""
    one = serial.serial_for_url("hil://loop", do_not_open=True)
    for act in (one.read, one.flush, one.fileno, one.reset_input_buffer, lambda: one.cts):
        with pytest.raises(serial.PortNotOpenError):
            act()
    one.open()
    with pytest.raises(serial.SerialException, match="already open"):
        one.open()
    one.port = "hil://loop?baud=1200"
    assert (one.is_open, one.baudrate) == (True, 1200)
    one.close()
    one.close()
    one.port = None
    with pytest.raises(serial.SerialException, match="no URL yet"):
        one.open()


def test_settings_reach_the_emulated_line(terminal: tuple[Terminal, face.Served]) -> None:
    """Rate, size, parity, stop bits and flow control are those of the UART."""
    _, served = terminal
    bus = served.exchange.lanes[0].bus
    with port("hil://term", 57_600, parity="O", stopbits=2, bytesize=7, rtscts=True) as one:
        assert served.do(lambda: (bus.setting, bus.flow)) == ((57_600, 7, "O", 2), True)
        one.rtscts, one.stopbits = False, 1.5
        assert served.do(lambda: (bus.setting.stop_bits, bus.flow)) == (1.5, False)


def test_a_wrong_setting_shows_as_on_the_wire(terminal: tuple[Terminal, face.Served]) -> None:
    """At a quarter of the rate zeros are framing errors, counted, and nothing is read."""
    device, served = terminal
    with port("hil://term", 115_200 * 4, timeout=0) as one:
        now_ns = served.do(lambda: served.exchange.kernel.now_ns)
        served.do(lambda: device.uart_send(now_ns, bytes(4)))
        one.write(b"x")
        one.flush()
        assert one.icount()["tx"] == 1
        served.do(lambda: served.exchange.kernel.run_until(now_ns + 10_000_000))
        assert one.icount()["frame"] == 4
        assert one.read(10) == b""


def test_a_setting_that_no_line_has_is_refused() -> None:
    """A rate of zero is a ValueError as for any port; a line that is busy a SerialException."""
    with port("hil://loop") as one:
        with pytest.raises(ValueError, match="baudrate"):
            one.baudrate = 0
        one.baudrate, one.exclusive = 9600, True
        with pytest.raises(serial.SerialException, match=r"cannot be set so: .*busy"):
            port("hil://loop")


def test_modem_lines_and_breaks_reach_the_device(terminal: tuple[Terminal, face.Served]) -> None:
    """RTS, DTR and break are the device's inputs, CTS, DSR, RI and CD its outputs."""
    device, served = terminal
    with port("hil://term", 115_200) as one:
        one.rts = False
        assert served.do(lambda: device.modem) == (0, 1)
        served.do(lambda: device.uart_lines(0, cts=0, ri=1))
        assert (one.cts, one.dsr, one.ri, one.cd) == (False, True, True, True)
        one.send_break(0.001)
        one.write(b"\n")
        assert one.readline() == b"\n"
        assert served.do(lambda: device.breaks) == 1
    assert served.do(lambda: device.modem) == (0, 0)


def test_rs485_hears_itself() -> None:
    """RS485Settings are the line's: with loopback a port reads what it sends."""
    rs485 = pytest.importorskip("serial.rs485")
    with face.register("bus", Terminal()), port("hil://bus", 115_200) as one:
        one.rs485_mode = rs485.RS485Settings(loopback=True, delay_before_tx=0.001)
        one.write(b"me")
        assert one.read(2) == b"me"


def test_a_read_ends_with_what_is_there() -> None:
    """At its timeout, when octets pause for longer than said, or when it is cancelled."""
    with port("hil://loop", 115_200, timeout=0.02) as one:
        one.write(b"ab")
        one.flush()
        assert one.read(10) == b"ab"
        one.timeout, one.inter_byte_timeout = None, 0.02
        one.write(b"cd")
        assert one.read(10) == b"cd"
        one.inter_byte_timeout = None
        one.cancel_read()
        assert one.read(10) == b""
        reader = threading.Timer(0.01, one.cancel_read)
        reader.start()
        assert one.read(10) == b""
        reader.join()


def test_a_write_waits_for_the_line_until_its_timeout() -> None:
    """At 300 baud a kilo-octet is not taken in time; without waiting only so much is."""
    with port("hil://loop", 300, write_timeout=0.02) as one:
        with pytest.raises(serial.SerialTimeoutException):
            one.write(bytes(2000))
        one.reset_output_buffer()
        assert one.out_waiting == 0
        one.write_timeout = 0
        taken = sum(one.write(bytes(500)) for _ in range(40))
        assert 0 < taken < 20_000
        one.write_timeout = None
        one.cancel_write()
        assert one.write(bytes(100)) >= 0
        one.reset_output_buffer()


def test_closing_sends_what_was_written_unless_it_is_held_back() -> None:
    """A port that closes at once still gets its octets out; one that XOFF stops does not wait."""
    device = Terminal()
    with face.register("term", device) as served:
        one = port("hil://term", 115_200)
        one.write(b"last words")
        one.close()
        assert served.do(lambda: device.heard) == b"last words"
        one = port("hil://term", 115_200, rtscts=True)
        served.do(lambda: device.uart_lines(0, cts=0))
        one.write(b"stuck")
        one.close()
        assert served.do(lambda: device.heard) == b"last words"


def test_the_descriptor_can_be_selected() -> None:
    """fileno() is ready for reading exactly while there are octets, and for writing while idle."""
    with port("hil://loop", 115_200) as one:
        assert not os.get_inheritable(one.fileno())
        assert select.select([one], [one], [], 0) == ([], [one], [])
        one.write(b"abc")
        assert select.select([one], [], [], 60)[0] == [one]
        one.read(3)
        assert select.select([one], [], [], 0)[0] == []
        one.write(b"abc")
        assert select.select([one], [], [], 60)[0] == [one]
        assert one.in_waiting > 0
        one.flush()
        assert one.in_waiting == 3
        one.reset_input_buffer()
        assert select.select([one], [], [], 0)[0] == []


def test_asyncio_reads_and_writes_the_descriptor() -> None:
    """An event loop with add_reader and add_writer moves a kilo-octet through a loop."""

    async def echo() -> bytes:
        loop, got, done = asyncio.get_running_loop(), bytearray(), asyncio.Event()
        data = memoryview(bytes(range(256)) * 4)
        with port("hil://loop", 921_600, timeout=0, write_timeout=0) as one:

            def write() -> None:
                nonlocal data
                data = data[one.write(data) :]
                if not data:
                    loop.remove_writer(one.fileno())

            def read() -> None:
                got.extend(one.read(100))
                if len(got) == 1024:
                    done.set()

            loop.add_reader(one.fileno(), read)
            loop.add_writer(one.fileno(), write)
            await asyncio.wait_for(done.wait(), 60)
            loop.remove_reader(one.fileno())
        return bytes(got)

    assert asyncio.run(echo()) == bytes(range(256)) * 4


def test_two_ports_talk_over_a_null_modem() -> None:
    """What one writes the other reads; RTS of one is CTS of the other."""
    with face.register("pair", face.null_modem("a", "b")):
        with port("hil://a", 115_200) as a, port("hil://pair/b", 115_200) as b:
            a.write(b"ping")
            assert b.read(4) == b"ping"
            b.write(b"pong")
            assert a.read(4) == b"pong"
            a.rts = False
            assert (b.cts, b.dsr, b.cd) == (False, True, True)
        with pytest.raises(serial.SerialException, match="no such device"):
            port("hil://pair/c")


def test_a_bench_that_ends_is_an_error_and_no_hang(terminal: tuple[Terminal, face.Served]) -> None:
    """A port whose bench is closed says so when it is read, written or asked, and closes."""
    one = port("hil://term", 115_200)
    terminal[1].close()
    for act in (one.read, lambda: one.write(b"x"), lambda: one.cts, one.flush):
        with pytest.raises(serial.SerialException, match="hil://term"):
            act()
    one.close()


def test_the_loop_is_one_line_for_all_and_goes_with_the_last() -> None:
    """Two ports on hil://loop are on the same line; no thread stays behind."""
    before = threading.active_count()
    with port("hil://loop", 115_200) as one, port("hil://loop", 115_200) as other:
        one.write(b"both")
        assert (one.read(4), other.read(4)) == (b"both", b"both")
    assert threading.active_count() == before


def test_a_child_that_ends_leaves_the_bench_to_its_parent() -> None:
    """The child of a fork takes no bench along when it ends, and no descriptor of a port."""
    program = """
import os, sys, serial
import hil.faces.pyserial as face

class Echo:
    def uart_receive(self, t_ns, data):
        self.uart_send(t_ns, data)

with face.register("term", Echo()) as served:
    if os.fork() == 0:
        served.close()
        sys.exit()
    os.wait()
    with serial.serial_for_url("hil://term", 115200, timeout=5) as port:
        port.write(b"x")
        print(port.read(1), any(map(os.get_inheritable, (port.fileno(), *port._cancels))))
"""
    run = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("b'x' False\n", "")


def test_what_the_bench_itself_does_may_ask_it_too(
    terminal: tuple[Terminal, face.Served],
) -> None:
    """``do`` within ``do`` is done at once: the thread of the bench waits for nobody."""
    served = terminal[1]
    assert served.do(lambda: served.do(lambda: 7)) == 7


def test_a_process_that_forgets_its_ports_ends() -> None:
    """Neither an open port nor a registered bench keeps a program from its end."""
    program = """
import serial, hil.faces.pyserial as face
served = face.register("pair", face.null_modem("a", "b"))
port = serial.serial_for_url("hil://loop")
port.write(b"x")
print(port.read())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("b'x'\n", "")


@pytest.mark.parametrize("nth", [0, 1])
def test_the_programs_of_the_manual_run(nth: int) -> None:
    """What docs/serial.md shows works as it stands."""
    text = (ROOT / "docs" / "serial.md").read_text()
    exec(compile(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[nth], "serial.md", "exec"), {})


def test_the_manual_names_every_option() -> None:
    """Each setting that a URL takes stands in docs/serial.md."""
    text = (ROOT / "docs" / "serial.md").read_text()
    assert [option for option in OPTIONS if f"`{option}`" not in text] == []
