"""One field of a layout as XTCE parameters: their names, types and meaning."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from flightsw.codec.columns.declaration import LayoutError
from flightsw.codec.columns.plan import Field, Fixed, Repeat
from flightsw.codec.time_code import TimeFormat
from flightsw.codec.xtce.model import Number, Octets, Size, Type

#: Python's name of a text encoding -> XTCE's, and the zero that ends a text in it.
_CHARSETS = {
    "ascii": ("US-ASCII", "00"),
    "utf-8": ("UTF-8", "00"),
    "iso8859-1": ("ISO-8859-1", "00"),
    "cp1252": ("Windows-1252", "00"),
    "utf-16-le": ("UTF-16LE", "0000"),
    "utf-16-be": ("UTF-16BE", "0000"),
    "utf-32-le": ("UTF-32LE", "00000000"),
    "utf-32-be": ("UTF-32BE", "00000000"),
}
_CDS_FINE_UNITS = {2: "us", 4: "ps"}


def charset_of(name: str, encoding: str) -> tuple[str, str]:
    """Return XTCE's name of a text encoding and its terminator in hexadecimal."""
    try:
        return _CHARSETS[codecs.lookup(encoding).name]
    except LookupError:
        raise LayoutError(
            f"{name}: XTCE has no text in {encoding!r}; it has {', '.join(_CHARSETS)}"
        ) from None


def parts_of(f: Field) -> Iterator[tuple[str, Type, str]]:
    """Yield (suffix of the name, type, meaning) of the parameters of a field in wire order."""
    if f.time is not None:
        for suffix, kind, doc in time_parts(f.time):
            yield suffix, kind, f"{f.doc}: {doc}" if f.doc else doc
    elif f.kind == "bytes":
        yield "", octets_type(f.name, Size(8 * f.elements), f.text, f.padded), _meaning(f)
    elif f.array:
        for index in range(f.elements):
            yield f"_{index}", number_type(f), _meaning(f)
    else:
        yield "", number_type(f), _meaning(f)


def _meaning(f: Field) -> str:
    if f.const is None:
        return f.doc
    value = f.const.hex() if isinstance(f.const, bytes) else str(f.const)
    return f"{f.doc} (always {value})".strip()


def number_type(f: Field) -> Type:
    """Return the type of a number, calibrated if the field is."""
    form = {"uint": "unsigned", "int": "twosComplement", "float": "float"}[f.kind]
    if f.labels:
        labels = tuple((int(number), str(label)) for number, label in f.labels.items())
        return Type("Enumerated", Number(form, f.width, f.swap), f.unit, labels)
    if f.flag:
        return Type("Boolean", Number(form, f.width, f.swap), f.unit)
    if f.calibration is not None:
        encoding = Number(form, f.width, f.swap, f.calibration)
        return Type("Float", encoding, f.calibration.unit or f.unit)
    kind = "Float" if form == "float" else "Integer"
    return Type(kind, Number(form, f.width, f.swap), f.unit)


def octets_type(name: str, size: Size, text: str = "", padded: bool = False) -> Type:
    """Return the type of octets, or of text; ``padded`` text ends at its first zero."""
    if not text:
        return Type("Binary", Octets(size))
    charset, end = charset_of(name, text)
    return Type("String", Octets(size, charset, end if padded else ""))


def unsigned(nbits: int, unit: str = "") -> Type:
    """Return the type of an unsigned integer, or of bits if there are more than 64."""
    if nbits > 64:
        return Type("Binary", Octets(Size(nbits)), unit)
    return Type("Integer", Number("unsigned", nbits), unit)


def time_parts(code: TimeFormat) -> Iterator[tuple[str, Type, str]]:
    """Yield (suffix, type, meaning) of the integers that a time code is made of."""
    epoch = "1958-01-01 TAI" if code.epoch == 1 else "the agency's epoch"
    if code.code == "cuc":
        yield "_coarse", unsigned(8 * code.coarse, "s"), f"seconds since {epoch}"
        if code.fine:
            part = f"1/2^{8 * code.fine} s"
            yield "_fine", unsigned(8 * code.fine, part), "fraction of the second"
        return
    yield "_days", unsigned(8 * code.coarse, "d"), f"days since {epoch}"
    yield "_ms", unsigned(32, "ms"), "milliseconds of the day"
    if code.fine:
        unit = _CDS_FINE_UNITS[code.fine]
        yield "_fine", unsigned(8 * code.fine, unit), "fraction of the millisecond"


def fixed_part(node: Fixed) -> tuple[str, Type, str]:
    """Return (name, type, meaning) of padding or of a constant nobody gives."""
    nbits = node.width * node.count
    doc = f"always {node.value:#x}" if node.checked else "padding"
    return node.name or "padding", unsigned(nbits), doc


def list_meaning(node: Repeat, nbits: int | None) -> str:
    """Return what stands in a list whose elements are left together."""
    if node.octets:
        return node.doc
    what = f"elements of {nbits} bits" if nbits is not None else "elements of changing size"
    return f"{node.doc} ({what}, one behind the other)".strip()
