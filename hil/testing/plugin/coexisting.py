"""What pytest and other plugins do to whoever is installed, and to tests that asked for nothing."""

from __future__ import annotations

from typing import Any, Final

import pytest

#: what comes with the plugin and has no test in it
OURS: Final = ("hil", "flightsw")
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


def spare(manager: pytest.PytestPluginManager) -> None:
    """Leave the assertions of our packages as they are.

    pytest rewrites those of whatever a plugin is installed with. Of a whole bench that costs time,
    and snapshots, which know code by what it is compiled to, would not know theirs.
    """
    hook: Any = getattr(manager, "rewrite_hook", None)
    marked = getattr(hook, "_must_rewrite", None)
    if isinstance(marked, set):
        marked.difference_update(OURS)
        getattr(hook, "_marked_for_rewrite_cache", {}).clear()
