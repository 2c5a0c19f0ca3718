"""The socket of a run that flies: requests that are none, clients that hang, runs that are dead."""

from __future__ import annotations

import json
import os
import random
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hil.board import load_board
from hil.boards.control import CLIENT_LIMIT, LINE_LIMIT_NBYTES, NAME, Control, find_run
from hil.boards.desk import Boards
from hil.boards.lab import load_lab
from hil.errors import UsageError
from hil.missions import load as load_mission
from hil.options import Options
from hil.rig import Rig
from tests.hil.boards.flying import LAB


class Listening:
    """A run's boards and its socket, served by the test."""

    def __init__(self, folder: Path) -> None:
        (folder / "lab.toml").write_text(LAB)
        options = Options()
        rig = Rig(load_board(options.board), load_mission(options.mission), seed=1)
        self.boards = Boards(
            rig, load_lab(folder / "lab.toml"), lambda: 0, lambda source, act: act(0)
        )
        self.folder = folder / "run.partial"
        self.folder.mkdir()
        self.control = Control(self.boards, self.folder, lambda act: act(0))
        self.path = (self.folder / NAME).resolve()

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(5.0)
        connection.connect(str(self.path))
        self.boards.serve()
        return connection

    def ask(self, octets: bytes, connection: socket.socket | None = None) -> Any:
        with connection or self.connect() as there:
            there.sendall(octets)
            self.boards.serve()
            return json.loads(there.recv(65536))

    def close(self) -> None:
        self.control.close()
        self.boards.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Listening]:
    run = Listening(tmp_path)
    yield run
    run.close()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[" * 4000,
        b'{"do":' * 600,
        b"\xff\xfe",
        b"null",
        b"[1]",
        b'{"do": 1}',
        b'{"do": "swap", "name": {}, "to": []}',
        b'{"do": "swap", "name": "\\ud800", "to": "bench"}',
        b'{"do": "shadow", "name": "imu", "to": "bench", "shows": 7}',
        b"9" * 4000,
    ],
)
def test_what_is_no_request_is_answered_in_words(run: Listening, line: bytes) -> None:
    """Whatever one line holds, the run goes on, says what is wrong and serves the next."""
    reply = run.ask(line + b"\n")
    assert not reply["ok"]
    assert reply["error"]
    assert run.ask(b'{"do": "state"}\n')["ok"]


def test_a_line_without_an_end_is_hung_up_on(run: Listening) -> None:
    """More than a line may have is not kept: the connection ends."""
    with run.connect() as connection:
        connection.sendall(b"x" * (LINE_LIMIT_NBYTES + 1))
        run.boards.serve()
        run.boards.serve()
        assert connection.recv(1) == b""


def test_clients_that_hang_keep_nobody_out(run: Listening) -> None:
    """Of those that say nothing the oldest is let go; there are never more than the limit."""
    silent = [run.connect() for _ in range(5 * CLIENT_LIMIT)]
    try:
        assert run.ask(b'{"do": "state"}\n')["ok"]
        assert len(run.control._clients) <= CLIENT_LIMIT
        assert silent[0].recv(1) == b""
    finally:
        for connection in silent:
            connection.close()


def test_only_its_user_can_speak_to_a_run(run: Listening) -> None:
    """Socket and folder are the user's own."""
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(run.path.parent.stat().st_mode) == 0o700


def test_a_run_that_was_killed_does_not_hide_one_that_flies(run: Listening, tmp_path: Path) -> None:
    """The newest that answers is meant; what a killed run has left is passed over."""
    dead = tmp_path / "dead"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(dead))
    folder = tmp_path / "later.partial"
    folder.mkdir()
    (folder / NAME).symlink_to(dead)
    later = run.folder.stat().st_mtime + 10
    os.utime(folder, (later, later))
    assert find_run(None, tmp_path) == run.path
    with pytest.raises(UsageError, match="listen"):
        find_run(folder)


@pytest.mark.soak
def test_a_million_random_lines_end_nothing(run: Listening) -> None:
    """10^6 lines of random octets, of words of the protocol, whole and cut: the run serves on."""
    chance = random.Random(11)
    words = (
        b'{"do"',
        b'"swap"',
        b'"shadow"',
        b'"name"',
        b'"imu"',
        b'"to"',
        b":",
        b",",
        b"{}",
        b"[",
    )
    connection = run.connect()
    connection.setblocking(False)
    for _ in range(1_000_000):
        if chance.random() < 0.5:
            line = b"".join(chance.choice(words) for _ in range(chance.randrange(12)))
        else:
            line = chance.randbytes(chance.randrange(60))
        try:
            connection.sendall(line + b"\n" * (chance.random() < 0.9))
            run.boards.serve()
            ended = chance.random() < 0.001 or not connection.recv(1 << 16)
        except BlockingIOError:
            ended = False
        except OSError:
            ended = True
        if ended:
            connection.close()
            connection = run.connect()
            connection.setblocking(False)
    connection.close()
    assert run.ask(b'{"do": "state"}\n')["ok"]
