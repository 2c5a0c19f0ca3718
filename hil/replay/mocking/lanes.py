"""What a request is about, and which recorded one answers it.

A failed read does not say how much it was to read, and a frame not how long it was exposed: such
records fit any request that agrees in the rest.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Any, NamedTuple

from flightsw.codec import bus_payload
from flightsw.codec.errors import CodecError
from flightsw.codec.wire import Kind
from hil.replay.mocking.record import Lane, Recording
from hil.replay.mocking.stream import MockStream

_READ = bus_payload.I2C_READ
_LOAD_REPLY_NBYTES = bus_payload.LOAD_REPLY.size
#: flags of a CAN frame that its sender chooses: BRS and FDF; ESI is the controller's
CAN_CHOSEN = 0x50


class Answer(NamedTuple):
    """What was recorded for a request."""

    status: int
    duration_ns: int
    flags: int
    payload: bytes


class About(NamedTuple):
    """What a request or a record is about, and what else has to agree where both say it.

    ``like`` is what a write has in common with others that its target takes in the same way.
    """

    key: Hashable
    rest: tuple[int | None, ...] = ()
    like: Hashable = None


def i2c(messages: list[bus_payload.I2CMessage], failed: bool = False) -> About:
    """Return what I2C messages are about: all but the lengths of what is read."""
    key: list[Any] = []
    rest: list[int | None] = []
    like: list[Any] = []
    for address, flags, data in messages:
        if flags & _READ:
            key.append((address, flags))
            length = data if isinstance(data, int) else len(data)
            rest.append(None if failed else length)
        else:
            key.append((address, flags, data))
            like.append((address, flags, len(data) if isinstance(data, bytes) else data))
    return About(tuple(key), tuple(rest), None if rest else tuple(like))


def onewire(steps: list[bus_payload.OneWireStep], reply: bool) -> About:
    """Return what 1-Wire steps are about: all but lengths of reads and ways of the search."""
    key: list[Any] = []
    rest: list[int | None] = []
    for op, what in steps:
        if op == bus_payload.ONEWIRE_WRITE:
            key.append((op, what))
            continue
        key.append(op)
        if op == bus_payload.ONEWIRE_RESET:
            continue
        if not reply:
            rest.append(what if isinstance(what, int) else None)
        elif op == bus_payload.ONEWIRE_READ:
            rest.append(len(what) if isinstance(what, bytes) and what else None)
        else:  # the way was free only where both bits were 0
            saw = what[0] if isinstance(what, bytes) and what else 3
            rest.append(None if saw & 3 else saw >> 2)
    return About(tuple(key), tuple(rest))


def about_request(kind: int, address: int, payload: bytes) -> About:
    """Return what a request is about. Raises ``CodecError`` where it cannot be read."""
    if kind == Kind.I2C:
        return i2c(bus_payload.unpack_i2c(payload, reply=False))
    if kind == Kind.ONEWIRE:
        return onewire(bus_payload.unpack_onewire(payload, reply=False), reply=False)
    if kind == Kind.FRAME:
        return About(address)
    return About((address, payload))


def about_record(recording: Recording, index: int) -> About:
    """Return what a recorded request, or something that was sent, is about."""
    head, payload = recording.heads[index], recording.payload(index)
    kind, address = int(head["kind"]), int(head["address"])
    try:
        if kind == Kind.I2C:
            return i2c(bus_payload.unpack_i2c(payload, reply=True), failed=bool(head["status"]))
        if kind == Kind.SPI:
            segments, _ = bus_payload.unpack_spi(payload, reply=True)
            return About((address, bus_payload.pack_spi(segments)))
        if kind == Kind.ONEWIRE:
            return onewire(bus_payload.unpack_onewire(payload, reply=True), reply=True)
    except CodecError:
        return About((index, payload))  # of a foreign hand, and like nothing that is asked
    if kind == Kind.FRAME:
        return About(address)
    if kind == Kind.LOAD:
        return About((address, payload[_LOAD_REPLY_NBYTES:]))
    return About((address, int(head["flags"]) & CAN_CHOSEN, payload))


def agree(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    """Tell whether two agree in everything that both say."""
    return all(a == b or a is None or b is None for a, b in zip(one, other, strict=False))


class Answers:
    """The recorded answers of one channel, for the requests of one kind."""

    def __init__(self, stream: MockStream, kind: int, channel: int, timed: bool = True) -> None:
        self.stream = stream
        self.recording = recording = stream.recording
        self.kind = kind
        self.channel = channel
        acts = recording.acts(kind, channel)
        self._about: dict[int, About] = {}
        self.lane = Lane(recording, acts.tolist(), lambda index: self.about(index).key, timed)
        #: requests that were never recorded: answered as one like it, or as if nobody were there
        self.counters = {"improvised": 0, "absent": 0}

    @cached_property
    def _likes(self) -> Lane:
        """The same records by what writes have in common."""
        lane = self.lane
        return Lane(self.recording, lane.indices, lambda index: self.about(index).like, lane.timed)

    def about(self, index: int) -> About:
        """Return what a record is about."""
        found = self._about.get(index)
        if found is None:
            self._about[index] = found = about_record(self.recording, index)
        return found

    def answer(self, t_ns: int, request: About) -> Answer | None:
        """Return what answers a request; None: nothing like it was recorded.

        The stream is told which record it is, if it is that one.
        """

        def fits(index: int) -> bool:
            return agree(self.about(index).rest, request.rest)

        index = self.lane.take(t_ns, request.key, fits)
        self.stream.answer = index
        if index < 0:
            index = self.lane.latest(t_ns, request.key, fits)
            if index < 0 and request.like is not None:
                index = self._likes.latest(t_ns, request.like)
            if index < 0:
                self.counters["absent"] += 1
                return None
            self.counters["improvised"] += 1
        head = self.recording.heads[index]
        return Answer(
            int(head["status"]),
            int(head["duration_ns"]),
            int(head["flags"]),
            self.recording.payload(index),
        )
