"""The Pico's RP2040, emulated: its image runs on rp2040js under node, a process of its own.

The runner (``boards/emulators/rp2040js``) starts the image as the chip's boot ROM does, by way of
the second stage and its check, and tells what is on the pins by the messages of
:mod:`hil.boards.wires`. The library is a package of npm, MIT, which is not distributed here.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hil.board import board_folders
from hil.boards import hexfile
from hil.boards.ending import end
from hil.boards.silicon import Silicon
from hil.boards.wires import Wires
from hil.errors import HostError

CLOCK_HZ: Final = 12_000_000
#: behind the flash of a Pico, whose last octets may hold a number of the board's own
FLASH_END: Final = 0x1020_0000
UID_NBYTES: Final = 8
#: GP17 is chip select 0: in the ports of the wires, eight pins each, bit 1 of port 2
PICO_SELECTS: Final[Mapping[tuple[int, int], int]] = {(2, 1): 0}
#: bits of the cause that the runner knows, by the word for it
CAUSES: Final[Mapping[str, int]] = {"power-on": 1, "external": 2, "brown-out": 4}
LIBRARY: Final = "rp2040js"


def sources() -> Path:
    """Return the folder of the runner. Raises ``HostError`` where there is none."""
    for folder in board_folders():
        if (found := folder / "emulators" / "rp2040js").is_dir():
            return found
    raise HostError("the rp2040js runner is not installed; install this package anew")


def _library_folders() -> list[Path]:
    """Return where the library may be: where one was told, beside the runner, the user's own."""
    told = os.environ.get("FLATSAT_NODE_MODULES", "")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flatsat"
    return [Path(told)] * bool(told) + [place / "node_modules" for place in (sources(), cache)]


def _version() -> str:
    """Return the version of the library that the runner was written for."""
    package = json.loads((sources() / "package.json").read_text())
    return str(package["dependencies"][LIBRARY])


def _library() -> Path | None:
    """Return the folder with the library in the version wanted, or None."""
    for folder in _library_folders():
        package = folder / LIBRARY / "package.json"
        if package.is_file() and json.loads(package.read_text())["version"] == _version():
            return folder
    return None


def missing() -> str | None:
    """Return what the emulation lacks on this machine, one line with the remedy; None: nothing."""
    if shutil.which("node") is None:
        return "rp2040js: no program node; apt-get install --no-install-recommends nodejs npm"
    if _library() is None:
        place = _library_folders()[-1].parent
        return f"rp2040js: no library; npm install --prefix {place} {LIBRARY}@{_version()}"
    return None


class Rp2040jsBoard:
    """One running emulation. ``end``: the board's UART, our end of a stream socket pair."""

    def __init__(
        self,
        image: Path,
        *,
        silicon: Silicon | None = None,
        uid: bytes = b"",
        pace: str = "wall",
        on_baud: Callable[[int], None] | None = None,
    ) -> None:
        """Start ``image`` (Intel HEX); ``uid``: 8 octets, empty: none.

        ``on_baud`` is told the rate of its UART whenever that changes, by the thread that serves
        the wires. Raises ``HostError`` where node or the library is not there.
        """
        if (lack := missing()) is not None:
            raise HostError(lack)
        pieces = {FLASH_END - UID_NBYTES: uid} if uid else {}
        text = hexfile.extended(image, pieces)
        code = os.memfd_create("image")
        os.write(code, text.encode())
        self.end, uart = socket.socketpair()
        wires_end, wires = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        wires.setblocking(False)
        command = [
            *("node", str(sources() / "runner.mjs"), "--pace", pace),
            *("--uart-fd", str(uart.fileno()), "--wires-fd", str(wires.fileno())),
            f"/proc/self/fd/{code}",
        ]
        with uart, wires:
            self._process = subprocess.Popen(  # noqa: S603 - a list, no shell
                command,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(uart.fileno(), wires.fileno(), code),
                env={**os.environ, "FLATSAT_NODE_MODULES": str(_library())},
            )
        os.close(code)
        self._silicon = silicon or Silicon.of((), ())
        self.wires: Wires = self._silicon.serve_wires(wires_end, CLOCK_HZ, PICO_SELECTS, on_baud)

    @property
    def is_running(self) -> bool:
        """Tell whether the emulation has not ended."""
        return self._process.poll() is None

    def reset(self, cause: str = "external") -> None:
        """Reset the chip. ``cause``: of CAUSES."""
        self.wires.reset(CAUSES[cause])

    def close(self) -> None:
        """End it."""
        self.end.close()
        end(self._process)
        self._silicon.close()

    def __enter__(self) -> Rp2040jsBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
