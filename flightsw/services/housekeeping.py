"""Service 3, housekeeping: structures of the dictionary and those that ground creates (clause 6.3).

Values come from collectors, one for each structure of the dictionary: a callable that returns the
fields in wire order as integers. A value that does not fit its field is clamped and counted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flightsw.codec.dictionary import (
    PARAMETER_BY_ID,
    POOL,
    REPORTS,
    STRUCTURE_BY_SID,
    STRUCTURES,
    Failure,
)
from flightsw.codec.dictionary.fields import code_of, limits_of
from flightsw.services.telemetry import HOUSEKEEPING, REPORT, Telemetry
from flightsw.services.verification import Refusal

if TYPE_CHECKING:
    from flightsw.services.router import Request, Router

Collector = Callable[[], Sequence[int]]
_SECOND_NS = 1_000_000_000
_INTERVAL_MAX_S = 3600
_CREATED_MAX = 16
_PARAMETERS_MAX = 64


class _Report:
    """A structure at run time; ``parameters`` are ids of the pool or of service 20."""

    __slots__ = ("due_ns", "interval_s", "limits", "packer", "parameters", "periodic", "sid")

    def __init__(self, sid: int, parameters: tuple[int, ...], interval_s: int, on: bool) -> None:
        kinds = [POOL[p][1] if p in POOL else PARAMETER_BY_ID[p].kind for p in parameters]
        codes = [code_of(kind) for kind in kinds]
        self.sid = sid
        self.parameters = parameters
        self.interval_s = interval_s
        self.periodic = on
        self.due_ns = 0
        self.packer = struct.Struct(">B" + "".join(codes))
        self.limits = [
            limits_of(kind) if code not in "fd" else None
            for kind, code in zip(kinds, codes, strict=True)
        ]


class Housekeeping:
    """Collects and reports structures; call :meth:`tick` once a second."""

    def __init__(self, telemetry: Telemetry, parameter: Callable[[int], float]) -> None:
        """``parameter(id)`` returns the value of a parameter of service 20."""
        self._telemetry = telemetry
        self._parameter = parameter
        self._collectors: dict[int, Collector] = {}
        self._reports = {
            s.sid: _Report(s.sid, s.ids(), s.interval_s, s.periodic)
            for s in STRUCTURES
            if not s.optional
        }
        self.clamped = 0
        self.reported = 0

    def collect(self, sid: int, collector: Collector) -> None:
        """Name the source of a structure of the dictionary; an optional one exists from then on."""
        assert sid in STRUCTURE_BY_SID, f"housekeeping structure {sid} is not in the dictionary"
        self._collectors[sid] = collector
        if sid not in self._reports:
            s = STRUCTURE_BY_SID[sid]
            self._reports[sid] = _Report(sid, s.ids(), s.interval_s, s.periodic)

    def tick(self, now_ns: int) -> None:
        """Report each periodic structure whose interval has passed."""
        for report in self._reports.values():
            if report.periodic and now_ns >= report.due_ns:
                interval_ns = report.interval_s * _SECOND_NS
                # On the grid of its interval, so that a restart does not shift the samples.
                report.due_ns = (now_ns // interval_ns + 1) * interval_ns
                self.report(report.sid)

    def report(self, sid: int) -> None:
        """Report one structure now."""
        report = self._reports[sid]
        if sid in STRUCTURE_BY_SID:
            values: Sequence[float] = self._collectors[sid]()
        else:
            values = self._values(report.parameters)
        fit = []
        for value, limits in zip(values, report.limits, strict=True):
            if limits is not None:
                lower, upper = limits
                if not lower <= value <= upper:
                    self.clamped += 1
                    value = lower if value < lower else upper
            fit.append(value)
        self.reported += 1
        self._telemetry.report(HOUSEKEEPING, 3, 25, report.packer.pack(sid, *fit))

    def report_all(self) -> None:
        """Report every structure once."""
        for sid in self._reports:
            self.report(sid)

    def _values(self, parameters: Sequence[int]) -> list[float]:
        rows: dict[int, Sequence[int]] = {}
        values: list[float] = []
        for number in parameters:
            if number in POOL:
                sid = number >> 8
                if sid not in rows:
                    rows[sid] = self._collectors[sid]()
                values.append(rows[sid][number & 0xFF])
            else:
                values.append(self._parameter(number))
        return values

    def register(self, router: Router) -> None:
        """Take the telecommands of the service."""
        router.add(3, 1, self._create)
        router.add(3, 3, self._delete)
        router.add(3, 5, self._enable)
        router.add(3, 6, self._disable)
        router.add(3, 9, self._describe)
        router.add(3, 27, self._one_shot, redo=False)
        router.add(3, 31, self._set_intervals)

    def _known(self, sids: Sequence[int]) -> list[_Report]:
        for sid in sids:
            if sid not in self._reports:
                raise Refusal(Failure.UNKNOWN_ID, sid)
        return [self._reports[sid] for sid in sids]

    def _create(self, request: Request, arguments: Any) -> Callable[[], None]:
        sid, parameters = arguments.sid, tuple(arguments.parameters)
        if sid in self._reports or sid in STRUCTURE_BY_SID:
            raise Refusal(Failure.ALREADY_EXISTS, sid)
        if len(self._reports) - len(self._collectors) >= _CREATED_MAX:
            raise Refusal(Failure.FULL, _CREATED_MAX)
        if not 0 < len(parameters) <= _PARAMETERS_MAX:
            raise Refusal(Failure.OUT_OF_RANGE, len(parameters))
        for number in parameters:
            known = number in POOL and number >> 8 in self._collectors
            if not known and number not in PARAMETER_BY_ID:
                raise Refusal(Failure.UNKNOWN_ID, number)
        interval_s = _interval(arguments.interval_s)

        def run() -> None:
            # As the standard wants it, a new structure reports only after TC[3,5].
            self._reports[sid] = _Report(sid, parameters, interval_s, False)

        return run

    def _delete(self, request: Request, arguments: Any) -> Callable[[], None]:
        for report in self._known(arguments.sids):
            if report.sid in STRUCTURE_BY_SID or report.periodic:
                raise Refusal(Failure.WRONG_STATE, report.sid)

        def run() -> None:
            for sid in arguments.sids:
                self._reports.pop(sid, None)

        return run

    def _enable(self, request: Request, arguments: Any) -> Callable[[], None]:
        reports = self._known(arguments.sids)

        def run() -> None:
            for report in reports:
                report.periodic, report.due_ns = True, 0

        return run

    def _disable(self, request: Request, arguments: Any) -> Callable[[], None]:
        reports = self._known(arguments.sids)

        def run() -> None:
            for report in reports:
                report.periodic = False

        return run

    def _describe(self, request: Request, arguments: Any) -> Callable[[], None]:
        reports = self._known(arguments.sids)

        def run() -> None:
            for report in reports:
                row = {
                    "sid": report.sid,
                    "periodic": report.periodic,
                    "interval_s": report.interval_s,
                    "parameters": report.parameters,
                }
                self._telemetry.report(REPORT, 3, 10, REPORTS[3, 10].build(row))

        return run

    def _one_shot(self, request: Request, arguments: Any) -> Callable[[], None]:
        reports = self._known(arguments.sids)

        def run() -> None:
            for report in reports:
                self.report(report.sid)

        return run

    def _set_intervals(self, request: Request, arguments: Any) -> Callable[[], None]:
        rows = [(row.sid, _interval(row.interval_s)) for row in arguments.intervals]
        reports = self._known([sid for sid, _ in rows])

        def run() -> None:
            for report, (_, interval_s) in zip(reports, rows, strict=True):
                report.interval_s, report.due_ns = interval_s, 0

        return run


def _interval(interval_s: int) -> int:
    if not 1 <= interval_s <= _INTERVAL_MAX_S:
        raise Refusal(Failure.OUT_OF_RANGE, interval_s)
    return interval_s
