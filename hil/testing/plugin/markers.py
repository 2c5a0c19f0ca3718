"""What the markers ``hil`` and ``needs_hw`` of a test say, checked: nothing of it is guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from hil.config import nearest
from hil.errors import HilError
from hil.testing.plugin.options import BY_NAME, SETTINGS, Said, Settings, parsed
from hil.testing.plugin.seeds import plain_id, seed_of

MARKERS: Final = (
    "hil(board=, mission=, seed=, speed=, faults=, flight=, duration=): the rig of this test; "
    "duration is in nanoseconds of virtual time (20 * s) or a text ('20 min')",
    "needs_hw(*capabilities): skip unless a board bound through the lab can do this "
    "(i2c, spi, uart, gpio, can, can_fd, ...)",
)
#: fixtures for which a rig is built
RIGS: Final = frozenset({"rig", "rig_factory"})
#: what the marker ``hil`` and ``rig_factory`` may say
KEYS: Final = ("board", "mission", "seed", "speed", "faults", "flight", "duration")
_SECOND = 1_000_000_000

_SAID: pytest.StashKey[Settings] = pytest.StashKey()


def concerns(item: pytest.Item) -> bool:
    """Tell whether a test has to do with rigs at all."""
    names = getattr(item, "fixturenames", ())
    marked = any(item.get_closest_marker(name) for name in ("hil", "needs_hw"))
    return marked or not RIGS.isdisjoint(names) or "hil_board" in names


def settings_for(item: pytest.Item) -> Settings:
    """Return what a test is told: the session's settings, with its markers over them.

    Raises ``pytest.UsageError`` for a marker that says what no rig can be.
    """
    if _SAID not in item.stash:
        item.stash[_SAID] = _settings_for(item)
    return item.stash[_SAID]


def _settings_for(item: pytest.Item) -> Settings:
    found: dict[str, Any] = {}
    for mark in item.iter_markers("hil"):  # the nearest first
        if mark.args:
            raise pytest.UsageError(f"marker hil({mark.args[0]!r}): say it by name: {_known()}")
        for name, value in read(mark.kwargs, "marker hil", item.config.rootpath).items():
            found.setdefault(name, value)
    settings = item.config.stash[SETTINGS].over("marker", found)
    if settings["seed"] is None:
        seed = {"seed": Said(seed_of(plain_id(item)), "node id")}
        settings = Settings({**settings.said, **seed})
    return settings


def _known() -> str:
    return ", ".join(f"{key}=" for key in KEYS)


def read(given: Mapping[str, Any], who: str, folder: Path) -> dict[str, Any]:
    """Return the values of a marker or of ``rig_factory``, each as it is used.

    Relative paths start from ``folder``. Raises ``pytest.UsageError``.
    """
    for name in given:
        if name not in KEYS:
            hint = nearest(name, KEYS) or f"; it has {_known()}"
            raise pytest.UsageError(f"{who}: no argument {name!r}{hint}")
    return {name: _value(name, value, who, folder) for name, value in given.items()}


def _value(name: str, value: Any, who: str, folder: Path) -> Any:
    where = f"{who}: {name}"
    if name == "faults":
        rows = [value] if isinstance(value, str) else value
        if not isinstance(rows, list | tuple) or not all(isinstance(row, str) for row in rows):
            raise pytest.UsageError(f"{where}: {value!r}: give rows of a fault plan, as texts")
        return tuple(rows)
    if name == "duration":
        return _duration_s(value, where)
    if name == "flight" and callable(value):
        return value
    if name == "seed" and not isinstance(value, int):
        raise pytest.UsageError(f"{where}: {value!r} is no whole number from 0 on")
    return parsed(BY_NAME[name], value, where, folder)


def _duration_s(value: Any, where: str) -> float:
    if isinstance(value, str):
        from hil.units import parse_quantity

        try:
            return parse_quantity(value, "s")
        except HilError as wrong:
            raise pytest.UsageError(f"{where}: {wrong}") from None
    if isinstance(value, bool) or not isinstance(value, int) or value < _SECOND:
        raise pytest.UsageError(
            f"{where}: {value!r}: give at least one second in nanoseconds (20 * s), "
            "or a text with its unit ('20 min')"
        )
    return value / _SECOND


def problem(item: pytest.Item, check: Callable[[pytest.Item, Settings], None]) -> str:
    """Return why a test cannot be as it is marked, in one line; ``""`` where it can."""
    try:
        check(item, settings_for(item))
    except (pytest.UsageError, HilError) as wrong:
        return " ".join(str(wrong).split())
    return ""
