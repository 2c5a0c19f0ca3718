"""Samples of the parts once a second, and what the governors make of them."""

from __future__ import annotations

from flightsw.codec.dictionary import GovernorState, Role, Suspicion, ThermalSource
from flightsw.codec.dictionary.events import (
    POWER_GOVERNOR,
    SENSOR_SUSPECT,
    SENSOR_TRUSTED,
    THERMAL_GOVERNOR,
)
from flightsw.compute.service import PAUSE_POWER, PAUSE_THERMAL, ComputeService
from flightsw.drivers import lsm6dsox, tmp117
from flightsw.drivers.eps import Eps
from flightsw.drivers.ina3221 import Ina3221
from flightsw.drivers.lm75 import Lm75
from flightsw.drivers.lsm6dsox import Lsm6dsox
from flightsw.drivers.tmp117 import Tmp117
from flightsw.services.board import Board
from flightsw.services.events import Events
from flightsw.services.governor import PowerGovernor, Readings, ThermalGovernor
from flightsw.services.modes import Modes
from flightsw.services.parts import Parts
from flightsw.services.trust import Trusted

#: EPS values older than this are as good as none
_EPS_SILENT_NS = 5_000_000_000
_NO_RAILS = (0, 0, 0, 0, 0, 0)


class Sensors:
    """Last samples, and the governors; call :meth:`sample` once a second."""

    def __init__(
        self, parts: Parts, events: Events, started_ns: int, board: Board | None = None
    ) -> None:
        self._board_computer = board
        self._parts = parts
        self._events = events
        self._started_ns = started_ns
        self._power: Ina3221 | None = parts.driver(Role.POWER)
        self._board: Tmp117 | Lm75 | None = parts.driver(Role.TEMP_BOARD)
        self._chip: Tmp117 | Lm75 | None = parts.driver(Role.TEMP_CHIP)
        self._imu: Lsm6dsox | None = parts.driver(Role.IMU)
        self.eps: Eps | None = parts.driver(Role.EPS)
        self.rails: tuple[int, ...] = _NO_RAILS
        self.motion: tuple[int, ...] = (0,) * 7
        self.motion_ns = -1
        self.power = PowerGovernor()
        self.thermal = ThermalGovernor()
        self._suspects: dict[Role, Suspicion] = {}

    def sample_imu(self, now_ns: int) -> None:
        """Read the IMU."""
        if self._imu is not None:
            row = self._parts.read(Role.IMU, self._imu.read)
            if row is not None:
                self.motion, self.motion_ns = row, now_ns

    def sample(self, now_ns: int) -> Readings:
        """Read power and temperatures, take what the EPS told; return what can be acted on."""
        parts = self._parts
        rails = parts.read(Role.POWER, self._power.read) if self._power else None
        if rails is not None:
            self.rails = rails
        chip = parts.read(Role.TEMP_CHIP, self._chip.read) if self._chip else None
        board = parts.read(Role.TEMP_BOARD, self._board.read) if self._board else None
        eps = self._poll_eps(now_ns)
        fresh_imu = now_ns - self.motion_ns < 2_000_000_000 and self.motion_ns >= 0
        chip_cdeg = None if chip is None else tmp117.centidegrees(chip)
        board_cdeg = None if board is None else tmp117.centidegrees(board)
        if self._board_computer is not None:
            chip_cdeg = self._board_computer.govern(chip_cdeg)
            if self._board_computer.source == ThermalSource.BOARD:
                board_cdeg = None  # what the bench says is of another place: no judge of this one
        return Readings(
            chip_cdeg=chip_cdeg,
            board_cdeg=board_cdeg,
            imu_cdeg=lsm6dsox.centidegrees(self.motion[0]) if fresh_imu else None,
            battery_mv=eps.battery_mv if eps else None,
            soc_permille=eps.soc_permille if eps else None,
            rail_mv=None if rails is None else rails[2],
        )

    def govern(
        self, now_ns: int, limits: dict[str, float], compute: ComputeService, modes: Modes
    ) -> None:
        """Sample, let both governors step, and act on what they say."""
        readings = self.sample(now_ns)
        power, thermal = self.power, self.thermal
        old = power.ladder.state
        if power.step(now_ns, readings, limits):
            new = power.ladder.state
            self._events.report(POWER_GOVERNOR, old, new, power.acted_mv, power.acted_permille)
        old = thermal.ladder.state
        if thermal.step(now_ns, readings, limits):
            self._events.report(THERMAL_GOVERNOR, old, thermal.ladder.state, thermal.acted_cdeg)
        self._tell_suspects()
        for cause, state in (
            (PAUSE_POWER, power.ladder.state),
            (PAUSE_THERMAL, thermal.ladder.state),
        ):
            wanted = state >= GovernorState.PAUSE
            if wanted != bool(compute.paused & cause):
                compute.pause(cause, wanted)
        compute.slow = GovernorState.SLOW in (power.ladder.state, thermal.ladder.state)
        modes.govern(
            power.ladder.state == GovernorState.SAFE, thermal.ladder.state == GovernorState.SAFE
        )

    def _poll_eps(self, now_ns: int) -> Eps | None:
        eps = self.eps
        if eps is None:
            return None
        eps.poll()
        if now_ns - max(eps.t_ns, self._started_ns) > _EPS_SILENT_NS:
            self._parts.lost(Role.EPS, 0)
            return None
        if eps.t_ns < 0:
            return None
        self._parts.back(Role.EPS)
        return eps

    def _tell_suspects(self) -> None:
        """Report a change of belief; a single bad sample is not worth a report."""
        for role, trusted in (
            (Role.TEMP_CHIP, self.thermal.chip),
            (Role.TEMP_BOARD, self.thermal.board),
            (Role.IMU, self.thermal.imu),
            (Role.EPS, self.power.battery),
            (Role.POWER, self.power.rail),
        ):
            self._tell_suspect(role, trusted)

    def _tell_suspect(self, role: Role, trusted: Trusted) -> None:
        before = self._suspects.get(role, Suspicion.NONE)
        now = trusted.suspicion
        if now == before or role not in self._parts.slots:
            return
        # A part that is missing has said so already.
        if now == Suspicion.DROPOUT:
            return
        self._suspects[role] = now
        if now == Suspicion.NONE:
            self._events.report(SENSOR_TRUSTED, role)
        else:
            self._events.report(SENSOR_SUSPECT, role, now, trusted.raw)
