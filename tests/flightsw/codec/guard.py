"""Buffers between forbidden pages: one octet too far ends the process by a signal."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from flightsw.codec.native import ffi

PAGE = mmap.PAGESIZE
_MPROTECT = ctypes.CDLL(None).mprotect
_MPROTECT.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE


class Guard:
    """Makes guarded buffers and gives their pages back at the end."""

    def __init__(self) -> None:
        self._areas: list[tuple[mmap.mmap, int]] = []

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for area, nbytes in self._areas:
            base = ctypes.addressof(ctypes.c_char.from_buffer(area))
            assert _MPROTECT(base, nbytes, _READ_WRITE) == 0
        self._areas.clear()

    def place(self, data: bytes, *, at_end: bool) -> Any:
        """Return a pointer to a copy of data that ends (else begins) at a forbidden page."""
        room = -(-max(len(data), 1) // PAGE) * PAGE
        nbytes = room + 2 * PAGE
        area = mmap.mmap(-1, nbytes)
        base = ctypes.addressof(ctypes.c_char.from_buffer(area))
        start = PAGE + (room - len(data) if at_end else 0)
        area[start : start + len(data)] = data
        for edge in (base, base + PAGE + room):
            assert _MPROTECT(edge, PAGE, 0) == 0
        self._areas.append((area, nbytes))
        return ffi.cast("uint8_t *", base + start)

    def both(self, data: bytes) -> Iterator[Any]:
        """Yield a copy that begins, then one that ends at a forbidden page."""
        yield self.place(data, at_end=False)
        yield self.place(data, at_end=True)
