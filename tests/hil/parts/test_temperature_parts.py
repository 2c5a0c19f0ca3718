"""LM75B and MCP9808 at register level, against their data sheets."""

from __future__ import annotations

import pytest

from hil.parts.base import Part
from hil.parts.lm75 import Lm75
from hil.parts.mcp9808 import Mcp9808
from hil.testing.contracts.part import check_part

MS = 1_000_000


def read(part: Lm75 | Mcp9808, t_ns: int, address: int, nread: int = 2) -> int:
    answer = part.i2c_write_read(t_ns, bytes((address,)), nread)
    assert isinstance(answer, bytes)
    return int.from_bytes(answer, "big")


def write(part: Lm75 | Mcp9808, t_ns: int, address: int, *octets: int) -> None:
    assert part.i2c_write(t_ns, bytes((address, *octets))) == 1 + len(octets)


@pytest.mark.parametrize("kind", [Lm75, Mcp9808])
def test_contract(kind: type[Part]) -> None:
    """The parts pass the public contract suite."""
    check_part(lambda: kind("temperature", 3))


def test_lm75_reset_values() -> None:
    """Section 7.4: comparator mode, 75 and 80 degC after power-up."""
    part = Lm75("t")
    assert [read(part, 0, at, 1 if at == 1 else 2) for at in (1, 2, 3)] == [0, 0x4B00, 0x5000]


@pytest.mark.parametrize(
    ("celsius", "word"),
    [(127.0, 0x7D00), (25.125, 0x1920), (0.125, 0x0020), (-0.125, 0xFFE0), (-55.0, 0xC900)],
)
def test_lm75_temperature_words(celsius: float, word: int) -> None:
    """Table 10: eleven bits of 0.125 degC at the top of the word (125 degC is the most)."""
    part = Lm75("t")
    part.set("temperature_c", celsius)
    assert read(part, 10 * MS, 0) == word


def test_lm75_converts_every_100_ms() -> None:
    """The first result is there after 10 ms, the next 100 ms later."""
    part = Lm75("t")
    assert (read(part, 10 * MS - 1, 0), read(part, 10 * MS, 0)) == (0, 0x1900)
    part.set("temperature_c", 30.0)
    assert (read(part, 110 * MS - 1, 0), read(part, 110 * MS, 0)) == (0x1900, 0x1E00)


def test_lm75_fault_queue() -> None:
    """With OS_F_QUE 2 the output waits for four conversions beyond the limit in a row."""
    part = Lm75("t")
    write(part, 0, 1, 0x10)
    for n, celsius in enumerate((85, 85, 85, 20, 85, 85, 85)):
        part.set("temperature_c", celsius)
        read(part, (10 + 100 * n) * MS, 0)
        assert not part.os_active
    read(part, 710 * MS, 0)
    assert part.os_active


def test_lm75_compares_nine_bits() -> None:
    """Sections 7.4.4, 7.6: OS is for more than T_OS, until less than T_HYST, in half degrees."""
    part = Lm75("t")
    steps = ((80.375, False), (80.5, True), (75.0, True), (74.875, False))
    for n, (celsius, active) in enumerate(steps):
        part.set("temperature_c", celsius)
        read(part, (10 + 100 * n) * MS, 0)
        assert part.os_active == active, celsius


def test_lm75_interrupt_mode() -> None:
    """In interrupt mode OS is an event at either limit, and any read clears it."""
    part = Lm75("t")
    write(part, 0, 1, 0x02)
    part.set("temperature_c", 85.0)
    part.refresh(10 * MS)
    assert part.os_active
    read(part, 11 * MS, 1, 1)
    assert not part.os_active
    part.refresh(900 * MS)
    assert not part.os_active
    part.set("temperature_c", 70.0)
    part.refresh(1000 * MS + 10 * MS)
    assert part.os_active


def test_mcp9808_reset_values() -> None:
    """Register 5-1 to 5-7: limits of 0 degC, identities, the finest resolution."""
    part = Mcp9808("t")
    expected = {1: 0, 2: 0, 3: 0, 4: 0, 6: 0x0054, 7: 0x0400}
    assert {address: read(part, 0, address) for address in expected} == expected
    assert read(part, 0, 8, 1) == 3


@pytest.mark.parametrize("code", range(4))
def test_mcp9808_conversion_times_and_steps(code: int) -> None:
    """Register 5-7: 30, 65, 130 or 250 ms for steps of 0.5 to 0.0625 degC."""
    part = Mcp9808("t")
    write(part, 0, 8, code)
    part.set("temperature_c", 20.4375)
    due_ns = (30, 65, 130, 250)[code] * MS
    assert read(part, due_ns - 1, 5) & 0x1FFF == 0
    assert read(part, due_ns, 5) & 0x1FFF == (328, 328, 328, 327)[code]


@pytest.mark.parametrize(("celsius", "word"), [(30.25, 0x01E4), (-25.25, 0x1E6C)])
def test_mcp9808_words_and_flags(celsius: float, word: int) -> None:
    """Equation 5-1: two's complement of 1/16 degC, below the flags of table 5-3."""
    part = Mcp9808("t")
    part.set("temperature_c", celsius)
    for at, limit in ((2, -10), (3, 40), (4, 30)):
        write(part, 0, at, *(limit * 16 & 0x1FFF).to_bytes(2, "big"))
    flags = 0xC000 | 0x2000 if celsius > 30 else 0x2000
    assert read(part, 250 * MS, 5) == word | flags


def test_mcp9808_locks() -> None:
    """Section 5.2.3.1: locked limits and a locked shutdown bit cannot be written; it is counted."""
    part = Mcp9808("t")
    write(part, 0, 2, 0x01, 0x40)
    write(part, 0, 1, 0x00, 0x40)
    write(part, 0, 2, 0x02, 0x00)
    write(part, 0, 4, 0x05, 0x00)
    write(part, 0, 1, 0x01, 0x00)
    assert [read(part, 0, at) for at in (1, 2, 4)] == [0x0040, 0x0140, 0x0500]
    assert part.locked_writes == 1


def test_mcp9808_shutdown_keeps_the_result() -> None:
    """Section 5.2.1: in shutdown nothing is measured; waking starts a conversion."""
    part = Mcp9808("t")
    assert read(part, 250 * MS, 5) & 0x1FFF == 400
    write(part, 250 * MS, 1, 0x01, 0x00)
    part.set("temperature_c", 50.0)
    assert read(part, 5000 * MS, 5) & 0x1FFF == 400
    write(part, 5000 * MS, 1, 0x00, 0x00)
    assert read(part, 5250 * MS, 5) & 0x1FFF == 800
