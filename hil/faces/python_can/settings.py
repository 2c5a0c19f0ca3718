"""What a bus object was opened with, and whether the bus there is agrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from can import BitTiming, BitTimingFd, CanInitializationError

#: of an emulated bus that the first who opens it says nothing about
BITRATE_HZ: Final = 500_000
DATA_BITRATE_HZ: Final = 2_000_000


@dataclass
class Settings:
    """Options of one bus object; rates in bit/s, None where nothing was said."""

    bitrate: int | None = None
    data_bitrate: int | None = None
    fd: bool = False
    fd_tolerant: bool = False
    listen_only: bool = False
    one_shot: bool = False
    bus_errors: bool = False
    restart_ms: int = 100
    receive_own_messages: bool = False
    rx_queue_size: int = 65_536
    tx_queue_size: int = 1_000
    pace: str | None = None

    def take_timing(self, timing: BitTiming | BitTimingFd | None) -> None:
        """Take the rates of a bit timing; its quanta are below what the bus emulates."""
        if isinstance(timing, BitTimingFd):
            self.bitrate, self.data_bitrate = timing.nom_bitrate, timing.data_bitrate
            self.fd = True
        elif timing is not None:
            self.bitrate = timing.bitrate

    def agree(self, name: str, bitrate: int, data_bitrate: int) -> None:
        """Hold the options to the bus that there is, rates in bit/s, ``data_bitrate`` 0: classic.

        Raises :class:`can.CanInitializationError` naming what differs.
        """
        if self.bitrate not in (None, bitrate):
            raise CanInitializationError(
                f"{name}: the bus runs at {bitrate} bit/s, this node was to run at {self.bitrate}; "
                "give the same bitrate everywhere, or leave it out"
            )
        if self.fd and not data_bitrate:
            raise CanInitializationError(
                f"{name}: the bus is classic CAN; leave fd out, or give it a data bit rate"
            )
        if self.fd and self.data_bitrate not in (None, data_bitrate):
            raise CanInitializationError(
                f"{name}: data crosses the bus at {data_bitrate} bit/s, not at "
                f"{self.data_bitrate}; give the same data_bitrate everywhere, or leave it out"
            )
