"""Records as columns: NumPy without a copy a record, Arrow and pandas where they are installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.codec.native import ffi, lib
from flightsw.codec.wire import HEADER_FIELDS, HEADER_NBYTES
from hil.capture.mcapread import ChannelInfo
from hil.errors import CaptureError

#: ``fs_wire_row``: the header of a wire record, and where its payload begins
ROW = np.dtype(
    [(item.name, f"<u{item.sizeof()}") for item in HEADER_FIELDS.subcons] + [("offset", "<u8")]
)
assert ROW.itemsize == HEADER_NBYTES + 8


@dataclass(frozen=True)
class Table:
    """Records as columns.

    ``rows`` has one row a record: the fields of its header (``kind, channel, flags, status, length,
    t_ns, duration_ns, seq, address``; times in nanoseconds since the mission epoch) and ``offset``,
    where its ``length`` octets of payload begin in ``payloads``. ``table["t_ns"]`` is a column.
    """

    rows: NDArray[Any]
    payloads: NDArray[np.uint8]
    #: topic by (kind, channel)
    names: dict[tuple[int, int], str]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return np.asarray(self.rows[column])

    def payload(self, row: int) -> bytes:
        """Return the payload of one record."""
        at = int(self.rows["offset"][row])
        return self.payloads[at : at + int(self.rows["length"][row])].tobytes()

    def topics(self) -> tuple[NDArray[np.int32], list[str]]:
        """Return, for each row, the index of its topic, and the topics."""
        keys = self.rows["kind"].astype(np.uint16) << np.uint16(8) | self.rows["channel"]
        found, codes = np.unique(keys, return_inverse=True)
        topics = [self.names.get((key >> 8, key & 0xFF), "") for key in found.tolist()]
        return codes.astype(np.int32), topics

    def to_arrow(self) -> Any:
        """Return a ``pyarrow.Table``: the fields of the header, ``topic`` as a dictionary,
        ``payload`` as large binary. Raises CaptureError where pyarrow is not installed."""
        pa = _wanted("pyarrow", "parquet")
        ends = np.concatenate((self.rows["offset"], [len(self.payloads)])).astype(np.int64)
        columns = {name: pa.array(np.ascontiguousarray(self[name])) for name in _FIELDS}
        codes, topics = self.topics()
        columns["topic"] = pa.DictionaryArray.from_arrays(
            pa.array(codes), pa.array(topics, pa.string())
        )
        columns["payload"] = pa.Array.from_buffers(
            pa.large_binary(),
            len(self),
            [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(self.payloads))],
        )
        return pa.table(columns)

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame`` of the same columns, ``topic`` as a category, ``payload``
        as bytes. Raises CaptureError where pandas is not installed."""
        pd = _wanted("pandas", "pandas")
        columns: dict[str, Any] = {name: self[name].copy() for name in _FIELDS}
        codes, topics = self.topics()
        # Several kinds may share a topic, as I2C and SPI of a bus do not, but foreign ones might.
        names = sorted(set(topics))
        places = np.array([names.index(topic) for topic in topics], np.int32)
        columns["topic"] = pd.Categorical.from_codes(places[codes], names)
        columns["payload"] = list(self._payloads())
        return pd.DataFrame(columns)

    def _payloads(self) -> Iterator[bytes]:
        octets = self.payloads.tobytes()
        ends = self.rows["offset"] + self.rows["length"]
        for begin, end in zip(self.rows["offset"].tolist(), ends.tolist(), strict=True):
            yield octets[begin:end]


_FIELDS = [name for name in ROW.names or () if name not in ("length", "offset")]


def table_of(pieces: Iterable[bytes], channels: Iterable[ChannelInfo]) -> Table:
    """Return the records of buffers of wire records as one table."""
    rows, payloads, base = [], [], 0
    for octets in pieces:
        nrows = len(octets) // HEADER_NBYTES
        part = np.empty(nrows, ROW)
        payload = np.empty(len(octets), np.uint8)
        found = lib.fs_wire_table(
            ffi.from_buffer(octets),
            len(octets),
            base,
            ffi.cast("fs_wire_row *", ffi.from_buffer(part)),
            nrows,
            ffi.from_buffer(payload),
            len(payload),
        )
        assert found >= 0, "a buffer holds whole records"
        nbytes = len(octets) - HEADER_NBYTES * found
        rows.append(part[:found].copy())
        payloads.append(payload[:nbytes].copy())
        base += nbytes
    names = {(channel.kind, channel.channel): channel.topic for channel in channels}
    return Table(
        np.concatenate(rows) if rows else np.empty(0, ROW),
        np.concatenate(payloads) if payloads else np.empty(0, np.uint8),
        names,
    )


def _wanted(package: str, extra: str) -> Any:
    """Import an optional package; raises CaptureError that names the extra which brings it."""
    import importlib

    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        raise CaptureError(
            f"{package} is not installed; run `pip install 'flatsat[{extra}]'`"
        ) from None
