"""Speaking to a run from outside while it flies: which part is real, from now on.

A paced run that knows boards listens on a Unix socket in a private folder of its run directory. A
request is one line of JSON and so is its reply, one a request; a connection may bring several::

    -> {"do": "swap", "name": "imu", "to": "bench-uno-1"}
    <- {"ok": true, "bound": {"imu": "bench-uno-1:i2c0"}}
    <- {"ok": false, "error": "no board 'bench-uno-2'; did you mean 'bench-uno-1'?"}

``swap``, ``shadow`` (with ``shows``) and ``state`` are what it knows. What is done becomes an event
of the run at the time when it was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hil.boards.desk import Boards
from hil.errors import HilError, UsageError
from hil.rundir import PARTIAL
from hil.time.transports.private import PrivateDirectory

#: file in the run directory that names the socket while the run lasts
NAME = "control"
LINE_LIMIT_NBYTES = 4096
CLIENT_LIMIT = 8
TIMEOUT_S = 5.0


class Control:
    """The listening end; close it with the run. ``stamp`` makes an act an event of now."""

    def __init__(
        self, boards: Boards, directory: Path, stamp: Callable[[Callable[[int], None]], None]
    ) -> None:
        self._boards = boards
        self._stamp = stamp
        self._clients: dict[int, tuple[socket.socket, bytearray]] = {}
        # Not in the run directory itself: a socket's path has 107 octets at most.
        self._private = PrivateDirectory()
        path = self._private.path / NAME
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(CLIENT_LIMIT)
        self._listener.setblocking(False)
        boards.watch(self._listener.fileno(), self._accept)
        self._link = directory / NAME
        self._link.symlink_to(path)

    def close(self) -> None:
        """Hang up on everybody and stop listening."""
        for fd in list(self._clients):
            self._drop(fd)
        self._boards.unwatch(self._listener.fileno())
        self._listener.close()
        self._link.unlink(missing_ok=True)
        self._private.remove()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self._clients) >= CLIENT_LIMIT:
                self._drop(next(iter(self._clients)))  # who has said nothing for longest
            connection.setblocking(False)
            fd = connection.fileno()
            self._clients[fd] = connection, bytearray()
            self._boards.watch(fd, lambda: self._serve(fd))

    def _drop(self, fd: int) -> None:
        self._boards.unwatch(fd)
        connection, _ = self._clients.pop(fd)
        connection.close()

    def _serve(self, fd: int) -> None:
        """Take what has come; do what each whole line asks for."""
        connection, held = self._clients[fd]
        try:
            octets = connection.recv(LINE_LIMIT_NBYTES)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        held += octets
        if not octets or len(held) > LINE_LIMIT_NBYTES:
            self._drop(fd)
            return
        self._clients[fd] = self._clients.pop(fd)
        while b"\n" in held:
            line, _, rest = held.partition(b"\n")
            held[:] = rest
            self._stamp(partial(self._do, connection, bytes(line)))

    def _do(self, connection: socket.socket, line: bytes, t_ns: int) -> None:
        octets = json.dumps(self._reply(line), sort_keys=True).encode() + b"\n"
        try:
            connection.send(octets)
        except OSError:
            if (fd := connection.fileno()) >= 0:
                self._drop(fd)

    def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            self._act(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            return {"ok": False, "error": f"no request: {type(error).__name__}: {error}"}
        except (
            HilError,
            OSError,
        ) as error:  # OSError: an emulation that this computer cannot start
            return {"ok": False, "error": str(error)}
        return {"ok": True, **self._boards.state()}

    def _act(self, request: Mapping[str, Any]) -> None:
        what = request["do"]
        if what == "state":
            return
        name, to = str(request["name"]), str(request["to"])
        if what == "swap":
            self._boards.swap(name, to)
        elif what == "shadow":
            self._boards.shadow(name, to, str(request.get("shows", "emulated")))
        else:
            raise UsageError(f"no request {what!r}; there are swap, shadow and state")


def find_run(run: Path | None = None, runs: Path = Path("runs")) -> Path:
    """Return the socket of a run that flies: that of ``run``, else the newest below ``runs``.

    Raises ``UsageError`` where none listens.
    """
    if run is not None:
        folders = [run, run.with_name(run.name + PARTIAL)]
    else:
        folders = sorted(runs.glob("*" + PARTIAL), key=_age, reverse=True)
    for folder in folders:
        path = folder / NAME
        if path.is_symlink() and path.exists() and _listens(path.resolve()):
            return path.resolve()
    where = f"{run} does not" if run is not None else f"no run below {runs}/ does"
    raise UsageError(
        f"{where} listen: only a run that flies at --pace real and knows a lab can be spoken to; "
        "name its directory with --run"
    )


def _age(folder: Path) -> float:
    """Return when something was last made in a folder, 0 where it has gone meanwhile."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _listens(path: Path) -> bool:
    """Tell whether a socket has a run behind it: one that was killed has left it lying there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(path))
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def ask(path: Path, request: Mapping[str, Any], timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Put a request to a run and return its reply.

    Raises ``UsageError`` with what the run says is wrong, or when it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            held = b""
            while not held.endswith(b"\n"):
                octets = connection.recv(LINE_LIMIT_NBYTES)
                if not octets:
                    raise UsageError("the run ended before it answered")
                held += octets
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise UsageError(f"the run does not answer: {why}") from None
    reply: dict[str, Any] = json.loads(held)
    if not reply.get("ok"):
        raise UsageError(str(reply.get("error", "the run refused, and does not say why")))
    return reply


def swap(name: str, where: str, run: Path | None = None) -> dict[str, Any]:
    """Swap ``name`` to ``where`` (``INSTANCE[:BUS]`` or ``emulated``) in a run that flies."""
    return ask(find_run(run), {"do": "swap", "name": name, "to": where})


def shadow(
    name: str, where: str, shows: str = "emulated", run: Path | None = None
) -> dict[str, Any]:
    """Let ``where`` run beside ``name`` in a run that flies; ``off`` ends it."""
    return ask(find_run(run), {"do": "shadow", "name": name, "to": where, "shows": shows})
