"""From a telecommand packet to its service: checks, verification stages, and once-only execution.

Each stage has its own failure report. A request that passes acceptance is journaled before it is
reported as accepted, and its outcome after it ran. After a restart a request without an outcome is
done again if its service says that this is harmless, and else reported as interrupted. A request
that comes a second time is answered with the reports of the first and not run again.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import construct

from flightsw.codec.dictionary import TELECOMMANDS, Failure
from flightsw.codec.errors import ChecksumError, CodecError, TruncatedError
from flightsw.codec.packet import pus
from flightsw.errors import StorageError
from flightsw.services.verification import Refusal, Verification
from flightsw.storage import Storage

_PRIMARY_NBYTES = 6
_REQUEST_ID_NBYTES = 4
#: accepted requests remembered, to recognise one that comes again
_REMEMBERED = 512
#: records in the journal before it is rewritten
_JOURNALED_MAX = 4 * _REMEMBERED
_ACCEPTED, _OUTCOME = b"A", b"O"
_OUTCOME_ROW = struct.Struct(">BHI")  # subtype (7: success), code, detail


class Request:
    """A telecommand that passed acceptance."""

    __slots__ = (
        "ack",
        "arguments",
        "id",
        "key",
        "packet",
        "progress",
        "redo",
        "service",
        "source",
        "subtype",
    )

    def __init__(self, packet: bytes, tc: Any) -> None:
        self.packet = packet
        self.id = packet[:_REQUEST_ID_NBYTES]
        #: identity and checksum: the same packet again has the same key
        self.key = self.id + packet[-2:]
        self.ack: int = tc.ack
        self.source: int = tc.source
        self.service: int = tc.service
        self.subtype: int = tc.subtype
        self.arguments: bytes = tc.data
        #: True when it is done again after a restart
        self.redo = False
        #: reports that a step, from 1, is done; set by the router
        self.progress: Callable[[int], None] = lambda step: None


#: Checks the arguments (raising Refusal) and returns what to run.
Handler = Callable[[Request, Any], Callable[[], None]]


class Route(NamedTuple):
    """Where a request goes, and whether running it twice does no harm."""

    handler: Handler
    redo: bool


class Outcome(NamedTuple):
    """How a request ended: subtype 7 for success, else that of the failure report."""

    subtype: int
    code: int
    detail: int


class Router:
    """Takes packets, answers on service 1, calls the services."""

    def __init__(self, apid: int, verification: Verification, storage: Storage) -> None:
        self._apid = apid
        self._verification = verification
        self._routes: dict[tuple[int, int], Route] = {}
        self._services: set[int] = set()
        self._journal = storage.journal("telecommands")
        self._outcomes: OrderedDict[bytes, Outcome | None] = OrderedDict()
        self._interrupted: list[bytes] = []
        self._journaled = 0
        self.counters: Counter[str] = Counter()
        self.last_sequence = 0
        self._load()

    def add(self, service: int, subtype: int, handler: Handler, redo: bool = True) -> None:
        """Register a handler; its argument layout is that of the dictionary."""
        assert (service, subtype) in TELECOMMANDS, f"TC[{service},{subtype}] has no declaration"
        self._routes[service, subtype] = Route(handler, redo)
        self._services.add(service)

    def receive(self, packet: bytes) -> None:
        """Check, verify and run one telecommand packet; never raises for bad content."""
        if len(packet) < _PRIMARY_NBYTES:
            self.counters["cut"] += 1
            return
        request_id = packet[:_REQUEST_ID_NBYTES]
        try:
            request = self.accept(packet)
        except Refusal as refusal:
            self.counters[f"refused_{refusal.code.name.lower()}"] += 1
            routing = refusal.code == Failure.UNKNOWN_APID
            self._verification.refused(request_id, 10 if routing else 2, refusal)
            return
        if request.key in self._outcomes:
            self.counters["repeated"] += 1
            self._repeat(request)
            return
        self._remember(request)
        self._run(request)

    def accept(self, packet: bytes) -> Request:
        """Return the request if it may be accepted; raises Refusal with the reason."""
        length = int.from_bytes(packet[4:6], "big") + 1 + _PRIMARY_NBYTES
        if length != len(packet):
            raise Refusal(Failure.BAD_LENGTH, len(packet))
        apid = (packet[0] & 0x07) << 8 | packet[1]
        try:
            tc = pus.unpack_tc(packet)
        except ChecksumError:
            raise Refusal(Failure.BAD_CHECKSUM, int.from_bytes(packet[-2:], "big")) from None
        except TruncatedError:
            raise Refusal(Failure.BAD_LENGTH, len(packet)) from None
        except CodecError:
            raise Refusal(Failure.BAD_VERSION, packet[6] if len(packet) > 6 else 0) from None
        if apid != self._apid:
            raise Refusal(Failure.UNKNOWN_APID, apid)
        if tc.service not in self._services:
            raise Refusal(Failure.UNKNOWN_SERVICE, tc.service)
        if (tc.service, tc.subtype) not in self._routes:
            raise Refusal(Failure.UNKNOWN_SUBTYPE, tc.subtype)
        self._parse(tc.service, tc.subtype, tc.data)
        return Request(packet, tc)

    def redo_interrupted(self, report: Callable[[int], None]) -> None:
        """After start: finish what was accepted before the restart; ``report(sequence)`` each."""
        for packet in self._interrupted:
            request = Request(packet, pus.unpack_tc(packet))
            request.redo = True
            route = self._routes[request.service, request.subtype]
            if route.redo:
                self.counters["redone"] += 1
                report(int.from_bytes(request.id[2:], "big") & 0x3FFF)
                self._run(request)
            else:
                self.counters["interrupted"] += 1
                self._end(request, 8, Refusal(Failure.INTERRUPTED))
        self._interrupted.clear()

    def _parse(self, service: int, subtype: int, data: bytes) -> Any:
        stream = BytesIO(data)
        try:
            arguments = TELECOMMANDS[service, subtype].parse_stream(stream)
        except construct.ConstructError:
            raise Refusal(Failure.BAD_LAYOUT, len(data)) from None
        if stream.tell() != len(data):
            raise Refusal(Failure.BAD_LAYOUT, len(data))
        return arguments

    def _remember(self, request: Request) -> None:
        try:
            self._journal.append(_ACCEPTED + request.packet, durable=True)
        except StorageError:
            # Without the journal it runs all the same; only a restart could run it twice.
            self.counters["journal_failed"] += 1
        self._outcomes[request.key] = None
        while len(self._outcomes) > _REMEMBERED:
            self._outcomes.popitem(last=False)
        self.last_sequence = int.from_bytes(request.id[2:], "big") & 0x3FFF
        self._verification.succeeded(request.id, request.ack, 1)

    def _run(self, request: Request) -> None:
        verification = self._verification
        try:
            arguments = self._parse(request.service, request.subtype, request.arguments)
            action = self._routes[request.service, request.subtype].handler(request, arguments)
        except Refusal as refusal:
            self._end(request, 4, refusal)
            return
        verification.succeeded(request.id, request.ack, 3)
        request.progress = lambda step: verification.succeeded(request.id, request.ack, 5, step)
        try:
            action()
        except Refusal as refusal:
            self._end(request, 8, refusal)
        except StorageError:
            self._end(request, 8, Refusal(Failure.STORAGE))
        else:
            self._end(request, 7, None)

    def _end(self, request: Request, subtype: int, refusal: Refusal | None) -> None:
        if refusal is None:
            outcome = Outcome(subtype, 0, 0)
            self._verification.succeeded(request.id, request.ack, subtype)
        else:
            self.counters[f"failed_{refusal.code.name.lower()}"] += 1
            outcome = Outcome(subtype, refusal.code, refusal.detail)
            self._verification.refused(request.id, subtype, refusal)
        self._outcomes[request.key] = outcome
        try:
            self._journal.append(_OUTCOME + request.key + _OUTCOME_ROW.pack(*outcome))
            self._journaled += 2
            if self._journaled > _JOURNALED_MAX:
                self._compact()
        except StorageError:
            self.counters["journal_failed"] += 1

    def _repeat(self, request: Request) -> None:
        """Report once more what became of a request that ground has sent again."""
        outcome = self._outcomes[request.key]
        self._verification.repeated(request.id, request.ack, outcome)

    def _load(self) -> None:
        accepted: OrderedDict[bytes, bytes] = OrderedDict()
        for record in self._journal.records:
            body = record[1:]
            if record[:1] == _ACCEPTED:
                key = body[:_REQUEST_ID_NBYTES] + body[-2:]
                accepted[key] = body
                self._outcomes[key] = None
            elif record[:1] == _OUTCOME:
                key = body[: _REQUEST_ID_NBYTES + 2]
                accepted.pop(key, None)
                self._outcomes[key] = Outcome(*_OUTCOME_ROW.unpack(body[len(key) :]))
        while len(self._outcomes) > _REMEMBERED:
            self._outcomes.popitem(last=False)
        self._interrupted = list(accepted.values())
        self._compact()

    def _compact(self) -> None:
        """Keep the journal short: what is still open, and the outcomes that are remembered."""
        kept = [_ACCEPTED + packet for packet in self._interrupted]
        kept += [
            _OUTCOME + key + _OUTCOME_ROW.pack(*outcome)
            for key, outcome in self._outcomes.items()
            if outcome is not None
        ]
        self._journal.shorten(kept)
        self._journaled = len(kept)
