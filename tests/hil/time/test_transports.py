"""Every transport: the contract, the same digest, the end of a run, keys, losses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType

import pytest
import zmq

from flightsw.errors import BenchLostError, BenchRefusedError
from flightsw.hal.bench import DirectHal
from flightsw.hal.channel import Lost, connect, open_channel
from flightsw.hal.exercise import run
from hil.errors import ParticipantError, TransportError
from hil.testing import check_transport
from hil.testing.contracts import transport as suite
from hil.testing.small_rig import Camera, SmallRig
from hil.time import transports
from hil.time.coordinator import Coordinator
from hil.time.pacing import Pacer
from hil.time.transports import Listener, listen
from hil.time.transports.direct import DirectPort
from hil.time.transports.keys import make_keys, read_private

TRANSPORTS = ("seqpacket", "inproc", "ipc", "tcp")
END_NS = 300_000_000


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bench") / "keys"
    make_keys(directory)
    return directory


@pytest.fixture(params=TRANSPORTS)
def listener(request: pytest.FixtureRequest, keys: Path) -> Listener:
    with listen(request.param, keys) as listener:
        yield listener


@pytest.fixture
def open_peer(keys: Path) -> suite.OpenPeer:
    return partial(open_channel, keys=keys / "client.key")


def test_messages_of_every_length(listener: Listener, open_peer: suite.OpenPeer) -> None:
    """Messages from one record to many frames arrive whole and in order, both ways."""
    suite.check_messages(listener, open_peer)


def test_a_silent_peer_does_not_block(listener: Listener) -> None:
    """A wait for a message comes back to look around."""
    suite.check_silence(listener)


def test_a_lost_participant_is_noticed(listener: Listener, open_peer: suite.OpenPeer) -> None:
    """A participant that leaves is noticed and the next incarnation finds the same endpoint."""
    suite.check_lost_participant(listener, open_peer)


def test_a_lost_bench_is_noticed(listener: Listener, open_peer: suite.OpenPeer) -> None:
    """A bench that goes away is noticed by a participant that waits for its reply."""
    suite.check_lost_bench(listener, open_peer, Lost)


def test_the_suite_is_one_call(open_peer: suite.OpenPeer) -> None:
    """Whoever writes a transport runs the whole suite with one call."""
    check_transport(lambda: listen("ipc"), open_peer, Lost)


def fly(
    rig: SmallRig, listener: Listener, keys: Path, loop: str = "chatter", lazy: bool = False
) -> None:
    """Fly a loop in a thread of its own to the end of the run."""

    def act() -> None:
        run(connect(listener.endpoint, "exercise", keys / "client.key", lazy=lazy), loop)

    coordinator = Coordinator(rig.exchange)
    coordinator.add(listener.channel(), "exercise")
    with suite.running(act) as failures:
        coordinator.run()
    assert not failures, failures


def direct(rig: SmallRig, loop: str = "chatter") -> SmallRig:
    run(DirectHal(DirectPort(rig.exchange, rig.exchange.join("exercise"))), loop)
    return rig


@pytest.fixture(scope="module")
def reference() -> SmallRig:
    return direct(SmallRig(END_NS))


@pytest.mark.parametrize("lazy", [False, True])
def test_the_same_records_on_every_transport(
    listener: Listener, keys: Path, reference: SmallRig, lazy: bool
) -> None:
    """Traffic on six kinds of bus gives the records, octet for octet, of the direct call."""
    rig = SmallRig(END_NS)
    fly(rig, listener, keys, lazy=lazy)
    assert rig.stream.hexdigest() == reference.stream.hexdigest()
    assert rig.records() == reference.records()
    assert {record.kind for record in rig.records()} >= set(range(0x10, 0x17))


def test_a_gate_changes_no_record(reference: SmallRig) -> None:
    """A run that is held to the wall clock has the records of one that is not."""
    rig = SmallRig(END_NS)
    Pacer(rig.kernel, "x1000")
    assert direct(rig).stream.hexdigest() == reference.stream.hexdigest()


def test_a_large_frame_crosses_every_transport(listener: Listener, keys: Path) -> None:
    """A frame of a megapixel is delivered whole, far beyond any socket buffer."""
    rig = SmallRig(END_NS, Camera(1200, 900))
    fly(rig, listener, keys)
    assert rig.stream.hexdigest() == direct(SmallRig(END_NS, Camera(1200, 900))).stream.hexdigest()


def test_a_hundred_runs_end_without_loss(keys: Path) -> None:
    """A hundred runs over ipc end with both sides agreeing on every record that crossed."""
    for _ in range(100):
        rig = SmallRig(5_000_000)
        with listen("ipc") as listener:
            fly(rig, listener, keys)
        (participant,) = rig.exchange.participants
        assert participant.received > 10


def test_the_endpoint_of_ipc_is_private() -> None:
    """Sockets in the file system lie in a directory of ours, mode 0700, and are gone afterwards."""
    for transport in ("ipc", "seqpacket"):
        with listen(transport) as listener:
            path = Path(listener.endpoint.partition("://")[2])
            assert path.parent.stat().st_mode & 0o777 == 0o700
            assert path.stat().st_mode & 0o777 == 0o600
            assert len(str(path)) < 108
        assert not path.parent.exists()


def interrupted(nth: int, endpoint: str) -> bool:
    """Open and close a listener; tell whether Ctrl-C came, at the nth line of opening it."""
    folder = str(Path(transports.__file__).parent)
    left = nth

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal left
        if not frame.f_code.co_filename.startswith(folder):
            return None
        left -= event == "line"
        if left == 0:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        listener = listen(endpoint)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    listener.close()
    return False


# Sockets that were interrupted before anyone held them are closed by the collector, with a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("transport", ["ipc", "seqpacket"])
def test_an_interrupt_while_it_opens_leaves_no_folder(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever line of the opening a signal comes, the private folder is gone afterwards."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    listen(transport).close()  # the lines of the import are not those of the opening
    for nth in count(1):
        again = interrupted(nth, transport)
        assert list(tmp_path.iterdir()) == [], f"line {nth}"
        if not again:
            break
    assert nth > 20


# --- losses ---------------------------------------------------------------------------------------


def start(endpoint: str, loop: str, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "flightsw.hal.exercise", endpoint, loop, *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


@pytest.mark.parametrize("transport", ["seqpacket", "ipc", "tcp"])
def test_a_killed_process_is_noticed(transport: str, keys: Path) -> None:
    """SIGKILL of a participant is seen at once and reported with the time and how it ended."""
    rig = SmallRig(10**18)
    with listen(transport, keys) as listener:
        process = start(listener.endpoint, "chatter", str(keys))
        coordinator = Coordinator(rig.exchange)

        def died() -> str | None:
            return None if process.poll() is None else f"died with {process.returncode}"

        coordinator.add(listener.channel(), "fsw", died=died)
        rig.pulse(50_000_000, lambda t: os.kill(process.pid, signal.SIGKILL))
        with pytest.raises(ParticipantError, match=r"'fsw' was lost at t=0\.05.*(died with -9|it)"):
            coordinator.run()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.parametrize("transport", ["seqpacket", "ipc", "tcp"])
def test_a_killed_bench_is_reported_by_the_participant(transport: str, keys: Path) -> None:
    """A participant whose bench vanishes says which bench, where and when, and exits with 4."""
    rig = SmallRig(10**18)

    class Vanished(Exception):
        pass

    def vanish(t_ns: int) -> None:
        raise Vanished

    with listen(transport, keys) as listener:
        process = start(listener.endpoint, "chatter", str(keys))
        coordinator = Coordinator(rig.exchange)
        coordinator.add(listener.channel(), "fsw")
        rig.pulse(50_000_000, vanish)
        with pytest.raises(Vanished):
            coordinator.run()
        endpoint = listener.endpoint
    _, said = process.communicate()
    assert process.returncode == 4
    assert said.decode().startswith(f"bench 'small' at {endpoint} was lost at t=0.0"), said
    assert b"Traceback" not in said


@pytest.mark.parametrize("endpoint", ["ipc:///nonexistent/z", "seqpacket:///nonexistent/s"])
def test_no_bench_is_reported(endpoint: str) -> None:
    """A participant that finds nobody says so and what to do."""
    with pytest.raises(BenchLostError, match=r"/nonexistent/.* start the bench first"):
        connect(endpoint, patience_s=0.0)


@pytest.mark.parametrize("opener", [listen, connect])
@pytest.mark.parametrize("endpoint", ["", "udp://x", "direct", "/tmp/x"])
def test_an_unknown_endpoint_is_refused(opener: Callable[[str], object], endpoint: str) -> None:
    """An endpoint of no known kind is an error that lists the kinds."""
    with pytest.raises((TransportError, BenchLostError), match=r"seqpacket://"):
        opener(endpoint)


@pytest.mark.parametrize("transport", ["ipc", "seqpacket", "inproc"])
def test_an_endpoint_that_is_taken_is_refused(transport: str, tmp_path: Path) -> None:
    """Two benches cannot listen at one place; the second is told."""
    place = f"{transport}://{tmp_path}/x"
    with listen(place), pytest.raises(TransportError, match="cannot listen"):
        listen(place)


@pytest.mark.parametrize("transport", ["ipc", "seqpacket"])
def test_a_path_that_no_socket_takes_is_told_with_what_to_do(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder too deep for sockets is told in words of a user, before anything is bound."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(TransportError, match=r"octets.*: export XDG_RUNTIME_DIR=/tmp, or use"):
        listen(transport)
    assert list(deep.iterdir()) == []
    with pytest.raises(TransportError, match="give a shorter one"):
        listen(f"{transport}://{deep}/x")


# --- keys -----------------------------------------------------------------------------------------


def test_tcp_without_keys_is_refused(keys: Path) -> None:
    """There is no unauthenticated tcp, on neither end."""
    with pytest.raises(TransportError, match="tcp needs the keys"):
        listen("tcp")
    with (
        listen("tcp", keys) as listener,
        pytest.raises(BenchRefusedError, match="tcp needs the key"),
    ):
        connect(listener.endpoint)


def test_keys_are_private_and_stay(tmp_path: Path) -> None:
    """Key files are made with mode 0600 whatever the umask, and never made anew over old ones."""
    before = os.umask(0)
    try:
        make_keys(tmp_path / "keys")
    finally:
        os.umask(before)
    made = {path.name: path.read_text() for path in (tmp_path / "keys").iterdir()}
    assert sorted(made) == ["client.key", "clients.allow", "server.key"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    make_keys(tmp_path / "keys")
    assert made == {path.name: path.read_text() for path in (tmp_path / "keys").iterdir()}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_wide_key_files_are_refused(tmp_path: Path, mode: int) -> None:
    """A key file that others can read is refused on both ends, with the command that mends it."""
    make_keys(tmp_path)
    for name in ("server.key", "client.key"):
        (tmp_path / name).chmod(mode)
    with pytest.raises(TransportError, match=f"mode {mode:04o}.*chmod 600"):
        listen("tcp", tmp_path)
    with pytest.raises(BenchRefusedError, match=f"mode {mode:04o}.*chmod 600"):
        connect("tcp://127.0.0.1:1", keys=tmp_path)


def test_a_key_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Missing files and files without whole keys are errors, not handshakes that never end."""
    with pytest.raises(TransportError, match="make the keys"):
        listen("tcp", tmp_path / "nothing")
    with pytest.raises(BenchRefusedError, match=r"copy client\.key"):
        connect("tcp://127.0.0.1:1", keys=tmp_path / "nothing")
    bad = tmp_path / "bad"
    bad.touch(0o600)
    bad.write_text("secret = short\n")
    with pytest.raises(TransportError, match="'secret' is not a key"):
        read_private(bad)
    with pytest.raises(BenchRefusedError, match="not all there"):
        connect("tcp://127.0.0.1:1", keys=bad)


def test_strangers_do_not_get_in_nor_in_the_way(tmp_path: Path, keys: Path) -> None:
    """A key that is not on the list is refused, and the run of the one that is goes on."""
    make_keys(tmp_path / "other")
    stranger = (tmp_path / "other" / "client.key").read_text().splitlines()
    server = read_private(keys / "server.key")["public"]
    forged = tmp_path / "forged.key"
    forged.touch(0o600)
    forged.write_text("\n".join([*stranger[:2], f"server = {server}"]))
    rig = SmallRig(END_NS)
    refused: list[BenchRefusedError] = []
    with listen("tcp", keys) as listener:

        def intrude(t_ns: int) -> None:
            with pytest.raises(BenchRefusedError, match="refused our key") as caught:
                connect(listener.endpoint, keys=forged)
            refused.append(caught.value)

        rig.pulse(100_000_000, intrude)
        fly(rig, listener, keys)
    assert len(refused) == 1
    assert rig.exchange.over


def test_a_peer_without_curve_is_refused(keys: Path) -> None:
    """A tcp peer that does not speak CURVE never reaches the bench."""
    with listen("tcp", keys) as listener:
        context = zmq.Context()
        peer = context.socket(zmq.PAIR)
        try:
            peer.linger = 0
            peer.connect(listener.endpoint)
            peer.send(b"x" * 32)
            channel = listener.channel()
            assert [channel.recv() for _ in range(3)] == [None] * 3
        finally:
            peer.close()
            context.term()


def test_threads_of_a_run_are_gone_afterwards(keys: Path) -> None:
    """A listener that is closed leaves no thread of ours behind, the authenticator's included."""
    before = threading.active_count()
    with listen("tcp", keys):
        assert threading.active_count() > before
    assert threading.active_count() == before
