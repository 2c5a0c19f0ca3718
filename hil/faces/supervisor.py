"""The supervisor for static binaries: where it lies, whether it can work here, who needs it.

A preload shim needs a program with a dynamic loader. A program without one, as Go and Rust make
them and as busybox is, runs under the supervisor instead (``csrc/supervisor``).
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
from importlib import resources
from pathlib import Path

from hil.errors import HostError

SUPERVISOR = "_supervisor"
#: Interpreters of interpreters, as the kernel counts them (fs/exec.c).
_SCRIPTS_MOST = 4
_SCRIPT_LINE_NBYTES = 256
_PT_INTERP = 3
#: Machines whose 32-bit programs (EM_386, EM_ARM) run by themselves, with calls of their own.
_OTHER_CALLS = {("x86_64", 3), ("aarch64", 40)}


def supervisor_path() -> Path:
    """Return the supervisor of this installation.

    Raises ``HostError`` where it was not built, and where this host does not let it work.
    """
    path = Path(str(resources.files("hil.faces"))) / SUPERVISOR
    if not path.is_file():
        raise HostError(
            f"the supervisor {SUPERVISOR} was not built: it needs Linux and a C compiler; "
            "`pip install -e .` where the sources lie builds it"
        )
    try:
        tried = subprocess.run([path], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise HostError(
            f"the supervisor {path} cannot be run: {error.strerror}; `chmod +x` it, and see that "
            "its folder is not mounted noexec"
        ) from None
    if tried.returncode:
        why = tried.stdout.strip() or f"it ended with {tried.returncode}"
        raise HostError(f"no supervisor for static programs: {why}")
    return path


def is_static(command: str) -> bool:
    """Tell whether a command is an ELF file without a program interpreter, scripts resolved.

    A command that is not there or cannot be read is not: whoever starts it says what is wrong.
    Raises ``HostError`` for one that would run unseen.
    """
    for _ in range(_SCRIPTS_MOST):
        path = shutil.which(command)
        if path is None:
            return False
        try:
            with Path(path).open("rb") as file:
                head = file.read(_SCRIPT_LINE_NBYTES)
                if head[:2] != b"#!":
                    static = head[:4] == b"\x7fELF" and not _has_interpreter(head, file.fileno())
                    if static and (platform.machine(), head[18]) in _OTHER_CALLS:
                        raise HostError(
                            f"{path} is a static 32-bit program, whose system calls the supervisor "
                            "does not look at; build it for 64 bits"
                        )
                    return static
        except OSError:
            return False
        words = os.fsdecode(head[2:].split(b"\n", 1)[0]).split()
        if Path(words[0] if words else "").name == "env":
            words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        if not words:
            return False
        command = words[0]
    return False


def _has_interpreter(head: bytes, fd: int) -> bool:
    """Tell whether an ELF file (ELF-64 and ELF-32 object file format) has a PT_INTERP segment.

    What cannot be read as ELF is left to the loader, as if it had one.
    """
    order = {1: "<", 2: ">"}.get(head[5])
    layout = {1: ("I", 28, 42), 2: ("Q", 32, 54)}.get(head[4])
    if order is None or layout is None or len(head) < 64:
        return True
    word, at, sizes_at = layout
    (table,) = struct.unpack_from(order + word, head, at)
    size, count = struct.unpack_from(order + "HH", head, sizes_at)
    segments = os.pread(fd, size * count, table)
    if size < 4 or len(segments) < size * count:
        return True
    kinds = (struct.unpack_from(order + "I", segments, size * n)[0] for n in range(count))
    return _PT_INTERP in kinds
