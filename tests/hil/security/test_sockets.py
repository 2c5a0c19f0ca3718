"""Where anything listens: in the sources, in the manual, and in the kernel's own table."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from listening import Place, listening

from hil.cli import main

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "security.md"
#: What opens something that others can connect to, or a terminal that others can open.
OPENS = re.compile(
    r"\.bind\(|\.listen\(\w*\)|create_server\(|start_server\(|openpty\(|posix_openpt\("
)


def sources() -> dict[str, str]:
    """Return the text of everything that is installed, by its path."""
    return {
        str(path.relative_to(ROOT)): path.read_text(errors="replace")
        for folder in ("hil", "flightsw", "csrc", "boards")
        for pattern in ("*.py", "*.c", "*.h")
        for path in (ROOT / folder).rglob(pattern)
    }


def test_every_place_that_listens_is_in_the_manual() -> None:
    """Whatever binds, listens or makes a terminal is a row of docs/security.md, and no row more."""
    found = {name for name, text in sources().items() if OPENS.search(text)}
    rows = set(re.findall(r"^\| `((?:hil|flightsw|csrc|boards)/[^`]+)`", PAGE.read_text(), re.M))
    assert found == rows


def seen(command: list[str], folder: Path, enough: set[str]) -> set[Place]:
    """Run a command until it has listened on ``enough`` families, or ended; return where it did."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    places: set[Place] = set()
    try:
        while process.poll() is None and not enough <= {place.family for place in places}:
            places |= listening(process.pid)
    finally:
        process.terminate()
        process.wait()
    return places


HIL = [sys.executable, "-m", "hil"]
RUN = [*HIL, "run", "--duration", "20", "--inference", "threshold", "-q", "--out", "flown"]


@pytest.mark.parametrize(
    ("words", "families"),
    [
        ([*RUN], {"unix"}),
        ([*RUN, "--transport", "tcp"], {"tcp"}),
        pytest.param([*RUN, "--transport", "seqpacket"], {"unix"}, marks=pytest.mark.soak),
        ([*HIL, "run", "-q", "--", "sleep", "60"], {"unix"}),
    ],
    ids=["ipc", "tcp", "seqpacket", "program"],
)
def test_a_run_listens_where_only_its_user_can_come(
    words: list[str], families: set[str], tmp_path: Path
) -> None:
    """Over each transport: loopback, or a path in a folder of mode 0700; nothing else at all."""
    places = seen(words, tmp_path, families)
    assert {place.family for place in places} == families
    assert [(place, place.fault()) for place in places if place.fault()] == []


@pytest.mark.parametrize(
    "words",
    [
        [*RUN, "--transport", "direct", "--duration", "5"],
        pytest.param([*RUN, "--transport", "inproc", "--duration", "5"], marks=pytest.mark.soak),
    ],
    ids=["direct", "inproc"],
)
def test_what_needs_no_socket_has_none(words: list[str], tmp_path: Path) -> None:
    """A run in one process, and a command that only talks, listen nowhere from start to end."""
    assert seen(words, tmp_path, {"none of them"}) == set()


def test_the_table_of_the_kernel_is_read_right(tmp_path: Path) -> None:
    """A socket on every address is seen, and named for what it is; so is an abstract one."""
    probe = ROOT / "tests" / "hil" / "security" / "listening.py"
    code = (
        "import socket, runpy\n"
        "one = socket.create_server(('0.0.0.0', 0)); two = socket.socket(socket.AF_UNIX)\n"
        "two.bind('\\0hil-test-%d' % one.getsockname()[1]); two.listen()\n"
        "three = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); three.bind(('::1', 0))\n"
        f"runpy.run_path({str(probe)!r}, run_name='__main__')\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True
    ).stdout.splitlines()
    assert any(
        line.startswith("tcp 0.0.0.0/") and line.endswith("not on loopback") for line in said
    )
    assert any("no permissions" in line for line in said)
    assert any(line.startswith("udp6 ::1/") and line.endswith(" ") for line in said)


def test_an_emulated_board_is_a_terminal_and_no_socket(tmp_path: Path) -> None:
    """`hil boards emulate` makes a pseudo-terminal of its user's and listens on nothing."""
    command = [*HIL, "boards", "emulate", "posix"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = next(word for line in process.stdout for word in line.split() if "/pts/" in word)
        places = listening(process.pid)
        others = Path(port).stat().st_mode & 0o007
        process.communicate("quit\n")
    assert places == set()
    assert others == 0


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:0", "tcp://[::]:0", "tcp://127.0.0.1:0"])
def test_nothing_listens_on_tcp_without_keys(
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a key folder `hil serve` opens no socket, on no address, and says what to do."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    before = listening(os.getsid(0))
    assert main(["serve", "--listen", address]) == 4
    assert "hil keys new" in capsys.readouterr().err
    assert listening(os.getsid(0)) <= before


def test_a_bench_that_serves_listens_where_it_was_told(tmp_path: Path) -> None:
    """`hil serve` with keys and without an address listens on loopback alone."""
    assert main(["keys", "new", str(tmp_path / "keys")]) == 0
    command = [*HIL, "serve", "--keys", "keys", "--listen", "tcp://127.0.0.1:0"]
    places = seen(command, tmp_path, {"tcp"})
    assert {place.family for place in places} == {"tcp"}
    assert [place.fault() for place in places] == [""]
