"""The rigs of one test: opened when it asks for them, looked at when it fails, closed behind it."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import HilError
from hil.testing.plugin import checking, hardware, keeping, markers, seeds
from hil.testing.plugin.options import Said, Settings

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench

_PLAIN = re.compile(r"[^A-Za-z0-9_.-]+")
_NAME_LIMIT = 80


@dataclass
class Flown:
    """One rig of a test, and what it was asked to be."""

    bench: Bench
    settings: Settings
    #: 1 for the first of a test
    nth: int
    #: where its capture is, or will be; None: nobody wants it
    folder: Path | None = None
    #: it is closed: what it has recorded is all there is
    is_closed: bool = False

    @property
    def capture(self) -> str:
        """The path of its capture; ``""`` where there is none."""
        return "" if self.folder is None else str(self.folder / keeping.NAME)


@dataclass
class Rigs:
    """All rigs of a test."""

    item: pytest.Item
    flown: list[Flown] = field(default_factory=list)
    failed: bool = False
    #: the report of a phase has the sections: that of a later one need not
    told: bool = False
    #: properties that were added to the test
    noted: list[tuple[str, object]] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def open(self, given: dict[str, Any] | None = None) -> Bench:
        """Open one more rig; ``given`` is over everything else that was said."""
        from hil.testing.bench import Bench

        nth = len(self.flown) + 1
        settings = self._settings(nth, given or {})
        options = checking.bench_options(settings, seeds.plain_id(self.item))
        taking = checking.taking_of(options.as_options)
        self._stack.enter_context(hardware.held(hardware.instances_of(taking)))
        bench = Bench.open(options)
        flown = Flown(bench, settings, nth)
        # Closed first, then kept: the capture holds the end as well.
        self._stack.callback(self._keep, flown)
        self._stack.callback(bench.close)
        self.flown.append(flown)
        flight = bench.options.flight_name
        self._note(flown, board=bench.board, seed=bench.seed, flight=flight)
        return bench

    def _settings(self, nth: int, given: dict[str, Any]) -> Settings:
        root = self.item.config.rootpath
        values = markers.read(given, "rig_factory", root)
        settings = markers.settings_for(self.item)
        if "seed" not in values:
            values["seed"] = seeds.nth_seed(settings["seed"], nth)
        settings = Settings(
            {**settings.said, **{name: Said(value, "factory") for name, value in values.items()}}
        )
        checking.check_rig(settings)
        return settings

    def wanted(self) -> list[str]:
        """Have the captures kept of a test that has failed; return why one could not be.

        Where a fixture fails behind the rig, that is closed already: its capture is written now.
        """
        self.failed = True
        wrong = []
        for flown in self.flown:
            had = flown.folder
            self._choose(flown)
            if not flown.is_closed or flown.folder is None or had is not None:
                continue
            try:
                keeping.save(flown.bench, flown.folder)
            except (HilError, OSError) as error:
                wrong.append(f"no capture was kept: {' '.join(str(error).split())}")
                flown.folder = None
            else:
                self._note(flown, capture=flown.capture)
        return wrong

    def _choose(self, flown: Flown) -> None:
        which = flown.settings["capture"]
        if flown.folder is None and (which == "all" or (which == "failed" and self.failed)):
            name = folder_name(seeds.plain_id(self.item), flown.nth)
            flown.folder = Path(flown.settings["captures"]) / name

    def _keep(self, flown: Flown) -> None:
        flown.is_closed = True
        self._choose(flown)
        told = {"kind": flown.bench.kind, "digest": flown.bench.digest}
        if flown.folder is not None:
            keeping.save(flown.bench, flown.folder)
            told["capture"] = flown.capture
        self._note(flown, **told)
        for one in flown.bench.measurements:
            facts = {name: value for name, value in one.as_json().items() if name != "name"}
            self._note(flown, **{f"measure_{one.name}": json.dumps(facts)})

    def _note(self, flown: Flown, **told: object) -> None:
        """Add properties for JUnit; ``record_property`` would warn, and means the same."""
        end = "" if flown.nth == 1 else f"_{flown.nth}"
        new = [(f"hil_{name}{end}", str(value)) for name, value in told.items()]
        self.noted += new
        self.item.user_properties += new

    def close(self) -> None:
        """Close every rig, the last first, and keep the captures that are wanted."""
        self._stack.close()


RIGS: pytest.StashKey[Rigs] = pytest.StashKey()


#: what a test that may be run again has said of its rigs
_NOTED: pytest.StashKey[list[tuple[str, object]]] = pytest.StashKey()


def rigs_of(item: pytest.Item) -> Rigs:
    """Return what is to be the rigs of a test, none yet: also where it is run again."""
    before = item.stash.get(_NOTED, [])
    item.user_properties[:] = [one for one in item.user_properties if one not in before]
    rigs = item.stash[RIGS] = Rigs(item)
    item.stash[_NOTED] = rigs.noted
    return rigs


def folder_name(nodeid: str, nth: int) -> str:
    """Return the name of the folder that keeps the capture of a test: readable, and its own."""
    plain = _PLAIN.sub("-", nodeid.replace(".py::", "-").replace("/", "-")).strip("-.")
    return f"{plain[:_NAME_LIMIT]}-{seeds.seed_of(nodeid):08x}" + (f"-{nth}" if nth > 1 else "")
