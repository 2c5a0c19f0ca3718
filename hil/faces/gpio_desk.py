"""GPIO character devices: who holds which lines, what they read and set, and the edges they get.

A program asks with the structs of ``linux/gpio.h`` and is answered with an errno as gpiolib has it.
Time stamps of edges are those of the program's clock, CLOCK_MONOTONIC or CLOCK_REALTIME.

Changes of line info (``gpionotify``) are told in version 2. Not modelled: line names, hardware time
stamps, event buffers of another size than the socket's.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from flightsw.codec.wire import Status
from hil.buses.gpio_line import Settings
from hil.faces import gpio_abi as abi

#: clock(t_ns, realtime) -> the program's clock at a virtual time, nanoseconds
Clock = Callable[[int, bool], int]


class Lines:
    """One request: lines of one chip, held by one connection."""

    def __init__(
        self, ident: int, chip: Any, offsets: list[int], consumer: bytes, version: int
    ) -> None:
        self.ident = ident
        self.chip = chip
        self.offsets = offsets
        self.consumer = consumer.rstrip(b"\0").decode(errors="replace")
        self.version = version
        self.user = f"{self.consumer}#{ident}"
        self.flags = [0] * len(offsets)
        self.debounce_us = [0] * len(offsets)
        self.seq = 0
        self.line_seq = [0] * len(offsets)
        #: takes an edge as the kernel's struct
        self.send: Callable[[bytes], object] = lambda octets: None


class Desk:
    """All requests for lines of a bench."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[int, Lines] = {}
        #: (connection, chip, line) -> takes what becomes of it as the kernel's struct
        self._watches: dict[tuple[int, Any, int], Callable[[bytes], object]] = {}
        self.counters = dict.fromkeys(("requests", "busy", "edges", "changes"), 0)

    def call(
        self, chip: Any, t_ns: int, ident: int, number: int, octets: bytes
    ) -> tuple[int, bytes]:
        """Do what an ioctl asks; return (errno, struct). ``ident``: the request it is about."""
        lines = self._held.get(ident)
        about_chip = {
            abi.GET_CHIP_INFO: self._chip_info,
            abi.GET_LINE_INFO: self._line_info,
            abi.GET_LINE_INFO_1: self._line_info_1,
        }
        about_lines = {
            abi.GET_VALUES: self._get,
            abi.SET_VALUES: self._set,
            abi.SET_CONFIG: self._configure,
            abi.GET_VALUES_1: self._get_1,
            abi.SET_VALUES_1: self._set_1,
            abi.SET_CONFIG_1: self._configure_1,
        }
        if number in about_chip:
            return about_chip[number](chip, octets)
        if number in about_lines:
            if lines is None:
                return errno.ENODEV, b""
            return about_lines[number](lines, t_ns, octets)
        return errno.ENOTTY, b""

    # --- asking for lines ----------------------------------------------------------------------

    def request(
        self, chip: Any, t_ns: int, ident: int, number: int, octets: bytes
    ) -> tuple[int, bytes]:
        """Give lines to connection ``ident``: (errno, struct with that number as descriptor)."""
        if number == abi.GET_LINE:
            *offsets, consumer, config, count, _, padding, _ = abi.REQUEST.unpack(octets)
            asked = abi.unpack_config(config, count) if 0 < count <= 64 else None
            bad, version = any(padding), 2
        elif number == abi.GET_HANDLE_1:
            *offsets, flags, values, consumer, count, _ = abi.HANDLE_REQUEST_1.unpack(octets)
            asked = abi.config_of_1(flags, values, count) if 0 < count <= 64 else None
            bad, version = False, 1
        else:
            offset, flags, edges, consumer, _ = abi.EVENT_REQUEST_1.unpack(octets)
            offsets, count, version = [offset], 1, 1
            wanted = (edges & 1 and abi.RISING) | (edges & 2 and abi.FALLING)
            asked = abi.config_of_1(flags | 1, b"\0", 1, wanted)
            bad = not wanted or bool(flags & 2)
        offsets = offsets[:count]
        if (
            ident in self._held
            or asked is None
            or bad
            or any(offset >= chip.nlines for offset in offsets)
        ):
            return errno.EINVAL, b""
        if len(set(offsets)) != count:
            return errno.EBUSY, b""
        lines = Lines(ident, chip, offsets, consumer, version)
        if any(self._holder(chip, offset) is not None for offset in offsets):
            self.counters["busy"] += 1
            return errno.EBUSY, b""
        code = self._apply(lines, t_ns, asked)
        if code:
            self._free(lines, t_ns)
            return code, b""
        self.counters["requests"] += 1
        self._held[ident] = lines
        self._changed(lines, t_ns, abi.REQUESTED)
        return 0, octets[:-4] + ident.to_bytes(4, "little")

    def _apply(self, lines: Lines, t_ns: int, config: abi.Config) -> int:
        """Set lines up as asked; return an errno."""
        if not all(abi.fits(flags) for flags in config.flags):
            return errno.EINVAL
        chip = lines.chip
        for nth, offset in enumerate(lines.offsets):
            flags = config.flags[nth]
            status = chip.request(t_ns, offset, lines.user, _settings(flags, config, nth))
            if status:
                return errno.EBUSY if status == Status.BUSY else errno.EINVAL
            lines.flags[nth], lines.debounce_us[nth] = flags, config.debounce_us[nth]
            if flags & abi.OUTPUT:
                chip.set(t_ns, offset, config.values[nth] ^ bool(flags & abi.ACTIVE_LOW))
            elif flags & abi.INPUT and chip.direction(offset) == "out":
                chip.release(offset)
        return 0

    def release(self, ident: int, t_ns: int) -> None:
        """Take back the lines of a connection that is gone."""
        lines = self._held.pop(ident, None)
        if lines is not None:
            self._free(lines, t_ns)
            self._changed(lines, t_ns, abi.RELEASED)

    @staticmethod
    def _free(lines: Lines, t_ns: int) -> None:
        for offset in lines.offsets:
            if lines.chip.user(offset) == lines.user:
                lines.chip.free(t_ns, offset, lines.user)

    def held(self, ident: int) -> Lines | None:
        """Return what connection ``ident`` holds."""
        return self._held.get(ident)

    # --- information ---------------------------------------------------------------------------

    def _holder(self, chip: Any, offset: int) -> Lines | None:
        for lines in self._held.values():
            if lines.chip is chip and offset in lines.offsets:
                return lines
        return None

    def _chip_info(self, chip: Any, octets: bytes) -> tuple[int, bytes]:
        name = chip.name.encode()[:31]
        return 0, abi.CHIP_INFO.pack(name, name, chip.nlines)

    def _about(self, chip: Any, offset: int) -> tuple[int, bytes, int]:
        """Return flags, consumer and debounce of a line."""
        lines = self._holder(chip, offset)
        if lines is not None:
            nth = lines.offsets.index(offset)
            flags = lines.flags[nth] | abi.USED
            if not flags & (abi.INPUT | abi.OUTPUT):
                flags |= abi.OUTPUT if chip.direction(offset) == "out" else abi.INPUT
            return flags, lines.consumer.encode()[:31], lines.debounce_us[nth]
        way = abi.OUTPUT if chip.direction(offset) == "out" else abi.INPUT
        user = chip.user(offset)
        return way | (abi.USED if user else 0), user.encode()[:31], 0

    def _line_info(self, chip: Any, octets: bytes) -> tuple[int, bytes]:
        offset = abi.LINE_INFO.unpack(octets)[2]
        if offset >= chip.nlines:
            return errno.EINVAL, b""
        flags, consumer, debounce_us = self._about(chip, offset)
        attribute = b""
        if debounce_us:
            attribute = (3).to_bytes(8, "little") + debounce_us.to_bytes(8, "little")
        return 0, abi.LINE_INFO.pack(b"", consumer, offset, bool(attribute), flags, attribute)

    def _line_info_1(self, chip: Any, octets: bytes) -> tuple[int, bytes]:
        offset = abi.LINE_INFO_1.unpack(octets)[0]
        if offset >= chip.nlines:
            return errno.EINVAL, b""
        flags, consumer, _ = self._about(chip, offset)
        return 0, abi.LINE_INFO_1.pack(offset, abi.info_of_1(flags), b"", consumer)

    def watch(self, ident: int, chip: Any, octets: bytes, send: Callable[[bytes], object]) -> int:
        """Tell connection ``ident`` from now on what becomes of a line; return an errno."""
        place = ident, chip, int(abi.LINE_INFO.unpack(octets)[2])
        if place in self._watches:
            return errno.EBUSY
        self._watches[place] = send
        return 0

    def unwatch(self, ident: int, chip: Any, offset: int) -> int:
        """Tell it no longer; return an errno."""
        return 0 if self._watches.pop((ident, chip, offset), None) is not None else errno.EBUSY

    def unwatch_all(self, ident: int) -> None:
        """Tell a connection that is gone nothing more."""
        for place in [place for place in self._watches if place[0] == ident]:
            del self._watches[place]

    def _changed(self, lines: Lines, t_ns: int, what: int) -> None:
        for (_, chip, offset), send in list(self._watches.items()):
            if chip is lines.chip and offset in lines.offsets:
                asked = abi.LINE_INFO.pack(b"", b"", offset, 0, 0, b"")
                info = self._line_info(chip, asked)[1]
                self.counters["changes"] += 1
                send(abi.INFO_CHANGED.pack(info, self._clock(t_ns, False), what))

    # --- values --------------------------------------------------------------------------------

    @staticmethod
    def _value(lines: Lines, nth: int) -> int:
        level: int = lines.chip.read(lines.offsets[nth])
        return level ^ bool(lines.flags[nth] & abi.ACTIVE_LOW)

    @staticmethod
    def _put(lines: Lines, t_ns: int, values: dict[int, int]) -> int:
        if any(not lines.flags[nth] & abi.OUTPUT for nth in values):
            return errno.EPERM
        for nth, value in values.items():
            level = value ^ bool(lines.flags[nth] & abi.ACTIVE_LOW)
            lines.chip.set(t_ns, lines.offsets[nth], level)
        return 0

    def _get(self, lines: Lines, t_ns: int, octets: bytes) -> tuple[int, bytes]:
        _, mask = abi.VALUES.unpack(octets)
        asked = [nth for nth in range(len(lines.offsets)) if mask >> nth & 1]
        if not asked:
            return errno.EINVAL, b""
        bits = sum(self._value(lines, nth) << nth for nth in asked)
        return 0, abi.VALUES.pack(bits, mask)

    def _set(self, lines: Lines, t_ns: int, octets: bytes) -> tuple[int, bytes]:
        bits, mask = abi.VALUES.unpack(octets)
        asked = {nth: bits >> nth & 1 for nth in range(len(lines.offsets)) if mask >> nth & 1}
        return (self._put(lines, t_ns, asked) if asked else errno.EINVAL), octets

    def _get_1(self, lines: Lines, t_ns: int, octets: bytes) -> tuple[int, bytes]:
        levels = bytes(self._value(lines, nth) for nth in range(len(lines.offsets)))
        return 0, abi.VALUES_1.pack(levels)

    def _set_1(self, lines: Lines, t_ns: int, octets: bytes) -> tuple[int, bytes]:
        values = {nth: int(bool(octets[nth])) for nth in range(len(lines.offsets))}
        return self._put(lines, t_ns, values), octets

    def _configure(self, lines: Lines, t_ns: int, octets: bytes) -> tuple[int, bytes]:
        return self._reconfigure(lines, t_ns, abi.unpack_config(octets, len(lines.offsets))), octets

    def _configure_1(self, lines: Lines, t_ns: int, octets: bytes) -> tuple[int, bytes]:
        flags, values, _ = abi.CONFIG_1.unpack(octets)
        config = abi.config_of_1(flags, values, len(lines.offsets))
        return self._reconfigure(lines, t_ns, config), octets

    def _reconfigure(self, lines: Lines, t_ns: int, config: abi.Config | None) -> int:
        code = errno.EINVAL if config is None else self._apply(lines, t_ns, config)
        if code == 0:
            self._changed(lines, t_ns, abi.RECONFIGURED)
        return code

    # --- edges ---------------------------------------------------------------------------------

    def edge(self, chip: Any, t_ns: int, offset: int, level: int) -> None:
        """Tell whoever holds the line of an edge that it has asked for."""
        lines = self._holder(chip, offset)
        if lines is None:
            return
        nth = lines.offsets.index(offset)
        flags = lines.flags[nth]
        rising = bool(level) != bool(flags & abi.ACTIVE_LOW)
        if not flags & (abi.RISING if rising else abi.FALLING):
            return
        self.counters["edges"] += 1
        lines.seq += 1
        lines.line_seq[nth] += 1
        ident = 1 if rising else 2
        # Version 1 gives CLOCK_MONOTONIC since Linux 5.7.
        stamp = self._clock(t_ns, bool(flags & abi.CLOCK_REALTIME))
        if lines.version == 1:
            lines.send(abi.EVENT_1.pack(stamp, ident))
        else:
            lines.send(abi.EVENT.pack(stamp, ident, offset, lines.seq, lines.line_seq[nth]))


def _settings(flags: int, config: abi.Config, nth: int) -> Settings:
    """Return what the chip is asked for; edges as they are at the pin."""
    low = bool(flags & abi.ACTIVE_LOW)
    wanted = {
        0: "none",
        abi.RISING: "falling" if low else "rising",
        abi.FALLING: "rising" if low else "falling",
        abi.EDGES: "both",
    }
    bias = {abi.PULL_UP: "pull_up", abi.PULL_DOWN: "pull_down"}.get(flags & abi.BIASES, "none")
    drive = {abi.OPEN_DRAIN: "open_drain", abi.OPEN_SOURCE: "open_source"}
    return Settings(
        edges=wanted[flags & abi.EDGES],
        bias=bias,
        drive=drive.get(flags & abi.DRIVES, "push_pull"),
        debounce_ns=config.debounce_us[nth] * 1000,
    )
