"""What ``hil --version --json`` tells: this build, and what it found on this host.

Everything heavy is imported where it is asked: ``hil --version`` alone reads one string.
"""

from __future__ import annotations

import json
import platform
import re
import runpy
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from hil import __version__

ROOT = Path(__file__).resolve().parent.parent
#: built file -> where it may lie below the folder of the packages; the codec has one of two forms
NATIVES: Mapping[str, tuple[str, ...]] = {
    "codec": ("flightsw/codec/_codec.abi3.so", "flightsw/codec/_codec_plain.so"),
    "shim": ("hil/faces/_shim.so",),
    "supervisor": ("hil/faces/_supervisor",),
    "board": ("hil/boards/_hilwire_posix",),
}
#: for whoever works on it, no part of what a user may add
DEVELOPMENT = ("test", "train", "docs")
#: an ELF note: octets of name and value, type 3 (build ID), the name
_NOTE = re.compile(rb"\x04\0\0\0(.)\0\0\0\x03\0\0\0GNU\0", re.DOTALL)


def facts() -> dict[str, Any]:
    """Return everything that tells one build on one host from another, as JSON can hold it."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": "-".join(filter(None, (sys.platform, *platform.libc_ver()))),
        "machine": platform.machine(),
        "codec": codec(),
        "natives": natives(ROOT),
        "libzmq": libzmq(),
        "extras": extras(),
    }


def as_json() -> str:
    """Return the facts as one line."""
    return json.dumps(facts(), sort_keys=True)


def codec() -> dict[str, Any]:
    """Return form and tiers of the codec, or why it cannot be used."""
    from flightsw.codec.errors import StaleCodecError

    try:
        from flightsw.codec import tier
        from flightsw.codec.native import form
    except (ImportError, OSError, StaleCodecError) as error:
        return {"error": str(error)}
    return {"form": form, "tiers": list(tier.available()), "chosen": tier.active()}


def natives(root: Path) -> dict[str, dict[str, Any] | None]:
    """Return what is built of C below ``root``: None for what is not.

    ``made_of`` is the fingerprint of the sources that a file was built of, and ``fits`` whether
    those that lie beside it are the same: None where there are none, as in an installation.
    """
    wanted = fingerprints(root)
    found: dict[str, dict[str, Any] | None] = {}
    for name, places in NATIVES.items():
        file = next((root / place for place in places if (root / place).is_file()), None)
        if file is None:
            found[name] = None
            continue
        made_of = build_id(file.read_bytes())
        fits = made_of == wanted[name] if name in wanted else None
        found[name] = {
            "file": file.relative_to(root).as_posix(),
            "made_of": made_of,
            "fits": fits,
        }
    return found


def fingerprints(root: Path) -> dict[str, str]:
    """Return native -> fingerprint of its sources below ``root``; empty where they are not."""
    listed = root / "csrc" / "natives.py"
    if not listed.is_file():
        return {}
    fingerprint = runpy.run_path(str(listed))["fingerprint"]
    return {name: fingerprint(name) for name in NATIVES}


def build_id(octets: bytes) -> str:
    """Return the build ID of an ELF file; empty where it has none."""
    note = _NOTE.search(octets)
    if note is None:
        return ""
    return octets[note.end() : note.end() + note[1][0]].hex()


def libzmq() -> dict[str, Any] | None:
    """Return the version of libzmq and what its build can do; None where it is missing."""
    try:
        import zmq
    except ImportError:
        return None
    return {"version": zmq.zmq_version(), "curve": zmq.has("curve"), "ipc": zmq.has("ipc")}


def extras() -> dict[str, dict[str, str | None]]:
    """Return extra -> package -> its version here, None for a package that is not installed."""
    listed = {name: needs for name, needs in _declared().items() if name not in DEVELOPMENT}
    return {
        name: {package: _version(package) for package in _packages(name, listed)}
        for name in sorted(listed)
    }


def _declared() -> dict[str, list[str]]:
    """Return the extras as this checkout or this installation declares them."""
    ours = ROOT / "pyproject.toml"
    if ours.is_file():
        project = tomllib.loads(ours.read_text()).get("project", {})
        if project.get("name") == "flatsat":
            return dict(project["optional-dependencies"])
    try:
        about = metadata.distribution("flatsat")
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    for line in about.requires or ():
        need, _, marker = line.partition(";")
        if extra := re.search(r"extra == ['\"](.+?)['\"]", marker):
            found.setdefault(extra[1], []).append(need)
    return found


def _packages(extra: str, listed: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the packages of an extra; those of extras that it names are among them."""
    found = []
    for need in listed.get(extra, ()):
        named = re.match(r"([\w.-]+)(?:\[([\w, -]+)\])?", need)
        assert named is not None, f"{need!r} begins with the name of a package"
        if named[1] != "flatsat":
            found.append(named[1])
            continue
        for other in (named[2] or "").split(","):
            found += _packages(other.strip(), listed)
    return sorted(set(found))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
