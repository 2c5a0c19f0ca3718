"""What a board file may say of each kind of bus and of a part; used by ``hil.board``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flightsw.codec.dictionary import DRIVER_NAMES, ROLE_NAMES
from hil.config import Document, KeyPath, nearest, parse_quantity
from hil.errors import ConfigError
from hil.parts import part_class, part_types
from hil.parts.base import Param, Part

if TYPE_CHECKING:
    from hil.board import BusSpec

#: what a physical input of a part can be bound to, and its unit: the state vector of the world
WORLD_UNITS: Mapping[str, str] = {
    **dict.fromkeys(("orbit.lat_deg", "orbit.lon_deg"), "deg"),
    "orbit.alt_km": "km",
    "orbit.alt_m": "m",
    **{f"orbit.{axis}_m_s": "m/s" for axis in ("vn", "ve", "vd")},
    "sun.illumination": "1",
    "sun.beta_deg": "deg",
    **{f"power.{what}_w": "W" for what in ("solar", "load", "payload")},
    **{f"power.{what}_v": "V" for what in ("battery", "bus", "payload", "solar")},
    **{f"power.{what}_a": "A" for what in ("battery", "bus", "payload", "solar")},
    "power.battery_soc": "1",
    **{f"thermal.{what}_c": "degC" for what in ("chip", "board", "environment")},
    **{f"att.gyro_{axis}_rad_s": "rad/s" for axis in "xyz"},
    **{f"att.accel_{axis}_m_s2": "m/s2" for axis in "xyz"},
    **{f"att.mag_{axis}_t": "T" for axis in "xyz"},
    "link.elevation_deg": "deg",
    "link.locked": "1",
}

_REQUIRED: Any = object()
_LIST_LIMIT = 64
_LABEL_LIMIT = 64


class Number(NamedTuple):
    """A numeric key of a bus or part: where it stands in the file, what it becomes, its range."""

    key: str
    name: str
    unit: str | None
    default: Any
    lower: float
    upper: float

    def read(self, doc: Document, table: KeyPath) -> int:
        """Return the value as a whole number of the base unit, or raise ConfigError."""
        key = (*table, self.key)
        optional = () if self.default is _REQUIRED else (self.default,)
        if self.unit is None:
            return doc.integer(key, int(self.lower), int(self.upper), *optional)
        value = doc.quantity(key, self.unit, *optional)
        if not self.lower <= value <= self.upper:
            raise doc.error(key, f"is outside {self.lower:g} to {self.upper:g} {self.unit}")
        return round(value)


class Wire(NamedTuple):
    """A key of a bus that names another bus of its kind, or itself."""

    key: str
    name: str
    kind: str

    def read(self, doc: Document, table: KeyPath) -> str | None:
        """Return the name of that bus, None where the file names none, or raise ConfigError."""
        known = [
            name for name in doc.table("bus") if doc.find(("bus", name, "kind"), "") == self.kind
        ]
        return doc.choice((*table, self.key), known, None)


class Pin(NamedTuple):
    """A pin of a part on a line of a GPIO chip; ``direction`` is seen from the part."""

    name: str
    bus: str
    line: int
    direction: str


class BusKind(NamedTuple):
    """What goes with one kind of bus."""

    params: tuple[Number | Wire, ...]
    #: the method that a part must have to sit on it (see ``hil.parts.base``)
    face: str
    #: key of the place of a part on it, and that place in words
    place: str | None = None
    place_words: str = ""
    is_point_to_point: bool = False


KINDS: Mapping[str, BusKind] = {
    "i2c": BusKind(
        (
            Number("bitrate", "bitrate_hz", "Hz", 100_000, 1e3, 5e6),
            Number("high_speed", "high_speed_hz", "Hz", 0, 0, 3.4e6),
        ),
        "i2c_write",
        "address",
        "address {0:#04x} on {1}",
    ),
    "spi": BusKind((), "spi_exchange", "chip_select", "chip select {0} of {1}"),
    "uart": BusKind(
        (
            Number("baud", "baud", None, 115_200, 50, 12_000_000),
            Wire("wired_to", "wired_to", "uart"),
        ),
        "uart_receive",
        is_point_to_point=True,
    ),
    "can": BusKind(
        (
            Number("bitrate", "bitrate_hz", "bit/s", 500_000, 1e4, 1e6),
            Number("data_bitrate", "data_bitrate_hz", "bit/s", 0, 0, 8e6),
        ),
        "can_receive",
    ),
    "gpio": BusKind((Number("lines", "lines", None, 58, 1, 256),), "gpio_change"),
    "frames": BusKind((), "frame_capture", is_point_to_point=True),
    "onewire": BusKind((), "onewire_read"),
}

SPI_NUMBERS = (
    Number("speed", "speed_hz", "Hz", 1_000_000, 1e3, 2e8),
    Number("mode", "mode", None, 0, 0, 0x1F),
)
CHIP_SELECT = Number("chip_select", "address", None, _REQUIRED, 0, 15)

#: ``computer`` of a board file: what hil.faces.computer_tables describes
COMPUTER_NAMES = (
    *("raspberrypi4", "raspberrypi5"),
    *("jetson_orin_nano", "jetson_orin_nano_super", "jetson_agx_orin"),
)
#: ``kernel`` of a part: driver -> types of part that it can hold (hil.faces.hwmon has its files)
KERNEL_DRIVERS: Mapping[str, tuple[str, ...]] = {
    "ina3221": ("ina3221",),
    "ina2xx": ("ina219",),
    "ina238": ("ina228",),
    "lm75": ("lm75",),
    "jc42": ("mcp9808",),
    "tmp117": ("tmp117",),
}

_I2C_KEYS = ("mux", "channel", "kernel", "labels")
_GENERIC_KEYS = ("type", "bus", "pins", "world", "role", "driver", "board")
#: ``board``: a board of the lab, and which of its buses
_STAND_IN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}(:[a-z0-9]{1,8})?")


def read_part(doc: Document, key: KeyPath, buses: Mapping[str, BusSpec]) -> dict[str, Any]:
    """Return the fields of a ``PartSpec`` (but its name), or raise ConfigError."""
    type_name = doc.choice((*key, "type"), part_types())
    try:
        part = part_class(type_name)
    except ConfigError as wrong:
        raise doc.error((*key, "type"), str(wrong)) from wrong
    bus = buses[_known(doc, (*key, "bus"), doc.text((*key, "bus")), buses, "bus")]
    kind = KINDS[bus.kind]
    if not hasattr(part, kind.face):
        raise doc.error((*key, "bus"), f"a {type_name} does not sit on a bus of kind {bus.kind}")
    spi_keys = tuple(number.key for number in SPI_NUMBERS) if bus.kind == "spi" else ()
    place = (*((kind.place,) if kind.place else ()), *(_I2C_KEYS if bus.kind == "i2c" else ()))
    doc.check_keys(key, (*_GENERIC_KEYS, *place, *spi_keys, *part.PARAMS))
    given = doc.table(key)
    params = {
        name: _read_param(doc, (*key, name), param)
        for name, param in part.PARAMS.items()
        if name in given or param.default is None
    }
    _check_construction(doc, key, part, params)
    return {
        "type": type_name,
        "bus": bus.name,
        "address": _read_place(doc, key, bus.kind, part),
        **_read_mux(doc, key),
        **_read_kernel(doc, key, type_name),
        "pins": _read_pins(doc, (*key, "pins"), part, buses),
        "params": params,
        **_read_world(doc, (*key, "world"), part),
        "spi": {n.name: n.read(doc, key) for n in SPI_NUMBERS} if bus.kind == "spi" else {},
        "role": doc.choice((*key, "role"), ROLE_NAMES, None),
        "driver": doc.choice((*key, "driver"), DRIVER_NAMES, *_driver_default(doc, key)),
        "board": read_stand_in(doc, (*key, "board")),
    }


def read_stand_in(doc: Document, key: KeyPath) -> str | None:
    """Return the board of the lab that takes the place of a part or bus; None: it is emulated."""
    text = doc.text(key, None)
    if text is not None and not _STAND_IN.fullmatch(text):
        raise doc.error(key, "name a board of lab.toml, as 'bench-uno-1' or 'bench-uno-1:i2c0'")
    return text


def _known(doc: Document, key: KeyPath, name: str, known: Mapping[str, Any], what: str) -> str:
    """Return ``name`` if it is known, or raise ConfigError with the nearest that is."""
    if name not in known:
        hint = nearest(name, known) or f"; known: {', '.join(known)}"
        raise doc.error(key, f"no {what} named {name!r}{hint}")
    return name


def _driver_default(doc: Document, key: KeyPath) -> tuple[None, ...]:
    """Return the default of ``driver``: none if the part has a role, for then it needs a driver."""
    return () if "role" in doc.table(key) else (None,)


def _read_place(doc: Document, key: KeyPath, kind: str, part: type[Part]) -> int:
    """Return the I2C address or chip select, 0 on other buses."""
    if kind == "spi":
        return CHIP_SELECT.read(doc, key)
    if kind != "i2c":
        return 0
    address = doc.integer((*key, "address"), 0, 0x3FF)
    # UM10204 section 3.1.12: 0000 xxx and 1111 xxx are reserved among the 7-bit addresses.
    if address < 0x08 or 0x78 <= address <= 0x7F:
        raise doc.error(
            (*key, "address"),
            f"{address:#04x} is reserved by the I2C specification; use 0x08 to 0x77",
        )
    if part.ADDRESSES and address not in part.ADDRESSES:
        known = ", ".join(f"{one:#04x}" for one in part.ADDRESSES)
        raise doc.error(
            (*key, "address"), f"{address:#04x} is none that this part can have; use {known}"
        )
    return address


def _read_mux(doc: Document, key: KeyPath) -> dict[str, Any]:
    """Return the switch that the part sits behind, and the channel, where the file names one."""
    given = doc.table(key)
    if "mux" not in given:
        if "channel" in given:
            raise doc.error((*key, "channel"), "goes with 'mux', the part that has the channels")
        return {}
    return {"mux": doc.text((*key, "mux")), "channel": doc.integer((*key, "channel"), 0, 7)}


def _read_pins(
    doc: Document, key: KeyPath, part: type[Part], buses: Mapping[str, BusSpec]
) -> tuple[Pin, ...]:
    """Return the entries of ``pins``."""
    pins = []
    directions: Mapping[str, str] = getattr(part, "PINS", {})
    table = doc.table(key, {})
    if table and not directions:
        raise doc.error(key, "this part has no pins")
    for name in table:
        _known(doc, (*key, name), name, directions, "pin of this part")
        text = doc.text((*key, name))
        chip, colon, line = text.rpartition(":")
        if not colon or not (line.isascii() and line.isdigit() and len(line) <= 4):
            raise doc.error((*key, name), f"expected 'gpiochip0:18', not {text!r}")
        bus = buses[_known(doc, (*key, name), chip, buses, "bus")]
        if bus.kind != "gpio":
            raise doc.error((*key, name), f"{chip} is a bus of kind {bus.kind}, not gpio")
        if int(line) >= bus.params["lines"]:
            last = bus.params["lines"] - 1
            raise doc.error((*key, name), f"line {line} is outside 0 to {last} of {chip}")
        pins.append(Pin(name, chip, int(line), directions[name]))
    return tuple(pins)


def _read_kernel(doc: Document, key: KeyPath, type_name: str) -> dict[str, Any]:
    """Return the driver of the kernel that holds the part, and the labels of its channels."""
    given = doc.table(key)
    if "kernel" not in given:
        if "labels" in given:
            raise doc.error((*key, "labels"), "goes with 'kernel', the driver that shows them")
        return {}
    known = [name for name, types in KERNEL_DRIVERS.items() if type_name in types]
    if not known:
        raise doc.error((*key, "kernel"), f"no driver for a {type_name} is modelled")
    if "mux" in given:
        raise doc.error((*key, "kernel"), "a part behind a switch is held by no driver here")
    labels = doc.find((*key, "labels")) if "labels" in given else []
    words = isinstance(labels, list) and all(isinstance(one, str) for one in labels)
    if not words or len(labels) > _LABEL_LIMIT or any(len(one) > _LABEL_LIMIT for one in labels):
        raise doc.error((*key, "labels"), "must be an array of short names, one for each channel")
    return {"kernel": doc.choice((*key, "kernel"), known), "labels": tuple(labels)}


def _read_world(doc: Document, key: KeyPath, part: type[Part]) -> dict[str, Any]:
    """Return ``world``, physical inputs bound to values of the world, and ``fixed``, the others."""
    bindings: dict[str, str] = {}
    fixed: dict[str, float] = {}
    for quantity in doc.table(key, {}):
        place = (*key, quantity)
        _known(doc, place, quantity, part.QUANTITIES, "physical input of this part")
        unit = part.QUANTITIES[quantity].unit
        if doc.text(place)[:1].isdigit() or doc.text(place)[:1] == "-":
            fixed[quantity] = doc.quantity(place, unit)
            continue
        name = doc.choice(place, WORLD_UNITS)
        if WORLD_UNITS[name] != unit:
            raise doc.error(place, f"takes {unit}, but {name} is in {WORLD_UNITS[name]}")
        bindings[quantity] = name
    return {"world": bindings, "fixed": fixed}


def _read_param(doc: Document, key: KeyPath, param: Param) -> Any:
    """Return one of the part's own keys, converted to SI."""
    value = doc.find(key)
    wants_list = isinstance(param.default, list | tuple)
    if param.default is not None and wants_list != isinstance(value, list):
        raise doc.error(key, f"must be {'an array' if wants_list else 'one value'}")
    if isinstance(value, list):
        if not 0 < len(value) <= _LIST_LIMIT:
            raise doc.error(key, f"expected 1 to {_LIST_LIMIT} values, found {len(value)}")
        return [_scalar(doc, (*key, i), item, param) for i, item in enumerate(value)]
    return _scalar(doc, key, value, param)


def _scalar(doc: Document, key: KeyPath, value: Any, param: Param) -> Any:
    """Return one value, converted if the parameter has a unit."""
    example = param.default[0] if isinstance(param.default, list | tuple) else param.default
    if param.unit is not None and not _names_unit(key, param.unit, value):
        try:
            number = parse_quantity(value, param.unit)
        except ConfigError as wrong:
            raise doc.error(key, str(wrong)) from None
        return int(number) if isinstance(example, int) and number.is_integer() else number
    if not isinstance(value, bool | int | float | str):
        raise doc.error(key, f"must be a number or a word, is {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise doc.error(key, f"{value} is not a number that a part can have")
    if example is not None and not _same_kind(value, example):
        raise doc.error(key, f"must be {type(example).__name__}, is {type(value).__name__}")
    return value


def _names_unit(key: KeyPath, unit: str, value: Any) -> bool:
    """Return whether ``value`` is a plain number whose unit the key names, as in ``timeout_s``."""
    suffix = {"bit/s": "_bps", "m/s": "_m_s", "degC": "_c"}.get(unit, f"_{unit.lower()}")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and str(key[-1]).endswith(suffix)


def _same_kind(value: Any, example: Any) -> bool:
    """Return whether ``value`` can stand where ``example`` stands: an int may serve as a float."""
    if isinstance(example, bool) or isinstance(value, bool):
        return isinstance(example, bool) and isinstance(value, bool)
    if isinstance(example, float):
        return isinstance(value, int | float)
    return isinstance(value, type(example))


def _check_construction(
    doc: Document, key: KeyPath, part: type[Part], params: Mapping[str, Any]
) -> None:
    """Build the part once, so that what only the part can judge is also an error of the file."""
    name = str(key[-1])
    try:
        part(name, **params)
    except (ValueError, TypeError, IndexError, ConfigError) as wrong:
        text = str(wrong).removeprefix(f"part {name!r}: ")
        named = [param for param in params if re.search(rf"\b{param}\b", text)]
        # A complaint of one key belongs to its line, whatever else stands in the table.
        where = (*key, named[0]) if len(named) == 1 else key
        raise doc.error(where, f"the part refuses this: {text}") from None
