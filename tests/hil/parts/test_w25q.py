"""W25Q128JV at instruction level, against its data sheet (revision F)."""

from __future__ import annotations

import pytest

from hil.buses.spi import DUAL, QUAD, SPIBus
from hil.errors import ConfigError
from hil.parts.w25q import W25Q, W25Q16, W25Q32, W25Q64, W25Q128

MS = 1_000_000
SIZE = 1 << 24
FAMILY = {W25Q16: (21, 0x1415), W25Q32: (22, 0x1516), W25Q64: (23, 0x1617), W25Q128: (24, 0x1718)}


class Flash:
    """The part on a bus, and the time."""

    def __init__(
        self, name: str = "flash", seed: int = 3, model: type[W25Q] = W25Q128, scale: float = 1.0
    ) -> None:
        self.part = model(name, seed, scale)
        self.bus = SPIBus("spi-0", "ideal")
        self.bus.attach(0, self.part, speed_hz=10_000_000)
        self.t_ns = 0

    def __call__(self, head: str, data: bytes = b"", nread: int = 0) -> bytes:
        tx = bytes.fromhex(head) + data
        _, duration_ns, rx = self.bus.transfer(self.t_ns, 0, tx + bytes(nread))
        self.t_ns += duration_ns
        return rx[len(tx) :]

    def wait(self, ns: int) -> None:
        self.t_ns += ns

    def write(self, head: str, data: bytes = b"", ns: int = MS) -> None:
        self("06")
        self(head, data)
        self.wait(ns)

    @property
    def status(self) -> int:
        return self("05", nread=1)[0]


@pytest.fixture
def flash() -> Flash:
    return Flash()


def test_identities(flash: Flash) -> None:
    """JEDEC, device and legacy identities are Winbond's for 128 Mbit."""
    assert flash("9f", nread=3) == b"\xef\x40\x18"
    assert flash("90000000", nread=4) == b"\xef\x17\xef\x17"
    assert flash("90000001", nread=2) == b"\x17\xef"
    assert flash("ab000000", nread=2) == b"\x17\x17"


def test_unique_identity_belongs_to_the_part(flash: Flash) -> None:
    """The 64-bit identity depends on seed and name, and on nothing else."""
    identity = flash("4b00000000", nread=8)
    assert Flash()("4b00000000", nread=8) == identity
    assert Flash(seed=4)("4b00000000", nread=8) != identity


def test_parameter_table_tells_size_page_and_erase_types(flash: Flash) -> None:
    """The SFDP header leads to a basic table with 128 Mbit, 256-octet pages, 4/32/64 KiB erases."""
    header = flash("5a00000000", nread=16)
    assert header[:4] == b"SFDP"
    assert (header[8], header[11], header[12]) == (0x00, 16, 0x80)
    table = flash("5a00008000", nread=64)
    assert int.from_bytes(table[4:8], "little") + 1 == SIZE * 8
    erases = {(table[at + 1], 1 << table[at]) for at in (28, 30, 32)}
    assert erases == {(0x20, 4096), (0x52, 32768), (0xD8, 65536)}
    assert 1 << (table[40] >> 4) == 256


def test_erased_flash_reads_ones_and_wraps_at_the_end(flash: Flash) -> None:
    """A new part is erased; a read past the last octet goes on at the first."""
    flash.write("02000000", b"\x12")
    assert flash("03fffffe", nread=4) == b"\xff\xff\x12\xff"
    assert flash("0bfffffe00", nread=4) == b"\xff\xff\x12\xff"


def test_programming_needs_write_enable(flash: Flash) -> None:
    """Without WREN a program is ignored and counted; WRDI takes the enable back."""
    flash("02000000", b"\x00")
    flash.wait(MS)
    assert flash("03000000", nread=1) == b"\xff"
    flash("06")
    assert flash.status == 0x02
    flash("04")
    flash("02000000", b"\x00")
    flash.wait(MS)
    assert flash("03000000", nread=1) == b"\xff"
    assert flash.part.ignored["not enabled"] == 2


def test_programming_only_clears_bits(flash: Flash) -> None:
    """Programming over programmed cells is the AND of both."""
    flash.write("02001000", b"\xf0\x0f")
    flash.write("02001000", b"\x3c\x3c")
    assert flash("03001000", nread=3) == b"\x30\x0c\xff"


@pytest.mark.parametrize("nbytes", [1, 255, 256, 257, 300, 512, 600])
def test_a_page_wraps(flash: Flash, nbytes: int) -> None:
    """Data past the end of a page goes on at its start, and the last 256 octets count."""
    data = bytes(n * 7 % 251 for n in range(nbytes))
    flash.write("020001f0", data)
    cells = bytearray(b"\xff" * 256)
    for n in range(max(nbytes - 256, 0), nbytes):
        cells[(0xF0 + n) % 256] = data[n]
    assert flash("03000100", nread=256) == bytes(cells)
    assert flash("03000200", nread=1) == b"\xff"


def test_a_page_may_arrive_in_pieces() -> None:
    """One instruction in several exchanges under one chip select is one instruction."""
    part = W25Q128("flash")
    part.spi_select(0)
    part.spi_exchange(0, b"\x06")
    part.spi_deselect(0)
    part.spi_select(0)
    for octet in b"\x02\x00\x00\x10\xaa\xbb":
        part.spi_exchange(0, bytes((octet,)))
    part.spi_deselect(0)
    part.spi_select(MS)
    assert part.spi_exchange(MS, b"\x03\x00") == b"\xff\xff"
    assert part.spi_exchange(MS, b"\x00\x10\x00") == b"\xff\xff\xaa"
    assert part.spi_exchange(MS, b"\x00") == b"\xbb"


@pytest.mark.parametrize(
    ("head", "data", "busy_ns"),
    [
        ("02000000", b"\x00", 400_000),
        ("20000000", b"", 45 * MS),
        ("52000000", b"", 120 * MS),
        ("d8000000", b"", 150 * MS),
        ("c7", b"", 40_000 * MS),
        ("60", b"", 40_000 * MS),
        ("01", b"\x00", 10 * MS),
    ],
)
def test_busy_times(flash: Flash, head: str, data: bytes, busy_ns: int) -> None:
    """Section 9.6: BUSY and WEL stand for the typical time from chip select on, then fall."""
    flash("06")
    flash(head, data)
    start_ns = flash.t_ns
    assert flash.status == 0x03
    flash.t_ns = start_ns + busy_ns - 10_000
    assert flash.status == 0x03
    flash.t_ns = start_ns + busy_ns
    assert flash.status == 0x00


def test_busy_part_takes_status_reads_only(flash: Flash) -> None:
    """While busy a read gives nothing and a program is lost; both are counted."""
    flash.write("02000000", b"\x12", ns=0)
    assert flash("03000000", nread=1) == b"\xff"
    flash("06")
    flash("02000000", b"\x00")
    flash.wait(MS)
    assert flash("03000000", nread=1) == b"\x12"
    assert flash.part.ignored["busy"] == 3


@pytest.mark.parametrize(("head", "nbytes"), [("20", 4096), ("52", 32768), ("d8", 65536)])
def test_erase_takes_the_block_that_holds_the_address(flash: Flash, head: str, nbytes: int) -> None:
    """An erase sets exactly its block, wherever in it the address points, and counts wear."""
    for address in (0x2_0000 - 1, 0x2_0000, 0x2_0000 + nbytes - 1, 0x2_0000 + nbytes):
        flash.write(f"02{address:06x}", b"\x00")
    flash.write(f"{head}{0x2_0000 + nbytes // 2:06x}", ns=200 * MS)
    assert flash("0301ffff", nread=2) == b"\x00\xff"
    assert flash(f"03{0x2_0000 + nbytes - 1:06x}", nread=2) == b"\xff\x00"
    assert sum(flash.part.store.wear.values()) == nbytes // 4096


def test_erase_with_a_wrong_length_is_ignored(flash: Flash) -> None:
    """An erase acts only when chip select rises right after the address."""
    flash.write("02000000", b"\x00")
    flash.write("2000", ns=200 * MS)
    flash.write("2000000000", ns=200 * MS)
    assert flash("03000000", nread=1) == b"\x00"
    assert flash.part.ignored["wrong length"] == 2


def test_memory_grows_with_use_only(flash: Flash) -> None:
    """A sector takes memory from its first programming until it is erased."""
    assert not flash.part.store.sectors
    flash.write("02000000", b"\x00")
    flash.write("02800000", b"\x00")
    assert sorted(flash.part.store.sectors) == [0, 0x800]
    flash.write("c7", ns=40_000 * MS)
    assert not flash.part.store.sectors


@pytest.mark.parametrize(
    ("status", "lower", "upper"),
    [
        (b"\x00\x00", 0, 0),
        (b"\x04\x00", SIZE - 0x4_0000, SIZE),  # BP 1: upper 1/64
        (b"\x18\x00", SIZE // 2, SIZE),  # BP 6: upper half
        (b"\x38\x00", 0, SIZE // 2),  # TB: lower half
        (b"\x1c\x00", 0, SIZE),  # BP 7: all
        (b"\x44\x00", SIZE - 0x1000, SIZE),  # SEC: top sector
        (b"\x68\x00", 0, 0x2000),  # SEC, TB, BP 2: lowest 8 KiB
        (b"\x70\x00", 0, 0x8000),  # SEC, TB, BP 4: lowest 32 KiB
        (b"\x04\x40", 0, SIZE - 0x4_0000),  # CMP: all but the upper 1/64
    ],
)
def test_protected_ranges(flash: Flash, status: bytes, lower: int, upper: int) -> None:
    """Section 7.2: a program lands outside the protected range and nowhere inside."""
    flash.write("01", status, ns=10 * MS)
    for address in {0, lower, upper - 1, upper % SIZE, (lower - 1) % SIZE, SIZE - 1}:
        if address < 0:
            continue
        flash.write(f"02{address:06x}", b"\x5a")
        landed = flash(f"03{address:06x}", nread=1) == b"\x5a"
        assert landed == (not lower <= address < upper), hex(address)


def test_protection_stops_erases_that_overlap(flash: Flash) -> None:
    """A chip erase with anything protected is ignored, and so is a block that overlaps."""
    flash.write("02000000", b"\x00")
    flash.write("01", b"\x64", ns=10 * MS)  # SEC, TB, BP 1: lowest sector
    flash.write("c7", ns=40_000 * MS)
    flash.write("d8000000", ns=200 * MS)
    assert flash("03000000", nread=1) == b"\x00"
    assert flash.part.ignored["protected"] == 2


def test_status_registers(flash: Flash) -> None:
    """01h writes one or two registers, 31h and 11h their own, 50h without keeping it."""
    assert (flash("35", nread=1), flash("15", nread=1)) == (b"\x02", b"\x60")
    flash.write("01", b"\x20\x42", ns=10 * MS)
    assert (flash.status, flash("35", nread=1)) == (0x20, b"\x42")
    flash.write("31", b"\x02", ns=10 * MS)
    flash.write("11", b"\x20", ns=10 * MS)
    assert (flash.status, flash("35", nread=1), flash("15", nread=1)) == (0x20, b"\x02", b"\x20")
    flash("50")
    flash("01", b"\x00")
    assert flash.status == 0x00
    flash("66")
    flash("99")
    flash.wait(MS)
    assert flash.status == 0x20


def test_status_register_lock_lasts_until_power_goes(flash: Flash) -> None:
    """With SRL set no status register can be written; a power cycle takes SRL back."""
    flash.write("31", b"\x03", ns=10 * MS)
    flash.write("01", b"\x1c", ns=10 * MS)
    assert (flash.status & 0x1C, flash("35", nread=1)) == (0, b"\x03")
    flash.part.power_up()
    flash.write("01", b"\x1c", ns=10 * MS)
    assert flash.status & 0x1C == 0x1C


def test_power_down_and_release(flash: Flash) -> None:
    """Asleep the part answers nothing but the release, which takes 3 us."""
    flash("b9")
    assert flash("9f", nread=3) == b"\xff\xff\xff"
    flash("ab")
    assert flash("9f", nread=1) == b"\xff"
    flash.wait(3_000)
    assert flash("9f", nread=3) == b"\xef\x40\x18"
    assert flash.part.ignored["asleep"] == 1


def test_reset_needs_both_instructions_in_a_row(flash: Flash) -> None:
    """99h acts only right after 66h; a reset takes 30 us and clears latches."""
    flash("06")
    flash("66")
    flash("05", nread=1)
    flash("99")
    assert flash.status == 0x02
    flash("66")
    flash("99")
    assert flash("9f", nread=1) == b"\xff"
    flash.wait(30_000)
    assert flash.status == 0x00


def test_content_survives_dump_and_load(flash: Flash) -> None:
    """What was programmed, its wear and the kept status come back; latches do not."""
    flash.write("20000000", ns=45 * MS)
    flash.write("02000000", b"kept")
    flash.write("01", b"\x20", ns=10 * MS)
    flash("06")
    image = flash.part.dump()
    again = Flash()
    again.part.load(image)
    assert again("03000000", nread=5) == b"kept\xff"
    assert again.status == 0x20
    assert again.part.store.wear == flash.part.store.wear
    assert again.part.dump() == image


@pytest.mark.parametrize("damage", [b"", b"abc", b"\x00\x02\x60NOR1", b"\x00\x02\x60XXXX" * 9])
def test_damaged_image_is_refused_and_changes_nothing(flash: Flash, damage: bytes) -> None:
    """An image that is cut, foreign or changed is a configuration error."""
    flash.write("02000000", b"kept")
    with pytest.raises(ConfigError, match="flash image"):
        flash.part.load(damage)
    image = bytearray(flash.part.dump())
    image[-1] ^= 1
    with pytest.raises(ConfigError, match="damaged"):
        flash.part.load(bytes(image))
    assert flash("03000000", nread=4) == b"kept"


def test_power_up_forgets_what_is_not_kept(flash: Flash) -> None:
    """After a power cycle content stays, and sleep, latches and busy do not."""
    flash.write("02000000", b"kept")
    flash("b9")
    flash.part.power_up()
    assert flash("03000000", nread=4) == b"kept"


def test_unmodelled_instructions_are_counted(flash: Flash) -> None:
    """A block lock is not modelled: it does nothing and shows in the report."""
    flash("36000000")
    snapshot = flash.part.snapshot()
    assert snapshot["touched"] == {"instruction 36h": 1}
    assert snapshot["ignored"] == {"unknown": 1}


@pytest.mark.parametrize("model", FAMILY)
def test_every_size_tells_its_own(model: type[W25Q]) -> None:
    """Identities, parameter table, wrap and chip erase are those of the size."""
    flash = Flash(model=model)
    bits, ids = FAMILY[model]
    size = 1 << bits
    assert flash("9f", nread=3) == b"\xef\x40" + bytes((ids & 0xFF,))
    assert flash("90000000", nread=2) == b"\xef" + bytes((ids >> 8,))
    table = flash("5a00008000", nread=64)
    assert int.from_bytes(table[4:8], "little") + 1 == size * 8
    erase = int.from_bytes(table[40:44], "little") >> 24 & 0x7F
    typical_s = ((erase & 0x1F) + 1) * (0.016, 0.256, 4, 64)[erase >> 5]
    assert typical_s == pytest.approx(size / (1 << 24) * 40, rel=0.25)
    flash.write(f"02{size - 1:06x}", b"\x12")
    assert flash(f"03{size - 1:06x}", nread=2) == b"\x12\xff"
    flash("06")
    flash("c7")
    start_ns = flash.t_ns
    flash.t_ns = start_ns + size * 40_000 * MS // SIZE - 10_000
    assert flash.status == 0x03
    flash.t_ns += 20_000
    assert flash.status == 0x00


def test_the_smallest_protects_no_less_than_a_block() -> None:
    """W25Q16JV section 7.2: BP 1 is the upper 64 KiB (1/32), and BP 6 is all."""
    flash = Flash(model=W25Q16)
    flash.part.status[0] = 0x04
    assert flash.part.protected() == ((1 << 21) - 65536, 1 << 21, True)
    flash.part.status[0] = 0x18
    assert flash.part.protected() == (0, 1 << 21, True)


def test_busy_times_can_be_taken_away() -> None:
    """With ``busy_scale`` 0 the part is ready at once, for programs on the wall clock."""
    flash = Flash(scale=0.0)
    flash("06")
    flash("c7")
    assert flash.status == 0x00


READ_LINES = [
    ("3b0012", "3400", 0, DUAL),
    ("bb", "00123400", DUAL, DUAL),
    ("6b0012", "3400", 0, QUAD),
    ("eb", "001234000000", QUAD, QUAD),
]


@pytest.mark.parametrize(("one", "rest", "address", "data"), READ_LINES)
def test_reads_on_several_lines(flash: Flash, one: str, rest: str, address: int, data: int) -> None:
    """Section 8.2: dual and quad reads give the data on their lines, in the time of these."""
    flash.write("02001234", b"several lines")
    segments = [
        (bytes.fromhex(one), 0, 0, 0, 0),
        (bytes.fromhex(rest), 0, 0, address, 0),
        (bytes(13), 0, 0, data, 0),
    ]
    status, duration_ns, rx = flash.bus.transfer_segments(flash.t_ns, 0, segments)
    assert (status, rx[2]) == (0, b"several lines")
    lanes = {0: 1, DUAL: 2, QUAD: 4}
    clocks = 8 * (len(one) // 2 + len(rest) / 2 / lanes[address] + 13 / lanes[data]) + 1
    assert duration_ns == pytest.approx(clocks * 100, abs=150)
    assert not flash.part.ignored


@pytest.mark.parametrize("head", ["3b00123400", "6b00123400", "eb00123400000000"])
def test_reads_on_too_few_lines_give_nothing(flash: Flash, head: str) -> None:
    """A dual or quad read on one line is refused and counted."""
    flash.write("02001234", b"\x12")
    assert flash(head, nread=1) == b"\xff"
    assert flash.part.ignored["wrong lines"] == 1


def test_quad_needs_its_bit(flash: Flash) -> None:
    """Without QE in status 2 quad instructions are ignored; with it a page can be programmed."""
    quad = [(b"\x32\x00\x00\x00", 0, 0, 0, 0), (b"\x5a\xa5", 0, 0, QUAD, 0)]
    flash.write("31", b"\x00", ns=10 * MS)
    for expected in (b"\xff\xff", b"\x5a\xa5"):
        flash("06")
        flash.bus.transfer_segments(flash.t_ns, 0, quad)
        flash.wait(MS)
        assert flash("03000000", nread=2) == expected
        flash.write("31", b"\x02", ns=10 * MS)
    assert flash.part.ignored["quad disabled"] == 1


def test_suspend_and_resume(flash: Flash) -> None:
    """Section 8.2.24: an erase stops in 20 us, others can be read and programmed."""
    flash.write("02010000", b"\x12")
    flash.write("20000000", ns=10 * MS)
    flash("75")
    assert flash.status & 1
    flash.wait(20_000)
    assert (flash.status & 1, flash("35", nread=1)[0] & 0x80) == (0, 0x80)
    assert flash("03010000", nread=1) == b"\x12"
    flash.write("02010001", b"\x34")
    assert flash("03010000", nread=2) == b"\x12\x34"
    flash.write("20010000", ns=0)  # no second erase meanwhile
    assert flash.part.ignored["suspended"] == 1
    flash("7a")
    assert flash("35", nread=1)[0] & 0x80 == 0
    flash.wait(34 * MS)
    assert flash.status & 1
    flash.wait(2 * MS)
    assert flash.status & 1 == 0


@pytest.mark.parametrize("head", ["c7", "01"])
def test_chip_erase_and_status_writes_are_not_suspended(flash: Flash, head: str) -> None:
    """75h stops neither."""
    flash("06")
    flash(head, b"\x00" if head == "01" else b"")
    flash("75")
    flash.wait(MS)
    assert (flash.status & 1, flash("35", nread=1)[0] & 0x80) == (1, 0)


def test_security_registers(flash: Flash) -> None:
    """Sections 8.2.29 to 31: three pages of their own, which wrap, erase, and lock for good."""
    flash.write("42001000", bytes(range(256)) + b"\x00")
    assert flash("480010fe00", nread=3) == b"\xfe\xff\x00"
    assert flash("4800200000", nread=1) == b"\xff"
    assert flash("03001000", nread=1) == b"\xff"
    image = flash.part.dump()
    flash.write("44001000", ns=45 * MS)
    assert flash("4800107700", nread=1) == b"\xff"
    again = Flash()
    again.part.load(image)
    assert again("4800107700", nread=1) == b"\x77"
    again.write("31", b"\x0a", ns=10 * MS)  # LB1
    again.write("44001000", ns=45 * MS)
    assert again("4800107700", nread=1) == b"\x77"
    assert again.part.ignored["protected"] == 1
