"""TCA9548A and what hangs on its channels: its data sheet (SCPS207G), and board files."""

from __future__ import annotations

from pathlib import Path

import pytest

from flightsw.codec.wire import Status
from hil.board import Board, load_board
from hil.buses.i2c import READ, I2CBus
from hil.digest import RecordStream
from hil.errors import ConfigError
from hil.exchange import Exchange
from hil.parts.mb85rc import Mb85rc256
from hil.parts.tca9548a import Tca9546a, Tca9548a
from hil.parts.tmp117 import Tmp117
from hil.testing.contracts.part import check_part
from hil.time.kernel import Kernel
from hil.wiring import Wiring, attach_i2c

NAK, OK = int(Status.NAK_ADDRESS), int(Status.OK)


def bus_with(switch: Tca9548a) -> I2CBus:
    bus = I2CBus("i2c-1", 400_000, "ideal")
    attach_i2c(bus, 0x70, switch)
    return bus


@pytest.mark.parametrize("kind", [Tca9548a, Tca9546a])
def test_contract(kind: type[Tca9548a]) -> None:
    """The switch passes the public contract suite."""
    check_part(lambda: kind("switch", 3))


def test_control_register() -> None:
    """Section 8.6.2: all off after power-up, the last octet written counts, reads repeat it."""
    bus = bus_with(Tca9548a("switch"))
    assert bus.transfer(0, 0x70, b"", 2) == (OK, bus.duration_ns(29), b"\0\0")
    bus.transfer(0, 0x70, b"\x01\x22\x84", 0)
    assert bus.transfer(0, 0x70, b"", 1)[2] == b"\x84"
    small = bus_with(Tca9546a("switch"))
    small.transfer(0, 0x70, b"\xff", 0)
    assert small.transfer(0, 0x70, b"", 1)[2] == b"\x0f"


def test_only_channels_that_are_on_are_reached() -> None:
    """An address on two channels answers for the channel that is on, and not at all with none."""
    switch = Tca9548a("switch")
    parts = [Tmp117(f"temp{n}") for n in range(2)]
    switch.segment(0).attach(0x48, parts[0])
    bus = bus_with(switch)
    switch.segment(3).attach(0x48, parts[1])
    assert bus.transfer(0, 0x48, b"\x0f", 2)[0] == NAK
    for channel, part in ((0, parts[0]), (3, parts[1])):
        bus.transfer(0, 0x70, bytes((1 << channel,)), 0)
        assert bus.transfer(0, 0x48, b"\x0f", 2)[2] == b"\x01\x17"
        bus.transfer(0, 0x48, bytes((5, channel, 1)), 0)
        assert part.file.values[5] == channel << 8 | 1
    assert parts[0].file.values[5] == 1


def test_switching_takes_effect_at_stop() -> None:
    """In one transaction with a repeated start the old channels still hold."""
    switch = Tca9548a("switch")
    switch.segment(0).attach(0x48, Tmp117("temp"))
    bus = bus_with(switch)
    messages: list[tuple[int, int, bytes | int]] = [(0x70, 0, b"\x01"), (0x48, READ, 2)]
    assert bus.transfer_messages(0, messages)[0] == NAK
    assert bus.transfer_messages(0, messages)[0] == OK


def test_two_parts_at_once_pull_the_line_low() -> None:
    """With two channels on, writes reach both and reads are the AND of what both drive."""
    switch = Tca9548a("switch")
    parts = [Tmp117(f"temp{n}") for n in range(2)]
    for channel, part in enumerate(parts):
        switch.segment(channel).attach(0x48, part)
    bus = bus_with(switch)
    bus.transfer(0, 0x70, b"\x03", 0)
    bus.transfer(0, 0x48, b"\x02\x12\x34", 0)
    assert [part.file.values[2] for part in parts] == [0x1234, 0x1234]
    parts[0].file.values[2], parts[1].file.values[2] = 0xFF0F, 0x12F3
    assert bus.transfer(0, 0x48, b"\x02", 2)[2] == b"\x12\x03"


class Listener(Tmp117):
    """A part that hears the general call and pulls the alert line."""

    heard = 0
    alerts = True

    def i2c_general_call(self, t_ns: int, data: bytes) -> int:
        self.heard += 1
        return len(data)

    def smbus_alert(self, t_ns: int) -> bool:
        return self.alerts

    def smbus_alert_served(self, t_ns: int) -> None:
        self.alerts = False


def test_calls_to_all_reach_what_is_switched_on() -> None:
    """The general call and the alert response go through channels that are on, and no others."""
    switch = Tca9548a("switch")
    parts = [Listener(f"part{n}") for n in range(2)]
    for channel, part in enumerate(parts):
        switch.segment(channel).attach(0x48 + channel, part)
    bus = bus_with(switch)
    assert bus.transfer(0, 0x00, b"\x06", 0)[0] == NAK
    assert bus.transfer(0, 0x0C, b"", 1)[0] == NAK
    bus.transfer(0, 0x70, b"\x02", 0)
    assert bus.transfer(0, 0x00, b"\x06", 0)[0] == OK
    assert [part.heard for part in parts] == [0, 1]
    assert bus.transfer(0, 0x0C, b"", 1)[2] == bytes((0x49 << 1,))
    assert [part.alerts for part in parts] == [True, False]


def test_the_identity_of_a_part_behind_it_can_be_asked_for() -> None:
    """UM10204 section 3.1.17: the reserved address tells of what is reached and of nothing else."""
    switch = Tca9548a("switch")
    switch.segment(0).attach(0x50, Mb85rc256("fram"))
    switch.segment(1).attach(0x51, Tmp117("temp"))
    bus = bus_with(switch)
    ask = [(0x7C, 0, b"\xa0"), (0x7C, READ, 3)]
    assert bus.transfer_messages(0, ask)[0] != OK
    bus.transfer(0, 0x70, b"\x03", 0)
    assert bus.transfer_messages(0, ask)[2] == [b"\x00\xa5\x10"]
    assert bus.transfer_messages(0, [(0x7C, 0, b"\xa2"), ask[1]])[0] != OK


def test_reset_switches_off() -> None:
    """Section 8.4.1: RESET low clears the register, and nobody answers until it is high again."""
    switch = Tca9548a("switch")
    bus = bus_with(switch)
    bus.transfer(0, 0x70, b"\xff", 0)
    switch.gpio_change(0, "reset", 0)
    assert bus.transfer(0, 0x70, b"\x01", 0)[0] == NAK
    assert bus.transfer(0, 0x70, b"", 1)[0] == NAK
    switch.gpio_change(0, "reset", 1)
    assert bus.transfer(0, 0x70, b"", 1)[2] == b"\0"
    assert switch.snapshot()["counters"] == {"switched": 1, "resets": 1}


def test_switches_nest() -> None:
    """A switch behind a switch is reached by opening one, then the other, in any wiring order."""
    outer, inner = Tca9548a("outer"), Tca9548a("inner")
    inner.segment(2).attach(0x48, Tmp117("temp"))
    attach_i2c(outer.segment(5), 0x71, inner)
    bus = bus_with(outer)
    assert bus.transfer(0, 0x71, b"\x04", 0)[0] == NAK
    bus.transfer(0, 0x70, b"\x20", 0)
    assert bus.transfer(0, 0x48, b"\x0f", 2)[0] == NAK
    bus.transfer(0, 0x71, b"\x04", 0)
    assert bus.transfer(0, 0x48, b"\x0f", 2)[2] == b"\x01\x17"


def test_clashes_are_refused() -> None:
    """Two parts of one address on a channel, or above and below, are an error that names both."""
    switch = Tca9548a("switch")
    switch.segment(0).attach(0x48, Tmp117("one"))
    with pytest.raises(ConfigError, match="'two' clashes with 'one'"):
        switch.segment(0).attach(0x48, Tmp117("two"))
    bus = bus_with(switch)
    with pytest.raises(ConfigError, match="clashes"):
        bus.attach(0x48, Tmp117("above"))
    with pytest.raises(ConfigError, match="channel 8"):
        switch.segment(8)


BOARD = """
[board]
name = "muxed"
title = "A switch"
adapter = "bcm2835"
[bus.i2c-1]
kind = "i2c"
bitrate = "400 kHz"
[part.hot]
type = "tmp117"
bus = "i2c-1"
address = 0x48
mux = "tca0"
channel = 3
role = "temp_chip"
driver = "tmp117"
[part.cold]
type = "tmp117"
bus = "i2c-1"
address = 0x48
mux = "tca0"
channel = 7
[part.tca0]
type = "tca9548a"
bus = "i2c-1"
address = 0x70
"""


def board(tmp_path: Path, text: str = BOARD) -> Board:
    path = tmp_path / "muxed.toml"
    path.write_text(text)
    return load_board(path)


def test_board_file_places_parts_behind_a_switch(tmp_path: Path) -> None:
    """``mux`` and ``channel`` put a part on a channel; flight software is told the way to it."""
    muxed = board(tmp_path)
    assert muxed.route(muxed.parts[1]) == (("tca0", 7),)
    assert muxed.devices()[0]["params"]["muxes"] == [[0x70, 3]]
    wiring = Wiring(muxed, Exchange(Kernel(), RecordStream()), 7, {})
    bus = wiring.buses["i2c-1"]
    assert bus.transfer(0, 0x48, b"\x0f", 2)[0] == NAK
    bus.transfer(0, 0x70, b"\x08", 0)
    assert bus.transfer(0, 0x48, b"\x0f", 2)[2] == b"\x01\x17"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('mux = "tca0"\nchannel = 7', 'mux = "tca1"\nchannel = 7', "no switch named 'tca1'"),
        ('mux = "tca0"\nchannel = 7', 'mux = "hot"\nchannel = 7', "no switch named 'hot'"),
        ("channel = 7", "channel = 8", "channel"),
        ('type = "tca9548a"', 'type = "tca9546a"', "channels 0 to 3"),
        ('mux = "tca0"\nchannel = 7', "channel = 7", "goes with 'mux'"),
        ('mux = "tca0"\nchannel = 7', "", "already taken by 'cold'"),
        ("channel = 7", "channel = 3", "already taken by 'hot'"),
        ("address = 0x70", 'address = 0x70\nmux = "tca0"\nchannel = 0', "behind itself"),
        ("address = 0x70", "address = 0x70\nchannel = 0", "goes with 'mux'"),
    ],
)
def test_wrong_wiring_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """A switch or channel that is not there, a clash and a circle are errors of the file."""
    assert old in BOARD
    with pytest.raises(ConfigError, match=complaint):
        board(tmp_path, BOARD.replace(old, new))
