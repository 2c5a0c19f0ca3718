"""python-can's own tests of two buses back to back, unchanged, on our interface."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from foreign_sources import sdist

from hil.testing.can_rig import in_thread

can = pytest.importorskip("can", reason="python-can is not installed")

VERSION = "4.6.1"
SHA256 = "290fea135d04b8504ebff33889cc6d301e2181a54099116609f940825ffe5005"
#: skipped by python-can itself: its back ends do not agree on what a message of one's own is
SKIPPED = {"test_message_is_rx", "test_message_is_rx_receive_own_messages"}
BACK2BACK = (
    "test_dlc_less_than_eight",
    "test_extended_message",
    "test_fd_message",
    "test_fd_message_with_brs",
    "test_fileno",
    "test_message_is_rx",
    "test_message_is_rx_receive_own_messages",
    "test_multiple_shutdown",
    "test_no_message",
    "test_remote_message",
    "test_send_periodic_duration",
    "test_standard_message",
    "test_sub_second_timestamp_resolution",
    "test_timestamp",
    "test_timestamp_is_absolute",
    "test_unique_message_instances",
)
#: These compare with the wall clock to fractions of a second, on a host that others use as well.
ON_THE_WALL = {"test_send_periodic_duration", "test_timestamp", "test_timestamp_is_absolute"}
TRIES = 5
THREADED = ("test_concurrent_writes", "test_filtered_bus")


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give python-can's module of tests, as it lies in its source distribution."""
    monkeypatch.setenv("CI", "")  # some tests leave themselves out on servers
    monkeypatch.delenv("HIL_BENCH", raising=False)
    root = sdist("python-can", VERSION, SHA256)
    name = "python_can_tests"
    if name not in sys.modules:
        folder = root / "test"
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None, "python-can keeps its tests in a package"
        sys.modules[name] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{name}.back2back_test")


def run(
    suite: ModuleType, case: str, test: str, channels: tuple[str, str], interface: str = "hil"
) -> None:
    """Run one of the tests on two channels, the second of our interface; fail as it fails."""
    ours: dict[str, Any] = {"INTERFACE_1": interface, "INTERFACE_2": "hil", "TIMEOUT": 0.5}
    ours |= {"CHANNEL_1": channels[0], "CHANNEL_2": channels[1]}
    for _ in range(TRIES if test in ON_THE_WALL else 1):
        result = unittest.TestResult()
        type("Ours", (getattr(suite, case),), ours)(test).run(result)
        if result.wasSuccessful():
            break
    assert [text for _, text in (*result.errors, *result.failures)] == []
    assert result.testsRun == 1
    assert bool(result.skipped) == (test in SKIPPED)


def test_the_list_is_the_suite(suite: ModuleType) -> None:
    """Every test that python-can has for two buses is named here."""
    loader = unittest.TestLoader()
    assert tuple(loader.getTestCaseNames(suite.Back2BackTestCase)) == BACK2BACK
    threaded = loader.getTestCaseNames(suite.TestThreadSafeBus)
    assert set(threaded) == {*BACK2BACK, *THREADED}


@pytest.mark.usefixtures("can_interface")
@pytest.mark.parametrize("test", BACK2BACK)
def test_back_to_back_in_one_process(suite: ModuleType, test: str) -> None:
    """Two nodes on an emulated bus of this process pass what python-can asks of two buses."""
    run(suite, "Back2BackTestCase", test, ("can0", "can0"))


@pytest.mark.usefixtures("can_interface")
@pytest.mark.parametrize("test", THREADED)
def test_many_threads_in_one_process(suite: ModuleType, test: str) -> None:
    """A hundred threads that send and a hundred that receive lose nothing."""
    run(suite, "TestThreadSafeBus", test, ("can0", "can0"))


@pytest.mark.usefixtures("can_interface")
@pytest.mark.parametrize("channels", [("can0", "can0"), ("can0", "can0:tester")], ids="-".join)
@pytest.mark.parametrize("test", BACK2BACK)
def test_back_to_back_across_the_bench(
    suite: ModuleType,
    test: str,
    channels: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same holds of two programs on one controller, and of two controllers on its bus."""
    with in_thread(tmp_path / "bench"):
        monkeypatch.setenv("HIL_BENCH", str(tmp_path / "bench"))
        run(suite, "Back2BackTestCase", test, channels)


@pytest.mark.usefixtures("can_interface")
@pytest.mark.parametrize("test", THREADED)
def test_many_threads_across_the_bench(
    suite: ModuleType, test: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred threads share the connections of two bus objects and lose nothing."""
    with in_thread(tmp_path / "bench"):
        monkeypatch.setenv("HIL_BENCH", str(tmp_path / "bench"))
        run(suite, "TestThreadSafeBus", test, ("can0", "can0:tester"))


#: The library's slcan cannot be shut down twice; tests/oracles/test_slcan_python_can.py shows it.
SERIAL = [test for test in BACK2BACK if test != "test_multiple_shutdown"]


@pytest.mark.usefixtures("can_interface")
@pytest.mark.parametrize("test", SERIAL)
def test_back_to_back_with_a_serial_adapter(
    suite: ModuleType, test: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own ``slcan`` on the tty of the bus holds its own beside our interface."""
    monkeypatch.setitem(can.rc, "sleep_after_open", 0)  # a real adapter restarts when it is opened
    with in_thread(tmp_path / "bench", "real") as rig:
        monkeypatch.setenv("HIL_BENCH", str(tmp_path / "bench"))
        tty = rig.host.lines["/dev/ttyCAN0"].path
        run(suite, "Back2BackTestCase", test, (tty, "can0:tester"), "slcan")
