"""Service 1, request verification: what became of each telecommand (ECSS-E-ST-70-41C clause 6.1).

Success reports are made when the telecommand asks for them, failure reports always.
"""

from __future__ import annotations

import struct

from flightsw.codec.dictionary import Failure
from flightsw.services.telemetry import VERIFICATION, Telemetry

ACK_ACCEPTANCE, ACK_START, ACK_PROGRESS, ACK_COMPLETION = 1, 2, 4, 8
#: The acknowledgement flag that asks for each success subtype.
_ASKED_BY = {1: ACK_ACCEPTANCE, 3: ACK_START, 5: ACK_PROGRESS, 7: ACK_COMPLETION}
_FAILURE = struct.Struct(">HI")


class Refusal(Exception):  # noqa: N818 - an outcome that is reported to ground, not a defect
    """A telecommand is refused: ``code`` and ``detail`` go into the failure report."""

    def __init__(self, code: Failure, detail: int = 0) -> None:
        super().__init__(f"{code.name} ({detail})")
        self.code = code
        self.detail = detail & 0xFFFFFFFF


class Verification:
    """Makes the reports of service 1 and counts them."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.accepted = 0
        self.rejected = 0
        self.completed = 0
        self.failed = 0

    def succeeded(self, request: bytes, ack: int, subtype: int, step: int = 0) -> None:
        """Report success of a stage (1 acceptance, 3 start, 5 progress, 7 completion) if asked."""
        self.accepted += subtype == 1
        self.completed += subtype == 7
        if ack & _ASKED_BY[subtype]:
            data = request + bytes((step,)) if subtype == 5 else request
            self._telemetry.report(VERIFICATION, 1, subtype, data)

    def refused(self, request: bytes, subtype: int, refusal: Refusal) -> None:
        """Report failure of a stage (2 acceptance, 4 start, 8 completion, 10 routing)."""
        if subtype in {2, 10}:
            self.rejected += 1
        else:
            self.failed += 1
        data = request + _FAILURE.pack(refusal.code, refusal.detail)
        self._telemetry.report(VERIFICATION, 1, subtype, data)

    def repeated(self, request: bytes, ack: int, outcome: tuple[int, int, int] | None) -> None:
        """Report once more what became of a request that came again; None: it still runs."""
        if ack & ACK_ACCEPTANCE:
            self._telemetry.report(VERIFICATION, 1, 1, request)
        if outcome is None:
            return
        subtype, code, detail = outcome
        if subtype != 7:
            self._telemetry.report(VERIFICATION, 1, subtype, request + _FAILURE.pack(code, detail))
        elif ack & ACK_COMPLETION:
            self._telemetry.report(VERIFICATION, 1, 7, request)
