"""What a failed test says: the last bus events, how to see it again, and where its capture is."""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from hil.capture.reader import Capture
from hil.cli import main
from hil.testing.plugin.seeds import seed_of

Inner = Callable[..., pytest.RunResult]

FAILS = """
import pytest
from hil.testing.bench import s

@pytest.mark.hil(flight="none", faults=["i2c-1:nak_address,address=0x48"])
def test_a(rig):
    rig.run_for(2 * s)
    rig.act("LOOKED")
    assert rig.seed == 0

@pytest.mark.hil(flight="none")
def test_b(rig):
    rig.run_for(2 * s)
    rig.measure("boot", 1.25, "s", limit=(0, 2))
"""
SEED = seed_of("test_it.py::test_a")


def properties(report: Path) -> dict[str, dict[str, str]]:
    """Return the properties of each test of a JUnit report."""
    return {
        case.get("name", ""): {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
        for case in ET.parse(report).iter("testcase")
    }


def test_a_failure_shows_the_buses_and_how_to_see_it_again(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """Two sections stand below the traceback, and their commands have board and seed in them."""
    result = inner(FAILS, "--hil-events=3", "--hil-speed=x1e6")
    result.assert_outcomes(failed=1, passed=1)
    out = result.stdout.str()
    (events,) = re.findall(r"-+ last 3 bus events -+\n((?:.*\n){4})", out)
    assert events.splitlines()[0].split() == [
        "number",
        *["time", "s", "bus", "way", "id", "octets,", "decoded"],
    ]
    assert re.search(r"^ +\d+ +1\.25\d+ +can0 +in +700 +05 00 .*heartbeat", events, re.MULTILINE)
    assert events.splitlines()[-1].split()[1:3] == ["2.000000", "event"]
    assert "LOOKED" in events.splitlines()[-1]
    command, tap = re.findall(r"-+ reproduce -+\n(.*)\n(.*)\n", out)[0]
    assert shlex.split(command) == [
        *("pytest", "test_it.py::test_a", "--hil-board=raspberrypi4", f"--hil-seed={SEED}"),
        "--hil-speed=x1e6",
    ]
    assert shlex.split(tap)[:2] == ["hil", "tap"]
    with Capture(pytester.path / shlex.split(tap)[2]) as capture:
        assert capture.count > 10


def test_a_failure_is_shown_from_a_folder_inside_the_project_too(
    inner: Inner, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands name test and capture as they are reached from where the session was begun."""
    pytester.makeini("[pytest]")
    monkeypatch.chdir(pytester.mkdir("below"))
    result = inner(FAILS, "../test_it.py")
    result.assert_outcomes(failed=1, passed=1)
    command, tap = re.findall(r"-+ reproduce -+\n(.*)\n(.*)\n", result.stdout.str())[0]
    assert shlex.split(command)[:2] == ["pytest", "../test_it.py::test_a"]
    assert f"--hil-seed={SEED}" in command
    assert Path(shlex.split(tap)[2]).is_file()


def test_only_the_captures_of_failed_tests_are_kept_unless_told_otherwise(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """``failed`` keeps one of two, ``all`` both, ``none`` neither, and says how to keep one."""
    folder = pytester.path / "hil-captures"

    def kept() -> list[str]:
        names = sorted(path.parent.name for path in folder.glob("*/capture.mcap"))
        return [name.rpartition("-")[0] for name in names]

    assert "--hil-capture=failed keeps one" in inner(FAILS, "--hil-capture=none").stdout.str()
    assert not folder.exists()
    inner(FAILS)
    assert kept() == ["test_it-test_a"]
    inner(FAILS, "--hil-capture=all")
    assert kept() == ["test_it-test_a", "test_it-test_b"]


def test_junit_has_what_flew(inner: Inner, pytester: pytest.Pytester) -> None:
    """Seed, board, who flew, what was real, capture and digest are properties of the test."""
    inner(FAILS, "--junit-xml=report.xml", "--hil-captures=kept")
    said = properties(pytester.path / "report.xml")
    failed, passed = said["test_a"], said["test_b"]
    assert failed["hil_seed"] == str(SEED)
    assert failed["hil_board"] == passed["hil_board"] == "raspberrypi4"
    assert failed["hil_flight"] == "none"
    assert failed["hil_kind"] == "emulated"
    assert re.fullmatch(r"[0-9a-f]{64}", failed["hil_digest"])
    assert failed["hil_digest"] != passed["hil_digest"]
    assert (pytester.path / failed["hil_capture"]).is_file()
    assert failed["hil_capture"].startswith(str(pytester.path / "kept"))
    assert "hil_capture" not in passed
    facts = {"value": 1.25, "unit": "s", "low": 0, "high": 2, "good": True}
    assert json.loads(passed["hil_measure_boot"]) == facts


def test_the_command_that_is_printed_fails_the_same_way(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """Run again, by itself, the test has the same world: the same digest, octet for octet."""
    inner(FAILS, "--junit-xml=first.xml")
    result = inner(FAILS, "test_it.py::test_a", f"--hil-seed={SEED}", "--junit-xml=again.xml")
    result.assert_outcomes(failed=1)
    first, again = (properties(pytester.path / f"{n}.xml")["test_a"] for n in ("first", "again"))
    assert first["hil_digest"] == again["hil_digest"]


def test_what_fails_before_or_behind_the_test_is_shown_as_well(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """A fixture that fails with a rig in its hand, and one that fails afterwards, say the same."""
    result = inner(
        """
        import pytest
        pytestmark = pytest.mark.hil(flight="none")

        @pytest.fixture
        def before(rig):
            raise RuntimeError("before")

        @pytest.fixture
        def behind(rig):
            yield
            raise RuntimeError("behind")

        def test_before(before): pass
        def test_behind(behind): pass
        """
    )
    result.assert_outcomes(passed=1, errors=2)
    assert result.stdout.str().count("- reproduce -") == 2
    kept = [Path(word) for word in re.findall(r"^hil tap (\S+)", result.stdout.str(), re.MULTILINE)]
    assert len(kept) == 2
    assert all((pytester.path / path).is_file() for path in kept)


def test_the_flight_software_of_a_failure_replays(inner: Inner, pytester: pytest.Pytester) -> None:
    """Where ours flew the report has the command that answers it from the capture, and it does."""
    result = inner(
        """
        from hil.testing import s

        def test_a(rig):
            rig.run_for(20 * s)
            assert False
        """
    )
    result.assert_outcomes(failed=1)
    command = re.search(r"^hil (replay .*)$", result.stdout.str(), re.MULTILINE)
    assert command is not None
    assert main(command.group(1).split()) == 0


def test_several_rigs_of_a_test_are_told_apart(inner: Inner, pytester: pytest.Pytester) -> None:
    """Each rig of a test has its own seed, properties, events and capture."""
    result = inner(
        """
        def test_a(rig_factory):
            one, other = rig_factory(flight="none"), rig_factory(flight="none")
            assert one.seed == other.seed
        """,
        "--junit-xml=report.xml",
    )
    result.assert_outcomes(failed=1)
    out, said = result.stdout.str(), properties(pytester.path / "report.xml")["test_a"]
    assert "bus events of rig 1" in out
    assert "bus events of rig 2" in out
    assert said["hil_seed"] == str(SEED)
    assert said["hil_seed_2"] != said["hil_seed"]
    assert Path(said["hil_capture"]).is_file()
    assert Path(said["hil_capture_2"]).is_file()


def test_a_test_that_is_expected_to_fail_keeps_nothing(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """What fails as it was said to is no failure."""
    text = FAILS.replace("@pytest.mark.hil", "@pytest.mark.xfail(strict=False)\n@pytest.mark.hil")
    inner(text).assert_outcomes(xfailed=1, xpassed=1)
    assert not (pytester.path / "hil-captures").exists()


def test_a_rig_is_let_go_of_with_its_test(inner: Inner) -> None:
    """A thousand tests do not fill the memory with the benches of those that are over."""
    text = """
        import gc, weakref, pytest
        pytestmark = pytest.mark.hil(flight="none")
        rigs = []

        @pytest.mark.parametrize("n", range(3))
        def test_a(rig, n):
            rigs.append(weakref.ref(rig))

        def test_b():
            gc.collect()
            assert [ref() for ref in rigs] == [None, None, None]
        """
    inner(text).assert_outcomes(passed=4)


def test_the_sections_travel_with_the_report_of_a_worker(
    workers: Inner, pytester: pytest.Pytester
) -> None:
    """Under xdist the controller prints what a worker has seen."""
    result = workers(FAILS, "--junit-xml=r.xml")
    result.assert_outcomes(failed=1, passed=1)
    assert "bus events -" in result.stdout.str()
    assert f"--hil-seed={SEED}" in result.stdout.str()
    assert properties(pytester.path / "r.xml")["test_b"]["hil_kind"] == "emulated"
