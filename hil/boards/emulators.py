"""Any board without the board: :func:`start` runs the firmware of a type on one of its emulations.

==================  ==============================================  =============================
kind                what runs                                       it can be reset by
==================  ==============================================  =============================
``posix``           the same core as a process of this computer     external, brown-out
``simavr``          the Uno's image on libsimavr                    those of MCUSR
``qemu``            an image for Arm on QEMU's model of the board   external
``rp2040js``        the Pico's image on rp2040js                    external, power-on, brown-out
``micropython``     Debian's MicroPython for the micro:bit on QEMU  external
``slcan``           a CAN stick on a bus of its own, with an echo   nothing
==================  ==============================================  =============================

Each but the first is behind a :class:`~hil.boards.cable.Cable`, which owns the tty; the first has a
PTY of its own, which is the fastest, unless a ``line`` is asked for.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from hil.board import board_folders
from hil.boards import emulate_qemu, emulate_rp2040js, emulate_simavr
from hil.boards.boardtype import BoardType, load_type
from hil.boards.emulate_qemu import QemuBoard
from hil.boards.emulate_rp2040js import Rp2040jsBoard
from hil.boards.emulate_simavr import SimavrBoard
from hil.boards.emulator import Cabled, Emulator, Machine, Native, OnDescriptor, Who
from hil.boards.posix import PosixBoard
from hil.boards.silicon import Silicon
from hil.boards.stick import StickBoard
from hil.errors import HostError, UsageError

UID_NBYTES: Final = 8
MICROPYTHON: Final = Path("/usr/share/firmware-microbit-micropython/firmware.hex")
_MICROPYTHON_PACKAGE: Final = "firmware-microbit-micropython"
_FACES: Final = Path(__file__).resolve().parents[1] / "faces"


def missing(kind: str) -> str | None:
    """Return what an emulation lacks on this machine, one line with the remedy; None: nothing."""
    if kind == "simavr":
        return emulate_simavr.missing()
    if kind == "rp2040js":
        return emulate_rp2040js.missing()
    if kind == "slcan" and importlib.util.find_spec("can") is None:
        return "slcan: no python-can, by which a stick is spoken to; pip install 'flatsat[can]'"
    if kind in ("qemu", "micropython"):
        lack = emulate_qemu.missing()
        if lack is None and kind == "micropython" and not MICROPYTHON.is_file():
            lack = f"micropython: no {MICROPYTHON}; apt-get install {_MICROPYTHON_PACKAGE}"
        return lack
    return None


def start(
    board_type: BoardType | str,
    kind: str = "",
    silicon: Silicon | None = None,
    *,
    uid: bytes = b"",
    line: Mapping[str, Any] | None = None,
    **options: Any,
) -> Emulator:
    """Start an emulation of a board type; the firmware runs when this returns.

    Args:
        board_type: A type, or its name or path.
        kind: One of its emulations; empty: the first.
        silicon: The parts on its wires, closed with the emulation.
        uid: 8 octets by which it is known; empty: drawn.
        line: What the cable is told (``baud``, ``seed``, ``trouble``); None: nothing is done to
            the octets, and ``posix`` is on a PTY of its own.
        options: Over those of the type's ``[emulate]``; ``arguments``: words for the ``posix``
            firmware.

    Raises:
        ConfigError, UsageError: No such type, or it has no such emulation.
        HostError: A program is not installed; the text says which, and of which package.
        BoardError: The emulation does not start, or cannot have these parts.
    """
    type_ = board_type if isinstance(board_type, BoardType) else load_type(board_type)
    kind = kind or next(iter(type_.emulations))
    if kind not in type_.emulations:
        raise UsageError(
            f"board type {type_.name} has no emulation {kind!r}; it has: "
            f"{', '.join(type_.emulations)}"
        )
    if (lack := missing(kind)) is not None:
        raise HostError(lack)
    uid = uid or secrets.token_bytes(UID_NBYTES)
    given = {**type_.emulations[kind], **options}
    who = Who(type_, kind, uid, silicon, contextlib.ExitStack())
    try:
        return _posix(who, given, line) if kind == "posix" else _cabled(who, given, line or {})
    except BaseException:
        who.leftovers.close()
        raise


def _posix(who: Who, options: Mapping[str, Any], line: Mapping[str, Any] | None) -> Emulator:
    words, env = _posix_words(who.type, who.uid, options), _posix_environment(who)
    if line is None:
        return Native(who, lambda: PosixBoard(words, env=env))
    return Cabled(who, lambda on_baud: OnDescriptor(words, env), line)


def _cabled(who: Who, options: Mapping[str, Any], line: Mapping[str, Any]) -> Emulator:
    if who.kind not in _POWER_ON:
        raise UsageError(f"emulations of kind {who.kind!r} are not started here")

    folder = Path(who.leftovers.enter_context(tempfile.TemporaryDirectory(prefix=f"{who.kind}-")))

    def power_on(on_baud: Callable[[int], None]) -> Machine:
        return _POWER_ON[who.kind](
            _Wanted(who.type, who.silicon, who.uid, on_baud, options, folder)
        )

    told = {"board_paces": True} if who.kind == "simavr" and line.get("baud") else {}
    return Cabled(who, power_on, {**told, **line})


def _image(type_: BoardType, options: Mapping[str, Any]) -> Path:
    """Return the image to run. Raises ``HostError`` where it is not there."""
    name = options.get("image") or type_.firmware.file
    if not name:
        raise HostError(f"board type {type_.name} names no image of its firmware")
    for folder in board_folders():
        if (found := folder / name).is_file():
            return found
    raise HostError(f"there is no image {name}; `make -C boards/firmware` builds it")


class _Wanted(NamedTuple):
    """What is to be emulated: the arguments of :func:`start`."""

    type: BoardType
    silicon: Silicon | None
    uid: bytes
    on_baud: Callable[[int], None]
    options: Mapping[str, Any]
    #: what outlasts the power: it goes with the emulation
    folder: Path

    @property
    def pace(self) -> str:
        return str(self.options.get("pace", "wall"))

    @property
    def image(self) -> Path:
        return _image(self.type, self.options)


def _simavr(wanted: _Wanted) -> Machine:
    return SimavrBoard(
        wanted.silicon,
        wanted.pace,
        wanted.image,
        eeprom=wanted.folder / "eeprom",
        uid=wanted.uid,
        on_baud=wanted.on_baud,
    )


def _qemu(wanted: _Wanted) -> Machine:
    options = wanted.options
    return QemuBoard(
        options["machine"],
        wanted.image,
        silicon=wanted.silicon,
        uid=wanted.uid,
        icount=options.get("icount", emulate_qemu.ICOUNT),
        uart=options.get("uart"),
    )


def _rp2040js(wanted: _Wanted) -> Machine:
    return Rp2040jsBoard(
        wanted.image,
        silicon=wanted.silicon,
        uid=wanted.uid,
        pace=wanted.pace,
        on_baud=wanted.on_baud,
    )


def _micropython(wanted: _Wanted) -> Machine:
    machine = wanted.options.get("machine", "microbit")
    return QemuBoard(machine, MICROPYTHON, silicon=wanted.silicon)


_POWER_ON: Final[Mapping[str, Callable[[_Wanted], Machine]]] = {
    "simavr": _simavr,
    "qemu": _qemu,
    "rp2040js": _rp2040js,
    "micropython": _micropython,
    "slcan": lambda wanted: StickBoard(),
}


def _posix_words(type_: BoardType, uid: bytes, options: Mapping[str, Any]) -> list[str]:
    return ["--name", type_.name, "--uid", uid.hex(), *options.get("arguments", ())]


def _posix_environment(who: Who) -> dict[str, str] | None:
    """Return the environment in which the firmware finds silicon instead of this computer's."""
    if who.silicon is None:
        return None
    folder = Path(who.leftovers.enter_context(tempfile.TemporaryDirectory(prefix="silicon-")))
    bench = who.silicon.serve_host(folder / "bench")
    return {**os.environ, "HIL_BENCH": str(bench), "LD_PRELOAD": str(_FACES / "_shim.so")}
