"""An SPI bus seen from its controller: chip select as an edge, mode, word size, time.

Bus time: the bits of a segment at its clock, and half a clock period between chip select and the
first edge and again between the last edge and chip select. Gaps that a controller leaves between
words are not charged.

A mode that the part does not take, or a clock above what it stands, samples each bit one late:
both directions arrive shifted by one bit, the same way every time. The bit order is the
controller's; against a part that shifts the other way each octet arrives reversed. Words of 16 and
32 bits lie in memory little-endian, as spidev has them, and go out most significant bit first.

A segment with DUAL or QUAD among its flags goes on two or four lines, one way at a time, to a part
that has them (``spi_exchange_wide``); another part misreads it.

Not modelled: three-wire transfers, words that are not whole octets, chip selects active high.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flightsw.codec.wire import Status
from hil.buses.adapters import AdapterProfile, profile_of
from hil.buses.base import Outcome
from hil.buses.faults import SPI_KINDS, BusFault, FaultTable, flip_bit
from hil.errors import ConfigError
from hil.parts.base import SPIPeripheral

CS_CHANGE = 1
#: the segment goes on two, on four lines
DUAL, QUAD = 2, 4
#: clock of a chip select that was not told another
DEFAULT_HZ = 10_000_000

#: (octets, clock or 0 for the device's, bits per word or 0, flags, delay after it)
Segment = tuple[bytes, int, int, int, int]
SegmentOutcome = tuple[int, int, list[bytes]]
Forward = Callable[[int, int, list[Segment]], SegmentOutcome]
#: interceptor(t_ns, chip_select, segments, forward): as on the I2C bus
Interceptor = Callable[[int, int, list[Segment], Forward], SegmentOutcome | None]

_OK = int(Status.OK)
_REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


class Device(NamedTuple):
    """One chip select: the part and how the controller is set for it."""

    peripheral: SPIPeripheral
    mode: int
    speed_hz: int
    lsb_first: bool
    bits: int
    #: the part takes this mode
    mode_fits: bool


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
            ("transfers", "octets", "refused", "unanswered", "misread", "faulted"), 0
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

        Raises :class:`hil.errors.ConfigError` for a clash or settings that cannot be.
        """
        where = f"SPI bus {self.name!r}, chip select {chip_select}"
        if chip_select in self._devices:
            raise ConfigError(f"{where}: another part is there; take another chip select")
        if chip_select < 0 or not 0 <= mode <= 3 or speed_hz <= 0:
            raise ConfigError(f"{where}: needs a mode of 0..3 and a clock above 0 Hz")
        if bits not in self.profile.spi_bits:
            can = ", ".join(map(str, sorted(self.profile.spi_bits)))
            raise ConfigError(f"{where}: {self.profile.name} cannot do {bits} bits a word; {can}")
        if lsb_first and not self.profile.spi_lsb_first:
            raise ConfigError(f"{where}: {self.profile.name} cannot shift the low bit first")
        fits = mode in peripheral.spi_modes
        self._devices[chip_select] = Device(peripheral, mode, speed_hz, lsb_first, bits, fits)

    def detach(self, chip_select: int) -> None:
        """Take a part off the bus; from now on its chip select reads FFh."""
        if chip_select not in self._devices:
            raise ConfigError(f"SPI bus {self.name!r}: nothing at chip select {chip_select}")
        del self._devices[chip_select]

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
        refusal = self._refusal(segments)
        if refusal != _OK:
            counters["refused"] += 1
            return refusal, 0, []
        outcome = None
        if self._interceptor is not None:
            outcome = self._interceptor(t_ns, chip_select, segments, self._with_faults)
            self.faulted |= outcome is not None
        outcome = outcome or self._with_faults(t_ns, chip_select, segments)
        counters["octets"] += sum(map(len, outcome[2]))
        counters["faulted"] += self.faulted
        return outcome

    def _refusal(self, segments: list[Segment]) -> int:
        """Return what the adapter's driver makes of these segments before it touches the bus."""
        if not segments:
            return int(Status.INVALID)
        if sum(len(segment[0]) for segment in segments) > self.profile.spi_max_octets:
            return int(Status.OVERRUN)
        for tx, speed_hz, bits, _, delay_us in segments:
            if speed_hz < 0 or delay_us < 0 or (bits and len(tx) * 8 % bits):
                return int(Status.INVALID)
            if bits and bits not in self.profile.spi_bits:
                return int(Status.UNSUPPORTED)
        return _OK

    def _run(
        self, t_ns: int, chip_select: int, segments: list[Segment], present: bool = True
    ) -> SegmentOutcome:
        """Clock segments out: select, octets, deselect, and between segments where asked."""
        device = self._devices.get(chip_select)
        peripheral = device.peripheral if device is not None and present else None
        if self._held not in (None, chip_select):
            self._release(t_ns)
        selected = self._held == chip_select
        self.counters["unanswered"] += peripheral is None
        now_ns = t_ns
        received = []
        for number, (tx, speed_hz, bits, flags, delay_us) in enumerate(segments, 1):
            clock_hz = speed_hz or (DEFAULT_HZ if device is None else device.speed_hz)
            half_ns = (500_000_000 + clock_hz // 2) // clock_hz
            if not selected:
                if peripheral is not None:
                    peripheral.spi_select(now_ns)
                now_ns += half_ns
                selected = True
            if device is None or peripheral is None:
                received.append(b"\xff" * len(tx))
            else:
                lanes = _lanes(flags)
                received.append(self._exchange(now_ns, device, tx, clock_hz, bits, lanes))
            now_ns += _octets_ns(len(tx), clock_hz * _lanes(flags)) + delay_us * 1000
            if bool(flags & CS_CHANGE) != (number == len(segments)):
                now_ns += half_ns
                if peripheral is not None:
                    peripheral.spi_deselect(now_ns)
                selected = False
        self._held = chip_select if selected else None
        return _OK, now_ns - t_ns, received

    def _release(self, t_ns: int) -> None:
        """Deactivate the chip select that an earlier transaction left active."""
        device = self._devices.get(-1 if self._held is None else self._held)
        if device is not None:
            device.peripheral.spi_deselect(t_ns)
        self._held = None

    def _exchange(
        self, t_ns: int, device: Device, tx: bytes, clock_hz: int, bits: int, lanes: int
    ) -> bytes:
        """Exchange one segment the way mode, clock, bit order and word size make it go."""
        peripheral = device.peripheral
        if lanes > 1:
            wide = getattr(peripheral, "spi_exchange_wide", None)
            limit_hz: int = getattr(peripheral, "spi_max_hz", clock_hz)
            if wide is not None and device.mode_fits and clock_hz <= limit_hz:
                answer: bytes = wide(t_ns, tx, lanes)
                return answer
            self.counters["misread"] += 1
            return b"\xff" * len(tx)
        bits = bits or device.bits
        limit_hz = getattr(peripheral, "spi_max_hz", clock_hz)
        reverse = device.lsb_first != getattr(peripheral, "spi_lsb_first", False)
        if device.mode_fits and bits == 8 and not reverse and clock_hz <= limit_hz:
            return peripheral.spi_exchange(t_ns, tx)
        outgoing = _swap(tx, bits)
        if reverse:
            outgoing = outgoing.translate(_REVERSED)
        late = not device.mode_fits or clock_hz > limit_hz
        if late:
            self.counters["misread"] += 1
            outgoing = _late(outgoing)
        rx = peripheral.spi_exchange(t_ns, outgoing)
        if late:
            rx = _late(rx)
        if reverse:
            rx = rx.translate(_REVERSED)
        return _swap(rx, bits)

    # -- faults ----------------------------------------------------------------------------------

    def _with_faults(self, t_ns: int, chip_select: int, segments: list[Segment]) -> SegmentOutcome:
        if self.faults:
            index = self.counters["transfers"] - 1
            fault = self.faults.consult(index, t_ns, chip_select)
            if fault is not None:
                self.faulted = True
                return self._spoil(fault, t_ns, chip_select, segments)
        return self._run(t_ns, chip_select, segments)

    def _spoil(
        self, fault: BusFault, t_ns: int, chip_select: int, segments: list[Segment]
    ) -> SegmentOutcome:
        """Run a transaction the way the fault makes it go."""
        kind, args = fault.kind, fault.args
        if kind == "absent":
            return self._run(t_ns, chip_select, segments, present=False)
        if kind == "truncate":
            return self._truncated(t_ns, chip_select, segments, args.get("after", 0))
        if kind == "bit_flip" and args.get("write", 0):
            flipped = flip_bit([segment[0] for segment in segments], args)
            return self._run(
                t_ns,
                chip_select,
                [(tx, *was[1:]) for tx, was in zip(flipped, segments, strict=True)],
            )
        status, duration_ns, rx = self._run(t_ns, chip_select, segments)
        if kind == "bit_flip":
            rx = flip_bit(rx, args)
        elif kind == "stuck_miso":
            level = b"\xff" if args.get("level", 0) else b"\x00"
            rx = [level * len(part) for part in rx]
        else:
            assert kind == "stretch", f"fault kind {kind!r} is in the table but not in the bus"
            duration_ns += args.get("ns", 0)
        return status, duration_ns, rx

    def _truncated(
        self, t_ns: int, chip_select: int, segments: list[Segment], after: int
    ) -> SegmentOutcome:
        """Let the part see only the first octets; the time is that of the whole."""
        seen: list[Segment] = []
        for tx, speed_hz, bits, flags, delay_us in segments:
            seen.append((tx[: max(after, 0)], speed_hz, bits, flags, delay_us))
            after -= len(tx)
        status, duration_ns, rx = self._run(t_ns, chip_select, seen)
        padded = []
        for (tx, speed_hz, _, flags, _), part in zip(segments, rx, strict=True):
            padded.append(part.ljust(len(tx), b"\xff"))
            device = self._devices.get(chip_select)
            clock_hz = speed_hz or (DEFAULT_HZ if device is None else device.speed_hz)
            duration_ns += _octets_ns(len(tx) - len(part), clock_hz * _lanes(flags))
        return status, duration_ns, padded


def _lanes(flags: int) -> int:
    return 4 if flags & QUAD else 2 if flags & DUAL else 1


def _octets_ns(octets: int, clock_hz: int) -> int:
    return (octets * 8_000_000_000 + clock_hz // 2) // clock_hz


def _late(octets: bytes) -> bytes:
    """Return a bit stream sampled one bit late."""
    return (int.from_bytes(octets, "big") >> 1).to_bytes(len(octets), "big")


def _swap(octets: bytes, bits: int) -> bytes:
    """Turn words as they lie in memory into octets as they go out, and back."""
    size = bits // 8
    if size <= 1:
        return octets
    swapped = bytearray(len(octets))
    for at in range(size):
        swapped[at::size] = octets[size - 1 - at :: size]
    return bytes(swapped)
