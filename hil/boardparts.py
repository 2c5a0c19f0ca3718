"""What a board file may say of each kind of bus and of a part; used by ``hil.board``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hil.config import Document, KeyPath, nearest, parse_quantity
from hil.errors import ConfigError
from hil.parts import PART_TYPES, part_class
from hil.parts.base import Param, Part

if TYPE_CHECKING:
    from hil.board import BusSpec

#: what a physical input of a part can be bound to: the state vector of the world, SI units
WORLD_NAMES = (
    *(f"orbit.{name}" for name in ("lat_deg", "lon_deg", "alt_km")),
    *(f"orbit.{name}" for name in ("vn_m_s", "ve_m_s", "vd_m_s")),
    *(f"sun.{name}" for name in ("illumination", "beta_deg")),
    *(f"power.{name}" for name in ("solar_w", "solar_v", "solar_a", "load_w")),
    *(f"power.battery_{name}" for name in ("v", "soc", "a")),
    *(f"power.payload_{name}" for name in ("v", "a", "w")),
    *(f"power.bus_{name}" for name in ("v", "a")),
    *(f"thermal.{name}_c" for name in ("chip", "board", "environment")),
    *(f"att.gyro_{axis}_rad_s" for axis in "xyz"),
    *(f"att.accel_{axis}_m_s2" for axis in "xyz"),
    *(f"link.{name}" for name in ("elevation_deg", "locked")),
)

_REQUIRED: Any = object()
_LIST_LIMIT = 64


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


class BusKind(NamedTuple):
    """What goes with one kind of bus."""

    params: tuple[Number, ...]
    #: the method that a part must have to sit on it (see ``hil.parts.base``)
    face: str
    #: key of the place of a part on it, and that place in words
    place: str | None = None
    place_words: str = ""
    is_point_to_point: bool = False


KINDS: Mapping[str, BusKind] = {
    "i2c": BusKind(
        (Number("bitrate", "bitrate_hz", "Hz", 100_000, 1e3, 5e6),),
        "i2c_write",
        "address",
        "address {0:#04x} on {1}",
    ),
    "spi": BusKind((), "spi_exchange", "chip_select", "chip select {0} of {1}"),
    "uart": BusKind(
        (Number("baud", "baud", None, 115_200, 50, 12_000_000),),
        "uart_receive",
        is_point_to_point=True,
    ),
    "can": BusKind((Number("bitrate", "bitrate_hz", "bit/s", 500_000, 1e4, 1e6),), "can_receive"),
    "gpio": BusKind((Number("lines", "lines", None, 58, 1, 256),), "gpio_change"),
    "frames": BusKind((), "frame_capture", is_point_to_point=True),
}

SPI_NUMBERS = (
    Number("speed", "speed_hz", "Hz", 1_000_000, 1e3, 2e8),
    Number("mode", "mode", None, 0, 0, 3),
)
CHIP_SELECT = Number("chip_select", "address", None, _REQUIRED, 0, 15)

_GENERIC_KEYS = ("type", "bus", "pins", "world", "role", "driver")


def read_part(doc: Document, key: KeyPath, buses: Mapping[str, BusSpec]) -> dict[str, Any]:
    """Return the fields of a ``PartSpec`` (but its name; pins as tuples), or raise ConfigError."""
    type_name = doc.choice((*key, "type"), PART_TYPES)
    part = part_class(type_name)
    bus = buses[_known(doc, (*key, "bus"), doc.text((*key, "bus")), buses, "bus")]
    kind = KINDS[bus.kind]
    if not hasattr(part, kind.face):
        raise doc.error((*key, "bus"), f"a {type_name} does not sit on a bus of kind {bus.kind}")
    spi_keys = tuple(number.key for number in SPI_NUMBERS) if bus.kind == "spi" else ()
    place = (kind.place,) if kind.place else ()
    doc.check_keys(key, (*_GENERIC_KEYS, *place, *spi_keys, *part.PARAMS))
    params = {name: _read_param(doc, (*key, name), param) for name, param in part.PARAMS.items()}
    _check_construction(doc, key, part, params)
    return {
        "type": type_name,
        "bus": bus.name,
        "address": _read_place(doc, key, bus.kind),
        "pins": _read_pins(doc, (*key, "pins"), part, buses),
        "params": params,
        "world": _read_world(doc, (*key, "world"), part),
        "spi": {n.name: n.read(doc, key) for n in SPI_NUMBERS} if bus.kind == "spi" else {},
        "role": doc.text((*key, "role"), None),
        "driver": doc.text((*key, "driver"), *_driver_default(doc, key)),
    }


def _known(doc: Document, key: KeyPath, name: str, known: Mapping[str, Any], what: str) -> str:
    """Return ``name`` if it is known, or raise ConfigError with the nearest that is."""
    if name not in known:
        hint = nearest(name, known) or f"; known: {', '.join(known)}"
        raise doc.error(key, f"no {what} named {name!r}{hint}")
    return name


def _driver_default(doc: Document, key: KeyPath) -> tuple[None, ...]:
    """Return the default of ``driver``: none if the part has a role, for then it needs a driver."""
    return () if "role" in doc.table(key) else (None,)


def _read_place(doc: Document, key: KeyPath, kind: str) -> int:
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
    return address


def _read_pins(
    doc: Document, key: KeyPath, part: type[Part], buses: Mapping[str, BusSpec]
) -> list[tuple[str, str, int]]:
    """Return (pin, bus, line) of each entry of ``pins``."""
    pins = []
    known: tuple[str, ...] = getattr(part, "PINS", ())
    table = doc.table(key, {})
    doc.check_keys(key, known) if table else None
    for name in table:
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
        pins.append((name, chip, int(line)))
    return pins


def _read_world(doc: Document, key: KeyPath, part: type[Part]) -> dict[str, str]:
    """Return the bindings of the part's physical inputs to values of the world."""
    bindings = {}
    for quantity in doc.table(key, {}):
        _known(doc, (*key, quantity), quantity, part.QUANTITIES, "physical input of this part")
        bindings[quantity] = doc.choice((*key, quantity), WORLD_NAMES)
    return bindings


def _read_param(doc: Document, key: KeyPath, param: Param) -> Any:
    """Return one of the part's own keys, converted to SI."""
    value = doc.find(key, *(() if param.default is None else (param.default,)))
    if value is param.default:
        return value
    if isinstance(value, list):
        if not 0 < len(value) <= _LIST_LIMIT:
            raise doc.error(key, f"expected 1 to {_LIST_LIMIT} values, found {len(value)}")
        return [_scalar(doc, (*key, i), item, param) for i, item in enumerate(value)]
    return _scalar(doc, key, value, param)


def _scalar(doc: Document, key: KeyPath, value: Any, param: Param) -> Any:
    """Return one value, converted if the parameter has a unit."""
    if param.unit is not None:
        try:
            return parse_quantity(value, param.unit)
        except ConfigError as wrong:
            raise doc.error(key, str(wrong)) from None
    if not isinstance(value, bool | int | float | str):
        raise doc.error(key, f"must be a number or a word, is {type(value).__name__}")
    example = param.default[0] if isinstance(param.default, list | tuple) else param.default
    if example is not None and not _same_kind(value, example):
        raise doc.error(key, f"must be {type(example).__name__}, is {type(value).__name__}")
    return value


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
    try:
        part("trial", **params)
    except (ValueError, TypeError, IndexError, ConfigError) as wrong:
        raise doc.error(key, f"the part refuses these values: {wrong}") from None
