"""Types of dev board: what every Uno, every Pico is like; ``boards/dev/TYPE.toml``.

A type file is committed and holds no fact of any one machine: which board hangs where is for
:mod:`hil.boards.lab`. :func:`load_type` checks everything that can be known without a board;
whatever is wrong is one :class:`~hil.errors.ConfigError` that names file, line, key and, where
there is one, the nearest known name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil.board import board_folders
from hil.config import Document, KeyPath, load_toml, nearest
from hil.errors import ConfigError

#: The newest form of the file that this code reads.
SCHEMA = 1
#: Rates at which a board of unknown setting is sought, the usual one first.
USUAL_RATES = (115200, 250000, 500000, 57600, 9600, 1000000)
#: How the board is put into reset by whoever opens its port: not at all, by DTR going active (an
#: Arduino couples it to its reset line), by RTS, or by opening at 1200 baud (native USB).
RESETS = ("none", "dtr", "rts", "1200bps")
#: HILwire firmware, the raw REPL of MicroPython into which a script is put, or a CAN stick.
PROTOCOLS = ("hilwire", "micropython", "slcan")
#: ``wall``: one second a second. ``free``: as fast as it can, and no clock may be compared.
PACES = ("wall", "free")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_BUS = re.compile(r"(i2c|spi|uart|can|gpio)([0-9])")
_USB = re.compile(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4})")
_VERSION = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}")
_LINK_KEYS = ("protocol", "baud", "max_baud", "rates", "reset", "boot_wait_s", "native_usb")
_BAUD_LEAST, _BAUD_LIMIT = 300, 12_000_000

#: pins of each kind of bus; those that end in ``[]`` are lists
_PINS: Mapping[str, tuple[str, ...]] = {
    "i2c": ("sda", "scl"),
    "spi": ("sck", "mosi", "miso", "cs[]"),
    "uart": ("tx", "rx"),
    "can": ("tx", "rx"),
    "gpio": ("pins[]",),
}
_RATE_UNITS = {"i2c": "Hz", "spi": "Hz", "uart": "Bd", "can": "bit/s"}

#: what each kind of emulation may be told: key -> how it is read
_EMULATIONS: Mapping[str, Mapping[str, str]] = {
    "posix": {"image": "text", "pace": "pace"},
    "simavr": {"image": "text", "mcu": "text", "clock": "Hz", "pace": "pace"},
    "avr8js": {"image": "text", "pace": "pace"},
    "rp2040js": {"image": "text", "pace": "pace"},
    "qemu": {
        "image": "text",
        "machine": "text",
        "icount": "text",
        "uart": "count",
        "i2c": "text",
        "loader": "flag",
    },
    "micropython": {"image": "text", "machine": "text"},
    "slcan": {},
}


@dataclass(frozen=True)
class LinkSpec:
    """The serial line between bench and board. Rates in baud, times in seconds."""

    protocol: str
    baud: int
    max_baud: int
    #: the rates at which the board is sought when it does not answer at ``baud``
    rates: tuple[int, ...]
    reset: str
    #: how long after it was opened the board may be in its boot loader
    boot_wait_s: float
    #: the port is USB all the way: no line rate to keep, no rate to get wrong
    is_native_usb: bool


@dataclass(frozen=True)
class FirmwareSpec:
    """The firmware that belongs on the board, and the command that puts it there."""

    name: str
    #: least version, (major, minor, patch)
    least: tuple[int, int, int]
    #: image, a path from the folder ``boards``; None where the board needs none
    file: str | None
    #: command with ``{port}`` and ``{image}`` in it
    flash: str | None

    def command(self, port: str, image: str) -> list[str] | None:
        """Return the words of the command that flashes ``image`` by way of ``port``."""
        if self.flash is None:
            return None
        return [word.format(port=port, image=image) for word in shlex.split(self.flash)]


@dataclass(frozen=True)
class BoardBus:
    """A bus of the board: ``i2c0`` is bus 0 of kind ``i2c`` in the protocol."""

    name: str
    kind: str
    index: int
    #: signal -> pin as printed on the board, or a list of pins
    pins: Mapping[str, str | tuple[str, ...]]
    #: the fastest that it goes, in Hz, baud or bit/s; 0 where that means nothing
    max_hz: int = 0

    def pin_number(self, place: int) -> int:
        """Return the number by which the firmware knows the pin at a place of ``gpio``'s list.

        It is the one printed on the board; without a list, as on a chip of lines, it is the place.
        """
        printed = self.pins.get("pins", ())
        digits = re.search(r"[0-9]+$", printed[place]) if printed else None
        return place if digits is None else int(digits[0])


@dataclass(frozen=True)
class BoardType:
    """A whole type file."""

    name: str
    title: str
    mcu: str
    clock_hz: int
    link: LinkSpec
    #: vendor and product numbers of its USB side, or of the bridge chips found on it
    usb: tuple[tuple[int, int], ...]
    #: several of them cannot be told apart by USB: the board's own number is needed
    needs_uid: bool
    firmware: FirmwareSpec
    buses: Mapping[str, BoardBus]
    #: kind of emulation -> its options
    emulations: Mapping[str, Mapping[str, Any]]
    path: Path
    source: str = field(repr=False, default="")

    def bus(self, name: str) -> BoardBus:
        """Return a bus by name. Raises :class:`~hil.errors.ConfigError` if it has none such."""
        if name in self.buses:
            return self.buses[name]
        hint = nearest(name, self.buses) or f"; it has: {', '.join(self.buses) or 'none'}"
        raise ConfigError(f"board type {self.name} has no bus {name[:64]!r}{hint}")


def type_folders() -> list[Path]:
    """Return the folders that hold board types: the checkout's, then the installed package's."""
    return [folder / "dev" for folder in board_folders()]


def type_names() -> list[str]:
    """Return the names of all board types that :func:`load_type` finds by name."""
    return sorted({path.stem for folder in type_folders() for path in folder.glob("*.toml")})


def find_type(name: str) -> Path:
    """Return the path of a board type given by name or by path.

    Raises :class:`~hil.errors.ConfigError` if no such type is known.
    """
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    known = type_names()
    if name not in known:
        hint = nearest(name, known) or f"; known: {', '.join(known) or 'none'}"
        raise ConfigError(f"no board type named {name[:64]!r}{hint}; a path must end in .toml")
    paths = (folder / f"{name}.toml" for folder in type_folders())
    return next(path for path in paths if path.is_file())


def load_type(name_or_path: str | Path) -> BoardType:
    """Read and check a board type, given by name (``uno``) or path."""
    doc = load_toml(find_type(str(name_or_path)))
    check_schema(doc, SCHEMA)
    doc.check_keys("", ("schema", "board", "link", "match", "firmware", "buses", "emulate"))
    doc.check_keys("board", ("name", "title", "mcu", "clock"))
    for table, known in (("link", _LINK_KEYS), ("match", ("usb", "needs_uid"))):
        if doc.table(table, {}):
            doc.check_keys(table, known)
    return BoardType(
        name=checked_name(doc, "board.name"),
        title=doc.text("board.title"),
        mcu=doc.text("board.mcu"),
        clock_hz=round(doc.quantity("board.clock", "Hz", 0.0)),
        link=_read_link(doc),
        usb=_read_usb(doc),
        needs_uid=flag(doc, "match.needs_uid", False),
        firmware=_read_firmware(doc),
        buses={name: _read_bus(doc, name) for name in doc.table("buses", {})},
        emulations=_read_emulations(doc),
        path=doc.path,
        source=doc.source,
    )


def check_schema(doc: Document, newest: int) -> None:
    """Raise ConfigError for a file of a form that is newer than this code."""
    schema = doc.integer("schema", 1, 1 << 16)
    if schema > newest:
        raise doc.error("schema", f"form {schema} is newer than {newest}: install a newer flatsat")


def checked_name(doc: Document, key: str | KeyPath) -> str:
    """Return the text at ``key`` if it can name a thing in paths and topics."""
    name = doc.text(key)
    if not _NAME.fullmatch(name):
        raise doc.error(
            key, "a name is a letter, then at most 31 letters, digits, underscores or hyphens"
        )
    return name


def flag(doc: Document, key: str | KeyPath, default: bool) -> bool:
    """Return a boolean."""
    value = doc.find(key, default)
    if not isinstance(value, bool):
        raise doc.error(key, f"must be true or false, is {value!r}")
    return value


def texts(doc: Document, key: KeyPath, default: list[str]) -> tuple[str, ...]:
    """Return a list of texts."""
    values = doc.find(key, default)
    if not isinstance(values, list):
        raise doc.error(key, "must be a list of texts in quotes")
    return tuple(
        doc.text((*key, place)) if values is not default else value
        for place, value in enumerate(values)
    )


def _read_link(doc: Document) -> LinkSpec:
    """Return the serial line."""
    baud = doc.integer("link.baud", _BAUD_LEAST, _BAUD_LIMIT, 115200)
    max_baud = doc.integer("link.max_baud", _BAUD_LEAST, _BAUD_LIMIT, baud)
    if max_baud < baud:
        raise doc.error("link.max_baud", f"{max_baud} is below the {baud} at which it opens")
    rates = doc.find("link.rates", None)
    if rates is not None:
        if not isinstance(rates, list) or not rates:
            raise doc.error("link.rates", "must be a list of rates in baud")
        rates = [
            doc.integer(("link", "rates", place), _BAUD_LEAST, _BAUD_LIMIT)
            for place in range(len(rates))
        ]
    native = flag(doc, "link.native_usb", False)
    return LinkSpec(
        protocol=doc.choice("link.protocol", PROTOCOLS, "hilwire"),
        baud=baud,
        max_baud=max_baud,
        rates=_scanned(baud, max_baud, rates, native),
        reset=doc.choice("link.reset", RESETS, "none"),
        boot_wait_s=_seconds(doc, "link.boot_wait_s", 0.0, 30.0),
        is_native_usb=native,
    )


def _scanned(baud: int, max_baud: int, rates: list[int] | None, native: bool) -> tuple[int, ...]:
    """Return the rates to seek a board at: its own, the one it may have been left at, others."""
    others = rates if rates is not None else () if native else USUAL_RATES
    return tuple(dict.fromkeys((baud, max_baud, *others)))


def _seconds(doc: Document, key: str, default: float, limit: float) -> float:
    """Return a time from a key that ends in its unit: a plain number, or a quantity."""
    value = doc.find(key, default)
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        seconds = doc.quantity(key, "s")
    if not 0.0 <= seconds <= limit:
        raise doc.error(key, f"{seconds:g} s is outside 0 to {limit:g} s")
    return seconds


def _read_usb(doc: Document) -> tuple[tuple[int, int], ...]:
    """Return the pairs of vendor and product number."""
    pairs = []
    for place, text in enumerate(texts(doc, ("match", "usb"), [])):
        match = _USB.fullmatch(text)
        if not match:
            raise doc.error(("match", "usb", place), f"{text!r} is no vendor:product in hex")
        pairs.append((int(match[1], 16), int(match[2], 16)))
    return tuple(pairs)


def parse_version(text: str) -> tuple[int, int, int]:
    """Return (major, minor, patch) of ``"1"``, ``"1.2"`` or ``"1.2.3"``; else ValueError."""
    if not _VERSION.fullmatch(text):
        raise ValueError(f"{text[:32]!r} is no version such as 1.0 or 1.2.3")
    numbers = [int(number) for number in text.split(".")]
    major, minor, patch = (*numbers, 0, 0)[:3]
    return major, minor, patch


def _read_firmware(doc: Document) -> FirmwareSpec:
    """Return what belongs on the board."""
    doc.check_keys("firmware", ("name", "min", "file", "flash"))
    least = doc.text("firmware.min", "0")
    try:
        version = parse_version(least)
    except ValueError as wrong:
        raise doc.error("firmware.min", str(wrong)) from None
    flash = doc.text("firmware.flash", None)
    try:
        words = [word.format(port="", image="") for word in shlex.split(flash or "")]
    except (ValueError, KeyError, IndexError) as wrong:
        raise doc.error(
            "firmware.flash", f"not a command with {{port}} and {{image}}: {wrong}"
        ) from None
    assert flash is None or words
    return FirmwareSpec(
        name=doc.text("firmware.name"),
        least=version,
        file=doc.text("firmware.file", None),
        flash=flash,
    )


def _read_bus(doc: Document, name: str) -> BoardBus:
    """Return a bus of the board."""
    key: KeyPath = ("buses", name)
    match = _BUS.fullmatch(name)
    if not match:
        raise doc.error(key, "a bus is i2c, spi, uart, can or gpio and its number: i2c0")
    kind = match[1]
    signals = _PINS[kind]
    unit = _RATE_UNITS.get(kind)
    doc.check_keys(
        key, (*(name.removesuffix("[]") for name in signals), *(["max"] if unit else []))
    )
    pins: dict[str, str | tuple[str, ...]] = {}
    for signal in signals:
        if signal.endswith("[]"):
            plain = signal.removesuffix("[]")
            pins[plain] = texts(doc, (*key, plain), [])
        elif doc.find((*key, signal), None) is not None:
            pins[signal] = doc.text((*key, signal))
    rate = round(doc.quantity((*key, "max"), unit, 0.0)) if unit else 0
    return BoardBus(name, kind, int(match[2]), pins, rate)


def _read_emulations(doc: Document) -> dict[str, dict[str, Any]]:
    """Return the options of each emulation; a type has at least one."""
    kinds = doc.table("emulate")
    if not kinds:
        raise doc.error("emulate", "a board type has at least one emulation, so that tests run it")
    doc.check_keys("emulate", _EMULATIONS)
    found: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        readers = _EMULATIONS[kind]
        doc.check_keys(("emulate", kind), readers)
        found[kind] = {
            name: _read_option(doc, ("emulate", kind, name), readers[name])
            for name in doc.table(("emulate", kind))
        }
    return found


def _read_option(doc: Document, key: KeyPath, reader: str) -> Any:
    """Return one option of an emulation."""
    if reader == "Hz":
        return round(doc.quantity(key, "Hz"))
    if reader == "count":
        return doc.integer(key, 0, 255)
    if reader == "flag":
        return flag(doc, key, False)
    if reader == "pace":
        return doc.choice(key, PACES)
    return doc.text(key)
