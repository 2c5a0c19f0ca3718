"""Decoded columns as files: one table a layout, rows as they come.

:class:`CsvTables` needs nothing; :class:`ParquetTables` needs pyarrow (the extra ``parquet``). A
table's columns are those of its first rows. Arrays of a fixed number of elements become as many
columns, octets hexadecimal text, lists of varying length JSON in CSV and lists in Parquet. Where a
group is not in a packet, its cells are empty.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

import numpy as np
import numpy.typing as npt

from flightsw.codec.plan import Field
from flightsw.codec.ragged import Ragged
from hil.errors import HostError, UsageError

Cells = Mapping[str, list[Any]]


class Tables(Protocol):
    """Where rows go, by the name of their table."""

    def write(self, name: str, cells: Cells) -> None:
        """Append rows: one list a column, all of the same length."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...


def cells_of(columns: Any, *, calibrated: bool = False) -> dict[str, list[Any]]:
    """Return decoded columns as cells: plain numbers, text, or None where there is nothing."""
    found: dict[str, list[Any]] = {}
    for f in columns.fields:
        values = columns.calibrated(f.name) if calibrated else columns[f.name]
        if isinstance(values, Ragged):
            cells = {f.name: _lists(f, values.by_packet())}
        elif values.ndim == 2 and f.kind == "bytes":
            cells = {f.name: [_text(f, row.tobytes()) for row in values]}
        elif values.ndim == 2:
            cells = {f"{f.name}[{i}]": values[:, i].tolist() for i in range(values.shape[1])}
        else:
            cells = {f.name: values.tolist()}
        mask = getattr(columns, "valid", {}).get(f.name)
        for name, each in cells.items():
            found[name] = _masked(each, mask)
    return found


def _text(f: Field, octets: bytes) -> str:
    if not f.text:
        return octets.hex()
    return octets.rstrip(b"\0").decode(f.text, "backslashreplace")


def _lists(f: Field, ragged: Ragged) -> list[Any]:
    if f.kind == "bytes":
        return [_text(f, row.tobytes()) for row in ragged.rows()]
    return [row.tolist() for row in ragged.rows()]


def _masked(values: list[Any], mask: npt.NDArray[np.bool_] | None) -> list[Any]:
    if mask is None or len(mask) != len(values):
        return values
    return [value if there else None for value, there in zip(values, mask.tolist(), strict=True)]


def without(cells: Cells, faults: npt.NDArray[Any] | None) -> dict[str, list[Any]]:
    """Return cells without the rows that have a fault."""
    if faults is None or not faults.any():
        return dict(cells)
    rows = np.flatnonzero(faults == 0).tolist()
    return {name: [values[row] for row in rows] for name, values in cells.items()}


class _Folder:
    """What both kinds share: a directory that holds no table of an earlier run."""

    suffix = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            there = sorted(folder.glob(f"*{self.suffix}"))
        except OSError as error:
            raise HostError(f"{folder}: {error.strerror}; give another directory") from None
        if there:
            raise UsageError(f"{folder} holds {there[0].name} already; give an empty directory")

    def path(self, name: str) -> Path:
        """Return the file of a table; other signs than letters, digits, - and _ become _."""
        return self.folder / (
            "".join(c if c.isalnum() or c in "-_" else "_" for c in name) + self.suffix
        )

    def __enter__(self) -> Self:
        return self

    def write(self, name: str, cells: Cells) -> None:
        """Append rows."""
        raise NotImplementedError


class CsvTables(_Folder):
    """``NAME.csv`` with one line of names."""

    suffix = ".csv"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files: dict[str, tuple[TextIO, Any, tuple[str, ...]]] = {}

    def write(self, name: str, cells: Cells) -> None:
        """Append rows."""
        if name not in self._files:
            file = self.path(name).open("x", newline="")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(cells)
            self._files[name] = file, writer, tuple(cells)
        _, writer, names = self._files[name]
        columns = [[json.dumps(v) if isinstance(v, list) else v for v in cells[n]] for n in names]
        writer.writerows(zip(*columns, strict=True))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for file, _, _ in self._files.values():
            file.close()


class ParquetTables(_Folder):
    """``NAME.parquet``."""

    suffix = ".parquet"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise HostError(
                "Parquet needs pyarrow: pip install 'flatsat[parquet]', or take --csv"
            ) from None
        self._arrow, self._parquet = pyarrow, pyarrow.parquet
        self._writers: dict[str, Any] = {}

    def write(self, name: str, cells: Cells) -> None:
        """Append rows."""
        if name not in self._writers:
            table = self._arrow.table(dict(cells))
            self._writers[name] = self._parquet.ParquetWriter(self.path(name), table.schema)
        else:
            table = self._arrow.table(dict(cells), schema=self._writers[name].schema)
        self._writers[name].write_table(table)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for writer in self._writers.values():
            writer.close()


def rows_of(cells: Cells) -> Iterable[dict[str, Any]]:
    """Yield one object a row, without the cells that are empty."""
    names = list(cells)
    for values in zip(*cells.values(), strict=True):
        yield {n: v for n, v in zip(names, values, strict=True) if v is not None}
