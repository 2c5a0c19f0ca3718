"""Coming back to a bench, message by message: what each end says of what the other has missed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flightsw.codec.wire import HEADER_NBYTES, Flag, Kind, pack
from flightsw.hal.channel.lasting import lasting
from flightsw.hal.channel.zeromq import ZeroMQChannel
from flightsw.hal.island import LinkedSession
from hil.board import load_board
from hil.missions import load as load_mission
from hil.rig import SECOND, Rig
from hil.serving.flight import RemoteFlight
from hil.serving.link import Link
from hil.serving.storing import Keeping
from hil.supervisor import PAYLOAD_SWITCH, Supervisor
from hil.time.phase import Phase
from hil.time.transports.zeromq import ZeroMQListener

WAIT_S = 10.0


@pytest.fixture
def link() -> Iterator[Link]:
    with ZeroMQListener("ipc") as listener, Link(listener, 60.0) as link:
        link.on_back = lambda leg, anew: {"t_ns": 0}
        yield link


@pytest.fixture
def channel(link: Link) -> Iterator[ZeroMQChannel]:
    channel = ZeroMQChannel(link.listener.endpoint, None, WAIT_S)
    yield channel
    channel.close()


def greet(channel: ZeroMQChannel, **more: object) -> None:
    hello = json.dumps({"protocol": 1, "name": "fsw", "link": 1, **more}).encode()
    assert channel.ask(pack(Kind.HELLO, payload=hello), WAIT_S)


def test_a_word_that_is_said_again_is_the_same(link: Link, channel: ZeroMQChannel) -> None:
    """Whether a message that was given up had arrived is told alike, however often it is asked."""
    greet(channel)
    assert link.await_peer() is not None
    leg = link.begin()
    assert leg.recv() is not None
    leg.send(pack(Kind.WELCOME))
    assert channel.hear(WAIT_S) is not None
    for _ in range(3):
        greet(channel, session=leg.token, given_up=1)
        before = link.counters["resumed"]
        while link.counters["resumed"] == before:
            leg.recv()
        welcome = channel.hear(WAIT_S)
        assert welcome is not None
        assert json.loads(welcome[HEADER_NBYTES:])["link"]["taken"] is False


def test_inputs_of_an_answer_that_was_given_up_are_counted(
    link: Link, channel: ZeroMQChannel
) -> None:
    """What came in with a grant that its flight software did not wait for is told as lost, once."""
    greet(channel)
    assert link.await_peer() is not None
    leg = link.begin()
    assert leg.recv() is not None
    leg.send(pack(Kind.WELCOME))
    assert channel.ask(pack(Kind.NUMBER, seq=1) + pack(Kind.NEXT), WAIT_S)
    while leg.recv() is None:
        pass
    octets = pack(Kind.UART, flags=Flag.INPUT, payload=b"came in")
    leg.send(octets + octets + pack(Kind.GRANT))
    for resumed in (1, 2):
        greet(channel, session=leg.token, given_up=1)
        while link.counters["resumed"] < resumed:
            leg.recv()
    assert link.counters["inputs_lost"] == 2


def test_nobody_starts_without_power(link: Link, channel: ZeroMQChannel, tmp_path: Path) -> None:
    """Flight software that comes while its computer is off waits for the end of the next boot."""
    board, mission = load_board("raspberrypi4"), load_mission("tiansuan_bupt1")
    rig = Rig(board, mission, seed=1, duration_s=300.0)
    supervisor = Supervisor(rig)
    rig.wiring.of_type("watchdog").on_reset = lambda t_ns: None
    supervisor.flight = flight = RemoteFlight(supervisor, link, Keeping(tmp_path), rate=1.0)

    def come(t_ns: int) -> None:
        greet(channel)
        link.await_peer()

    for t_s, act in (
        (10, lambda t_ns: supervisor._switched(t_ns, PAYLOAD_SWITCH, False)),
        (12, come),
        (50, lambda t_ns: supervisor._switched(t_ns, PAYLOAD_SWITCH, True)),
    ):
        rig.kernel.at(t_s * SECOND, Phase.PART, 1 << 10, act)
    flight.start()
    rig.kernel.run_until(49 * SECOND)
    assert not supervisor.alive
    rig.kernel.run_until(100 * SECOND)
    assert supervisor.alive


def test_files_that_the_bench_does_not_get_are_counted(channel: ZeroMQChannel) -> None:
    """What is left of a storage when its link is away is told as unsent."""
    link = lasting(channel, "fsw", {"session": "none"})
    session = LinkedSession(link, {"t_ns": 0, "rig": "small"})
    link.drop()
    assert session.hand_over([("one", b"1"), ("two", b"2")]) == 0
    assert session.link_status()["files_unsent"] == 2
