"""What a session keeps of its tests, and a test that is run again."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from hil.testing.plugin.seeds import seed_of

Inner = Callable[..., pytest.RunResult]

#: what plugins do that run a test again in the same session
AGAIN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for last in (False, True):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


def test_a_test_that_is_run_again_has_the_same_world(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """Its second run has the seed, the report and the properties that its first had."""
    pytester.makeconftest(AGAIN)
    result = inner(
        """
        def test_a(rig):
            rig.run_for(10**9)
            assert rig.seed == 0
        """,
        "--junit-xml=report.xml",
    )
    result.assert_outcomes(failed=1)
    said = [(p.get("name"), p.get("value")) for p in ET.parse("report.xml").iter("property")]
    assert said.count(("hil_seed", str(seed_of("test_it.py::test_a")))) == 1
    assert not [name for name, _ in said if str(name).endswith("_2")]
    assert "- reproduce -" in result.stdout.str()


def test_a_session_lets_go_of_the_rigs_of_tests_that_are_over(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """Of the rigs of earlier tests, good and bad, none is in memory any more."""
    inner(
        """
        import gc, json, pytest
        from pathlib import Path
        from hil.testing import Bench

        @pytest.mark.parametrize("n", range(3))
        @pytest.mark.hil(flight="none")
        def test_a(rig, n):
            gc.collect()
            held = sum(type(one) is Bench for one in gc.get_objects())
            Path(f"held-{n}").write_text(json.dumps(held))
            assert n
        """
    ).assert_outcomes(passed=2, failed=1)
    held = [json.loads((pytester.path / f"held-{n}").read_text()) for n in range(3)]
    assert held[2] <= held[1] <= held[0] + 1  # of a failure pytest itself keeps the last


def test_the_command_says_what_the_session_did_and_not_what_the_test_did(inner: Inner) -> None:
    """Board and seed of one rig are no flags: they would be those of every other one, too."""
    result = inner(
        """
        def test_a(rig_factory):
            one = rig_factory(seed=5, board="raspberrypi5", flight="none")
            other = rig_factory(flight="none")
            assert not (one.seed, other.board)
        """,
        "--hil-events=0",
    )
    (command,) = re.findall(r"^pytest test_it.*", result.stdout.str(), re.MULTILINE)
    seed = seed_of("test_it.py::test_a")
    assert command.split()[2:] == ["--hil-board=raspberrypi4", f"--hil-seed={seed}"]
    assert "bus events" not in result.stdout.str()
