"""Fault plans made from a seed, by swarm testing (Groce and others, ISSTA 2012).

A plan that leaves most kinds of fault out and has the others often finds more than one that has
all of them seldom. So each seed draws first which kinds it has at all, then its rows. The rows are
an explicit plan from then on: what is shrunk, kept and flown again is the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from hil.errors import ConfigError, UsageError
from hil.faults.plan import Row
from hil.parts.base import stream

#: The shortest window, seconds of virtual time, and how often it may double: each octave is as
#: likely, so that short windows come as often as long ones. Without powers and logarithms, whose
#: last bits differ between processors.
SHORTEST_S, OCTAVES = 0.05, 8
ROWS_LIMIT = 100_000

#: kind of bus -> kind of fault -> arguments, each as (least, most) or as one of some words
KINDS: Mapping[str, Mapping[str, Mapping[str, tuple[Any, ...]]]] = {
    "i2c": {
        "nak_address": {},
        "nak_data": {},
        "stuck_sda": {},
        "arbitration": {},
        "bit_flip": {"octet": (0, 5), "bit": (0, 7)},
        "truncate": {"after": (0, 3)},
        "stretch": {"ns": (1_000, 20_000_000)},
        "delay": {"ns": (1_000, 5_000_000)},
        "duplicate": {},
        "spam": {"times": (1, 4)},
    },
    "spi": {
        "absent": {},
        "stuck_miso": {"level": (0, 1)},
        "wrong_mode": {},
        "bit_flip": {"octet": (0, 7), "bit": (0, 7)},
        "truncate": {"after": (1, 8)},
        "delay": {"ns": (1_000, 5_000_000)},
    },
    "onewire": {
        "absent": {},
        "stuck": {},
        "bit_flip": {"octet": (0, 8), "bit": (0, 7)},
        "truncate": {"after": (0, 8)},
    },
    "uart": {
        "bit_flip": {"rate": (0.002, 0.2)},
        "framing": {"rate": (0.002, 0.2)},
        "overrun": {"rate": (0.002, 0.2)},
        "drop": {"rate": (0.002, 0.2)},
        "duplicate": {"rate": (0.002, 0.2)},
        "spam": {"rate": (0.002, 0.05), "times": (1, 8)},
        "silence": {},
        "stall": {},
        "delay": {"value_ns": (1_000, 50_000_000)},
    },
    "can": {
        "crc": {"rate": (0.01, 0.5)},
        "stuff": {"rate": (0.01, 0.5)},
        "form": {"rate": (0.01, 0.5)},
        "bit": {"rate": (0.01, 0.5)},
        "ack": {"rate": (0.01, 0.5)},
        "drop": {"rate": (0.01, 1.0)},
        "duplicate": {"rate": (0.01, 0.5)},
        "spam": {"rate": (0.01, 0.3), "times": (1, 4)},
        "delay": {"rate": (0.01, 0.5), "value_ns": (1_000, 20_000_000)},
        "overload": {"rate": (0.01, 0.5)},
    },
    "frames": {
        "absent": {},
        "timeout": {},
        "delay": {"value": (1_000, 50_000_000)},
        "duplicate": {},
        "truncate": {"value": (0, 4096)},
        "bit_flip": {"value": (0, 4096)},
    },
    "pulse": {
        "missing": {},
        "shifted": {"value_ns": (1_000, 50_000_000)},
        "duplicate": {"value_ns": (1_000, 50_000_000)},
        "jittered": {"value_ns": (1_000, 1_000_000)},
        "runt": {"value_ns": (10, 1_000)},
    },
}


class Place(NamedTuple):
    """Something that faults are put into: a bus, or the time pulse of a receiver."""

    name: str
    kind: str


def places(wired: Any, only: Collection[str] = ()) -> list[Place]:
    """Return what of a rig's wiring a plan may break; ``only`` these names, all if empty.

    Raises :class:`~hil.errors.ConfigError` for a name that is not there.
    """
    found = [Place(name, bus.kind) for name, bus in wired.buses.items() if bus.kind in KINDS]
    found += [Place(name, "pulse") for name, part in wired.parts.items() if hasattr(part, "pulse")]
    there = [place.name for place in found]
    for name in only:
        if name not in there:
            raise ConfigError(
                f"--swarm-on {name!r}: nothing to break there; say {', '.join(there)}"
            )
    return [place for place in found if not only or place.name in only]


def swarm(seed: int, count: int, duration_s: float, on: Iterable[Place]) -> list[Row]:
    """Return ``count`` rows within ``duration_s`` seconds of virtual time: same seed, same rows.

    Raises :class:`~hil.errors.UsageError` where that is no plan.
    """
    every = [(place, kind) for place in on for kind in KINDS[place.kind]]
    if not 0 < count <= ROWS_LIMIT or not every:
        raise UsageError(f"a swarm of {count} faults on {len(every)} kinds: give 1 to {ROWS_LIMIT}")
    random = stream(seed, "faults.swarm")
    drawn = [choice for choice in every if random.random() < 0.5] or every
    rows = []
    for number in range(count):
        place, kind = drawn[int(random.integers(len(drawn)))]
        octave_s = SHORTEST_S * (1 << int(random.integers(OCTAVES)))
        length_s = octave_s * (1.0 + float(random.random()))
        from_s = float(random.random()) * max(0.0, duration_s - length_s)
        # In whole milliseconds, which every machine writes and reads alike.
        values: dict[str, Any] = {"from": round(from_s, 3), "until": round(from_s + length_s, 3)}
        for key, (least, most) in KINDS[place.kind][kind].items():
            if isinstance(least, int):
                values[key] = int(random.integers(least, most + 1))
            else:
                values[key] = round(least + (most - least) * float(random.random()), 3)
        rows.append(Row(place.name, kind, values, _complain(seed, number)))
    return rows


def _complain(seed: int, number: int) -> Any:
    def complain(key: str, message: str) -> ConfigError:
        where = f"{key}: " if key else ""
        return ConfigError(f"swarm of seed {seed}, row {number}: {where}{message}")

    return complain
