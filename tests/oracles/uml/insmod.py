"""Load kernel modules by finit_module(2), for a guest without kmod."""

from __future__ import annotations

import ctypes
import os
import sys

FINIT_MODULE = 313  # x86-64, the only processor of User-Mode Linux in Debian

libc = ctypes.CDLL(None, use_errno=True)
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDONLY)
    if libc.syscall(FINIT_MODULE, fd, b"", 0):
        sys.exit(f"{path}: {os.strerror(ctypes.get_errno())}")
    os.close(fd)
