"""What .ci/release asks of the tree, and what it adds to the list of what a wheel holds.

python .ci/release.py version                  # prints it
python .ci/release.py fit [TAG]                # a line for each thing that is not as it must be
python .ci/release.py contents SBOM WHEEL      # files of the wheel, and what it carries of others
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[1]
#: files of a wheel that are made by a compiler, an assembler or a trainer
MADE = (".so", ".hex", ".onnx", "_supervisor", "_hilwire_posix")
#: code of others that a wheel carries: file -> name, licence, how its first line tells the version
CARRIED = {"hil/report/vendor/uPlot.iife.min.js": ("uPlot", "MIT", r"\bv(\d+\.\d+\.\d+)\b")}


def version_of(top: Path) -> str:
    """Return the version, which stands in one place."""
    for line in ast.parse((top / "hil" / "__init__.py").read_text()).body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "__version__":
            return str(ast.literal_eval(line.value))
    raise SystemExit("release: hil/__init__.py has no line `__version__ = ...`")


def unfit(top: Path, tag: str) -> list[str]:
    """Return what keeps the tree from being released: version, changelog and tag have to agree."""
    version, found = version_of(top), []
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        found.append(f"hil/__init__.py: {version!r} is no version of a release")
    headings = re.findall(r"^## (.+)$", (top / "CHANGELOG.md").read_text(), re.MULTILINE)
    first = headings[0] if headings else ""
    if not re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", first):
        found.append(f"CHANGELOG.md: begins with {first!r}, must be '{version} - YYYY-MM-DD'")
    if tag != f"v{version}":
        found.append(f"git: the commit has the tag {tag!r}, must be 'v{version}'")
    return found


def add_contents(sbom: dict[str, Any], wheel: Path) -> None:
    """Add what the wheel itself holds below the component that the list is about."""
    with zipfile.ZipFile(wheel) as packed:
        files = {name: packed.read(name) for name in sorted(packed.namelist())}
    held: list[dict[str, Any]] = []
    for name, octets in files.items():
        digest = [{"alg": "SHA-256", "content": hashlib.sha256(octets).hexdigest()}]
        if name in CARRIED:
            library, licence, told = CARRIED[name]
            version = re.search(told, octets[:400].decode())
            assert version is not None, f"{name} tells its version"
            held.append(
                {
                    "type": "library",
                    "name": library,
                    "version": version[1],
                    "licenses": [{"license": {"id": licence}}],
                    "hashes": digest,
                }
            )
        elif name.endswith(MADE):
            held.append({"type": "file", "name": name, "hashes": digest})
    about = sbom["metadata"]["component"]
    about["components"] = held
    about["hashes"] = [
        {"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}
    ]


def contents(sbom: str, wheel: str) -> None:
    """Write the list anew with what the wheel holds, and have it checked against its schema."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    listed = json.loads(Path(sbom).read_text())
    add_contents(listed, Path(wheel))
    text = json.dumps(listed, indent=2, sort_keys=True) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise SystemExit(f"release: {sbom}: {wrong}")
    Path(sbom).write_text(text)


def fit(tag: str = "") -> None:
    """End with all that is not as it must be."""
    if found := unfit(TOP, tag):
        raise SystemExit("\n".join(f"release: {line}" for line in found))


VERBS: dict[str, Callable[..., object]] = {
    "version": lambda: print(version_of(TOP)),
    "fit": fit,
    "contents": contents,
}


if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
