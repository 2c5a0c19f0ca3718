"""The platform tag that a wheel may carry: what its ELF files ask of the system that loads them.

A tag ``manylinux_2_X`` promises to run where glibc is at least 2.X (PEP 600). Each symbol that a
file takes from glibc names the version in which it came; the highest of them is X. ``readelf``
reads files for any processor, so that a wheel that was cross-built is judged the same way.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

#: What PEP 600 lets a file need of the system: of it, glibc and its loader.
ALLOWED = re.compile(r"lib(c|m|dl|rt|pthread)\.so\.\d+|ld-linux(-x86-64|-aarch64)?\.so\.\d+")
MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}
#: Older than this no installer asks for.
OLDEST = 17


class NotPortableError(Exception):
    """A file that asks for what a manylinux wheel may not: it runs here and not elsewhere."""


def asks(file: Path) -> tuple[str, int]:
    """Return the machine of an ELF file and the minor version of glibc that it needs."""
    env = {**os.environ, "LC_ALL": "C"}
    command = ["readelf", "--wide", "--file-header", "--dynamic", "--version-info", str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    machine = re.search(r"^ *Machine: +(.+?)$", done.stdout, re.MULTILINE)
    if machine is None or machine[1] not in MACHINES:
        raise NotPortableError(f"{file.name}: for no machine that wheels are made for")
    for needed in re.findall(r"\(NEEDED\).*\[(.+?)\]", done.stdout):
        if not ALLOWED.fullmatch(needed):
            raise NotPortableError(f"{file.name}: needs {needed}, which no system has to have")
    versions = re.findall(r"Name: (\w+?)_(\d[\d.]*) +Flags", done.stdout)
    if strange := sorted({name for name, _ in versions} - {"GLIBC"}):
        raise NotPortableError(f"{file.name}: needs versions of {', '.join(strange)}")
    minors = [int(version.split(".")[1]) for _, version in versions]
    return MACHINES[machine[1]], max(minors, default=0)


def platform_tag(files: Iterable[Path]) -> str:
    """Return the lowest tag that is true of all files; NotPortableError where none is."""
    found = {file.name: asks(file) for file in files}
    machines = sorted({machine for machine, _ in found.values()})
    if len(machines) != 1:
        raise NotPortableError(f"files for {' and '.join(machines) or 'no machine'} in one wheel")
    return f"manylinux_2_{max(OLDEST, *(minor for _, minor in found.values()))}_{machines[0]}"
