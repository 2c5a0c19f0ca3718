"""Who may import whom. The flight software stands alone; inside the bench, arrows point one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for name in ("flightsw", "hil") for path in (ROOT / name).rglob("*.py"))

#: From the ground up. A room imports its own floor and those below it.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "closing", "units", "tomlindex", "config", "findings"}),
    frozenset(
        {
            "time",
            "digest",
            "docket",
            "exchange",
            "greeting",
            "observing",
            "transactions",
            "missions",
        }
    ),
    frozenset({"buses", "parts", "world", "ground", "capture", "faults", "faces", "report"}),
    frozenset({"board", "boardparts"}),
)
#: What is on no floor composes (hil.rig and those it is made with), up to the doors of the house.
COMPOSES = len(FLOORS)
DOORS = frozenset({"cli", "benches", "testing", "campaign", "ui", "__main__"})

#: Between rooms of one floor: (room, room that it must not know, what it may know of it)
STRANGERS = (
    ("buses", "parts", ("hil.parts.base", "hil.parts.fault_windows")),
    ("buses", "world", ()),
    ("parts", "buses", ()),
    ("parts", "world", ()),
    ("world", "buses", ()),
    ("world", "parts", ("hil.parts.base",)),
    ("ground", "buses", ()),
    ("ground", "parts", ("hil.parts.base",)),
    ("capture", "report", ()),
    ("report", "capture", ()),
    ("faces", "parts", ("hil.parts.base", "hil.parts.fault_windows")),
    ("faces", "world", ()),
)


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return the dotted name of everything that a file imports, wherever in it."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folder = path.parent.relative_to(ROOT).parts
            base = folder[: len(folder) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    """Return the room of the bench that a dotted name lies in; the package itself is ``""``."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def floor(name: str) -> int:
    """Return the floor of a room."""
    if name in DOORS:
        return COMPOSES + 1
    return next((i for i, rooms in enumerate(FLOORS) if name in rooms), COMPOSES)


def hil_imports() -> list[tuple[str, str]]:
    """Return (module, what it imports) of each import inside the bench."""
    found = []
    for path in SOURCES:
        name = module_name(path)
        if name.startswith("hil"):
            found += [(name, used) for used in imports(path) if used.split(".")[0] == "hil"]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_the_flight_software_stands_alone(path: Path) -> None:
    """Flight software imports nothing of the bench; the bench imports only its codec."""
    for used in imports(path):
        if module_name(path).split(".")[0] == "flightsw":
            assert used.split(".")[0] != "hil", f"{path} imports {used}"
        elif used.split(".")[0] == "flightsw":
            assert used.startswith("flightsw.codec"), f"{path} imports {used}"


def test_arrows_point_down() -> None:
    """No room of the bench imports from a floor above its own."""
    wrong = [
        f"{name} imports {used}"
        for name, used in hil_imports()
        # ``from hil import x`` of a version or a name of the package itself is no arrow.
        if room(used) and not room(used).startswith("__version__")
        if room(name) and floor(room(used)) > floor(room(name))
    ]
    assert wrong == []


@pytest.mark.parametrize(("one", "other", "may"), STRANGERS)
def test_strangers_stay_strangers(one: str, other: str, may: tuple[str, ...]) -> None:
    """Buses do not know parts, parts do not know buses, the world knows neither."""
    wrong = [
        f"{name} imports {used}"
        for name, used in hil_imports()
        if room(name) == one and room(used) == other and not used.startswith(may)
    ]
    assert wrong == []


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"], ["run", "--help"]])
def test_the_command_line_imports_its_verbs_lazily(words: list[str]) -> None:
    """``import hil``, ``hil --help`` and ``hil run --help`` load nothing heavy, nor the rig."""
    import subprocess
    import sys

    code = "import atexit, sys, hil\n"
    code += "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    code += f"import hil.cli; hil.cli.main({words})" if words else ""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stderr.split())
    heavy = {"numpy", "zmq", "construct", "cffi", "serial", "sgp4", "zstandard", "hil.rig"}
    heavy |= {"onnxruntime", "PIL", "hil.build"}
    assert "hil" in loaded
    assert loaded & heavy == set()
