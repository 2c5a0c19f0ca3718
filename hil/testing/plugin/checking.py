"""What a test asks for, checked before anything is built: board, mission, faults, bindings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pytest

from hil.config import nearest
from hil.errors import UsageError
from hil.testing.plugin.markers import RIGS, settings_for
from hil.testing.plugin.options import FOUND, Said, Settings

if TYPE_CHECKING:
    from hil.board import Board
    from hil.boards.binding import Taking
    from hil.missions import Mission
    from hil.options import Options
    from hil.testing.bench import BenchOptions

FLIGHTS: Final = ("flightsw", "none", "process", "remote")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@cache
def board_of(name: str) -> Board:
    """Return a board, read once."""
    from hil.board import load_board

    return load_board(name)


@cache
def mission_of(name: str) -> Mission:
    """Return a mission, read once."""
    from hil.missions import load

    return load(name)


def check(item: pytest.Item, settings: Settings) -> None:
    """Raise ``pytest.UsageError`` or ``HilError`` for a test whose rig cannot be."""
    names = getattr(item, "fixturenames", ())
    for mark in item.iter_markers("needs_hw"):
        _check_needs(mark)
    if "hil_board" in names or not RIGS.isdisjoint(names):
        check_rig(settings)


def check_rig(settings: Settings) -> None:
    """Raise ``UsageError`` or ``ConfigError`` for a rig that cannot be."""
    # All tests of a module ask for the same but for the seed, which cannot be wrong.
    said = settings.said
    _check_rig(
        tuple(
            (name, said[name].value, said[name].by)
            for name in sorted(said)
            if name not in ("seed", "capture", "captures", "events")
        )
    )


@cache
def _check_rig(key: tuple[tuple[str, Any, str], ...]) -> None:
    from hil.options import checked

    settings = Settings({name: Said(value, by) for name, value, by in key})
    flight = settings["flight"]
    if isinstance(flight, str) and flight not in FLIGHTS and not _FUNCTION.fullmatch(flight):
        hint = nearest(flight, FLIGHTS) or f": say {', '.join(FLIGHTS)} or MODULE:FUNCTION"
        raise UsageError(f"flight {flight!r} is none{hint}")
    board, mission = board_of(settings["board"]), mission_of(settings["mission"])
    options = bench_options(settings).as_options
    plan = checked(options)
    taking_of(options)
    if options.faults:
        # Whether a bus can fail so is known to the bus.
        from hil.faults.plan import apply
        from hil.rig import Rig

        apply(plan, Rig(board, mission, seed=0, duration_s=options.duration_s, flight=False))


def bench_options(settings: Settings, test: str = "") -> BenchOptions:
    """Return what a bench is to be; what nobody has said is left to it."""
    from hil.testing.bench import BenchOptions

    options: dict[str, Any] = {
        name: settings[name]
        for name in ("board", "mission", "seed", "flight", "bind", "lab", "keys", "listen")
        if name in settings.said and settings[name] is not None
    }
    if settings.by("speed") != "default":
        options["pace"] = settings["speed"]
    if "faults" in settings.said:
        options["faults"] = settings["faults"]
    if "duration" in settings.said:
        options["duration_s"] = settings["duration"]
    return BenchOptions(**options, test=test)


def taking_of(options: Options) -> Taking | None:
    """Return the lab and what of it takes part."""
    from hil.boards.binding import taking_part

    return taking_part(options, board_of(options.board))


def lack_of(item: pytest.Item, needed: Sequence[str]) -> str:
    """Return what a test needs and the boards of its rig have not; ``""``: nothing."""
    from hil.testing.plugin.hardware import lack_of

    options = bench_options(settings_for(item)).as_options
    return lack_of(needed, options, taking_of(options), item.config.stash[FOUND])


def forget() -> None:
    """Forget every file that was read: the next session may find others there."""
    for kept in (board_of, mission_of, _check_rig):
        kept.cache_clear()


def _check_needs(mark: pytest.Mark) -> None:
    from hil.testing.plugin.hardware import known_capabilities, spelt

    if mark.kwargs or not mark.args:
        raise pytest.UsageError("marker needs_hw: say what is needed: needs_hw('can_fd')")
    known = known_capabilities()
    for name in mark.args:
        if not isinstance(name, str) or spelt(name) not in known:
            hint = nearest(str(name), known) or f"; known: {', '.join(known)}"
            raise pytest.UsageError(f"marker needs_hw: no board can {str(name)!r}{hint}")
