"""Service 17, test: is the application process alive (clause 6.17)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flightsw.codec.dictionary import REPORTS, Failure
from flightsw.services.telemetry import REPORT, Telemetry
from flightsw.services.verification import Refusal

if TYPE_CHECKING:
    from flightsw.services.router import Request, Router


class ConnectionTest:
    """Answers TC[17,1] with TM[17,2] and TC[17,3] with TM[17,4]."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def register(self, router: Router) -> None:
        """Take the telecommands of the service."""
        router.add(17, 1, self._alive)
        router.add(17, 3, self._on_board)

    def _alive(self, request: Request, arguments: Any) -> Callable[[], None]:
        return lambda: self._telemetry.report(REPORT, 17, 2, b"")

    def _on_board(self, request: Request, arguments: Any) -> Callable[[], None]:
        if arguments.apid != self._telemetry.apid:
            raise Refusal(Failure.UNKNOWN_ID, arguments.apid)
        body = REPORTS[17, 4].build({"apid": arguments.apid})
        return lambda: self._telemetry.report(REPORT, 17, 4, body)
