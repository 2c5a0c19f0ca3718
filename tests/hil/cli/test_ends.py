"""How `hil` ends when the world around it does: signals, readers that leave, full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

RUN = [sys.executable, "-m", "hil", "run", "--inference", "threshold", "-q"]


def begun(out, *options):
    """Start a run in a process; return it when it is flying."""
    process = subprocess.Popen(
        [*RUN, "--out", str(out), *options], stderr=subprocess.PIPE, start_new_session=True
    )
    storage = out.with_name(out.name + ".partial") / "payload"
    while not (storage.is_dir() and any(storage.iterdir())):
        assert process.poll() is None, process.stderr.read().decode()
        os.sched_yield()
    return process


@pytest.mark.parametrize("transport", ["direct", "ipc", "tcp", "seqpacket", "inproc"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_takes_its_files_away(tmp_path, transport, number, monkeypatch):
    """SIGTERM and Ctrl-C leave no file, no socket and no process, and say so in one line."""
    sockets = tmp_path / "run-time"
    sockets.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(sockets))
    monkeypatch.setenv("TMPDIR", str(sockets))
    process = begun(tmp_path / "run", "--transport", transport, "--pace", "x20")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in err
    assert err.decode().strip().splitlines()[-1].startswith("hil run: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-time"]
    assert list(sockets.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_reader_that_leaves_does_not_make_a_bad_verdict_good(tmp_path):
    """A run whose stdout has no reader ends with the exit code of its verdict, quietly."""
    command = [*RUN, "--json", "--transport", "direct", "--duration", "20"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "run")], stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert done.returncode == 1
    assert b"verdict: bad" in done.stderr
    assert b"Exception" not in done.stderr


@pytest.mark.parametrize("verb", [["--help"], ["--version"], ["doctor"]])
def test_output_that_cannot_be_written_is_one_line(verb):
    """A full disk behind stdout is told in one line with the exit code of an unfit host."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "hil", *verb], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1
    assert "No space left" in done.stderr


@pytest.mark.parametrize(
    "missing",
    ["numpy", "zmq", "construct", "sgp4", "zstandard", "flightsw.codec._codec_plain_ffi"],
)
def test_a_host_without_a_required_package_is_told_in_one_line(missing, tmp_path):
    """What is not installed ends a run with the exit code of an unfit host and the remedy."""
    gone = [missing, "flightsw.codec._codec"] if missing.startswith("flightsw") else [missing]
    code = f"import sys; sys.modules.update(dict.fromkeys({gone})); from hil.cli import main\n"
    code += f"sys.exit(main(['run', '--transport', 'direct', '--out', {str(tmp_path / 'run')!r}]))"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1
    for words in (missing, "pip install -e .", "hil doctor"):
        assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_module_of_ours_that_is_missing_is_no_matter_of_the_host():
    """An import that is wrong in our own code shows where it is wrong."""
    code = "import sys; sys.modules['hil.rig'] = None; from hil.cli import main; main(['run'])"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
