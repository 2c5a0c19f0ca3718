"""Boards without boards: what an emulation is to the host, and the real firmware's buses on it."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hil.board import BusSpec, PartSpec
from hil.boards import emulate_qemu, emulate_rp2040js, emulators, hexfile
from hil.boards.emulator import Emulator
from hil.boards.silicon import Silicon
from hil.errors import BoardError, HostError, UsageError
from hil.testing.contracts.board import open_session, opened
from hil.testing.contracts.board_bench import BOOT, RESET, BoardBench, Identity

FIRMWARE = Path(__file__).resolve().parents[3] / "boards" / "firmware"
UID = bytes.fromhex("0011223344556677")
I2C = BusSpec("i2c-1", "i2c", 0, {"bitrate_hz": 400_000, "high_speed_hz": 0})
SPI = BusSpec("spi-0", "spi", 1, {})
#: what HELLO may take (docs/board-protocol.md)
HELLO_S = 1.5
OK, NAK_ADDRESS, UNSUPPORTED = 0, 1, 6
I2C_CONFIG, I2C_XFER, I2C_RECOVER, SPI_XFER = 0x10, 0x11, 0x12, 0x19
GPIO_CONFIG, GPIO_WRITE, GPIO_READ, GPIO_EDGE = 0x28, 0x29, 0x2A, 0xC9
READ, TEN, NOSTART, NONE = 0x8000, 0x4000, 0x2000, 0xFF
#: octets of flash
LARGEST = 10_240
POWER_ON, EXTERNAL, BROWN_OUT, SOFTWARE = 1, 2, 3, 5

#: (type, kind) of every emulation that runs an image
EMULATED = [
    ("posix", "posix"),
    ("mps2-an385", "qemu"),
    ("lm3s6965evb", "qemu"),
    ("microbit", "qemu"),
    ("nucleo_f4", "qemu"),
    ("pico", "rp2040js"),
]


@contextmanager
def emulated(name: str, kind: str, silicon: Silicon | None = None, **options: object):
    """Start an emulation, or skip by the name of what it lacks here."""
    if (lack := emulators.missing(kind)) is not None:
        pytest.skip(lack)
    with emulators.start(name, kind, silicon, uid=UID, **options) as board:
        yield board


@contextmanager
def session(board: Emulator) -> Iterator[tuple[BoardBench, Identity]]:
    """Open a board's port and a session with it, as fast as the protocol wants it."""
    with opened(board.port) as fd:
        bench = BoardBench(fd, HELLO_S)
        who = open_session(bench)
        bench.patience_s = 20.0
        yield bench, who


def xfer(
    bench: BoardBench, *messages: tuple[int, bytes | int], flags: int = 0
) -> tuple[int, int, int, bytes]:
    """Run an I2C transaction; return status, taken, failed and the octets read."""
    payload = bytes((0, flags))
    for address, what in messages:
        if isinstance(what, int):
            payload += struct.pack("<HB", address | READ, what)
        else:
            payload += struct.pack("<HB", address, len(what)) + what
    reply = bench.request(I2C_XFER, payload)
    if len(reply.payload) < 7:
        return reply.status, NONE, NONE, b""
    return reply.status, reply.data[4], reply.data[5], reply.data[6:]


def thermometer() -> Silicon:
    """Return an LM75B at 0x48, as warm as the board."""
    world = {"temperature_c": "thermal.board_c"}
    return Silicon.of((PartSpec("temp", "lm75", "i2c-1", 0x48, world=world),), (I2C,))


@pytest.fixture(scope="module", params=EMULATED, ids=lambda pair: pair[0])
def board(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """Start each emulation once."""
    with emulated(*request.param) as running:
        yield running


# --- what it is to the host ----------------------------------------------------------------------


def test_hello_names_board_and_number(board: Emulator) -> None:
    """HELLO comes within its time with the board's type and the number that it was given."""
    with session(board) as (_, who):
        assert who.board == board.type.name
        assert who.firmware.startswith("hilwire-")
        assert who.uid == UID == board.uid


def test_resets_are_told_apart(board: Emulator) -> None:
    """The reset button and the RESET request each end in a BOOT with its cause."""
    with session(board) as (bench, who):
        board.reset()
        told = [Identity.of(bench.event(BOOT).payload)]
        open_session(bench)
        assert bench.request(RESET, b"\0").status == OK
        told.append(Identity.of(bench.event(BOOT).payload))
        assert [one.reset_cause for one in told] == [EXTERNAL, SOFTWARE]
        assert len({who.boot_id, told[0].boot_id, told[1].boot_id}) == 3


def test_replugged_it_is_the_same_board_with_power_just_on(board: Emulator) -> None:
    """Unplugged its port is gone and says so; replugged it has another boot and the same number."""
    with session(board) as (_, before):
        pass
    board.unplug()
    assert board.identity is None
    assert not board.is_running
    with pytest.raises(BoardError, match="unplugged: replug it first"):
        _ = board.port
    port = board.replug()
    assert board.identity is not None
    assert board.identity.path == port == board.port
    with session(board) as (_, who):
        assert (who.uid, who.reset_cause) == (UID, POWER_ON)
        assert who.boot_id != before.boot_id


def test_a_board_with_power_of_its_own_runs_on_while_unplugged() -> None:
    """With ``is_powered`` the replugged board is in the same boot, on a tty of its cable."""
    with emulated("posix", "posix", line={}) as board:
        with session(board) as (_, before):
            pass
        board.unplug(is_powered=True)
        assert board.is_running
        board.replug()
        with session(board) as (_, who):
            assert who.boot_id == before.boot_id


def test_causes_that_an_emulation_does_not_know_are_refused(board: Emulator) -> None:
    """A reset by a cause that it cannot have names those that it has."""
    with pytest.raises(BoardError, match=r"cannot be reset by 'lightning'.*external"):
        board.reset("lightning")


def test_brown_outs_are_told() -> None:
    """On silicon that tells a brown-out the emulation tells it; the Pico's is a power-on."""
    for name, kind, cause in (("posix", "posix", BROWN_OUT), ("pico", "rp2040js", POWER_ON)):
        with emulated(name, kind) as board, session(board) as (bench, _):
            board.reset("brown-out")
            assert Identity.of(bench.event(BOOT).payload).reset_cause == cause


def test_a_kind_that_the_type_lacks_is_refused() -> None:
    """An emulation that the type's file does not have is named with those that it has."""
    with pytest.raises(UsageError, match="posix has no emulation 'qemu'; it has: posix"):
        emulators.start("posix", "qemu")


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("qemu", "microbit", "no program qemu-system-arm; apt-get install"),
        ("rp2040js", "pico", "no program node; apt-get install"),
    ],
)
def test_a_program_that_is_missing_is_named_with_its_package(
    kind: str, name: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where an emulator is not installed one line says which, and how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match=words):
        emulators.start(name, kind)


def test_a_library_that_is_missing_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where node is but not the library, the command that gets it is in the message."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("FLATSAT_NODE_MODULES", raising=False)
    lack = emulate_rp2040js.missing()
    assert lack is not None
    assert "nodejs" in lack or f"npm install --prefix {tmp_path}/flatsat rp2040js@" in lack


OWNER = """
import sys
from hil.boards import emulators
board = emulators.start(sys.argv[1], sys.argv[2])
print(open(f"/proc/self/task/{__import__('os').getpid()}/children").read(), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("name", "kind"), EMULATED)
def test_an_emulator_ends_with_its_owner(name: str, kind: str) -> None:
    """When the process that started it is killed, nothing of the emulation is left."""
    if (lack := emulators.missing(kind)) is not None:
        pytest.skip(lack)
    command = [sys.executable, "-c", OWNER, name, kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        for pid in list(pids):
            pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        assert pids
        watched = [os.pidfd_open(pid) for pid in pids]
        owner.send_signal(signal.SIGKILL)
    for fd in watched:
        assert select.select([fd], [], [], 20.0)[0], f"one of {pids} has outlived its owner"
        os.close(fd)


@pytest.mark.parametrize(("name", "kind"), [("posix", "posix"), ("microbit", "qemu")])
def test_what_cannot_be_started_leaves_nothing_behind(name: str, kind: str) -> None:
    """A line that cannot be, or an image that is not there, is told, and no process is left."""
    if (lack := emulators.missing(kind)) is not None:
        pytest.skip(lack)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    with pytest.raises(UsageError, match="-1 baud"):
        emulators.start(name, kind, line={"baud": -1})
    if kind != "posix":
        with pytest.raises(HostError, match=r"no image nonesuch\.hex; `make -C boards/firmware`"):
            emulators.start(name, kind, image="nonesuch.hex")
    assert children.read_text() == before


def test_the_firmware_of_this_computer_reads_silicon() -> None:
    """Given silicon, the firmware finds it where this computer's own bus would be."""
    words = ("--device", "i2c0=/dev/i2c-1")
    with emulated("posix", "posix", thermometer(), arguments=words) as board:
        board.feel({"thermal.board_c": -10.5})
        with session(board) as (bench, _):
            assert xfer(bench, (0x48, b"\3"), (0x48, 2)) == (OK, NONE, NONE, b"\x50\x00")
            assert xfer(bench, (0x50, b"\0"))[0] == NAK_ADDRESS


# --- sensors that QEMU models --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lm3s6965evb", "mps2-an385"])
def test_the_firmware_reads_qemus_sensor(name: str) -> None:
    """What the world is felt to be is what the firmware reads of QEMU's tmp105."""
    with emulated(name, "qemu", thermometer()) as board, session(board) as (bench, _):
        for celsius, word in ((25.0, 0x1900), (-10.5, 0xF580), (84.0, 0x5400), (200.0, 0x7D00)):
            board.feel({"thermal.board_c": celsius})
            read = xfer(bench, (0x48, b"\0"), (0x48, 2))
            assert read == (OK, NONE, NONE, word.to_bytes(2, "big")), celsius


@pytest.mark.parametrize("name", ["lm3s6965evb", "mps2-an385"])
def test_the_firmware_finds_nobody_at_an_empty_address(name: str) -> None:
    """A write and a read to an empty address end with its NAK, and the bus goes on."""
    with emulated(name, "qemu", thermometer()) as board, session(board) as (bench, _):
        assert xfer(bench, (0x50, b"\0")) == (NAK_ADDRESS, 0, 0, b"")
        assert xfer(bench, (0x50, 2)) == (NAK_ADDRESS, 0, 0, b"")
        if name == "lm3s6965evb":  # QEMU does not look who is at the address of a repeated START
            assert xfer(bench, (0x48, b"\3"), (0x51, 2)) == (NAK_ADDRESS, 0, 1, b"")
        assert bench.request(I2C_RECOVER, b"\0").status == OK
        assert xfer(bench, (0x48, b"\3"), (0x48, 2)) == (OK, NONE, NONE, b"\x50\x00")


def test_i2c_by_software_has_every_shape() -> None:
    """Empty writes, ten-bit addresses, pieces of messages, held buses: all go over the wires."""
    with emulated("mps2-an385", "qemu", thermometer()) as board, session(board) as (bench, _):
        assert xfer(bench, (0x48, b"")) == (OK, NONE, NONE, b"")
        assert xfer(bench, (0x49, b"")) == (NAK_ADDRESS, 0, 0, b"")
        assert xfer(bench, (0x2A5 | TEN, b"\0")) == (NAK_ADDRESS, 0, 0, b"")
        assert xfer(bench, (0x48, b"\2"), (0x48 | NOSTART, b"\x4c\x80"))[0] == OK
        assert (
            xfer(bench, (0x48, b"\2"), flags=1)[0] == OK
        )  # held: the next START is a repeated one
        assert xfer(bench, (0x48, 1), (0x48 | NOSTART, 1)) == (OK, NONE, NONE, b"\x4c\x80")
        for hz, least in ((100_000, 50_000), (400_000, 200_000)):
            told = bench.request(I2C_CONFIG, b"\0" + hz.to_bytes(4, "little")).data
            assert least < int.from_bytes(told, "little") <= hz


def test_a_controller_without_empty_writes_says_so() -> None:
    """The LM3S6965 cannot send an address alone: that is unsupported, and not a guess."""
    with emulated("lm3s6965evb", "qemu", thermometer()) as board, session(board) as (bench, _):
        assert xfer(bench, (0x48, b""))[0] == UNSUPPORTED


def test_parts_that_qemu_does_not_model_are_refused() -> None:
    """A part for which QEMU has no model, or a board without a bus, is named with what there is."""
    if (lack := emulate_qemu.missing()) is not None:
        pytest.skip(lack)
    monitor = Silicon.of((PartSpec("monitor", "ina3221", "i2c-1", 0x40),), (I2C,))
    with monitor, pytest.raises(BoardError, match="monitor, a ina3221: QEMU models lm75 there"):
        emulators.start("lm3s6965evb", "qemu", monitor)
    with thermometer() as silicon, pytest.raises(BoardError, match="QEMU models no part there"):
        emulators.start("microbit", "qemu", silicon)


def test_what_qemu_says_is_the_error() -> None:
    """An emulation that QEMU refuses ends in its last words."""
    if (lack := emulate_qemu.missing()) is not None:
        pytest.skip(lack)
    with pytest.raises(BoardError, match="icount"):
        emulators.start("microbit", "qemu", icount="shift=nonesuch")


def test_the_program_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The first lines of docs/emulated-boards.md do what they say."""
    if (lack := emulators.missing("qemu")) is not None:
        pytest.skip(lack)
    page = (FIRMWARE.parents[1] / "docs" / "emulated-boards.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(code, {})
    assert capsys.readouterr().out.startswith("/dev/pts/")


# --- the Pico's pins -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pico() -> Iterator[Emulator]:
    """Start a Pico with a thermometer, a power monitor and a flash on its pins."""
    world = {"temperature_c": "thermal.board_c"}
    parts = (
        PartSpec("temp", "lm75", "i2c-1", 0x48, world=world),
        PartSpec("monitor", "ina3221", "i2c-1", 0x40),
        PartSpec("flash", "w25q16", "spi-0", 0, spi={"mode": 0, "speed_hz": 4_000_000}),
    )
    with emulated("pico", "rp2040js", Silicon.of(parts, (I2C, SPI)), pace="free") as board:
        yield board


def test_the_picos_pins_are_an_i2c_bus(pico: Emulator) -> None:
    """Registers of parts are read and written by way of GP4 and GP5, absent ones are not there."""
    with session(pico) as (bench, _):
        pico.feel({"thermal.board_c": -10.5})
        assert xfer(bench, (0x40, b"\xfe"), (0x40, 2)) == (OK, NONE, NONE, b"TI")
        assert xfer(bench, (0x48, b"\3\x46\x00"))[0] == OK
        assert xfer(bench, (0x48, b"\3"), (0x48, 2)) == (OK, NONE, NONE, b"\x46\x00")
        assert xfer(bench, (0x20, b"\0")) == (NAK_ADDRESS, 0, 0, b"")
        assert xfer(bench, (0x40, b"")) == (OK, NONE, NONE, b"")
        assert bench.request(I2C_RECOVER, b"\0").status == OK
        long = xfer(bench, (0x40, b"\xfe"), (0x40, 80))
        assert long[:3] == (OK, NONE, NONE)
        assert long[3][:2] == b"TI"
        assert len(long[3]) == 80


def test_the_picos_spi_reads_a_flash(pico: Emulator) -> None:
    """A command goes out under one chip select, in one request or in two that hold it."""
    with session(pico) as (bench, _):
        whole = bench.request(SPI_XFER, b"\0\0\0\x9f\0\0\0").data
        assert whole[4:] == b"\xff\xef\x40\x15"
        assert bench.request(SPI_XFER, b"\0\0\1\x9f").status == OK
        assert bench.request(SPI_XFER, b"\0\0\0\0\0\0").data[4:] == b"\xef\x40\x15"


def test_the_picos_pins_are_read_and_told(pico: Emulator) -> None:
    """A pin reads what it drives and what pulls it, and tells edges; a bus's pin is refused."""
    with session(pico) as (bench, _):
        assert bench.request(GPIO_CONFIG, b"\x02\x01\x03").payload == b"\0\1"
        assert bench.request(GPIO_CONFIG, b"\x02\x03\x03").payload == b"\0\0"
        bench.events.clear()
        assert bench.request(GPIO_WRITE, b"\x02\x01").status == OK
        edge = bench.event(GPIO_EDGE).payload
        assert edge[:2] == b"\x02\x01"
        assert bench.request(GPIO_READ, b"\x02").payload == b"\0\1"
        assert bench.request(GPIO_CONFIG, b"\x04\x03\x00").status == 7


def test_a_pico_does_not_start_from_a_second_stage_with_a_wrong_check(tmp_path: Path) -> None:
    """As the boot ROM does, the emulation looks at the check of the second stage."""
    if (lack := emulate_rp2040js.missing()) is not None:
        pytest.skip(lack)
    image = FIRMWARE / "images" / "hilwire-pico.hex"
    damaged = tmp_path / "image.hex"
    damaged.write_text(hexfile.extended(image, {0x1000_0000: b"\0"}))
    with pytest.raises(BoardError, match="has ended at once"):
        emulators.start("pico", "rp2040js", image=str(damaged))


# --- images --------------------------------------------------------------------------------------


def test_octets_are_added_to_an_image(tmp_path: Path) -> None:
    """An image with further octets has them, and its own."""
    image = tmp_path / "image.hex"
    lines = [hexfile.record(0, 0x10, b"abc"), hexfile.record(0, 0x13, b"d"), ":00000001FF"]
    image.write_text("\n".join(lines))
    text = hexfile.extended(image, {0x0803_FFF8: UID})
    assert hexfile.memory(text, "image") == {0x10: b"abcd", 0x0803_FFF8: UID}


@pytest.mark.parametrize("line", ["", "x", ":00", ":0000000100", "0000001FF", ":01000000FF01"])
def test_damaged_images_are_named(line: str) -> None:
    """A line that is no Intel HEX is named by its number."""
    text = f":00000001FF\n{line or 'z'}\n"
    with pytest.raises(BoardError, match="image: line 2 is no Intel HEX"):
        hexfile.memory(text, "image")


@pytest.mark.parametrize("image", sorted((FIRMWARE / "images").glob("*.hex")), ids=lambda p: p.stem)
def test_images_are_small(image: Path) -> None:
    """No image takes more of the flash than the largest has a use for."""
    pieces = hexfile.memory(image.read_text(), image.name)
    assert sum(map(len, pieces.values())) <= LARGEST
