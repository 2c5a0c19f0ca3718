"""The handle that tests hold: a bench in virtual time, its parts, faults, telemetry by name."""

from hil.testing.bench.bench import Bench
from hil.testing.bench.buses import Transaction
from hil.testing.bench.log import Entry, Evidence, Mark
from hil.testing.bench.options import BenchOptions
from hil.testing.bench.wanted import above, below, between, ms, s, us

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
    "ms",
    "s",
    "us",
]
