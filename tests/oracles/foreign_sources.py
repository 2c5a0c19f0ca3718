"""Source distributions of foreign libraries, whose own tests run against what stands in here.

A wheel leaves the tests of a library out, so they are fetched with pip, once, into a cache folder,
and held to a checksum. They are not part of this project.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flatsat" / "sources"


@cache
def sdist(name: str, version: str, sha256: str) -> Path:
    """Return the unpacked source distribution of a library; skips the test where there is none."""
    folder = CACHE / sha256
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            archive = fetched(name, version, Path(scratch))
            found = hashlib.sha256(archive.read_bytes()).hexdigest()
            assert found == sha256, f"{name} {version} is another than the one it was: {found}"
            unpacked = Path(scratch) / "unpacked"
            with tarfile.open(archive) as tar:
                tar.extractall(unpacked, filter="data")
            if not folder.is_dir():  # or somebody else was faster
                unpacked.rename(folder)
    return next(path for path in folder.iterdir() if path.is_dir())


def fetched(name: str, version: str, folder: Path) -> Path:
    """Return the archive that pip gives; skips the test where it gives none."""
    words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    done = subprocess.run(
        [*words, "--disable-pip-version-check", "-d", str(folder), f"{name}=={version}"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        pytest.skip(f"the source distribution of {name} {version} cannot be had: {last}")
    return next(folder.glob("*.tar.gz"))
