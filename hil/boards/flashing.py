"""The command that puts a board's firmware on it, and whether the image is the one we built.

The board's own tool does it (avrdude, openocd, pyocd, ...): a list of words, never a shell's line.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hil.board import board_folders
from hil.boards.boardtype import BoardType
from hil.errors import HostError, UsageError

SUMS = "SHA256SUMS"
#: program -> Debian package, or what else installs it
PACKAGES = {
    "avrdude": "sudo apt install avrdude",
    "openocd": "sudo apt install openocd",
    "st-flash": "sudo apt install stlink-tools",
    "picotool": "sudo apt install picotool",
    "pyocd": "python -m pip install pyocd",
}


@dataclass(frozen=True)
class Flash:
    """What is to be run, with the image that was checked (none where the command needs none)."""

    words: tuple[str, ...]
    image: Path | None

    @property
    def is_installed(self) -> bool:
        """Whether the program is there."""
        return shutil.which(self.words[0]) is not None

    @property
    def remedy(self) -> str:
        """The command that installs the program."""
        name = self.words[0]
        return PACKAGES.get(name, f"install {name}")

    def run(self) -> int:
        """Run the tool; its output goes where ours does. Raises HostError if it is not there."""
        if not self.is_installed:
            raise HostError(f"{self.words[0]} is not installed; {self.remedy}")
        return subprocess.run(self.words, check=False).returncode


def command(kind: BoardType, port: str = "") -> Flash:
    """Return the command for a board type. Raises UsageError or HostError with what is missing."""
    flash = kind.firmware.flash
    if flash is None:
        raise UsageError(
            f"a {kind.name} is not flashed: {kind.firmware.name} is a program; "
            f"`hil boards emulate {kind.name}` runs it"
        )
    if "{port}" in flash and not port:
        raise UsageError(f"a {kind.name} is flashed by its port: say --port, or an id of lab.toml")
    image = None
    if "{image}" in flash:
        image = checked_image(kind)
    words = kind.firmware.command(port, str(image or ""))
    assert words
    if words[0] == "hil":  # ourselves, by the interpreter that runs us
        words[:1] = [sys.executable, "-m", "hil"]
    return Flash(tuple(words), image)


def checked_image(kind: BoardType) -> Path:
    """Return a type's image after comparing its hash. Raises HostError if it is absent or damaged.

    Images lie beside a file of their hashes, which their build writes.
    """
    path = image_path(kind)
    if path is None:
        raise UsageError(f"board type {kind.name} names no image of its firmware")
    if wrong := damage(path):
        raise HostError(wrong)
    return path


def image_path(kind: BoardType) -> Path | None:
    """Return where a type's image is, or would be."""
    if kind.firmware.file is None:
        return None
    places = [folder / kind.firmware.file for folder in board_folders()]
    return next((place for place in places if place.is_file()), places[0])


def damage(path: Path) -> str:
    """Return what is wrong with an image, with the remedy; nothing if it is what was built."""
    build = "`make -C boards/firmware` builds it"
    if not path.is_file():
        return f"{path.name} is not there; {build}"
    sums = path.parent / SUMS
    if not sums.is_file():
        return f"{sums} is not there; {build}"
    rows = (line.split() for line in sums.read_text().splitlines())
    wanted = next((row[0] for row in rows if len(row) == 2 and row[1] == path.name), None)
    if wanted is None:
        return f"{path.name} is not in {SUMS}; {build}"
    if hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
        return f"{path.name} is not the image whose hash is in {SUMS}; {build}"
    return ""
