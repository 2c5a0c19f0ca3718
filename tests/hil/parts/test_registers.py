"""Register maps as data: access rules, pointer, tags."""

from __future__ import annotations

from hil.parts.registers import Register, RegisterFile, RegisterMap, RegisterTarget, ro

ROWS = (
    Register(0x00, "CONTROL", 0x10, clearing=0x80, unmodelled=0x06),
    Register(0x01, "FLAGS", 0xF0, writable=0x0F, w1c=0x30),
    ro(0x02, "IDENTITY", 0x6C),
    Register(0x03, "LIMIT"),
)


class Octets(RegisterTarget):
    """A part with 8-bit registers whose pointer goes on."""

    MAP = RegisterMap(ROWS, size=8, tagged=((0x05, "SECRET"),))

    def __init__(self) -> None:
        super().__init__("octets")
        self.seen: list[tuple[str, int]] = []

    def on_read(self, t_ns: int, address: int) -> None:
        self.seen.append(("r", address))

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        self.seen.append(("w", address))


class Words(RegisterTarget):
    """A part with 16-bit registers, low octet first, whose pointer stays."""

    MAP = RegisterMap(
        (Register(0, "WORD", 0x1234),), width=16, order="little", increment=False, size=4
    )


def test_reset_values_and_access_rules() -> None:
    """Read-only bits stay, write-one-to-clear bits clear, triggers read back 0."""
    file = RegisterFile(RegisterMap(ROWS))
    assert file.values[:4] == [0x10, 0xF0, 0x6C, 0x00]
    file.store(0, 0xFF)
    file.store(1, 0x1A)
    file.store(2, 0x00)
    assert file.values[:4] == [0x7F, 0xEA, 0x6C, 0x00]
    file.reset()
    assert file.values[:4] == [0x10, 0xF0, 0x6C, 0x00]


def test_pointer_goes_on_and_wraps() -> None:
    """A burst write and a burst read go through consecutive registers, modulo the map."""
    part = Octets()
    assert part.i2c_write(0, b"\x03\x55") == 2
    assert part.i2c_read(0, 1) == b"\x00"
    assert part.i2c_write_read(0, b"\x02", 8) == b"\x6c\x55\x00\x00\x00\x00\x10\xf0"
    assert part.i2c_read(0, 1) == b"\x6c"
    assert part.seen[0] == ("w", 3)


def test_touches_of_what_is_not_modelled_are_counted_by_name() -> None:
    """Unknown registers count each access, tagged bits only when a write changes them."""
    part = Octets()
    part.i2c_write(0, b"\x00\x10")
    assert not part.touched
    part.i2c_write(0, b"\x00\x14")
    part.i2c_write(0, b"\x05\x01")
    part.i2c_write_read(0, b"\x04", 1)
    assert dict(part.touched) == {
        "write CONTROL bits 04h": 1,
        "write SECRET": 1,
        "read register 04h": 1,
    }


def test_words_repeat_under_a_pointer_that_stays() -> None:
    """A 16-bit part repeats its register, in its octet order, and loses half a word by count."""
    part = Words("words")
    assert part.i2c_write_read(0, b"\x00", 5) == b"\x34\x12\x34\x12\x34"
    assert part.i2c_write_read(0, b"\x00", 2) == b"\x34\x12"
    part.i2c_write(0, b"\x00\xcd\xab\x99")
    assert part.file.values[0] == 0xABCD
    assert part.cut_writes == 1


def test_empty_write_leaves_everything() -> None:
    """A quick write is acknowledged and moves nothing, not even the pointer."""
    part = Octets()
    part.i2c_write(0, b"\x02")
    assert part.i2c_write(0, b"") == 0
    assert part.i2c_read(0, 1) == b"\x6c"
