"""A bench that listens, and flight software that comes to it by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flightsw.__main__ import fly as fly_software
from hil.cli import main
from hil.errors import UsageError
from hil.options import Options
from hil.serving.asked import Service
from hil.serving.serve import serve
from hil.session import fly
from hil.time.transports.keys import make_keys
from tests.hil.serving.pairs import bench

SHORT = Options(transport="tcp", inference="threshold", duration_s=70.0, pin=False)
SERVE = [sys.executable, "-m", "hil", "serve", "--listen", "tcp://127.0.0.1:0"]
FLIGHTSW = [sys.executable, "-m", "flightsw", "--bench"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "keys"
    make_keys(folder)
    return folder


def test_a_run_with_another_machine_is_the_run_with_this_one(tmp_path: Path, keys: Path) -> None:
    """Flight software that comes over tcp gives the records of the run on one machine."""
    local = fly(replace(SHORT, transport="direct", out=tmp_path / "local"))
    with bench(replace(SHORT, out=tmp_path / "remote"), keys) as there:
        fly_software(there.endpoint, tmp_path / "pi", "pi-1", keys / "client.key")
        remote = there.join()
    assert (remote.digest, remote.records) == (local.digest, local.records)
    assert there.lines[1].startswith("flying with 'pi-1'")


def test_a_bench_that_is_stopped_closes_its_books(tmp_path: Path, keys: Path) -> None:
    """SIGTERM in mid-flight ends the run: directory, verdict and capture are whole."""
    out = tmp_path / "run"
    words = [*SERVE, "--keys", str(keys), "--once", "--out", str(out), "--inference", "threshold"]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes) as served:
        assert served.stderr is not None
        endpoint = served.stderr.readline().split()[-1]
        client = ["--keys", str(keys / "client.key"), "--storage", str(tmp_path / "pi")]
        with subprocess.Popen([*FLIGHTSW, endpoint, *client]) as flown:
            assert "flying with" in served.stderr.readline()
            served.send_signal(signal.SIGTERM)
            said, more = served.communicate(timeout=60)
            assert flown.wait(60) == 0
    assert served.returncode == 128 + signal.SIGTERM, more
    assert said.startswith("verdict: bad")
    assert {"run.json", "capture.mcap", "report.html"} <= {path.name for path in out.iterdir()}


@pytest.mark.parametrize("listen", ["5557", "udp://127.0.0.1:1", "seqpacket:///tmp/x"])
def test_an_address_that_is_none_is_said(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An address that no bench can listen on is named before anything is built."""
    assert main(["serve", "--listen", listen]) == 2
    assert f"{listen!r}: give tcp://HOST:PORT" in capsys.readouterr().err


def test_one_directory_holds_one_run(tmp_path: Path, keys: Path) -> None:
    """A bench that serves run after run is not given one directory for all."""
    with pytest.raises(UsageError, match="add --once"):
        serve(replace(SHORT, out=tmp_path), Service(keys=keys), print, print)
