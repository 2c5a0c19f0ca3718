"""Flight software that stays: resets, benches that are killed, peers that are not meant."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from flightsw.codec.wire import HEADER_NBYTES, Kind, Status, pack
from flightsw.errors import BenchLostError, HandshakeBrokenError, SessionOverError, Shutdown
from flightsw.hal.channel import Lost
from flightsw.hal.channel.zeromq import ZeroMQChannel
from flightsw.staying import PAUSE_MOST_S, stay
from hil.options import Options
from hil.session import fly
from hil.time.transports.keys import make_keys
from tests.hil.serving.pairs import bench
from tests.hil.serving.trouble import Relay

SHORT = Options(transport="tcp", inference="threshold", duration_s=40.0, pin=False)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "keys"
    make_keys(folder)
    return folder


@contextmanager
def staying(endpoint: str, storage: Path, keys: Path) -> Iterator[subprocess.Popen[str]]:
    """Have a process of flight software that stays; it must leave well when it is told to."""
    words = [sys.executable, "-m", "flightsw", "--bench", endpoint, "--stay"]
    words += ["--keys", str(keys / "client.key"), "--storage", str(storage)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said
        finally:
            process.kill()


def test_a_reset_is_the_reset_of_a_run_on_one_machine(tmp_path: Path, keys: Path) -> None:
    """A payload computer that the bench kills starts anew, with the records of a local run."""
    options = replace(SHORT, duration_s=130.0, faults=("kill@20",))
    local = fly(replace(options, transport="direct", out=tmp_path / "local"))
    with (
        bench(replace(options, out=tmp_path / "remote"), keys) as there,
        staying(there.endpoint, tmp_path / "pi", keys),
    ):
        remote = there.join()
    assert (remote.digest, remote.records) == (local.digest, local.records)
    restarts = [c.figure for c in remote.verdict.conditions if c.name == "restarts"]
    assert restarts == ["1 restart, 1 stopped: injected"]


def test_a_bench_that_was_killed_is_joined_anew(tmp_path: Path, keys: Path) -> None:
    """Flight software whose bench was killed joins the next one there, as a new start."""
    words = [sys.executable, "-m", "hil", "serve", "--listen", "tcp://127.0.0.1:0", "--pace", "max"]
    words += ["--keys", str(keys), "--inference", "threshold", "--out", str(tmp_path / "one")]
    with subprocess.Popen([*words, "--once"], stderr=subprocess.PIPE, text=True) as killed:
        assert killed.stderr is not None
        endpoint = killed.stderr.readline().split()[-1]
        with staying(endpoint, tmp_path / "pi", keys) as software:
            assert "flying with" in killed.stderr.readline()
            killed.kill()
            killed.wait()
            with bench(replace(SHORT, out=tmp_path / "two"), keys, listen=endpoint) as second:
                outcome = second.join()
    assert outcome.verdict.conditions
    assert software.stderr is not None
    assert outcome.run_dir == tmp_path / "two"


def greeted(endpoint: str, keys: Path, hello: bytes) -> bytes:
    """Return the answer to a greeting; again where the bench still let go of the one before."""
    while True:
        channel = ZeroMQChannel(endpoint, keys / "client.key", 30.0)
        try:
            return channel.exchange(pack(Kind.HELLO, payload=hello))
        except Lost:
            continue
        finally:
            channel.close()


def test_a_peer_of_another_protocol_is_refused_and_the_next_flies(
    tmp_path: Path, keys: Path
) -> None:
    """One that speaks another protocol is told so; the bench waits on for one that it knows."""
    with bench(replace(SHORT, duration_s=5.0, out=tmp_path / "run"), keys) as there:
        answer = greeted(there.endpoint, keys, b'{"protocol": 0, "name": "old"}')
        assert answer[0] == Kind.REFUSE
        assert b"the bench speaks protocol 1, and what came speaks protocol 0" in answer
        lost = b'{"protocol": 1, "name": "x", "link": 1, "session": "00"}'
        answer = greeted(there.endpoint, keys, lost)
        assert (answer[0], answer[3]) == (Kind.REFUSE, Status.ABSENT)
        assert b"this bench does not know it" in answer[HEADER_NBYTES:]
        with staying(there.endpoint, tmp_path / "pi", keys):
            outcome = there.join()
    assert outcome.records > 0


def test_whoever_stays_waits_longer_for_a_bench_that_is_away_longer() -> None:
    """Pauses grow up to a limit while there is no bench, and begin anew when there was one."""
    pauses: list[float] = []
    away = [BenchLostError("away"), HandshakeBrokenError("away")] * 4
    ends = iter([*away[:7], None, SessionOverError("reset"), Shutdown("15")])

    def flown(*, alive: object) -> None:
        end = next(ends)
        if end is not None:
            raise end

    assert stay(flown, pause=pauses.append) == 0
    assert pauses[:7] == sorted(pauses[:7])
    assert pauses[6] == PAUSE_MOST_S
    assert pauses[7] == pauses[8] < pauses[0]


@pytest.mark.soak
def test_a_link_that_is_away_too_long_ends_as_a_dead_computer_does(
    tmp_path: Path, keys: Path
) -> None:
    """The watchdog is held while the link is away, until the limit; then it resets, and flight
    software that comes back begins anew."""
    options = replace(SHORT, pace="x20", duration_s=330.0, out=tmp_path / "run")
    with bench(options, keys, away_limit_s=30.0) as there:
        host, _, port = there.endpoint.removeprefix("tcp://").rpartition(":")
        with Relay((host, int(port))) as relay, staying(relay.endpoint, tmp_path / "pi", keys):

            def pull(counted: dict[str, int]) -> None:
                if counted["pieces"] == 5000:
                    relay._down = True

            def plug(line: str) -> None:
                if line.startswith("the flight software is gone"):
                    relay.up()

            relay.on_piece, there.on_line = pull, plug
            outcome = there.join()
    events = [
        json.loads(line) for line in (outcome.run_dir / "events.jsonl").read_text().splitlines()
    ]
    bench_says = [e["name"] for e in events if e.get("source") == "bench"]
    wanted = ["UUT_START", "LINK_LOST", "WATCHDOG_EXCUSED", "UUT_LOST", "WATCHDOG_RESET"]
    assert bench_says == [*wanted, "UUT_START"]
    came = json.loads((outcome.run_dir / "run.json").read_text())["came"]
    assert came[0]["ended"].startswith("its link was away for 30")
    assert len(came) == 2
