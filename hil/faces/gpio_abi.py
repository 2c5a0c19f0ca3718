"""The structs of ``linux/gpio.h`` as the shim hands them on: both versions of the interface.

Everything is translated into the flags of version 2 here, so that one place keeps lines.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

MOST_LINES: Final = 64
USED, ACTIVE_LOW, INPUT, OUTPUT = 1, 2, 4, 8
RISING, FALLING, OPEN_DRAIN, OPEN_SOURCE = 16, 32, 64, 128
PULL_UP, PULL_DOWN, BIAS_DISABLED, CLOCK_REALTIME = 256, 512, 1024, 2048
EDGES, DRIVES = RISING | FALLING, OPEN_DRAIN | OPEN_SOURCE
BIASES = PULL_UP | PULL_DOWN | BIAS_DISABLED
KNOWN = 0xFFF
#: bit of version 1 -> flag of version 2, of a request
_REQUEST_1 = {
    1: INPUT,
    2: OUTPUT,
    4: ACTIVE_LOW,
    8: OPEN_DRAIN,
    16: OPEN_SOURCE,
    32: PULL_UP,
    64: PULL_DOWN,
    128: BIAS_DISABLED,
}
#: the same of what is told of a line
_INFO_1 = {1: USED, 2: OUTPUT, **{bit: _REQUEST_1[bit] for bit in (4, 8, 16, 32, 64, 128)}}
_ATTR_FLAGS, _ATTR_VALUES, _ATTR_DEBOUNCE = 1, 2, 3

CHIP_INFO: Final = struct.Struct("<32s32sI")
LINE_INFO: Final = struct.Struct("<32s32sIIQ160s16x")
#: info, u64 when (CLOCK_MONOTONIC), u32 what has happened
INFO_CHANGED: Final = struct.Struct("<256sQI20x")
LINE_OFFSET: Final = struct.Struct("<I")
LINE_INFO_1: Final = struct.Struct("<II32s32s")
REQUEST: Final = struct.Struct("<64I32s272sII20si")
CONFIG: Final = struct.Struct("<QI20s240s")
ATTRIBUTE: Final = struct.Struct("<II8sQ")
VALUES: Final = struct.Struct("<QQ")
EVENT: Final = struct.Struct("<QIIII24x")
HANDLE_REQUEST_1: Final = struct.Struct("<64II64s32sIi")
EVENT_REQUEST_1: Final = struct.Struct("<III32si")
VALUES_1: Final = struct.Struct("<64s")
CONFIG_1: Final = struct.Struct("<I64s16s")
EVENT_1: Final = struct.Struct("<QI4x")


def _number(way: int, nr: int, layout: struct.Struct) -> int:
    return way << 30 | layout.size << 16 | 0xB4 << 8 | nr


#: ioctl numbers (asm-generic/ioctl.h: 2 read, 3 both)
GET_CHIP_INFO = _number(2, 0x01, CHIP_INFO)
GET_LINE_INFO_1 = _number(3, 0x02, LINE_INFO_1)
GET_HANDLE_1 = _number(3, 0x03, HANDLE_REQUEST_1)
GET_EVENT_1 = _number(3, 0x04, EVENT_REQUEST_1)
GET_LINE_INFO = _number(3, 0x05, LINE_INFO)
WATCH_LINE_INFO = _number(3, 0x06, LINE_INFO)
UNWATCH_LINE_INFO = _number(3, 0x0C, LINE_OFFSET)
GET_LINE = _number(3, 0x07, REQUEST)
GET_VALUES_1 = _number(3, 0x08, VALUES_1)
SET_VALUES_1 = _number(3, 0x09, VALUES_1)
SET_CONFIG_1 = _number(3, 0x0A, CONFIG_1)
SET_CONFIG = _number(3, 0x0D, CONFIG)
GET_VALUES = _number(3, 0x0E, VALUES)
SET_VALUES = _number(3, 0x0F, VALUES)


class Config(NamedTuple):
    """What is asked of the lines of a request, line by line: flags, level, debounce in us."""

    flags: list[int]
    values: list[int]
    debounce_us: list[int]


def unpack_config(octets: bytes, count: int) -> Config | None:
    """Return the configuration of ``count`` lines; None if it holds what there is not."""
    flags, nattrs, padding, attrs = CONFIG.unpack(octets)
    if nattrs > 10 or any(padding):
        return None
    config = Config([flags] * count, [0] * count, [0] * count)
    taken: set[tuple[int, int]] = set()  # the first attribute of its sort decides for a line
    for nth in range(nattrs):
        ident, pad, value, mask = ATTRIBUTE.unpack_from(attrs, nth * ATTRIBUTE.size)
        if ident not in (_ATTR_FLAGS, _ATTR_VALUES, _ATTR_DEBOUNCE) or pad:
            return None
        number = int.from_bytes(value, "little")
        for line in range(count):
            if not mask >> line & 1 or (ident, line) in taken:
                continue
            taken.add((ident, line))
            if ident == _ATTR_FLAGS:
                config.flags[line] = number
            elif ident == _ATTR_VALUES:
                config.values[line] = number >> line & 1
            else:
                config.debounce_us[line] = number & 0xFFFFFFFF
    return config


def config_of_1(flags: int, values: bytes, count: int, edges: int = 0) -> Config | None:
    """Return the configuration that flags of version 1 ask for; None for unknown ones."""
    if flags >> 8:
        return None
    mine = sum(flag for bit, flag in _REQUEST_1.items() if flags & bit) | edges
    return Config([mine] * count, [int(bool(v)) for v in values[:count]], [0] * count)


def info_of_1(flags: int) -> int:
    """Return what version 1 says of a line with these flags."""
    return sum(bit for bit, flag in _INFO_1.items() if flags & flag)


def fits(flags: int) -> bool:
    """Tell whether the kernel takes these flags together (``gpio_v2_line_flags_validate``)."""
    way, drive, bias = flags & (INPUT | OUTPUT), flags & DRIVES, flags & BIASES
    return not (
        flags & ~KNOWN
        or flags & USED
        or way == INPUT | OUTPUT
        or (flags & EDGES and way != INPUT)
        or (drive and way != OUTPUT)
        or drive == DRIVES
        or (bias and not way)
        or bias & (bias - 1)
    )


#: what has happened to a line that is watched (GPIO_V2_LINE_CHANGED_...)
REQUESTED, RELEASED, RECONFIGURED = 1, 2, 3
