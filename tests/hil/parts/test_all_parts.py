"""What holds for every part of the table, whoever wrote it."""

from __future__ import annotations

import json
import re
import sys

import pytest

from hil.parts import PART_TYPES, part_class
from hil.parts.base import I2CTarget, Part, SPIPeripheral, stream
from hil.testing.contracts.part import check_part

#: parts of a bus on which a controller asks and a part answers
ASKED = [
    name
    for name in PART_TYPES
    if hasattr(part_class(name), "i2c_write") or hasattr(part_class(name), "spi_exchange")
]
YEAR_NS = 366 * 86_400 * 10**9


def make(name: str) -> Part:
    return part_class(name)("part", 3)


@pytest.mark.parametrize("name", ASKED)
def test_contract(name: str) -> None:
    """Each of them passes the public contract suite with the values of its own defaults."""
    check_part(lambda: make(name))


@pytest.mark.parametrize("name", PART_TYPES)
def test_a_part_says_what_it_leaves_out(name: str) -> None:
    """The head of each module says what is not modelled."""
    head = sys.modules[part_class(name).__module__].__doc__ or ""
    assert re.search(r"[Nn]ot\s+modelled", head)


@pytest.mark.parametrize("name", ASKED)
def test_a_year_is_skipped_and_not_replayed(name: str) -> None:
    """After a year that nobody looked, set up at random, a part answers within the test."""
    part = make(name)
    random = stream(5, name)
    for _ in range(40):
        octets = bytes(random.integers(0, 256, 2, dtype="u1"))
        if isinstance(part, I2CTarget):
            part.i2c_write(0, octets)
            part.i2c_stop(0)
        if isinstance(part, SPIPeripheral):
            part.spi_select(0)
            part.spi_exchange(0, octets)
            part.spi_deselect(0)
    if isinstance(part, I2CTarget):
        answer = part.i2c_read(YEAR_NS, 16)
        part.i2c_stop(YEAR_NS)
        assert answer is None or len(answer) == 16
        assert part.i2c_read(YEAR_NS + 10**10, 16), "whatever it was busy with has ended"
    if isinstance(part, SPIPeripheral):
        part.spi_select(YEAR_NS)
        assert len(part.spi_exchange(YEAR_NS, bytes(16))) == 16
        part.spi_deselect(YEAR_NS)
    assert json.loads(json.dumps(part.snapshot()))["clamped"] == {}
