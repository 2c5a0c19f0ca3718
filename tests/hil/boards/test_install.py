"""The MicroPython bridge gets onto boards by their raw REPL, starts, and answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.boards import install
from hil.boards.boardtype import load_type
from hil.boards.install import Installer, compact, pins_of
from hil.boards.protocol import Request
from hil.boards.rawrepl import RawRepl
from hil.boards.talk import Talk, open_talk
from hil.cli import main
from hil.errors import BoardError
from tests.hil.boards.micropythons import microbit, unix_port


@pytest.fixture
def board(tmp_path: Path) -> Iterator[str]:
    """Run MicroPython with its REPL; yield the port."""
    with unix_port(tmp_path) as port:
        yield port


@pytest.fixture
def talk(board: str) -> Iterator[Talk]:
    """Open the board's port."""
    with open_talk(board) as opened:
        yield opened


def test_the_bridge_is_installed_and_answers(
    board: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command puts the files on, starts the bridge and prints who it is; again it does, too."""
    for _ in range(2):
        assert main(["boards", "install", board, "--json"]) == 0
        told = capsys.readouterr()
        who = json.loads(told.out)
        assert who["firmware"] == "hilwire-micropython"
        assert int(who["build"], 16) == install.build_number()
    assert "back to the REPL" in told.err
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*install.sources("linux"), "main.py"}
    assert (tmp_path / "main.py").read_text().startswith(install.MARK)


def test_the_bridge_starts_by_itself(talk: Talk, tmp_path: Path) -> None:
    """A board that starts anew runs main.py, and that is the bridge with its pins."""
    pins = {"i2c0": ("GP4", "GP5")}
    Installer(talk).install(pins)
    assert "{'i2c0': ('GP4', 'GP5')}" in (tmp_path / "main.py").read_text()
    with unix_port(tmp_path, "main.py") as port, open_talk(port) as again:
        assert again.greet().build == install.build_number()


def test_a_main_of_the_users_own_stays(talk: Talk, tmp_path: Path) -> None:
    """A main.py that we did not write is neither replaced nor an obstacle to who says so."""
    (tmp_path / "main.py").write_text("print('mine')\n")
    with pytest.raises(BoardError, match=r"main\.py of its own; --force replaces it"):
        Installer(talk).install({})
    Installer(talk).install({}, autostart=False)
    assert (tmp_path / "main.py").read_text() == "print('mine')\n"
    Installer(talk).install({}, force=True)
    assert (tmp_path / "main.py").read_text().startswith(install.MARK)


def test_a_board_without_micropython(tmp_path: Path) -> None:
    """Where no REPL answers the message says so and names the next step."""
    master, slave = os.openpty()
    try:
        with (
            open_talk(os.ttyname(slave)) as silent,
            pytest.raises(BoardError, match="nothing answers where MicroPython's REPL was"),
        ):
            RawRepl(silent).enter()
    finally:
        os.close(master)
        os.close(slave)


def test_another_firmware_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A board that answers HELLO with C firmware is told apart from one with MicroPython."""
    from hil.boards.posix import PosixBoard

    with PosixBoard() as posix:
        assert main(["boards", "install", posix.port]) == BoardError.exit_code
    assert "hilwire-posix 1.0.0 runs on it, which is no MicroPython" in capsys.readouterr().err


def test_the_errors_of_the_board_are_told(talk: Talk) -> None:
    """What a program prints comes back, and the last line of what ends it is in the error."""
    repl = RawRepl(talk)
    repl.enter()
    assert repl.run("print(6 * 7)").strip() == "42"
    assert repl.run("x = '" + 5000 * "y" + "'\nprint(len(x))").strip() == "5000"
    with pytest.raises(BoardError, match="the board says ZeroDivisionError: divide by zero"):
        repl.run("1/0")
    assert repl.run("print('still there')").strip() == "still there"


def test_a_file_that_arrives_damaged_is_noticed(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose sums on the board stay others than here, twice more, ends the installation."""
    monkeypatch.setattr(install, "_CHECK", "print(1, 0)")
    told: list[str] = []
    with pytest.raises(BoardError, match=r"hilwire\.py is not on the board as it was sent"):
        Installer(talk, told.append).install({})
    assert [line.endswith("written again") for line in told] == [False, True, True]


def test_files_lose_their_comments_only() -> None:
    """What goes on a board is the same program without comments and docstrings."""
    source = '"""Doc."""\nx = "# no comment"  # one\n\ndef f():\n    """Doc."""\n'
    assert compact(source) == b"x = '# no comment'\ndef f():\n pass\n"


def test_pins_of_a_board_type_go_along() -> None:
    """The pins that a type file names are given to the bridge in its order."""
    pins = pins_of(load_type("pico"))
    assert pins["i2c0"] == ("GP4", "GP5")
    assert pins["spi0"] == ("GP18", "GP19", "GP16", "GP17")


def test_the_micro_bit_is_too_small() -> None:
    """The bridge needs more than the 16 kB of a micro:bit V1, and one line says what to do."""
    with microbit() as line:
        talk = Talk(line.fileno(), "micro:bit")
        with pytest.raises(BoardError, match="flash the C firmware instead") as refused:
            Installer(talk).install({})
        assert "\n" not in str(refused.value)
        with pytest.raises(BoardError, match="flash the C firmware instead"):
            Installer(talk).install({}, autostart=False, force=True)
        repl = RawRepl(talk)
        repl.enter()
        assert "hilwire_link.py" in repl.run("import os\nprint(os.listdir())")


def test_the_bridge_answers_requests_behind_the_repl(talk: Talk) -> None:
    """Octets that a REPL would take for commands are octets like any other."""
    Installer(talk).install({}, autostart=False)
    assert talk.ask(Request.PING, bytes(range(8))).payload == bytes(range(8))
