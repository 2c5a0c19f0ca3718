"""Service 8, function management: what the payload computer can be told to do (clause 6.8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import construct

from flightsw.codec.dictionary import FUNCTION_BY_ID, Failure, JobReason, JobState, Mode
from flightsw.compute.jobs import Job
from flightsw.compute.service import ComputeService
from flightsw.config import FlightConfig
from flightsw.services.housekeeping import Housekeeping
from flightsw.services.modes import Modes
from flightsw.services.verification import Refusal

if TYPE_CHECKING:
    from flightsw.services.router import Request, Router

_EXPOSURE_US = (10, 1_000_000)
_PERCENT_MAX = 100
_USE_PARAMETER = 255
#: states in which a product exists
_WITH_PRODUCT = (JobState.QUEUED, JobState.SENT, JobState.ACKNOWLEDGED)

Action = Callable[[], None]


class Functions:
    """Checks the arguments of a function and returns what to run."""

    def __init__(
        self,
        compute: ComputeService,
        modes: Modes,
        housekeeping: Housekeeping,
        parameters: Mapping[str, float],
        config: FlightConfig,
    ) -> None:
        self._compute = compute
        self._modes = modes
        self._housekeeping = housekeeping
        self._parameters = parameters
        self._config = config
        self._table: dict[str, Callable[[Request, Any], Action]] = {
            "TAKE_IMAGE": self._take_image,
            "PAUSE_COMPUTE": lambda r, a: lambda: compute.command(True),
            "RESUME_COMPUTE": lambda r, a: lambda: compute.command(False),
            "ENTER_SAFE": lambda r, a: lambda: modes.command(True),
            "EXIT_SAFE": lambda r, a: lambda: modes.command(False),
            "RESEND_PARTS": self._resend_parts,
            "ACKNOWLEDGE": self._acknowledge,
            "DISCARD_JOB": self._discard,
            "REPORT_ALL": lambda r, a: housekeeping.report_all,
            "REPORT_JOBS": lambda r, a: compute.tell_all,
        }
        assert set(self._table) == {f.name for f in FUNCTION_BY_ID.values()}

    def register(self, router: Router) -> None:
        """Take the telecommand of the service."""
        router.add(8, 1, self._perform)

    def _perform(self, request: Request, arguments: Any) -> Action:
        function = FUNCTION_BY_ID.get(arguments.function)
        if function is None:
            raise Refusal(Failure.UNKNOWN_ID, arguments.function)
        stream = BytesIO(arguments.arguments)
        try:
            values = function.struct.parse_stream(stream)
        except construct.ConstructError:
            raise Refusal(Failure.BAD_LAYOUT, len(arguments.arguments)) from None
        if stream.tell() != len(arguments.arguments):
            raise Refusal(Failure.BAD_LAYOUT, len(arguments.arguments))
        return self._table[function.name](request, values)

    def _take_image(self, request: Request, values: Any) -> Action:
        jobs = self._compute.store.jobs
        lower, upper = _EXPOSURE_US
        exposure_us = values.exposure_us or int(self._parameters["exposure_us"])
        if not lower <= exposure_us <= upper:
            raise Refusal(Failure.OUT_OF_RANGE, values.exposure_us)
        max_cloud = values.max_cloud
        if max_cloud == _USE_PARAMETER:
            max_cloud = int(self._parameters["max_cloud_percent"])
        if max_cloud > _PERCENT_MAX:
            raise Refusal(Failure.OUT_OF_RANGE, max_cloud)
        if values.job == 0:
            raise Refusal(Failure.OUT_OF_RANGE, 0)
        if values.job in jobs:
            if request.redo:
                return lambda: None  # it became durable before the restart
            raise Refusal(Failure.ALREADY_EXISTS, values.job)
        if self._modes.mode == Mode.SAFE and not request.redo:
            raise Refusal(Failure.WRONG_MODE, Mode.SAFE)
        if self._compute.unsent_jobs() >= self._config.jobs_max_open:
            raise Refusal(Failure.FULL, self._config.jobs_max_open)
        job = Job(values.job, exposure_us, values.priority, max_cloud)

        def run() -> None:
            self._compute.accept(job)
            request.progress(1)  # the job is durable

        return run

    def _job(self, number: int, states: tuple[JobState, ...] | None) -> Job:
        job = self._compute.store.jobs.get(number)
        if job is None:
            raise Refusal(Failure.UNKNOWN_ID, number)
        if states is not None and job.state not in states:
            raise Refusal(Failure.WRONG_STATE, job.state)
        return job

    def _resend_parts(self, request: Request, values: Any) -> Action:
        job = self._job(values.job, _WITH_PRODUCT)
        if request.redo:
            raise Refusal(Failure.INTERRUPTED)  # ground asks again if parts are still missing
        if values.first == 0 or values.count == 0:
            raise Refusal(Failure.OUT_OF_RANGE, values.first)

        def run() -> None:
            self._compute.outbox.resend(job, values.first, values.count)

        return run

    def _acknowledge(self, request: Request, values: Any) -> Action:
        job = self._job(values.job, _WITH_PRODUCT)
        if job.state == JobState.ACKNOWLEDGED:
            return lambda: None
        return lambda: self._compute.acknowledge(job)

    def _discard(self, request: Request, values: Any) -> Action:
        job = self._job(values.job, None)
        if job.ended and not request.redo:
            raise Refusal(Failure.WRONG_STATE, job.state)
        if job.ended:
            return lambda: None
        return lambda: self._compute.discard(job, JobReason.TELECOMMAND)
