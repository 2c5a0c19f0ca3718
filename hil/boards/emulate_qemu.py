"""Real firmware on QEMU's models of Arm boards.

QEMU gets one end of a socket pair as its UART, never a PTY of its own: it looks at a PTY once a
second, loses what it sends before somebody opens it, and keeps no line rate; all that a line does
is done by :mod:`hil.boards.cable`. A second pair is its monitor. Time is ``-icount shift=auto``:
without it the UART of an MPS2 leaves the first octet lying for a second.

What a chip of silicon has of its own is given from outside: its number, in the last octets of the
flash, and what its RAM holds when power comes. Parts on its I2C bus are QEMU's own models
(:data:`MODELS`), to which :meth:`QemuBoard.feel` tells what the world is like.

Not modelled by QEMU: line rates, brown-out, the time of a bus; a repeated START to another address
(the part of the first one answers), on lm3s6965evb any; on netduinoplus2 pins and the I2C
controller, on microbit anything on the I2C pins.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from hil.boards import hexfile, keeper
from hil.boards.qmp import Qmp
from hil.boards.silicon import Silicon
from hil.errors import BoardError, HostError

QEMU: Final = "qemu-system-arm"
PACKAGE: Final = "qemu-system-arm"
ICOUNT: Final = "shift=auto"
#: of a Cortex-M: where RAM begins, with the word that the firmware makes its boot id from
RAM: Final = 0x2000_0000
UID_NBYTES: Final = 8


class Machine(NamedTuple):
    """What is to be known of one of QEMU's machines to run an image on it."""

    #: address behind the flash, or behind the memory that stands for it
    flash_end: int
    #: which of its UARTs is the link, counted from 0
    uart: int = 0
    #: bus for parts, empty: QEMU has none that the firmware reaches
    i2c: str = ""
    #: rate at which QEMU counts the firmware's timer, where it is not that of the chip, in Hz
    timer_hz: int = 0


MACHINES: Final[Mapping[str, Machine]] = {
    "mps2-an385": Machine(0x0040_0000, i2c="i2c"),
    "microbit": Machine(0x0004_0000),
    "lm3s6965evb": Machine(0x0004_0000, i2c="i2c"),
    "netduinoplus2": Machine(0x0804_0000, uart=1, timer_hz=1_000_000_000),
}


class Model(NamedTuple):
    """One of QEMU's I2C parts that stands for one of ours: a physical input and its property."""

    device: str
    quantity: str
    prop: str
    #: units of the property in one of the quantity
    scale: int
    #: what the property takes
    least: int
    most: int


#: type of part -> QEMU's model of the same registers
MODELS: Final[Mapping[str, Model]] = {
    "lm75": Model("tmp105", "temperature_c", "temperature", 1000, -55_000, 127_000),
}


def missing() -> str | None:
    """Return what the emulation lacks on this machine, one line with the remedy; None: nothing."""
    if shutil.which(QEMU) is None:
        return f"qemu: no program {QEMU}; apt-get install --no-install-recommends {PACKAGE}"
    return None


class QemuBoard:
    """One running emulation. ``end``: the board's UART, our end of a stream socket pair."""

    def __init__(
        self,
        machine: str,
        image: Path,
        *,
        silicon: Silicon | None = None,
        uid: bytes = b"",
        icount: str = ICOUNT,
        uart: int | None = None,
    ) -> None:
        """Start ``image`` (Intel HEX); ``uid``: 8 octets, empty: those of the chip, if it has any.

        Raises ``HostError`` where QEMU is not there, ``BoardError`` where it does not run this.
        """
        if (lack := missing()) is not None:
            raise HostError(lack)
        if machine not in MACHINES:
            raise BoardError(
                f"QEMU machine {machine!r} is not known here; known: {', '.join(MACHINES)}"
            )
        self.name = f"QEMU {machine}"
        self._machine = MACHINES[machine]
        self._silicon = silicon
        self._stand_ins = self._place(silicon)
        self._told: dict[str, int] = {}
        code = self._image(image, uid)
        self.end, board_uart = socket.socketpair()
        monitor, board_monitor = socket.socketpair()
        self._qmp = Qmp(monitor, self.name)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        number = self._machine.uart if uart is None else uart
        command = [
            *(QEMU, "-M", machine, "-icount", icount),
            *("-display", "none", "-nodefaults", "-no-user-config", "-nic", "none"),
            *("-device", f"loader,file=/proc/self/fd/{code}"),
            *self._words(),
            *("-chardev", f"socket,id=link,fd={board_uart.fileno()}"),
            *(["-serial", "null"] * number + ["-serial", "chardev:link"]),
            *("-chardev", f"socket,id=monitor,fd={board_monitor.fileno()}"),
            *("-mon", "chardev=monitor,mode=control"),
            *(word for device in self._devices() for word in ("-device", device)),
        ]
        with board_uart, board_monitor:
            fds = (board_uart.fileno(), board_monitor.fileno(), code)
            self._keeper = subprocess.Popen(  # noqa: S603 - a list, no shell
                [sys.executable, "-ISB", keeper.__file__, ",".join(map(str, fds)), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=fds,
                start_new_session=True,
            )
        os.close(code)
        self._greet()

    def _image(self, image: Path, uid: bytes) -> int:
        """Return a descriptor of the image with the numbers that belong to one board."""
        machine, pieces = self._machine, {}
        if uid:
            assert len(uid) == UID_NBYTES
            pieces[machine.flash_end - UID_NBYTES] = uid
        if machine.timer_hz:
            pieces[machine.flash_end - UID_NBYTES - 4] = machine.timer_hz.to_bytes(4, "little")
        text = hexfile.extended(image, pieces) if pieces else hexfile.read_image(image)
        code = os.memfd_create("image")
        os.write(code, text.encode())
        return code

    def _words(self) -> list[str]:
        """Return the options that give the RAM its noise."""
        noise = secrets.randbits(32)
        return ["-device", f"loader,addr={RAM},data={noise},data-len=4"]

    def _place(self, silicon: Silicon | None) -> dict[str, Model]:
        """Return which of QEMU's models stands for which part."""
        if silicon is None:
            return {}
        found = {}
        for spec in silicon.wiring.board.parts:
            model = MODELS.get(spec.type)
            if model is None or not self._machine.i2c:
                has = ", ".join(MODELS) if self._machine.i2c else "no part"
                raise BoardError(
                    f"{self.name} cannot have {spec.name}, a {spec.type}: QEMU models {has} there; "
                    "emulate the board by another kind"
                )
            found[spec.name] = model
        return found

    def _devices(self) -> list[str]:
        if self._silicon is None:
            return []
        return [
            f"{self._stand_ins[spec.name].device},id={spec.name},bus={self._machine.i2c},"
            f"address={spec.address}"
            for spec in self._silicon.wiring.board.parts
        ]

    def _greet(self) -> None:
        try:
            self._qmp.greet()
        except BoardError as error:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            self.close()
            raise BoardError(said[-1] if said else str(error)) from None
        self._tell()

    @property
    def is_running(self) -> bool:
        """Tell whether the emulation has not ended."""
        try:
            self._qmp.ask("query-status")
        except BoardError:
            return False
        return True

    def feel(self, state: Mapping[str, float]) -> None:
        """Give the parts on the wires the state of the world."""
        if self._silicon is not None:
            self._silicon.feel(state)
            self._tell()

    def _tell(self) -> None:
        """Give QEMU's parts what ours have as inputs, where it has changed."""
        if self._silicon is None:
            return
        self._silicon.sense()
        for name, model in self._stand_ins.items():
            value = self._silicon.parts[name].values[model.quantity]
            units = min(max(round(value * model.scale), model.least), model.most)
            if self._told.get(name) != units:
                self._told[name] = units
                path = f"/machine/peripheral/{name}"
                self._qmp.ask("qom-set", path=path, property=model.prop, value=units)

    def reset(self, cause: str = "external") -> None:
        """Press the reset button; QEMU has no other cause."""
        assert cause == "external"
        self._qmp.ask("system_reset")

    def close(self) -> None:
        """End it; may be called twice."""
        self.end.close()
        self._qmp.close()
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait()
        self._errors.close()

    def __enter__(self) -> QemuBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
