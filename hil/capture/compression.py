"""The compressions of MCAP chunks (https://mcap.dev/spec/registry): none, zstd, lz4.

``zstd`` is the default: at level 1 it halves what buses carry at some 500 MB/s. ``lz4``, which MCAP
stores as LZ4 *frames*, is twice as fast and a quarter larger, and needs the package of that name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import zstandard

from hil.errors import HostError, UsageError

NAMES = ("zstd", "lz4", "none")
DEFAULT = "zstd"
_ZSTD_LEVEL = 1


def wire_name(name: str) -> str:
    """Return what stands in the file for a compression of :data:`NAMES`."""
    return "" if name == "none" else name


def _lz4_frame() -> Any:
    try:
        return importlib.import_module("lz4.frame")
    except ImportError:
        raise HostError(
            "compression lz4: the package lz4 is not installed; `pip install 'flatsat[lz4]'` "
            "brings it"
        ) from None


def compressor(name: str) -> Callable[[Any], Any]:
    """Return what compresses a chunk.

    Raises :class:`~hil.errors.UsageError` for a name that is none of :data:`NAMES`, and
    :class:`~hil.errors.HostError` where the package that it needs is not installed.
    """
    compress: Callable[[Any], Any]
    if name == "none":
        return memoryview
    if name == "zstd":
        compress = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress
    elif name == "lz4":
        compress = _lz4_frame().compress
    else:
        raise UsageError(f"capture compression {name!r}: say one of {', '.join(NAMES)}")
    return compress
