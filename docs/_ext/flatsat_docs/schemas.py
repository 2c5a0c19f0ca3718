"""Keys of every file that a user writes, and the header of a record, from the loaders' tables."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

from flatsat_docs.markdown import code, number, table

NO_LIMIT = 1e30


def board() -> str:
    """Return what a bus of a board file may say."""
    from hil.boardparts import CHIP_SELECT, KINDS, SPI_NUMBERS, Number

    lines = []
    for name, kind in KINDS.items():
        lines += [f"### A bus of kind {code(name)}", ""]
        rows = []
        for param in kind.params:
            if isinstance(param, Number):
                rows.append(_number_row(param))
            else:
                rows.append(
                    (code(param.key), "", "none", f"the name of a bus of kind {code(param.kind)}")
                )
        lines.append(
            table(("key", "unit", "default", "range"), rows) if rows else "No keys of its own.\n"
        )
        place = code(kind.place) if kind.place else "nothing: it has one place, or names its pins"
        lines += [f"A part says where it sits on it by {place}.", ""]
    lines += ["### A part on a bus of kind `spi`", ""]
    lines.append(
        table(("key", "unit", "default", "range"), map(_number_row, (CHIP_SELECT, *SPI_NUMBERS)))
    )
    return "\n".join(lines)


def _number_row(param: Any) -> tuple[str, str, str, str]:
    has_default = isinstance(param.default, int | float)
    default = number(param.default) if has_default else "must be given"
    return (
        code(param.key),
        param.unit or "",
        default,
        f"{number(param.lower)} to {number(param.upper)}",
    )


def world() -> str:
    """Return the values of the world that a part can be bound to."""
    from hil.boardparts import WORLD_UNITS

    return table(("value", "unit"), ((code(name), unit) for name, unit in WORLD_UNITS.items()))


def mission() -> str:
    """Return the groups of a mission profile and their keys."""
    from hil.missions.schema import SCHEMA

    lines = []
    for group, fields in SCHEMA.items():
        lines += [f"### {code(f'[{group}]'.replace('.*', '.NAME'))}", ""]
        rows = (
            (code(key), f.kind, f.unit, _range(f.lower, f.upper), "yes" if f.required else "")
            for key, f in fields.items()
        )
        lines.append(table(("key", "kind", "unit", "range", "must be given"), rows))
    return "\n".join(lines)


def _range(lower: float, upper: float) -> str:
    low, high = lower > -NO_LIMIT, upper < NO_LIMIT
    if low and high:
        return f"{number(lower)} to {number(upper)}"
    return f"from {number(lower)}" if low else f"to {number(upper)}" if high else ""


def _fault_kinds() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield (what breaks, kind of fault, its arguments with their defaults)."""
    from hil.buses import can_faults, faults, frames, gpio_faults, line_faults
    from hil.parts import pps

    counted = {"i2c": faults.I2C_KINDS, "spi": faults.SPI_KINDS, "onewire": faults.ONEWIRE_KINDS}
    for bus, kinds in counted.items():
        for kind, names in kinds.items():
            yield bus, kind, dict.fromkeys(names)
    windowed = (
        ("uart", line_faults.KINDS, line_faults.LineFault),
        ("can", can_faults.FAULT_KINDS, can_faults.CANFault),
        ("gpio", gpio_faults.FAULT_KINDS, gpio_faults.PinFault),
        ("frames", frames.FAULT_KINDS, frames.FrameFault),
        ("time pulse", pps.FAULT_KINDS, pps.PulseFault),
    )
    own = {"kind", "from_ns", "until_ns"}
    for bus, known, row in windowed:
        fields: Any = row
        defaults = {name: fields._field_defaults.get(name) for name in fields._fields}
        for kind in known:
            yield bus, kind, {name: value for name, value in defaults.items() if name not in own}


def faults() -> str:
    """Return every kind of fault with the arguments that its row may have."""
    rows = (
        (bus, code(kind), ", ".join(_argument(name, value) for name, value in arguments.items()))
        for bus, kind, arguments in _fault_kinds()
    )
    return table(("on", "kind", "arguments (default)"), rows)


def _argument(name: str, default: object) -> str:
    return code(name) if default in (None, "") else f"{code(name)} ({default})"


def channel() -> str:
    """Return the tables of a channel file and their keys."""
    from hil.channel import KEYS
    from hil.fieldtable import FIELD_KEYS

    rows = [(code(f"[{name}]"), ", ".join(map(code, keys))) for name, keys in KEYS.items() if name]
    rows.append(("a row of `fields`", ", ".join(map(code, FIELD_KEYS))))
    return table(("table", "keys"), rows)


def lab() -> str:
    """Return the keys of an instance in a lab file."""
    from hil.boards import lab as module

    return table(("key of `[[instance]]`",), ((code(key),) for key in module._KEYS))


def record() -> str:
    """Return the header of a wire record, octet by octet, and the numbers with names."""
    from flightsw.codec.wire import HEADER_FIELDS, Flag, Kind, Status

    at, rows = 0, []
    for field in HEADER_FIELDS.subcons:
        rows.append((at, code(field.name), f"u{8 * field.sizeof()}"))
        at += field.sizeof()
    lines = [table(("octet", "field", "type, little-endian"), rows), f"Together {at} octets.", ""]
    for numbers in (Kind, Flag, Status):
        lines += [f"## {numbers.__name__}", ""]
        lines.append(
            table(
                ("number", "name"),
                ((f"{each:#04x}", code(each.name)) for each in sorted(numbers, key=operator.index)),
            )
        )
    return "\n".join(lines)
