"""What a failed test says besides its traceback: the last bus events, and how to see it again."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import HilError
from hil.testing.plugin import markers, seeds
from hil.testing.plugin.options import CHOICES, Settings
from hil.testing.plugin.rigs import RIGS, Flown, Rigs

if TYPE_CHECKING:
    from hil.replay.decode import Decoder

#: what of the settings changes what a test does, in the order in which it is printed
_SAID = ("board", "mission", "seed", "speed", "flight", "bind", "lab", "listen", "keys")


def add(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the sections to the report of a phase that has failed. They travel with it."""
    rigs = item.stash.get(RIGS, None)
    if rigs is None or not rigs.flown or rigs.told:
        return
    rigs.told = True
    wrong = rigs.wanted()
    report.user_properties = list(item.user_properties)  # a capture may have come to them now
    for flown in rigs.flown:
        if not flown.settings["events"]:
            continue
        of = "" if len(rigs.flown) == 1 else f" of rig {flown.nth}"
        found = events(flown)
        report.sections.append((f"last {max(len(found) - 1, 0)} bus events{of}", "\n".join(found)))
    report.sections.append(("reproduce", "\n".join([*reproduce(item, rigs), *wrong])))


def events(flown: Flown) -> list[str]:
    """Return the last bus events of a rig, under a line that names the columns."""
    from hil.testing.plugin import traffic

    try:
        records = traffic.last_records(flown.bench.records)
        found = traffic.lines(records, _decoder(flown), flown.settings["events"])
    except (HilError, OSError) as wrong:  # the failure itself is worth more than its picture
        return [f"they cannot be shown: {wrong}"]
    return found or ["nothing has happened on any bus"]


def _decoder(flown: Flown) -> Decoder:
    from hil.replay.decode import Decoder

    rig = flown.bench.emulation
    names = {spec.index: spec.name for spec in rig.board.buses}
    return Decoder(rig.board, rig.mission, names)


def reproduce(item: pytest.Item, rigs: Rigs) -> list[str]:
    """Return the commands that fly a test again and that show what was recorded."""
    # What the test itself asks of its rigs it asks again.
    flags = _flags(markers.settings_for(item))
    lines = [shlex.join(["pytest", _name(item), *flags])]
    for flown in rigs.flown:
        if flown.folder is None:
            lines.append("no capture was kept; --hil-capture=failed keeps one")
            continue
        lines.append(shlex.join(["hil", "tap", shown(flown.capture), "--decode"]))
        if flown.bench.options.flight_name in ("flightsw", "process"):
            # The software alone, answered from the capture: under a debugger, or changed.
            lines.append(shlex.join(["hil", "replay", shown(str(flown.folder)), "--mode", "mock"]))
    return lines


def _name(item: pytest.Item) -> str:
    """Return what selects a test from where the session was begun; its id is from the root on."""
    path, mark, rest = seeds.plain_id(item).partition("::")
    begun = item.config.invocation_params.dir
    return os.path.relpath(item.config.rootpath / path, begun) + mark + rest


def _flags(settings: Settings) -> list[str]:
    """Return what to say again: board and seed, and whatever else was not the default."""
    flags = []
    for choice in CHOICES:
        if choice.name not in _SAID:
            continue
        by, value = settings.by(choice.name), settings[choice.name]
        is_needed = choice.name in ("board", "seed") or by in ("flag", "env")
        if not is_needed or value is None:
            continue
        values = value if choice.kind == "list" else (value,)
        flags += [f"{choice.flag}={shown(str(one))}" for one in values]
    return flags


def let_go(item: pytest.Item) -> None:
    """Let go of the rigs of a test that is over: a session has thousands, and each its records."""
    if RIGS in item.stash:
        del item.stash[RIGS]


def shown(path: str) -> str:
    """Return a path as one writes it from here."""
    if not path.startswith("/"):
        return path
    near = os.path.relpath(path)
    return path if near.startswith("..") else near


def link(item: pytest.Item, report: pytest.TestReport) -> None:
    """Link kept captures in the report of pytest-html, where that is installed and asked for."""
    manager = item.config.pluginmanager
    html = getattr(item.config.option, "htmlpath", None)
    if html is None or not manager.hasplugin("html") or item.stash.get(RIGS, None) is None:
        return
    import pytest_html  # type: ignore[import-not-found,unused-ignore]

    extras: list[Any] = list(getattr(report, "extras", []))
    base = Path(html).expanduser().absolute().parent
    for flown in item.stash[RIGS].flown:
        if flown.folder is not None:
            url = os.path.relpath(flown.capture, base)
            extras.append(pytest_html.extras.url(url, name=f"capture {flown.nth}"))
    report.extras = extras  # type: ignore[attr-defined]


def forget(item: pytest.Item) -> None:
    """Let go of the rigs of a test that is over: pytest keeps the test until the session ends."""
    if RIGS in item.stash:
        del item.stash[RIGS]
