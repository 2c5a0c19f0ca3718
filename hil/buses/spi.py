"""An SPI bus seen from its controller: chip select as an edge, mode, word size, time.

Bus time: the bits of a segment at its clock, and half a clock period between chip select and the
first edge and again between the last edge and chip select. Gaps that a controller leaves between
words are not charged. A clock slower than the adapter can do is the slowest that it can do.

A mode that the part does not take, or a clock above what it stands, samples each bit one late:
both directions arrive shifted by one bit, the same way every time. The bit order is the
controller's; against a part that shifts the other way each octet arrives reversed. Words of 1 to 32
bits are those of ``hil.buses.spi_words``.

A segment with DUAL or QUAD among its flags goes on two or four lines, one way at a time, to a part
that has them (``spi_exchange_wide``); another part misreads it. With a single data line
(three-wire) a segment goes out, and the controller reads back what it drives, unless RECEIVE has it
let go of the line; a part that keeps its answer on a line of its own (no ``spi_three_wire``) is not
heard.

A chip select is active low unless the mode says otherwise. Where the part sees it the other way
round (``spi_cs_high``) it is deselected just while it is talked to, and answers nothing.

Not modelled: what a part of the wrong chip select polarity does to the traffic of others, chip
selects that the controller does not drive.
"""

from __future__ import annotations

from typing import Any, Final

from flightsw.codec.wire import Status
from hil.buses.adapters import AdapterProfile, profile_of
from hil.buses.base import Outcome
from hil.buses.faults import SPI_KINDS, BusFault, FaultTable
from hil.buses.intercept import Crossing, Interceptor, Result, through
from hil.buses.spi_device import Device, device_of
from hil.buses.spi_faults import Segment, SegmentOutcome, spoil
from hil.buses.spi_words import exchange, word_nbytes
from hil.errors import ConfigError
from hil.parts.base import SPIPeripheral

__all__ = ["CS_CHANGE", "DUAL", "QUAD", "RECEIVE", "SPIBus", "Segment", "SegmentOutcome"]

CS_CHANGE: Final = 1
#: the segment goes on two, on four lines
DUAL: Final = 2
QUAD: Final = 4
#: three-wire: the controller lets go of the line and reads
RECEIVE: Final = 8
#: clock of a chip select that was not told another
DEFAULT_HZ = 10_000_000

_OK = int(Status.OK)


class SPIBus:
    """One emulated SPI bus; implements :class:`hil.buses.base.SPIController`."""

    kind = "spi"

    def __init__(self, name: str, profile: AdapterProfile | str, seed: int = 0) -> None:
        self.name = name
        self.profile = profile_of(profile)
        self.seed = seed
        self.faults = FaultTable(name, SPI_KINDS)
        #: whether a fault or an interceptor changed the last transaction
        self.faulted = False
        self.counters = dict.fromkeys(
            ("transfers", "octets", "refused", "unanswered", "misread", "wrong_select", "faulted"),
            0,
        )
        self._devices: dict[int, Device] = {}
        self._held: int | None = None  # chip select that the last transaction left active
        self._interceptor: Interceptor | None = None

    # -- wiring ---------------------------------------------------------------------------------

    def attach(
        self,
        chip_select: int,
        peripheral: SPIPeripheral,
        mode: int = 0,
        speed_hz: int = DEFAULT_HZ,
        lsb_first: bool = False,
        bits: int = 8,
    ) -> None:
        """Wire a part to a chip select, with the settings of the controller for it.

        ``mode`` is CPOL and CPHA in its low two bits, and above them may have those of Linux: 4
        chip select active high, 8 least significant bit first, 10h three-wire.

        Raises :class:`hil.errors.ConfigError` for a clash or settings that cannot be.
        """
        where = f"SPI bus {self.name!r}, chip select {chip_select}"
        if chip_select in self._devices:
            raise ConfigError(f"{where}: another part is there; take another chip select")
        if chip_select < 0:
            raise ConfigError(f"{where}: needs a mode of 0..31 and a chip select of 0 or more")
        settings = (mode, speed_hz, lsb_first, bits)
        self._devices[chip_select] = device_of(where, self.profile, peripheral, *settings)

    def detach(self, chip_select: int) -> None:
        """Take a part off the bus; from now on its chip select reads FFh."""
        if chip_select not in self._devices:
            raise ConfigError(f"SPI bus {self.name!r}: nothing at chip select {chip_select}")
        del self._devices[chip_select]

    def replace(self, chip_select: int, peripheral: SPIPeripheral) -> SPIPeripheral:
        """Put another part at a chip select, with the settings that are there; return the old.

        Raises :class:`hil.errors.ConfigError` where nothing is there.
        """
        device = self._devices.get(chip_select)
        if device is None:
            raise ConfigError(f"SPI bus {self.name!r}: nothing at chip select {chip_select}")
        del self._devices[chip_select]
        settings = (device.mode, device.speed_hz, device.lsb_first, device.bits)
        self.attach(chip_select, peripheral, *settings)
        return device.peripheral

    @property
    def chip_selects(self) -> list[int]:
        """The chip selects at which something is."""
        return sorted(self._devices)

    def configure(self, chip_select: int, **settings: Any) -> None:
        """Set ``mode``, ``speed_hz``, ``bits`` or ``lsb_first`` of a chip select from now on.

        Nothing happens for a chip select without a part, as on a real controller.
        """
        device = self._devices.get(chip_select)
        if device is None:
            return
        settings = {
            key: getattr(device, key) for key in ("mode", "speed_hz", "bits", "lsb_first")
        } | settings
        del self._devices[chip_select]
        try:
            self.attach(chip_select, device.peripheral, **settings)
        except ConfigError:
            self._devices[chip_select] = device
            raise

    def settings(self, chip_select: int) -> tuple[int, int, bool]:
        """Return mode and clock (Hz) of a chip select, and whether it is a plain one.

        Plain are words of 8 bits, the high bit first, with a line for each direction.
        """
        device = self._devices.get(chip_select)
        if device is None:
            return 0, DEFAULT_HZ, True
        plain = device.bits == 8 and not device.lsb_first and not device.three_wire
        return device.mode, self._clock_hz(device, 0), plain

    def intercept(self, interceptor: Interceptor | None) -> None:
        """Put a callable into the way of every transaction; None takes it out."""
        self._interceptor = interceptor

    def add_fault(self, fault: BusFault) -> None:
        """Activate a row of the fault table."""
        self.faults.add(fault)

    def remove_fault(self, fault: BusFault) -> None:
        """Deactivate a row of the fault table."""
        self.faults.remove(fault)

    def describe(self) -> dict[str, Any]:
        """Return what the payload computer may know of this bus."""
        return {
            "adapter": self.profile.name,
            "max_octets": self.profile.spi_max_octets,
            "chip_selects": {
                str(select): {"mode": device.mode, "speed_hz": device.speed_hz}
                for select, device in sorted(self._devices.items())
            },
        }

    # -- transactions ----------------------------------------------------------------------------

    def transfer(self, t_ns: int, chip_select: int, tx: bytes) -> Outcome:
        """Exchange octets under one chip select with the speed and mode of that device."""
        status, duration_ns, rx = self.transfer_segments(t_ns, chip_select, [(tx, 0, 0, 0, 0)])
        return status, duration_ns, rx[0] if rx else b""

    def transfer_segments(
        self, t_ns: int, chip_select: int, segments: list[Segment]
    ) -> SegmentOutcome:
        """Exchange segments as one transaction, as spidev's ``SPI_IOC_MESSAGE`` does."""
        counters = self.counters
        counters["transfers"] += 1
        self.faulted = False
        refusal = self.refusal(segments)
        if refusal != _OK:
            counters["refused"] += 1
            return refusal, 0, []
        if self._interceptor is None:
            status, duration_ns, rx = self._with_faults(t_ns, chip_select, segments)
        else:
            crossing = Crossing(t_ns, self.name, chip_select, segments)
            outcome, did = through(self._interceptor, crossing, self._forward)
            status, duration_ns, rx = *outcome[:2], list(outcome[2])
            self.faulted |= did
        counters["octets"] += sum(map(len, rx))
        counters["faulted"] += self.faulted
        return status, duration_ns, rx

    def refusal(self, segments: list[Segment]) -> int:
        """Return what the adapter's driver makes of these segments before it touches the bus."""
        if not segments:
            return int(Status.INVALID)
        if sum(len(segment[0]) for segment in segments) > self.profile.spi_max_octets:
            return int(Status.OVERRUN)
        for tx, speed_hz, bits, flags, delay_us in segments:
            if speed_hz < 0 or delay_us < 0 or (bits and len(tx) % word_nbytes(bits)):
                return int(Status.INVALID)
            if (bits and bits not in self.profile.spi_bits) or (
                _lanes(flags) > self.profile.spi_lanes
            ):
                return int(Status.UNSUPPORTED)
        return _OK

    def _run(
        self,
        t_ns: int,
        chip_select: int,
        segments: list[Segment],
        present: bool = True,
        late: bool = False,
    ) -> SegmentOutcome:
        """Clock segments out: select, octets, deselect, and between segments where asked."""
        device = self._devices.get(chip_select)
        if device is not None and not device.selectable:
            self.counters["wrong_select"] += 1
            present = False
        peripheral = device.peripheral if device is not None and present else None
        if self._held not in (None, chip_select):
            self._release(t_ns)
        selected = self._held == chip_select
        self.counters["unanswered"] += peripheral is None
        now_ns = t_ns
        received = []
        for number, segment in enumerate(segments, 1):
            tx, speed_hz, _, flags, delay_us = segment
            clock_hz = self._clock_hz(device, speed_hz)
            half_ns = (500_000_000 + clock_hz // 2) // clock_hz
            if not selected:
                if peripheral is not None:
                    peripheral.spi_select(now_ns)
                now_ns += half_ns
                selected = True
            if device is None or peripheral is None:
                received.append(b"\xff" * len(tx))
            else:
                received.append(self._exchange(now_ns, device, segment, clock_hz, late))
            now_ns += _segment_ns(device, segment, len(tx), clock_hz) + delay_us * 1000
            if bool(flags & CS_CHANGE) != (number == len(segments)):
                now_ns += half_ns
                if peripheral is not None:
                    peripheral.spi_deselect(now_ns)
                selected = False
        self._held = chip_select if selected else None
        return _OK, now_ns - t_ns, received

    def _time_ns(self, chip_select: int, segment: Segment, octets: int) -> int:
        """Return how long ``octets`` of a segment take on its lines."""
        device = self._devices.get(chip_select)
        return _segment_ns(device, segment, octets, self._clock_hz(device, segment[1]))

    def _clock_hz(self, device: Device | None, speed_hz: int) -> int:
        """Return the clock of a segment that asks for ``speed_hz``; 0: that of its device."""
        asked_hz = speed_hz or (DEFAULT_HZ if device is None else device.speed_hz)
        return max(asked_hz, self.profile.spi_min_hz)

    def _release(self, t_ns: int) -> None:
        """Deactivate the chip select that an earlier transaction left active."""
        device = self._devices.get(-1 if self._held is None else self._held)
        if device is not None:
            device.peripheral.spi_deselect(t_ns)
        self._held = None

    def _exchange(
        self, t_ns: int, device: Device, segment: Segment, clock_hz: int, late: bool
    ) -> bytes:
        """Exchange one segment the way mode, clock, bit order and word size make it go."""
        peripheral = device.peripheral
        tx, _, bits, flags, _ = segment
        lanes, bits = _lanes(flags), bits or device.bits
        limit_hz: int = getattr(peripheral, "spi_max_hz", clock_hz)
        late = late or not device.mode_fits or clock_hz > limit_hz
        self.counters["misread"] += late
        if lanes > 1:
            wide = getattr(peripheral, "spi_exchange_wide", None)
            if wide is not None and not late:
                answer: bytes = wide(t_ns, tx, lanes)
                return answer
            self.counters["misread"] += not late
            return b"\xff" * len(tx)
        if device.three_wire and flags & RECEIVE:
            tx = b"\xff" * len(tx)
        reverse = device.lsb_first != getattr(peripheral, "spi_lsb_first", False)
        if bits == 8 and not reverse and not late:
            rx = peripheral.spi_exchange(t_ns, tx)
        else:
            rx = exchange(peripheral, t_ns, tx, bits, device.lsb_first, late)
        if not device.three_wire:
            return rx
        if not flags & RECEIVE:
            return tx
        return rx if getattr(peripheral, "spi_three_wire", False) else b"\xff" * len(tx)

    # -- faults ----------------------------------------------------------------------------------

    def _forward(self, crossing: Crossing) -> Result:
        return self._with_faults(crossing.t_ns, crossing.address, crossing.content)

    def _with_faults(self, t_ns: int, chip_select: int, segments: list[Segment]) -> SegmentOutcome:
        if self.faults:
            index = self.counters["transfers"] - 1
            fault = self.faults.consult(index, t_ns, chip_select)
            if fault is not None:
                self.faulted = True
                return spoil(fault, t_ns, chip_select, segments, self._run, self._time_ns)
        return self._run(t_ns, chip_select, segments)


def _lanes(flags: int) -> int:
    return 4 if flags & QUAD else 2 if flags & DUAL else 1


def _segment_ns(device: Device | None, segment: Segment, octets: int, clock_hz: int) -> int:
    bits = segment[2] or (8 if device is None else device.bits)
    nbits = 8 * octets if bits == 8 else octets // word_nbytes(bits) * bits
    clock_hz *= _lanes(segment[3]) if segment[3] else 1
    return (nbits * 1_000_000_000 + clock_hz // 2) // clock_hz
