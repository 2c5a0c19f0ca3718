"""python-can on emulated buses of this process: what crosses, what is refused, what is counted."""

from __future__ import annotations

import asyncio
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

can = pytest.importorskip("can", reason="python-can is not installed")

from hil.buses.can_errors import ERR_BUS_OFF, ERR_CONTROLLER, ERR_COUNTERS  # noqa: E402
from hil.buses.can_faults import CANFault  # noqa: E402
from hil.buses.can_frame import INTERFRAME_NBITS  # noqa: E402
from hil.buses.can_length import frame_nbits  # noqa: E402
from hil.errors import UsageError  # noqa: E402
from hil.faces.python_can import HilBus, emulated  # noqa: E402

DATA = bytes(range(8))


class Channel:
    """A channel on which buses are opened, and closed at the end of the test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.buses: list[HilBus] = []

    def open(self, **options: Any) -> HilBus:
        self.buses.append(HilBus(self.name, **options))
        return self.buses[-1]

    def pair(self, **options: Any) -> tuple[HilBus, HilBus]:
        return self.open(**options), self.open(fd=options.get("fd", False))


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> Iterator[Channel]:
    """Give a channel of its own for each test."""
    channel = Channel(request.node.name)
    yield channel
    for bus in channel.buses:
        bus.shutdown()


def message(arbitration_id: int = 0x123, data: bytes = DATA, **fields: Any) -> Any:
    """Return a message with a standard identifier."""
    return can.Message(arbitration_id=arbitration_id, data=data, is_extended_id=False, **fields)


def drained(bus: HilBus) -> list[Any]:
    """Return what waits on a bus."""
    found = []
    while (one := bus.recv(0)) is not None:
        found.append(one)
    return found


# --- what crosses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"arbitration_id": 0x7FF, "is_extended_id": False},
        {"arbitration_id": 0x1FFFFFFF, "is_extended_id": True},
        {"data": b""},
        {"is_remote_frame": True, "dlc": 5, "data": None},
        {"is_fd": True, "data": bytes(64)},
        {"is_fd": True, "bitrate_switch": True, "data": bytes(12)},
        {"is_fd": True, "error_state_indicator": True},
    ],
)
def test_a_message_arrives_as_it_was_sent(channel: Channel, fields: dict[str, Any]) -> None:
    """Identifier, format, data and flags of every sort of frame cross the bus."""
    one, two = channel.pair(fd=True)
    sent = can.Message(**{"data": DATA, **fields})
    one.send(sent)
    heard = two.recv(0)
    assert heard.equals(sent, timestamp_delta=None, check_channel=False, check_direction=False)
    assert heard.is_rx
    assert heard.channel == channel.name


def test_an_fd_message_is_filled_to_a_length_that_a_dlc_can_say(channel: Channel) -> None:
    """Nine octets travel as twelve, as a controller's driver sends them."""
    one, two = channel.pair(fd=True)
    one.send(message(data=bytes(9), is_fd=True))
    assert len(two.recv(0).data) == 12
    assert emulated(channel.name).counters["filled"] == 1


def test_a_time_stamp_is_that_of_the_last_bit(channel: Channel) -> None:
    """Two frames sent without a pause arrive the exact time of the second apart, or later."""
    one, two = channel.pair(bitrate=125_000)
    for _ in range(50):
        one.send(message())
    stamps = [heard.timestamp for heard in drained(two)]
    gaps = [later - earlier for earlier, later in pairwise(stamps)]
    nbits = frame_nbits(0x123, DATA) + INTERFRAME_NBITS
    assert min(gaps) == pytest.approx(nbits / 125_000, abs=1e-6)


def test_own_messages_come_back_where_they_are_wanted(channel: Channel) -> None:
    """With receive_own_messages the sender hears its message too, marked as its own."""
    one, two = channel.pair(receive_own_messages=True)
    one.send(message())
    assert not one.recv(0).is_rx
    assert two.recv(0).is_rx
    two.send(message())
    assert two.recv(0) is None


def test_frames_that_wait_together_go_by_identifier(channel: Channel) -> None:
    """Frames of several nodes that want the bus at one time win it in the order of identifiers."""
    one, two = channel.pair()
    three = channel.open()
    bus = emulated(channel.name)
    with bus.held():
        one.send(message(0x300))
        two.send(message(0x200))
        one.send(message(0x100))
        assert three.recv(0) is None
    assert [heard.arbitration_id for heard in drained(three)] == [0x100, 0x200, 0x300]
    assert bus.counters["arbitration_lost"] == 2


# --- filters -----------------------------------------------------------------------------------


def test_filters_hold_back_and_count(channel: Channel) -> None:
    """Only what a filter matches arrives, by identifier and format; the rest is counted."""
    one, two = channel.pair()
    two.set_filters([{"can_id": 0x120, "can_mask": 0x7F0, "extended": False}])
    one.send(message(0x12F))
    one.send(message(0x130))
    one.send(can.Message(arbitration_id=0x120, is_extended_id=True))
    assert [heard.arbitration_id for heard in drained(two)] == [0x12F]
    assert two.counters["filtered"] == 2
    two.set_filters(None)
    one.send(message(0x130))
    assert two.recv(0) is not None


# --- errors ------------------------------------------------------------------------------------


def test_a_node_alone_becomes_passive_and_waits(channel: Channel) -> None:
    """Nobody acknowledges: warning and passive are told, and the frame goes when somebody comes."""
    one = channel.open()
    one.send(message())
    told = drained(one)
    assert all(frame.is_error_frame for frame in told)
    assert [frame.data[1] for frame in told] == [0x08, 0x20]  # warning, then passive
    assert [(frame.data[6], frame.data[7]) for frame in told] == [(96, 0), (128, 0)]
    assert (one.state, one.error_counters) == (can.BusState.PASSIVE, (128, 0))
    two = channel.open()
    assert two.recv(1).arbitration_id == 0x123


def test_a_send_with_a_timeout_waits_for_the_acknowledgement(channel: Channel) -> None:
    """What nobody acknowledges in time is withdrawn, and does not go later."""
    one = channel.open()
    with pytest.raises(can.CanTimeoutError, match="acknowledges"):
        one.send(message(), 0.001)
    assert one.counters["tx_timeouts"] == 1
    two = channel.open()
    one.send(message(0x124), 1)
    assert [heard.arbitration_id for heard in drained(two)] == [0x124]


def test_bus_off_is_an_error_frame_a_state_and_a_refusal(channel: Channel) -> None:
    """A controller that is bus-off says so, sends nothing, and starts again when told to."""
    one, two = channel.pair(restart_ms=0)
    bus = emulated(channel.name)
    bus.faults.add(CANFault("bus_off", can_id=0x666))
    one.send(message(0x666))
    (told,) = drained(one)
    assert told.arbitration_id == ERR_BUS_OFF | ERR_COUNTERS
    assert one.state == can.BusState.ERROR
    with pytest.raises(can.CanOperationError, match="bus-off"):
        one.send(message())
    assert bus.counters["refused_bus_off"] == 1
    one.state = can.BusState.ACTIVE
    assert one.recv(5).is_error_frame  # restarted, after 128 times 11 recessive bits
    one.send(message())
    assert two.recv(0) is not None


def test_bus_errors_tell_kind_and_place(channel: Channel) -> None:
    """With bus_errors each error on the bus is told, with its class, place and the counters."""
    one, two = channel.pair(bus_errors=True, one_shot=True)
    bus = emulated(channel.name)
    bus.faults.add(CANFault("crc", can_id=0x666))
    one.send(message(0x666))
    (told,) = drained(one)
    assert told.is_error_frame
    assert (told.data[2] & 0x80, told.data[3]) == (0x80, 0x08)  # sending, CRC sequence
    assert (told.data[6], told.data[7]) == (8, 0)
    assert (one.error_counters, two.error_counters) == ((8, 0), (0, 9))
    assert bus.counters["crc_error"] == 1


def test_error_frames_can_be_left_out(channel: Channel) -> None:
    """With ignore_rx_error_frames none is received, and each is counted."""
    one = channel.open(ignore_rx_error_frames=True)
    one.send(message())
    assert one.recv(0) is None
    assert one.counters["error_frames"] == one.counters["filtered"] == 2


def test_a_one_shot_controller_gives_up(channel: Channel) -> None:
    """One attempt without acknowledgement, and the frame is lost; who waits for it is told."""
    one = channel.open(one_shot=True)
    with pytest.raises(can.CanOperationError, match="lost"):
        one.send(message(), 1)
    assert emulated(channel.name).counters["one_shot_lost"] == 1


def test_a_listen_only_controller_hears_and_does_not_acknowledge(channel: Channel) -> None:
    """It sends nothing, its state reads PASSIVE, and a node beside it gets no acknowledgement."""
    one, two = channel.open(one_shot=True), channel.open(listen_only=True)
    assert two.state == can.BusState.PASSIVE
    with pytest.raises(can.CanOperationError, match="listen-only"):
        two.send(message())
    with pytest.raises(can.CanOperationError, match="lost"):
        one.send(message(), 1)
    two.state = can.BusState.ACTIVE
    one.send(message(), 1)
    assert two.recv(0) is not None


def test_what_cannot_be_sent_is_refused(channel: Channel) -> None:
    """An FD frame on a classic controller, an error frame, an identifier that is too long."""
    one, _ = channel.pair()
    with pytest.raises(can.CanOperationError, match="fd=True"):
        one.send(message(is_fd=True))
    with pytest.raises(can.CanOperationError, match="error frame"):
        one.send(message(is_error_frame=True))
    with pytest.raises(can.CanOperationError, match="identifier"):
        one.send(message(0x800))
    counters = emulated(channel.name).counters
    assert (counters["refused_fd"], counters["refused_invalid"]) == (1, 1)


# --- queues ------------------------------------------------------------------------------------


def test_what_nobody_reads_is_dropped_and_told(channel: Channel) -> None:
    """Beyond its size the queue drops the newest, counts them, and tells of an overflow once."""
    one, two = channel.open(), channel.open(rx_queue_size=3)
    for arbitration_id in range(6):
        one.send(message(arbitration_id))
    heard = drained(two)
    assert [frame.arbitration_id for frame in heard[:3]] == [0, 1, 2]
    assert (heard[3].arbitration_id, heard[3].data[1]) == (ERR_CONTROLLER, 0x01)
    assert len(heard) == 4
    assert two.counters["rx_dropped"] == 3


def test_a_full_transmit_queue_refuses(channel: Channel) -> None:
    """Frames that nobody acknowledges fill the queue; the next is refused, or they are flushed."""
    one = channel.open(tx_queue_size=2)
    one.send(message())
    one.send(message())
    with pytest.raises(can.CanOperationError, match="2 frames wait"):
        one.send(message())
    one.flush_tx_buffer()
    assert (one.counters["tx_refused_full"], one.counters["tx_flushed"]) == (1, 2)
    one.send(message())


def test_what_is_left_unread_is_counted(channel: Channel) -> None:
    """A bus that is shut down knows how much was not read, and refuses everything."""
    one, two = channel.pair()
    one.send(message())
    two.shutdown()
    assert two.counters["unread"] == 1
    with pytest.raises(can.CanOperationError, match="shut down"):
        two.send(message())
    with pytest.raises(can.CanOperationError, match="shut down"):
        two.recv(0)


# --- descriptors, notifiers, periodic messages ---------------------------------------------------


def test_the_descriptor_is_readable_while_messages_wait(channel: Channel) -> None:
    """Made before or after messages came, it is readable exactly until the last one is read."""
    one, two = channel.pair()
    one.send(message())
    for _ in range(2):
        assert select.select([two.fileno()], [], [], 0)[0]
        one.send(message())
        drained(two)
        assert not select.select([two.fileno()], [], [], 0)[0]
        one.send(message())


def test_a_notifier_in_an_event_loop_reads_by_descriptor(channel: Channel) -> None:
    """asyncio is woken by the descriptor and hears every message in order."""
    one, two = channel.pair()

    async def listen() -> list[int]:
        reader = can.AsyncBufferedReader()
        notifier = can.Notifier(two, [reader], loop=asyncio.get_running_loop())
        for arbitration_id in range(20):
            one.send(message(arbitration_id))
        heard = [(await reader.get_message()).arbitration_id for _ in range(20)]
        notifier.stop()
        return heard

    assert asyncio.run(listen()) == list(range(20))


def test_a_periodic_message_is_sent_again_and_again(channel: Channel) -> None:
    """A task of python-can sends on our bus until it is stopped."""
    one, two = channel.pair()
    task = one.send_periodic(message(), 0.001)
    heard = [two.recv(5) for _ in range(5)]
    task.stop()
    assert [frame.arbitration_id for frame in heard] == [0x123] * 5


def test_frames_wait_for_their_time_at_real_pace(channel: Channel) -> None:
    """Nothing is there when send returns; it comes when its bus time is over."""
    one, two = channel.pair(pace="real", bitrate=10_000)
    one.send(message())
    assert two.recv(0) is None
    assert two.recv(5).arbitration_id == 0x123


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"bitrate": 250_000}, "500000 bit/s"),
        ({"fd": True, "data_bitrate": 4_000_000}, "2000000 bit/s"),
        ({"pace": "real"}, "pace max"),
        ({"timing": can.BitTiming(8_000_000, 1, 5, 2, 1)}, "500000 bit/s"),
    ],
)
def test_a_node_agrees_with_its_bus(channel: Channel, options: dict[str, Any], what: str) -> None:
    """Rates and pace that are not those of the bus are refused by name."""
    channel.open(bitrate=500_000)
    with pytest.raises(can.CanInitializationError, match=what):
        channel.open(**options)


def test_a_bit_timing_sets_the_rates(channel: Channel) -> None:
    """The first who opens a channel decides, here by a timing of CAN FD."""
    timing = can.BitTimingFd.from_sample_point(80_000_000, 250_000, 80, 1_000_000, 80)
    one = channel.open(timing=timing)
    bus = emulated(channel.name).can
    assert (bus.bitrate_hz, bus.data_bitrate_hz) == (250_000, 1_000_000)
    assert one.protocol == can.CanProtocol.CAN_FD


def test_rates_beyond_a_transceiver_are_refused(channel: Channel) -> None:
    """No CAN bus runs at 5 Mbit/s."""
    with pytest.raises(can.CanInitializationError, match="1 Mbit/s"):
        channel.open(bitrate=5_000_000)


def test_options_of_other_hardware_are_named(channel: Channel) -> None:
    """What means nothing here is not lost without a word."""
    assert channel.open(single_handle=True).ignored_options == ("single_handle",)


def test_a_channel_ends_with_its_last_user(channel: Channel) -> None:
    """The bus of a channel is gone when nobody has it open, and told by name until then."""
    one, two = channel.pair()
    configs = HilBus._detect_available_configs()
    assert {"interface": "hil", "channel": channel.name} in configs
    one.shutdown()
    emulated(channel.name)
    two.shutdown()
    with pytest.raises(UsageError, match=channel.name):
        emulated(channel.name)


# --- installation --------------------------------------------------------------------------------


def test_an_installation_makes_the_interface_known(
    as_installed: dict[str, str], tmp_path: Path
) -> None:
    """A Python that finds what pyproject.toml declares opens the bus by its name."""
    code = (
        "import can\n"
        "one, two = (can.Bus(interface='hil', channel='can0') for _ in 'ab')\n"
        "one.send(can.Message(arbitration_id=0x42))\n"
        "print(type(one).__module__, two.recv(0).arbitration_id)\n"
        "one.shutdown(), two.shutdown()\n"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=as_installed, capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout.split(), done.stderr) == (["hil.faces.python_can.bus", "66"], "")


@pytest.mark.usefixtures("can_interface")
def test_the_examples_of_the_manual_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page on python-can shows does what it says."""
    monkeypatch.delenv("HIL_BENCH", raising=False)
    text = (Path(__file__).resolve().parents[3] / "docs" / "python-can.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(block, names)
    first, last = capsys.readouterr().out.splitlines()
    assert "6f 6e" in first  # "on"
    assert last == "1"
