"""Layouts written as a table of fields, for files that hold no program.

    fields = [
        {name = "mode", type = "u4", enum = {idle = 0, imaging = 3}},
        {name = "armed", type = "flag"},
        {type = "pad 3"},
        {name = "bus_v", type = "u16", unit = "mV", scale = 0.001, scaled_unit = "V"},
        {name = "count", type = "u8"},
        {name = "samples", type = "i12[count]"},
        {name = "note", type = "text 8", when = "mode", equals = 3},
    ]

Fields follow one another bit by bit. :func:`read_fields` makes of them the construct declaration
that :func:`flightsw.codec.columns.layout.compile_layout` takes;
``docs/channel-file.md`` lists the types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import construct

from flightsw.codec.columns.calibration import Calibration, Polynomial, Spline
from flightsw.codec.columns.declaration import field
from flightsw.codec.columns.time_field import cds, cuc
from flightsw.codec.packet.table import MAX_NBYTES
from flightsw.codec.time_code import EPOCHS
from hil.config import Document, KeyPath

#: Fields in front, with the labels of an enum.
Known = dict[str, dict[str, Any]]

FIELD_KEYS = (
    *("name", "type", "unit", "doc", "enum", "const", "when", "equals"),
    *("scale", "offset", "polynomial", "spline", "scaled_unit"),
)
_SHAPE = re.compile(r"(?P<base>[^\[\]]+)(\[(?P<count>[A-Za-z_0-9]+)\])?")
_NUMBER = re.compile(r"(?P<kind>[uif])(?P<width>[0-9]{1,2})(?P<order>le)?")
_SIZED = re.compile(r"(?P<kind>bytes|text|pad) +(?P<size>[A-Za-z_0-9]+)")
_TIME = re.compile(
    r"(?P<kind>cuc|cds) +(?P<first>[0-9]) +(?P<second>[0-9])"
    r"(?: +(?P<epoch>tai|agency))?(?P<preamble> +p)?"
)
_FLOATS = {16: "Float16", 32: "Float32", 64: "Float64"}
_TYPES = "u1 to u64, i1 to i64, f16, f32, f64 (le behind whole octets), flag, bytes N, text N,"
_TYPES += " pad N, cuc A B, cds A B, each but pad as TYPE[N]; N is a number, a field, or rest"


def read_fields(doc: Document, key: KeyPath) -> Any:
    """Return the declaration of the array of fields at ``key``; ConfigError names what is wrong."""
    rows = doc.find(key)
    if not isinstance(rows, list) or not rows:
        raise doc.error(key, "must be a list of fields with name and type")
    members: list[Any] = []
    known: Known = {}
    for index in range(len(rows)):
        place = (*key, index)
        doc.check_keys(place, FIELD_KEYS)
        members.append(_member(doc, place, known))
        name = doc.text((*place, "name"), "")
        if name and name in known:
            raise doc.error(place, f"field {name!r} is there twice")
        known[name] = doc.table((*place, "enum"), {})
    return construct.BitStruct(*members)


def _member(doc: Document, key: KeyPath, known: Known) -> Any:
    text = doc.text((*key, "type"))
    shape = _SHAPE.fullmatch(text.strip())
    if shape is None:
        raise doc.error((*key, "type"), f"no type is called {text!r}; there are {_TYPES}")
    subcon, in_octets = _base(doc, key, shape["base"].strip(), known)
    if shape["count"]:
        subcon = _repeated(doc, key, subcon, shape["count"], known)
    if in_octets:
        subcon = construct.Bytewise(subcon)
    if text.startswith("pad"):
        return subcon
    _check_extras(doc, key, text.strip())
    if labels := doc.table((*key, "enum"), {}):
        subcon = construct.Enum(subcon, **_labels(doc, key, labels))
    if "const" in doc.table(key):
        subcon = construct.Const(_constant(doc, key, text.strip()), subcon)
    name = doc.text((*key, "name"))
    if when := doc.text((*key, "when"), ""):
        subcon = construct.If(_condition(doc, key, when, known), subcon)
    unit, meaning = doc.text((*key, "unit"), ""), doc.text((*key, "doc"), "")
    return field(name, subcon, unit, meaning, _calibration(doc, key))


def _check_extras(doc: Document, key: KeyPath, text: str) -> None:
    """Raise ConfigError for an enum or a calibration where there is no number for it."""
    is_number = _NUMBER.match(text) is not None
    for name in ("enum", "scale", "offset", "polynomial", "spline"):
        if name in doc.table(key) and not (is_number and (name != "enum" or text[0] != "f")):
            raise doc.error((*key, name), f"goes with numbers only; {text!r} is none")


def _constant(doc: Document, key: KeyPath, text: str) -> Any:
    """Return what a field always holds: a whole number, true or false, or text."""
    place, value = (*key, "const"), doc.find((*key, "const"))
    number, sized = _NUMBER.fullmatch(text), _SIZED.fullmatch(text)
    if number and number["kind"] != "f":
        return doc.integer(place, *_range(number["kind"], int(number["width"])))
    if text == "flag" and isinstance(value, bool):
        return value
    is_text = sized is not None and sized["kind"] == "text" and sized["size"].isdecimal()
    if is_text and sized and len(doc.text(place).encode()) <= int(sized["size"]):
        return doc.text(place)
    raise doc.error(place, f"{value!r} cannot be; u and i have a whole number, flag, text N text")


def _base(doc: Document, key: KeyPath, text: str, known: Known) -> tuple[Any, bool]:
    """Return the construct of one element, and whether it is of octets instead of bits."""
    if text == "flag":
        return construct.Flag, False
    if number := _NUMBER.fullmatch(text):
        return _number(doc, key, number["kind"], int(number["width"]), bool(number["order"]))
    if sized := _SIZED.fullmatch(text):
        if sized["kind"] == "pad" and not sized["size"].isdecimal():
            raise doc.error((*key, "type"), "pad has a number of bits: pad 3")
        return _sized(sized["kind"], _count(doc, key, sized["size"], known))
    if time := _TIME.fullmatch(text):
        make: Any = cuc if time["kind"] == "cuc" else cds
        how: dict[str, Any] = {"epoch": EPOCHS[time["epoch"]]} if time["epoch"] else {}
        how["preamble"] = bool(time["preamble"])
        return make(int(time["first"]), int(time["second"]), **how), True
    raise doc.error((*key, "type"), f"no type is called {text!r}; there are {_TYPES}")


def _sized(kind: str, size: Any) -> tuple[Any, bool]:
    if kind == "pad":
        return construct.Padding(size), False
    if kind == "text" and isinstance(size, int):
        return construct.PaddedString(size, "utf8"), True
    octets = construct.GreedyBytes if size is None else construct.Bytes(size)
    return construct.StringEncoded(octets, "utf8") if kind == "text" else octets, True


def _number(doc: Document, key: KeyPath, kind: str, width: int, little: bool) -> tuple[Any, bool]:
    if kind == "f" and width in _FLOATS:
        return getattr(construct, f"{_FLOATS[width]}{'l' if little else 'b'}"), True
    if kind == "f" or not 1 <= width <= 64 or (little and width % 8):
        raise doc.error((*key, "type"), f"no number has this form; there are {_TYPES}")
    return construct.BitsInteger(width, signed=kind == "i", swapped=little), False


def _count(doc: Document, key: KeyPath, text: str, known: Known) -> Any:
    """Return a number, a reference to an earlier field, or None for the rest of the packet."""
    if text.isdecimal():
        if int(text) > MAX_NBYTES:
            raise doc.error((*key, "type"), f"{text} is more than a packet holds")
        return int(text)
    if text == "rest":
        return None
    if text not in known:
        raise doc.error((*key, "type"), f"no field called {text!r} stands in front of this one")
    return construct.this[text]


def _repeated(doc: Document, key: KeyPath, subcon: Any, text: str, known: Known) -> Any:
    count = _count(doc, key, text, known)
    return construct.GreedyRange(subcon) if count is None else construct.Array(count, subcon)


def _labels(doc: Document, key: KeyPath, labels: Mapping[str, Any]) -> dict[str, int]:
    number = _NUMBER.match(doc.text((*key, "type")).strip())
    assert number is not None, "an enum goes with numbers only"
    taken: dict[int, str] = {}
    for label in labels:
        value = doc.integer((*key, "enum", label), *_range(number["kind"], int(number["width"])))
        if value in taken:
            raise doc.error((*key, "enum", label), f"{value} is {taken[value]!r} already")
        taken[value] = label
    return dict(labels)


def _range(kind: str, width: int) -> tuple[int, int]:
    """Return the least and the greatest number of a type."""
    low = -(1 << width - 1) if kind == "i" else 0
    return low, low + (1 << width) - 1


def _condition(doc: Document, key: KeyPath, when: str, known: Known) -> Any:
    if when not in known:
        raise doc.error((*key, "when"), f"no field called {when!r} stands in front of this one")
    value, labels = doc.find((*key, "equals"), None), known[when]
    there = construct.this[when]
    if not labels:
        if value is not None and not isinstance(value, int):
            raise doc.error((*key, "equals"), "must be a whole number, or true or false")
        return there != 0 if value is None else there == value
    by_number = {number: label for label, number in labels.items()}
    label = by_number.get(value, value) if isinstance(value, int | str) else None
    if label not in labels:
        raise doc.error((*key, "equals"), f"{when} is one of {', '.join(labels)}; say which")
    return there == label


def _calibration(doc: Document, key: KeyPath) -> Calibration | None:
    unit = doc.text((*key, "scaled_unit"), "")
    given = [name for name in ("scale", "polynomial", "spline") if name in doc.find(key)]
    if len(given) > 1:
        raise doc.error(key, f"has {' and '.join(given)}; one calibration a field")
    scale, offset = doc.find((*key, "scale"), 1.0), doc.find((*key, "offset"), 0.0)
    try:
        if "spline" in given:
            return Spline(tuple(map(tuple, doc.find((*key, "spline")))), unit)
        if "polynomial" in given:
            return Polynomial(tuple(doc.find((*key, "polynomial"))), unit)
        if "scale" in given or "offset" in doc.find(key):
            return Polynomial((offset, scale), unit)
    except (TypeError, ValueError) as wrong:
        raise doc.error(key, f"calibration: {wrong}") from None
    return None
