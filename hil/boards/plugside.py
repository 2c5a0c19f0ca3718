"""Who stands beside a cable: shows its port to programs, pulls and plugs it, troubles its line.

What a user types, a line each (``HELP`` lists them), and two signals, SIGUSR1 to unplug and SIGUSR2
to replug, become calls of the cable or of the emulated board.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Protocol

from hil.boards.cable import Cable
from hil.boards.identity import PortInfo
from hil.boards.line import Trouble
from hil.boards.ports import FolderPorts
from hil.errors import HilError, UsageError

HELP = """unplug, replug; reset [CAUSE] (emulated boards); garble|drop|duplicate SHARE; latency MS;
baud RATE; counters; help; quit"""
_SHARES = ("garble", "drop", "duplicate")
_LINE_LIMIT = 1 << 16


class Pluggable(Protocol):
    """What is unplugged: a cable, or an emulated board with its own."""

    @property
    def port(self) -> str | None:
        """The path of its tty."""

    def unplug(self) -> None:
        """Pull the plug."""

    def replug(self) -> str:
        """Plug in again; return the path of the tty."""


class Show:
    """The port as programs find it: a link of a chosen name, a row in the list of ports."""

    def __init__(self, link: Path | None, info: PortInfo | None) -> None:
        if link is not None and link.exists() and not link.is_symlink():
            raise UsageError(f"--link {link}: there is a file of that name; choose another")
        self._link, self._info = link, info
        self._ports = FolderPorts()
        self._path = ""

    def on(self, path: str) -> None:
        """Show the port at a path."""
        self.off()
        self._path = path
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(path)
        if self._info is not None:
            self._ports.plug(replace(self._info, path=path))

    def off(self) -> None:
        """Show nothing."""
        if not self._path:
            return
        if self._link is not None and self._link.is_symlink():
            self._link.unlink()
        if self._info is not None:
            self._ports.pull(self._path)
        self._path = ""


class PlugSide:
    """The loop of a tool that keeps a cable; ``tell`` gets a line for whatever happens."""

    def __init__(
        self,
        plug: Pluggable,
        show: Show,
        tell: Callable[[str], None],
        cable: Callable[[], Cable | None],
        reset: Callable[[str], None] | None = None,
    ) -> None:
        self.plug, self.show, self.tell, self.cable = plug, show, tell, cable
        self._reset = reset

    def do(self, line: str) -> bool:
        """Do what a line says; tell whether to go on. What is wrong with it is told, not raised."""
        words = line.split()
        try:
            return self._do(words) if words else True
        except (ValueError, IndexError):
            self.tell(f"{line.strip()!r} lacks a number or is none; help lists what there is")
        except HilError as wrong:
            self.tell(str(wrong))
        return True

    def _do(self, words: list[str]) -> bool:
        what, rest = words[0], words[1:]
        if what == "quit":
            return False
        if what == "unplug":
            self.unplug()
        elif what == "replug":
            self.replug()
        elif what == "reset" and self._reset is not None:
            self._reset(rest[0] if rest else "external")
            self.tell("reset")
        elif what == "counters":
            self.tell(counts(self.counters))
        elif what in _SHARES or what in ("latency", "baud"):
            self._trouble(what, rest[0])
        else:
            self.tell(HELP if what == "help" else f"no command {what!r}: {HELP}")
        return True

    def _trouble(self, what: str, value: str) -> None:
        cable = self.cable()
        if cable is None:
            raise UsageError("this board has a port of its own and no cable: start it with --baud")
        if what == "baud":
            cable.baud = int(value)
        elif what == "latency":
            cable.trouble = replace(cable.trouble, latency_ns=round(float(value) * 1e6))
        else:
            cable.trouble = trouble_with(cable.trouble, what, float(value))
        self.tell(f"{what} {value}")

    @property
    def counters(self) -> Mapping[str, int]:
        """What the cable has counted."""
        cable = self.cable()
        return cable.counters if cable else {}

    def unplug(self) -> None:
        """Pull the plug, and show the port no more."""
        self.plug.unplug()
        self.show.off()
        self.tell("unplugged")

    def replug(self) -> None:
        """Plug in again and show the port where it is now."""
        path = self.plug.replug()
        self.show.on(path)
        self.tell(f"port {path}")

    def run(self, ended: int | None = None) -> None:
        """Obey until ``quit``, or ``ended`` is readable; Ctrl-C raises KeyboardInterrupt."""
        typed = _stdin()
        held = b""
        with _signals() as wake:
            # Who has read of the port may signal at once.
            path = self.plug.port
            if path is not None:
                self.show.on(path)
                self.tell(f"port {path}")
            while True:
                waits = [fd for fd in (wake, typed, ended) if fd is not None]
                ready = select.select(waits, [], [])[0]
                if wake in ready:
                    for number in os.read(wake, 64):
                        if number == signal.SIGCONT:
                            typed = _stdin()  # in the foreground again, maybe
                        else:
                            self.do("unplug" if number == signal.SIGUSR1 else "replug")
                if typed is not None and typed in ready:
                    octets = _typed(typed)
                    held += octets
                    *lines, held = held.split(b"\n")
                    if not all(self.do(line.decode(errors="replace")) for line in lines):
                        return
                    if not octets or len(held) > _LINE_LIMIT:
                        typed = None  # nobody types: signals and Ctrl-C are left
                if ended is not None and ended in ready:
                    return


def trouble_with(trouble: Trouble, what: str, share: float) -> Trouble:
    """Return a trouble with another share of what is garbled, dropped or duplicated."""
    given = {name: getattr(trouble, name) for name in _SHARES} | {what: share}
    return Trouble(**given, latency_ns=trouble.latency_ns)


def counts(counters: Mapping[str, int]) -> str:
    """Return what was counted, without what never happened."""
    told = ", ".join(f"{name} {count}" for name, count in counters.items() if count)
    return told or "nothing has happened"


def _stdin() -> int | None:
    """Return the descriptor of standard input, None where there is none."""
    with suppress(AttributeError, OSError, ValueError):
        return sys.stdin.fileno()
    return None


def _typed(fd: int) -> bytes:
    """Return what was typed; nothing at the end, and while the terminal is another job's."""
    with suppress(OSError):
        return os.read(fd, 4096)
    return b""


@contextmanager
def _signals() -> Iterator[int]:
    """Yield a descriptor on which SIGUSR1, SIGUSR2 and SIGCONT come as octets.

    A job in the background that reads the terminal is stopped by SIGTTIN; ignored, that read fails.
    """
    wake, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def came(number: int, frame: FrameType | None) -> None:
        os.write(wakes, bytes((number,)))

    asked = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
    before = {number: signal.signal(number, came) for number in asked}
    before[signal.SIGTTIN] = signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    try:
        yield wake
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake)
        os.close(wakes)
