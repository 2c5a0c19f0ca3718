"""Which modules are public: what the pages may import, and what changes only with a word about it.

A module that is not named here is ours to change at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PUBLIC: Mapping[str, Sequence[str]] = {
    "flight": (
        "flightsw.hal",
        "flightsw.hal.channel",
        "flightsw.errors",
    ),
    "codec": (
        "flightsw.codec.wire",
        "flightsw.codec.tier",
        "flightsw.codec.time_code",
        "flightsw.codec.errors",
        "flightsw.codec.packet.space_packet",
        "flightsw.codec.packet.find",
        "flightsw.codec.packet.sequence",
        "flightsw.codec.packet.pus_format",
        "flightsw.codec.columns.layout",
        "flightsw.codec.columns.declaration",
        "flightsw.codec.columns.calibration",
        "flightsw.codec.columns.time_field",
        "flightsw.codec.link.frames",
        "flightsw.codec.link.tm_frame",
        "flightsw.codec.link.aos_frame",
        "flightsw.codec.link.tc_frame",
        "flightsw.codec.link.cop1",
        "flightsw.codec.link.sync",
        "flightsw.codec.link.receiver",
        "flightsw.codec.link.chain",
        "flightsw.codec.link.units",
        "flightsw.codec.coding.crc",
        "flightsw.codec.coding.randomiser",
        "flightsw.codec.coding.reed_solomon",
        "flightsw.codec.coding.convolutional",
        "flightsw.codec.coding.cltu",
        "flightsw.codec.serial.cobs",
        "flightsw.codec.stream.channel",
        "flightsw.codec.stream.stream",
        "flightsw.codec.xtce.channel",
        "flightsw.codec.dictionary",
        "flightsw.codec.dictionary.fields",
        "flightsw.codec.dictionary.enums",
    ),
    "bench": (
        "hil.options",
        "hil.session",
        "hil.board",
        "hil.missions",
        "hil.rig",
        "hil.time.coordinator",
        "hil.time.transports",
        "hil.buses.i2c",
        "hil.buses.intercept",
        "hil.buses.faults",
        "hil.buses.can_faults",
        "hil.boards.emulators",
        "hil.errors",
    ),
    "parts": (
        "hil.parts.base",
        "hil.parts.registers",
        "hil.parts.conversion",
        "hil.parts.guide",
    ),
    "testing": (
        "hil.testing",
        "hil.testing.bench.telemetry",
        "hil.testing.bench.telecommands",
        "hil.testing.bench.parts",
        "hil.testing.bench.faults",
        "hil.testing.bench.buses",
        "hil.testing.bench.lines",
        "hil.testing.bench.programs",
        "hil.testing.bench.measures",
        "hil.testing.driver_bench",
        "hil.testing.booted",
    ),
    "faces": (
        "hil.faces.busio",
        "hil.faces.smbus2",
        "hil.faces.spidev",
        "hil.faces.pyserial",
        "hil.faces.python_can",
    ),
    "capture": (
        "hil.capture.reader",
        "hil.capture.table",
        "hil.capture.follow",
        "hil.capture.recover",
        "hil.replay.flown",
        "hil.replay.diff",
        "hil.replay.rules",
        "hil.replay.stepped",
        "hil.snapshots",
    ),
}

#: public too, with all that they have on the page of another
SHOWN_ELSEWHERE = {"hil.testing.bench": "hil.testing"}


def public() -> frozenset[str]:
    """Return the names of all public modules; those of parts have a page of their own."""
    from hil.parts import PART_TYPES

    parts = {where.partition(":")[0] for where in PART_TYPES.values()}
    parts |= set(SHOWN_ELSEWHERE)
    return parts | frozenset(name for modules in PUBLIC.values() for name in modules)


def page(group: str) -> str:
    """Return the part of the reference of one group of modules."""
    return "\n".join(_section(name) for name in PUBLIC[group])


def _section(name: str) -> str:
    return f"""## `{name}`

```{{eval-rst}}
.. automodule:: {name}
   :members:
   :show-inheritance:
```
"""
