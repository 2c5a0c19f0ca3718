"""Folders for sockets that only we can enter, and what killed runs have left of theirs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import weakref
from pathlib import Path

#: File in the folder that its owner keeps locked while it lives; holds the number of its process.
#: The lock decides: numbers are used again, and mean nothing in another container.
OWNER = "pid"
_NAME = re.compile(r"hil-[0-9a-f]{12}")


class PrivateDirectory:
    """A fresh directory that only we can enter, with a path short enough for a socket.

    It is removed by ``remove()``, and at the latest when the process ends. A process that is killed
    cannot do that: the next one does, when it makes a directory of its own.
    """

    def __init__(self) -> None:
        given = os.environ.get("XDG_RUNTIME_DIR")
        usable = given is not None and os.access(given, os.W_OK)
        base = Path(given if usable and given else tempfile.gettempdir())
        sweep(base)
        self.path = base / f"hil-{secrets.token_hex(6)}"
        locks: list[int] = []
        # Before it is there: a signal between making it and knowing it would leave it behind.
        self.remove = weakref.finalize(self, _remove, self.path, locks, os.getpid())
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            self.remove.detach()
            raise
        except BaseException:
            self.remove()
            raise
        self._own(locks)

    def _own(self, locks: list[int]) -> None:
        """Say whose it is. The file gets its name when it is locked: nobody takes us for dead."""
        fresh = self.path / f"{OWNER}.new"
        locks.append(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        fcntl.flock(locks[0], fcntl.LOCK_EX)
        os.write(locks[0], f"{os.getpid()}\n".encode())
        fresh.rename(self.path / OWNER)


def _remove(path: Path, locks: list[int], owner: int) -> None:
    if os.getpid() == owner:  # and not the child of a fork, which ends before its parent
        shutil.rmtree(path, ignore_errors=True)
    while locks:
        os.close(locks.pop())


def sweep(base: Path) -> int:
    """Remove the folders in ``base`` whose owner was killed; return how many there were."""
    removed = 0
    # Whoever may not list the place, or finds a folder gone meanwhile, has nothing to remove.
    with contextlib.suppress(OSError):
        for path in sorted(base.iterdir()):
            if _NAME.fullmatch(path.name) and _ours(path) and _is_orphan(path):
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
    return removed


def _ours(path: Path) -> bool:
    """Tell whether it is a directory of this user, and no link to one."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _is_orphan(path: Path) -> bool:
    """Tell whether nobody holds the lock; without one it is of a process that just begins."""
    try:
        lock = os.open(path / OWNER, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
