"""Who flies on a bench, besides the flight software as ``hil run`` flies it."""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hil.errors import ParticipantError, UsageError
from hil.supervisor import Flight, Supervisor
from hil.testing.bench.options import BenchOptions
from hil.time.participant import Participant
from hil.time.transports.direct import DirectPort
from hil.uut import NAME, PROGRAM, DirectFlight, ProcessFlight

#: Files in memory, and what must be free there.
MEMORY, MEMORY_LEAST_NBYTES = "/dev/shm", 256 << 20  # noqa: S108 - mkdtemp makes it ours
#: How often a flight function may go on when it was told that its flight is over.
TOLD_LIMIT = 1000
#: What a flight function is given: a ``flightsw.hal.Hal``.
Fly = Callable[[Any], object]


class Unheeded(BaseException):
    """A function was told again and again that its flight is over: ``except Exception`` in its
    loop takes that for one more error of a bus, and no time passes any more."""


class _Leaving(DirectPort):
    """A port that tells a function so often, and not forever, that the bench is gone."""

    _told = 0

    def sleep(self, t_ns: int) -> bool:
        """Let time pass to ``t_ns``; False if the run is over by then."""
        return super().sleep(t_ns) or self._over()

    def request(self, message: bytes) -> bytes:
        """Do what a message asks; nothing if the run is over for the caller."""
        reply = super().request(message)
        if not reply:
            self._over()
        return reply

    def _over(self) -> bool:
        self._told += 1
        if self._told > TOLD_LIMIT:
            raise Unheeded
        return False


class FunctionFlight:
    """A function of the user, called in this loop with a hal; when it returns, nobody flies."""

    def __init__(self, supervisor: Supervisor, fly: Fly) -> None:
        self.supervisor = supervisor
        self._fly = fly
        self._new: Participant | None = None
        self._joined: Participant | None = None

    def run(self) -> None:
        """Fly to the end of the run, incarnation by incarnation."""
        self.start()
        exchange = self.supervisor.rig.exchange
        while not exchange.over:
            participant, self._new = self._new, None
            if participant is None:
                exchange.disturbed = False
                exchange.advance()
            else:
                self._call(_Leaving(exchange, participant))

    def _call(self, port: DirectPort) -> None:
        hal: Any = importlib.import_module(f"{PROGRAM}.hal.bench")
        shutdown: Any = importlib.import_module(f"{PROGRAM}.errors").Shutdown
        with contextlib.suppress(shutdown, Unheeded):
            self._fly(hal.DirectHal(port))
        self.supervisor.rig.exchange.leave(port.participant, "its function has returned")

    def start(self) -> None:
        """Let the next incarnation join."""
        self.supervisor.started()
        self._new = self._joined = self.supervisor.rig.exchange.join(NAME)

    def stop(self, reason: str) -> None:
        """Take the participant out: its next call finds the bench gone."""
        if self._joined is not None:
            self.supervisor.rig.exchange.leave(self._joined, reason)

    def close(self) -> None:
        """Have nothing to leave behind."""


class RemoteFlight(ProcessFlight):
    """Flight software that connects from outside, whoever has started it."""

    _since_s = 0.0

    def start(self) -> None:
        """Await the next one that connects."""
        self.supervisor.started()
        self._since_s = time.monotonic()
        channel = self.listener.channel()
        self.participant = self.coordinator.add(channel, NAME, self._died, self.wall_limit_s)

    def stop(self, reason: str) -> None:
        """Take the participant out; its next call finds the bench gone."""
        if self.participant is not None:
            self.coordinator.remove(self.participant, reason)

    def _died(self) -> str | None:
        waited_s = time.monotonic() - self._since_s
        is_missing = self.participant is None or self.participant.pid == 0
        if is_missing and waited_s > self.wall_limit_s:
            return f"nobody has connected within {self.wall_limit_s:g} s"
        return None

    def _gone(self, participant: Participant, reason: str) -> None:
        if participant.pid == 0:
            raise ParticipantError(
                f"no flight software at {self.listener.endpoint}: {reason}; start it as "
                f"`flightsw --bench {self.listener.endpoint} --keys CLIENT.KEY --storage DIR`"
            )
        self.supervisor.lost(reason, "outside")


def function_of(place: str) -> Fly:
    """Return the function that ``package.module:name`` names. Raises ``UsageError``."""
    module, _, name = place.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"flight {place!r}: {error}") from None
    for part in name.split("."):
        found = getattr(found, part, None)  # type: ignore[assignment]
    if not callable(found):
        there = [
            one
            for one, value in vars(importlib.import_module(module)).items()
            if callable(value) and not one.startswith("_")
        ]
        raise UsageError(f"flight {place!r}: no function {name!r} there; it has {', '.join(there)}")
    return found


def flight_of(
    options: BenchOptions, supervisor: Supervisor, storage: Path, keys: Path
) -> Flight | None:
    """Return who flies; None: nobody. ``keys``: where keys are made if none are given."""
    flight = options.flight
    if callable(flight):
        return FunctionFlight(supervisor, flight)
    if flight == "none":
        return None
    if flight == "flightsw":
        return DirectFlight(supervisor, storage)
    limit_s = options.wall_limit_s
    if flight == "process":
        return ProcessFlight(supervisor, "ipc", storage, limit_s)
    if flight == "remote":
        if options.keys is None:
            from hil.time.transports.keys import make_keys

            make_keys(keys)
        return RemoteFlight(supervisor, options.listen, storage, limit_s, options.keys or keys)
    return FunctionFlight(supervisor, function_of(flight))


def folder() -> Path:
    """Make a folder of this bench alone: in memory where there is room, unless TMPDIR says where.

    Making and removing a few files costs more on a disk than building a rig.
    """
    place = None
    if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK):
        room = os.statvfs(MEMORY)
        place = MEMORY if room.f_bavail * room.f_frsize >= MEMORY_LEAST_NBYTES else None
    return Path(tempfile.mkdtemp(prefix="flatsat-", dir=place))
