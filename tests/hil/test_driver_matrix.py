"""The table of foreign drivers says what the tests do."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parents[2]
ORACLES = TOP / "tests" / "oracles"
#: parts with which missions live or die, and that many take for granted
KEY_PARTS = ("INA219", "ICM-20948", "BME280", "GNSS", "MPU-6050", "W25Q")


class Row(NamedTuple):
    """One driver of one part."""

    part: str
    driver: str
    distribution: str
    tests: str
    defects: tuple[str, ...]


def rows() -> list[Row]:
    found = []
    for line in (TOP / "docs" / "drivers.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[1].startswith("`"):
            part, driver, distribution, _, tests, defects = cells
            names = tuple(re.findall(r"`(\w+)`", defects))
            found.append(Row(part, driver.strip("`"), distribution, tests, names))
    return found


def test_there_are_thirty_and_two_for_each_key_part() -> None:
    """At least 30 drivers from the package index, and two of anybody for each key part."""
    table = rows()
    assert sum(not row.distribution.startswith("Debian") for row in table) >= 30
    parts = Counter(row.part for row in table)
    assert {part: parts[part] for part in KEY_PARTS if parts[part] < 2} == {}


def test_every_distribution_is_pinned_where_tests_install_it() -> None:
    """The extra ``test`` has each distribution of the table."""
    extras = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {re.split(r"[=<>!~ \[]", line)[0] for line in extras["test"]}
    wanted = {row.distribution for row in rows() if not row.distribution.startswith("Debian")}
    assert wanted - named == set()


def test_every_driver_is_used_by_the_tests_that_its_row_names() -> None:
    """The file of tests is there and names the driver's module."""
    for row in rows():
        path = ORACLES / f"{row.tests}.py"
        assert path.is_file(), f"{row.driver}: no {path.name}"
        words = path.read_text()
        assert re.search(rf"\b{re.escape(row.driver.split('.')[0])}\b", words), row


def expected_to_fail(path: Path) -> set[str]:
    """Return the tests of a file that are marked, or have a case marked, as expected to fail."""
    tree = ast.parse(path.read_text())
    marked = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and "xfail" in ast.unparse(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    marked |= {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("test_")
        and "xfail" in ast.unparse(node)
    }
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            words = " ".join(map(ast.unparse, node.decorator_list))
            if "xfail" in words or any(re.search(rf"\b{name}\b", words) for name in marked):
                found.add(node.name)
    return found


def test_every_known_defect_of_a_driver_stands_in_its_row() -> None:
    """What is expected to fail is in the table, and nothing else is."""
    told: dict[str, set[str]] = {}
    for row in rows():
        told.setdefault(row.tests, set()).update(row.defects)
    for name, defects in told.items():
        assert defects == expected_to_fail(ORACLES / f"{name}.py"), name
