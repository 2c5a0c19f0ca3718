"""The supervisor: what a statically linked program gets from each device, and what can go wrong."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from hil.cli import main
from hil.errors import HostError
from hil.faces import supervisor
from hil.faces.supervisor import is_static, supervisor_path

ROOT = Path(__file__).resolve().parents[3]
SOURCE = Path(__file__).with_name("static_program.c")


def why_not() -> str:
    """Return why no program can be supervised here, or nothing."""
    try:
        supervisor_path()
    except HostError as error:
        return str(error)
    return ""


needs_supervisor = pytest.mark.skipif(bool(why_not()), reason=why_not() or "works")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the program that knows nothing of the bench, with libc inside."""
    path = tmp_path_factory.mktemp("static") / "program"
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    words = ["gcc", "-static", "-O1", "-Wall", "-Wextra", "-o", str(path), str(SOURCE)]
    done = subprocess.run(words, capture_output=True, text=True)
    if "cannot find -lc" in done.stderr:
        pytest.skip("libc for static linking is not installed")
    assert (done.returncode, done.stderr) == (0, "")
    return path


def command(folder: Path, *options: str) -> list[str]:
    """Return what stands in front of the program."""
    words = [sys.executable, "-m", "hil", "run", "-q", "--out", str(folder / "run")]
    return [*words, *(options or ("--pace", "max")), "--"]


def run(folder: Path, *words: object, pace: str = "max") -> subprocess.CompletedProcess[str]:
    """Run a program on the default board under the supervisor."""
    return subprocess.run(
        [*command(folder, "--static", "--pace", pace), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def told(folder: Path, program: Path, what: str, pace: str = "max") -> list[str]:
    """Return the lines that the program printed, which has ended well and without a word."""
    done = run(folder, program, what, pace=pace)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@needs_supervisor
def test_i2c_by_every_call(tmp_path: Path, program: Path) -> None:
    """I2C_RDWR, I2C_SMBUS, read and write give the identity of the TMP117 (SNOSD82, 8.6)."""
    assert told(tmp_path, program, "i2c") == [
        "rdwr 0117",
        "plain 1 2 0117",
        "smbus 0 1701",
        "funcs 0 1",
        "absent EREMOTEIO",
    ]


@needs_supervisor
def test_spi_messages_and_settings(tmp_path: Path, program: Path) -> None:
    """A message reads the identity of the W25Q128JV; the mode set is the mode read."""
    assert told(tmp_path, program, "spi") == ["spi 4 ef4018", "mode 0 0 3", "cloexec 1"]


@needs_supervisor
def test_gpio_lines_are_held_until_they_are_closed(tmp_path: Path, program: Path) -> None:
    """A line outlives its chip, is busy for others, and free when its descriptor is closed."""
    assert told(tmp_path, program, "gpio") == ["lines 58", "busy EBUSY", "level 1", "free 1"]


@needs_supervisor
def test_edges_come_to_the_program_itself(tmp_path: Path, program: Path) -> None:
    """poll wakes at each edge of the time pulse, read gives it whole, less than one is EINVAL."""
    *edges, short = told(tmp_path, program, "edges", pace="x30")
    assert [line.split()[:2] for line in edges] == [["1", "48"]] * 4
    assert [int(line.split()[3]) for line in edges] == [1, 2, 3, 4]
    assert {line.split()[2] for line in edges} == {"1", "2"}
    assert short == "short EINVAL"


@needs_supervisor
def test_a_tty_is_a_terminal(tmp_path: Path, program: Path) -> None:
    """The receiver's sentences come over the pseudo-terminal behind the device path."""
    assert told(tmp_path, program, "tty") == ["tty 1", "said $GN"]


@needs_supervisor
def test_device_files_look_like_those_of_the_kernel(tmp_path: Path, program: Path) -> None:
    """stat, fstat, statx, access and readlink show character devices; sysfs names the adapter."""
    assert told(tmp_path, program, "look") == [
        "stat 0 1 89:1",
        "fstat 0 1 1",
        "statx 0 1 153",
        "access 0 -1",
        "link EINVAL",
        "name bcm2835 (i2c-1)",
        "folder ENOTDIR",
    ]


@needs_supervisor
def test_pointers_that_lead_nowhere_are_efault(tmp_path: Path, program: Path) -> None:
    """A pointer that the program may not use is EFAULT in each call, and nothing else breaks."""
    lines = told(tmp_path, program, "wrong")
    calls = ["rdwr", "messages", "into", "from", "smbus", "funcs", "read", "write"]
    calls += ["spi", "mode", "open", "stat"]
    assert lines[:-2] == [f"{call} EFAULT" for call in calls]
    assert lines[-2:] == ["brink 0117", "after 0117 1"]


@needs_supervisor
def test_copies_of_a_descriptor_are_the_same_device(tmp_path: Path, program: Path) -> None:
    """dup, F_DUPFD, fork and exec keep the device; dup2 to a low descriptor is refused by name."""
    done = run(tmp_path, program, "copies")
    assert done.stdout.splitlines() == [
        "dup 0117 0117 1",
        "closed EBADF 0117",
        "low EOPNOTSUPP",
        "high 1000 0117",
        "child 0117",
        "inherited 0117",
        "parent 0117",
    ]
    assert done.stderr.count("dup2 to descriptor 0x5 on /dev/i2c-1 is not modelled") == 1


@needs_supervisor
def test_what_is_not_modelled_is_told_once(tmp_path: Path, program: Path) -> None:
    """An unknown ioctl and readv fail with EOPNOTSUPP each time and are named once each."""
    done = run(tmp_path, program, "odd")
    assert done.stdout.splitlines() == ["ioctl EOPNOTSUPP", "readv EOPNOTSUPP"] * 2
    assert [line.split(" on ")[0] for line in done.stderr.splitlines()] == [
        "hil-supervisor: ioctl 0x755",
        "hil-supervisor: readv 0x13",
    ]


@needs_supervisor
@pytest.mark.parametrize("what", ["threads", "often"])
def test_many_at_once_and_one_after_the_other(tmp_path: Path, program: Path, what: str) -> None:
    """Eight threads get their own answers; a thousand devices, chips and lines leave no rest."""
    assert told(tmp_path, program, what) == [f"{what} 0"]
    counters = json.loads((tmp_path / "run" / "run.json").read_text())["counters"]["host"]
    assert "refused" not in counters
    assert counters["clients_most"] < 32


@needs_supervisor
@pytest.mark.skipif(
    tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (5, 19),
    reason="before Linux 5.19 a signal ends a call that is under way",
)
def test_a_signal_makes_no_transaction_twice(tmp_path: Path, program: Path) -> None:
    """Under a storm of signals the bus has as many transactions as the program has answers."""
    assert told(tmp_path, program, "storm", pace="real") == ["storm 1000 0"]
    counters = json.loads((tmp_path / "run" / "run.json").read_text())["counters"]["host"]
    assert counters["requests"] == 1000


@needs_supervisor
def test_a_program_that_is_killed_takes_nobody_with_it(tmp_path: Path, program: Path) -> None:
    """Children die by SIGKILL in the middle of transactions; the next one on the bus is right."""
    assert told(tmp_path, program, "killed") == ["killed 0117"]


@needs_supervisor
def test_eight_processes_at_once(tmp_path: Path, program: Path) -> None:
    """Eight processes with eight threads each share a bench without a wrong octet."""
    script = f"for i in 1 2 3 4 5 6 7 8; do {program} threads & done; wait"
    done = run(tmp_path, "sh", "-c", script)
    assert (done.stdout.splitlines(), done.stderr) == (["threads 0"] * 8, "")
    counters = json.loads((tmp_path / "run" / "run.json").read_text())["counters"]["host"]
    assert counters["requests"] == 8 * 8 * 300


@needs_supervisor
def test_a_static_program_is_told_from_a_dynamic_one(tmp_path: Path, program: Path) -> None:
    """An ELF file without PT_INTERP is static; so is a script whose interpreter is."""
    script = tmp_path / "script"
    script.write_text(f"#!{program} i2c\n")
    script.chmod(0o755)
    around = tmp_path / "around"
    around.write_text(f"#!/usr/bin/env -S {program} exit\n")
    around.chmod(0o755)
    assert is_static(str(program))
    assert is_static(str(script))
    assert is_static(str(around))
    assert not is_static(sys.executable)
    assert not is_static(str(SOURCE))
    assert not is_static("no-such-program")
    done = subprocess.run([*command(tmp_path), str(program), "i2c"], capture_output=True, text=True)
    assert done.stdout.startswith("rdwr 0117\n")


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64"), reason="other processor")
def test_a_static_program_of_32_bits_is_refused(tmp_path: Path) -> None:
    """Its system calls are others than those that are looked at: it is refused, not run unseen."""
    kind = 3 if os.uname().machine == "x86_64" else 40
    header = struct.pack(
        "<4s3B9xHHIIIIIHHH", b"\x7fELF", 1, 1, 1, 2, kind, 1, 0, 52, 0, 0, 52, 32, 1
    )
    segment = struct.pack("<8I", 1, 0, 0, 0, 84, 84, 5, 4096)
    program = tmp_path / "program"
    program.write_bytes(header.ljust(52, b"\0") + segment)
    program.chmod(0o755)
    with pytest.raises(HostError, match="static 32-bit program"):
        is_static(str(program))


@needs_supervisor
def test_dynamic_programs_and_their_children_are_supervised_too(
    tmp_path: Path, program: Path
) -> None:
    """A shell, a Python program and a static one under it find the same bench."""
    python = "import os; fd = os.open('/dev/i2c-1', os.O_RDWR); print(sorted(os.listdir('/dev')))"
    script = f'{program} i2c | head -n 1; {sys.executable} -c "{python}"'
    done = run(tmp_path, "sh", "-c", script)
    assert done.stderr == ""
    assert done.stdout.startswith("rdwr 0117\n")
    assert "'i2c-1'" in done.stdout
    assert "'null'" in done.stdout


@needs_supervisor
def test_exit_codes_are_those_of_the_program(tmp_path: Path, program: Path) -> None:
    """That of the program, 128 + N after signal N, 127 where there is none, 126 for no program."""
    assert run(tmp_path / "a", program, "exit").returncode == 7
    assert run(tmp_path / "b", "sh", "-c", "kill -9 $$").returncode == 137
    missing = run(tmp_path / "c", "no-such-program")
    assert missing.returncode == 127
    assert "no-such-program: No such file" in missing.stderr
    assert run(tmp_path / "d", str(SOURCE)).returncode == 126


@needs_supervisor
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_go_to_the_program(tmp_path: Path, number: signal.Signals) -> None:
    """A signal to `hil run` reaches the program, once, and the program ends as it likes."""
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo {name}; exit 5' {name}; echo ready; while :; do sleep 0.01; done"
    words = command(tmp_path, "--static", "--pace", "max")
    with subprocess.Popen(
        [*words, "sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == f"{name}\n"
    assert process.returncode == 5


@needs_supervisor
def test_an_interrupt_of_the_terminal_comes_once(tmp_path: Path) -> None:
    """Control-C reaches the program by the terminal, and not a second time through `hil run`."""
    script = "n=0; trap 'n=$((n+1))' INT; trap 'echo got $n; exit 4' TERM; echo ready; "
    script += "while :; do sleep 0.01; [ $n = 0 ] || kill -TERM $$; done"
    terminal, inner = pty.openpty()
    with subprocess.Popen(
        [*command(tmp_path, "--static", "--pace", "max"), "sh", "-c", script],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        heard = b""
        while b"ready" not in heard:
            heard += os.read(terminal, 100)
        os.write(terminal, b"\x03")
        while b"got" not in heard:
            heard += os.read(terminal, 100)
    assert b"got 1" in heard
    assert process.returncode == 4
    os.close(terminal)
    os.close(inner)


@needs_supervisor
def test_the_end_of_the_run_ends_the_program(tmp_path: Path) -> None:
    """--duration ends a program that ignores SIGTERM, and nothing of it is left."""
    script = "trap '' TERM; echo $$; while :; do sleep 0.01; done"
    words = command(tmp_path, "--static", "--pace", "x1000", "--duration", "60 s")
    done = subprocess.run([*words, "sh", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 137
    assert "the run is over" in done.stderr or done.stderr == ""
    assert not Path(f"/proc/{done.stdout.strip()}").exists()


@needs_supervisor
def test_what_a_program_leaves_behind_can_still_open_files(tmp_path: Path, program: Path) -> None:
    """A child that outlives the program and its bench finds no devices, and all else works."""
    later, ready = tmp_path / "later", tmp_path / "ready"
    os.mkfifo(ready)
    os.mkfifo(later)
    child = f"read go <{ready}; {program} i2c; one=$?; cat /dev/null; echo $one $? >{later}"
    done = run(tmp_path, "sh", "-c", f"sh -c '{child}' >/dev/null 2>&1 & exit 3")
    assert done.returncode == 3
    ready.write_text("go\n")
    assert later.read_text() == "1 0\n"


@needs_supervisor
def test_virtual_time_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A clock that is read without a system call cannot be another one: wrong usage, said so."""
    assert main(["run", "--static", "--virtual-time", "--", "true"]) == 2
    assert "leave --virtual-time away" in capsys.readouterr().err


def test_without_a_supervisor_the_message_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none was built, `hil run --static` ends with exit code 3 and the remedy."""
    monkeypatch.setattr(supervisor, "SUPERVISOR", "_not_built")
    assert main(["run", "--static", "--", "true"]) == 3
    assert "pip install -e ." in capsys.readouterr().err


@needs_supervisor
def test_a_supervisor_inside_another_is_refused_in_one_line(tmp_path: Path) -> None:
    """Linux lets one listener watch a process: the second is exit code 3 and says so."""
    inner = command(tmp_path, "--static", "--out", str(tmp_path / "inner"))
    done = run(tmp_path, *inner, "true")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "another supervisor watches already" in done.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang-14", "clang", "aarch64-linux-gnu-gcc"])
def test_compilers_have_nothing_to_say(tmp_path: Path, compiler: str) -> None:
    """Shim and supervisor compile without a warning, for ARM too."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    hook = (ROOT / "csrc" / "natives.py").read_text()
    shared = re.findall(r"\w+", hook.split("SUPERVISOR_SHARES = (")[1].split(")")[0])
    shim = sorted((ROOT / "csrc" / "shim").glob("*.c"))
    supervised = sorted((ROOT / "csrc" / "supervisor").glob("*.c"))
    supervised += [path for path in shim if path.stem in shared]
    flags = ["-Os", "-std=c11", "-U_FORTIFY_SOURCE", "-Wall", "-Wextra", "-Werror", "-fPIC"]
    for form, sources in (["-shared"], shim), ([], supervised):
        words = [compiler, *form, *flags, *map(str, sources), "-o", str(tmp_path / "made")]
        done = subprocess.run([*words, "-ldl", "-lpthread"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_published_calls_are_those_of_the_source() -> None:
    """docs/shim.md lists exactly the system calls that the filter asks about."""
    page = (ROOT / "docs" / "shim.md").read_text().split("The system calls that it looks at")[1]
    listed = set(re.findall(r"`(\w+)`", page.split("\n\n")[1]))
    source = (ROOT / "csrc" / "supervisor" / "table.c").read_text()
    assert listed == set(re.findall(r"ROW\((\w+), WHEN", source))
