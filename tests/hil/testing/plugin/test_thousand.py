"""A thousand tests, two workers, two orders: all pass, and every rig has had the same world."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

FILES, CASES = 20, 25
TESTS = """
import pytest
from hil.testing import ms

@pytest.mark.parametrize("n", range({cases}))
def test_flown(rig, n):
    rig.run_for((100 + n) * ms)
    assert rig.now_ns == (100 + n) * ms

@pytest.mark.hil(flight="none")
@pytest.mark.parametrize("n", range({cases}))
def test_bare(rig, n):
    rig.part("temp_chip").set(temperature_c=20.0 + n)
    rig.run_for(1_100 * ms)
"""
#: another order each time where pytest-randomly, which makes one, is not installed
SHUFFLED = """
import os, random

def pytest_collection_modifyitems(items):
    random.Random(os.environ["ORDER"]).shuffle(items)
"""


def digests(report: Path) -> dict[str, str]:
    """Return the digest that each test of a JUnit report has."""
    return {
        f"{case.get('classname')}::{case.get('name')}": prop.get("value", "")
        for case in ET.parse(report).iter("testcase")
        for prop in case.iter("property")
        if prop.get("name") == "hil_digest"
    }


@pytest.mark.soak
def test_a_thousand_tests_pass_twice_in_random_order_with_the_same_digests(
    pytester: pytest.Pytester,
    as_installed: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither order nor worker nor what flew before has a say in what is on the buses of a test."""
    monkeypatch.setenv("PYTHONPATH", as_installed["PYTHONPATH"])
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    randomly = importlib.util.find_spec("pytest_randomly") is not None
    for n in range(FILES):
        (pytester.path / f"test_{n:02}.py").write_text(TESTS.format(cases=CASES))
    if not randomly:
        pytester.makeconftest(SHUFFLED)
    others = [f"no:{name}" for name in ("pytest_embedded", "labgrid")]
    plugins = [word for name in others for word in ("-p", name)]
    told = []
    for order in ("1", "2"):
        monkeypatch.setenv("ORDER", order)
        chosen = [f"--randomly-seed={order}"] if randomly else []
        result = pytester.runpytest_subprocess(
            *plugins, *chosen, "-q", "-n", "2", "-W", "error", f"--junit-xml={order}.xml"
        )
        result.assert_outcomes(passed=FILES * CASES * 2)
        told.append(digests(pytester.path / f"{order}.xml"))
        with capsys.disabled():
            by = "pytest-randomly" if randomly else "shuffled"
            print(f"\norder {order} ({by}): {result.outlines[-1]}")
    assert told[0] == told[1]
    assert len(told[0]) == FILES * CASES * 2
    # Where nobody reads a sensor its noise is on no bus: those differ by what the test has set.
    assert len(set(told[0].values())) == FILES * CASES + CASES
