"""Recorded stimulus in the place of what parts send: which channels are played, who is silenced.

A channel that is played brings the payload computer what was recorded and nothing else: what parts
send on it, and what its bus reports by itself, is held back and counted. Parts still hear and
answer, so transactions on other channels are those of the emulated parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from flightsw.codec.wire import Kind, Record
from hil.board import Board
from hil.buses.can_frame import ERROR_FLAG, is_valid
from hil.capture.reader import Capture
from hil.errors import UsageError
from hil.exchange import Exchange
from hil.parts import part_class
from hil.replay.flown import Flown

#: data of an error frame (``linux/can/error.h``)
_ERROR_NBYTES = 8
_KINDS = {"uart": int(Kind.UART), "can": int(Kind.CAN), "gpio": int(Kind.GPIO)}


@dataclass
class Places:
    """Where the stimulus of a capture goes on a rig."""

    #: (kind, channel) of the capture -> channel of the rig
    lanes: dict[tuple[int, int], int]
    topics: dict[tuple[int, int], str] = field(default_factory=dict)
    #: why records could not go anywhere -> how many
    lost: Counter[str] = field(default_factory=Counter)
    #: lines of the GPIO chips, by channel of the rig
    nlines: dict[int, int] = field(default_factory=dict)

    def wanted(self, record: Record) -> bool:
        """Tell whether a record has a place; one that has none is counted."""
        lane = self.lanes.get((record.kind, record.channel))
        if lane is not None and self._is_carried(lane, record):
            return True
        topic = self.topics.get((record.kind, record.channel), "")
        why = "is not on the board" if lane is None else "has what no such bus carries"
        self.lost[f"{topic} {why}"] += 1
        return False

    def _is_carried(self, lane: int, record: Record) -> bool:
        """Tell whether a bus of its kind can carry a record: a capture may hold anything."""
        if record.kind == Kind.GPIO:
            return len(record.payload) == 1 and record.address < self.nlines[lane]
        if record.kind == Kind.CAN:
            if record.address & ERROR_FLAG:
                return len(record.payload) == _ERROR_NBYTES
            return is_valid(record.address | (record.flags & 0x70) << 28, record.payload)
        return True

    def bringer(self, exchange: Exchange) -> Callable[[Record], None]:
        """Return what brings a record to its channel."""
        lanes = self.lanes

        def bring(record: Record) -> None:
            exchange.bring(lanes[record.kind, record.channel], record)

        return bring


def places(flown: Flown, board: Board, capture: Capture) -> Places:
    """Return where the stimulus of a capture goes on a board, channel by name.

    Raises ``UsageError`` if the board has none of its channels.
    """
    by_name = {(_KINDS[b.kind], b.name): b.index for b in board.buses if b.kind in _KINDS}
    found = Places({})
    found.nlines = {b.index: b.params["lines"] for b in board.buses if b.kind == "gpio"}
    there = []
    for channel in capture.channels.values():
        if channel.kind not in _KINDS.values():
            continue
        name = channel.topic.split("/", 2)[-1]
        there.append(name)
        key = (channel.kind, channel.channel)
        found.topics[key] = channel.topic
        if (channel.kind, name) in by_name:
            found.lanes[key] = by_name[channel.kind, name]
    if not found.lanes:
        buses = ", ".join(name for _, name in by_name) or "none"
        known = ", ".join(there) or "none with stimulus"
        raise UsageError(
            f"{flown.path}: none of its channels ({known}) is on board {board.name}, which has "
            f"{buses}; choose --board, or name them when importing: hil import --bus [OLD=]NEW"
        )
    return found


def hold_back(flown: Flown, board: Board, exchange: Exchange, found: Places) -> list[str]:
    """Hold back what a rig would send on the channels that are played; say who is silenced.

    In a run of ours silence is part of the recording: there, all serial lines, CAN buses and GPIO
    chips are played.
    """
    muted = set(found.lanes.values())
    if not flown.imported:
        muted |= {bus.index for bus in board.buses if bus.kind in _KINDS}
    exchange.held_back.update(dict.fromkeys(sorted(muted), 0))
    names = {bus.name for bus in board.buses if bus.index in muted}
    silenced = []
    for part in board.parts:
        on = [part.bus] if part.bus in names and board.bus(part.bus).kind != "gpio" else []
        pins: dict[str, str] = getattr(part_class(part.type), "PINS", {})
        on += [
            f"{pin.bus}:{pin.line}"
            for pin in part.pins
            if pin.bus in names and pins[pin.name] == "out"
        ]
        if on:
            silenced.append(f"{part.name} on {', '.join(on)}")
    return silenced


def told(silenced: list[str], exchange: Exchange, board: Board) -> list[str]:
    """Return who was silenced, and how much of what they sent was held back."""
    names = {bus.index: bus.name for bus in board.buses}
    held = {names[index]: count for index, count in exchange.held_back.items() if count}
    found = [f"silenced: {'; '.join(silenced)}"] if silenced else []
    if held:
        counts = ", ".join(f"{name} {count:,}" for name, count in held.items())
        found.append(f"held back, records of the emulated parts: {counts}")
    return found
