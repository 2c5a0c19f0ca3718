"""The bus object of python-can: messages, filters, states, options; see the package."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

from can import BitTiming, BitTimingFd, BusABC, BusState, CanOperationError, CanProtocol, Message
from can.typechecking import AutoDetectedConfig, CanFilters

from hil.buses.can_node import State
from hil.faces.python_can.bench import BenchPort, can_buses
from hil.faces.python_can.filters import Filters
from hil.faces.python_can.frames import incoming, outgoing
from hil.faces.python_can.local import LocalPort, channels
from hil.faces.python_can.port import Port
from hil.faces.python_can.settings import Settings

LOG = logging.getLogger("can.hil")
#: where `hil run` tells a program that its bench is
BENCH = "HIL_BENCH"
_STATES = {State.PASSIVE: BusState.PASSIVE, State.BUS_OFF: BusState.ERROR}


class HilBus(BusABC):
    """A controller on an emulated CAN bus.

    Options besides those of every python-can bus: ``bitrate``, ``data_bitrate`` or ``timing`` are
    held to those of the bus, ``fd`` makes the controller know CAN FD (``fd_tolerant``: wait through
    it), ``listen_only``, ``one_shot``, ``receive_own_messages``; ``bus_errors`` reports each error
    on the bus and not only changes of state, ``ignore_rx_error_frames`` none of both;
    ``restart_ms`` is the time after bus-off at which the controller starts again (0: when
    ``state`` is set to ACTIVE); ``rx_queue_size`` and ``tx_queue_size`` limit what waits (0: not);
    ``pace`` is that of :mod:`hil.faces.python_can.local`; ``bench`` is the socket of a bench
    (default: HIL_BENCH, empty: a bus in this process).

    ``counters`` has every frame sent, received, filtered, dropped and left unread.
    """

    def __init__(
        self,
        channel: Any = "can0",
        can_filters: CanFilters | None = None,
        *,
        timing: BitTiming | BitTimingFd | None = None,
        ignore_rx_error_frames: bool = False,
        bench: str | None = None,
        **options: Any,
    ) -> None:
        known = {name: options.pop(name) for name in list(options) if name in _OPTIONS}
        settings = Settings(**known)
        settings.take_timing(timing)
        #: options that mean nothing to an emulated bus
        self.ignored_options = tuple(sorted(options))
        if options:
            LOG.info("%s: options without meaning here: %s", channel, ", ".join(sorted(options)))
        self._error_frames = not ignore_rx_error_frames
        self._filters = can_filters or None
        self.channel = str(channel)
        self._bus_name = self.channel.partition(":")[0]
        self._port: Port = self._opened(bench, settings, Filters(can_filters, self._error_frames))
        self._recv = self._port.recv
        self._can_protocol = CanProtocol.CAN_FD if settings.fd else CanProtocol.CAN_20
        self.channel_info = f"hil: {self._port.name}"
        super().__init__(channel=channel, can_filters=can_filters)

    def _opened(self, bench: str | None, settings: Settings, filters: Filters) -> Port:
        path = os.environ.get(BENCH, "") if bench is None else bench
        if path:
            return BenchPort(path, self.channel, settings, filters)
        return LocalPort(self.channel, settings, filters)

    @property
    def counters(self) -> dict[str, int]:
        """What this object has counted, by name."""
        return self._port.counters

    def send(self, msg: Message, timeout: float | None = None) -> None:
        """Queue a message; with a timeout above 0 wait until it has crossed the bus.

        Raises :class:`can.CanOperationError` where the controller does not take it or loses it
        (bus-off, full, listen-only, no CAN FD, one-shot), :class:`can.CanTimeoutError` when it is
        not out in time.
        """
        if self._is_shutdown:
            raise CanOperationError(f"{self.channel}: send: the bus is shut down; open it again")
        self._port.send(*outgoing(msg), timeout)

    def _recv_internal(self, timeout: float | None) -> tuple[Message | None, bool]:
        if self._is_shutdown:
            raise CanOperationError(f"{self.channel}: recv: the bus is shut down; open it again")
        heard = self._recv(timeout)
        if heard is None:
            return None, True
        return incoming(*heard, self._bus_name), True

    def _apply_filters(self, filters: CanFilters | None) -> None:
        self._port.filter(Filters(filters, self._error_frames))

    def fileno(self) -> int:
        """Return a descriptor that can be read while messages wait."""
        return self._port.fileno()

    def flush_tx_buffer(self) -> None:
        """Withdraw every message that waits to be sent."""
        self._port.flush()

    @property
    def state(self) -> BusState:
        """ACTIVE, PASSIVE (error passive, or listening only), ERROR (bus-off)."""
        state, _, _ = self._port.state()
        if self._port.listen_only():
            return BusState.PASSIVE
        return _STATES.get(state, BusState.ACTIVE)

    @state.setter
    def state(self, new_state: BusState) -> None:
        if new_state is BusState.ERROR:
            raise ValueError(
                f"{self.channel}: ERROR is what faults bring about; set ACTIVE, PASSIVE"
            )
        self._port.listen_only(new_state is BusState.PASSIVE)
        if new_state is BusState.ACTIVE:
            self._port.restart()

    @property
    def error_counters(self) -> tuple[int, int]:
        """TEC and REC of the controller."""
        return self._port.state()[1:]

    def shutdown(self) -> None:
        """Leave the bus; what was not read is counted."""
        if not self._is_shutdown:
            super().shutdown()
            self._port.close()

    @staticmethod
    def _detect_available_configs() -> Sequence[AutoDetectedConfig]:
        """Return the CAN buses of the bench; else the open ones of this process, or one to open."""
        path = os.environ.get(BENCH, "")
        names = can_buses(path) if path else channels() or ["can0"]
        return [{"interface": "hil", "channel": name} for name in names]


_OPTIONS = frozenset(Settings.__dataclass_fields__)
