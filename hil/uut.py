"""The unit under test as a thing that starts, dies and starts again.

Three ways to run the same flight software: a process of its own over a channel (ipc, tcp,
seqpacket), a thread (inproc), or called directly in this loop (direct). What happens when it dies
is the same in all: the bench goes on, the external watchdog runs out, the supply is cycled, and a
new incarnation starts when the computer has booted.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from hil.errors import ParticipantError
from hil.rig import Rig
from hil.time.coordinator import Coordinator
from hil.time.participant import Participant
from hil.time.phase import Phase
from hil.time.transports import listen
from hil.time.transports.direct import DirectPort
from hil.time.transports.keys import CLIENT

SECOND = 1_000_000_000
NAME = "fsw"
#: The package whose ``app.create(hal, storage).run()`` is the flight software, by name: the bench
#: never imports it as a part of itself.
PROGRAM = "flightsw"
#: After the end of a run a process gets this long to leave by itself, wall seconds.
LEAVE_S = 10.0
#: Switch of the EPS that feeds the payload computer.
PAYLOAD_SWITCH = 0
#: How long the supply stays off in a reset, virtual seconds.
SUPPLY_OFF_S = 1
SOURCE = 50


class Flight(Protocol):
    """One way to run the flight software on a rig."""

    def run(self) -> None:
        """Fly to the end of the run."""

    def start(self) -> None:
        """Start the first or the next incarnation, at the present virtual time."""

    def stop(self, reason: str) -> None:
        """Take the present incarnation away at once, as SIGKILL and a power cut do."""

    def close(self) -> None:
        """Leave nothing behind: processes, sockets."""


class Supervisor:
    """Follows the life of the unit under test: loss, watchdog, power cycle, boot."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.flight: Flight | None = None
        self.alive = False
        self.starts = 0
        #: why it stopped, each time: ``injected`` by a fault plan, from ``outside`` (SIGKILL of a
        #: person or of the host), ``supply`` (EPS, brown-out), or by a ``crash`` of its own
        self.stops: Counter[str] = Counter()
        watchdog = rig.wiring.of_type("watchdog")
        if watchdog is not None:
            watchdog.on_reset = self._watchdog_reset
        eps = rig.wiring.of_type("eps_node")
        if eps is not None:
            eps.on_switch = self._switched
        rig.on_supply = self._supply

    def started(self) -> int:
        """Count a start; return the boot count that the new incarnation is told."""
        self.alive = True
        self.starts += 1
        self.rig.exchange.identity["boot_count"] = self.starts
        now_ns = self.rig.kernel.now_ns
        self.rig.event(now_ns, "bench", 1, "UUT_START", boot=self.starts)
        return self.starts

    def lost(self, reason: str, cause: str) -> None:
        """Note that the present incarnation is gone; the watchdog will do the rest."""
        if not self.alive:
            return
        self.alive = False
        self.stops[cause] += 1
        now_ns = self.rig.kernel.now_ns
        self.rig.event(now_ns, "bench", 3, "UUT_LOST", reason=reason, boot=self.starts)
        self.rig.world.payload.end()

    def inject_kill(self, t_ns: int) -> None:
        """Schedule a SIGKILL of the flight software at ``t_ns``."""
        self.rig.kernel.at(t_ns, Phase.CHECK, SOURCE, self._kill)

    def _kill(self, t_ns: int) -> None:
        if not self.alive or self.flight is None:
            self.rig.fault(t_ns, kind="kill", took_effect=0)
            return
        self.rig.fault(t_ns, kind="kill", took_effect=1)
        self.flight.stop("SIGKILL")
        self.lost("SIGKILL", "injected")

    def _watchdog_reset(self, t_ns: int) -> None:
        """Cycle the supply: what runs stops now, and starts anew after off time and boot."""
        self.rig.event(t_ns, "bench", 3, "WATCHDOG_RESET", boot=self.starts)
        self._power_off("reset by the watchdog", "crash")
        self.rig.kernel.at(t_ns + SUPPLY_OFF_S * SECOND, Phase.PHYSICS, SOURCE, self._power_on)

    def _switched(self, t_ns: int, switch: int, on: bool) -> None:
        """Follow a switch of the EPS; number 0 feeds the payload computer."""
        self.rig.event(t_ns, "bench", 2, "EPS_SWITCH", switch=switch, on=int(on))
        if switch != PAYLOAD_SWITCH:
            return
        if on:
            self._power_on(t_ns)
        else:
            self._power_off("switched off by the EPS", "supply")

    def _supply(self, t_ns: int, good: bool) -> None:
        """Follow a brown-out of the bus: it takes the payload computer with it."""
        if good:
            self._power_on(t_ns)
        else:
            self._power_off("brown-out", "supply")

    def _power_off(self, reason: str, cause: str) -> None:
        """Take the supply away: the software stops, and what the controllers hold is lost."""
        if self.alive and self.flight is not None:
            self.flight.stop(reason)
            self.lost(reason, cause)
        for bus in self.rig.wiring.buses.values():
            power_off = getattr(bus, "power_off", None)
            if power_off is not None:
                power_off()
        self.rig.world.payload.set_powered(False)

    def _power_on(self, t_ns: int) -> None:
        payload = self.rig.world.payload
        payload.set_powered(True)
        boot_ns = round(payload.boot_time_s * SECOND)
        self.rig.kernel.at(t_ns + boot_ns, Phase.CHECK, SOURCE, self._boot)

    def _boot(self, t_ns: int) -> None:
        if not self.alive and self.flight is not None:
            self.flight.start()


class ProcessFlight:
    """The flight software in a process of its own, over a channel."""

    def __init__(
        self,
        supervisor: Supervisor,
        endpoint: str,
        storage: Path,
        wall_limit_s: float,
        keys: Path | None = None,
    ) -> None:
        self.supervisor = supervisor
        self.storage = storage
        self.wall_limit_s = wall_limit_s
        self.listener = listen(endpoint, keys)
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
        command = [sys.executable, "-m", PROGRAM, "--bench", self.listener.endpoint]
        command += ["--storage", str(self.storage), "--name", NAME]
        if self.keys is not None:
            command += ["--keys", str(self.keys / CLIENT)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.participant = self.coordinator.add(channel, NAME, self._died, self.wall_limit_s)

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
        if participant.pid == 0 and self.supervisor.starts == 1:
            raise ParticipantError(
                f"the flight software never greeted the bench: it {reason}; what it said is above"
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

    def __init__(self, supervisor: Supervisor, storage: Path) -> None:
        self.supervisor = supervisor
        self.storage = storage
        self.participant: Participant | None = None
        self.cpu_s = 0.0

    def run(self) -> None:
        """Fly to the end of the run, incarnation by incarnation."""
        exchange = self.supervisor.rig.exchange
        app: Any = importlib.import_module(f"{PROGRAM}.app")
        hal: Any = importlib.import_module(f"{PROGRAM}.hal.bench")
        self.start()
        while not exchange.over:
            participant, self.participant = self.participant, None
            if participant is None:
                exchange.disturbed = False
                exchange.run()
                continue
            port = DirectPort(exchange, participant)
            app.create(hal.DirectHal(port), self.storage).run()

    def start(self) -> None:
        """Let the next incarnation join; :meth:`run` picks it up."""
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
        self, supervisor: Supervisor, endpoint: str, storage: Path, wall_limit_s: float
    ) -> None:
        self.supervisor = supervisor
        self.storage = storage
        self.wall_limit_s = wall_limit_s
        self.listener = listen(endpoint)
        self.coordinator = Coordinator(supervisor.rig.exchange, self._gone)
        self.thread: threading.Thread | None = None
        self.participant: Participant | None = None
        self.failures: list[BaseException] = []
        self.cpu_s = 0.0

    def run(self) -> None:
        """Fly to the end of the run."""
        self.start()
        self.coordinator.run()
        if self.failures:
            raise ParticipantError(f"the flight software failed: {self.failures[0]}")

    def start(self) -> None:
        """Start a thread and await its greeting."""
        self.supervisor.started()
        channel = self.listener.channel()
        self.thread = threading.Thread(target=self._fly, args=(self.storage,), daemon=True)
        self.thread.start()
        self.participant = self.coordinator.add(channel, NAME, self._died, self.wall_limit_s)

    def _fly(self, storage: Path) -> None:
        try:
            main: Any = importlib.import_module(f"{PROGRAM}.__main__")
            main.fly(self.listener.endpoint, storage, NAME)
        except BaseException as error:  # noqa: BLE001 - a thread's end is reported, never lost
            self.failures.append(error)

    def stop(self, reason: str) -> None:
        """Take the participant out; the thread finds its channel gone and ends."""
        assert self.participant is not None
        self.coordinator.remove(self.participant, reason)

    def _gone(self, participant: Participant, reason: str) -> None:
        self.supervisor.lost(reason, "crash")

    def _died(self) -> str | None:
        if self.thread is None or self.thread.is_alive():
            return None
        return f"ended ({self.failures[0]})" if self.failures else "ended"

    def close(self) -> None:
        """Wait for the thread and close the endpoint."""
        if self.thread is not None:
            self.thread.join(LEAVE_S)
        self.listener.close()
