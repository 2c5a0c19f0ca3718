"""Which boards a test is bound to, what they can do, and that no other worker has them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import BoardError, HilError

if TYPE_CHECKING:
    from hil.boards.binding import Taking
    from hil.boards.lab import Instance
    from hil.options import Options
    from hil.testing.plugin.options import Found

#: how long a board may be another worker's, and how often it is looked for, seconds of the wall
LOCK_LIMIT_S, LOCK_LOOK_S = 600.0, 0.02
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def spelt(name: str) -> str:
    """Return a capability as it is spelt here: ``can_fd``."""
    return name.strip().lower().replace("-", "_")


@cache
def known_capabilities() -> tuple[str, ...]:
    """Return what a board may be able to do."""
    from hil.boards.protocol import Capability

    return tuple(spelt(flag.name or "") for flag in Capability)


def instances_of(taking: Taking | None) -> list[Instance]:
    """Return the boards that take part in a run, each once, by their names."""
    if taking is None:
        return []
    found = {binding.instance.id: binding.instance for binding in taking[1]}
    return [found[name] for name in sorted(found)]


def lack_of(needed: Sequence[str], options: Options, taking: Taking | None, found: Found) -> str:
    """Return what a test lacks, naming the board and the capability; ``""``: nothing."""
    wanted = [spelt(name) for name in needed]
    boards = instances_of(taking)
    if not boards:
        return (
            f"needs {', '.join(wanted)}, and all of board {options.board} is emulated: nothing "
            "real is bound to it (--hil-bind PART=BOARD, lab.toml, --hil-speed real)"
        )
    for instance in boards:
        if instance.id not in found:
            found[instance.id] = _asked(options, taking, instance)
    able = {board.id: found[board.id] for board in boards}
    gone = [f"{name}: {why}" for name, why in able.items() if isinstance(why, str)]
    can: set[str] = set().union(*(one for one in able.values() if not isinstance(one, str)))
    lacking = [name for name in wanted if name not in can]
    if not lacking:
        return ""
    if gone:
        return f"needs {', '.join(lacking)}: {'; '.join(gone)}"
    told = ", ".join(f"{board.id} ({board.type.name})" for board in boards)
    return f"needs {', '.join(lacking)}, which no board that is bound can: {told}"


def _asked(options: Options, taking: Taking | None, instance: Instance) -> frozenset[str] | str:
    """Return what a board says that it can do, or why it cannot be asked."""
    from hil.boards.desk import Boards
    from hil.boards.telling import capabilities
    from hil.rig import Rig
    from hil.testing.plugin.checking import board_of, mission_of

    assert taking is not None
    lab, bindings = taking
    rig = Rig(board_of(options.board), mission_of(options.mission), seed=0, flight=False)
    ours = [binding for binding in bindings if binding.instance.id == instance.id]
    try:
        with (
            held([instance]),
            contextlib.closing(
                Boards(rig, lab, time.monotonic_ns, lambda source, act: act(rig.kernel.now_ns))
            ) as boards,
        ):
            boards.open(ours, options.boards_wait_s)
            identity = boards.stations[instance.id].session.link.identity
    except HilError as wrong:
        return " ".join(str(wrong).split())
    if identity is None:
        return "it has not said who it is"
    return frozenset(spelt(name) for name in capabilities(identity))


@contextlib.contextmanager
def held(instances: Sequence[Instance], limit_s: float = LOCK_LIMIT_S) -> Iterator[None]:
    """Have boards for ourselves among all workers of this user; emulations are everybody's own.

    Raises ``BoardError`` for a board that somebody else keeps for longer than ``limit_s``.
    """
    with contextlib.ExitStack() as stack:
        # In one order, so that no two workers each wait for the other's.
        for name in sorted({_device(one) for one in instances if one.emulate is None}):
            fd = os.open(_folder() / f"{name}.lock", _OPEN, 0o600)
            stack.callback(os.close, fd)
            _lock(fd, name, limit_s)
        yield


def _lock(fd: int, name: str, limit_s: float) -> None:
    end_s = time.monotonic() + limit_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end_s:
                raise BoardError(
                    f"{name}: another test run has had this board for {limit_s:g} s; end that, "
                    "or take another board"
                ) from None
            time.sleep(LOCK_LOOK_S)
        else:
            return


def _device(instance: Instance) -> str:
    """Return what a board is known by, as the name of a file."""
    wanted = instance.wanted
    serial = wanted.usb_serial and f"{wanted.usb_serial}-{wanted.interface}"
    known = (wanted.uid, serial, wanted.usb_path, wanted.device, wanted.port, instance.id)
    name = next(str(one.hex() if isinstance(one, bytes) else one) for one in known if one)
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:100]


def _folder() -> Path:
    """Return the folder of the locks, which is this user's alone. Raises ``BoardError``."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(base) / f"flatsat-boards-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or folder.is_symlink():
        raise BoardError(f"{folder}: is not this user's alone; remove it, or set XDG_RUNTIME_DIR")
    return folder
