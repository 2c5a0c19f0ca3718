"""`hil run -- CMD`: streams, signals, exit codes and files of an unmodified program."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flightsw.codec.wire import FIRST_DIGEST_KIND, Flag, Kind
from hil import hosting
from hil.capture.reader import Capture
from hil.cli import main
from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[3]
BUILT = ROOT / "hil" / "faces" / SHIM
needs_shim = pytest.mark.skipif(not BUILT.is_file(), reason="the preload shim was not built")


def words(folder: Path, *options: str) -> list[str]:
    """Return the command in front of ``--``."""
    return [sys.executable, "-m", "hil", "run", "--out", str(folder / "run"), *options, "--"]


def runs(pid: str) -> bool:
    """Tell whether a process lives; one whose parent has not asked for its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@needs_shim
def test_streams_are_those_of_the_program(tmp_path: Path) -> None:
    """What goes in comes out, and the bench adds nothing to either stream."""
    done = subprocess.run(
        [*words(tmp_path), "sh", "-c", "cat; echo talk >&2"],
        input=b"\x00data\xff",
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\x00data\xff", b"talk\n")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"capture.mcap", "run.json", "events.jsonl"}


@needs_shim
def test_signals_go_to_the_program(tmp_path: Path) -> None:
    """SIGTERM is handed on, the program ends as it likes, and the run is kept."""
    script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    with subprocess.Popen(
        [*words(tmp_path), "sh", "-c", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 5
    assert json.loads((tmp_path / "run" / "run.json").read_text())["exit_code"] == 5


@needs_shim
def test_a_program_that_a_signal_ends_is_told_as_by_a_shell(tmp_path: Path) -> None:
    """Exit code 128 + N after signal N; 127 where there is no such program."""
    assert subprocess.run([*words(tmp_path), "sh", "-c", "kill -9 $$"]).returncode == 137
    shutil.rmtree(tmp_path / "run")
    done = subprocess.run([*words(tmp_path), "no-such-program"], capture_output=True, text=True)
    assert done.returncode == 127
    assert "no-such-program: No such file" in done.stderr


@needs_shim
def test_the_end_of_the_run_ends_the_program(tmp_path: Path) -> None:
    """--duration ends the program with SIGTERM and says so on stderr."""
    done = subprocess.run(
        [*words(tmp_path, "--duration", "1", "--pace", "x20"), "sleep", "60"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert "the run of 1 is over" in done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["virtual_s"] == 1.0


@needs_shim
def test_the_end_of_the_run_ends_what_the_program_has_left(tmp_path: Path) -> None:
    """A child, an orphan in a session of its own and one deaf to SIGTERM end with the run."""
    deaf = "(trap '' TERM; echo $(exec sh -c 'echo $PPID'); while :; do sleep 0.01; done) &"
    script = f"sleep 60 & echo $!; (setsid sleep 60 & echo $!); {deaf} wait"
    with subprocess.Popen(
        [*words(tmp_path, "--duration", "1", "--pace", "x2"), "sh", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids = process.stdout.read().split()  # ends when nobody can write any more
    assert process.returncode == 128 + signal.SIGTERM
    assert [runs(pid) for pid in pids] == [False] * 3


@needs_shim
def test_what_crossed_a_bus_is_in_the_capture(tmp_path: Path) -> None:
    """Each transaction of the program is a record of the capture, with its bus time."""
    program = "import fcntl, os; f = os.open('/dev/i2c-1', 2); fcntl.ioctl(f, 0x703, 0x48)\n"
    program += "for n in range(7): os.write(f, bytes([15])); os.read(f, 2)"
    subprocess.run([*words(tmp_path, "--pace", "max"), sys.executable, "-c", program], check=True)
    with Capture(tmp_path / "run" / "capture.mcap") as capture:
        kinds = [record.kind for record in capture.records() if record.channel == 0]
    assert kinds == [0x10] * 14


@needs_shim
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_no_privilege_is_needed(tmp_path: Path) -> None:
    """The bench, its socket and the shim work without any capability."""
    drop = ["setpriv", "--no-new-privs"]
    if os.geteuid() == 0:
        drop += ["--bounding-set", "-all", "--inh-caps", "-all"]
    show = "grep CapEff /proc/self/status; test -c /dev/i2c-1 && echo seen"
    done = subprocess.run(
        [*drop, *words(tmp_path), "sh", "-c", show], capture_output=True, text=True
    )
    assert done.stdout.split() == ["CapEff:", "0000000000000000", "seen"], done.stderr


def test_a_command_line_without_a_program_is_wrong_usage(capsys: pytest.CaptureFixture) -> None:
    """Nothing behind `--` is exit code 2 with an example."""
    assert main(["run", "--"]) == 2
    assert "hil run -- i2cdetect" in capsys.readouterr().err


def test_without_a_shim_the_message_says_how_to_get_it(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no shim was built, the run ends with exit code 3 and the remedy."""
    monkeypatch.setattr(hosting, "SHIM", "_not_built.so")
    assert main(["run", "--", "true"]) == 3
    assert "pip install -e ." in capsys.readouterr().err


def test_the_published_calls_are_those_of_the_source() -> None:
    """docs/shim.md lists exactly the ioctls that the shim handles and the functions it defines."""
    page = (ROOT / "docs" / "shim.md").read_text()
    source = "".join(path.read_text() for path in sorted((ROOT / "csrc" / "shim").glob("*.c")))
    ioctl = re.compile(
        r"\b(I2C_(?!M_|SMBUS_|FUNC_|RDWR_)[A-Z]+(?:_FORCE)?|I2C_SMBUS"
        r"|SPI_IOC_[A-Z0-9_]+|GPIO[A-Z0-9_]+_IOCTL)\b"
    )
    handled = set(re.findall(r"(?:case|==) " + ioctl.pattern, source)) - {"SPI_IOC_MAGIC"}
    assert handled | {"SPI_IOC_MESSAGE"} == set(ioctl.findall(page))
    made = r"^[A-Z][A-Z0-9_]*\((\w+)"
    defined = set(re.findall(made, source, re.MULTILINE))
    defined |= set(re.findall(r"^HIL_EXPORT [^;(]*?(\w+)\([^;]*\)$", source, re.MULTILINE))
    assert defined - {"name"} == set(
        re.findall(r"`(\w+)`", page.split("Functions of libc")[1].split("\n## ")[0])
    )


@needs_shim
@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed")
def test_the_shim_exports_nothing_else() -> None:
    """What stands in front of libc is what the page lists."""
    page = (ROOT / "docs" / "shim.md").read_text().split("Functions of libc")[1].split("\n## ")[0]
    out = subprocess.run(["nm", "-D", "--defined-only", str(BUILT)], capture_output=True, text=True)
    assert {line.split()[-1] for line in out.stdout.splitlines()} == set(
        re.findall(r"`(\w+)`", page)
    )


@needs_shim
@pytest.mark.parametrize("clock", [(), ("--virtual-time",)], ids=["wall", "virtual"])
def test_what_was_written_leaves_though_the_program_has_ended(
    tmp_path: Path, clock: tuple[str, ...]
) -> None:
    """Octets that take longer than their program lives are on the line, each of them, and none is
    counted as unsent."""
    script = (
        "import os, termios; fd = os.open('/dev/ttyAMA1', os.O_RDWR | os.O_NOCTTY);"
        "way = termios.tcgetattr(fd); way[4] = way[5] = termios.B600;"
        "termios.tcsetattr(fd, termios.TCSANOW, way); os.write(fd, bytes(range(64)) * 6);"
        "os._exit(0)"
    )
    done = subprocess.run([*words(tmp_path, *clock), sys.executable, "-c", script])
    assert done.returncode == 0
    with Capture(tmp_path / "run" / "capture.mcap") as capture:
        sent = [r for r in capture.records() if r.kind == Kind.UART and not r.flags & Flag.INPUT]
    assert b"".join(r.payload for r in sent) == bytes(range(64)) * 6
    counters = json.loads((tmp_path / "run" / "run.json").read_text())["counters"]
    assert "unsent" not in counters.get("host", {})


@needs_shim
def test_what_a_program_does_beside_its_buses_is_in_the_capture(tmp_path: Path) -> None:
    """Attributes that it reads and how it sets a serial line are records; the digest is without."""
    script = (
        "import os, termios; print(open('/sys/class/thermal/thermal_zone0/temp').read(), end='');"
        "fd = os.open('/dev/ttyAMA1', os.O_RDWR | os.O_NOCTTY); way = termios.tcgetattr(fd);"
        "way[4] = way[5] = termios.B19200; termios.tcsetattr(fd, termios.TCSANOW, way);"
        "os.write(fd, b'x'); termios.tcdrain(fd)"
    )
    done = subprocess.run([*words(tmp_path), sys.executable, "-c", script], capture_output=True)
    assert done.returncode == 0, done.stderr
    with Capture(tmp_path / "run" / "capture.mcap") as capture:
        records = list(capture.records())
        topics = {channel.topic for channel in capture.channels.values()}
    (access,) = (json.loads(r.payload) for r in records if r.kind == Kind.ATTRIBUTE)
    assert access["path"] == "/sys/class/thermal/thermal_zone0/temp"
    assert access["text"].encode() == done.stdout
    assert json.loads([r for r in records if r.kind == Kind.LINES][-1].payload)["baud"] == 19200
    assert topics >= {"/attribute", "/lines/ttyAMA1", "/bus/ttyAMA1"}
    kept = [r for r in records if r.kind >= FIRST_DIGEST_KIND and r.kind != Kind.WORLD]
    assert [r.seq for r in kept] == list(range(len(kept)))
    digest = hashlib.blake2b(b"".join(r.pack() for r in kept), digest_size=32).hexdigest()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["digest"] == digest
