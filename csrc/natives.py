"""What each of the built files is built of, and the fingerprint of it that the file carries.

The linker writes the fingerprint where ELF files have their build ID, so that a stripped file still
tells what it was made of: ``hil --version --json`` compares it with the sources that lie here.
Nothing here needs a package: an installation from a checkout reads it, too.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

CSRC = Path(__file__).resolve().parent
FIRMWARE = CSRC.parent / "boards" / "firmware"
#: The folders of the codec in the order of the data flow; each has a Python face of that name.
ROOMS = ("coding", "link", "packet", "columns", "stream", "serial", "record")
#: What a device does is the same code in the supervisor of static binaries, an executable.
SUPERVISOR_SHARES = ("bench", "devices", "find", "gpio", "i2c", "live", "memory", "smbus", "spi")


def sources() -> list[Path]:
    """Return the C sources of the codec."""
    return sorted(path for room in (".", *ROOMS) for path in (CSRC / room).glob("*.c"))


def header_names() -> list[str]:
    """Return the headers that ``flatsat.h`` lists."""
    return re.findall(r'^#include "(.+\.h)"$', (CSRC / "flatsat.h").read_text(), re.MULTILINE)


def shim_sources() -> list[Path]:
    """Return the C sources of the preload shim."""
    return sorted((CSRC / "shim").glob("*.c"))


def supervisor_sources() -> list[Path]:
    """Return the C sources of the supervisor, those that it shares with the shim included."""
    shared = [CSRC / "shim" / f"{name}.c" for name in SUPERVISOR_SHARES]
    return sorted((CSRC / "supervisor").glob("*.c")) + shared


def board_inputs() -> list[Path]:
    """Return what the firmware for this computer is built of: C files, then headers."""
    folders = [FIRMWARE / "core", FIRMWARE / "posix"]
    files = [path for folder in folders for path in sorted(folder.glob("*.c"))]
    files.remove(FIRMWARE / "core" / "main.c")  # the loop of boards without an operating system
    return [*files, *(path for folder in folders for path in sorted(folder.glob("*.h")))]


def inputs(native: str) -> list[Path]:
    """Return every file that decides what a native is, headers and the build hook included."""
    headers = {room: sorted((CSRC / room).rglob("*.h")) for room in (*ROOMS, "shim", "supervisor")}
    found = {
        "codec": [
            *sources(),
            *sorted(CSRC.glob("*.h")),
            *(header for room in ROOMS for header in headers[room]),
        ],
        "shim": [*shim_sources(), *headers["shim"]],
        "supervisor": [*supervisor_sources(), *headers["shim"], *headers["supervisor"]],
        "board": board_inputs(),
    }
    return [*found[native], CSRC / "build_hook.py", CSRC / "natives.py"]


def fingerprint(native: str) -> str:
    """Return SHA-256 over names and octets of what a native is built of: its first 20 octets."""
    digest = hashlib.sha256()
    for path in inputs(native):
        octets = path.read_bytes()
        digest.update(f"{path.relative_to(CSRC.parent).as_posix()} {len(octets)}\n".encode())
        digest.update(octets)
    return digest.hexdigest()[:40]


def build_id(native: str) -> list[str]:
    """Return the option of the linker that writes the fingerprint; none without ELF files."""
    return [f"-Wl,--build-id=0x{fingerprint(native)}"] if sys.platform == "linux" else []
