"""What the units say: tables of directives, from what is wanted and what the host has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: First line of every file that we write, and the only ones that we write over or remove.
MARK = "# Written by `hil service install`; change the .env file instead, or it is lost."
BENCH, PAYLOAD = "bench", "payload"
UNIT_OF = {BENCH: "flatsat-bench@.service", PAYLOAD: "flatsat-payload.service"}
#: Groups that own the devices of buses, as far as a host has them.
GROUPS = {
    BENCH: ("dialout",),
    PAYLOAD: ("dialout", "gpio", "i2c", "spi", "video"),
}
#: Devices by their driver's name in /proc/devices (systemd.resource-control(5)).
TTYS = ("ttyS", "ttyAMA", "ttyUSB", "ttyACM", "ttyTHS")
DEVICES = {BENCH: TTYS, PAYLOAD: (*TTYS, "i2c", "spi", "gpiochip", "video4linux", "vcio")}
MEMORY = {BENCH: "2G", PAYLOAD: "1G"}
#: Errors of usage and of the host: another start would end the same.
HOPELESS = "2 3"

Section = list[tuple[str, str]]


@dataclass(frozen=True)
class Wanted:
    """What a unit is to be. ``user`` runs it if the installation is closed to everyone else."""

    kind: str
    for_user: bool
    python: str
    keys: str
    user: str = ""
    groups: tuple[str, ...] = ()
    in_home: bool = False
    all_devices: bool = False
    boards: bool = False
    memory: str = ""
    cpus: str = ""
    fifo: int = 0


def unit(wanted: Wanted) -> str:
    """Return the text of a unit."""
    sections: dict[str, Section] = {
        "Unit": _about(wanted),
        "Service": [
            *_command(wanted),
            *_life(wanted),
            *_resources(wanted),
            *([] if wanted.for_user else _who(wanted)),
            *([] if wanted.for_user else _devices(wanted)),
            *_walls(wanted),
        ],
        "Install": [("WantedBy", "default.target" if wanted.for_user else "multi-user.target")],
    }
    lines = [MARK]
    for name, rows in sections.items():
        lines += ["", f"[{name}]", *(f"{key}={value}" for key, value in rows)]
    return "\n".join(lines) + "\n"


def environment(kind: str, endpoint: str, options: Sequence[str]) -> str:
    """Return the text of the file that a user changes: options, by words without quotes."""
    if kind == BENCH:
        return (
            f"# Options of `hil serve`, by words: see `hil serve --help`.\n"
            f"OPTIONS={' '.join(['--listen', endpoint, *options])}\n"
        )
    return (
        f"# Where the bench listens, and more options of `flightsw`: see `flightsw --help`.\n"
        f"BENCH={endpoint}\nOPTIONS={' '.join(options)}\n"
    )


def place(wanted: Wanted) -> str:
    """Return the environment file that a unit reads, with the specifiers of systemd."""
    folder = "%E/flatsat" if wanted.for_user else "/etc/flatsat"
    return f"{folder}/{'bench-%i' if wanted.kind == BENCH else PAYLOAD}.env"


def _state(wanted: Wanted) -> str:
    return "flatsat-bench/%i" if wanted.kind == BENCH else "flatsat-payload"


def _about(wanted: Wanted) -> Section:
    what = "FlatSat bench %i" if wanted.kind == BENCH else "FlatSat payload: its flight software"
    rows = [("Description", what), ("StartLimitIntervalSec", "300"), ("StartLimitBurst", "10")]
    if not wanted.for_user:
        rows += [("Wants", "network-online.target"), ("After", "network-online.target")]
    return rows


def _command(wanted: Wanted) -> Section:
    """Return what is run; keys come by a credential, which nobody else's process can read."""
    python, state = wanted.python, f"%S/{_state(wanted)}"
    # Not %d, which is unknown before systemd 250, as on the Ubuntu 22.04 of a Jetson.
    given_at = "${CREDENTIALS_DIRECTORY}"
    rows = [("EnvironmentFile", f"-{place(wanted)}")]
    if wanted.kind == BENCH:
        keys = wanted.keys if wanted.for_user else given_at
        rows += [
            ("ExecStart", f"{python} -m hil serve --keys {keys} $OPTIONS"),
            ("WorkingDirectory", state),
        ]
    else:
        keys = wanted.keys if wanted.for_user else f"{given_at}/client.key"
        rows += [
            (
                "ExecStart",
                f"{python} -m flightsw --bench ${{BENCH}} --keys {keys} --storage {state} --stay "
                "$OPTIONS",
            )
        ]
    if not wanted.for_user:
        given = {"client.key": wanted.keys}
        if wanted.kind == BENCH:
            given = {name: f"{wanted.keys}/{name}" for name in ("server.key", "clients.allow")}
        rows += [("LoadCredential", f"{name}:{path}") for name, path in given.items()]
        rows += [("Environment", f"XDG_STATE_HOME={state}"), ("Environment", f"HOME={state}")]
    return rows


def _life(wanted: Wanted) -> Section:
    rows = [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("WatchdogSec", "60"),
        ("TimeoutStartSec", "120"),
        ("TimeoutStopSec", "30"),
        ("KillMode", "mixed"),
        ("Restart", "on-failure"),
        ("RestartSec", "5"),
        ("RestartPreventExitStatus", HOPELESS),
        ("SuccessExitStatus", "143"),
        ("StateDirectory", _state(wanted)),
        ("StateDirectoryMode", "0700"),
    ]
    if wanted.kind == BENCH:
        rows += [
            ("RuntimeDirectory", "flatsat-bench-%i"),
            ("RuntimeDirectoryMode", "0700"),
            ("Environment", "XDG_RUNTIME_DIR=%t/flatsat-bench-%i"),
        ]
    return rows


def _resources(wanted: Wanted) -> Section:
    memory = wanted.memory or MEMORY[wanted.kind]
    rows = [("MemoryMax", memory), ("MemorySwapMax", "0"), ("TasksMax", "256")]
    # Each connection of a stranger is a descriptor.
    rows += [("LimitNOFILE", "65536"), ("LimitCORE", "0")]
    if wanted.cpus:
        rows.append(("CPUAffinity", wanted.cpus))
    if wanted.fifo:
        rows += [
            ("CPUSchedulingPolicy", "fifo"),
            ("CPUSchedulingPriority", str(wanted.fifo)),
            ("LimitRTPRIO", str(wanted.fifo)),
        ]
    return rows


def _who(wanted: Wanted) -> Section:
    rows = [("User", wanted.user)] if wanted.user else [("DynamicUser", "yes")]
    if wanted.groups:
        rows.append(("SupplementaryGroups", " ".join(wanted.groups)))
    return rows


def _devices(wanted: Wanted) -> Section:
    if wanted.all_devices:
        return []  # and no ProtectClock, which would close all others
    if wanted.kind == BENCH and not wanted.boards:
        return [("PrivateDevices", "yes"), ("ProtectClock", "yes")]
    rows = [("DevicePolicy", "closed"), ("ProtectClock", "yes")]
    return [*rows, *(("DeviceAllow", f"char-{name} rw") for name in DEVICES[wanted.kind])]


def _walls(wanted: Wanted) -> Section:
    """Return what the service may not do. A manager of a user cannot build most of it."""
    families = "AF_UNIX AF_INET AF_INET6" + (" AF_CAN" if wanted.kind == PAYLOAD else "")
    rows = [
        ("NoNewPrivileges", "yes"),
        ("UMask", "0077"),
        ("LockPersonality", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("RestrictNamespaces", "yes"),
        ("RestrictAddressFamilies", families),
        ("SystemCallArchitectures", "native"),
        ("SystemCallFilter", "@system-service"),
        ("SystemCallFilter", "~@privileged"),
        ("SystemCallErrorNumber", "EPERM"),
    ]
    if not wanted.fifo:
        rows.append(("RestrictRealtime", "yes"))
    if wanted.for_user:
        return rows
    return [
        *rows,
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "read-only" if wanted.in_home else "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateMounts", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectHostname", "yes"),
        ("ProtectProc", "invisible"),
        ("RemoveIPC", "yes"),
        ("KeyringMode", "private"),
    ]
