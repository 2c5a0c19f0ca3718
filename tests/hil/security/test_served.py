"""A bench that serves run after run, and clients with a key that speak nonsense."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import garbage
import pytest
import strangers

from flightsw.__main__ import fly
from flightsw.errors import BenchLostError, BenchRefusedError
from flightsw.hal.channel import Lost, open_channel

SERVE = [sys.executable, "-m", "hil", "serve", "--listen", "tcp://127.0.0.1:0", "--json"]
SHORT = ["--duration", "5", "--pace", "max", "--inference", "threshold"]
#: Ends, of those that begin with a good greeting, by a record that has no place.
SEED = 5


@pytest.fixture
def served(tmp_path: Path, keys: Path) -> subprocess.Popen[str]:
    """Have a bench that serves until it is stopped; what it says comes on stderr."""
    words = [*SERVE, *SHORT, "--keys", str(keys)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as bench:
        yield bench
        bench.kill()


def said(bench: subprocess.Popen[str], what: str) -> str:
    """Return the next line of the bench that has ``what`` in it."""
    assert bench.stderr is not None
    return next(line for line in bench.stderr if what in line)


def speak(endpoint: str, key: Path, seed: int) -> None:
    """Come with a key, say one conversation of nonsense, until the bench hangs up."""
    with contextlib.suppress(Lost, BenchLostError, BenchRefusedError):
        peer = open_channel(endpoint, key)
        try:
            for message in garbage.conversation(seed):
                peer.exchange(message)
        finally:
            peer.close()


def test_nonsense_ends_its_own_run_and_not_the_bench(
    served: subprocess.Popen[str], tmp_path: Path, keys: Path
) -> None:
    """The run of a client that breaks the protocol ends by name; the next client flies whole."""
    endpoint = said(served, "listening at").split()[-1]
    strangers.unknown_client(endpoint, keys)
    assert "not in clients.allow" in said(served, "refused")
    speak(endpoint, keys / "client.key", SEED)
    assert "participant 'fsw'" in said(served, "the run ended")
    fly(endpoint, tmp_path / "payload", "pi", keys / "client.key")
    assert served.stdout is not None
    outcome = json.loads(served.stdout.readline())
    served.send_signal(signal.SIGTERM)
    served.communicate(timeout=60)
    assert served.returncode == 128 + signal.SIGTERM
    told = json.loads((Path(tmp_path, outcome["run_dir"]) / "run.json").read_text())
    assert told["counters"]["listener"]["refused_client"] == 1
