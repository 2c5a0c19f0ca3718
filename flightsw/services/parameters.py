"""Service 20, parameters, and their store in the flash (clause 6.20).

Two sectors hold a slot each: mark, sequence number, boot count, every parameter, CRC-32. The slot
with the highest good sequence number counts; saving erases, programs and reads back the other one,
in steps of the scheduler so that an erase of 45 to 400 ms stops nothing. What could not be saved is
saved when the flash answers again.
"""

from __future__ import annotations

import errno
import math
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flightsw.codec.dictionary import (
    PARAMETER_BY_ID,
    PARAMETER_BY_NAME,
    PARAMETERS,
    REPORTS,
    Failure,
    Parameter,
)
from flightsw.codec.dictionary.fields import code_of
from flightsw.drivers.w25q import SECTOR_NBYTES, W25q
from flightsw.errors import BusError
from flightsw.scheduler import Scheduler
from flightsw.services.telemetry import REPORT, Telemetry
from flightsw.services.verification import Refusal

if TYPE_CHECKING:
    from flightsw.services.router import Request, Router

_MARK = 0x46535031  # "FSP1"
_ID_NBYTES = 2
_SLOT = struct.Struct(">III" + "".join(code_of(p.kind) for p in PARAMETERS))
_SLOT_NBYTES = _SLOT.size + 4
_POLL_NS = 20_000_000
_ERASE_POLLS_MAX = 40
_NSLOTS = 2


def _stored(parameter: Parameter, value: float) -> float:
    """Return the value as its wire type holds it, so that a report equals what acts."""
    code = ">" + code_of(parameter.kind)
    if code[1] not in "fd":
        value = int(value)
    stored: float = struct.unpack(code, struct.pack(code, value))[0]
    return stored


class Parameters:
    """Values by name in ``values``; changed only through service 20."""

    def __init__(self, defaults: dict[str, float]) -> None:
        """``defaults`` replaces defaults of the dictionary."""
        self.values: dict[str, float] = {
            p.name: _stored(p, defaults.get(p.name, p.default)) for p in PARAMETERS
        }
        self._flash: W25q | None = None
        self._scheduler: Scheduler | None = None
        self._telemetry: Telemetry | None = None
        self._on_failed: Callable[[BusError], None] = lambda error: None
        self.slot = -1
        self.sequence = 0
        self.boot_count = 0
        self._saving = False
        self._again = False
        self._loaded = False
        #: names that ground has set since the start
        self._changed: set[str] = set()
        #: True while the flash does not hold what acts
        self.unsaved = False
        self.save_errors = 0
        self.saves = 0

    def load(self, flash: W25q) -> None:
        """Take the newest good slot, if any; raises ``BusError``."""
        self._flash = flash
        for slot in range(_NSLOTS):
            raw = flash.read(slot * SECTOR_NBYTES, _SLOT_NBYTES)
            if zlib.crc32(raw[:-4]) != int.from_bytes(raw[-4:], "big"):
                continue
            mark, sequence, boots, *row = _SLOT.unpack(raw[:-4])
            if mark != _MARK or sequence <= self.sequence:
                continue
            self.slot, self.sequence, self.boot_count = slot, sequence, boots
            for parameter, value in zip(PARAMETERS, row, strict=True):
                if _in_range(parameter, value) and parameter.name not in self._changed:
                    self.values[parameter.name] = value
        self._loaded = True

    def recover(self, flash: W25q) -> bool:
        """Catch up with a flash that answers again; return whether it was read for the first time.

        Raises ``BusError``. Values that ground has set meanwhile stay.
        """
        first = not self._loaded
        if first:
            self.load(flash)
            self.boot_count += 1
        if first or self.unsaved:
            self.save()
        return first

    def count_boot(self) -> None:
        """Raise the boot count in the flash; before the rate groups run, so it may wait."""
        self.boot_count += 1
        self.unsaved = True
        if self._flash is not None:
            slot, blob = self._next_slot()
            self._flash.erase_sector(slot * SECTOR_NBYTES)
            self._write(self._flash, slot, blob)

    def attach(
        self, scheduler: Scheduler, telemetry: Telemetry, on_failed: Callable[[BusError], None]
    ) -> None:
        """Name the scheduler for saving in steps, where reports go, and who hears of failure."""
        self._scheduler = scheduler
        self._telemetry = telemetry
        self._on_failed = on_failed

    def by_id(self, number: int) -> float:
        """Return the value of a parameter."""
        return self.values[PARAMETER_BY_ID[number].name]

    def _next_slot(self) -> tuple[int, bytes]:
        slot = (self.slot + 1) % _NSLOTS
        row = [self.values[p.name] for p in PARAMETERS]
        blob = _SLOT.pack(_MARK, self.sequence + 1, self.boot_count, *row)
        return slot, blob + zlib.crc32(blob).to_bytes(4, "big")

    def _write(self, flash: W25q, slot: int, blob: bytes) -> None:
        """Program an erased slot and read it back; raises ``BusError``."""
        address = slot * SECTOR_NBYTES
        flash.program(address, blob)
        if flash.read(address, len(blob)) != blob:
            raise BusError(
                errno.EIO,
                f"flash: parameters at 0x{address:06X} do not read back; the other slot is good",
            )
        self.slot = slot
        self.sequence += 1
        self.saves += 1
        self.unsaved = False

    def save(self) -> None:
        """Begin to save to the flash; a change while it runs is saved after it."""
        self.unsaved = True
        if not self._loaded or self._flash is None or self._scheduler is None:
            self.save_errors += 1  # without its sequence number a slot could not be told as newer
            return
        if self._saving:
            self._again = True
            return
        self._saving = True
        slot, blob = self._next_slot()
        flash, scheduler = self._flash, self._scheduler
        polls = 0

        def erase(now_ns: int) -> None:
            flash.begin_erase(slot * SECTOR_NBYTES)
            scheduler.at(now_ns + _POLL_NS, self._guarded(poll))

        def poll(now_ns: int) -> None:
            nonlocal polls
            polls += 1
            if flash.busy() and polls < _ERASE_POLLS_MAX:
                scheduler.at(now_ns + _POLL_NS, self._guarded(poll))
                return
            self._write(flash, slot, blob)
            self._done()

        scheduler.at(0, self._guarded(erase))

    def _guarded(self, step: Callable[[int], None]) -> Callable[[int], None]:
        def run(now_ns: int) -> None:
            try:
                step(now_ns)
            except BusError as error:
                self.save_errors += 1
                self._saving = self._again = False
                self.unsaved = True
                self._on_failed(error)

        return run

    def _done(self) -> None:
        self._saving = False
        if self._again:
            self._again = False
            self.save()

    def register(self, router: Router) -> None:
        """Take the telecommands of the service."""
        router.add(20, 1, self._report)
        router.add(20, 3, self._set)

    def _report(self, request: Request, arguments: Any) -> Callable[[], None]:
        for number in arguments.parameters:
            if number not in PARAMETER_BY_ID:
                raise Refusal(Failure.UNKNOWN_ID, number)

        def run() -> None:
            assert self._telemetry is not None
            body = b"".join(
                struct.pack(">H" + code_of(PARAMETER_BY_ID[n].kind), n, self.by_id(n))
                for n in arguments.parameters
            )
            row = {"count": len(arguments.parameters), "rows": body}
            self._telemetry.report(REPORT, 20, 2, REPORTS[20, 2].build(row))

        return run

    def _set(self, request: Request, arguments: Any) -> Callable[[], None]:
        changes = _changes(arguments.count, arguments.rows)

        def run() -> None:
            self.values.update(changes)
            self._changed.update(changes)
            self.save()

        return run


def _changes(count: int, body: bytes) -> dict[str, float]:
    """Return name -> value of a TC[20,3]; raises Refusal and changes nothing if one is bad."""
    changes: dict[str, float] = {}
    at = 0
    for _ in range(count):
        parameter = PARAMETER_BY_ID.get(int.from_bytes(body[at : at + _ID_NBYTES], "big"))
        if at + _ID_NBYTES > len(body):
            raise Refusal(Failure.BAD_LAYOUT, len(body))
        if parameter is None:
            raise Refusal(Failure.UNKNOWN_ID, int.from_bytes(body[at : at + _ID_NBYTES], "big"))
        row = struct.Struct(">" + code_of(parameter.kind))
        at += _ID_NBYTES
        if at + row.size > len(body):
            raise Refusal(Failure.BAD_LAYOUT, len(body))
        (value,) = row.unpack_from(body, at)
        at += row.size
        if not _in_range(parameter, value):
            raise Refusal(Failure.OUT_OF_RANGE, parameter.id)
        changes[parameter.name] = value
    if at != len(body):
        raise Refusal(Failure.BAD_LAYOUT, len(body))
    return changes


def _in_range(parameter: Parameter, value: float) -> bool:
    return math.isfinite(value) and parameter.lower <= value <= parameter.upper


assert _SLOT_NBYTES <= SECTOR_NBYTES
assert len(PARAMETER_BY_NAME) == len(PARAMETERS)
