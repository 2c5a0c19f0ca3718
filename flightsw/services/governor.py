"""Power and thermal governors: how much the payload may compute, from readings it may not trust.

Each walks RUN, SLOW, PAUSE, SAFE: down at once to the state that its reading asks for after three
samples in a row, up again only past a hysteresis, one step at a time. Without any value to act on a
governor pauses: not knowing is not a reason to compute, nor one to leave the ground without
telemetry of a spacecraft that may be well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flightsw.codec.dictionary import GovernorState, Suspicion
from flightsw.services.trust import Trusted

_DEBOUNCE = 3
#: readings of a processor that is colder than its board by more than this are wrong
_CHIP_BELOW_BOARD_CDEG = 1000
#: how much hotter the processor may be than the board when only the board is known
_CHIP_ABOVE_BOARD_CDEG = 2500
_TEMPERATURE_CDEG = (-6000, 14000)
_BATTERY_MV = (3000, 60000)
_FROZEN_AFTER = 60
#: the chip sits on the board and must follow it; the board hardly follows the chip
_CHIP_FOLLOWS_CDEG = 150
_BOARD_FOLLOWS_CDEG = 1500
_REFERENCE_MOVE_MV = 400


def demand(value: float, limits: tuple[float, float, float], hysteresis: float, state: int) -> int:
    """Return the state that a falling quantity asks for; ``limits`` are those of SLOW, PAUSE, SAFE.

    A limit that has been crossed counts until the value is ``hysteresis`` above it again.
    """
    wanted = 0
    for number, limit in enumerate(limits, 1):
        if value < limit or (state >= number and value < limit + hysteresis):
            wanted = number
    return wanted


class Ladder:
    """The state of one governor with its debouncing."""

    __slots__ = ("_count", "_wanted", "state")

    def __init__(self) -> None:
        self.state = GovernorState.RUN
        self._wanted = 0
        self._count = 0

    def step(self, wanted: int) -> bool:
        """Move towards ``wanted``; return whether the state changed."""
        if wanted == self.state:
            self._count = 0
            return False
        if (wanted > self.state) != (self._wanted > self.state) or not self._count:
            self._count = 0
        self._wanted = wanted
        self._count += 1
        if self._count < _DEBOUNCE:
            return False
        self._count = 0
        # Down at once, up one step: power and heat come back slowly.
        self.state = GovernorState(wanted if wanted > self.state else self.state - 1)
        return True


class Readings(NamedTuple):
    """One sample of everything the governors look at; None: the read failed or is too old."""

    chip_cdeg: int | None
    board_cdeg: int | None
    imu_cdeg: int | None
    battery_mv: int | None
    soc_permille: int | None
    rail_mv: int | None


class PowerGovernor:
    """Acts on battery voltage and state of charge of the EPS, or on the monitor's battery rail."""

    def __init__(self) -> None:
        self.battery = Trusted(
            *_BATTERY_MV, frozen_after=_FROZEN_AFTER, reference_move=_REFERENCE_MOVE_MV
        )
        self.rail = Trusted(
            *_BATTERY_MV, frozen_after=_FROZEN_AFTER, reference_move=_REFERENCE_MOVE_MV
        )
        self.soc = Trusted(1, 1000)
        self.ladder = Ladder()
        #: what it acted on last; 0: nothing
        self.acted_mv = 0
        self.acted_permille = 0

    def step(self, now_ns: int, readings: Readings, limits: Mapping[str, float]) -> bool:
        """Take a sample; return whether the state changed."""
        self.battery.update(now_ns, readings.battery_mv, readings.rail_mv)
        self.rail.update(now_ns, readings.rail_mv, readings.battery_mv)
        self.soc.update(now_ns, readings.soc_permille)
        age_s = limits["sensor_max_age_s"]
        millivolts = self.battery.value(now_ns, age_s)
        if millivolts is None:
            millivolts = self.rail.value(now_ns, age_s)
        permille = self.soc.value(now_ns, age_s)
        self.acted_mv, self.acted_permille = millivolts or 0, permille or 0
        return self.ladder.step(self._wanted(millivolts, permille, limits))

    def _wanted(self, mv: int | None, permille: int | None, limits: Mapping[str, float]) -> int:
        state = self.ladder.state
        wanted: list[int] = []
        if mv is not None:
            steps = limits["battery_slow_v"], limits["battery_pause_v"], limits["battery_safe_v"]
            wanted.append(demand(mv / 1000, steps, limits["battery_hysteresis_v"], state))
        if permille is not None:
            steps = limits["soc_slow"], limits["soc_pause"], limits["soc_safe"]
            wanted.append(demand(permille / 1000, steps, limits["soc_hysteresis"], state))
        if not wanted:
            return max(GovernorState.PAUSE, state)
        return max(wanted)


class ThermalGovernor:
    """Acts on the processor's temperature, or on what board and IMU say of it."""

    def __init__(self) -> None:
        self.chip = Trusted(
            *_TEMPERATURE_CDEG, frozen_after=_FROZEN_AFTER, reference_move=_CHIP_FOLLOWS_CDEG
        )
        self.board = Trusted(
            *_TEMPERATURE_CDEG, frozen_after=_FROZEN_AFTER, reference_move=_BOARD_FOLLOWS_CDEG
        )
        self.imu = Trusted(*_TEMPERATURE_CDEG)
        self.ladder = Ladder()
        #: what it acted on last
        self.acted_cdeg = 0

    def step(self, now_ns: int, readings: Readings, limits: Mapping[str, float]) -> bool:
        """Take a sample; return whether the state changed."""
        chip, board = self.chip, self.board
        before = chip.good, chip.good_ns
        self.imu.update(now_ns, readings.imu_cdeg)
        board.update(now_ns, readings.board_cdeg, readings.chip_cdeg)
        chip.update(now_ns, readings.chip_cdeg, readings.board_cdeg)
        if (
            chip.suspicion == board.suspicion == Suspicion.NONE
            and chip.raw < board.raw - _CHIP_BELOW_BOARD_CDEG
        ):
            # The IMU, on the same board, decides whom to believe; without it, the hotter one.
            imu = self.imu.good if self.imu.suspicion == Suspicion.NONE else None
            if imu is None or abs(imu - board.raw) <= abs(imu - chip.raw):
                chip.distrust(Suspicion.DISAGREES, *before)
        governed = self._governed(now_ns, limits["sensor_max_age_s"])
        if governed is None:
            return self.ladder.step(max(GovernorState.PAUSE, self.ladder.state))
        self.acted_cdeg = governed
        steps = -limits["chip_slow_c"], -limits["chip_pause_c"], -limits["chip_safe_c"]
        hysteresis = limits["chip_hysteresis_c"]
        return self.ladder.step(demand(-governed / 100, steps, hysteresis, self.ladder.state))

    def _governed(self, now_ns: int, age_s: float) -> int | None:
        chip = self.chip.value(now_ns, age_s)
        if chip is not None:
            return chip
        board = self.board.value(now_ns, age_s)
        if board is not None:
            return board + _CHIP_ABOVE_BOARD_CDEG
        imu = self.imu.value(now_ns, age_s)
        return None if imu is None else imu + _CHIP_ABOVE_BOARD_CDEG
