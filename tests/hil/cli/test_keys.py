"""``hil keys``: folders of keys, what is refused of them, and what a bench that runs takes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import zmq

from flightsw.errors import BenchRefusedError
from flightsw.hal.channel import connect
from flightsw.hal.channel.zeromq import read_key_file
from flightsw.hal.exercise import run
from hil.cli import main
from hil.errors import TransportError
from hil.testing.contracts.transport import running
from hil.testing.small_rig import SmallRig
from hil.time.coordinator import Coordinator
from hil.time.transports import listen
from hil.time.transports.keys import (
    allowed_clients,
    check_folder,
    default_folder,
    make_keys,
    read_private,
)

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, capsys: Capture) -> Path:
    """Return a folder of keys that the command has made."""
    assert main(["keys", "new", str(tmp_path / "keys")]) == 0
    capsys.readouterr()
    return tmp_path / "keys"


def keys(*words: object) -> int:
    """Run ``hil keys``; return its exit code."""
    return main(["keys", *map(str, words)])


def modes(folder: Path) -> dict[str, int]:
    """Return the mode of each file."""
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_a_folder_is_made_private_with_a_first_client(folder: Path) -> None:
    """``new`` makes a folder of mode 0700 with the bench's keys, those of one client and a list."""
    assert folder.stat().st_mode & 0o777 == 0o700
    assert modes(folder) == {"server.key": 0o600, "client.key": 0o600, "clients.allow": 0o600}
    assert list(allowed_clients(folder).values()) == ["client"]


def test_keys_that_clients_know_are_never_made_anew(folder: Path, capsys: Capture) -> None:
    """``new`` on a folder with keys changes nothing and says so."""
    before = (folder / "server.key").read_text()
    assert keys("new", folder) == 2
    assert "has keys already" in capsys.readouterr().err
    assert (folder / "server.key").read_text() == before


def test_the_default_folder_is_that_of_the_users_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without DIR the keys lie below ``$XDG_CONFIG_HOME``."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert keys("new") == 0
    assert default_folder() == tmp_path / "flatsat" / "keys"
    assert (default_folder() / "server.key").exists()


def test_a_client_is_added_listed_exported_and_revoked(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    """A client's file holds its own keys and the bench's public one, and goes with the client."""
    assert keys("add", "orin", "--dir", folder) == 0
    assert keys("export", "orin", "--out", tmp_path / "o.key", "--dir", folder) == 0
    capsys.readouterr()
    assert keys("list", "--json", "--dir", folder) == 0
    rows = json.loads(capsys.readouterr().out)["clients"]
    held = read_private(tmp_path / "o.key")
    assert held["server"] == read_private(folder / "server.key")["public"]
    assert {row["name"]: row["public"] for row in rows}["orin"] == held["public"]
    assert modes(folder)["orin.key"] == 0o600
    assert keys("revoke", "orin", "--dir", folder) == 0
    assert "orin" not in allowed_clients(folder).values()
    assert not (folder / "orin.key").exists()


def test_a_client_that_made_its_keys_itself_hands_over_no_secret(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    """``add --public`` lets a client in of which this folder holds nothing secret."""
    public = zmq.curve_keypair()[0].decode()
    assert keys("add", "own", "--public", public, "--dir", folder) == 0
    assert read_private(folder / "server.key")["public"] in capsys.readouterr().out
    assert allowed_clients(folder)[public] == "own"
    assert keys("export", "own", "--out", tmp_path / "x", "--dir", folder) == 2
    assert "made its keys itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("add", "../client"),
        ("add", "client"),
        ("add", "server"),
        ("add", "A"),
        ("add", "x" * 33),
        ("add", "x", "--public", "short"),
        ("revoke", "nobody"),
        ("export", "nobody", "--out", "x"),
    ],
)
def test_what_cannot_be_changes_nothing(
    folder: Path, words: tuple[str, ...], capsys: Capture
) -> None:
    """Names that are no file of ours, are in use or are nobody's end with one line and code 2."""
    before = {path: path.read_text() for path in folder.iterdir()}
    assert keys(*words, "--dir", folder) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert {path: path.read_text() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", [".", "server.key", "clients.allow"])
def test_what_others_can_read_is_refused(folder: Path, name: str, capsys: Capture) -> None:
    """A folder, key file or list that others can enter or read is refused, naming the command."""
    path = folder / name
    path.chmod(path.stat().st_mode | 0o040)
    assert keys("show", "--dir", folder) == 4
    assert f"run chmod {'700' if name == '.' else '600'} {path}" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_is_somebody_elses_is_refused(folder: Path, capsys: Capture) -> None:
    """Keys that belong to another user are refused: that user knows them."""
    os.chown(folder / "server.key", 4321, -1)
    assert keys("show", "--dir", folder) == 4
    assert "belongs to user 4321" in capsys.readouterr().err


def test_a_list_without_names_is_read(tmp_path: Path) -> None:
    """The list of earlier versions, public keys alone, is read; ``client.key`` names its own."""
    make_keys(tmp_path)
    other = zmq.curve_keypair()[0].decode()
    public = read_private(tmp_path / "client.key")["public"]
    (tmp_path / "clients.allow").write_text(f"{public}\n\nno key\n{other}\n")
    assert allowed_clients(tmp_path) == {
        public: "client",
        other: f"key-{other.encode().hex()[:12]}",
    }


def test_a_bench_that_runs_takes_clients_that_are_added_and_revoked(folder: Path) -> None:
    """Added after the bench began, a client gets in; revoked, it does not at its next try."""
    rig = SmallRig(1_000_000)
    with listen("tcp", folder) as listener:
        assert keys("add", "late", "--dir", folder) == 0
        copy = folder / "copy"
        copy.touch(0o600)
        copy.write_text((folder / "late.key").read_text())
        coordinator = Coordinator(rig.exchange)
        coordinator.add(listener.channel(), "late")

        def act() -> None:
            run(connect(listener.endpoint, "late", copy), "chatter")

        with running(act) as failures:
            coordinator.run()
        assert not failures
        assert keys("revoke", "late", "--dir", folder) == 0
        with pytest.raises(BenchRefusedError, match="refused our key"):
            connect(listener.endpoint, "late", copy)


def test_keys_from_a_service_manager_are_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential shows its access list as a group that may read: taken there, and only there."""
    for name in ("server.key", "client.key", "clients.allow"):
        (folder / name).chmod(0o440)
    folder.chmod(0o550)
    with pytest.raises(TransportError, match="mode 0550"):
        check_folder(folder)
    with pytest.raises(BenchRefusedError, match="mode 0440"):
        read_key_file(folder)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    check_folder(folder)
    assert len(allowed_clients(folder)) == 1
    assert read_key_file(folder)["server"] == read_private(folder / "server.key")["public"]
    (folder / "server.key").chmod(0o444)
    with pytest.raises(TransportError, match="mode 0444"):
        read_private(folder / "server.key")
