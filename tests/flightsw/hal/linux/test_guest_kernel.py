"""CAN and I2C through drivers of a real kernel: that of User-Mode Linux, which is a program."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from guest_program import BURST, FRAMES, packed, plain
from shimmed import ROOT

sys.path.insert(0, str(ROOT / "tests" / "oracles" / "uml"))

from guest import Guest, require_uml

from flightsw.codec.wire import Kind
from flightsw.hal import CanFrame
from hil.buses.can import CANBus
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.faces.host import Host
from hil.time.kernel import Kernel

LIMIT_S = 120


class Answerer:
    """A node that answers the guest's frame."""

    can_send: Callable[[int, int, bytes], None]

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        if can_id == 0x7F0:
            self.can_send(t_ns + 1_000_000, 0x7F1, b"heard")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Give what our CAN and I2C found in a guest."""
    require_uml()
    kernel = Kernel()
    exchange = Exchange(kernel, RecordStream(), LIMIT_S * 1_000_000_000)
    bus = CANBus("can0", kernel, 2, exchange.emitter(4, Kind.CAN), 500_000)
    bus.attach(Answerer())
    exchange.connect(4, bus)
    host = Host(exchange, tmp_path_factory.mktemp("uml") / "bench", "real")
    program = Path(__file__).with_name("guest_program.py")
    script = f"PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={ROOT} {sys.executable} {program}\n"
    try:
        with Guest(script) as guest:
            guest.run(host, host.lines["/dev/ttyCAN0"].path)
            found = json.loads(guest.read("stdout"))
    finally:
        host.close()
    assert isinstance(found, dict)
    return found


def expected() -> list[list[Any]]:
    return plain(CanFrame(0, can_id, data) for can_id, data in FRAMES)


def test_every_sort_of_frame_comes_from_the_kernel_as_it_was_sent(seen: Mapping[str, Any]) -> None:
    """Standard, extended, remote, CAN FD with its flags, error frames: whole, in order, stamped."""
    virtual = seen["virtual"]
    assert virtual["heard"] == expected()
    assert virtual["stamped"]
    assert virtual["in order"]


def test_every_sort_of_frame_goes_to_the_kernel_as_it_is(seen: Mapping[str, Any]) -> None:
    """Another user of the interface gets the octets of the kernel's own structs."""
    for got, frame in zip(seen["virtual"]["sent"], FRAMES, strict=True):
        octets, wanted = bytes.fromhex(got), packed(*frame)
        # Newer kernels set the flag of the format themselves, older ones leave it as it was.
        assert (octets[:5], octets[5] & 3, octets[8:]) == (wanted[:5], wanted[5] & 3, wanted[8:])


def test_frames_that_the_kernel_had_no_room_for_are_counted(seen: Mapping[str, Any]) -> None:
    """Of a burst that nobody reads every frame is either received or counted as dropped."""
    received, dropped = seen["virtual"]["burst"]
    assert dropped > 0
    assert received + dropped == BURST + 1


def test_an_interface_that_goes_down_or_away_comes_back(seen: Mapping[str, Any]) -> None:
    """Down: sending is ENETDOWN and receiving silent; up again, or made anew, it goes on."""
    down = seen["virtual"]["down"]
    assert down == {
        "heard": 0,
        "losses": 1,
        "errno": errno.ENETDOWN,
        "back": [[0x55, b"back".hex()]],
    }


def test_the_kernels_driver_of_a_serial_adapter_reaches_an_emulated_bus(
    seen: Mapping[str, Any],
) -> None:
    """A frame sent through slcan arbitrates on the bench's bus, and a node there answers it."""
    assert seen["bus"]["answer"] == [[0x7F1, b"heard".hex()]]


def test_an_adapter_that_knows_smbus_alone_is_refused_by_name(seen: Mapping[str, Any]) -> None:
    """i2c-stub has no plain I2C: the error says so, with what to do."""
    assert "knows SMBus commands only" in seen["stub"]
    assert "--local" in seen["stub"]
