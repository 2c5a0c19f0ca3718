"""Three ways to run the same flight software: a process of its own over a channel (ipc, tcp,
seqpacket), a thread (inproc), or called directly in this loop (direct). What happens when it dies
is the same in all, and stands in ``hil.supervisor``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hil.errors import ConfigError, HilError, HostError, ParticipantError
from hil.exchange import Exchange
from hil.time.coordinator import Coordinator
from hil.time.participant import Participant
from hil.time.transports import listen
from hil.time.transports.direct import DirectPort
from hil.time.transports.keys import CLIENT, make_keys

if TYPE_CHECKING:
    from hil.supervisor import Flight

NAME = "fsw"
#: The package whose ``app.create(hal, storage).run()`` is the flight software, by name: the bench
#: never imports it as a part of itself.
PROGRAM = "flightsw"
#: After the end of a run a process gets this long to leave by itself, wall seconds.
LEAVE_S = 10.0
#: What flight software leaves with that can never fly: its device table or configuration is wrong,
#: or the host lacks something. Another start would end the same.
HOPELESS: dict[int, type[HilError]] = {2: ConfigError, 3: HostError}


class _Composed(Protocol):
    @property
    def exchange(self) -> Exchange: ...


class Keeper(Protocol):
    """Who follows the life of the flight software: :class:`hil.supervisor.Supervisor`, or the
    record of what one did."""

    starts: int

    @property
    def rig(self) -> _Composed: ...
    def started(self) -> int: ...
    def lost(self, reason: str, cause: str) -> None: ...


class ProcessFlight:
    """The flight software in a process of its own, over a channel."""

    def __init__(
        self,
        supervisor: Keeper,
        endpoint: str,
        storage: Path,
        wall_limit_s: float,
        keys: Path | None = None,
    ) -> None:
        self.supervisor = supervisor
        self.storage = storage
        self.wall_limit_s = wall_limit_s
        self.listener = listen(endpoint, keys)
        supervisor.rig.exchange.counted["listener"] = self.listener.counters
        self.keys = keys
        self.coordinator = Coordinator(supervisor.rig.exchange, self._gone)
        self.process: subprocess.Popen[bytes] | None = None
        self.participant: Participant | None = None
        #: seconds of CPU that processes which left have used
        self.cpu_s = 0.0

    def run(self) -> None:
        """Fly to the end of the run."""
        self.start()
        self.coordinator.run()

    def start(self) -> None:
        """Start a process and await its greeting."""
        self.supervisor.started()
        channel = self.listener.channel()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL)
        self.participant = self.coordinator.add(channel, NAME, self._died, self.wall_limit_s)

    def command(self) -> list[str]:
        """Return the words that start it."""
        command = [sys.executable, "-m", PROGRAM, "--bench", self.listener.endpoint]
        command += ["--storage", str(self.storage), "--name", NAME]
        if self.keys is not None:
            command += ["--keys", str(self.keys / CLIENT)]
        return command

    def stop(self, reason: str) -> None:
        """Kill the process and take its participant out."""
        assert self.process is not None
        assert self.participant is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self._reap()
        self.coordinator.remove(self.participant, reason)

    def _gone(self, participant: Participant, reason: str) -> None:
        self._reap()
        if self.supervisor.starts == 1:
            code = self.process.returncode if self.process is not None else None
            if code in HOPELESS:
                what = "host" if code == HostError.exit_code else "board or mission"
                raise HOPELESS[code](
                    f"the flight software cannot use this {what}; what it said is above"
                )
            if participant.pid == 0:
                raise ParticipantError(
                    f"the flight software never greeted the bench ({reason}); what it said is above"
                )
        killed = self.process is not None and self.process.returncode == -signal.SIGKILL
        self.supervisor.lost(reason, "outside" if killed else "crash")

    def _died(self) -> str | None:
        process = self.process
        if process is None or process.poll() is None:
            return None
        code = process.returncode
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"left with exit code {code}"

    def _reap(self) -> None:
        """Wait for the process to be gone."""
        process = self.process
        if process is not None:
            try:
                process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        """See the process off and close the endpoint."""
        if self.process is not None and self.process.poll() is None:
            if not self.supervisor.rig.exchange.over:
                self.process.kill()
            self._reap()
        times = os.times()
        self.cpu_s = times.children_user + times.children_system
        self.listener.close()


class DirectFlight:
    """The flight software called in this loop: no process, no socket, the fastest."""

    def __init__(self, supervisor: Keeper, storage: Path) -> None:
        self.supervisor = supervisor
        self.storage = storage
        #: who has joined and is yet to be started
        self.participant: Participant | None = None
        #: the flight software as it runs; None: there is none now
        self.app: Any = None
        self.cpu_s = 0.0

    def run(self) -> None:
        """Fly to the end of the run, incarnation by incarnation."""
        step = self.step
        if not self.supervisor.starts:
            self.start()
        while step():
            pass

    def step(self) -> bool:
        """Do the next thing; False: the run is over, and so are all steps.

        That is a step of the scheduler of the flight software, the start of an incarnation, or
        time passing to the next event while there is none. Between two steps nothing is on a
        stack: rig and flight software are what their objects hold.
        """
        if self.app is not None:
            if not self.app.step():
                self.app = None
            return True
        exchange = self.supervisor.rig.exchange
        if exchange.over:
            return False
        participant, self.participant = self.participant, None
        if participant is None:
            exchange.disturbed = False
            exchange.advance()
        else:
            self._boot(DirectPort(exchange, participant))
        return True

    def _boot(self, port: DirectPort) -> None:
        """Start the incarnation that is behind ``port``."""
        app: Any = importlib.import_module(f"{PROGRAM}.app")
        hal: Any = importlib.import_module(f"{PROGRAM}.hal.bench")
        shutdown: Any = importlib.import_module(f"{PROGRAM}.errors").Shutdown
        # Otherwise it was stopped, or the run was over, before its start was.
        with contextlib.suppress(shutdown):
            self.app = app.create(hal.DirectHal(port), self.storage)

    def start(self) -> None:
        """Let the next incarnation join; the next step picks it up."""
        self.supervisor.started()
        self.participant = self.supervisor.rig.exchange.join(NAME)
        self._joined = self.participant

    def stop(self, reason: str) -> None:
        """Take the participant out: its next call finds the bench gone."""
        self.supervisor.rig.exchange.leave(self._joined, reason)

    def close(self) -> None:
        """Have nothing to leave behind."""


class ThreadFlight:
    """The flight software in a thread of this process, over an inproc channel."""

    def __init__(
        self, supervisor: Keeper, endpoint: str, storage: Path, wall_limit_s: float
    ) -> None:
        self.supervisor = supervisor
        self.storage = storage
        self.wall_limit_s = wall_limit_s
        self.listener = listen(endpoint)
        self.coordinator = Coordinator(supervisor.rig.exchange, self._gone)
        self.thread: threading.Thread | None = None
        self.participant: Participant | None = None
        #: what ended the present incarnation by itself
        self.failure: BaseException | None = None
        self.cpu_s = 0.0

    def run(self) -> None:
        """Fly to the end of the run."""
        self.start()
        self.coordinator.run()

    def start(self) -> None:
        """Start a thread and await its greeting."""
        self.supervisor.started()
        channel = self.listener.channel()
        self.failure = None
        self.thread = threading.Thread(target=self._fly, args=(self.storage,), daemon=True)
        self.thread.start()
        self.participant = self.coordinator.add(channel, NAME, self._died, self.wall_limit_s)

    def _fly(self, storage: Path) -> None:
        try:
            main: Any = importlib.import_module(f"{PROGRAM}.__main__")
            main.fly(self.listener.endpoint, storage, NAME)
        except BaseException as error:  # noqa: BLE001 - a thread's end is reported, never lost
            self.failure = error

    def stop(self, reason: str) -> None:
        """Take the participant out; its thread finds the channel gone and ends: no failure.

        The next incarnation uses the same storage, so this one must be out of it.
        """
        assert self.participant is not None
        assert self.thread is not None
        self.coordinator.remove(self.participant, reason)
        self.thread.join(LEAVE_S)
        if self.thread.is_alive():
            raise ParticipantError(
                f"the flight software, in a thread, does not end {LEAVE_S:g} s after {reason!r}; "
                "use a transport with a process of its own, such as ipc"
            )

    def _gone(self, participant: Participant, reason: str) -> None:
        if self.supervisor.starts == 1:
            if self.failure is not None and getattr(self.failure, "exit_code", None) in HOPELESS:
                raise self.failure
            if participant.pid == 0:
                raise ParticipantError(f"the flight software never greeted the bench ({reason})")
        self.supervisor.lost(reason, "crash")

    def _died(self) -> str | None:
        if self.thread is None or self.thread.is_alive():
            return None
        return f"ended ({self.failure})" if self.failure is not None else "ended"

    def close(self) -> None:
        """Wait for the thread, if the run has told it to leave, and close the endpoint."""
        if self.thread is not None and self.supervisor.rig.exchange.over:
            self.thread.join(LEAVE_S)
        self.listener.close()


def flight_over(
    transport: str, supervisor: Keeper, storage: Path, keys: Path, limit_s: float
) -> Flight:
    """Return the flight software over a transport; ``keys`` is the folder for those of tcp.

    It writes to ``storage``, and may take ``limit_s`` wall seconds for an answer.
    """
    if transport == "direct":
        return DirectFlight(supervisor, storage)
    if transport == "inproc":
        return ThreadFlight(supervisor, "inproc://flatsat", storage, limit_s)
    if transport == "tcp":
        make_keys(keys)
        return ProcessFlight(supervisor, "tcp://127.0.0.1:0", storage, limit_s, keys)
    return ProcessFlight(supervisor, transport, storage, limit_s)
