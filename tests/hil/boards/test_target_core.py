"""The front end of the firmware's core, called as the interrupt of a board calls it."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CORE = ROOT / "boards" / "firmware" / "core"
HERE = Path(__file__).resolve().parent / "hosttarget"
CONFIG, WRITE, BUSY = 0x38, 0x39, 13
WRITING, READING = 0, 1


class Target:
    """The core with one slot at 0x40."""

    def __init__(self, folder: Path, *flags: str) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("no C compiler here: the firmware's core cannot be built")
        made = folder / "target.so"
        sources = [str(path) for path in sorted(CORE.glob("*.c")) if path.stem != "main"]
        flags += ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")
        includes = [f"-I{HERE}", f"-I{CORE}"]
        command = [compiler, *flags, *includes, "-o", str(made), str(HERE / "hal.c"), *sources]
        subprocess.run(command, check=True)
        self.lib = ctypes.CDLL(str(made))
        self.lib.hw_boot()

    def execute(self, kind: int, payload: bytes) -> int:
        """Have a request of the host done; return its status."""
        reply = ctypes.create_string_buffer(256)
        self.lib.hw_target_execute(kind, payload, len(payload), reply)
        return reply.raw[0]

    def play(self, image: bytes, width: int = 1, pointer: int = 1, fresh_ms: int = 0) -> None:
        """Serve an image, which by default never gets stale."""
        head = struct.pack("<BBHBBBHH", 0, 0, 0x40, width, pointer, 1, fresh_ms, len(image))
        assert self.execute(CONFIG, head) == 0
        assert self.execute(WRITE, b"\0\0\0" + image) == 0

    def put(self, octets: bytes) -> bool:
        """Write as controller, without a STOP; return whether all was acknowledged."""
        done = self.lib.hw_target_start(0, WRITING) & 0xFF
        return bool(done) and all(self.lib.hw_target_write(octet) & 0xFF for octet in octets)

    def get(self, pointer: bytes, nbytes: int) -> bytes:
        """Read from a register on as controller."""
        assert self.put(pointer)
        assert self.lib.hw_target_start(0, READING) & 0xFF
        octets = bytes(self.lib.hw_target_read() & 0xFF for _ in range(nbytes))
        self.lib.hw_target_stop()
        return octets


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """Give the core, built."""
    return Target(tmp_path)


@pytest.mark.parametrize("pointer", [0x8000, 0x8001, 0xFFFF, 0x0004])
def test_registers_behind_the_image_are_ones(target: Target, pointer: int) -> None:
    """A register that the image has not reads as ones, never as the register that the pointer comes
    to when its octet no longer fits 16 bits."""
    target.play(bytes(range(8)), width=2, pointer=2)
    assert target.get(b"\0\2", 2) == b"\4\5"
    assert target.get(pointer.to_bytes(2, "big"), 4) == b"\xff" * 4


def test_busy_controller_does_not_silence_the_board(target: Target) -> None:
    """A controller that comes again with every octet the board sends does not keep it from looking
    at its link: one look tells what had happened when it began, no more."""
    target.play(bytes(8))
    sent = 0

    def come(octet: int) -> None:
        nonlocal sent
        sent += 1
        if sent < 10_000:
            target.get(b"\0", 1)

    target.get(b"\1", 1)
    hook = ctypes.CFUNCTYPE(None, ctypes.c_uint8)(come)
    ctypes.c_void_p.in_dll(target.lib, "host_sending").value = ctypes.cast(
        hook, ctypes.c_void_p
    ).value
    target.lib.hw_poll()
    assert 0 < sent < 200


@pytest.mark.parametrize("flags", [(), ("-DHW_TARGET_SWITCHED",)], ids=["answers", "switched"])
def test_transaction_without_an_end_is_over_with_its_image(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """A controller that went on to somebody else without a STOP that the board sees keeps images
    out for 20 ms at a time, and no longer than until its image is stale and it comes again."""
    target = Target(tmp_path, *flags)
    target.play(bytes(4), fresh_ms=500)
    assert target.put(b"\1")
    assert target.execute(WRITE, b"\0\0\0" + b"\7" * 4) == BUSY
    ctypes.c_uint32.in_dll(target.lib, "host_us").value += 600_000
    target.lib.hw_poll()
    if not flags:  # is asked, refuses, and so knows that the one before is over
        assert not target.put(b"\1")
    assert target.execute(WRITE, b"\0\0\0" + b"\7" * 4) == 0
    assert target.get(b"\1", 2) == b"\7\7"


def test_slot_that_stays_busy_goes_on_listening(target: Target) -> None:
    """A slot that could not be configured anew for its controller still answers, and so learns of
    the end of what kept it."""
    target.play(bytes(4))
    assert target.put(b"\1")
    listening = ctypes.c_uint8.in_dll(target.lib, "host_listening")
    assert target.execute(CONFIG, struct.pack("<BBHBBBHH", 0, 0, 0x41, 1, 1, 1, 0, 4)) == BUSY
    assert listening.value == 1


def test_image_is_served_whole_or_not_at_all(target: Target) -> None:
    """Before its last octet has been written the image is stale, and the controller refused."""
    head = struct.pack("<BBHBBBHH", 0, 0, 0x40, 1, 1, 1, 0, 4)
    assert target.execute(CONFIG, head) == 0
    assert not target.put(b"\0")
    assert target.execute(WRITE, b"\0\0\0\1\2\3") == 0
    assert not target.put(b"\0")
    assert target.execute(WRITE, b"\0\3\0\4") == 0
    assert target.get(b"\0", 4) == b"\1\2\3\4"


def test_image_of_before_is_not_served_for_another_slot(target: Target) -> None:
    """A slot that is configured anew has no image until one is written."""
    target.play(bytes(4))
    assert target.execute(CONFIG, struct.pack("<BBHBBBHH", 0, 0, 0x41, 1, 1, 1, 0, 4)) == 0
    assert not target.put(b"\0")
