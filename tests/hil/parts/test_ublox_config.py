"""GNSS receiver: items in their layers, the older configuration messages, resets."""

from __future__ import annotations

import struct

import pytest
from ublox_bench import SECOND_NS, Bench, key, valset

from hil.parts.base import stream
from hil.parts.ublox import nmea, ubx
from hil.parts.ublox.items import ITEMS, KEYS

#: what a receiver needs to answer at all
TALKING = dict.fromkeys(("UART1OUTPROT-UBX", "UART1INPROT-UBX", "UART1-ENABLED"), 1)
ACK, NAK = [ubx.ACK_ACK], [ubx.ACK_NAK]


def valget(bench: Bench, layer: int, *keys: int, position: int = 0) -> dict[int, int] | None:
    """Read items of a layer by UBX-CFG-VALGET; None where it is refused."""
    payload = struct.pack("<BBH", 0, layer, position)
    answers = bench.command(
        ubx.CFG_VALGET, payload + b"".join(k.to_bytes(4, "little") for k in keys)
    )
    if answers[0][0] == ubx.ACK_NAK:
        return None
    assert [message for message, _ in answers] == [ubx.CFG_VALGET, ubx.ACK_ACK]
    octets, at, found = answers[0][1], 4, {}
    assert octets[:4] == b"\x01" + payload[1:]
    while at < len(octets):
        number = int.from_bytes(octets[at : at + 4], "little")
        size = ITEMS[number].nbytes
        found[number] = int.from_bytes(octets[at + 4 : at + 4 + size], "little")
        at += 4 + size
    return found


def test_every_item_can_be_read_set_and_read_back() -> None:
    """Each item takes each end of its range in RAM, and VALGET returns what VALSET gave."""
    for number, item in ITEMS.items():
        allowed = item.allowed if isinstance(item.allowed, range) else sorted(item.allowed)
        for value in (allowed[0], allowed[-1]):
            bench = Bench()
            if item.name.startswith(("CFG-SIGNAL", "CFG-TP-DUTY", "CFG-UART1", "CFG-RATE")):
                value = item.default
            name = item.name.removeprefix("CFG-").replace("-", "__", 1)
            bench.command(ubx.CFG_VALSET, valset(1, {name: value}))
            bench.receiver.store.set_all(TALKING)
            if number not in {KEYS[name] for name in TALKING}:
                assert valget(bench, 0, number) == {number: value}, item.name


def test_layers_are_apart_until_a_start_puts_them_together() -> None:
    """Flash and BBR hold what was set there; a start takes BBR, else flash, else default."""
    bench = Bench(factory=True)
    nav = key("RATE__NAV")
    assert valget(bench, 7, nav) == {nav: 1}
    assert valget(bench, 1, nav) is None
    assert bench.set(4, RATE__NAV=3)
    assert bench.set(2, RATE__NAV=5)
    assert [valget(bench, layer, nav) for layer in (0, 1, 2)] == [{nav: 1}, {nav: 5}, {nav: 3}]
    bench.command(ubx.CFG_RST, b"\0\0\0\0")
    bench.run(1.0)
    assert valget(bench, 0, nav) == {nav: 5}
    payload = b"\0\x02\0\0" + nav.to_bytes(4, "little")
    assert bench.ask(ubx.CFG_VALDEL, payload) == ACK
    bench.command(ubx.CFG_RST, b"\0\0\0\0")
    bench.run(1.0)
    assert valget(bench, 0, nav) == {nav: 3}


@pytest.mark.parametrize("seed", range(4))
def test_any_messages_leave_it_answering(seed: int) -> None:
    """Whatever is configured, however malformed, a message is answered once and time goes on."""
    random = stream(seed, "fuzz")
    keys = [number for number in ITEMS if number >> 16 & 0xFF != 0x05]  # a pulse of 100 kHz is slow
    for _ in range(8):
        bench = Bench(ttff_s=0.0)
        for _ in range(40):
            item = ITEMS[keys[int(random.integers(len(keys)))]]
            value = bytes(random.integers(0, 3, item.nbytes, dtype="u1"))
            head = bytes(random.integers(0, 4, 4, dtype="u1"))
            bench.command(ubx.CFG_VALSET, head + item.key.to_bytes(4, "little") + value)
            number, size = int(random.integers(0x40)), int(random.integers(40))
            if number not in (ubx.CFG_RST[1], ubx.CFG_TP5[1]):
                bench.receiver.store.set_all(TALKING)
                bench.run(0.5)
                octets = bytes(random.integers(0, 3, size, dtype="u1"))
                answers = bench.ask((0x06, number), octets)
                assert sum(answer in (ubx.ACK_ACK, ubx.ACK_NAK) for answer in answers) <= 1
        bench.receiver.store.start()
        bench.receiver.store.set_all(TALKING)
        bench.run(3.0)
        assert bench.ask(ubx.MON_VER) == [ubx.MON_VER]


def test_a_group_is_read_64_items_at_a_time() -> None:
    """A key that ends in FFFFh stands for its group, from ``position`` on, 64 items a message."""
    bench = Bench()
    whole: dict[int, int] = {}
    for position in (0, 64, 128, 192):
        part = valget(bench, 7, 0x0FFF_FFFF, position=position)
        assert part is not None
        assert len(part) == min(64, max(len(ITEMS) - position, 0))
        whole |= part
    assert whole == {number: item.default for number, item in ITEMS.items()}
    rates = valget(bench, 0, 0x0021_FFFF)
    assert rates is not None
    assert set(rates) == {k for k in ITEMS if k >> 16 & 0xFFF == 0x21}


@pytest.mark.parametrize(
    "payload",
    [
        valset(1, {"RATE__NAV": 2}) + (0x2091_FFFE).to_bytes(4, "little") + b"\1",
        valset(1, {"RATE__NAV": 2, "NAVSPG__DYNMODEL": 1}),
        valset(1, {"RATE__NAV": 2, "RATE__MEAS": 39}),
        valset(0, {"RATE__NAV": 2}),
        valset(8, {"RATE__NAV": 2}),
        valset(1, {"RATE__NAV": 2}) * 2,
        b"\x02" + valset(1, {"RATE__NAV": 2})[1:],
        valset(1, {"RATE__NAV": 2})[:4] + valset(1, {"RATE__NAV": 2})[4:] * 65,
        valset(
            1,
            {f"SIGNAL__{name}_ENA": 0 for name in ("GPS", "GLO", "GAL", "BDS")} | {"RATE__NAV": 2},
        ),
    ],
    ids=["key", "value", "range", "no-layer", "layer", "cut", "version", "65", "no-system"],
)
def test_a_refused_message_changes_nothing(payload: bytes) -> None:
    """One unknown key, forbidden value or malformed part, and no item of the message is set."""
    bench = Bench()
    before = dict(bench.receiver.store.layers[0])
    assert bench.ask(ubx.CFG_VALSET, payload) == NAK
    assert bench.receiver.store.layers[0] == before


def test_a_transaction_takes_effect_at_its_end() -> None:
    """Items of a transaction are kept until it is applied; one that is refused loses all of it."""
    bench = Bench()

    def step(transaction: int, **items: int) -> list[tuple[int, int]]:
        payload = bytearray(valset(1, items))
        payload[0], payload[2] = 1, transaction
        return bench.ask(ubx.CFG_VALSET, bytes(payload))

    store = bench.receiver.store
    assert step(2, RATE__NAV=9) == NAK  # none was begun
    assert step(1, RATE__NAV=2) == ACK
    assert step(2, RATE__MEAS=500) == ACK
    assert (store["RATE-NAV"], store["RATE-MEAS"]) == (1, 1000)
    assert step(3) == ACK
    assert (store["RATE-NAV"], store["RATE-MEAS"]) == (2, 500)
    assert step(1, RATE__NAV=7) == ACK
    assert step(2, NAVSPG__DYNMODEL=99) == NAK
    assert step(3) == NAK
    assert store["RATE-NAV"] == 2


def test_cfg_cfg_clears_saves_and_loads_by_section() -> None:
    """What was saved comes back after a reset, message rates that were not saved do not."""
    bench = Bench(factory=True)
    assert bench.set(RATE__NAV=4, MSGOUT__UBX_NAV_PVT_UART1=1)
    masks = struct.pack("<III", 0, 1 << 3, 0)
    assert bench.ask(ubx.CFG_CFG, masks) == ACK
    bench.command(ubx.CFG_RST, b"\0\0\x01\0")
    bench.run(1.0)
    store = bench.receiver.store
    assert (store["RATE-NAV"], store["MSGOUT-UBX_NAV_PVT_UART1"]) == (4, 0)
    assert bench.ask(ubx.CFG_CFG, struct.pack("<IIIB", 0xFFFF, 0, 0xFFFF, 3)) == ACK
    assert store["RATE-NAV"] == 1
    assert bench.ask(ubx.CFG_CFG, bytes(11)) == NAK


def poll(bench: Bench, message: tuple[int, int], payload: bytes = b"") -> bytes:
    """Return the payload of a polled configuration message, which is acknowledged too."""
    (found, octets), (acknowledged, named) = bench.command(message, payload)
    assert (found, acknowledged, named) == (message, ubx.ACK_ACK, bytes(message))
    return octets


@pytest.mark.parametrize(
    ("message", "asked", "nbytes"),
    [
        (ubx.CFG_PRT, b"", 20),
        (ubx.CFG_PRT, b"\0", 20),
        (ubx.CFG_PRT, b"\1", 20),
        (ubx.CFG_RATE, b"", 6),
        (ubx.CFG_NAV5, b"", 36),
        (ubx.CFG_TP5, b"\0", 32),
        (ubx.CFG_GNSS, b"", 52),
        (ubx.CFG_INF, b"\1", 10),
    ],
)
def test_an_older_message_can_be_written_back(
    message: tuple[int, int], asked: bytes, nbytes: int
) -> None:
    """What a poll returns is accepted as a setting and changes nothing."""
    bench = Bench()
    octets = poll(bench, message, asked)
    assert len(octets) == nbytes
    before = dict(bench.receiver.store.layers[0])
    assert bench.ask(message, octets) == ACK
    assert bench.receiver.store.layers[0] == before
    assert poll(bench, message, asked) == octets


def test_nav5_sets_only_what_its_mask_names() -> None:
    """With mask bit 0 the platform model changes and nothing else of the message."""
    bench = Bench()
    octets = bytearray(poll(bench, ubx.CFG_NAV5))
    octets[0:3] = b"\x01\x00\x08"
    octets[3] = 1
    assert bench.ask(ubx.CFG_NAV5, bytes(octets)) == ACK
    store = bench.receiver.store
    assert (store["NAVSPG-DYNMODEL"], store["NAVSPG-FIXMODE"]) == (8, 3)
    octets[2] = 1
    assert bench.ask(ubx.CFG_NAV5, bytes(octets)) == NAK


def test_cfg_prt_sets_protocols_and_refuses_what_is_not_modelled() -> None:
    """Without NMEA on output only UBX is sent; parity and other ports are refused."""
    bench = Bench(ttff_s=0.0)
    octets = bytearray(poll(bench, ubx.CFG_PRT))
    assert struct.unpack_from("<II", octets, 4) == (0x08D0, 38_400)
    octets[14] = 1
    assert bench.ask(ubx.CFG_PRT, bytes(octets)) == ACK
    bench.sent.clear()
    bench.run(1.5)
    assert {message for message, _ in bench.frames()} == {ubx.NAV_PVT}
    with_parity = bytes(octets[:4]) + struct.pack("<I", 0x00C0) + bytes(octets[8:])
    assert bench.ask(ubx.CFG_PRT, with_parity) == NAK
    assert bench.ask(ubx.CFG_PRT, b"\x03" + bytes(octets[1:])) == NAK
    assert bench.receiver.touched["port 3"] == 1


def test_input_protocols_that_are_off_are_not_heard() -> None:
    """With UBX off on input a poll is passed over and counted, while PUBX still is obeyed."""
    bench = Bench()
    assert bench.set(UART1INPROT__UBX=0)
    assert bench.ask(ubx.MON_VER) == []
    assert bench.receiver.touched["UBX not taken in"] == 1
    bench.give(nmea.sentence("PUBX,41,1,0003,0003,38400,0"))
    assert bench.ask(ubx.MON_VER) == [ubx.MON_VER]


def test_systems_can_be_switched_off_but_not_all() -> None:
    """UBX-CFG-GNSS leaves a constellation out of the sky; without any it is refused."""
    bench = Bench(ttff_s=0.0)
    octets = bytearray(poll(bench, ubx.CFG_GNSS))
    for at in range(4, len(octets), 8):
        octets[at + 4] = octets[at] == 0
    assert bench.ask(ubx.CFG_GNSS, bytes(octets)) == ACK
    bench.run(3.5)
    ((_, sky),) = bench.command((0x01, 0x35))
    assert {sky[at] for at in range(8, len(sky), 12)} == {0}
    octets[8] = 0
    assert octets[4] == 0
    assert bench.ask(ubx.CFG_GNSS, bytes(octets)) == NAK


@pytest.mark.parametrize(
    ("forget", "wait_s"), [(0x0000, 2), (0x0001, 25), (0xFFFF, 29)], ids=["hot", "warm", "cold"]
)
def test_a_reset_takes_the_time_of_its_start(forget: int, wait_s: int) -> None:
    """After UBX-CFG-RST with a navigation reset the next fix takes the hot, warm or cold time."""
    bench = Bench(ttff_s=29.0)
    bench.run(30.5)
    assert bench.solutions()[-1][1]["fix_type"] == 3
    assert bench.ask(ubx.CFG_RST, struct.pack("<HBB", forget, 2, 0)) == []
    bench.sent.clear()
    bench.run(wait_s + 2)
    first = next(t_ns for t_ns, fields in bench.solutions() if fields["fix_type"] == 3)
    assert 30.5 + wait_s <= first / SECOND_NS <= 30.5 + wait_s + 1.1
    fields = bench.solutions()[0][1]
    assert fields["valid"] == (0 if forget == 0xFFFF else 0x07)


def test_a_whole_reset_is_silent_loads_the_flash_and_greets() -> None:
    """A hardware reset loses what was set in RAM only; then it says what it is."""
    bench = Bench(ttff_s=0.0)
    bench.run(1.5)
    assert bench.set(RATE__MEAS=100)
    bench.sent.clear()
    bench.command(ubx.CFG_RST, b"\0\0\x04\0")
    assert bench.ask(ubx.MON_VER) == []
    bench.run(1.0)
    assert bench.receiver.store["RATE-MEAS"] == 1000
    assert bench.sentences()[0] == "GNTXT,01,01,02,u-blox AG - www.u-blox.com"
    assert bench.sent[0][0] == 2 * SECOND_NS


def test_stopped_navigation_is_started_again() -> None:
    """After resetMode 8 no solutions come, after 9 they do."""
    bench = Bench(ttff_s=0.0)
    bench.run(1.5)
    bench.command(ubx.CFG_RST, b"\0\0\x08\0")
    bench.sent.clear()
    bench.run(3.0)
    assert bench.solutions() == []
    bench.command(ubx.CFG_RST, b"\0\0\x09\0")
    bench.run(4.0)
    assert bench.solutions()[-1][1]["fix_type"] == 3
