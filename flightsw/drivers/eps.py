"""Electrical power system on the CAN bus: what it tells each second (flightsw.codec.eps_frames)."""

from __future__ import annotations

from flightsw.codec import eps_frames
from flightsw.codec.errors import CodecError
from flightsw.drivers.base import Traffic
from flightsw.hal import Device, Hal

_NEVER_NS = -(1 << 62)


class Eps:
    """Driver: call :meth:`poll` once a second. Values are integers in the unit of their name."""

    def __init__(self, hal: Hal, device: Device) -> None:
        self.traffic = Traffic()
        self._receive = hal.can(device.channel).receive
        self.battery_mv = 0
        self.battery_ma = 0
        self.soc_permille = 0
        self.solar_mw = 0
        self.load_mw = 0
        #: when the battery frame came that the values are from
        self.t_ns = _NEVER_NS
        self.frames = 0
        self.bad = 0
        self.foreign = 0

    def start(self) -> None:
        """Drop old frames; the node tells its presence by talking, see ``t_ns``."""
        self.poll()

    def poll(self) -> None:
        """Take the frames that came since the last call."""
        for frame in self._receive():
            try:
                told = eps_frames.decode(frame.can_id, frame.data)
            except CodecError:
                self.bad += 1
                continue
            if told is None:
                self.foreign += 1
                continue
            self.frames += 1
            if isinstance(told, eps_frames.Battery):
                # 5 mV, 10 mA and half a percent a step
                self.battery_mv = told.voltage * 5
                self.battery_ma = told.current * 10
                self.soc_permille = told.charge * 5
                self.t_ns = frame.t_ns
            elif isinstance(told, eps_frames.Solar):
                self.solar_mw = told.power * 10
            elif isinstance(told, eps_frames.BusLoad):
                self.load_mw = told.load * 10
