"""Captures as Parquet: the columns of :meth:`hil.capture.reader.Capture.table`, by row groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from hil.capture.mcapread import ChannelInfo
from hil.capture.table import table_of
from hil.errors import HostError

#: octets of records of a row group: few groups, and little memory
GROUP_NBYTES = 16 << 20


def write(
    buffers: Iterable[bytes], channels: Iterable[ChannelInfo], file: BinaryIO, epoch_ns: int
) -> int:
    """Write buffers of wire records; return the number of rows.

    The epoch of the mission is in the file's metadata as ``epoch_ns``. Raises
    :class:`~hil.errors.HostError` where pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise HostError(
            "Parquet: pyarrow is not installed; run `pip install 'flatsat[parquet]'`"
        ) from None
    known, writer, count = list(channels), None, 0
    try:
        for group in _groups(buffers):
            table = table_of([group], known).to_arrow()
            table = table.replace_schema_metadata({"epoch_ns": str(epoch_ns)})
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
            count += len(table)
    finally:
        if writer is not None:
            writer.close()
    return count


def _groups(buffers: Iterable[bytes]) -> Iterable[bytes]:
    """Yield buffers put together to the size of a row group; at least one, which may be empty."""
    kept: list[bytes] = []
    nbytes, is_first = 0, True
    for buffer in buffers:
        kept.append(buffer)
        nbytes += len(buffer)
        if nbytes >= GROUP_NBYTES:
            yield b"".join(kept)
            kept, nbytes, is_first = [], 0, False
    if kept or is_first:
        yield b"".join(kept)
