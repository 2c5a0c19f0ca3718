"""An emulated board with its plug: behind a cable, or on a PTY of its own.

:func:`hil.boards.emulators.start` makes them. Unplugging takes the power away, as it does from a
board that lives on its USB port, unless the board has power from elsewhere.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol

from hil.boards import emulate_rp2040js, emulate_simavr
from hil.boards.boardtype import BoardType
from hil.boards.cable import Cable
from hil.boards.emulate_qemu import QemuBoard
from hil.boards.identity import PortInfo
from hil.boards.posix import PosixBoard
from hil.boards.silicon import Silicon
from hil.errors import BoardError, UsageError

#: no firmware takes longer of the wall's time to boot, however busy the machine
PATIENCE_S: Final = 20.0

#: causes by which an emulation can be reset; power-on is also what a replugged one says
RESETS: Final[Mapping[str, tuple[str, ...]]] = {
    "posix": ("external", "brown-out"),
    "simavr": tuple(emulate_simavr.CAUSES),
    "rp2040js": tuple(emulate_rp2040js.CAUSES),
    "qemu": ("external",),
    "micropython": ("external",),
    "slcan": (),
}

_numbers = itertools.count(1)


class Machine(Protocol):
    """An emulated board with power: what :class:`Emulator` plugs into its cable."""

    @property
    def end(self) -> socket.socket:
        """Our end of its UART."""

    @property
    def is_running(self) -> bool:
        """Tell whether it has not ended."""

    def reset(self, cause: str) -> None:
        """Reset it by a cause; raises ``BoardError`` for one that it does not know."""

    def close(self) -> None:
        """Take its power away; nothing is left behind."""


class OnDescriptor:
    """The firmware of this computer behind a cable."""

    def __init__(self, options: list[str], env: dict[str, str] | None) -> None:
        self.end, link = socket.socketpair()
        with link:
            fd = link.fileno()
            self._board = PosixBoard([*options, "--fd", str(fd)], pass_fds=(fd,), env=env)

    @property
    def is_running(self) -> bool:
        return self._board.process.poll() is None

    def reset(self, cause: str) -> None:
        self._board.reset(brown_out=cause == "brown-out")

    def close(self) -> None:
        self.end.close()
        self._board.close()


class Who(NamedTuple):
    """Which board is emulated."""

    type: BoardType
    #: of emulation
    kind: str
    #: the number that it tells in its identity
    uid: bytes
    silicon: Silicon | None
    #: what goes when the emulation has ended
    leftovers: contextlib.ExitStack


class Emulator:
    """An emulated board that a host finds at :attr:`port`. Close it, or use it in ``with``."""

    def __init__(self, who: Who) -> None:
        self.type, self.kind, self.uid, self.silicon, self._leftovers = who
        self._number = next(_numbers)

    @property
    def port(self) -> str:
        """The path of the tty to open; raises :class:`~hil.errors.BoardError` while unplugged."""
        path = self._path()
        if path is None:
            raise BoardError(f"the emulated {self.type.name} is unplugged: replug it first")
        return path

    @property
    def identity(self) -> PortInfo | None:
        """What a listing of ports shows of it; None while it is unplugged."""
        path = self._path()
        if path is None:
            return None
        vid, pid = self.type.usb[0] if self.type.usb else (None, None)
        return PortInfo(
            path,
            vid,
            pid,
            serial=None if vid is None or self.type.needs_uid else self.uid.hex() or None,
            interface=None if vid is None else 0,
            usb_path=None if vid is None else f"9-{self._number}",
            driver=f"emulated by {self.kind}",
            product=self.type.title,
            arrival=f"{path}#{self._number}",
        )

    def feel(self, state: Mapping[str, float]) -> None:
        """Give the parts on its wires the state of the world."""
        if self.silicon is not None:
            self.silicon.feel(state)

    def __enter__(self) -> Emulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- what the two ways of being plugged in do their own way ----------------------------------

    def _check_cause(self, cause: str) -> None:
        if cause not in RESETS[self.kind]:
            raise BoardError(
                f"the emulated {self.type.name} cannot be reset by {cause!r}: {self.kind} has "
                f"{', '.join(RESETS[self.kind]) or 'no reset'}; replugged it has a power-on"
            )

    def _path(self) -> str | None:
        raise NotImplementedError

    @property
    def is_running(self) -> bool:
        """Tell whether the firmware runs: a board without power does not."""
        raise NotImplementedError

    @property
    def cable(self) -> Cable | None:
        """The cable that it hangs at, to trouble it; None: it has a PTY of its own."""
        return None

    def unplug(self, *, is_powered: bool = False) -> None:
        """Pull the plug; ``is_powered``: the board has power from elsewhere and runs on."""
        raise NotImplementedError

    def replug(self) -> str:
        """Plug it in again; return the path of its tty, which may be another one."""
        raise NotImplementedError

    def reset(self, cause: str = "external") -> None:
        """Reset it; the table above says by what. Raises ``BoardError`` for another cause."""
        raise NotImplementedError

    def close(self) -> None:
        """End it; may be called twice."""
        if self.silicon is not None:
            self.silicon.close()
        self._leftovers.close()


class Native(Emulator):
    """The firmware of this computer on a PTY of its own."""

    def __init__(self, who: Who, power_on: Callable[[], PosixBoard]) -> None:
        super().__init__(who)
        self._power_on = power_on
        self._board: PosixBoard | None = power_on()

    def _path(self) -> str | None:
        return None if self._board is None else self._board.port

    @property
    def is_running(self) -> bool:
        return self._board is not None and self._board.process.poll() is None

    def unplug(self, *, is_powered: bool = False) -> None:
        if is_powered:
            raise UsageError("a board on a PTY of its own has no cable: start it with a line")
        if self._board is not None:
            self._board.close()
            self._board = None

    def replug(self) -> str:
        if self._board is None:
            self._board = self._power_on()
        return self.port

    def reset(self, cause: str = "external") -> None:
        if self._board is None:
            raise BoardError(f"the emulated {self.type.name} is unplugged: replug it first")
        self._check_cause(cause)
        self._board.reset(brown_out=cause == "brown-out")

    def close(self) -> None:
        self.unplug()
        super().close()


class Cabled(Emulator):
    """A machine behind a cable, which a thread serves."""

    def __init__(
        self,
        who: Who,
        power_on: Callable[[Callable[[int], None]], Machine],
        line: Mapping[str, Any],
    ) -> None:
        super().__init__(who)
        self._power_on = power_on
        self._has_rate = bool(line.get("baud"))
        self._cable: Cable | None = None
        self._machine: Machine | None = power_on(self._on_baud)
        end = _ready(self._machine, self.kind)
        try:
            self._cable = Cable(end, **line).start()
        except UsageError:
            end.close()
            self._machine.close()
            raise

    def _on_baud(self, baud: int) -> None:
        """Let the cable follow the rate that the firmware has set."""
        if self._has_rate and self._cable is not None:
            self._cable.baud = baud

    def _path(self) -> str | None:
        return None if self._cable is None else self._cable.port

    @property
    def is_running(self) -> bool:
        return self._machine is not None and self._machine.is_running

    @property
    def cable(self) -> Cable | None:
        return self._cable

    def feel(self, state: Mapping[str, float]) -> None:
        if isinstance(self._machine, QemuBoard):
            self._machine.feel(state)
        else:
            super().feel(state)

    def unplug(self, *, is_powered: bool = False) -> None:
        assert self._cable is not None
        self._cable.unplug()
        if not is_powered and self._machine is not None:
            self._machine.close()
            self._machine = None

    def replug(self) -> str:
        assert self._cable is not None
        if self._machine is not None:
            return self._cable.replug()
        self._machine = self._power_on(self._on_baud)
        return self._cable.replug(_ready(self._machine, self.kind))

    def reset(self, cause: str = "external") -> None:
        if self._machine is None:
            raise BoardError(f"the emulated {self.type.name} has no power: replug it first")
        self._check_cause(cause)
        self._machine.reset(cause)

    def close(self) -> None:
        if self._cable is not None:
            self._cable.close()
        if self._machine is not None:
            self._machine.close()
            self._machine = None
        super().close()


def _ready(machine: Machine, kind: str) -> socket.socket:
    """Return our end of a machine's UART, for the cable, when its firmware has begun to speak.

    What comes before its UART is switched on would be lost, as on silicon. BOOT, which nobody can
    hear yet, is taken: a host that opens the port has whole frames from the first octet on.
    """
    # A banner or a CR; a frame between two delimiters.
    whole = 1 if kind in ("micropython", "slcan") else 2
    said = b""
    while len(said) < whole or (whole == 2 and said.count(0) < whole):
        if not select.select([machine.end], [], [], PATIENCE_S)[0]:
            machine.close()
            raise BoardError(f"the firmware on {kind} has said nothing within {PATIENCE_S:g} s")
        octets = machine.end.recv(4096)
        if not octets:
            machine.close()
            raise BoardError(f"the firmware on {kind} has ended at once: is the image its own?")
        said += octets
    return machine.end.dup()
