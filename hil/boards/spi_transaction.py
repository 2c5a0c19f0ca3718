"""One SPI transaction of the payload computer as requests to a board: as many as its frames need.

Segments are kept apart; chip select is held (``HOLD``) where it stays active between two requests.
Mode and clock are told to the board when they change. Delays behind segments are not kept: a
request takes longer than they are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

from flightsw.codec.bus_payload import SPISegment
from flightsw.codec.wire import Status
from hil.boards.i2c_transaction import Line
from hil.boards.protocol import HOLD, Reply, Request
from hil.buses.spi import CS_CHANGE

#: ``bus, cs, flags`` in front of the octets, ``status, t_us`` in front of those received
_HEAD_NBYTES, _REPLY_NBYTES = 3, 5
_CONFIG = struct.Struct("<BBBI")
_STAMP_NBYTES = 4
_OK = int(Status.OK)
_KNOWN = frozenset(int(status) for status in Status)


class SPIAnswer(NamedTuple):
    """What a board made of an SPI transaction: all octets received, segment behind segment."""

    status: int
    octets: bytes = b""


class Place(Protocol):
    """Where a transaction goes."""

    bus: int
    chip_select: int
    told: tuple[int, int] | None

    @property
    def station(self) -> Line:
        """The board."""


class SPITransaction:
    """Runs ``segments`` at ``place``; ``done`` gets the answer, None without one."""

    def __init__(
        self,
        place: Place,
        mode: int,
        speed_hz: int,
        segments: list[SPISegment],
        done: Callable[[SPIAnswer | None], None],
    ) -> None:
        self._place = place
        self._mode = mode
        self._done = done
        self._octets = bytearray()
        room = place.station.payload_nbytes
        limit = room - max(_HEAD_NBYTES, _REPLY_NBYTES)
        # (clock, octets, chip select stays active)
        self._left: list[tuple[int, bytes, bool]] = []
        for number, (tx, hz, _, flags, _) in enumerate(segments, 1):
            deselects = bool(flags & CS_CHANGE) != (number == len(segments))
            for begin in range(0, max(len(tx), 1), limit):
                end = begin + limit
                holds = end < len(tx) or not deselects
                self._left.append((hz or speed_hz, tx[begin:end], holds))

    def begin(self) -> None:
        """Put the first request to the board."""
        self._next()

    def _next(self) -> None:
        place = self._place
        speed_hz, tx, holds = self._left[0]
        head = bytes((place.bus, place.chip_select))
        if place.told != (self._mode, speed_hz):
            config = _CONFIG.pack(place.bus, place.chip_select, self._mode, speed_hz)
            place.told = self._mode, speed_hz
            place.station.ask(Request.SPI_CONFIG, config, self._configured)
            return
        payload = head + bytes((HOLD if holds else 0,)) + tx
        place.station.ask(Request.SPI_XFER, payload, self._answered)

    def _configured(self, reply: Reply | None) -> None:
        if reply is not None and reply.status == _OK:
            self._next()
            return
        self._place.told = None
        self._fail(reply)

    def _answered(self, reply: Reply | None) -> None:
        if reply is None or reply.status != _OK:
            self._fail(reply)
            return
        _, tx, _ = self._left.pop(0)
        octets = reply.payload[_STAMP_NBYTES:]
        if len(octets) != len(tx):
            self._done(SPIAnswer(int(Status.PROTOCOL)))
            return
        self._octets += octets
        if self._left:
            self._next()
        else:
            self._done(SPIAnswer(_OK, bytes(self._octets)))

    def _fail(self, reply: Reply | None) -> None:
        if reply is None:
            self._done(None)
            return
        known = reply.status in _KNOWN
        self._done(SPIAnswer(reply.status if known else int(Status.PROTOCOL)))
