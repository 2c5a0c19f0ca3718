"""TOML files and quantities: right ones are read, wrong ones are refused in one line."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hil.config import Document, load_toml, nearest
from hil.errors import ConfigError
from hil.tomlindex import index_keys
from hil.units import DIMENSIONS, parse_quantity

SAMPLE = """title = "x"
[bus."i2c-1"]
kind = 'i2c'
list = [1,
  { a = 1, "b c" = [2] },  # a comment with ] and }
]
text = \"\"\"two
lines "quoted" here\"\"\"\"
d.e.f = 1979-05-27T07:32:00Z
[[part]]
name = "first"
[part.world]
w = 1
[[part]]
name = "second"
"""


def write(tmp_path: Path, text: str) -> Path:
    """Write a TOML file and return its path."""
    path = tmp_path / "file.toml"
    path.write_text(text)
    return path


def document(tmp_path: Path, text: str) -> Document:
    """Return the document of a TOML text."""
    return load_toml(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("10 mohm", "ohm", 0.01),
        ("400 kHz", "Hz", 400_000.0),
        ("500 kbit/s", "bit/s", 500_000.0),
        ("115 Wh", "J", 414_000.0),
        ("2.5 ms", "us", 2500.0),
        ("1.5 min", "s", 90.0),
        ("-40 °C", "degC", -40.0),
        ("7e-3 V", "mV", 7.0),
        ("50 %", "1", 0.5),
        ("0.5", "1", 0.5),
        ("50 %", "%", 50.0),
        ("490 km", "m", 490_000.0),
        ("3µs", "s", 3e-6),
        ("100 Ω", "ohm", 100.0),
        ("16 MiB", "B", 16.0 * 1024 * 1024),
        ("180 deg", "rad", 3.141592653589793),
        ("  5   V  ", "V", 5.0),
    ],
)
def test_quantities_convert_exactly(text: str, unit: str, value: float) -> None:
    """A quantity is the float nearest to what is written, in the unit that was asked for."""
    assert parse_quantity(text, unit) == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("5 V", "'5 V' is another kind of quantity; units that fit: ohm"),
        ("5", "'5' has no unit"),
        (5, "5 has no unit"),
        (True, "True has no unit"),
        ("5 bananas", "'5 bananas' has an unknown unit"),
        ("", "'' is not a number and a unit"),
        ("many ohm", "is not a number and a unit"),
        ("1e999 ohm", "unknown unit"),
        ("1_000 ohm", "unknown unit"),
        ("٣ ohm", "is not a number and a unit"),
        ("nan ohm", "is not a number and a unit"),
        ("9" * 500 + " ohm", "is not a number and a unit"),
        (["1 ohm"], "has no unit"),
    ],
)
def test_wrong_quantities_name_what_was_expected(text: object, complaint: str) -> None:
    """A wrong unit or number is refused with the unit that is expected and an example."""
    with pytest.raises(ConfigError) as caught:
        parse_quantity(text, "ohm")
    assert str(caught.value).startswith("expected a quantity in ohm, such as '10 mohm'; ")
    assert complaint in str(caught.value)


def test_every_unit_belongs_to_one_dimension() -> None:
    """No unit stands in two dimensions, and each converts to itself."""
    units = [unit for dimension in DIMENSIONS for unit in dimension]
    assert len(units) == len(set(units))
    for unit in units:
        assert parse_quantity(f"3 {unit}" if unit != "1" else "3", unit) == 3.0


def test_every_key_has_its_line() -> None:
    """Tables, dotted keys, inline tables and arrays of tables are found where they stand."""
    assert index_keys(SAMPLE) == {
        ("title",): 1,
        ("bus",): 2,
        ("bus", "i2c-1"): 2,
        ("bus", "i2c-1", "kind"): 3,
        ("bus", "i2c-1", "list"): 4,
        ("bus", "i2c-1", "list", 0): 4,
        ("bus", "i2c-1", "list", 1): 5,
        ("bus", "i2c-1", "list", 1, "a"): 5,
        ("bus", "i2c-1", "list", 1, "b c"): 5,
        ("bus", "i2c-1", "list", 1, "b c", 0): 5,
        ("bus", "i2c-1", "text"): 7,
        ("bus", "i2c-1", "d"): 9,
        ("bus", "i2c-1", "d", "e"): 9,
        ("bus", "i2c-1", "d", "e", "f"): 9,
        ("part",): 10,
        ("part", 0): 10,
        ("part", 0, "name"): 11,
        ("part", 0, "world"): 12,
        ("part", 0, "world", "w"): 13,
        ("part", 1): 14,
        ("part", 1, "name"): 15,
    }


def paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Return the paths of everything inside a TOML value."""
    found = {path} if path else set()
    if isinstance(value, dict):
        for name, inner in value.items():
            found |= paths(inner, (*path, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            found |= paths(inner, (*path, i))
    return found


def random_toml(rng: random.Random) -> str:
    """Return a valid document of nested values with awkward strings."""

    def value(depth: int) -> str:
        kind = rng.randrange(9 if depth < 3 else 6)
        if kind >= 7:
            items = [value(depth + 1) for _ in range(rng.randrange(4))]
            gap = rng.choice([" ", "\n", " # ]\n"])
            return "[" + gap + ("," + gap).join(items) + gap + "]"
        if kind == 6:
            pairs = [f"k{i} = {value(9)}" for i in range(rng.randrange(3))]
            return "{ " + ", ".join(pairs) + " }"
        simple = ["1", "-2.5e3", "true", '"a # \\" ]"', "'''\n'' x'''", '"""\n\\"""""" '.strip()]
        return simple[kind]

    lines = []
    for i in range(rng.randrange(1, 12)):
        lines.append(rng.choice(["", "# note", f"[t{i}.'x y']", f"[[a.b{i % 2}]]"]))
        lines.append(f'"key {i}".v{i} = {value(0)}')
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(150))
def test_the_index_knows_exactly_the_keys_that_tomllib_finds(seed: int) -> None:
    """Whatever the shape of a valid file, the index holds each of its paths and no other."""
    text = random_toml(random.Random(seed))
    assert set(index_keys(text)) == paths(tomllib.loads(text))


def test_an_error_names_file_line_and_key(tmp_path: Path) -> None:
    """A complaint about a value starts with where it stands."""
    doc = document(tmp_path, SAMPLE)
    error = doc.error(("part", 1, "name"), "no such\nthing")
    assert str(error) == f"{doc.path}:15: part[1].name: no such thing"
    assert str(doc.error("bus.i2c-1.absent", "x")).startswith(f"{doc.path}:2: ")


def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path) -> None:
    """A misspelt key is refused with the name that it should have been."""
    doc = document(tmp_path, "[bus.a]\nkind = 'i2c'\nbitrte = '1 kHz'\n")
    with pytest.raises(
        ConfigError, match=r":3: bus\.a\.bitrte: unknown key; did you mean 'bitrate'"
    ):
        doc.check_keys("bus.a", ("kind", "bitrate"))
    assert nearest("zzzz", ["kind"]) == ""


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("a = 1\nb = = 2\n", 2, "not valid TOML"),
        ("a = 1\na = 2\n", 2, "not valid TOML"),
        ("a = [1,\n2", 2, "not valid TOML"),
        ("x = 2024-13-01\n", 1, "not valid TOML"),
        ("\x00", 1, "not valid TOML"),
    ],
)
def test_syntax_errors_name_the_line(tmp_path: Path, text: str, line: int, complaint: str) -> None:
    """What is not TOML is refused with the line where it stops being TOML."""
    with pytest.raises(ConfigError) as caught:
        document(tmp_path, text)
    assert f"file.toml:{line}: {complaint}" in str(caught.value)


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    """Absent, a folder, too large, not UTF-8, nested without end: each is one clear line."""
    cases: dict[str, bytes | None] = {
        "absent.toml": None,
        "latin.toml": b"a = 1\nb = '\xe9'\n",
        "large.toml": b"# " + b"x" * (1 << 20),
        "deep.toml": b"a = " + b"[" * 50_000,
        "long.toml": b"a = " + b"9" * 5000,
    }
    wanted = {
        "absent.toml": "cannot be read: No such file",
        "latin.toml": ":2: is not UTF-8",
        "large.toml": "is larger than 1024 KiB",
        "deep.toml": "nested too deeply",
        "long.toml": "not valid TOML",
    }
    for name, content in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load_toml(tmp_path / name)
        assert wanted[name] in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="is not a file"):
        load_toml(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_toml("a\0b.toml")


def test_typed_reading_refuses_other_types(tmp_path: Path) -> None:
    """Each kind of reading accepts its own type only; a boolean is not a number."""
    doc = document(tmp_path, "n = 5\nb = true\ns = 'x'\ne = ''\nf = 1.5\n[t]\n")
    assert doc.integer("n", 0, 9) == 5
    assert doc.text("s") == "x"
    assert doc.table("t") == {}
    assert doc.integer("absent", 0, 9, default=7) == 7
    assert doc.text("absent", None) is None
    for attempt, complaint in (
        (lambda: doc.integer("b", 0, 9), "must be a whole number, is a boolean"),
        (lambda: doc.integer("f", 0, 9), "must be a whole number, is a number with a fraction"),
        (lambda: doc.integer("n", 6, 9), "5 is outside 6 to 9"),
        (lambda: doc.text("n"), "must be text in quotes, is a whole number"),
        (lambda: doc.text("e"), "must not be empty"),
        (lambda: doc.table("n"), "must be a table, is a whole number"),
        (lambda: doc.text("t.x"), "key 'x' is missing"),
        (lambda: doc.quantity("s", "V"), "expected a quantity in V"),
        (lambda: doc.choice("s", ["y", "z"]), "unknown value 'x'; known: y, z"),
    ):
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert complaint in str(caught.value)
