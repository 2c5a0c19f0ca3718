"""Transactions with the parts of a board: registers and their bits by the names of the data sheet.

Where a register holds a reading whose scale is known without looking at other registers, the
reading is given in its own unit as well: ``i2c.power_monitor.bus2_v``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from flightsw.codec import bus_payload, eps_frames
from flightsw.codec.errors import FlatsatError
from flightsw.codec.wire import Record
from hil.board import Board, PartSpec
from hil.errors import ConfigError
from hil.parts import part_class
from hil.parts.guide import Field, Guide, Reading, fields
from hil.parts.registers import RegisterFile, RegisterMap, signed
from hil.replay.decoding.flat import Fields, digest, octets

#: instructions of serial NOR flash (JESD216), and whether an address of three octets follows
_FLASH: Mapping[int, tuple[str, bool]] = {
    0x01: ("write_status", False),
    0x02: ("page_program", True),
    0x03: ("read", True),
    0x04: ("write_disable", False),
    0x05: ("read_status", False),
    0x06: ("write_enable", False),
    0x0B: ("fast_read", True),
    0x20: ("sector_erase", True),
    0x52: ("block_erase_32k", True),
    0x9F: ("read_id", False),
    0xAB: ("release_power_down", False),
    0xB9: ("power_down", False),
    0xC7: ("chip_erase", False),
    0xD8: ("block_erase", True),
}
#: scaled numbers in the frames of the power system: unit and size of a step
_EPS_STEPS: Mapping[str, tuple[str, float]] = {
    "voltage": ("v", eps_frames.VOLTAGE_LSB_V),
    "current": ("a", eps_frames.CURRENT_LSB_A),
    "power": ("w", eps_frames.POWER_LSB_W),
    "load": ("w", eps_frames.POWER_LSB_W),
    "off_time": ("s", eps_frames.OFF_TIME_LSB_S),
}
_ONEWIRE = ("reset", "write", "read", "triplet")


class Registers:
    """What a part says of itself: its register table, bits and readings."""

    def __init__(self, type_name: str, params: Mapping[str, Any]) -> None:
        kind = part_class(type_name)
        self.model = kind("model", **params)
        self.guide: Guide = self.model.guide()
        self.map: RegisterMap | None = getattr(self.model, "MAP", None)

    @cached_property
    def file(self) -> RegisterFile | None:
        """The table by address."""
        return None if self.map is None else RegisterFile(self.map)

    @cached_property
    def bits(self) -> dict[str, tuple[Field, ...]]:
        """The bit fields of each register."""
        return {name: fields(text) for name, text in self.guide.fields.items()}

    def walk(self, lead: str, at: int, data: bytes) -> Iterator[tuple[str, int | float]]:
        """Yield the registers that ``data`` holds from address ``at`` on, with their bits."""
        file = self.file
        assert file is not None
        assert self.map is not None
        seen: dict[str, int] = {}
        place = 0
        while place < len(data):
            nbytes = file.nbytes[at]
            word = data[place : place + nbytes]
            name = file.names[at].replace(" ", "_")
            seen[name] = seen.get(name, -1) + 1
            name = f"{lead}.{name}" + (f"[{seen[name]}]" if seen[name] else "")
            value = int.from_bytes(word, self.map.order)
            yield (name if len(word) == nbytes else f"{name}.cut"), value
            for bits in self.bits.get(file.names[at], ()) if len(word) == nbytes else ():
                yield f"{name}.{bits.name}", bits.of(value)
            place, at = place + nbytes, file.after[at]

    def readings(self, lead: str, at: int, data: bytes) -> Iterator[tuple[str, int | float]]:
        """Yield the readings that ``data`` holds from address ``at`` on."""
        assert self.map is not None
        rows = {row.name: row for row in self.map.registers}
        for name, reading in self.guide.readings.items():
            row = rows.get(reading.register)
            if row is None:
                continue
            own = (row.width or self.map.width) // 8
            nbytes, first = reading.nbytes or own, (row.address - at) * own
            # Registers of one octet stand one behind the other; of wider ones only the first does.
            if first < 0 or (own > 1 and first) or len(data) < first + nbytes:
                continue
            yield self._reading(f"{lead}.{name}", reading, data[first : first + nbytes])

    def made_of(self, name: str) -> Iterator[tuple[str, int]]:
        """Yield the registers whose octets a reading is made of, each with those bits of it that
        say something else; nothing of a reading that has other bits above its own."""
        assert self.map is not None
        reading = self.guide.readings.get(name)
        row = next((r for r in self.map.registers if reading and r.name == reading.register), None)
        if reading is None or row is None or self.file is None:
            return
        nbytes = reading.nbytes or (row.width or self.map.width) // 8
        if reading.bits and reading.bits + reading.shift != 8 * nbytes:
            return
        place, at, is_big = 0, row.address, (reading.order or self.map.order) == "big"
        while place < nbytes:
            end = place + self.file.nbytes[at]
            lowest = 8 * (nbytes - end if is_big else place)
            rest = max(0, min(reading.shift - lowest, 8 * self.file.nbytes[at]))
            yield self.file.names[at].replace(" ", "_"), (1 << rest) - 1
            place, at = end, self.file.after[at]

    def _reading(self, name: str, reading: Reading, data: bytes) -> tuple[str, int | float]:
        assert self.map is not None
        word = int.from_bytes(data, reading.order or self.map.order) >> reading.shift
        bits = reading.bits or 8 * len(data) - reading.shift
        word &= (1 << bits) - 1
        word = signed(word, bits) if reading.signed else word
        if isinstance(reading.scale, tuple):
            return f"{name}.raw", word
        scale = reading.scale / self._parameter(reading.per) * self._parameter(reading.times)
        return name, word * scale + reading.offset

    def _parameter(self, path: str) -> float:
        if not path:
            return 1.0
        name, _, index = path.partition(".")
        value: Any = getattr(self.model, name)
        return float(value[int(index)] if index else value)


class Parts:
    """The parts of a board, by where they are."""

    def __init__(self, board: Board, names: Mapping[int, str]) -> None:
        self._board, self._names = board, names
        self._known: dict[str, Registers | None] = {}
        #: where the register pointer of a part stands: (channel, address) -> register
        self._pointers: dict[tuple[int, int], int] = {}

    def at(self, channel: int, address: int | None = None) -> PartSpec | None:
        """Return the part on a channel, at an address there."""
        name = self._names.get(channel)
        return next(
            (
                part
                for part in self._board.parts
                if part.bus == name and address in (None, part.address)
            ),
            None,
        )

    def with_role(self, channel: int) -> str | None:
        """Return the role of the part on a channel that has one part."""
        part = self.at(channel)
        return None if part is None else part.role

    def _registers(self, part: PartSpec | None) -> Registers | None:
        if part is None:
            return None
        if part.name not in self._known:
            try:
                self._known[part.name] = Registers(part.type, part.params)
            except (ConfigError, TypeError):  # a part of another installation, or of another time
                self._known[part.name] = None
        return self._known[part.name]

    def made_of(self, field: str) -> dict[str, int]:
        """Return the fields of the registers that a reading of an I2C part is made of, each with
        the bits of it that are not of the reading."""
        lead, _, rest = field.partition(".")
        name, _, reading = rest.removesuffix(".raw").partition(".")
        part = next((one for one in self._board.parts if one.name == name), None)
        known = self._registers(part) if lead == "i2c" else None
        if known is None or known.map is None:
            return {}
        return {f"i2c.{name}.{register}": mask for register, mask in known.made_of(reading)}

    # --- kinds ------------------------------------------------------------------------------------

    def i2c(self, record: Record) -> Fields:
        """Return the messages of an I2C transaction."""
        told: Fields = {}
        for address, flags, data in bus_payload.unpack_i2c(record.payload, reply=True):
            assert isinstance(data, bytes)
            part = self.at(record.channel, address)
            known = self._registers(part)
            lead = f"i2c.{part.name}" if part is not None else f"i2c.{address:#04x}"
            is_read = bool(flags & bus_payload.I2C_READ)
            if known is None or known.file is None:
                name = "read" if is_read else "write"
                told |= octets(f"{lead}.{name}" if part is not None else name, data)
            else:
                told |= self._registered(lead, known, (record.channel, address), is_read, data)
        return told

    def _registered(
        self, lead: str, known: Registers, key: tuple[int, int], is_read: bool, data: bytes
    ) -> Fields:
        """Return one message to or from a part with registers."""
        assert known.file is not None
        assert known.map is not None
        if not is_read:
            if not data:
                return {f"{lead}.access": "probe"}
            self._pointers[key] = data[0] % known.map.size
            data = data[1:]
        at = self._pointers.get(key)
        if at is None:
            return octets(f"{lead}.read", data)
        told: Fields = {
            f"{lead}.register": known.file.names[at],
            f"{lead}.access": "read" if is_read else "write" if data else "select",
        }
        told |= known.walk(lead, at, data)
        return told | dict(known.readings(lead, at, data) if is_read else ())

    def spi(self, record: Record) -> Fields:
        """Return the segments of an SPI transaction."""
        segments, received = bus_payload.unpack_spi(record.payload, reply=True)
        part = self.at(record.channel, record.address)
        known = self._registers(part)
        lead = f"spi.{part.name}" if part is not None else "spi"
        told: Fields = {}
        for nth, ((sent, *rest), heard) in enumerate(zip(segments, received, strict=True)):
            name = f"{lead}[{nth}]" if nth else lead
            if tuple(rest) != bus_payload.SPI_DEFAULTS:
                words = ("speed_hz", "bits", "flags", "delay_us")
                told |= {f"{name}.{word}": v for word, v in zip(words, rest, strict=True)}
            told |= _spi(name, known, sent, heard)
        return told

    def onewire(self, record: Record) -> Fields:
        """Return the steps of a 1-Wire transaction."""
        told: Fields = {}
        for nth, (op, what) in enumerate(bus_payload.unpack_onewire(record.payload, reply=True)):
            told |= octets(
                f"onewire[{nth}].{_ONEWIRE[op]}", what if isinstance(what, bytes) else b""
            )
        return told

    def can(self, record: Record) -> Fields:
        """Return a CAN frame: of the power system by its layout, else its octets."""
        lead = f"can.{record.address & 0x1FFFFFFF:#x}"
        part = self.at(record.channel)
        if part is None or part.type != "eps_node":
            return octets(lead, record.payload)
        try:
            frame = eps_frames.decode(record.address, record.payload)
        except FlatsatError:
            frame = None
        if frame is None:
            return octets(lead, record.payload)
        told: Fields = {}
        name = f"can.{type(frame).__name__.lower()}"
        for field, value in frame._asdict().items():
            unit, step = _EPS_STEPS.get(field, ("", 0.0))
            told[f"{name}.{field}" + (f"_{unit}" if unit else "")] = (
                round(value * step, 6) if step else int(value)
            )
        nbytes = len(eps_frames.encode(frame)[1])
        return told | octets(name, record.payload[nbytes:])

    def gpio(self, record: Record) -> Fields:
        """Return the level of a line, by the pin that is on it."""
        bus = self._names.get(record.channel)
        pins = (
            f"{part.name}.{pin.name}"
            for part in self._board.parts
            for pin in part.pins
            if (pin.bus, pin.line) == (bus, record.address)
        )
        name = f"gpio.{next(pins, f'line{record.address}')}"
        if len(record.payload) == 1:
            return {name: record.payload[0]}
        return octets(name, record.payload)


def _spi(name: str, known: Registers | None, sent: bytes, heard: bytes) -> Fields:
    """Return one segment."""
    plain = {**octets(f"{name}.write", sent), **octets(f"{name}.read", heard)}
    if known is None or not sent:
        return plain
    memory = known.guide.memory
    if memory is not None and len(memory.read) == 1:
        return _flash(name, sent, heard)
    if known.file is None or known.map is None or known.guide.commands:
        return plain
    read, write = known.guide.spi
    is_read = sent[0] & (read | write) == read
    at = (sent[0] & ~(read | write)) % known.map.size
    told: Fields = {
        f"{name}.register": known.file.names[at],
        f"{name}.access": "read" if is_read else "write",
    }
    told |= known.walk(name, at, (heard if is_read else sent)[1:])
    return told | dict(known.readings(name, at, heard[1:]) if is_read else ())


def _flash(name: str, sent: bytes, heard: bytes) -> Fields:
    """Return an instruction of serial flash."""
    command, has_address = _FLASH.get(sent[0], (f"{sent[0]:#04x}", False))
    told: Fields = {f"{name}.command": command}
    at = 1
    if has_address and len(sent) > 3:
        told[f"{name}.address"] = int.from_bytes(sent[1:4], "big")
        at = 4
    told |= octets(f"{name}.write", sent[at:])
    return told | octets(f"{name}.read", heard[at:])


def frame(payload: bytes) -> Fields:
    """Return a picture of a camera: its size, and a digest of its pixels."""
    head = bus_payload.FRAME_HEADER
    if len(payload) < head.size:
        return octets("image", payload)
    width, height, channels, bits, _ = head.unpack_from(payload)
    return {
        "image.width": width,
        "image.height": height,
        "image.channels": channels,
        "image.bits": bits,
        "image.nbytes": len(payload) - head.size,
        "image.digest": digest(payload[head.size :]),
    }


def pixels_different(old: bytes, new: bytes) -> int:
    """Return how many octets of two pictures differ, where both have the same number of them."""
    import numpy as np

    at = bus_payload.FRAME_HEADER.size
    left, right = (np.frombuffer(data[at:], np.uint8) for data in (old, new))
    shared = min(len(left), len(right))
    return int(np.count_nonzero(left[:shared] != right[:shared])) + abs(len(left) - len(right))


def load(payload: bytes) -> Fields:
    """Return work that was announced, and what it cost."""
    head, request = bus_payload.LOAD_REPLY, bus_payload.LOAD_REQUEST
    if len(payload) < head.size + request.size:
        return octets("load", payload)
    duration_ns, energy_uj = head.unpack_from(payload)
    return {
        "load.duration_ns": duration_ns,
        "load.energy_uj": energy_uj,
        "load.units": request.unpack_from(payload, head.size)[0],
        "load.model": payload[head.size + request.size :].decode(errors="replace"),
    }
