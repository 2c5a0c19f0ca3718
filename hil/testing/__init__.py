"""What tests hold: a bench in virtual time, contract suites of buses, parts, transports and boards.

Whoever writes a bus, a part, a transport or firmware for a board proves it with the suite that ours
pass. Each name is imported when it is asked for: a test of a part loads nothing of boards.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench
    from hil.testing.bench.buses import Transaction
    from hil.testing.bench.log import Entry, Evidence, Mark
    from hil.testing.bench.options import BenchOptions
    from hil.testing.bench.wanted import above, below, between, ms, s, us
    from hil.testing.contracts.board import check_board
    from hil.testing.contracts.bus import check_bus
    from hil.testing.contracts.part import check_part, sweep
    from hil.testing.contracts.transport import check_transport

__all__ = [
    "Bench",
    "BenchOptions",
    "Entry",
    "Evidence",
    "Mark",
    "Transaction",
    "above",
    "below",
    "between",
    "check_board",
    "check_bus",
    "check_part",
    "check_transport",
    "ms",
    "s",
    "sweep",
    "us",
]

#: name -> the module that has it
_HOMES = {
    "Bench": "hil.testing.bench.bench",
    "BenchOptions": "hil.testing.bench.options",
    "Entry": "hil.testing.bench.log",
    "Evidence": "hil.testing.bench.log",
    "Mark": "hil.testing.bench.log",
    "Transaction": "hil.testing.bench.buses",
    "above": "hil.testing.bench.wanted",
    "below": "hil.testing.bench.wanted",
    "between": "hil.testing.bench.wanted",
    "check_board": "hil.testing.contracts.board",
    "check_bus": "hil.testing.contracts.bus",
    "check_part": "hil.testing.contracts.part",
    "check_transport": "hil.testing.contracts.transport",
    "ms": "hil.testing.bench.wanted",
    "s": "hil.testing.bench.wanted",
    "sweep": "hil.testing.contracts.part",
    "us": "hil.testing.bench.wanted",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
