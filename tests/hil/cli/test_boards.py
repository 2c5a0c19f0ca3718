"""``hil boards``: the verbs, what they print and how they end."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.boards.posix import PosixBoard
from hil.cli import main
from hil.cli.boards import VERBS
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
        str(tmp_path / "ttyACM0"): "there is no such port; `hil boards list` shows",
        str(tmp_path / "file"): "this is no serial port",
    }
    for port, why in wanted.items():
        assert main(["boards", "identify", port]) == BoardError.exit_code
        assert f"{port} cannot be opened: {why}" in capsys.readouterr().err
    with Path(posix.port).open("rb", buffering=0) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["boards", "identify", posix.port]) == BoardError.exit_code
    assert "another program has it; `hil boards doctor` names it" in capsys.readouterr().err


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
