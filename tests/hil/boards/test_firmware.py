"""The firmware as it is built: its size on the smallest processor, its images, its compilers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).resolve().parents[3] / "boards" / "firmware"
CORE = sorted((FIRMWARE / "core").glob("*.c"))
#: What every board has: octets, frames, session, requests of the system. The rest are roles.
PROTOCOL = ("main", "link", "dispatch")
FLASH_NBYTES, RAM_NBYTES = 2048, 614
IMAGES = sorted((FIRMWARE / "images").glob("*.hex"))
#: compiler, flags for its processor, folder of a board.h
COMPILERS = {
    "gcc": ("gcc", [], "posix"),
    "clang": ("clang", [], "posix"),
    "avr-gcc": ("avr-gcc", ["-mmcu=atmega328p"], "avr"),
    "arm-none-eabi-gcc": ("arm-none-eabi-gcc", ["-mcpu=cortex-m0", "-mthumb"], "microbit"),
}


def needs(*programs: str) -> None:
    """Skip where a program is not installed, by its name."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def run(*command: str | Path) -> str:
    """Run a command that must succeed; return what it said."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make(build: Path, *goals: str) -> str:
    """Make goals with a build folder of their own, images included."""
    return run("make", "-C", FIRMWARE, f"BUILD={build}", f"IMAGES={build}/images", *goals)


def test_core_fits_the_smallest_processor(tmp_path: Path) -> None:
    """On an ATmega328P the protocol takes 2 KB of flash, and the core with every role 614 octets of
    RAM, buffers and a register image included."""
    needs("make", "avr-gcc", "avr-size")
    objects = {path.stem: tmp_path / "avr" / "core" / f"{path.stem}.o" for path in CORE}
    make(tmp_path, *map(str, objects.values()))
    sizes = {}
    for name, path in objects.items():
        text, data, bss = run("avr-size", path).splitlines()[1].split()[:3]
        sizes[name] = (int(text) + int(data), int(data) + int(bss))
    flash = sum(sizes[name][0] for name in PROTOCOL)
    ram = sum(size[1] for size in sizes.values())
    assert 1000 < flash <= FLASH_NBYTES, sizes
    assert 300 < ram <= RAM_NBYTES, sizes


@pytest.mark.parametrize("compiler", COMPILERS)
def test_core_is_clean_for_every_compiler(compiler: str, tmp_path: Path) -> None:
    """The core compiles without a warning, for processors of 8, 32 and 64 bits."""
    needs(compiler)
    program, flags, board = COMPILERS[compiler]
    for path in CORE:
        options = ["-std=c11", "-Os", "-Wall", "-Wextra", "-Werror", *flags]
        folders = [f"-I{FIRMWARE / 'core'}", f"-I{FIRMWARE / board}", f"-I{FIRMWARE / 'cortexm'}"]
        run(program, *options, *folders, "-c", path, "-o", tmp_path / f"{path.stem}.o")


def test_core_calls_nothing_but_its_board(tmp_path: Path) -> None:
    """Without an operating system the core needs no library: only itself and its HAL."""
    needs("arm-none-eabi-gcc", "arm-none-eabi-nm")
    known, wanted = set(), set()
    for path in CORE:
        made = tmp_path / f"{path.stem}.o"
        flags = ["-mcpu=cortex-m3", "-mthumb", "-Os", "-std=c11", "-ffreestanding"]
        folders = [f"-I{FIRMWARE / name}" for name in ("core", "cortexm", "mps2_an385")]
        run("arm-none-eabi-gcc", *flags, *folders, "-c", path, "-o", made)
        for line in run("arm-none-eabi-nm", made).splitlines():
            kind, name = line.split()[-2:]
            (wanted if kind == "U" else known).add(name)
    foreign = {name for name in wanted - known if not name.startswith("hal_")}
    assert not foreign
    assert any(name.startswith("hal_") for name in wanted)


def test_images_are_those_of_the_sums(tmp_path: Path) -> None:
    """Built anew elsewhere, by the compilers of the sums, every image has the same octets."""
    needs("make", "avr-gcc", "arm-none-eabi-gcc")
    told = (FIRMWARE / "images" / "SHA256SUMS").read_text()
    for compiler, version in re.findall(r"^# (\S+) (\S+)$", told, re.MULTILINE):
        if (here := run(compiler, "-dumpversion").strip()) != version:
            pytest.skip(f"the sums are of {compiler} {version}, here is {here}")
    said = make(tmp_path, "check")
    assert said.count(": OK") == len(IMAGES) == told.count(".hex")
