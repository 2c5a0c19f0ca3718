"""The boards that the contract suite is run on: a name each, and how it is started here.

A starter is a context manager that yields a :class:`RunningBoard`; where the machine lacks what it
needs it calls ``pytest.skip`` with the name of that.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib import util
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import ModuleType
from typing import NamedTuple

import pytest

from hil.boards import emulators, install
from hil.boards.posix import PosixBoard
from tests.hil.boards.micropythons import unix_port

#: What MicroPython runs: the bridge out of the folder of its sources.
START = "import sys; sys.path.append({!r}); import hilwire; hilwire.run()"
ROOT = Path(__file__).resolve().parents[3]


class RunningBoard(NamedTuple):
    """A board to open, and its reset button where it has one."""

    port: str
    reset: Callable[[], None] | None = None


Starter = Callable[[], AbstractContextManager[RunningBoard]]


def build_hook() -> ModuleType:
    """Return the module that compiles what C there is; it lies in no package."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    spec = util.spec_from_file_location("build_hook", ROOT / "csrc" / "build_hook.py")
    assert spec is not None
    assert spec.loader is not None
    hook = util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    return hook


@cache
def small_firmware() -> Path:
    """Return the firmware of this computer with the least frame and a window of one reply."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    (built,) = build_hook().compile_board(
        compiler, ("-DHW_WINDOW=1", "-DHW_MAX_FRAME=64"), Path(mkdtemp(prefix="board-"))
    )
    assert isinstance(built, Path)
    return built


@contextmanager
def posix() -> Iterator[RunningBoard]:
    """This computer, as it is installed."""
    if sys.platform != "linux":
        pytest.skip("the board on this computer needs Linux")
    with PosixBoard() as board:
        yield RunningBoard(board.port, board.reset)


@contextmanager
def posix_small() -> Iterator[RunningBoard]:
    """This computer with the sizes of the smallest board, and a line with a rate."""
    with PosixBoard(["--set-baud"], firmware=small_firmware()) as board:
        yield RunningBoard(board.port, board.reset)


@contextmanager
def micropython() -> Iterator[RunningBoard]:
    """The bridge for stock MicroPython, on its unix port, which has no bus and no reset."""
    with (
        TemporaryDirectory() as folder,
        unix_port(Path(folder), "-c", START.format(str(install.folder()))) as port,
    ):
        yield RunningBoard(port)


def emulated(type_name: str, kind: str, **options: str) -> Starter:
    """Return the starter of a type's emulation, without a line rate."""

    @contextmanager
    def run() -> Iterator[RunningBoard]:
        if (lack := emulators.missing(kind)) is not None:
            pytest.skip(lack)
        with emulators.start(type_name, kind, **options) as board:
            yield RunningBoard(board.port, board.reset)

    return run


TARGETS: dict[str, Starter] = {
    "posix": posix,
    "posix, frames of 64, window of 1": posix_small,
    "micropython": micropython,
    "mps2-an385, Cortex-M3": emulated("mps2-an385", "qemu"),
    "lm3s6965evb, Cortex-M3": emulated("lm3s6965evb", "qemu"),
    "microbit, Cortex-M0": emulated("microbit", "qemu"),
    "nucleo_f4, Cortex-M4": emulated("nucleo_f4", "qemu"),
    "pico, Cortex-M0+": emulated("pico", "rp2040js"),
    "uno, ATmega328P": emulated("uno", "simavr"),
    "uno, as fast as it goes": emulated("uno", "simavr", pace="free"),
}
