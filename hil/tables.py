"""Decoded columns as files: one table a layout, rows as they come.

:class:`CsvTables` needs nothing; :class:`ParquetTables` needs pyarrow (the extra ``parquet``). In
both, arrays of a fixed number of elements become as many columns, octets hexadecimal text, and
cells whose field is not in the packet empty. Lists of varying length are JSON in CSV and lists in
Parquet.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TextIO

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.plan import Field
from flightsw.codec.columns.ragged import Ragged
from flightsw.codec.columns.values import store
from hil.errors import HostError, UsageError

#: Rows and octets that a Parquet file's row group has at least; a batch may be a few packets.
_GROUP_ROWS, _GROUP_NBYTES = 1 << 16, 1 << 26


_encode = json.JSONEncoder(allow_nan=False).encode


class Column(NamedTuple):
    """One column: an array, 2-D where each row has the same number of elements, or lists.

    ``there`` is False where a row has no such value, None where all have. ``path`` is the place in
    a JSON object.
    """

    name: str
    values: npt.NDArray[Any] | Ragged
    there: npt.NDArray[np.bool_] | None = None
    path: tuple[str | int, ...] = ()
    unit: str = ""
    doc: str = ""

    def cells(self) -> list[Any]:
        """Return plain Python values, a row each, None where there is none."""
        if isinstance(self.values, Ragged):
            cells = [row.tolist() for row in self.values.rows()]
        else:
            cells = self.values.tolist()
        if self.there is None:
            return cells
        return [
            cell if is_there else None for cell, is_there in zip(cells, self.there, strict=True)
        ]

    def take(self, rows: npt.NDArray[np.int64]) -> Column:
        """Return the column with only these rows."""
        values: Any = self.values
        if isinstance(values, Ragged):
            lengths, begins = values.lengths()[rows], values.offsets[:-1][rows]
            offsets = np.concatenate(([0], np.cumsum(lengths)))
            where = np.arange(offsets[-1]) + np.repeat(begins - offsets[:-1], lengths)
            values = Ragged(values.values[where], offsets)
        else:
            values = values[rows]
        return self._replace(values=values, there=None if self.there is None else self.there[rows])


Columns = Sequence[Column]


class Tables(Protocol):
    """Where rows go, by the name of their table; ``rows`` counts them by file."""

    rows: dict[Path, int]

    def write(self, name: str, columns: Columns) -> None:
        """Append rows; the columns of a table are always the same."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...


def columns_of(decoded: Any, *, calibrated: bool = False) -> list[Column]:
    """Return what a layout decoded as columns, octets as hexadecimal and strings as text.

    With ``calibrated``, fields with a calibration come in its unit, enums as their labels.
    """
    valid = getattr(decoded, "valid", {})
    return [_column(decoded, f, calibrated, valid.get(f.name)) for f in decoded.fields]


def _column(decoded: Any, f: Field, calibrated: bool, there: Any) -> Column:
    values = decoded.calibrated(f.name) if calibrated else decoded[f.name]
    unit = f.calibration.unit if calibrated and f.calibration else f.unit
    if isinstance(values, Ragged):
        values = values.by_packet()
        if f.kind == "bytes" and values.values.ndim == 2:
            values = values._replace(values=_texts(f, values.values))
        elif f.kind == "bytes":
            values = _texts(f, values.rows())
    elif f.kind == "bytes":
        values = _texts(f, values)
    rows = len(values.offsets) - 1 if isinstance(values, Ragged) else len(values)
    mask = there if there is not None and len(there) == rows else None
    return Column(f.name, values, mask, f.path, unit, f.doc)


def _texts(f: Field, rows: Any) -> npt.NDArray[Any]:
    """Return octets a row as an array of text."""
    found = [row.tobytes() for row in rows]
    texts = np.empty(len(found), object)
    texts[:] = [
        octets.rstrip(b"\0").decode(f.text, "backslashreplace") if f.text else octets.hex()
        for octets in found
    ]
    return texts


def objects_of(columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield one nested object a row, without what is not there."""
    cells = [column.cells() for column in columns]
    paths = [column.path or (column.name,) for column in columns]
    if all(len(path) == 1 for path in paths) and all(c.there is None for c in columns):
        names = [str(path[0]) for path in paths]
        yield from (dict(zip(names, values, strict=True)) for values in zip(*cells, strict=True))
        return
    for values in zip(*cells, strict=True):
        found: dict[str, Any] = {}
        for path, value in zip(paths, values, strict=True):
            if value is not None:
                store(found, path, value)
        yield found


def as_json(value: Any) -> str:
    """Return JSON in one line; NaN and the infinities, which it cannot say, are texts."""
    try:
        return _encode(value)
    except ValueError:
        return _encode(_sayable(value))


def _sayable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sayable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_sayable(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def flat(columns: Columns) -> Iterator[Column]:
    """Yield columns of one value a row: ``name[i]`` of arrays."""
    for column in columns:
        values = column.values
        if isinstance(values, Ragged) or values.ndim == 1:
            yield column
            continue
        for i in range(values.shape[1]):
            yield column._replace(name=f"{column.name}[{i}]", values=values[:, i])


class _Folder:
    """What both kinds share: a directory that holds no table of an earlier run."""

    suffix = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[Path, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            there = sorted(folder.glob(f"*{self.suffix}"))
        except OSError as error:
            raise HostError(f"{folder}: {error.strerror}; give another directory") from None
        if there:
            raise UsageError(f"{folder} holds {there[0].name} already; give an empty directory")

    def path(self, name: str) -> Path:
        """Return the file of a table."""
        return self.folder / (file_name(name) + self.suffix)

    def _count(self, name: str, columns: Columns) -> None:
        path = self.path(name)
        values = columns[0].values
        rows = len(values.offsets) - 1 if isinstance(values, Ragged) else len(values)
        self.rows[path] = self.rows.get(path, 0) + rows

    def __enter__(self) -> Self:
        return self


def file_name(table: str) -> str:
    """Return the name of a table's file: other signs than letters, digits, - and _ become _."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in table)


class CsvTables(_Folder):
    """``NAME.csv`` with one line of names."""

    suffix = ".csv"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files: dict[str, tuple[TextIO, Any]] = {}

    def write(self, name: str, columns: Columns) -> None:
        """Append rows."""
        columns = list(flat(columns))
        if name not in self._files:
            made = self.path(name).open("x", newline="", encoding="utf-8")
            self._files[name] = made, csv.writer(made, lineterminator="\n")
            self._files[name][1].writerow(column.name for column in columns)
        self._count(name, columns)
        file, writer = self._files[name]
        rows = list(zip(*map(_csv_cells, columns), strict=True))
        if not any(_has_return(column.values) for column in columns):
            writer.writerows(rows)
            return
        # Python up to 3.12 puts no quotes around a carriage return, at which readers end a line.
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in rows:
            (quoted if _has_return(row) else writer).writerow(row)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for file, _ in self._files.values():
            file.close()


def _has_return(values: Any) -> bool:
    is_numbers = isinstance(values, np.ndarray) and values.dtype.kind not in "OU"
    if is_numbers or isinstance(values, Ragged):
        return False
    return any(isinstance(value, str) and "\r" in value for value in values)


def _csv_cells(column: Column) -> list[Any]:
    cells = column.cells()
    if isinstance(column.values, Ragged):
        return [None if cell is None else as_json(cell) for cell in cells]
    return cells


class ParquetTables(_Folder):
    """``NAME.parquet``; unit and meaning of a column are in its metadata."""

    suffix = ".parquet"

    def __init__(self, folder: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise HostError(
                "Parquet needs pyarrow: pip install 'flatsat[parquet]', or take --csv"
            ) from None
        super().__init__(folder)
        self._arrow, self._parquet = pyarrow, pyarrow.parquet
        self._writers: dict[str, Any] = {}
        self._waiting: dict[str, list[Any]] = {}

    def write(self, name: str, columns: Columns) -> None:
        """Append rows."""
        columns = list(flat(columns))
        self._count(name, columns)
        batch = self._batch(columns)
        if name not in self._writers:
            self._writers[name] = self._parquet.ParquetWriter(self.path(name), batch.schema)
            self._waiting[name] = []
        waiting = self._waiting[name]
        waiting.append(batch)
        rows, nbytes = sum(b.num_rows for b in waiting), sum(b.nbytes for b in waiting)
        if rows >= _GROUP_ROWS or nbytes >= _GROUP_NBYTES:
            self._flush(name)

    def _flush(self, name: str) -> None:
        waiting, self._waiting[name] = self._waiting[name], []
        if not waiting:
            return
        self._writers[name].write_table(self._arrow.Table.from_batches(waiting))

    def _batch(self, columns: Columns) -> Any:
        pa = self._arrow
        arrays = [self._array(column) for column in columns]
        fields = [
            pa.field(c.name, array.type, metadata={"unit": c.unit, "doc": c.doc})
            for c, array in zip(columns, arrays, strict=True)
        ]
        return pa.record_batch(arrays, schema=pa.schema(fields))

    def _array(self, column: Column) -> Any:
        pa, values = self._arrow, column.values
        absent = None if column.there is None else ~column.there
        if not isinstance(values, Ragged):
            return pa.array(_of_arrow(values), type=self._text_type(values), mask=absent)
        inner = pa.array(_of_arrow(values.values), type=self._text_type(values.values))
        offsets = pa.array(values.offsets - values.offsets[0], pa.int32())
        mask = None if absent is None else pa.array(absent)
        return pa.ListArray.from_arrays(offsets, inner, mask=mask)

    def _text_type(self, values: npt.NDArray[Any]) -> Any:
        return self._arrow.string() if values.dtype.kind in "OU" else None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for name, writer in self._writers.items():
            self._flush(name)
            writer.close()


def _of_arrow(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values as pyarrow takes them; readers of Parquet seldom know half floats."""
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return np.ascontiguousarray(values)
