"""Room on the disk that nobody else gets: blocks behind the end of a file that grows.

The file keeps its size, so whoever reads along sees only what was written. Where the system or its
file system cannot do this, there is no reserve, and :attr:`Reserve.held` says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from functools import cache
from typing import Any

#: from <linux/falloc.h>
_KEEP_SIZE = 1
#: blocks are taken in steps of this size
STEP_NBYTES = 1 << 20
_UNABLE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV, errno.ENOTSUP)


class Reserve:
    """The room of one open file, up to the octet ``end``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.end = 0
        #: False: this file system cannot hold room free
        self.held = True

    def extend(self, at: int, end: int) -> None:
        """Make sure of the octets from ``at`` to ``end``; OSError if there is no such room."""
        if end <= self.end:
            return
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and end > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if not self.held:
            return
        try:
            self._take(at, end + STEP_NBYTES)
        except OSError as error:
            if error.errno in _UNABLE:
                self.held = False
                return
            self._take(at, end)  # the last of it

    def _take(self, at: int, end: int) -> None:
        fallocate = _fallocate()
        if fallocate is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if fallocate(self._fd, _KEEP_SIZE, at, end - at) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self.end = end


@cache
def _fallocate() -> Any:
    """Return fallocate(2) of this system's library, None where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return function
