"""The seal of snapshots: only those that this user has made are put together and go on.

A state is a graph of objects of the rooms that fly, bound to their own functions, with arguments of
whoever wrote it: once it goes on, it can do whatever those can, such as writing a file. No list of
classes holds that back. So an index is sealed with a key of the user, and one that another hand has
made or changed is not used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Any

from hil.errors import HostError

KEY_NBYTES = 32


def key_path() -> Path:
    """Return where the key lies: with what programs keep for their user."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "flatsat" / "snapshots.key"


def seal(table: dict[str, Any]) -> str:
    """Return the seal of an index; makes the key of the user if there is none.

    Raises ``HostError`` where that cannot be kept.
    """
    path = key_path()
    try:
        if not path.exists():
            _make(path)
        return _of(table, _key(path))
    except OSError as error:
        raise HostError(
            f"{path}: {error.strerror}: no key to seal snapshots with; set XDG_STATE_HOME to a "
            "folder that can be written"
        ) from None


def is_sealed(table: dict[str, Any], told: object) -> bool:
    """Tell whether ``told`` is the seal that this user puts on an index."""
    try:
        key = _key(key_path())
    except OSError:
        return False
    return isinstance(told, str) and hmac.compare_digest(_of(table, key).encode(), told.encode())


def _of(table: dict[str, Any], key: bytes) -> str:
    octets = json.dumps(table, sort_keys=True).encode()
    return hmac.new(key, octets, hashlib.blake2b).hexdigest()


def _key(path: Path) -> bytes:
    """Return the key; ``OSError`` for what is none."""
    key = path.read_bytes()
    if len(key) != KEY_NBYTES:
        raise OSError(errno.EINVAL, f"{len(key)} octets are no key: remove the file")
    return key


def _make(path: Path) -> None:
    """Make the key; whoever else makes it at the same time, there is one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, secrets.token_bytes(KEY_NBYTES))
    finally:
        os.close(fd)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink()
