"""Parts of other packages: found by entry point, used as built-in ones, blamed by name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.board import load_board
from hil.cli import doctor, main
from hil.errors import ConfigError
from hil.hosting import SHIM
from hil.parts import contributed, part_class, part_types

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "write-a-part.md").read_text()
#: the files that the page writes out
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
BOARD = """[board]
name = "b"
title = "b"
adapter = "bcm2835"

[bus.i2c-1]
kind = "i2c"

"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package of the page and install it into a folder; return that folder."""
    pytest.importorskip("hatchling", reason="builds the package of the page")
    source = tmp_path_factory.mktemp("source")
    for name, text in FILES.items():
        (source / name).write_text(text)
    target = tmp_path_factory.mktemp("site")
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    words += ["--disable-pip-version-check", "--root-user-action=ignore", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Forget what is installed, before and after."""
    contributed.offers.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    contributed.offers.cache_clear()
    sys.modules.pop("flatsat_adt7410", None)


def package(folder: Path, name: str, points: str, code: str = "") -> None:
    """Put a package into a folder as an installer leaves it: metadata, and a module."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[hil.parts]\n{points}\n")
    (folder / f"{name}.py").write_text(code)


def hil(folder: Path, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command where the package is installed."""
    path = os.pathsep.join((str(site), str(ROOT)))
    return subprocess.run(
        [sys.executable, "-m", "hil", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
    )


def test_the_page_writes_out_its_files() -> None:
    """Part, package and proof stand on the page, and the part in about a hundred lines."""
    assert set(FILES) == {"flatsat_adt7410.py", "pyproject.toml", "test_adt7410.py"}
    code = [line for line in FILES["flatsat_adt7410.py"].splitlines() if line.strip()]
    assert len(code) <= 120


def test_the_proof_of_the_page_passes(installed: Path, tmp_path: Path) -> None:
    """The tests that the page writes out pass against the package that it builds."""
    pytest.importorskip("adafruit_adt7410", reason="the driver of the page")
    (tmp_path / "test_adt7410.py").write_text(FILES["test_adt7410.py"])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "test_adt7410.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(installed), str(ROOT)))},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_it_is_a_type_as_any_other(installed: Path, fresh: pytest.MonkeyPatch) -> None:
    """An installed part is among the types and has a class; its package is known."""
    fresh.syspath_prepend(str(installed))
    assert part_types()[-1] == "adt7410"
    assert contributed.offers()["adt7410"].distributions == ("flatsat-adt7410 1.0",)
    assert part_class("adt7410").__name__ == "Adt7410"


def test_nothing_is_imported_before_it_is_named(installed: Path, fresh: pytest.MonkeyPatch) -> None:
    """Listing types, and a board without the part, leave the package alone."""
    fresh.syspath_prepend(str(installed))
    assert "adt7410" in part_types()
    load_board("raspberrypi4")
    assert "flatsat_adt7410" not in sys.modules


def test_checkout_lists_and_tests_it(installed: Path, tmp_path: Path) -> None:
    """`hil checkout` tells the package, reads through the register map, and the part passes."""
    listed = hil(tmp_path, installed, "checkout", "--json")
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    (row,) = [row for row in rows if row["part"] == "adt7410"]
    assert (row["distribution"], row["addresses"]) == ("flatsat-adt7410 1.0", [72, 73, 74, 75])
    (command,) = re.findall(r"^hil (checkout adt7410 --set.*)$", PAGE, re.MULTILINE)
    done = hil(tmp_path, installed, *command.split(), "self-test")
    assert (done.returncode, done.stderr) == (0, "")
    assert "temperature_c            -40 degC" in done.stdout
    assert "ok    conversion  temperature_c" in done.stdout
    assert "FAIL" not in done.stdout


@pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)
def test_it_works_on_a_board_under_hil_run(installed: Path, tmp_path: Path) -> None:
    """A board file with the type of the page runs, and a program reads the part by its device."""
    (table,) = re.findall(r"```toml\n(\[part.radiator\].*?)```", PAGE, re.DOTALL)
    (tmp_path / "b.toml").write_text(BOARD + table)
    program = [sys.executable, "-m", "hil", "checkout", "adt7410", "--on", "/dev/i2c-1"]
    program += ["--address", "0x4B", "read", "id", "temp", "--json"]
    words = ("run", "--pace", "max", "-q", "--out", "run", "--board", "b.toml", "--", *program)
    done = hil(tmp_path, installed, *words)
    assert (done.returncode, done.stderr) == (0, "")
    identity, temperature = (json.loads(line)["value"] for line in done.stdout.splitlines())
    assert identity == 0xCB
    assert temperature > 0


def test_two_packages_with_one_type(tmp_path: Path, fresh: pytest.MonkeyPatch) -> None:
    """Both are named, with the command that takes one away, and only when the type is used."""
    package(tmp_path, "alpha", "thing = alpha:Thing")
    package(tmp_path, "beta", "thing = beta:Thing\nother = beta:Thing")
    fresh.syspath_prepend(str(tmp_path))
    assert "thing" in part_types()
    with pytest.raises(ConfigError) as raised:
        part_class("thing")
    said = "part type 'thing' is offered by alpha 1.0 and beta 1.0; keep one: `pip uninstall beta`"
    assert str(raised.value) == said


def test_a_package_that_takes_a_built_in_name(tmp_path: Path, fresh: pytest.MonkeyPatch) -> None:
    """A built-in type is not replaced in silence: who uses it is told."""
    package(tmp_path, "gamma", "ina219 = gamma:Mine")
    fresh.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"by flatsat itself and gamma 1\.0; keep one: `pip uni"):
        part_class("ina219")
    assert part_class("ina228").__name__ == "Ina228"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module", "(ModuleNotFoundError: No module named 'no_such_module')"),
        ("1 / 0", "(ZeroDivisionError: division by zero)"),
        ("def", "(SyntaxError: "),
        ("", "(AttributeError: module 'broken' has no attribute 'Part')"),
        ("Part = 5", "broken:Part is no subclass of hil.parts.base.Part"),
        ("class Part: pass", "broken:Part is no subclass of hil.parts.base.Part"),
    ],
)
def test_a_broken_package(
    code: str,
    said: str,
    tmp_path: Path,
    fresh: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is wrong, whose it is and what to do stand in one line: board file, list and doctor."""
    package(tmp_path, "broken", "gizmo = broken:Part", code)
    fresh.syspath_prepend(str(tmp_path))
    fresh.delitem(sys.modules, "broken", raising=False)
    board = tmp_path / "b.toml"
    board.write_text(
        f'{BOARD}[part.x]\ntype = "gizmo"\nbus = "i2c-1"\naddress = 0x20\n', encoding="utf-8"
    )
    with pytest.raises(ConfigError) as raised:
        load_board(str(board))
    text = str(raised.value)
    assert f"{board}:10" in text
    assert said in text
    assert "part type 'gizmo' of broken 1.0" in text
    assert text.endswith("`pip uninstall broken`")
    assert "\n" not in text
    assert main(["checkout"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^gizmo +BROKEN: part type 'gizmo' of broken 1\.0", listed, re.MULTILINE)
    finding = doctor.contributed_parts()
    assert (finding.state, finding.fix) == (doctor.WARN, "pip uninstall broken")


def test_the_nearest_type_may_be_a_contributed_one(
    installed: Path, fresh: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped name is answered with the nearest type, whoever offers it."""
    fresh.syspath_prepend(str(installed))
    assert main(["checkout", "adt741"]) == 2
    assert "did you mean 'adt7410'" in capsys.readouterr().err
    finding = doctor.contributed_parts()
    assert (finding.state, finding.detail) == (doctor.GOOD, "adt7410 (flatsat-adt7410 1.0)")
