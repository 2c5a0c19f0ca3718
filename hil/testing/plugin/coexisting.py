"""Other plugins that would take tests away without a word, found before the first test runs."""

from __future__ import annotations

import pytest

_TAKEN = (
    "labgrid and pytest-embedded both define the fixture 'target', so that without --lg-env every "
    "test would be skipped; start with -p no:labgrid, or define 'target' in conftest.py"
)


def clash(item: pytest.Item) -> str:
    """Return which plugins would skip a test that asked for neither; ``""``: none would."""
    config = item.config
    if not config.pluginmanager.hasplugin("pytest_embedded"):
        return ""
    if getattr(config.option, "lg_env", None) is not None:
        return ""
    # pytest-embedded asks for 'target' in the name of every test; whose it is decides.
    info = getattr(item, "_fixtureinfo", None)
    defined = getattr(info, "name2fixturedefs", {}).get("target", ())
    module = getattr(defined[-1].func, "__module__", "") if defined else ""
    return _TAKEN if module.startswith("labgrid.") else ""
