"""Strangers at the tcp socket of a bench that flies: refused, counted, and the run unharmed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import strangers
import zmq
from strangers import Attack, Counted, Recorder

from flightsw.errors import BenchLostError
from flightsw.hal.bench import DirectHal
from flightsw.hal.channel import MESSAGE_LIMIT_NBYTES, Lost, connect, open_channel
from flightsw.hal.exercise import run
from flightsw.hal.session import greet
from hil.errors import TransportError
from hil.testing.contracts.transport import running
from hil.testing.small_rig import SmallRig
from hil.time.coordinator import Coordinator
from hil.time.transports import ChannelLost, door
from hil.time.transports.direct import DirectPort
from hil.time.transports.keys import read_private
from hil.time.transports.zeromq import ZeroMQListener

END_NS = 30_000_000
ATTACKS: list[Attack] = [
    strangers.scan,
    strangers.half_open,
    strangers.slow,
    strangers.foreign_protocols,
    strangers.random_messages,
    strangers.random_handshakes,
    strangers.without_keys,
    strangers.wrong_keys,
    strangers.unknown_client,
    strangers.stolen_public_key,
    strangers.second_client,
]


@pytest.fixture(scope="module")
def undisturbed() -> str:
    """Return the digest of a run that nobody disturbs."""
    rig = SmallRig(END_NS)
    run(DirectHal(DirectPort(rig.exchange, rig.exchange.join("exercise"))), "chatter")
    return rig.stream.hexdigest()


def fly(listener: ZeroMQListener, keys: Path, attack: Attack, endpoint: str = "") -> str:
    """Fly to the end with an attack in the middle; return the digest.

    What was counted must be what the attack says, on top of the one who flies.
    """
    rig = SmallRig(END_NS)
    wanted: list[Counted] = []
    rig.pulse(END_NS // 2, lambda t_ns: wanted.append(attack(listener.endpoint, keys)))

    def act() -> None:
        run(connect(endpoint or listener.endpoint, "exercise", keys / "client.key"), "chatter")

    coordinator = Coordinator(rig.exchange)
    coordinator.add(listener.channel(), "exercise")
    with running(act) as failures:
        try:
            coordinator.run()
        except BaseException:
            listener.close()  # else the participant waits for ever
            raise
    assert not failures, failures
    counted = {kind: count for kind, count in listener.look().items() if count}
    flown = {"accepted": 1, "admitted": 1, "left": 1}
    everything = {
        kind: flown.get(kind, 0) + wanted[0].get(kind, 0) for kind in (*flown, *wanted[0])
    }
    assert {**counted, "left": 1} == everything
    return rig.stream.hexdigest()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give strangers a fifth of a second to show a key."""
    monkeypatch.setattr(door, "HANDSHAKE_MS", 200)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_run_goes_on_as_if_nobody_had_come(attack: Attack, keys: Path, undisturbed: str) -> None:
    """Whatever a stranger does, it is counted by kind, and the digest is the undisturbed one."""
    with ZeroMQListener("tcp", keys) as listener:
        assert fly(listener, keys, attack) == undisturbed


@pytest.mark.parametrize("how", ["replay", "replay_in_step"])
def test_a_replayed_handshake_is_refused(how: str, keys: Path, undisturbed: str) -> None:
    """The octets of a good handshake open nothing when they are sent once more."""
    with ZeroMQListener("tcp", keys) as listener:
        recorder = Recorder(listener.endpoint)
        assert fly(listener, keys, getattr(recorder, how), recorder.endpoint) == undisturbed
        recorder.close()
        assert len(recorder.octets) > 1000


@pytest.mark.usefixtures("quick")
def test_a_stranger_that_was_there_before_is_not_taken_for_the_client(
    keys: Path, undisturbed: str
) -> None:
    """Connections that came and went before the client's, with its descriptor, end nothing."""
    with ZeroMQListener("tcp", keys) as listener:
        rig = SmallRig(END_NS)
        channel = listener.channel()
        strangers.scan(listener.endpoint, keys)

        def act() -> None:
            run(connect(listener.endpoint, "exercise", keys / "client.key"), "chatter")

        # Not heard of until after the first message, as on a machine that has other things to do.
        coordinator = Coordinator(rig.exchange)
        coordinator.add(channel, "exercise")
        with running(act) as failures:
            coordinator.run()
        assert not failures
        assert rig.stream.hexdigest() == undisturbed


@pytest.mark.usefixtures("quick")
def test_the_seat_is_free_for_the_next_client(keys: Path) -> None:
    """A client that came and left without a word does not keep the next one out."""
    with ZeroMQListener("tcp", keys) as listener:
        channel = listener.channel()
        known = read_private(keys / "client.key")
        with zmq.Context() as context, context.socket(zmq.PAIR) as first:
            first.linger = 0
            first.curve_serverkey = known["server"].encode()
            first.curve_publickey = known["public"].encode()
            first.curve_secretkey = known["secret"].encode()
            monitor = first.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            first.connect(listener.endpoint)
            assert monitor.poll(int(strangers.PATIENCE_S * 1000))
            first.disable_monitor()
            monitor.close()
        while not listener.look()["left"]:
            assert channel.recv() is None
        reached = []

        def act() -> None:
            peer = open_channel(listener.endpoint, keys / "client.key")
            reached.append(peer.exchange(b"x" * 32))
            peer.close()

        with running(act) as failures:
            while (message := channel.recv()) is None:
                continue
            channel.send(message)
        assert not failures
        assert reached == [b"x" * 32]


def test_a_second_program_at_ipc_is_turned_away(keys: Path) -> None:
    """Where keys are none, within one user, the first one has the seat all the same."""
    with ZeroMQListener("ipc") as listener:
        channel = listener.channel()
        first = open_channel(listener.endpoint)

        def act() -> None:
            first.exchange(b"x" * 32)

        with running(act):
            while (message := channel.recv()) is None:
                continue
            second = open_channel(listener.endpoint)
            # Its own first words may be on their way still, and take the bench's last one along.
            told = r"another client is connected to it; wait until|closed its connection"
            with pytest.raises(BenchLostError, match=told):
                greet(second, "second")
            channel.send(message)
        first.close()
        assert listener.look()["refused_busy"] >= 1


def test_a_second_bench_at_a_path_leaves_the_first_its_socket(tmp_path: Path) -> None:
    """Who is refused an address that another bench has does not take it away from that."""
    at = tmp_path / "bench"
    with ZeroMQListener(f"ipc://{at}"):
        with pytest.raises(TransportError, match="cannot listen"):
            ZeroMQListener(f"ipc://{at}")
        assert at.is_socket()
    assert not at.exists()


@pytest.mark.parametrize("place", ["{}/notes", "@name", "*"])
def test_nothing_but_a_socket_of_a_bench_is_replaced(tmp_path: Path, place: str) -> None:
    """A file at the path of a socket is left as it is, and a name without rights is refused."""
    notes = tmp_path / "notes"
    notes.write_text("of a year")
    with pytest.raises(TransportError, match="path"):
        ZeroMQListener(f"ipc://{place.format(tmp_path)}")
    assert notes.read_text() == "of a year"


def test_a_message_beyond_the_limit_ends_its_connection(keys: Path) -> None:
    """What is longer than any message is not taken into memory: its sender is lost."""
    with ZeroMQListener("tcp", keys) as listener:
        channel = listener.channel()

        def act() -> None:
            peer = open_channel(listener.endpoint, keys / "client.key")
            peer.exchange(b"x" * 32)
            with pytest.raises(Lost):
                peer.exchange(bytes(MESSAGE_LIMIT_NBYTES + 1))
            peer.close()

        with running(act) as failures:
            while (message := channel.recv()) is None:
                continue
            channel.send(message)
            try:
                with pytest.raises(ChannelLost):
                    all(iter(lambda: channel.recv() is None, False))
            finally:
                listener.close()
        assert not failures
        assert listener.look()["left"] == 1


def test_who_was_refused_is_told_once_in_ten(keys: Path) -> None:
    """The first of a kind is told, then the 10th; with the address where it is known."""
    told: list[tuple[str, str]] = []
    with ZeroMQListener("tcp", keys) as listener:
        listener.on_refused(lambda kind, text: told.append((kind, text)))
        for _ in range(12):
            strangers.unknown_client(listener.endpoint, keys)
        listener.look()
    assert [kind for kind, _ in told] == ["refused_client"] * 2
    assert "from 127.0.0.1" in told[0][1]
    assert "(10 by now)" in told[1][1]


@pytest.mark.soak
def test_a_thousand_idle_connections_are_borne_and_dropped(keys: Path, undisturbed: str) -> None:
    """1,000 connections that say nothing are held, the run goes on, and each is timed out."""

    def crowd(endpoint: str, keys: Path) -> Counted:
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(strangers.connected(endpoint)) for _ in range(1000)]
            for connection in held:
                strangers.hung_up(connection)
        return {"accepted": 1000, "timed_out": 1000}

    with ZeroMQListener("tcp", keys) as listener:
        assert fly(listener, keys, crowd) == undisturbed


@pytest.mark.soak
def test_a_million_random_messages_of_strangers_harm_nothing(keys: Path, undisturbed: str) -> None:
    """10^6 random messages without a key: dropped and counted, and the digest stays."""

    def million(endpoint: str, keys: Path) -> Counted:
        return strangers.random_messages(endpoint, keys, 1_000_000)

    with ZeroMQListener("tcp", keys) as listener:
        assert fly(listener, keys, million) == undisturbed


@pytest.mark.soak
def test_a_hundred_thousand_random_handshakes_harm_nothing(keys: Path, undisturbed: str) -> None:
    """10^5 well-formed handshakes with random keys: each is refused, and the digest stays."""

    def many(endpoint: str, keys: Path) -> Counted:
        return strangers.random_handshakes(endpoint, keys, 100_000)

    with ZeroMQListener("tcp", keys) as listener:
        assert fly(listener, keys, many) == undisturbed
