"""A session of pytest inside this one, with the plugin as an installation would have it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from _pytest.pytester import SysModulesSnapshot

import hil.testing.plugin
from hil.testing.plugin.options import CHOICES

#: no cache beside the test file; the other collects garbage five times when a session ends
_ALONE = ("-p", "no:cacheprovider", "-p", "no:unraisableexception")


class KeptModules(SysModulesSnapshot):
    """What an inner session has imported stays, but for its own tests.

    pytester would forget it all: a module of the bench would be there twice, with classes of one
    name that are not the same, and each session would import it once more.
    """

    def __init__(self, preserve: object = None) -> None:
        super().__init__(lambda name: not name.startswith(("test_", "conftest")))


Inner = Callable[..., pytest.RunResult]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep from the sessions within it what whoever runs the suite has said, and has installed."""
    monkeypatch.setattr("_pytest.pytester.SysModulesSnapshot", KeptModules)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for choice in CHOICES:
        monkeypatch.delenv(choice.variable, raising=False)


@pytest.fixture
def within(pytester: pytest.Pytester) -> pytest.Pytester:
    """A place for sessions within this process that have the plugin."""
    pytester.plugins.append(hil.testing.plugin)
    return pytester


@pytest.fixture
def workers(
    pytester: pytest.Pytester, as_installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Inner:
    """Run a test file, whose text is given first, in a session with a worker of xdist."""
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")

    monkeypatch.setenv("PYTHONPATH", as_installed["PYTHONPATH"])

    def run(text: str, *words: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=text)
        return pytester.runpytest_subprocess(
            *("-p", "hil", "-p", "xdist", "-n", "1", "-W", "error", *words)
        )

    return run


@pytest.fixture
def inner(within: pytest.Pytester) -> Inner:
    """Run a test file, whose text is given first, in a session within this process."""

    def run(text: str, *words: str) -> pytest.RunResult:
        within.makepyfile(test_it=text)
        strict = ("-W", "error", "--strict-markers", "--strict-config")
        return within.runpytest_inprocess(*_ALONE, *strict, *words, plugins=within.plugins)

    return run
