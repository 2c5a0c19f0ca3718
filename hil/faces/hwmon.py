"""Drivers of the kernel that make sensors of I2C parts, as tables.

For each driver: the files that it shows, and how the number in each comes from a register. Sources:
the kernel's ``Documentation/hwmon`` (sysfs-interface.rst, ina3221.rst, ina2xx.rst, ina238.rst,
lm75.rst, jc42.rst) and ``Documentation/ABI/testing/sysfs-bus-iio`` for names, units and rounding;
the data sheets named in ``hil.parts`` for registers. A limit that was read or written once is kept
by the driver and costs no further transaction.

Not modelled: interrupts and alert pins, ``power`` and ``uevent`` files, runtime power management,
``pm`` of single-shot mode.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from hil.faces.attributes import Attribute, Device, Steps, constant, whole_number


class Value(NamedTuple):
    """A number in a register: ``count * scale[0] / scale[1]`` in the unit of the file.

    ``count`` is the top of the register behind ``shift`` bits. With ``shunt`` the divisor is also
    multiplied by that shunt resistance in micro-ohms, which makes mA of nV.
    """

    register: int
    scale: tuple[int, int]
    shift: int = 0
    bits: int = 16
    shunt: int | None = None
    #: a limit: can be written, and is kept by the driver
    limit: bool = False
    #: bit of CONFIG without which there is no value (ENODATA)
    enable: int = 0
    signed: bool = True


class Flag(NamedTuple):
    """A bit of a register, shown as 0 or 1."""

    register: int
    bit: int


class Shunt(NamedTuple):
    """The resistance of a shunt in micro-ohms, which the driver only remembers."""

    number: int


class Enable(NamedTuple):
    """A bit of the INA3221's CONFIG that switches a channel."""

    bit: int


class Samples(NamedTuple):
    """The averaging of the INA3221."""


class Interval(NamedTuple):
    """The time of a measurement cycle of the INA3221, ms."""


class Text(NamedTuple):
    """A file that never changes."""

    text: str


Row = Value | Flag | Shunt | Enable | Samples | Interval | Text


class KernelDriver(NamedTuple):
    """One driver: the name that it shows, its files, and what it writes when it finds the part."""

    rows: Mapping[str, Row]
    #: (register, value) written at probe
    probe: tuple[tuple[int, int], ...] = ()
    #: octets of a register, and of those that differ
    width: int = 2
    widths: Mapping[int, int] = {}
    #: below the class folder of ``iio`` instead of ``hwmon``
    iio: bool = False


CONFIG, MASK_ENABLE = 0x00, 0x0F


def _ina3221(part: Any, labels: Sequence[str]) -> KernelDriver:
    """Return the files of the INA3221: voltages of the rails in mV, of the shunts in uV, mA."""
    rows: dict[str, Row] = {}
    amps, scc = 40_000, 0
    one = len(set(part.shunts)) == 1
    for n in (1, 2, 3):
        enable = 1 << (15 - n)
        if n <= len(labels) and labels[n - 1]:
            rows[f"in{n}_label"] = Text(labels[n - 1])
        rows[f"in{n}_enable"] = Enable(enable)
        rows[f"in{n}_input"] = Value(2 * n, (8, 1), 3, enable=enable)
        rows[f"in{n + 3}_input"] = Value(2 * n - 1, (40, 1), 3, enable=enable)
        rows[f"shunt{n}_resistor"] = Shunt(n - 1)
        rows[f"curr{n}_input"] = Value(2 * n - 1, (amps, 1), 3, shunt=n - 1, enable=enable)
        rows[f"curr{n}_crit"] = Value(5 + 2 * n, (amps, 1), 3, shunt=n - 1, limit=True)
        rows[f"curr{n}_max"] = Value(6 + 2 * n, (amps, 1), 3, shunt=n - 1, limit=True)
        rows[f"curr{n}_crit_alarm"] = Flag(MASK_ENABLE, 10 - n)
        rows[f"curr{n}_max_alarm"] = Flag(MASK_ENABLE, 6 - n)
        scc |= 1 << (15 - n)
    rows["in7_label"] = Text("sum of shunt voltages")
    rows["in7_input"] = Value(0x0D, (40, 1), 1)
    if one:
        rows["curr4_input"] = Value(0x0D, (amps, 1), 1, shunt=0)
        rows["curr4_crit"] = Value(0x0E, (amps, 1), 1, shunt=0, limit=True)
        rows["curr4_crit_alarm"] = Flag(MASK_ENABLE, 6)
    rows |= {"samples": Samples(), "update_interval": Interval()}
    probe = ((CONFIG, 0xF127), *(((MASK_ENABLE, scc),) if one else ()))
    return KernelDriver(rows, probe)


def _ina2xx(part: Any, labels: Sequence[str]) -> KernelDriver:
    """Return the files of the INA219: with 4096 in CALIBRATION one count is 10 uV on the shunt."""
    rows: dict[str, Row] = {
        "in0_input": Value(1, (10, 1000)),
        "in1_input": Value(2, (4, 1), 3, signed=False),
        "curr1_input": Value(4, (10_000, 1), shunt=0),
        "power1_input": Value(3, (200_000_000, 1), shunt=0, signed=False),
        "shunt_resistor": Shunt(0),
    }
    return KernelDriver(rows, ((CONFIG, 0x399F), (5, 4096)))


def _ina238(part: Any, labels: Sequence[str]) -> KernelDriver:
    """Return the files of the INA228: SHUNT_CAL 4096 makes one count of CURRENT 312.5 nV."""
    rows: dict[str, Row] = {
        "in0_input": Value(4, (3125, 10_000_000), 4, 24),
        "in1_input": Value(5, (1_953_125, 10_000_000), 4, 24),
        "curr1_input": Value(7, (3125, 10), 4, 24, shunt=0),
        "power1_input": Value(8, (1_000_000, 1), 0, 24, shunt=0, signed=False),
        "temp1_input": Value(6, (78_125, 10_000)),
        "shunt_resistor": Shunt(0),
    }
    return KernelDriver(rows, ((2, 4096),), widths=dict.fromkeys((4, 5, 7, 8), 3))


def _lm75(part: Any, labels: Sequence[str]) -> KernelDriver:
    """Return the files of the LM75B: 11 bits in steps of 0.125 degC, limits of 9 bits."""
    rows: dict[str, Row] = {
        "temp1_input": Value(0, (125, 1), 5),
        "temp1_max": Value(3, (500, 1), 7, limit=True),
        "temp1_max_hyst": Value(2, (500, 1), 7, limit=True),
        "update_interval": Text("100"),
    }
    return KernelDriver(rows)


def _jc42(part: Any, labels: Sequence[str]) -> KernelDriver:
    """Return the files of the MCP9808: 13 bits in steps of 1/16 degC, flags above."""
    steps = (125, 2)
    rows: dict[str, Row] = {
        "temp1_input": Value(5, steps, 0, 13),
        "temp1_max": Value(2, steps, 0, 13, limit=True),
        "temp1_min": Value(3, steps, 0, 13, limit=True),
        "temp1_crit": Value(4, steps, 0, 13, limit=True),
        "temp1_crit_alarm": Flag(5, 15),
        "temp1_max_alarm": Flag(5, 14),
        "temp1_min_alarm": Flag(5, 13),
    }
    return KernelDriver(rows)


def _tmp117(part: Any, labels: Sequence[str]) -> KernelDriver:
    """Return the files of the TMP117, a sensor of the industrial I/O subsystem."""
    rows: dict[str, Row] = {
        "in_temp_raw": Value(0, (1, 1)),
        "in_temp_scale": Text("7.812500"),
        "in_temp_calibbias": Value(7, (1, 1), limit=True),
    }
    return KernelDriver(rows, iio=True)


#: ``kernel`` in a board file -> what makes its table; the parts of each are in hil.boardparts
DRIVERS: Mapping[str, Callable[[Any, Sequence[str]], KernelDriver]] = {
    "ina3221": _ina3221,
    "ina2xx": _ina2xx,
    "ina238": _ina238,
    "lm75": _lm75,
    "jc42": _jc42,
    "tmp117": _tmp117,
}


def rounded(value: int, divisor: int) -> int:
    """Return ``value / divisor`` to the nearest, halves away from zero, as the kernel rounds."""
    half = divisor // 2
    return (value + half) // divisor if value >= 0 else -((half - value) // divisor)


class Bound:
    """A part and the driver that holds it: attributes by file name, and what the driver keeps."""

    def __init__(
        self, part: Any, bus: str, address: int, kernel: str, labels: Sequence[str]
    ) -> None:
        self.table = DRIVERS[kernel](part, labels)
        self._part = part
        shunts = getattr(part, "shunts", None) or (getattr(part, "shunt", 0.0),)
        self.shunts_uohm = [round(ohm * 1e6) for ohm in shunts]
        self.config = next((word & 0x7FFF for at, word in self.table.probe if at == CONFIG), 0)
        self._kept: dict[int, int] = {}
        self.device = Device(part.name, bus, address, self._probe)

    def attributes(self) -> dict[str, Attribute | str]:
        """Return every file of the driver by name: live, or its text where it never changes."""
        found: dict[str, Attribute | str] = {}
        for name, row in self.table.rows.items():
            match row:
                case Text():
                    found[name] = row.text
                case Value():
                    store = partial(self._store, row) if row.limit else None
                    found[name] = Attribute(partial(self._show, row), store, self.device)
                case Flag():
                    found[name] = Attribute(partial(self._flag, row), None, self.device)
                case Shunt():
                    show = constant(partial(self._shunt, row.number))
                    found[name] = Attribute(show, partial(self._set_shunt, row.number), self.device)
                case Enable():
                    show = constant(partial(self._enabled, row.bit))
                    found[name] = Attribute(show, partial(self._enable, row.bit), self.device)
                case Samples():
                    show = constant(lambda: f"{self._part.AVERAGES[self.config >> 9 & 7]}\n")
                    found[name] = Attribute(show, self._set_samples, self.device)
                case Interval():
                    show = constant(lambda: f"{rounded(self._cycle_us(), 1000)}\n")
                    found[name] = Attribute(show, self._set_interval, self.device)
        return found

    # --- registers -----------------------------------------------------------------------------

    def _width(self, register: int) -> int:
        return self.table.widths.get(register, self.table.width)

    def _read(self, register: int) -> Steps:
        """Read a register; the number is the text."""
        nbytes = self._width(register)
        octets = yield bytes((register,)), nbytes
        return str(int.from_bytes(octets[-nbytes:]))

    def _write(self, register: int, word: int) -> Steps:
        yield bytes((register,)) + word.to_bytes(self._width(register)), 0
        return ""

    def _probe(self) -> Steps:
        for register, word in self.table.probe:
            yield from self._write(register, word)
        return ""

    # --- rows ----------------------------------------------------------------------------------

    def _divisor(self, row: Value) -> int:
        return row.scale[1] * (1 if row.shunt is None else self.shunts_uohm[row.shunt])

    def _show(self, row: Value) -> Steps:
        if row.enable and not self.config & row.enable:
            raise OSError(errno.ENODATA, "the channel is switched off")
        word = self._kept.get(row.register) if row.limit else None
        if word is None:
            word = int((yield from self._read(row.register)))
            if row.limit:
                self._kept[row.register] = word
        word &= (1 << row.bits) - 1
        if row.signed and word >> (row.bits - 1):
            word -= 1 << row.bits
        count = word >> row.shift
        return f"{rounded(count * row.scale[0], self._divisor(row))}\n"

    def _store(self, row: Value, text: str) -> Steps:
        count = rounded(whole_number(text) * self._divisor(row), row.scale[0])
        most = 1 << (row.bits - row.shift - 1)
        word = min(max(count, -most), most - 1) << row.shift & (1 << row.bits) - 1
        self._kept.pop(row.register, None)
        yield from self._write(row.register, word)
        self._kept[row.register] = word
        return ""

    def _flag(self, row: Flag) -> Steps:
        word = int((yield from self._read(row.register)))
        return f"{word >> row.bit & 1}\n"

    def _shunt(self, index: int) -> str:
        return f"{self.shunts_uohm[index]}\n"

    def _set_shunt(self, index: int, text: str) -> Steps:
        value = whole_number(text)
        if not 0 < value < 1 << 31:
            raise OSError(errno.EINVAL, "no resistance")
        self.shunts_uohm[index] = value
        return ""
        yield b"", 0  # makes it a generator

    def _enabled(self, bit: int) -> str:
        return f"{int(bool(self.config & bit))}\n"

    def _enable(self, bit: int, text: str) -> Steps:
        value = whole_number(text)
        if value not in (0, 1):
            raise OSError(errno.EINVAL, "neither 0 nor 1")
        return (yield from self._configure(self.config & ~bit | bit * value))

    def _configure(self, config: int) -> Steps:
        yield from self._write(CONFIG, config)
        self.config = config
        return ""

    def _cycle_us(self) -> int:
        """Return channels x samples x (bus + shunt conversion), microseconds (ina3221.rst)."""
        config, part = self.config, self._part
        both_ns: int = part.CONVERSION_NS[config >> 6 & 7] + part.CONVERSION_NS[config >> 3 & 7]
        times: int = (config >> 12 & 7).bit_count() * part.AVERAGES[config >> 9 & 7]
        return times * both_ns // 1000

    def _set_samples(self, text: str) -> Steps:
        at = _closest(whole_number(text), self._part.AVERAGES)
        return (yield from self._configure(self.config & ~0x0E00 | at << 9))

    def _set_interval(self, text: str) -> Steps:
        """Take the conversion time, the same for both, that comes nearest."""
        share = (self.config >> 12 & 7).bit_count() * self._part.AVERAGES[self.config >> 9 & 7] * 2
        at = _closest(whole_number(text) * 1_000_000 // max(share, 1), self._part.CONVERSION_NS)
        return (yield from self._configure(self.config & ~0x01F8 | at << 6 | at << 3))


def _closest(value: int, choices: Sequence[int]) -> int:
    """Return the place of the choice nearest to ``value``."""
    return min(range(len(choices)), key=lambda at: (abs(choices[at] - value), at))
