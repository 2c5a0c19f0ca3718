"""Other plugins cannot take tests with a rig away without a word."""

from __future__ import annotations

from collections.abc import Callable

import pytest

#: what labgrid and pytest-embedded do to each other: one asks in the name of every test for a
#: fixture that the other defines, and skips
CLASH = """
import pytest

def target():
    pytest.skip("missing environment config")

target.__module__ = "labgrid.pytestplugin.fixtures"
target = pytest.fixture(target)

@pytest.fixture(autouse=True)
def parametrize_fixtures(target):
    pass

def pytest_configure(config):
    config.pluginmanager.register(object(), "pytest_embedded")

def pytest_addoption(parser):
    parser.addoption("--lg-env")
"""
TESTS = """
def test_rig(rig_factory):
    pass

def test_plain():
    pass
"""


@pytest.mark.parametrize(
    ("words", "file", "skipped"),
    [((), "test_it.py", None), (("--lg-env=x",), "test_it.py", 2), ((), "below/test_it.py", 0)],
    ids=["by default", "with an environment of labgrid", "with a target of the project's own"],
)
def test_a_session_that_would_skip_every_test_is_refused(
    within: pytest.Pytester,
    inner: Callable[..., pytest.RunResult],
    words: tuple[str, ...],
    file: str,
    skipped: int | None,
) -> None:
    """Green by running nothing is refused, unless labgrid was asked for or the project decides."""
    within.makeconftest(CLASH)
    below = within.mkdir("below")
    (below / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef target(): pass\n")
    (below / "test_it.py").write_text(TESTS)
    result = inner(TESTS, *words, file)
    if skipped is None:
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: test_it.py::test_rig: labgrid and pytest-embedded*"])
    else:
        result.assert_outcomes(skipped=skipped, passed=2 - skipped)
