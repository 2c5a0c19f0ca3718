"""What this installation is: facts that a run keeps, so that another machine can tell where it
differs."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from hil import __version__
from hil.printable import printable

#: Packages whose results reach a record: what they round or train decides octets.
LIBRARIES = ("numpy", "onnxruntime", "sgp4", "basemap-data", "pillow", "construct", "zstandard")
#: What decides what a run does: our own code, what is built of it, and the files beside it.
_SOURCES = (".py", ".so", ".toml", ".onnx", ".npz")
_PACKAGES = ("hil", "flightsw")
_HASH_NBYTES = 16
#: fact -> what it is called where it differs
WORDS = {
    "version": "FlatSat",
    "commit": "commit",
    "sources": "sources",
    "python": "Python",
    "platform": "platform",
    "tier": "processor (codec tier)",
}


@cache
def installation() -> dict[str, str]:
    """Return the facts of this installation and host, every value a text.

    ``commit`` is empty where it does not run from a checkout, ``libraries`` a JSON object of
    versions, ``sources`` BLAKE2b-128 over the installed packages.
    """
    from flightsw.codec.native import tiers

    root = Path(__file__).resolve().parent.parent
    return {
        "version": __version__,
        "commit": commit_of(root),
        "sources": sources_of(root),
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()} {'-'.join(platform.libc_ver())}".strip(),
        "tier": tiers()[-1],
        "libraries": json.dumps(libraries(), sort_keys=True),
    }


def libraries() -> dict[str, str]:
    """Return the versions of the packages that a run rests on; those not installed are left out."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def sources_of(root: Path) -> str:
    """Return the hash of names and octets of the packages below ``root``, as text."""
    digest = hashlib.blake2b(digest_size=_HASH_NBYTES)
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in _SOURCES and path.is_file():
                octets = path.read_bytes()
                digest.update(f"{path.relative_to(root).as_posix()} {len(octets)}\n".encode())
                digest.update(octets)
    return digest.hexdigest()


def commit_of(root: Path) -> str:
    """Return the git commit that is checked out in ``root``; empty where there is none.

    Read from the files of the repository, since git itself may not be there.
    """
    try:
        git = root / ".git"
        if git.is_file():  # a work tree of its own: a line that says where its files are
            git = root / git.read_text().partition(":")[2].strip()
        head = (git / "HEAD").read_text().strip()
        common = git / "commondir"
        home = git / common.read_text().strip() if common.is_file() else git
        name = head.removeprefix("ref:").strip()
        if name == head:
            return head
        loose = next((each / name for each in (git, home) if (each / name).is_file()), None)
        if loose is not None:
            return loose.read_text().strip()
        packed = (line.partition(" ") for line in (home / "packed-refs").read_text().splitlines())
        return next((commit for commit, _, ref in packed if ref == name), "")
    except (OSError, ValueError):
        return ""


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between the facts of a run and those of this host, a line each."""
    found = []
    for key, words in WORDS.items():
        if key in then and then[key] != now.get(key, ""):
            was, here = then[key] or "none", now.get(key) or "none"
            if key in ("commit", "sources"):
                was, here = was[:12], here[:12]
            found.append(f"{words} {here}, recorded with {printable(was)}")
    old, new = _table(then.get("libraries", "")), _table(now.get("libraries", ""))
    for name in sorted(set(old) | set(new)) if old else ():
        if old.get(name) != new.get(name):
            was, here = (side.get(name) or "not installed" for side in (old, new))
            found.append(printable(f"{name} {here}, recorded with {was}"))
    return found


def _table(text: str) -> dict[str, str]:
    """Return a JSON object of texts; empty for anything else."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
