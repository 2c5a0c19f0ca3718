"""Buses of a participant that are its computer's own: what it tells of them, and what stands still.

A participant says in its greeting which buses it reaches by itself, through the drivers of its
kernel. From then on the bench is not asked about them, what emulated parts send on them is held
back, and what the participant tells of them is recorded with the flag BOARD. Levels that it drives
on lines of its own still reach the emulated parts on them, such as a watchdog.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from flightsw.codec import bus_payload
from flightsw.codec.errors import CodecError, SyncError
from flightsw.codec.wire import Flag, Kind, Status
from hil.digest import Recorder
from hil.docket import KIND_OF, broke, unreadable
from hil.time.kernel import Kernel
from hil.time.phase import Phase
from hil.transactions import Lane

if TYPE_CHECKING:
    from hil.time.participant import Participant

#: Longest time that one record may tell of; a bus that hangs longer has been given up.
DURATION_LIMIT_NS = 3_600_000_000_000
#: Longest name of a device that is kept.
DEVICE_LIMIT = 128
_CAN_LIMIT_NBYTES = 64
_FLIGHT = int(Phase.FLIGHT)
_GPIO, _CAN = int(Kind.GPIO), int(Kind.CAN)
_BOARD, _OVERRUN = int(Flag.BOARD), int(Status.OVERRUN)
_KEPT = int(Flag.REPLY | Flag.INPUT | Flag.CAN_BRS | Flag.CAN_ESI | Flag.CAN_FD)
_INPUT = int(Flag.INPUT)


def _octets(least: int, most: int) -> Callable[[bytes], object]:
    def check(payload: bytes) -> None:
        if not least <= len(payload) <= most:
            raise SyncError(f"{len(payload)} octets, {least} to {most} expected")

    return check


#: kind -> what raises ``CodecError`` for a payload that is none of it
_READ: Mapping[int, Callable[[bytes], object]] = {
    int(Kind.I2C): partial(bus_payload.unpack_i2c, reply=True),
    int(Kind.SPI): partial(bus_payload.unpack_spi, reply=True),
    int(Kind.ONEWIRE): partial(bus_payload.unpack_onewire, reply=True),
    int(Kind.UART): _octets(1, 1 << 20),
    int(Kind.FRAME): _octets(bus_payload.FRAME_HEADER.size, 48 << 20),
    _CAN: _octets(0, _CAN_LIMIT_NBYTES),
    _GPIO: _octets(1, 1),
}


class Observed:
    """What the participants of an exchange have of their own."""

    def __init__(
        self,
        kernel: Kernel,
        lanes: dict[int, Lane],
        recorder: Recorder,
        held_back: dict[int, int],
        counted: dict[str, dict[str, int]],
    ) -> None:
        self._kernel = kernel
        self._lanes = lanes
        self._record_one = recorder.record
        self._held_back = held_back
        self._counted = counted
        #: every bus that was a participant's own at some time, and its device there
        self.buses: dict[str, str] = {}
        #: a level that was driven outside is being shown to emulated parts
        self.mirrors = False

    @property
    def counters(self) -> dict[str, int]:
        """Records told, those lost on the way here, and those of after the end; once some are."""
        return self._counted.setdefault("observed", {"records": 0, "lost": 0, "after_end": 0})

    def claim(self, participant: Participant, told: Any) -> str:
        """Let a participant have the buses of ``told`` (name -> device); return what is wrong."""
        lanes = {lane.bus.name: lane for lane in self._lanes.values()}
        if not isinstance(told, dict) or not all(isinstance(at, str) for at in told.values()):
            return "what it says of its own buses is no table of names and devices"
        if unknown := [name for name in told if name not in lanes]:
            return (
                f"{unknown[0][:64]!r}, which is to be its computer's own, is no bus of this board; "
                f"there is {', '.join(lanes)}"
            )
        own = frozenset(lanes[name].index for name in told)
        participant.own = own
        if own:
            heard = frozenset(self._lanes) if participant.channels is None else participant.channels
            participant.channels = heard - own
            _ = self.counters
        for name, device in told.items():
            self.buses[name] = "".join(filter(str.isprintable, device))[:DEVICE_LIMIT]
            self._held_back.setdefault(lanes[name].index, 0)
        return ""

    def release(self, participant: Participant) -> None:
        """Give the buses of a participant that leaves back to their emulated parts."""
        for index in participant.own:
            count = self._held_back.pop(index, 0)
            self.counters["held_back"] = self.counters.get("held_back", 0) + count
        participant.own = frozenset()

    def note(
        self, participant: Participant, header: tuple[int, ...], payload: bytes, end_ns: int
    ) -> None:
        """Record what a participant tells of a bus of its own, at its time.

        Raises :class:`~hil.errors.ParticipantError` for a bus that is not its own, and for a record
        that is none.
        """
        kind, index, flags, status, _, t_ns, duration_ns, _, address = header
        lane = self._lanes.get(index)
        if lane is None or index not in participant.own or KIND_OF.get(kind) != lane.kind:
            raise broke(participant, f"told of channel {index}, which is no such bus of its own")
        if status == _OVERRUN and not payload:
            self.counters["lost"] += address
            return
        try:
            _READ[kind](payload)
        except CodecError as error:
            raise unreadable(participant, error) from error
        if status > max(Status) or duration_ns > DURATION_LIMIT_NS:
            raise broke(participant, f"told of status {status} after {duration_ns} ns")
        if t_ns >= end_ns:
            self.counters["after_end"] += 1
            return
        flags = flags & _KEPT | _BOARD
        self.counters["records"] += 1
        fields = (kind, index, flags, status, t_ns, duration_ns, address, payload)
        if t_ns <= self._kernel.now_ns:
            self._note(lane, fields, self._kernel.now_ns)
        else:
            act = partial(self._note, lane, fields)
            self._kernel.at(t_ns, _FLIGHT, participant.source, act)

    def _note(
        self, lane: Lane, fields: tuple[int, int, int, int, int, int, int, bytes], t_ns: int
    ) -> None:
        self._record_one(*fields)
        kind, _, flags, _, _, _, line, payload = fields
        if kind == _GPIO and not flags & _INPUT and line < lane.bus.nlines:
            self.mirrors = True
            try:
                lane.bus.set(t_ns, line, payload[0])
            finally:
                self.mirrors = False
