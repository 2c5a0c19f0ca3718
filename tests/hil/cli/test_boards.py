"""``hil boards``: the verbs, what they print and how they end."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.boards.identity import PortInfo
from hil.boards.ports import FolderPorts
from hil.boards.posix import PosixBoard
from hil.cli import main
from hil.cli.boards import VERBS
from hil.cli.boards.list import as_lines
from hil.errors import BoardError
from tests.hil.boards.micropythons import interpreter, unix_port
from tests.hil.boards.targets import START

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def posix() -> Iterator[PosixBoard]:
    """Run the board on this computer."""
    with PosixBoard() as board:
        yield board


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """The verbs stand in the help, and with no words it is printed too."""
    assert main(["boards"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {verb} " in text for verb in VERBS)
    with pytest.raises(SystemExit) as end:
        main(["boards", "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_each_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb says what it is for and how it is called, without marks of docstrings."""
    with pytest.raises(SystemExit) as end:
        main(["boards", verb, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert text.startswith(f"usage: hil boards {verb}")
    assert "``" not in text


def test_a_verb_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped verb is an error of usage that names the nearest one."""
    assert main(["boards", "identfy"]) == 2
    assert "did you mean `hil boards identify`?" in capsys.readouterr().err


def test_no_verb_loads_the_bench_for_its_help() -> None:
    """Help is there at once: it loads neither numpy nor the link."""
    code = "import atexit, sys, hil.cli\n"
    code += "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    code += "hil.cli.main(['boards', 'identify', '--help'])"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(done.stderr.split()) & {"numpy", "zmq", "construct", "hil.rig"} == set()


def test_the_doctor_of_a_host_without_boards(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is plugged in the doctor says so and ends with 0."""
    assert main(["boards", "doctor"]) == 0
    assert "nothing keeps this host from boards" in capsys.readouterr().out
    assert main(["boards", "doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fit"] is True
    assert {finding["state"] for finding in told["checks"]} <= {"good", "warn"}


def test_identify_tells_who_answers(posix: PosixBoard, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, firmware, uid and abilities are printed, and rows for lab.toml that name the board."""
    assert main(["boards", "identify", posix.port]) == 0
    text = capsys.readouterr().out
    assert "board      posix" in text
    assert "hilwire-posix 1.0.0" in text
    assert "about      A computer with Linux" in text
    assert 'type = "posix"' in text


def test_identify_as_an_object(posix: PosixBoard, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json there is one object with the port and the identity."""
    assert main(["boards", "identify", posix.port, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["port"], told["board"], told["firmware"]) == (posix.port, "posix", "hilwire-posix")
    assert len(bytes.fromhex(told["uid"])) == 8


def test_identify_stores_a_uid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A board that can keep a uid gets it, says it, and is named by it in lab.toml."""
    interpreter()
    micropython = ROOT / "boards" / "micropython"
    with unix_port(tmp_path, "-c", START.format(str(micropython))) as port:
        assert main(["boards", "identify", port]) == 0
        assert "--set-uid random" in capsys.readouterr().out
        assert main(["boards", "identify", port, "--set-uid", "0123456789abcdef"]) == 0
        assert 'uid = "0123456789abcdef"' in capsys.readouterr().out
        assert main(["boards", "identify", port, "--set-uid", "random", "--json"]) == 0
        uid = bytes.fromhex(json.loads(capsys.readouterr().out)["uid"])
    assert (tmp_path / "hilwire.uid").read_bytes() == uid


@pytest.mark.parametrize("uid", ["123", "0" * 16, "xyz"])
def test_a_uid_that_is_none(uid: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything but 16 hex digits is an error of usage, before the port is opened."""
    assert main(["boards", "identify", "/dev/null", "--set-uid", uid]) == 2
    assert f"--set-uid {uid}: 16 hex digits" in capsys.readouterr().err


def test_ports_that_cannot_be_opened(
    posix: PosixBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that is absent, no terminal, or taken is told as such, each with the next step."""
    (tmp_path / "file").touch()
    wanted = {
        str(tmp_path / "ttyACM0"): " is gone",
        str(tmp_path / "file"): " cannot be used as a serial port: Inappropriate",
    }
    for port, why in wanted.items():
        assert main(["boards", "identify", port]) == BoardError.exit_code
        assert f"{port}{why}" in capsys.readouterr().err
    with Path(posix.port).open("rb", buffering=0) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["boards", "identify", posix.port]) == BoardError.exit_code
    assert (
        f"{posix.port} is busy: it is held by another board of this program"
        in capsys.readouterr().err
    )


def test_a_port_where_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """Silence is told with how long was waited, and ends with 4."""
    master, slave = os.openpty()
    try:
        port = os.ttyname(slave)
        assert main(["boards", "identify", port, "--wait", "0.3"]) == BoardError.exit_code
        assert f"{port}: no answer to HELLO within 300 ms" in capsys.readouterr().err
    finally:
        os.close(master)
        os.close(slave)


UNO = """schema = 1
[[instance]]
id = "bench-uno-1"
type = "uno"
usb_serial = "75A1"

[[instance]]
id = "spare"
type = "uno"
emulate = "posix"
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a lab file with a board that is not there and one that is emulated; it applies."""
    path = tmp_path / "lab.toml"
    path.write_text(UNO)
    monkeypatch.setenv("HIL_LAB", str(path))
    monkeypatch.setenv("HIL_PORTS", str(tmp_path / "ports"))
    return path


def test_the_list_of_a_lab(
    lab: Path, posix: PosixBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    """Instances come with where they are or why not, then ports that nobody claims."""
    ports = FolderPorts()
    ports.plug(PortInfo(posix.port, vid=0x2341, pid=0x0043, serial="9"))
    assert main(["boards", "list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    first, second, *free = rows
    assert (first["state"], first["why"]) == ("absent", "no port has USB serial 75A1")
    assert (second["state"], second["why"]) == ("emulated", "a run that binds it starts it")
    (port,) = (row for row in free if row["where"].startswith(posix.port))
    assert (port["state"], port["kind"]) == ("free", "uno")

    ports.plug(PortInfo(posix.port, vid=0x2341, pid=0x0043, serial="75A1"))
    assert main(["boards", "list"]) == 0
    assert f"there      bench-uno-1  uno  {posix.port}" in capsys.readouterr().out


def test_the_list_of_a_host_without_boards() -> None:
    """Where there is nothing the list says so, and how to run a board without hardware."""
    assert as_lines([], "") == [
        "no boards: no lab.toml, and no serial port is there; `hil boards emulate posix` runs one "
        "without hardware"
    ]
    assert as_lines([], "lab.toml")[0].startswith("no boards: lab.toml names no board")


def test_an_instance_is_found_where_it_is(
    lab: Path, posix: PosixBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    """A board is named by its id; absent, the message says what was sought."""
    assert main(["boards", "identify", "bench-uno-1"]) == BoardError.exit_code
    assert "bench-uno-1: no port has USB serial 75A1" in capsys.readouterr().err
    FolderPorts().plug(PortInfo(posix.port, vid=0x2341, pid=0x0043, serial="75A1"))
    assert main(["boards", "identify", "bench-uno-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["port"] == posix.port
    assert main(["boards", "identify", "bench-uno-2"]) == 2
    assert "did you mean 'bench-uno-1'?" in capsys.readouterr().err


def test_flash_prints_the_command_of_the_tool(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By type and port the command is printed with the image; without a port it is asked for."""
    for words in (["uno", "--port", "/dev/ttyACM3"], ["--type", "uno", "--port", "/dev/ttyACM3"]):
        assert main(["boards", "flash", *words]) == 0
        line = capsys.readouterr().out.splitlines()[0]
        assert line.startswith("avrdude -p atmega328p -c arduino -b 115200 -P /dev/ttyACM3 -D -U")
        assert line.endswith("firmware/images/hilwire-uno.hex:i")
    assert main(["boards", "flash", "uno"]) == 2
    assert "flashed by its port: say --port" in capsys.readouterr().err
    assert main(["boards", "flash", "bench-uno-1"]) == BoardError.exit_code
    assert "no port has USB serial 75A1" in capsys.readouterr().err
    assert main(["boards", "flash", "posix"]) == 2
    assert "`hil boards emulate posix` runs it" in capsys.readouterr().err
    assert main(["boards", "flash"]) == 2


@pytest.mark.parametrize(("ends", "code"), [(0, 0), (3, 1)])
def test_flash_runs_the_tool(
    ends: int,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With --run the tool is started with its words, and its failure is ours."""
    tool = tmp_path / "avrdude"
    tool.write_text(f'#!/bin/sh\necho "tool has $# words, the port is $7"\nexit {ends}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert main(["boards", "flash", "uno", "--port", "/dev/tty x", "--run"]) == code
    assert "tool has 11 words, the port is -P" in capfd.readouterr().out


def test_flash_without_the_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tool that is not installed is told with its package, and --run ends with 3."""
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ["boards", "flash", "uno", "--port", "/dev/ttyACM3"]
    assert main(words) == 0
    assert "(avrdude is not installed here; sudo apt install avrdude)" in capsys.readouterr().out
    assert main([*words, "--run"]) == 3
    assert "avrdude is not installed; sudo apt install avrdude" in capsys.readouterr().err


def test_flash_refuses_a_damaged_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An image whose hash is another than its build wrote is flashed onto nothing."""
    image = tmp_path / "x.hex"
    image.write_text(":00000001FF\n")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  x.hex\n")
    kind = tmp_path / "mine.toml"
    text = (ROOT / "boards" / "dev" / "uno.toml").read_text()
    kind.write_text(re.sub(r'file = ".*"', f'file = "{image}"', text))
    assert main(["boards", "flash", "--type", str(kind), "--port", "/dev/ttyACM3"]) == 3
    assert "x.hex is not the image whose hash is in SHA256SUMS" in capsys.readouterr().err
