"""Quantities as text: ``"10 mohm"``, ``"400 kHz"``, ``"115 Wh"``.

A quantity in a file is a number, a space and a unit, so that a reader never has to guess and a
wrong unit is an error instead of a wrong run. Arithmetic is exact (fractions) until the last step,
so ``"10 mohm"`` is the float nearest to 0.01, on every machine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction

from hil.errors import ConfigError

_NUMBER = re.compile(r"([+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?)\s*(.*)", re.S)
_TEXT_LIMIT = 64
_SPELLINGS = str.maketrans({"µ": "u", "μ": "u", "Ω": "ohm", "°": "deg", "²": "2"})


def _scaled(base: str, prefixes: str) -> dict[str, Fraction]:
    """Return ``base`` and its multiples: {"Hz": 1, "kHz": 1000, ...} for prefixes such as "kMG"."""
    power = {"n": -9, "u": -6, "m": -3, "c": -2, "k": 3, "M": 6, "G": 9}
    units = {base: Fraction(1)}
    units.update((prefix + base, Fraction(10) ** power[prefix]) for prefix in prefixes)
    return units


_RADIAN = Fraction(180 / math.pi)

#: one mapping a dimension: unit -> factor to the dimension's first unit. Kelvin and degree Celsius
#: stay apart on purpose: one is used for differences, the other for readings.
DIMENSIONS: tuple[Mapping[str, Fraction], ...] = (
    _scaled("ohm", "umkM"),
    _scaled("Hz", "mkMG"),
    _scaled("V", "umk"),
    _scaled("A", "num"),
    _scaled("W", "umkM"),
    _scaled("J", "umkM")
    | {"Wh": Fraction(3600), "mWh": Fraction(36, 10), "kWh": Fraction(3_600_000)},
    {"Ah": Fraction(1), "mAh": Fraction(1, 1000)},
    _scaled("s", "num") | {"min": Fraction(60), "h": Fraction(3600), "d": Fraction(86400)},
    {"deg": Fraction(1), "rad": _RADIAN, "mrad": _RADIAN / 1000},
    {"deg/s": Fraction(1), "rad/s": _RADIAN},
    _scaled("m", "numck"),
    {"m2": Fraction(1), "cm2": Fraction(1, 10_000)},
    {"m/s": Fraction(1), "km/s": Fraction(1000)},
    {"m/s2": Fraction(1)},
    {"kg": Fraction(1), "g": Fraction(1, 1000)},
    {"degC": Fraction(1)},
    {"K": Fraction(1), "mK": Fraction(1, 1000)},
    {"K/W": Fraction(1)},
    {"W/K": Fraction(1), "mW/K": Fraction(1, 1000)},
    {"J/K": Fraction(1)},
    {"W/m2": Fraction(1)},
    {"dB": Fraction(1)},
    _scaled("bit/s", "kMG"),
    {"Bd": Fraction(1), "kBd": Fraction(1000)},
    _scaled("B", "kMG") | {"KiB": Fraction(1024), "MiB": Fraction(1024**2)},
    {"%": Fraction(1, 100), "ppm": Fraction(1, 1_000_000), "1": Fraction(1)},
)

_DIMENSION_OF = {unit: dimension for dimension in DIMENSIONS for unit in dimension}


def parse_quantity(text: object, unit: str) -> float:
    """Return the quantity ``text`` in ``unit``: ``parse_quantity("10 mohm", "ohm") == 0.01``.

    Raises :class:`~hil.errors.ConfigError`, without a place, if ``text`` is not a number and a unit
    of the same dimension; ``Document.quantity`` adds file and line.
    """
    dimension = _DIMENSION_OF[unit]
    wanted = f"expected a quantity in {unit}, such as {_example(unit)}"
    if not isinstance(text, str):
        raise ConfigError(f"{wanted}; {text!r} has no unit")
    match = _NUMBER.fullmatch(text.strip()) if len(text) <= _TEXT_LIMIT else None
    if match is None:
        raise ConfigError(f"{wanted}; {text[:_TEXT_LIMIT]!r} is not a number and a unit")
    number, given = match[1], match[2].translate(_SPELLINGS) or "1"
    factor = dimension.get(given)
    if factor is None:
        raise ConfigError(f"{wanted}; {text!r} {_complaint(given, dimension)}")
    return float(Fraction(number) * factor / dimension[unit])


def _example(unit: str) -> str:
    """Return a quantity in the dimension of ``unit`` as a user would write it."""
    return {
        "ohm": "'10 mohm'",
        "Hz": "'400 kHz'",
        "bit/s": "'500 kbit/s'",
        "s": "'10 ms'",
        "J": "'2 J'",
        "1": "'50 %'",
    }.get(unit, f"'1 {unit}'")


def _complaint(given: str, dimension: Mapping[str, Fraction]) -> str:
    """Return what is wrong with the unit ``given``."""
    if given == "1":
        return "has no unit"
    if given in _DIMENSION_OF:
        return f"is another kind of quantity; units that fit: {', '.join(dimension)}"
    return f"has an unknown unit; units that fit: {', '.join(dimension)}"
