"""A session of pytest inside this one, with the plugin as an installation would have it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

import pytest

from hil.testing.plugin.options import CHOICES

#: other plugins of this environment have no say in what ours does; xdist is asked for by name
_ALONE = tuple(
    word
    for name in ("cacheprovider", "randomly", "xdist", "hypothesispytest")
    for word in ("-p", f"no:{name}")
)
#: how it comes to be loaded where the tree is not installed, or was before it had the plugin
LOADED = any(each.name == "hil" for each in metadata.entry_points(group="pytest11"))
PLUGIN = () if LOADED else ("-p", "hil.testing.plugin")

Inner = Callable[..., pytest.RunResult]


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what whoever runs the suite has said from the sessions within it."""
    for choice in CHOICES:
        monkeypatch.delenv(choice.variable, raising=False)


@pytest.fixture
def plugin() -> tuple[str, ...]:
    """The words by which the plugin is loaded here."""
    return PLUGIN


@pytest.fixture
def inner(pytester: pytest.Pytester) -> Inner:
    """Run a test file, whose text is given first, in a session within this process."""

    def run(text: str, *words: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=text)
        strict = ("-W", "error", "--strict-markers", "--strict-config")
        return pytester.runpytest_inprocess(*PLUGIN, *_ALONE, *strict, *words)

    return run
