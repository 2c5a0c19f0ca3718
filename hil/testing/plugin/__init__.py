"""The pytest plugin ``hil``: fixtures ``rig``, ``rig_factory`` and ``hil_board``.

Tests that ask for none of them load nothing of the bench; ``docs/pytest.md`` is the manual.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from hil.testing.plugin import coexisting, markers, options, reports
from hil.testing.plugin.fixtures import hil_board, rig, rig_factory
from hil.testing.plugin.options import FOUND, SETTINGS

__all__ = ["hil_board", "rig", "rig_factory"]

PROBLEM: pytest.StashKey[str] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add options and ini keys, every one with the prefix ``hil``; nothing is imported before."""
    coexisting.spare(pluginmanager)
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read what the session is told, and make the markers known."""
    for marker in markers.MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[SETTINGS] = options.settings_of(config)
    config.stash[FOUND] = {}


def pytest_unconfigure() -> None:
    """Forget files that were read: a session within this process may find others there."""
    checking = sys.modules.get("hil.testing.plugin.checking")
    if checking is not None:
        checking.forget()


def pytest_report_header(config: pytest.Config) -> str:
    """Say what tests fly on."""
    said = config.stash[SETTINGS]
    pace = said["speed"]
    time = {"max": "virtual", "real": "real"}.get(pace, pace)
    seed = "node id" if said["seed"] is None else said["seed"]
    bound = f" bind={','.join(said['bind'])}" if said["bind"] else ""
    flight = "" if said["flight"] == "flightsw" else f" flight={said['flight']}"
    return (
        f"hil: board={said['board']} mission={said['mission']} seed={seed} "
        f"capture={said['capture']} time={time}{flight}{bound}"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse tests whose rig cannot be, by name, before the first one runs."""
    wrong = []
    for item in items:
        if not markers.concerns(item):
            continue
        from hil.testing.plugin import checking

        why = coexisting.clash(item) or markers.problem(item, checking.check)
        if why:
            item.stash[PROBLEM] = why
            wrong.append(f"{item.nodeid}: {why}")
    # A worker of xdist that raises here is only said to have crashed: there each test says it.
    if wrong and not hasattr(config, "workerinput"):
        raise pytest.UsageError("\n".join(wrong))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that cannot be; skip one whose hardware is not there, or fail it if asked to."""
    if (why := item.stash.get(PROBLEM, "")) != "":
        pytest.fail(why, pytrace=False)
    needed = [name for mark in item.iter_markers("needs_hw") for name in mark.args]
    if not needed:
        return
    from hil.testing.plugin import checking

    lack = checking.lack_of(item, needed)
    if lack and markers.settings_for(item)["require_hw"]:
        pytest.fail(f"--hil-require-hw: {lack}", pytrace=False)
    if lack:
        pytest.skip(lack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a report that has failed what happened on the buses, and the way to see it again."""
    report = yield
    if report.failed:
        reports.add(item, report)
    if report.when == "teardown":
        reports.link(item, report)
        reports.let_go(item)
        reports.forget(item)
    return report
