"""Tables of decoded columns: rows picked, groups of rows written, and texts of numbers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from flightsw.codec.columns.ragged import Ragged
from hil.tables import Column, CsvTables, ParquetTables, as_json, objects_of

ROWS = 1 << 16


@pytest.mark.parametrize("batches", [[ROWS], [ROWS, 1], [1, ROWS - 1], [0, ROWS], [0]])
def test_every_group_of_rows_is_written_once(batches: list[int], tmp_path: Path) -> None:
    """However rows come, a Parquet file holds them all, in order."""
    parquet = pytest.importorskip("pyarrow.parquet")
    at = 0
    with ParquetTables(tmp_path) as tables:
        for count in batches:
            tables.write("t", [Column("n", np.arange(at, at + count))])
            at += count
    assert tables.rows == {tmp_path / "t.parquet": at}
    assert parquet.read_table(tmp_path / "t.parquet")["n"].to_pylist() == list(range(at))


def test_rows_of_lists_are_picked() -> None:
    """Picking rows of a column of lists, in any order, gives their lists and masks."""
    there = np.array([True, False, True, True])
    ragged = Ragged(np.arange(6), np.array([0, 2, 2, 3, 6]))
    column = Column("x", ragged, there).take(np.array([3, 1, 0]))
    assert column.cells() == [[3, 4, 5], None, [0, 1]]
    assert column.take(np.array([], np.int64)).cells() == []


def test_nested_names_become_nested_objects() -> None:
    """A path of names and places in lists is an object of objects and lists."""
    columns = [
        Column("a.b", np.array([1, 2]), path=("a", "b")),
        Column("l[0]", np.array([3, 4]), path=("l", 0)),
        Column("l[1]", np.array([5, 6]), path=("l", 1)),
    ]
    assert list(objects_of(columns))[1] == {"a": {"b": 2}, "l": [4, 6]}


def test_json_is_what_every_reader_takes() -> None:
    """What is no number is text in JSON, wherever it stands."""
    value = {"a": [1.0, float("nan")], "b": float("-inf"), "c": {"d": float("inf")}}
    text = as_json(value)
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": [1.0, "NaN"],
        "b": "-Infinity",
        "c": {"d": "Infinity"},
    }


def test_text_of_any_signs_comes_back_from_csv(tmp_path: Path) -> None:
    """Line ends, quotes, commas and zeros in text are read back as they were."""
    texts = ["a\rb", "c\nd", 'e"f', "g,h", "i\r\nj", "plain", "", "\0k"]
    with CsvTables(tmp_path) as tables:
        tables.write("t", [Column("x", np.array(texts, object)), Column("n", np.arange(8))])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["x"] for row in rows] == texts
    assert [row["n"] for row in rows] == [str(i) for i in range(8)]


def test_a_name_with_other_signs_stays_in_its_directory(tmp_path: Path) -> None:
    """No name of a table leads out of the directory that was given."""
    with CsvTables(tmp_path / "out") as tables:
        tables.write("../a b/ä", [Column("n", np.array([1]))])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["___a_b_ä.csv"]
