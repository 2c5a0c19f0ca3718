"""Files and commands that make a service of this host, or take it away."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import hil
from hil.errors import HostError, UsageError
from hil.services.units import BENCH, GROUPS, MARK, UNIT_OF, Wanted, environment, place, unit

SYSTEM_UNITS = Path("/etc/systemd/system")
SYSTEM_FILES = Path("/etc/flatsat")
#: Where devices of a graphics processor are: their drivers have no name to allow them by.
GPUS = ("/dev/nvidiactl", "/dev/nvhost-ctrl", "/dev/nvmap")
_OTHERS_ENTER, _OTHERS_READ = 0o001, 0o004
#: Longer than a unit may take to start: `enable --now` waits for it.
COMMAND_LIMIT_S = 150.0


@dataclass
class Plan:
    """What is written, removed and run, in this order."""

    files: dict[Path, str] = field(default_factory=dict)
    #: those that are left as they are if they are there: a user has changed them
    kept: dict[Path, str] = field(default_factory=dict)
    removed: list[Path] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def folders(for_user: bool) -> tuple[Path, Path]:
    """Return where units and where their settings lie."""
    if not for_user:
        return SYSTEM_UNITS, SYSTEM_FILES
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return config / "systemd" / "user", config / "flatsat"


def systemctl(for_user: bool, *words: str) -> list[str]:
    """Return a command to the manager."""
    return ["systemctl", *(["--user"] if for_user else []), *words]


def instance_of(kind: str, name: str) -> str:
    """Return the unit that is started: a bench has a name, so that there can be several."""
    return UNIT_OF[kind].replace("@", f"@{name}")


def open_to_all(path: Path) -> bool:
    """Tell whether any user of this host can read what lies at ``path``."""
    path = path.resolve()
    try:
        if not path.stat().st_mode & _OTHERS_READ:
            return False
        return all(folder.stat().st_mode & _OTHERS_ENTER for folder in path.parents)
    except OSError:
        return False


def groups(kind: str) -> tuple[str, ...]:
    """Return the groups of devices that this host has."""
    there = {group.gr_name for group in grp.getgrall()}
    return tuple(name for name in GROUPS[kind] if name in there)


def wanted_here(
    kind: str,
    for_user: bool,
    keys: Path,
    *,
    boards: bool = False,
    memory: str = "",
    cpus: str = "",
    fifo: int = 0,
) -> Wanted:
    """Return the unit that fits this host and this installation."""
    package = Path(hil.__file__)
    reachable = open_to_all(package) and open_to_all(Path(sys.executable))
    in_home = any(
        Path(at).resolve().is_relative_to(home)
        for at in (package, sys.executable, sys.prefix)
        for home in ("/home", "/root", "/run/user")
    )
    owner = pwd.getpwuid(package.stat().st_uid).pw_name
    return Wanted(
        kind=kind,
        for_user=for_user,
        python=sys.executable,
        keys=str(keys.absolute()),
        user="" if reachable else owner,
        groups=groups(kind) if kind != BENCH or boards else (),
        in_home=in_home,
        all_devices=kind != BENCH and any(Path(device).exists() for device in GPUS),
        boards=boards,
        memory=memory,
        cpus=cpus,
        fifo=fifo,
    )


def plan_install(wanted: Wanted, name: str, endpoint: str, options: list[str]) -> Plan:
    """Return what makes and starts a service."""
    units, files = folders(wanted.for_user)
    plan = Plan()
    plan.files[units / UNIT_OF[wanted.kind]] = unit(wanted)
    settings = files / Path(place(wanted).replace("%i", name)).name
    plan.kept[settings] = environment(wanted.kind, endpoint, options)
    plan.commands = [
        systemctl(wanted.for_user, "daemon-reload"),
        systemctl(wanted.for_user, "enable", "--now", instance_of(wanted.kind, name)),
    ]
    keys = Path(wanted.keys)
    needed = keys / "server.key" if wanted.kind == BENCH else keys
    if not needed.exists():
        how = (
            f"hil keys new {shlex.quote(str(keys))}"
            if wanted.kind == BENCH
            else "copy the NAME.key of this client there, from where `hil keys add` made it"
        )
        plan.notes.append(f"{needed} is not there yet: {how}")
    if wanted.user and not wanted.for_user:
        plan.notes.append(
            f"runs as {wanted.user}: other users cannot read {sys.executable} and what it imports; "
            "an installation in /opt needs no user at all"
        )
    return plan


def plan_uninstall(kind: str, for_user: bool) -> Plan:
    """Return what ends and removes a service; its settings and its state stay."""
    units, files = folders(for_user)
    path = units / UNIT_OF[kind]
    plan = Plan()
    if not path.exists():
        raise UsageError(f"{path} is not there: there is no such service to uninstall")
    plan.removed.append(path)
    which = UNIT_OF[kind].replace("@", "@*")
    plan.commands = [
        systemctl(for_user, "disable", "--now", which),
        systemctl(for_user, "daemon-reload"),
    ]
    if kind == BENCH:
        # Disabling takes no pattern; what is enabled are links beside the unit.
        enabled = sorted(link.name for link in units.glob("*.wants/flatsat-bench@*.service"))
        plan.commands[:1] = [systemctl(for_user, "stop", which)] + [
            systemctl(for_user, "disable", one) for one in enabled
        ]
    plan.notes.append(f"{files} and the state of the service stay")
    return plan


def check(plan: Plan, for_user: bool) -> None:
    """Raise where a plan cannot be carried out, before anything is changed."""
    if shutil.which("systemctl") is None:
        raise HostError("no systemctl on this host: --dry-run shows what to do elsewhere")
    if not for_user and os.geteuid() != 0:
        raise HostError("a service of the system needs root: add sudo, or --user for one of yours")
    for path in (*plan.files, *plan.removed):
        if path.is_symlink() or (path.exists() and not _ours(path)):
            raise UsageError(f"{path} was not written by `hil service`: move it away first")


def _ours(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and path.read_text(errors="replace").startswith(MARK)


def carry_out(plan: Plan) -> list[str]:
    """Do it; return what was done. Raises ``HostError`` for a command that fails."""
    done = []
    for path, text in {**plan.files, **plan.kept}.items():
        if path in plan.kept and path.exists():
            done.append(f"kept {path}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(text)
        fresh.rename(path)
        done.append(f"wrote {path}")
    last = [plan.commands[-1]] if plan.removed else []
    for command in plan.commands[: len(plan.commands) - len(last)]:
        done.append(_run(command))
    for path in plan.removed:
        path.unlink()
        done.append(f"removed {path}")
    return done + [_run(command) for command in last]


def _run(command: list[str]) -> str:
    _ask(command)
    return f"ran {shlex.join(command)}"


def _ask(command: list[str]) -> str:
    """Run a command of the manager, a list of words and no shell; return what it says."""
    try:
        said = subprocess.run(  # noqa: S603 - words of ours
            command, capture_output=True, text=True, timeout=COMMAND_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        raise HostError(
            f"`{shlex.join(command)}` has not ended within {COMMAND_LIMIT_S:g} s; "
            "see `systemctl list-jobs` and `journalctl -xe`"
        ) from None
    if said.returncode != 0:
        why = (said.stderr.strip() or f"exit code {said.returncode}").splitlines()[-1]
        raise HostError(f"`{shlex.join(command)}` failed: {why}; see `journalctl -xe`")
    return said.stdout


def state(kind: str, for_user: bool) -> dict[str, dict[str, str]]:
    """Return what the manager says of each unit of a kind."""
    if shutil.which("systemctl") is None:
        raise HostError("no systemctl on this host: nothing runs as a service here")
    fields = ("Id", "LoadState", "ActiveState", "SubState", "StatusText", "NRestarts", "MainPID")
    which = UNIT_OF[kind].replace("@", "@*")
    command = systemctl(for_user, "show", which, f"--property={','.join(fields)}")
    found = {}
    for block in _ask(command).split("\n\n"):
        row = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if row.get("LoadState") == "loaded":
            found[row["Id"]] = row
    return found
