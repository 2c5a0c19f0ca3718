"""A pytest plugin for a processor that is emulated: leaves out by name what is named in a list.

    PYTHONPATH=.ci python -m pytest -p left_out --left-out=tests/arm64_skips.txt

The list is held to be whole and true: a test that skips and is not on it fails the session, and so
does, where all tests are collected, an entry that no test fits any more. An entry that begins with
``?`` runs its tests, and lets them skip: for what is no part of the project, and may be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SAID = "left out: "
USED, SKIPPED = "left_out_used", "left_out_skipped"


class Entry(NamedTuple):
    """A file, a folder, or tests of a file by name, in which ``*`` stands for anything."""

    name: str
    reason: str
    #: run them, but let them skip
    may: bool = False

    def is_of(self, nodeid: str) -> bool:
        """Tell whether a test is one of those named."""
        pattern = ".*".join(map(re.escape, self.name.split("*")))
        rest = r"(\[.*\])?" if "::" in self.name else "((::|/).*)?"
        return re.fullmatch(pattern + rest, nodeid, re.DOTALL) is not None


def entries(text: str) -> list[Entry]:
    """Return the entries of a list: a name, blanks, a reason; a line with ``#`` is a remark."""
    found = []
    for line in text.splitlines():
        name, _, reason = line.strip().partition(" ")
        if not name or name.startswith("#"):
            continue
        if not reason.strip():
            raise pytest.UsageError(f"left out without a reason: {name}")
        found.append(Entry(name.removeprefix("?"), reason.strip(), may=name.startswith("?")))
    return found


class LeftOut:
    """One session; under xdist one in each worker, and one that hears of all of them."""

    def __init__(self, config: pytest.Config, listed: list[Entry]) -> None:
        self.config = config
        self.listed = listed
        self.used: set[str] = set()
        self.skipped: list[str] = []

    def entry(self, nodeid: str) -> Entry | None:
        """Return what leaves out a test, noting that it does."""
        found = [entry for entry in self.listed if entry.is_of(nodeid)]
        self.used |= {entry.name for entry in found}
        return next((entry for entry in found if not entry.may), None)

    def may_skip(self, nodeid: str) -> bool:
        """Tell whether a test is one of those that run where they can."""
        return any(entry.may and entry.is_of(nodeid) for entry in self.listed)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave files and folders unread."""
        if not collection_path.is_relative_to(self.config.rootpath):
            return None
        return self.entry(collection_path.relative_to(self.config.rootpath).as_posix()) and True

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark the tests that are left out by name."""
        for item in items:
            if entry := self.entry(item.nodeid):
                item.add_marker(pytest.mark.skip(reason=SAID + entry.reason))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that skips itself."""
        if report.skipped and not self.may_skip(report.nodeid):
            self.skipped.append(f"{report.nodeid}: {why(report)}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that skips and is not on the list."""
        listed = SAID in why(report) or self.may_skip(report.nodeid)
        if report.skipped and not hasattr(report, "wasxfail") and not listed:
            self.skipped.append(f"{report.nodeid}: {why(report)}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear what a worker has to tell."""
        told = getattr(node, "workeroutput", {})
        self.used |= set(told.get(USED, ()))
        self.skipped += told.get(SKIPPED, ())

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the session that hears of all, or fail it here."""
        if (output := getattr(self.config, "workeroutput", None)) is not None:
            output[USED] = sorted(self.used)
            output[SKIPPED] = [told for told in self.skipped if "::" not in told.split(": ")[0]]
        elif any(self.wrong()) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def wrong(self) -> Iterator[str]:
        """Give a line for everything in which list and suite are not as one."""
        for told in sorted(set(self.skipped)):
            yield f"skipped, and not on the list: {told}"
        whole = self.config.args_source is pytest.Config.ArgsSource.TESTPATHS
        if whole and not self.config.option.keyword:
            for entry in self.listed:
                if entry.name not in self.used:
                    yield f"on the list, and no test is of that name: {entry.name}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is wrong below everything else."""
        for line in self.wrong():
            terminalreporter.write_line(f"left out: {line}", red=True)


def why(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Return the reason of a skip."""
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the list."""
    parser.addoption("--left-out", metavar="FILE", help="leave out the tests that FILE names")


def pytest_configure(config: pytest.Config) -> None:
    """Read the list, if there is one."""
    if (given := config.getoption("--left-out")) is not None:
        config.pluginmanager.register(LeftOut(config, entries(Path(given).read_text())))
