"""Static programs, unmodified, on the emulated buses: busybox, and what Rust and Go compilers make.

Each runs as whoever runs the tests and, where that is root, as nobody without any capability too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.errors import HostError
from hil.faces.supervisor import is_static, supervisor_path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/go-1.19/bin"
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
NOBODY += ["--no-new-privs", "--bounding-set=-all"]
#: What the programs print: the identities of the TMP117 (SNOSD82, 8.6) and of the W25Q128JV, the
#: lines of the BCM2711, and the beginning of what the receiver says.
SAID = ["i2c 0117", "spi 4 ef4018", "gpio 58", "tty $GN"]


@pytest.fixture(autouse=True, scope="module")
def supervised() -> None:
    """Skip where the host does not let a supervisor work."""
    try:
        supervisor_path()
    except HostError as error:
        pytest.skip(str(error))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that anybody may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="hil-static-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def tool(name: str) -> str:
    """Return the path of a program, or skip by its name."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(params=["as we are", "as nobody"])
def prefix(request: pytest.FixtureRequest) -> list[str]:
    """Give the words in front of `hil run`: none, or those that drop every privilege."""
    if request.param == "as we are":
        return []
    if os.geteuid() != 0:
        pytest.skip("not root: the other run has been without privileges")
    tool("setpriv")
    if subprocess.run([*NOBODY, sys.executable, "-c", "import hil"], cwd="/").returncode:
        pytest.skip("nobody may not read this installation")
    return NOBODY


def run(
    folder: Path, prefix: list[str], *command: str, options: tuple[str, ...] = ("--pace", "max")
) -> subprocess.CompletedProcess[str]:
    """Run a program on the bench of the default board; the face is found by `hil run` itself."""
    words = [sys.executable, "-m", "hil", "run", "--out", str(folder / "run"), "-q", *options, "--"]
    env = {**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    return subprocess.run(
        [*prefix, *words, *command],
        capture_output=True,
        text=True,
        env=env,
        cwd=folder,
        timeout=120,
    )


def busybox(*applets: str) -> str:
    """Return a static busybox that has these applets, or skip."""
    path = tool("busybox")
    has = subprocess.run([path, "--list"], capture_output=True, text=True).stdout.split()
    missing = [name for name in applets if name not in has]
    if missing or not is_static(path):
        pytest.skip(f"no static busybox with {' '.join(applets)}: install busybox-static")
    return path


def test_busybox_reads_the_identity_of_the_tmp117(folder: Path, prefix: list[str]) -> None:
    """The part id is 0117h, which SMBus words give with the octets swapped (SNOSD82, 8.6)."""
    done = run(folder, prefix, busybox("i2cget"), "i2cget", "-y", "1", "0x48", "0x0f", "w")
    assert (done.stdout, done.stderr, done.returncode) == ("0x1701\n", "", 0)


def test_busybox_finds_the_parts_of_the_board(folder: Path, prefix: list[str]) -> None:
    """A scan shows exactly the addresses of the board file."""
    done = run(folder, prefix, busybox("i2cdetect"), "i2cdetect", "-y", "1")
    rows = [line.split(":")[1].split() for line in done.stdout.splitlines()[1:]]
    assert {octet for row in rows for octet in row if octet != "--"} == {"40", "48", "49", "6a"}


def test_busybox_writes_what_it_dumps(folder: Path, prefix: list[str]) -> None:
    """A register that one process writes is read by others, on the same bench."""
    path = busybox("i2cset", "i2cdump", "i2ctransfer", "sh")
    script = f"{path} i2cset -y 1 0x48 0x02 0x1000 w && {path} i2cget -y 1 0x48 0x02 w"
    script += f" && {path} i2ctransfer -y 1 w1@0x48 0x02 r2 && {path} i2cdump -y 1 0x48 w"
    done = run(folder, prefix, path, "sh", "-c", script)
    lines = done.stdout.splitlines()
    assert (done.stderr, done.returncode) == ("", 0)
    assert lines[:2] == ["0x1000", "0x00 0x10"]
    assert lines[3].split()[3] == "1000"


def test_busybox_sees_the_devices(folder: Path, prefix: list[str]) -> None:
    """Listed by folder or by name, devices are character devices among those of the host."""
    path = busybox("ls", "stat", "sh")
    script = f"{path} ls /dev; cd /dev; {path} stat -c '%F %t:%T' i2c-1 /dev/spidev0.0"
    lines = run(folder, prefix, path, "sh", "-c", script).stdout.splitlines()
    assert {"null", "i2c-1", "spidev0.0", "gpiochip0", "ttyAMA1"} <= set(lines)
    assert len(lines) == len(set(lines))
    assert lines[-2:] == ["character special file 59:1", "character special file 99:0"]


def test_busybox_is_told_of_a_nak(folder: Path, prefix: list[str]) -> None:
    """Where nobody answers, i2c-bcm2835 says EREMOTEIO, and the applet ends with an error."""
    path = busybox("i2ctransfer")
    done = run(folder, prefix, path, "i2ctransfer", "-y", "1", "r1@0x2f")
    assert done.returncode == 1
    assert "Remote I/O error" in done.stderr


def test_a_static_rust_program(folder: Path, prefix: list[str]) -> None:
    """Rust with crt-static opens, reads, writes and calls ioctl on I2C, SPI, GPIO and a tty."""
    program = folder / "program"
    words = [tool("rustc"), "-O", "-C", "target-feature=+crt-static", "-o", str(program)]
    subprocess.run([*words, str(HERE / "static_program.rs")], check=True, cwd=folder)
    assert is_static(str(program))
    done = run(folder, prefix, str(program))
    assert (done.stdout.splitlines(), done.stderr) == (SAID, "")


def test_a_static_go_program(folder: Path, prefix: list[str]) -> None:
    """Go calls the kernel without libc, preempts by signals and polls: nothing is made twice."""
    program = folder / "program"
    env = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(folder / "cache"),
        "GOTOOLCHAIN": "local",
    }
    words = [tool("go"), "build", "-o", str(program), str(HERE / "static_program.go")]
    subprocess.run(words, check=True, cwd=folder, env=env)
    assert is_static(str(program))
    done = run(folder, prefix, str(program))
    assert done.stdout.splitlines() == ["i2c" + " 0117" * 8, *SAID[1:]]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("i2ctransfer -y 1 w1@0x48 0x0f r2", "0x01 0x17"),
        ("gpioget gpiochip0 25 23", "1 0"),
        ("spi-config -q -d /dev/spidev0.0", "mode=0"),
    ],
)
def test_dynamic_tools_do_the_same_under_the_supervisor(
    folder: Path, command: str, said: str
) -> None:
    """Debian's tools get the same answers as through the preload shim."""
    words = command.split()
    tool(words[0])
    plain = run(folder, [], *words).stdout
    shutil.rmtree(folder / "run")
    assert said in plain
    again = run(folder, [], *words, options=("--static", "--pace", "max"))
    assert again.stdout == plain


def test_flashrom_writes_and_verifies_under_the_supervisor(folder: Path) -> None:
    """Long SPI messages, thousands of them: flashrom verifies 2 MiB, of which it changes 64 KiB."""
    tool("flashrom")
    board = (ROOT / "boards" / "raspberrypi4.toml").read_text()
    (folder / "small.toml").write_text(board.replace('"w25q128"', '"w25q16"'))
    (folder / "image").write_bytes((bytes(range(256)) * 256).ljust(2 << 20, b"\xff"))
    options = ("--static", "--pace", "x100", "--board", str(folder / "small.toml"))
    words = ["flashrom", "-p", "linux_spi:dev=/dev/spidev0.0,spispeed=20000"]
    done = run(folder, [], *words, "-w", str(folder / "image"), options=options)
    assert "VERIFIED" in done.stdout, done.stdout
    assert done.returncode == 0
