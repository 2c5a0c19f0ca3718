"""``hil boards`` verbs that go on until somebody ends them: cable, log, emulate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hil.boards.plugside import Show
from hil.boards.posix import PosixBoard, firmware_path
from hil.boards.talk import open_talk
from hil.cli import main
from hil.errors import BoardError, UsageError

ROOT = Path(__file__).resolve().parents[3]


SHELL = """
import fcntl, os, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
job = subprocess.Popen(sys.argv[1:], process_group=0, stderr=subprocess.STDOUT)
print("job", job.pid, flush=True)
_, status = os.waitpid(job.pid, os.WUNTRACED)
if os.WIFSTOPPED(status):
    print("stopped", flush=True)
    job.kill()
job.returncode = 0
"""


class Tool:
    """``hil boards VERB`` as a process: lines to it, lines from it."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hil", "boards", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def until(self, begins: str) -> str:
        """Return the rest of the next line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(begins):
                return line.removeprefix(begins).strip()
        raise AssertionError(f"no line begins with {begins!r}: {self.end()}")

    def type(self, line: str) -> None:
        """Write a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """End it by a signal; return its exit code and what it said on standard error."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said


@contextmanager
def tool(*words: str) -> Iterator[Tool]:
    """Run a verb for as long as the test needs it."""
    running = Tool(*words)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


@pytest.fixture(autouse=True)
def private_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tools show their ports in a folder of the test's own."""
    monkeypatch.setenv("HIL_PORTS", str(tmp_path / "ports"))


def posix_words() -> list[str]:
    """Return the command that runs this computer's firmware on a descriptor."""
    return [str(firmware_path()), "--fd", "{fd}", "--uid", "0123456789abcdef"]


def test_a_cable_leads_to_a_program(tmp_path: Path) -> None:
    """The program behind the cable answers at the link, with the rate of the line."""
    link = tmp_path / "board"
    with tool("cable", "--link", str(link), "--baud", "115200", "--", *posix_words()) as cable:
        port = cable.until("port ")
        assert link.readlink() == Path(port)
        with open_talk(str(link)) as talk:
            assert talk.greet().uid.hex() == "0123456789abcdef"
        code, said = cable.end()
    assert code == 0
    assert "to_board.octets" in said
    assert not link.is_symlink()


def test_a_cable_is_unplugged_and_replugged(tmp_path: Path) -> None:
    """By a word or by a signal the port goes and comes, and the link follows it."""
    link = tmp_path / "board"
    with tool("cable", "--link", str(link), "--", *posix_words()) as cable:
        cable.until("port ")
        cable.type("unplug")
        cable.until("unplugged")
        assert not link.is_symlink()
        cable.type("replug")
        port = cable.until("port ")
        assert link.readlink() == Path(port)
        cable.process.send_signal(signal.SIGUSR1)
        cable.until("unplugged")
        cable.process.send_signal(signal.SIGUSR2)
        cable.until("port ")
        with open_talk(str(link)) as talk:
            assert talk.greet().board == "posix"
        cable.type("counters")
        assert "replugged 2" in cable.until("")
        cable.type("quit")
        assert cable.process.wait(timeout=20) == 0


def test_a_cable_between_two_ports() -> None:
    """Without a program there are two ports, and what goes in at one comes out at the other."""
    with tool("cable") as cable:
        far = os.open(cable.until("far end "), os.O_RDWR | os.O_NOCTTY)
        near = os.open(cable.until("port "), os.O_RDWR | os.O_NOCTTY)
        os.write(near, b"down")
        assert os.read(far, 100) == b"down"
        os.write(far, b"up")
        assert os.read(near, 100) == b"up"
        os.close(near)
        os.close(far)
        assert cable.end()[0] == 0


def test_a_cable_damages_as_it_is_told() -> None:
    """With every octet dropped nobody answers, and a word mends the line while it runs."""
    with tool("cable", "--drop", "1", "--", *posix_words()) as cable:
        with open_talk(cable.until("port ")) as talk:
            with pytest.raises(BoardError, match="no answer to HELLO"):
                talk.greet(0.3)
            cable.type("drop 0")
            cable.until("drop 0")
            assert talk.greet().board == "posix"
        cable.type("garble 2")
        assert "share" in cable.until("garble")
        cable.type("garble")
        assert "lacks a number" in cable.until("'garble'")
        cable.type("grable 1")
        assert "unplug, replug" in cable.until("no command 'grable'")
        _, said = cable.end()
    assert "to_board.dropped" in said


def test_a_cable_ends_with_its_program() -> None:
    """The exit code of the program is the cable's, and one that cannot be run is told."""
    with tool("cable", "--", "sh", "-c", "exit 7") as cable:
        assert cable.process.wait(timeout=20) == 7
    with tool("cable", "--", "no-such-program") as cable:
        assert cable.process.wait(timeout=20) == 3
        assert "no-such-program cannot be run: No such file" in cable.end()[1]


def test_a_cable_ended_from_outside_leaves_no_link(tmp_path: Path) -> None:
    """SIGTERM ends it as such, with link and program gone."""
    link = tmp_path / "board"
    with tool("cable", "--link", str(link), "--", "sleep", "600") as cable:
        pid = int(cable.until("far end sleep (").rstrip(")"))
        cable.until("port ")
        code, _ = cable.end(signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert not link.is_symlink()
    assert not Path(f"/proc/{pid}").exists()


def test_a_link_never_replaces_a_file(tmp_path: Path) -> None:
    """A file of the user's own where the link would go is an error of usage."""
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="there is a file of that name"):
        Show(tmp_path / "mine", None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--garble", "1.5"], "give a share of octets from 0 to 1"),
        (["--usb", "uno"], "vendor and product in hex"),
        (["--baud", "-1"], "-1 baud"),
    ],
)
def test_a_cable_that_makes_no_sense(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that cannot be are errors of usage."""
    assert main(["boards", "cable", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_cable_pretends_to_be_a_usb_board(capsys: pytest.CaptureFixture[str]) -> None:
    """With USB numbers the port is listed as a board of that kind, until the cable ends."""
    with tool("cable", "--usb", "2341:0043", "--serial", "75A1", "--", "sleep", "600") as cable:
        port = cable.until("port ")
        assert main(["boards", "list", "--json"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        (row,) = (row for row in rows if row["where"].startswith(port))
        assert (row["kind"], row["state"]) == ("uno", "free")
        assert "serial 75A1" in row["where"]
        cable.end()
    assert main(["boards", "list", "--json"]) == 0
    assert port not in capsys.readouterr().out


def test_the_log_of_a_board(capsys: pytest.CaptureFixture[str]) -> None:
    """Changes of state come as rows, and at the end what was counted."""
    with PosixBoard() as board:
        assert main(["boards", "log", board.port, "--for", "0.5", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    states = [row["state"] for row in rows if row["what"] == "state"]
    assert states[:3] == ["OPENING", "SYNCING", "READY"]
    ready = next(row for row in rows if row.get("state") == "READY")
    assert ready["identity"]["firmware"] == "hilwire-posix"
    assert rows[-1]["what"] == "counters"
    assert rows[-1]["ready"] == 1


def test_the_log_tells_of_resets_and_ends_with_ctrl_c() -> None:
    """A reset shows as a BOOT with its cause; Ctrl-C ends the log with its counters and 0."""
    with PosixBoard() as board, tool("log", board.port) as log:
        while "READY" not in log.until(""):
            pass
        board.reset(brown_out=True)
        while "reset brown-out" not in log.until(""):
            pass
        while "READY" not in log.until(""):
            pass
        log.process.send_signal(signal.SIGINT)
        rest, _ = log.process.communicate(timeout=20)
    assert log.process.returncode == 0
    assert "counters" in rest
    assert "resets 1" in rest


def test_the_log_of_a_board_of_another_type(capsys: pytest.CaptureFixture[str]) -> None:
    """A board that runs another firmware is refused, with the command that mends it."""
    with PosixBoard() as board:
        words = ["boards", "log", board.port, "--type", "uno", "--for", "0.3"]
        assert main(words) == 0
    assert "hil boards flash --type uno --port" in capsys.readouterr().out


def test_an_emulated_board_answers_and_is_pulled_out(tmp_path: Path) -> None:
    """A type is emulated on the port that is printed, with its uid, and unplugged by a word."""
    words = ["emulate", "posix", "--uid", "00112233445566aa", "--link", str(tmp_path / "board")]
    with tool(*words) as board:
        port = board.until("port ")
        with open_talk(port) as talk:
            assert talk.greet().uid.hex() == "00112233445566aa"
        board.type("reset brown-out")
        board.until("reset")
        board.type("drop 0.5")
        assert "no cable: start it with --baud" in board.until(
            "this board has a port of its own and"
        )
        board.type("unplug")
        board.until("unplugged")
        board.type("replug")
        with open_talk(board.until("port ")) as talk:
            assert talk.greet().uid.hex() == "00112233445566aa"
        code, _ = board.end()
    assert code == 0
    assert not (tmp_path / "board").is_symlink()


def test_a_board_behind_a_shell_is_not_stopped_by_what_is_typed_there() -> None:
    """In the background of a terminal, words for the shell neither stop an emulation nor end it."""
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "hil", "boards", "emulate", "posix", "--baud", "115200"]
    shell = subprocess.Popen(
        [sys.executable, "-c", SHELL, *words],
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    os.close(theirs)
    assert shell.stdout is not None
    try:
        number = int(next(line for line in shell.stdout if line.startswith("job")).split()[1])
        assert any(line.startswith("port") for line in shell.stdout)
        os.write(ours, b"jobs\n")
        for sent, said in ((signal.SIGUSR1, "unplugged"), (signal.SIGUSR2, "port")):
            os.kill(number, sent)
            line = next(line for line in shell.stdout)
            assert line.startswith(said), line
        os.kill(number, signal.SIGTERM)
        assert "stopped\n" not in list(shell.stdout)
    finally:
        shell.stdout.close()
        shell.wait(timeout=20)
        os.close(ours)


def test_an_emulation_stands_in_for_an_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its id the port is where the lab looks for the instance, behind a cable if told so."""
    lab = tmp_path / "lab.toml"
    lab.write_text('schema = 1\n[[instance]]\nid = "spare"\ntype = "posix"\nemulate = "posix"\n')
    monkeypatch.setenv("HIL_LAB", str(lab))
    with tool("emulate", "posix", "--id", "spare", "--baud", "115200") as board:
        port = board.until("port ")
        assert main(["boards", "list"]) == 0
        assert f"there      spare  posix, emulated (posix)  {port}" in capsys.readouterr().out
        assert main(["boards", "identify", "spare"]) == 0
        assert "firmware   hilwire-posix 1.0.0" in capsys.readouterr().out
        _, said = board.end()
    assert "to_board.octets" in said


def test_an_emulation_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown type or kind is an error of usage that names what there is."""
    assert main(["boards", "emulate", "posx"]) == 2
    assert "did you mean 'posix'?" in capsys.readouterr().err
    assert main(["boards", "emulate", "posix", "--kind", "simavr"]) == 2
    assert "has no emulation 'simavr'; it has: posix" in capsys.readouterr().err
