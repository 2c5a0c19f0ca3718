"""Somebody who may connect and speaks nonsense: the run ends by naming it, never by a traceback."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import garbage
import pytest
import zmq

from flightsw.errors import BenchLostError
from flightsw.hal.channel import Lost, open_channel
from hil.errors import ParticipantError
from hil.testing.contracts.transport import running
from hil.testing.small_rig import SmallRig
from hil.time.coordinator import Coordinator
from hil.time.transports import ChannelLost, listen

END_NS = 1_000_000_000


class Said:
    """A channel whose peer says what a list holds, and leaves."""

    def __init__(self, messages: Iterator[bytes]) -> None:
        self._messages = messages

    def recv(self) -> bytes | None:
        """Return the next message."""
        for message in self._messages:
            return message
        raise ChannelLost("it closed its connection")

    def send(self, message: bytes) -> None:
        """Hear an answer, and do not care."""

    def close(self) -> None:
        """Nothing is held."""


def hear(*seeds: int) -> int:
    """Let a rig hear one peer, or two at once; return how many messages it took."""
    rig = SmallRig(END_NS)
    coordinator = Coordinator(rig.exchange)
    for seed in seeds:
        coordinator.add(Said(garbage.conversation(seed)), f"peer-{seed}")
    with pytest.raises(ParticipantError, match=r"participant 'peer-\d+'"):
        coordinator.run()
    return coordinator.counters["messages"] + len(seeds)


def test_nonsense_ends_a_run_by_name() -> None:
    """Random octets, records and greetings, before and after a good one: ParticipantError."""
    assert sum(hear(seed) for seed in range(800)) > 1200


def test_nonsense_of_one_of_two_ends_a_run_by_name() -> None:
    """The same, where two participants are kept in step."""
    assert sum(hear(seed, seed + 1) for seed in range(400)) > 800


@pytest.mark.soak
def test_a_million_messages_of_nonsense_end_runs_by_name() -> None:
    """10^6 messages of peers that may connect: nothing but ParticipantError."""
    taken, seed = 0, 1_000
    while taken < 1_000_000:
        taken += hear(seed) if seed % 4 else hear(seed, seed + 7)
        seed += 1


@pytest.mark.parametrize("transport", ["tcp", "ipc", "seqpacket"])
@pytest.mark.parametrize("seed", [0, 1, 5, 14])
def test_nonsense_over_a_socket_ends_a_run_by_name(transport: str, seed: int, keys: Path) -> None:
    """Over each transport, a key in order where there is one: the run ends by naming the peer."""
    rig = SmallRig(END_NS)
    with listen(transport, keys) as listener:
        coordinator = Coordinator(rig.exchange)
        coordinator.add(listener.channel(), "exercise")

        def act() -> None:
            peer = open_channel(listener.endpoint, keys / "client.key")
            with contextlib.suppress(Lost, BenchLostError):
                for message in garbage.conversation(seed):
                    peer.exchange(message)
            peer.close()

        with running(act) as failures:
            with pytest.raises(ParticipantError, match="participant 'exercise'"):
                coordinator.run()
            listener.close()
        assert not failures


def test_many_messages_at_once_are_taken_one_by_one(keys: Path) -> None:
    """A peer that does not wait for answers, in messages of many frames, ends the run by name."""
    rig = SmallRig(END_NS)
    with listen("ipc") as listener, zmq.Context() as context, context.socket(zmq.PAIR) as peer:
        peer.linger = 0
        peer.connect(listener.endpoint)
        chance = random.Random(7)
        peer.send_multipart([garbage.HELLO, *(garbage.message(chance, 0) for _ in range(1000))])
        coordinator = Coordinator(rig.exchange)
        coordinator.add(listener.channel(), "exercise")
        with pytest.raises(ParticipantError, match="participant 'exercise'"):
            coordinator.run()


def test_a_length_beyond_the_limit_is_not_awaited() -> None:
    """A packet that announces more than a message may hold ends the connection, by name."""
    with listen("seqpacket") as listener:
        channel = listener.channel()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.connect(listener.endpoint.partition("://")[2])
            peer.send((1 << 60).to_bytes(8, "little"))
            with pytest.raises(ChannelLost, match="more than the limit"):
                channel.recv()
