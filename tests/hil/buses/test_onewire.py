"""1-Wire: slot times, presence, ROM commands, search, faults, and the DS18B20 behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec import bus_payload
from flightsw.codec.bus_payload import crc8
from flightsw.codec.wire import Kind, Record, Status, pack, unpack_all
from flightsw.errors import BusError
from flightsw.hal.bench import DirectHal
from hil.buses.faults import BusFault
from hil.buses.intercept import BLOCKED
from hil.buses.onewire import READ, RESET, TRIPLET, WRITE, OneWireBus, Step
from hil.errors import ConfigError, ParticipantError
from hil.parts.ds18b20 import Ds18b20
from hil.testing.small_rig import SmallRig
from hil.time.transports.direct import DirectPort

US = 1_000
SKIP: list[Step] = [(RESET, b""), (WRITE, b"\xcc")]


def make(*serials: int, speed: str = "standard") -> tuple[OneWireBus, list[Ds18b20]]:
    bus = OneWireBus("w1", speed)
    parts = [Ds18b20(f"t{serial}", serial=serial) for serial in serials]
    for part in parts:
        bus.attach(part)
    return bus, parts


def function(bus: OneWireBus, t_ns: int, octets: bytes, nread: int = 0) -> tuple[int, int, bytes]:
    steps = [*SKIP, (WRITE, octets)] + ([(READ, nread)] if nread else [])
    status, duration_ns, seen = bus.transfer(t_ns, steps)  # type: ignore[arg-type]
    return status, duration_ns, seen[-1] if nread else b""


def test_the_crc_is_that_of_the_application_note() -> None:
    """ROM 02 1C B8 01 00 00 00 has CRC A2h (note 27); the check value of CRC-8/MAXIM is A1h."""
    assert crc8(bytes.fromhex("021cb801000000")) == 0xA2
    assert crc8(b"123456789") == 0xA1
    _, (part,) = make(0x123456)
    assert crc8(part.rom) == 0


@pytest.mark.parametrize(
    ("speed", "reset", "one", "zero", "read"),
    [("standard", 960, 70, 70, 70), ("overdrive", 121, 8.5, 10, 9)],
)
def test_slots_take_their_time(
    speed: str, reset: float, one: float, zero: float, read: float
) -> None:
    """Reset, ones, zeros and reads take what application note 126 says, to the nanosecond."""
    bus, _ = make(1, speed=speed)
    assert bus.transfer(0, [(RESET, b"")])[1] == reset * US
    assert bus.transfer(0, [(WRITE, b"\xff")])[1] == 8 * one * US
    assert bus.transfer(0, [(WRITE, b"\x00")])[1] == 8 * zero * US
    assert bus.transfer(0, [(READ, 2)])[1] == 16 * read * US
    assert bus.transfer(0, [*SKIP, (WRITE, b"\xbe"), (READ, 9)])[1] == round(
        US * (reset + 4 * one + 4 * zero + 6 * one + 2 * zero + 72 * read)
    )


def test_an_empty_line_has_no_presence() -> None:
    """ABSENT after one reset; the rest of the transaction does not happen."""
    bus, _ = make()
    assert bus.transfer(0, [*SKIP, (READ, 9)]) == (Status.ABSENT, 960 * US, [b"\0"])
    assert bus.search(0)[2] == []
    assert bus.counters["unanswered"] == 2


def test_read_rom_tells_the_code_of_the_only_part() -> None:
    """33h, then family, serial number and CRC."""
    bus, (part,) = make(0xABCDEF)
    status, _, seen = bus.transfer(0, [(RESET, b""), (WRITE, b"\x33"), (READ, 8)])
    assert (status, seen[1]) == (Status.OK, part.rom)
    assert part.rom[:4] == b"\x28\xef\xcd\xab"


@settings(max_examples=40, deadline=None)
@given(serials=st.sets(st.integers(0, (1 << 48) - 1), max_size=8))
def test_the_search_finds_every_part_once(serials: set[int]) -> None:
    """However many parts are there, each code comes once, in the order of its bits from the low."""
    bus, parts = make(*serials)
    status, _, found = bus.search(0)
    assert status == (Status.OK if parts else Status.ABSENT)
    roms = sorted(
        (part.rom for part in parts),
        key=lambda rom: f"{int.from_bytes(rom, 'little'):064b}"[::-1],
    )
    assert found == roms


@pytest.mark.parametrize("kind", ["absent", "stuck", "truncate", "bit_flip", "delay", "duplicate"])
def test_a_search_never_tells_of_a_part_that_is_not_there(kind: str) -> None:
    """Whichever transaction fails, codes are true ones, and if one is missing something says so."""
    for n in range(140):
        bus, parts = make(5, 9)
        bus.add_fault(BusFault("w1", kind, first=n, last=n))
        status, _, found = bus.search(0)
        assert set(found) <= {part.rom for part in parts}
        assert len(found) == 2 or status or bus.counters["bad_codes"], f"{kind} {n}: {found}"
    assert len(found) == 2


def test_a_blocked_triplet_ends_a_search() -> None:
    """An interceptor that lets nothing through ends a search with its status."""
    bus, _ = make(5)
    bus.intercept(lambda crossing, forward: BLOCKED if crossing.content[0][0] == TRIPLET else None)
    assert bus.search(0)[::2] == (BLOCKED[0], [])


def test_a_search_of_one_part_takes_64_triplets() -> None:
    """One reset, one command, 64 times two reads and a write."""
    bus, _ = make(5)
    assert bus.search(0)[1] == (960 + 8 * 70 + 64 * 3 * 70) * US


def test_match_rom_speaks_to_one_of_many() -> None:
    """Only the part whose code was matched converts; the others keep 85 degrees."""
    bus, (one, two) = make(1, 2)
    one.set("temperature_c", 10.0)
    two.set("temperature_c", 20.0)
    bus.transfer(0, [(RESET, b""), (WRITE, b"\x55" + two.rom), (WRITE, b"\x44")])
    for part, raw in ((one, 0x0550), (two, 0x0140)):
        steps: list[Step] = [(RESET, b""), (WRITE, b"\x55" + part.rom + b"\xbe"), (READ, 9)]
        seen = bus.transfer(10**9, steps)[2][1]
        assert int.from_bytes(seen[:2], "little") == raw
        assert crc8(seen) == 0


def test_two_parts_that_talk_at_once_are_read_as_the_and_of_both() -> None:
    """Reading the ROM of two parts gives a code whose CRC does not fit."""
    bus, (one, two) = make(0x0F0F0F, 0x333333)
    seen = bus.transfer(0, [(RESET, b""), (WRITE, b"\x33"), (READ, 8)])[2][1]
    assert seen == bytes(a & b for a, b in zip(one.rom, two.rom, strict=True))
    assert crc8(seen) != 0


def test_a_triplet_tells_bit_complement_and_way() -> None:
    """Where parts differ both read 0 and the way asked for is taken; a way of nobody reads 11."""
    bus, _ = make(0, 1)
    bus.transfer(0, [(RESET, b""), (WRITE, b"\xf0")])
    for place in range(8):
        bit = 0x28 >> place & 1
        seen = bus.transfer(0, [(TRIPLET, 1 - bit)])[2][0][0]
        assert seen == bit | (1 - bit) << 1 | bit << 2
    assert bus.transfer(0, [(TRIPLET, 1)])[2] == [bytes((4,))]
    assert bus.transfer(0, [(TRIPLET, 1)])[2] == [bytes((2,))], "only the odd one is left"


# The part


@pytest.mark.parametrize(
    ("celsius", "raw"),
    [
        *((125.0, 0x07D0), (85.0, 0x0550), (25.0625, 0x0191), (10.125, 0x00A2), (0.5, 0x0008)),
        *((0.0, 0x0000), (-0.5, 0xFFF8), (-10.125, 0xFF5E), (-25.0625, 0xFE6F), (-55.0, 0xFC90)),
    ],
)
def test_temperatures_read_as_in_the_table(celsius: float, raw: int) -> None:
    """Table 1 of the data sheet: temperature and digital output."""
    bus, (part,) = make(1)
    part.set("temperature_c", celsius)
    function(bus, 0, b"\x44")
    assert int.from_bytes(function(bus, 10**9, b"\xbe", 2)[2], "little") == raw


@pytest.mark.parametrize(
    ("bits", "conversion_ns"),
    [(9, 93_750_000), (10, 187_500_000), (11, 375_000_000), (12, 750_000_000)],
)
def test_a_conversion_takes_its_time_and_shows_it(bits: int, conversion_ns: int) -> None:
    """Read slots are 0 until it is over; the result has the resolution that was set."""
    bus, (part,) = make(1)
    part.set("temperature_c", 20.9375)
    function(bus, 0, b"\x4e\x4b\x46" + bytes(((bits - 9) << 5 | 0x1F,)))
    _, duration_ns, _ = function(bus, 10**9, b"\x44")
    start_ns = 10**9 + duration_ns - 70 * US  # it starts with the last bit of the command
    assert bus.transfer(start_ns + conversion_ns - 8 * 70 * US, [(READ, 1)])[2] == [b"\0"]
    assert bus.transfer(start_ns + conversion_ns, [(READ, 1)])[2] == [b"\xff"]
    raw = int.from_bytes(function(bus, 3 * 10**9, b"\xbe", 2)[2], "little")
    assert raw == 0x14F >> (12 - bits) << (12 - bits)


def test_the_scratchpad_at_power_on() -> None:
    """85 degrees, TH and TL and configuration of the EEPROM, FF 0C 10, CRC (figure 9)."""
    bus, _ = make(1)
    seen = function(bus, 0, b"\xbe", 9)[2]
    assert seen[:8] == bytes.fromhex("50054b467fff0c10")
    assert crc8(seen) == 0


def test_copy_and_recall_keep_what_was_written() -> None:
    """Written registers are lost on recall unless they were copied, which takes 10 ms."""
    bus, (part,) = make(1)
    function(bus, 0, b"\x4e\x01\x02\x3f")
    assert function(bus, 10**7, b"\xbe", 5)[2][2:] == b"\x01\x02\x3f"
    function(bus, 2 * 10**7, b"\xb8")
    assert function(bus, 3 * 10**7, b"\xbe", 5)[2][2:] == b"\x4b\x46\x7f"
    function(bus, 4 * 10**7, b"\x4e\x01\x02\xff")
    _, duration_ns, _ = function(bus, 5 * 10**7, b"\x48")
    now_ns = 5 * 10**7 + duration_ns
    assert bus.transfer(now_ns, [(READ, 1)])[2] == [b"\0"]
    assert bus.transfer(now_ns + 10**7, [(READ, 1)])[2] == [b"\xff"]
    assert part.eeprom == b"\x01\x02\x7f", "bits 7 and 4 to 0 of the configuration are fixed"


def test_the_alarm_search_finds_who_is_too_hot_or_too_cold() -> None:
    """At or above TH, at or below TL, as of the last conversion; the others stay silent."""
    bus, parts = make(1, 2, 3)
    for part, celsius in zip(parts, (20.0, 30.0, 9.9), strict=True):
        part.set("temperature_c", celsius)
    function(bus, 0, b"\x4e\x1e\x09\x7f")  # 30 and 9 degrees
    assert bus.search(0, 0xEC)[2] == []
    function(bus, 10**8, b"\x44")
    found = bus.search(2 * 10**9, 0xEC)[2]
    assert sorted(found) == sorted((parts[1].rom, parts[2].rom))


def test_it_is_supplied_from_outside() -> None:
    """Read Power Supply reads ones."""
    assert function(make(1)[0], 0, b"\xb4", 1)[2] == b"\xff"


def test_what_the_data_sheet_does_not_have_is_counted() -> None:
    """Unknown ROM and function commands are touches of the part."""
    bus, (part,) = make(1)
    function(bus, 0, b"\x99")
    bus.transfer(0, [(RESET, b""), (WRITE, b"\x0f")])
    assert set(part.touched) == {"function command 99h", "ROM command 0Fh"}


# Faults and interceptors


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (BusFault("w1", "absent"), (Status.ABSENT, 960 * US, [b"\0"])),
        (BusFault("w1", "stuck"), (Status.STUCK, 960 * US, [])),
        (
            BusFault("w1", "bit_flip", args={"octet": 1, "bit": 7}),
            (Status.OK, 3_200 * US, [b"\1", b"\x50\x85"]),
        ),
        (
            BusFault("w1", "truncate", args={"after": 1}),
            (Status.OK, 3_200 * US, [b"\1", b"\x50\xff"]),
        ),
        (
            BusFault("w1", "delay", args={"ns": 5_000}),
            (Status.OK, 3_205 * US, [b"\1", b"\x50\x05"]),
        ),
        (BusFault("w1", "duplicate"), (Status.OK, 2 * 3_200 * US, [b"\1", b"\x50\x05"])),
    ],
    ids=lambda value: value.kind if isinstance(value, BusFault) else "",
)
def test_each_fault_does_what_it_says(
    fault: BusFault, outcome: tuple[int, int, list[bytes]]
) -> None:
    """It has its effect, marks the transaction, is counted, and is over when removed."""
    bus, _ = make(1)
    bus.faults.add(fault)
    steps: list[Step] = [*SKIP, (WRITE, b"\xbe"), (READ, 2)]
    assert bus.transfer(0, steps) == outcome
    assert bus.faulted
    assert bus.faults.hits[fault.kind] == bus.counters["faulted"] == 1
    bus.remove_fault(fault)
    assert bus.transfer(0, steps)[2] == [b"\1", b"\x50\x05"]
    assert not bus.faulted


@pytest.mark.parametrize(
    ("interceptor", "seen", "faulted"),
    [
        (lambda crossing, forward: None, [b"\1"], False),
        (lambda crossing, forward: BLOCKED, [], True),
        (lambda crossing, forward: (0, 7, [b"\1", b"\x28"]), [b"\1", b"\x28"], True),
        (
            lambda crossing, forward: forward(
                crossing._replace(content=[*crossing.content, (READ, 1)])
            ),
            [b"\1", b"\xff"],
            True,
        ),
    ],
)
def test_an_interceptor_passes_blocks_mimics_and_modifies(
    interceptor: Callable[..., object], seen: list[bytes], faulted: bool
) -> None:
    """What the controller sees is what the interceptor lets through."""
    bus, _ = make(1)
    bus.intercept(interceptor)  # type: ignore[arg-type]
    assert bus.transfer(0, [(RESET, b"")])[2] == seen
    assert (bus.faulted, bus.counters["intercepted"]) == (faulted, faulted)


def test_a_speed_that_there_is_not_is_refused() -> None:
    """Standard or overdrive."""
    with pytest.raises(ConfigError, match="standard or overdrive"):
        OneWireBus("w1", "fast")


# Over the wire record


def test_a_flight_program_reaches_the_line_through_records() -> None:
    """Reset, convert, wait and read as requests of kind ONEWIRE; what came back is recorded."""
    rig = SmallRig(3 * 10**9)
    bus, (part,) = make(1)
    part.set("temperature_c", 40.5)
    rig.exchange.connect(9, bus)
    fsw = rig.exchange.join("fsw")

    def ask(t_ns: int, steps: list[Step]) -> Record:
        request = pack(Kind.ONEWIRE, 9, t_ns=t_ns, payload=bus_payload.pack_onewire(steps))
        return list(unpack_all(rig.exchange.handle(fsw, request)))[-1]

    ask(0, [*SKIP, (WRITE, b"\x44")])
    answer = ask(10**9, [*SKIP, (WRITE, b"\xbe"), (READ, 9)])
    assert (answer.status, answer.duration_ns) == (Status.OK, 7_120 * US)
    seen = bus_payload.unpack_onewire(answer.payload, reply=True)
    assert seen[0] == (RESET, b"\x01")
    assert seen[3][1][:2] == b"\x88\x02"  # type: ignore[index]
    recorded = [record for record in rig.records() if record.kind == Kind.ONEWIRE]
    assert [record.seq for record in recorded][-1] == answer.seq
    with pytest.raises(ParticipantError, match="cannot be read"):
        rig.exchange.handle(fsw, pack(Kind.ONEWIRE, 9, t_ns=2 * 10**9, payload=b"\x09\0\0\0"))


def test_flight_code_finds_and_reads_parts_through_the_hal() -> None:
    """Search, a command to one and to all, an alarm search, and an error where nobody answers."""
    rig = SmallRig(10**11)
    bus, parts = make(0x11, 0x22, 0x1122)
    rig.exchange.connect(9, bus, {int(Status.ABSENT): 6})
    rig.exchange.connect(10, OneWireBus("empty"), {int(Status.ABSENT): 6})
    hal = DirectHal(DirectPort(rig.exchange, rig.exchange.join("fsw")))
    line = hal.onewire("w1")
    assert line.search() == bus.search(0)[2]
    for n, part in enumerate(parts):
        part.set("temperature_c", 10.0 * n)
    line.command(None, b"\x44")
    hal.clock.sleep_until(hal.clock.now_ns() + 10**9)
    raws = [line.command(part.rom, b"\xbe", 9) for part in parts]
    assert [int.from_bytes(raw[:2], "little") for raw in raws] == [0, 160, 320]
    assert set(line.search(0xEC)) == {part.rom for part in parts}, "TL is 70 degrees at power-up"
    assert hal.onewire("empty").search() == []
    with pytest.raises(BusError, match="ABSENT"):
        hal.onewire("empty").command(None, b"\x44")
