"""Whatever a part's table tags as not modelled is counted when it is touched, for every part."""

from __future__ import annotations

from typing import Any

import pytest

from hil.errors import ConfigError
from hil.parts import PART_TYPES, part_class
from hil.parts.base import Part
from hil.parts.registers import RegisterFile, RegisterMap

#: parts with a register map
MAPPED = [name for name in PART_TYPES if hasattr(part_class(name), "MAP")]
#: SPI instructions, or I2C messages, of parts without one that ask for what is not modelled
ELSEWHERE = {
    **dict.fromkeys(("w25q16", "w25q32", "w25q64"), ("38", "36000000", "1164", "0180")),
    "w25q128": ("38", "7e", "98"),
    "mcp2515": ("f0", "020c01", "020f08", "020f03", "022880"),
    "ssd1306": ("002f", "00d530", "00d9f1", "00db10", "00da02"),
}


def banks(part: Any) -> dict[int, RegisterMap]:
    """Return the maps of a part by what its bank register selects them with."""
    return dict(part.guide().banks) or {-1: part.MAP}


def make(name: str, bank: int) -> Any:
    part: Any = part_class(name)("part", 3)
    if bank >= 0:
        part.i2c_write(0, bytes((0x7F, bank)))
    part.touched.clear()
    return part


def write(part: Any, address: int, value: int, nbytes: int, order: Any) -> None:
    octets = bytes((address,)) + value.to_bytes(nbytes, order)
    if hasattr(part, "i2c_write"):
        part.i2c_write(0, octets)
        part.i2c_stop(0)
    else:
        spi(part, bytes((address | 0x80,)) + octets[1:])


def read(part: Any, address: int) -> None:
    if hasattr(part, "i2c_write"):
        part.i2c_write(0, bytes((address,)))
        part.i2c_read(0, 1)
        part.i2c_stop(0)
    else:
        spi(part, bytes((address, 0)))


def spi(part: Any, octets: bytes) -> None:
    part.spi_select(0)
    part.spi_exchange(0, octets)
    part.spi_deselect(0)


def file_of(part: Any) -> RegisterFile:
    file: RegisterFile = part.file
    return file


@pytest.mark.parametrize("name", MAPPED)
def test_each_unmodelled_bit_is_counted(name: str) -> None:
    """Changing any one bit that a row tags as unmodelled moves a counter that names the row."""
    for bank, table in banks(make(name, -1)).items():
        for row in table.registers:
            for bit in (n for n in range(40) if row.unmodelled >> n & 1):
                part = make(name, bank)
                file = file_of(part)
                value = file.values[row.address] ^ 1 << bit
                write(part, row.address, value, file.nbytes[row.address], table.order)
                assert any(row.name in what for what in part.touched), f"{row.name} bit {bit}"


@pytest.mark.parametrize("name", MAPPED)
def test_each_address_off_the_table_is_counted(name: str) -> None:
    """Reading and writing an address that no row has each count once, by its name if it has one."""
    for bank, table in banks(make(name, -1)).items():
        known, tags = {row.address for row in table.registers}, dict(table.tagged)
        for address in sorted(set(range(table.size)) - known):
            for verb in ("read", "write"):
                part = make(name, bank)
                if verb == "read":
                    read(part, address)
                else:
                    write(part, address, 1, table.width // 8, table.order)
                told = tags.get(address, f"{address:02X}h")
                assert part.touched.total() == 1, f"{verb} {address:02X}h: {part.touched}"
                assert told in next(iter(part.touched)), f"{verb} {address:02X}h: {part.touched}"


@pytest.mark.parametrize("name", MAPPED)
def test_a_bit_that_nothing_can_change_is_no_tag(name: str) -> None:
    """Every tagged bit of a row is one that a write reaches."""
    for table in banks(make(name, -1)).values():
        for row in table.registers:
            reached = row.writable | row.clearing | row.w1c | row.w0c
            assert not row.unmodelled & ~reached, f"{row.name}: {row.unmodelled & ~reached:X}h"


@pytest.mark.parametrize(
    ("name", "octets"), [(name, one) for name, all_ in ELSEWHERE.items() for one in all_]
)
def test_an_instruction_that_is_not_modelled_is_counted(name: str, octets: str) -> None:
    """What a part without a register map leaves out is counted as well."""
    part: Any = part_class(name)("part", 3)
    if name.startswith("w25q"):
        spi(part, b"\x06")
    if hasattr(part, "i2c_write"):
        part.i2c_write(0, bytes.fromhex(octets))
    else:
        spi(part, bytes.fromhex(octets))
    assert part.touched.total() == 1, part.touched


@pytest.mark.parametrize("name", PART_TYPES)
def test_the_world_face_stands_on_its_own(name: str) -> None:
    """Of every part: ranges hold the defaults, and epsilon is above 0 and far below the range."""
    part: Part = part_class(name)("part", 3)
    for quantity, spec in part.QUANTITIES.items():
        assert spec.lower <= part.values.get(quantity, spec.lower) <= spec.upper, quantity
        assert 0 < spec.epsilon <= (spec.upper - spec.lower) / 2, quantity
        for value in (spec.lower - 1.0, spec.upper + 1.0):
            part.set(quantity, value)
        assert part.clamped[quantity] == 2, quantity


@pytest.mark.parametrize("name", PART_TYPES)
def test_what_cannot_be_set_is_refused_by_name(name: str) -> None:
    """A quantity that a part has not, and what is no number, raise an error with the remedy."""
    part: Part = part_class(name)("part", 3)
    with pytest.raises(ConfigError, match="'part' has no 'colour'; what can be set"):
        part.set("colour", 1.0)
    for quantity, spec in part.QUANTITIES.items():
        before = dict(part.values)
        with pytest.raises(ConfigError, match=f"{quantity} is .* cannot become nan; give"):
            part.set(quantity, float("nan"))
        assert part.values == before, spec
