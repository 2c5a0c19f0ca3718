"""The CAN frames between electrical power system and payload computer, declared once.

Standard identifiers, big-endian scaled integers. The resolution is that of flight power telemetry:
5 mV, 10 mA. Both ends use these declarations.

=====  ==================  =========================================================
id     direction           content
=====  ==================  =========================================================
0x100  EPS, each second    battery: voltage, current (positive charges), charge, flags
0x101  EPS, each second    solar: power, flags
0x102  EPS, each second    bus: load power, switch states
0x200  payload computer    command: switch on, switch off, power-cycle
0x201  EPS                 acknowledgement of a command
0x700  EPS, each second    heartbeat: state, uptime
=====  ==================  =========================================================

``set_count`` runs over the sets of 0x100..0x102 modulo 65536, the same in each frame of one set.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from construct import Int8ub, Int16sb, Int16ub, Int32ub, Struct

from flightsw.codec.errors import FieldRangeError, TruncatedError

BATTERY_ID: Final = 0x100
SOLAR_ID: Final = 0x101
BUS_ID: Final = 0x102
COMMAND_ID: Final = 0x200
ACKNOWLEDGE_ID: Final = 0x201
HEARTBEAT_ID: Final = 0x700

VOLTAGE_LSB_V: Final = 0.005
CURRENT_LSB_A: Final = 0.010
CHARGE_LSB: Final = 0.005  #: of full, so 200 is full
POWER_LSB_W: Final = 0.010
OFF_TIME_LSB_S: Final = 0.010

BATTERY: Final = Struct(
    "voltage" / Int16ub,
    "current" / Int16sb,
    "charge" / Int8ub,
    "flags" / Int8ub,
    "set_count" / Int16ub,
)
SOLAR: Final = Struct("power" / Int16ub, "flags" / Int8ub, "spare" / Int8ub, "set_count" / Int16ub)
BUS: Final = Struct("load" / Int16ub, "switches" / Int16ub, "set_count" / Int16ub)
COMMAND: Final = Struct(
    "opcode" / Int8ub, "switch" / Int8ub, "off_time" / Int16ub, "sequence" / Int8ub
)
ACKNOWLEDGE: Final = Struct(
    "opcode" / Int8ub,
    "switch" / Int8ub,
    "sequence" / Int8ub,
    "result" / Int8ub,
    "switches" / Int16ub,
)
HEARTBEAT: Final = Struct("state" / Int8ub, "uptime_s" / Int32ub)


class BatteryFlag(IntFlag):
    """Bits of ``flags`` in the battery frame."""

    CHARGING = 0x01
    LOW = 0x02  #: charge below the limit that the EPS was built with


class SolarFlag(IntFlag):
    """Bits of ``flags`` in the solar frame."""

    LIT = 0x01


class Opcode(IntEnum):
    """What a command asks for."""

    SWITCH_ON = 1
    SWITCH_OFF = 2
    POWER_CYCLE = 3  #: off for ``off_time``, then on again


class Result(IntEnum):
    """Outcome in an acknowledgement."""

    ACCEPTED = 0
    UNKNOWN_OPCODE = 1
    UNKNOWN_SWITCH = 2
    MALFORMED = 3
    BUSY = 4  #: a power-cycle of that switch still runs


class Battery(NamedTuple):
    """A battery frame in its integers; LSB 5 mV, 10 mA, 0.5 %."""

    voltage: int
    current: int
    charge: int
    flags: int
    set_count: int


class Solar(NamedTuple):
    """A solar frame; LSB 10 mW."""

    power: int
    flags: int
    spare: int
    set_count: int


class BusLoad(NamedTuple):
    """A bus frame; LSB 10 mW; bit n of ``switches`` is switch n."""

    load: int
    switches: int
    set_count: int


class Command(NamedTuple):
    """A command; ``off_time`` in 10 ms, only for a power-cycle."""

    opcode: int
    switch: int
    off_time: int
    sequence: int


class Acknowledge(NamedTuple):
    """The answer to the command of the same ``sequence``."""

    opcode: int
    switch: int
    sequence: int
    result: int
    switches: int


class Heartbeat(NamedTuple):
    """``state`` 5 is operational, as in CANopen (CiA 301)."""

    state: int
    uptime_s: int


Frame = Battery | Solar | BusLoad | Command | Acknowledge | Heartbeat

OPERATIONAL: Final = 5

_LAYOUTS: Final[dict[int, tuple[type[Frame], Struct]]] = {
    BATTERY_ID: (Battery, BATTERY),
    SOLAR_ID: (Solar, SOLAR),
    BUS_ID: (BusLoad, BUS),
    COMMAND_ID: (Command, COMMAND),
    ACKNOWLEDGE_ID: (Acknowledge, ACKNOWLEDGE),
    HEARTBEAT_ID: (Heartbeat, HEARTBEAT),
}


def _packer(layout: Struct) -> struct.Struct:
    """Make the fast packer of a declaration from the declaration itself."""
    return struct.Struct(">" + "".join(field.subcon.fmtstr[-1] for field in layout.subcons))


_PACKERS: Final = {can_id: _packer(layout) for can_id, (_, layout) in _LAYOUTS.items()}
_IDS: Final[dict[type[Frame], int]] = {kind: can_id for can_id, (kind, _) in _LAYOUTS.items()}
for _kind, _layout in _LAYOUTS.values():
    assert list(_kind._fields) == [field.name for field in _layout.subcons]


def encode(frame: Frame) -> tuple[int, bytes]:
    """Return (CAN identifier, data) of a frame.

    Raises :class:`~flightsw.codec.errors.FieldRangeError` if a value does not fit its field.
    """
    can_id = _IDS[type(frame)]
    try:
        return can_id, _PACKERS[can_id].pack(*frame)
    except struct.error as error:
        raise FieldRangeError(f"EPS frame {can_id:#05x}: encode {frame}: {error}") from error


def decode(can_id: int, data: bytes) -> Frame | None:
    """Return the frame of an identifier, None if the identifier is not of the EPS.

    Raises :class:`~flightsw.codec.errors.TruncatedError` if ``data`` is too short; octets beyond
    the layout are left for later versions.
    """
    entry = _LAYOUTS.get(can_id)
    if entry is None:
        return None
    packer = _PACKERS[can_id]
    if len(data) < packer.size:
        raise TruncatedError(
            f"EPS frame {can_id:#05x}: {len(data)} octets, its layout has {packer.size}"
        )
    return entry[0](*packer.unpack_from(data))


def scaled(value: float, lsb: float, lower: int, upper: int) -> int:
    """Return ``value`` in units of ``lsb``, to the nearest, held within ``lower``..``upper``."""
    return min(max(round(value / lsb), lower), upper)
