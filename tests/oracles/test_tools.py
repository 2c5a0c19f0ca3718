"""Debian's bus tools, unmodified, on the emulated buses: `hil run -- CMD`."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)


def run(
    folder: Path, *command: str, pace: str = "max", board: str = "raspberrypi4"
) -> subprocess.CompletedProcess[str]:
    """Run a tool on the bench of the default board; skips where the tool is missing."""
    if not shutil.which(command[0], path=PATH):
        pytest.skip(f"{command[0]} is not installed")
    words = [sys.executable, "-m", "hil", "run", "--pace", pace, "--out", str(folder / "run"), "-q"]
    words += ["--board", board]
    env = {**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*words, "--", *command], capture_output=True, text=True, env=env, cwd=folder, timeout=120
    )


def test_i2cget_reads_the_identity_of_the_tmp117(tmp_path: Path) -> None:
    """The part id is 0117h, which SMBus words give with the octets swapped (SNOSD82, 8.6)."""
    done = run(tmp_path, "i2cget", "-y", "1", "0x48", "0x0f", "w", pace="real")
    assert (done.stdout, done.stderr, done.returncode) == ("0x1701\n", "", 0)
    known = json.loads((tmp_path / "run" / "run.json").read_text())
    assert known["counters"]["host"]["requests"] == 1
    assert known["exit_code"] == 0


def test_i2cdetect_finds_the_parts_of_the_board(tmp_path: Path) -> None:
    """A scan shows exactly the addresses of the board file."""
    done = run(tmp_path, "i2cdetect", "-y", "1")
    rows = [line.split(":")[1].split() for line in done.stdout.splitlines()[1:]]
    found = {octet for row in rows for octet in row if octet != "--"}
    assert found == {"40", "48", "49", "6a"}


def test_i2cdetect_lists_the_adapter(tmp_path: Path) -> None:
    """The list of adapters names ours, as sysfs does."""
    done = run(tmp_path, "i2cdetect", "-l")
    assert done.stdout.split()[:3] == ["i2c-1", "i2c", "bcm2835"]


def test_i2ctransfer_writes_and_reads(tmp_path: Path) -> None:
    """One transaction of a write and a read with a repeated start."""
    done = run(tmp_path, "i2ctransfer", "-y", "1", "w1@0x48", "0x0f", "r2")
    assert done.stdout == "0x01 0x17\n"


def test_i2cset_writes_what_i2cdump_shows(tmp_path: Path) -> None:
    """A register written by one program is read by the next, on the same bench."""
    script = "i2cset -y 1 0x48 0x02 0x0010 w && i2cdump -y -r 0x02-0x02 1 0x48 w"
    done = run(tmp_path, "sh", "-c", script)
    if "not found" in done.stderr:
        pytest.skip("i2c-tools is not installed")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].split()[:2] == ["00:", "0010"] or "0010" in done.stdout


def test_a_nak_is_the_errno_of_the_adapter(tmp_path: Path) -> None:
    """Where nobody answers, i2c-bcm2835 says EREMOTEIO, and the tool ends with an error."""
    done = run(tmp_path, "i2ctransfer", "-y", "1", "r1@0x2f")
    assert done.returncode == 1
    assert "Remote I/O error" in done.stderr


@pytest.mark.parametrize(("command", "code"), [(("true",), 0), (("sh", "-c", "exit 7"), 7)])
def test_the_exit_code_is_passed_on(tmp_path: Path, command: tuple[str, ...], code: int) -> None:
    """`hil run -- CMD` ends as CMD did."""
    assert run(tmp_path, *command).returncode == code


def test_device_files_are_seen(tmp_path: Path) -> None:
    """`ls` and `test` find the nodes and take them for character devices."""
    done = run(tmp_path, "sh", "-c", "ls /dev/i2c-* && test -c /dev/i2c-1 && ls -l /dev/i2c-1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "/dev/i2c-1"
    assert done.stdout.splitlines()[1].startswith("crw-rw---- 1")
    assert "89, 1" in done.stdout


def test_spi_config_sets_what_the_next_program_finds(tmp_path: Path) -> None:
    """Mode and clock belong to the device: they stay when the program that set them ends."""
    if not shutil.which("spi-config", path=PATH):
        pytest.skip("spi-config is not installed")
    script = "spi-config -d /dev/spidev0.0 -s 1000000 -m 3; spi-config -q -d /dev/spidev0.0"
    done = run(tmp_path, "sh", "-c", script)
    assert done.stdout.split(": ")[1] == "mode=3, lsb=0, bits=8, speed=1000000, spiready=0\n"


def test_spi_pipe_reads_the_identity_of_the_flash(tmp_path: Path) -> None:
    """Read Manufacturer and Device ID (9Fh) of the W25Q128JV gives EF 40 18."""
    if not shutil.which("spi-pipe", path=PATH):
        pytest.skip("spi-pipe is not installed")
    script = r"printf '\237\0\0\0' | spi-pipe -d /dev/spidev0.0 -b 4 | od -An -tx1"
    assert run(tmp_path, "sh", "-c", script).stdout.split()[1:] == ["ef", "40", "18"]


def test_gpio_tools_find_read_and_hear(tmp_path: Path) -> None:
    """gpiodetect, gpioinfo, gpioget and gpiomon of libgpiod 1.6 work on version 1's structs."""
    if not shutil.which("gpiomon", path=PATH):
        pytest.skip("gpiod is not installed")
    script = "gpiodetect; gpioinfo | wc -l; gpioget gpiochip0 25 23; gpiomon -n 2 gpiochip0 18"
    done = run(tmp_path, "sh", "-c", script, pace="x30")
    lines = done.stdout.splitlines()
    assert lines[:3] == ["gpiochip0 [gpiochip0] (58 lines)", "59", "1 0"]
    assert [line.split()[1] for line in lines[3:]] == ["RISING", "FALLING"]


def flash_board(folder: Path) -> str:
    """Return a board with a W25Q16, and how flashrom reaches it."""
    board = (ROOT / "boards" / "raspberrypi4.toml").read_text()
    (folder / "small.toml").write_text(board.replace('"w25q128"', '"w25q16"'))
    return "linux_spi:dev=/dev/spidev0.0,spispeed=20000"


def test_flashrom_rewrites_a_whole_w25q16(tmp_path: Path) -> None:
    """An image over another one: every sector is erased once, written and verified."""
    programmer = flash_board(tmp_path)
    for seed in (1, 2):
        (tmp_path / f"image{seed}").write_bytes(random.Random(seed).randbytes(2 << 20))
    write = f"flashrom -p {programmer} -w {tmp_path}/image"
    if not shutil.which("flashrom", path=PATH):
        pytest.skip("flashrom is not installed")
    done = run(
        tmp_path,
        *("sh", "-c", f"{write}1 && echo FIRST && {write}2"),
        pace="x300",
        board=str(tmp_path / "small.toml"),
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("FIRST")
    assert "VERIFIED" in first
    assert "VERIFIED" in second
    counters = json.loads((tmp_path / "run" / "run.json").read_text())["counters"]
    flash = next(part for part in counters.values() if "erases" in part)
    assert (flash["erases"], flash["most_erased"]) == (512, 1)
    assert flash["sectors_in_use"] == 512


def test_flashrom_writes_and_verifies_a_w25q16(tmp_path: Path) -> None:
    """flashrom reads, erases, writes and verifies 2 MiB, of which it changes 64 KiB here."""
    programmer = flash_board(tmp_path)
    (tmp_path / "image").write_bytes((bytes(range(256)) * 256).ljust(2 << 20, b"\xff"))
    done = run(
        tmp_path,
        "flashrom",
        *("-p", programmer, "-w", str(tmp_path / "image")),
        pace="x100",
        board=str(tmp_path / "small.toml"),
    )
    assert "VERIFIED" in done.stdout, done.stdout
    assert done.returncode == 0
