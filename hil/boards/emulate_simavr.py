"""The Uno's ATmega328P, emulated: its image runs on Debian's libsimavr, a process of its own.

The runner is C (``boards/emulators/simavr``) and is built when it is first asked for, into the
user's cache folder, because what is linked with libsimavr is GPL-3.0 and is not distributed here.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hil.board import board_folders
from hil.boards.ending import end
from hil.boards.silicon import UNO_SELECTS, Silicon
from hil.boards.wires import Wires
from hil.errors import HostError

CLOCK_HZ: Final = 16_000_000
EEPROM_NBYTES: Final = 1024
IMAGE: Final = "firmware/images/hilwire-uno.hex"
#: bits of MCUSR (data sheet section 11.9.1), by the word for the cause
CAUSES: Final[Mapping[str, int]] = {
    "power-on": 1,
    "external": 2,
    "brown-out": 4,
    "watchdog": 8,
}
_PACKAGES = "apt-get install gcc libsimavr-dev libelf-dev"
_HEADER = Path("/usr/include/simavr/sim_avr.h")
_CFLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")
_LIBRARIES = ("-lsimavr", "-lelf")


def sources() -> Path:
    """Return the folder of the runner's sources. Raises ``HostError`` where there is none."""
    for folder in board_folders():
        if (found := folder / "emulators" / "simavr").is_dir():
            return found
    raise HostError("the sources of the simavr runner are not installed; install this package anew")


def image_path(name: str = IMAGE) -> Path:
    """Return an image below the folder of boards. Raises ``HostError`` where there is none."""
    for folder in board_folders():
        if (found := folder / name).is_file():
            return found
    raise HostError(f"there is no image {name}; `make -C boards/firmware` builds it with avr-gcc")


def missing() -> str | None:
    """Return what the emulation lacks on this machine, one line with the remedy; None: nothing."""
    if shutil.which("cc") is None:
        return f"simavr: no C compiler to build its runner; {_PACKAGES}"
    include = [Path(word) for word in os.environ.get("CPATH", "").split(":") if word]
    headers = [_HEADER, *(folder / "simavr" / "sim_avr.h" for folder in include)]
    if not any(path.is_file() for path in headers):
        return f"simavr: no libsimavr to build its runner on; {_PACKAGES}"
    return None


def runner() -> Path:
    """Return the runner, built if these sources have not been yet.

    Raises ``HostError`` where it cannot be built, with what to install.
    """
    folder = sources()
    files = sorted(folder.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flatsat"
    program = cache / f"simavr-uno-{digest}"
    if program.is_file():
        return program
    if (lack := missing()) is not None:
        raise HostError(lack)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        made = Path(scratch) / program.name
        units = [str(path) for path in files if path.suffix == ".c"]
        command = ["cc", *_CFLAGS, "-o", str(made), *units, *_LIBRARIES]
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode:
            why = (built.stderr.strip().splitlines() or ["no message"])[0]
            raise HostError(f"simavr: its runner cannot be built: {why}; {_PACKAGES}")
        made.replace(program)
    return program


def new_eeprom(uid: bytes = b"", boots: int | None = None) -> bytes:
    """Return an EEPROM as the firmware keeps it (``boards/firmware/avr/hal.c``).

    It is erased but for the identity and the count of boots, which is drawn unless given: two
    boards that were never started are not in the same boot.
    """
    count = secrets.randbits(31) if boots is None else boots
    octets = bytearray(b"\xff" * EEPROM_NBYTES)
    octets[:4] = count.to_bytes(4, "little")
    if uid:
        octets[8:16] = uid
    return bytes(octets)


class SimavrBoard:
    """One running emulation. ``end``: the board's UART, our end of a stream socket pair.

    Give a cable no pacing of its own (``board_paces``): the emulated UART takes and sends octets at
    the rate of its registers, whatever they are at the time.
    """

    def __init__(
        self,
        silicon: Silicon | None = None,
        pace: str = "wall",
        image: Path | None = None,
        eeprom: Path | None = None,
        uid: bytes = b"",
        selects: Mapping[tuple[int, int], int] = UNO_SELECTS,
        on_baud: Callable[[int], None] | None = None,
    ) -> None:
        """Start it; ``silicon``: what is on its wires, ``eeprom``: the file that keeps its EEPROM.

        A file that is not there is made, of a new EEPROM with ``uid``, 8 octets, if given.
        ``on_baud`` is told the rate of its UART whenever that changes, by the thread that serves
        the wires. Raises ``HostError`` where the runner or the image is not there.
        """
        program, image = runner(), image or image_path()
        self._folder = tempfile.TemporaryDirectory(prefix="simavr-")
        if eeprom is None:
            eeprom = Path(self._folder.name) / "eeprom"
        if not eeprom.is_file():
            eeprom.write_bytes(new_eeprom(uid))
        self.end, uart = socket.socketpair()
        wires_end, wires = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [str(program), "--pace", pace, "--uart-fd", str(uart.fileno())]
        command += ["--wires-fd", str(wires.fileno()), "--eeprom", str(eeprom)]
        with uart, wires:
            self._process = subprocess.Popen(
                [*command, str(image)], pass_fds=(uart.fileno(), wires.fileno())
            )
        self._silicon = silicon or Silicon.of((), ())
        self.wires: Wires = self._silicon.serve_wires(wires_end, CLOCK_HZ, selects, on_baud)

    @property
    def pid(self) -> int:
        """Return the process of the emulation."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Tell whether the emulation has not ended."""
        return self._process.poll() is None

    def reset(self, cause: str = "external", is_held: bool = False) -> None:
        """Reset the processor; held, it stays off until the next reset. ``cause``: of CAUSES."""
        self.wires.reset(CAUSES[cause], is_held)

    def close(self) -> None:
        """End it."""
        self.end.close()
        end(self._process)
        self._folder.cleanup()
        self._silicon.close()

    def __enter__(self) -> SimavrBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
