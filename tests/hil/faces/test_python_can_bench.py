"""python-can on the CAN bus of a bench: the controller that programs share, and own nodes."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

can = pytest.importorskip("can", reason="python-can is not installed")

from hil.buses.can_errors import ERR_BUS_OFF, ERR_CONTROLLER  # noqa: E402
from hil.buses.can_faults import CANFault  # noqa: E402
from hil.buses.can_node import WARNING_LIMIT, State  # noqa: E402
from hil.faces.python_can import HilBus  # noqa: E402
from hil.testing.can_rig import CanRig, in_thread  # noqa: E402


class World:
    """A bench in a thread, and the bus objects that a test has opened on it."""

    def __init__(self, rig: CanRig, path: Path) -> None:
        self.rig = rig
        self.path = str(path)
        self.buses: list[HilBus] = []

    def open(self, channel: str = "can0", **options: Any) -> HilBus:
        self.buses.append(HilBus(channel, bench=self.path, **options))
        return self.buses[-1]


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Give a bench; ``world(audience=False)`` has nobody who acknowledges."""
    marks = getattr(request, "param", {})
    with in_thread(tmp_path / "bench", **marks) as rig:
        world = World(rig, tmp_path / "bench")
        yield world
        for bus in world.buses:
            bus.shutdown()


alone = pytest.mark.parametrize("world", [{"audience": False}], indirect=True, ids=["alone"])
real = pytest.mark.parametrize("world", [{"pace": "real"}], indirect=True, ids=["real"])


def message(arbitration_id: int = 0x123, data: bytes = b"12345678", **fields: Any) -> Any:
    """Return a message with a standard identifier."""
    return can.Message(arbitration_id=arbitration_id, data=data, is_extended_id=False, **fields)


def test_programs_on_one_controller_hear_each_other(world: World) -> None:
    """As on an interface of Linux: others on it hear a frame as sent here, a node as received."""
    one, two, node = world.open(), world.open(), world.open("can0:node")
    one.send(message(), 1)
    assert not two.recv(1).is_rx
    assert node.recv(1).is_rx
    assert one.recv(0) is None


def test_own_frames_come_back_where_they_are_wanted(world: World) -> None:
    """With receive_own_messages the sender hears its own frame."""
    one = world.open(receive_own_messages=True)
    one.send(message(), 1)
    assert not one.recv(1).is_rx
    assert one.counters["own"] == 1


def test_a_frame_that_brings_the_controller_back_has_been_sent(world: World) -> None:
    """The error frame of the change comes first; then the frame is out, and is no echo."""
    one, two = world.open(), world.open()
    controller = world.rig.can.controller
    controller.tec, controller.state = WARNING_LIMIT, State.WARNING
    one.send(message(), 5)
    assert controller.state == State.ACTIVE
    assert [two.recv(5).is_error_frame, two.recv(5).is_error_frame] == [True, False]
    assert one.recv(5).is_error_frame
    assert one.recv(0) is None


@real
def test_a_frame_waits_for_its_time(world: World) -> None:
    """A send with a timeout returns when the frame is out, and the board's nodes have heard it."""
    one = world.open(fd=True)
    one.send(message(is_fd=True, bitrate_switch=True, data=bytes(64)), 5)
    assert one.state == can.BusState.ACTIVE  # answered behind all that the frame has brought about
    assert [len(data) for _, _, data in world.rig.audience.heard] == [64]


def test_the_descriptor_is_that_of_the_frames(world: World) -> None:
    """It is readable when a frame is there, and not for answers."""
    one, two = world.open(), world.open("can0:node")
    one.send(message(), 1)
    assert not select.select([one.fileno()], [], [], 0)[0]
    assert select.select([two.fileno()], [], [], 5)[0]
    assert two.recv(0).arbitration_id == 0x123


@alone
def test_nobody_there_is_a_timeout_and_a_passive_controller(world: World) -> None:
    """Without acknowledgement the frame is withdrawn in time; error frames tell of the states."""
    one = world.open()
    with pytest.raises(can.CanTimeoutError, match="withdrawn"):
        one.send(message(), 0.01)
    told = [one.recv(1) for _ in range(2)]
    assert [(frame.arbitration_id & ERR_CONTROLLER, frame.data[6]) for frame in told] == [
        (ERR_CONTROLLER, 96),
        (ERR_CONTROLLER, 128),
    ]
    assert (one.state, one.error_counters) == (can.BusState.PASSIVE, (128, 0))
    assert one.counters["tx_timeouts"] == 1


@alone
def test_a_full_queue_refuses_and_can_be_flushed(world: World) -> None:
    """More than tx_queue_size frames do not wait."""
    one = world.open(tx_queue_size=2)
    one.send(message())
    one.send(message())
    with pytest.raises(can.CanOperationError, match="too many frames"):
        one.send(message())
    one.flush_tx_buffer()
    assert one.counters["tx_flushed"] >= 1


@alone
def test_one_shot_tells_that_a_frame_is_lost(world: World) -> None:
    """A node of its own gives its frame up after one attempt, and its program is told."""
    one = world.open("can0:node", one_shot=True)
    world.open(listen_only=True)
    with pytest.raises(can.CanOperationError, match="lost"):
        one.send(message(), 5)


def test_bus_off_of_a_node_is_its_own(world: World) -> None:
    """A node that is bus-off says so and refuses, the controller goes on, a restart mends it."""
    node, one = world.open("can0:node", restart_ms=0), world.open()
    world.rig.can.faults.add(CANFault("bus_off", can_id=0x666))
    node.send(message(0x666))
    told = node.recv(1)
    assert (told.is_error_frame, told.arbitration_id & ERR_BUS_OFF) == (True, ERR_BUS_OFF)
    assert (node.state, one.state) == (can.BusState.ERROR, can.BusState.ACTIVE)
    with pytest.raises(can.CanOperationError, match="bus-off"):
        node.send(message())
    node.state = can.BusState.ACTIVE
    assert node.recv(5).is_error_frame
    node.send(message(), 1)


def test_listening_only(world: World) -> None:
    """A node that only listens sends nothing until its state says that it may."""
    node = world.open("can0:node", listen_only=True)
    assert node.state == can.BusState.PASSIVE
    with pytest.raises(can.CanOperationError, match="listen-only"):
        node.send(message())
    node.state = can.BusState.ACTIVE
    node.send(message(), 1)


def test_frames_of_can_fd_are_for_those_who_know_it(world: World) -> None:
    """A program without fd hears none on a controller that does, and they are counted."""
    node, plain = world.open("can0:node", fd=True), world.open()
    node.send(message(is_fd=True), 1)
    node.send(message(0x124), 1)
    assert plain.recv(1).arbitration_id == 0x124
    assert plain.counters["filtered"] == 1


def test_filters_hold_back_and_count(world: World) -> None:
    """What no filter matches does not come out."""
    node, one = world.open("can0:node"), world.open()
    one.set_filters([{"can_id": 0x200, "can_mask": 0x7FF, "extended": False}])
    for arbitration_id in (0x100, 0x200):
        node.send(message(arbitration_id), 1)
    assert one.recv(1).arbitration_id == 0x200
    assert one.counters["filtered"] == 1


def test_who_does_not_read_loses_and_is_told(world: World) -> None:
    """Frames that the socket does not take are counted, and an error frame tells of the gap."""
    node, deaf = world.open("can0:node"), world.open()
    desk = world.rig.host.desks["can"]
    while not desk.counters["unread"]:
        node.send(message())
    heard = []
    while (frame := deaf.recv(0)) is not None:
        heard.append(frame)
    assert not any(frame.is_error_frame for frame in heard)
    node.send(message(0x124))
    told, fresh = deaf.recv(1), deaf.recv(1)
    assert (told.is_error_frame, told.data[1], fresh.arbitration_id) == (True, 0x01, 0x124)
    assert deaf.counters["rx_dropped"] == 1


def test_a_node_leaves_with_its_program(world: World) -> None:
    """When the last program on a node closes, it is no node of the bus any more."""
    one, two, other = world.open("can0:node"), world.open("can0:node"), world.open()
    assert len(world.rig.can.nodes) == 3
    one.shutdown()
    two.shutdown()
    rounds = iter(range(1000))  # the bench sees to its connections in any order
    while len(world.rig.can.nodes) > 2 and next(rounds, None) is not None:
        other.send(message(), 1)
    assert [node.name for node in world.rig.can.nodes] == ["can0", "audience"]


@pytest.mark.parametrize(
    ("channel", "options", "what"),
    [
        ("can7", {}, "no such device; there are .*can0"),
        ("can0", {"bitrate": 250_000}, "500000 bit/s"),
        ("can0", {"fd": True, "data_bitrate": 1_000_000}, "2000000 bit/s"),
        ("can0", {"pace": "real"}, "of the bench"),
        ("can0:audience", {}, "named 'audience'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    world: World, channel: str, options: dict[str, Any], what: str
) -> None:
    """Unknown buses, other rates, a pace, and names that the board has are told as they are."""
    with pytest.raises(can.CanInitializationError, match=what):
        world.open(channel, **options)


def test_no_bench_is_told_with_what_to_do(tmp_path: Path) -> None:
    """A socket that is not there names the command that makes one."""
    with pytest.raises(can.CanInitializationError, match="hil run"):
        HilBus("can0", bench=str(tmp_path / "none"))


def test_the_buses_of_a_bench_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a bench python-can lists its CAN buses."""
    monkeypatch.setenv("HIL_BENCH", world.path)
    assert HilBus._detect_available_configs() == [{"interface": "hil", "channel": "can0"}]


def test_the_end_of_the_bench_is_an_error(tmp_path: Path) -> None:
    """Whoever receives or sends when the bench is gone is told so."""
    with in_thread(tmp_path / "bench"):
        one = HilBus("can0", bench=str(tmp_path / "bench"))
    for act in (lambda: one.recv(1), lambda: one.send(message())):
        with pytest.raises(can.CanOperationError, match="bench"):
            act()
    one.shutdown()


def test_a_bench_that_hangs_up_while_a_bus_opens_is_told(tmp_path: Path) -> None:
    """What listens and goes away without an answer is a failure to open, of python-can's sort."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "bench"))
        listener.listen()

        def hang_up() -> None:
            one, _ = listener.accept()
            one.close()

        going = threading.Thread(target=hang_up)
        going.start()
        with pytest.raises(can.CanInitializationError, match="does not open it"):
            HilBus("can0", bench=str(tmp_path / "bench"))
        going.join()
