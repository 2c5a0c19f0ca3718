"""``hil service``: units that systemd takes, that match their programs, and what is left alone."""

from __future__ import annotations

import grp
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flightsw import __main__ as flight
from hil.cli import main, serve
from hil.services import installing
from hil.services.units import BENCH, MARK, PAYLOAD, UNIT_OF, Wanted, environment, unit

Capture = pytest.CaptureFixture[str]
WHERE = {BENCH: [], PAYLOAD: ["--endpoint", "tcp://192.0.2.7:5557"]}
#: what a service of the system must have, whatever it is
WALLS = {
    "Type": "notify",
    "Restart": "on-failure",
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "CapabilityBoundingSet": "",
    "PrivateTmp": "yes",
}


def wanted(kind: str, **others: object) -> Wanted:
    """Return a unit of the system whose installation everybody can read."""
    keys = "/etc/flatsat/keys" if kind == BENCH else "/etc/flatsat/client.key"
    made = Wanted(kind, False, "/usr/bin/python3", keys, groups=installing.groups(kind))
    return replace(made, **others)


def rows(text: str) -> dict[str, list[str]]:
    """Return the directives of a unit."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", text, re.M):
        found.setdefault(key, []).append(value)
    return found


def systemd(*words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, which needs no systemd that runs."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True)


@pytest.mark.parametrize("kind", [BENCH, PAYLOAD])
@pytest.mark.parametrize(
    "others",
    [{}, {"fifo": 10, "cpus": "2-3", "memory": "512M", "all_devices": True, "boards": True}],
    ids=["plain", "all"],
)
def test_systemd_takes_the_units(kind: str, others: dict[str, object], tmp_path: Path) -> None:
    """systemd-analyze has nothing to say about a unit of the system, and calls its exposure OK."""
    path = tmp_path / UNIT_OF[kind]
    path.write_text(unit(wanted(kind, **others)))
    checked = systemd("verify", "--man=no", str(path))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    told = systemd("security", "--offline=true", "--no-pager", str(path)).stdout
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert score is not None
    assert float(score[1]) < 2.5


@pytest.mark.parametrize("kind", [BENCH, PAYLOAD])
def test_a_unit_has_its_walls(kind: str) -> None:
    """Type, watchdog, user, groups, memory, families and credentials are as promised."""
    found = rows(unit(wanted(kind)))
    assert {key: found[key] for key in WALLS} == {key: [value] for key, value in WALLS.items()}
    assert int(found["WatchdogSec"][0]) > 0
    assert found["MemoryMax"]
    assert set(found["RestrictAddressFamilies"][0].split()) <= {
        *("AF_UNIX", "AF_INET", "AF_INET6", "AF_CAN")
    }
    there = {group.gr_name for group in grp.getgrall()}
    assert set(" ".join(found.get("SupplementaryGroups", [])).split()) <= there
    assert all("/etc/flatsat/" in given for given in found["LoadCredential"])


@pytest.mark.parametrize("kind", [BENCH, PAYLOAD])
def test_the_words_of_a_unit_are_those_of_its_program(kind: str) -> None:
    """What a unit starts is understood by the program that it starts, its options included; keys
    are where every systemd with credentials (247) says, and not only those that know ``%d``."""
    at = "${CREDENTIALS_DIRECTORY}"
    words = shlex.split(rows(unit(wanted(kind)))["ExecStart"][0])
    options = ["--duration", "60"] if kind == BENCH else ["--local", "i2c-1=/dev/i2c-1"]
    settings = rows(environment(kind, "tcp://192.0.2.7:5557", options))
    words = [word.replace("${BENCH}", settings.get("BENCH", [""])[0]) for word in words]
    assert words[-1] == "$OPTIONS"
    words = [*words[:-1], *settings["OPTIONS"][0].split()]
    if kind == BENCH:
        args = serve.parser().parse_args(words[4:])
        assert (args.listen, str(args.keys)) == ("tcp://192.0.2.7:5557", at)
    else:
        asked = flight._parser().parse_args(words[3:])
        assert (asked.bench, str(asked.keys)) == ("tcp://192.0.2.7:5557", f"{at}/client.key")
        assert asked.stay


@pytest.mark.parametrize("kind", [BENCH, PAYLOAD])
@pytest.mark.parametrize("user", [True, False])
def test_a_dry_run_tells_everything_and_changes_nothing(
    kind: str, user: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Files with their text and commands are printed; the disk stays as it is."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(installing, "SYSTEM_UNITS", tmp_path / "systemd" / "user")
    monkeypatch.setattr(installing, "SYSTEM_FILES", tmp_path / "flatsat")
    words = [*WHERE[kind], *(["--user"] if user else [])]
    assert main(["service", "install", kind, "--dry-run", *words]) == 0
    said = capsys.readouterr().out
    assert f"# --- {tmp_path}/systemd/user/{UNIT_OF[kind]}\n{MARK}" in said
    assert f"# --- {tmp_path}/flatsat/" in said
    assert f"systemctl{' --user' if user else ''} daemon-reload" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["payload"],
        ["payload", "--endpoint", "ipc:///x"],
        ["payload", "--endpoint", "tcp://a:1\nExecStart=x"],
        ["bench", "--name", "../x"],
        ["bench", "--cpus", "0;1"],
        ["bench", "--memory", "lots"],
        ["bench", "--fifo", "100"],
        ["bench", "--keys", "/a b"],
        ["payload", *WHERE[PAYLOAD], "--boards"],
        ["bench", "--", "--board", "a b"],
        ["bench", "--", "--out=$(x)"],
    ],
)
def test_what_no_unit_can_say_is_refused(words: list[str], capsys: Capture) -> None:
    """Names, places and options that would be read otherwise by systemd end with one line."""
    at = words.index("--") if "--" in words else len(words)
    assert main(["service", "install", "--dry-run", *words[:at], *words[at:]]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_python_whose_path_no_unit_can_say_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Blanks and specifiers in the path of the installation end with one line, not a bad unit."""
    monkeypatch.setattr(sys, "executable", "/opt/a b/100%/bin/python")
    assert main(["service", "install", "--dry-run", "bench"]) == 2
    assert "/opt/a b/100%" in capsys.readouterr().err


#: Stands in the place of the manager, which no test may speak to: keeps what it is told.
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$TOLD"
case "$*" in *show*) printf 'Id=flatsat-payload.service\\nLoadState=loaded\\nActiveState=active\\n\
SubState=running\\nStatusText=flying\\n' ;; esac
"""


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a program of the manager's name in front; return the file of what it was told."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL)
    (tools / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "told"


def test_a_service_is_made_changed_shown_and_removed(
    manager: Path, tmp_path: Path, capsys: Capture
) -> None:
    """What a user has written into the settings stays; the unit goes with `uninstall`."""
    install = ["service", "install", "payload", "--user", *WHERE[PAYLOAD]]
    made = tmp_path / "config" / "systemd" / "user" / "flatsat-payload.service"
    settings = tmp_path / "config" / "flatsat" / "payload.env"
    assert main(install) == 0
    settings.write_text("BENCH=tcp://192.0.2.8:5557\nOPTIONS=\n")
    assert main(install) == 0
    assert "192.0.2.8" in settings.read_text()
    capsys.readouterr()
    assert main(["service", "status", "payload", "--user", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["units"].values()
    assert found["StatusText"] == "flying"
    assert main(["service", "uninstall", "payload", "--user"]) == 0
    assert not made.exists()
    assert settings.exists()
    acts = [line for line in manager.read_text().splitlines() if "show" not in line]
    enabled = ["--user daemon-reload", "--user enable --now flatsat-payload.service"]
    disabled = ["--user disable --now flatsat-payload.service", "--user daemon-reload"]
    assert acts == [*enabled, *enabled, *disabled]


@pytest.mark.usefixtures("manager")
def test_a_manager_that_does_not_end_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A start that takes longer than it may ends with one line that says where to look."""
    monkeypatch.setattr(installing, "COMMAND_LIMIT_S", 0.0)
    assert main(["service", "install", "payload", "--user", *WHERE[PAYLOAD]]) == 3
    assert "systemctl list-jobs" in capsys.readouterr().err


@pytest.mark.usefixtures("manager")
def test_a_unit_of_somebody_else_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    """A file of that name that we have not written is neither written over nor removed."""
    path = tmp_path / "config" / "systemd" / "user" / "flatsat-payload.service"
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nExecStart=/bin/true\n")
    assert main(["service", "install", "payload", "--user", *WHERE[PAYLOAD]]) == 2
    assert main(["service", "uninstall", "payload", "--user"]) == 2
    assert capsys.readouterr().err.count("was not written by `hil service`") == 2
    assert path.read_text() == "[Service]\nExecStart=/bin/true\n"
