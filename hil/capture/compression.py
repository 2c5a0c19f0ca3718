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


def compressor(name: str) -> Callable[[bytes], bytes]:
    """Return what compresses a chunk.

    Raises :class:`~hil.errors.UsageError` for a name that is none of :data:`NAMES`, and
    :class:`~hil.errors.HostError` where the package that it needs is not installed.
    """
    if name == "none":
        return bytes
    if name == "zstd":
        compress: Callable[[bytes], bytes] = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress
        return compress
    if name == "lz4":
        compress = _lz4_frame().compress
        return compress
    raise UsageError(f"capture compression {name!r}: say one of {', '.join(NAMES)}")


def decompress(wire: str, data: bytes, size: int) -> bytes:
    """Return the octets of a chunk, at most ``size``, which come from ``data``.

    ``wire`` is the name in the file. Raises ValueError for octets that cannot be decompressed, that
    give more than ``size``, or whose compression is unknown; :class:`~hil.errors.HostError` where
    the package that it needs is not installed.
    """
    if not wire:
        return data
    if wire == "zstd":
        try:
            # A size in the frame would be believed, and its memory taken, before anything is read.
            if zstandard.frame_content_size(data) > size:
                raise ValueError(f"more than the {size} octets that were announced")
            octets: bytes = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
        except zstandard.ZstdError as wrong:
            raise ValueError(str(wrong)) from None
    elif wire == "lz4":
        try:
            octets = _lz4_frame().LZ4FrameDecompressor().decompress(data, max_length=size + 1)
        except (RuntimeError, EOFError) as wrong:
            raise ValueError(str(wrong)) from None
    else:
        raise ValueError(f"compression {wire!r} is not one of ours")
    if len(octets) > size:
        raise ValueError(f"more than the {size} octets that were announced")
    return octets
