"""The public contract suites reject what breaks the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hil.buses.base import Outcome
from hil.buses.i2c import I2CBus
from hil.buses.spi import Segment, SegmentOutcome, SPIBus
from hil.parts.base import I2CTarget, Quantity, SPIPeripheral
from hil.parts.registers import Register, RegisterMap, RegisterTarget
from hil.parts.w25q import W25Q128
from hil.testing.contracts.bus import check_i2c_controller, check_spi_controller
from hil.testing.contracts.part import check_part, sweep


class Free(I2CBus):
    """Charges nothing for octets."""

    def duration_ns(self, bits: int) -> int:
        return 1000


class Deaf(I2CBus):
    """Takes absence for success."""

    def transfer(self, t_ns: int, address: int, write: bytes, nread: int) -> Outcome:
        status, duration_ns, data = super().transfer(t_ns, address, write, nread)
        return (0, duration_ns, bytes(nread)) if status == 1 else (status, duration_ns, data)


class Forgetful(I2CBus):
    """Drops the last octet of each write."""

    def transfer(self, t_ns: int, address: int, write: bytes, nread: int) -> Outcome:
        return super().transfer(t_ns, address, write if nread else write[:-1], nread)


@pytest.mark.parametrize(
    ("broken", "message"), [(Free, "bits"), (Deaf, "absent address"), (Forgetful, "read back")]
)
def test_broken_i2c_controllers_fail(broken: type[I2CBus], message: str) -> None:
    """A controller without bit times, without NAKs or with lost octets does not pass."""

    def make(target: I2CTarget, address: int) -> I2CBus:
        bus = broken("i2c-1", 400_000, "ideal")
        bus.attach(address, target)
        return bus

    with pytest.raises(AssertionError, match=message):
        check_i2c_controller(make)


class Sticky(SPIBus):
    """Runs every segment under a chip select of its own."""

    def transfer_segments(
        self, t_ns: int, chip_select: int, segments: list[Segment]
    ) -> SegmentOutcome:
        outcomes = [super(Sticky, self).transfer_segments(t_ns, chip_select, [s]) for s in segments]
        return outcomes[0][0], sum(o[1] for o in outcomes), [o[2][0] for o in outcomes if o[2]]


class Boundless(SPIBus):
    """Has no largest transfer."""

    def refusal(self, segments: list[Segment]) -> int:
        return 0


@pytest.mark.parametrize(
    ("broken", "message"), [(Sticky, "one chip select"), (Boundless, "octets ended OK")]
)
def test_broken_spi_controllers_fail(broken: type[SPIBus], message: str) -> None:
    """A controller that splits messages or refuses nothing does not pass."""

    def make(part: SPIPeripheral) -> SPIBus:
        bus = broken("spi-0", "bcm2835")
        bus.attach(0, part)
        return bus

    with pytest.raises(AssertionError, match=message):
        check_spi_controller(make)


class Sound(RegisterTarget):
    """A part that keeps the contract."""

    MAP = RegisterMap((Register(0, "A", 0x12), Register(1, "B", 0x34)), size=4)
    QUANTITIES = {"level_m": Quantity("m", 0.0, 1.0, 0.01)}  # noqa: RUF012 - as parts declare it


class TwoFaced(Sound):
    """Answers a whole transaction otherwise than its messages."""

    def i2c_write_read(self, t_ns: int, data: bytes, nread: int) -> bytes | int:
        return bytes(nread)


class Short(Sound):
    """Serves one octet too few."""

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        return super().i2c_read(t_ns, nbytes - 1)


class Unclamped(Sound):
    """Takes any value."""

    def set(self, quantity: str, value: float) -> None:
        self.values[quantity] = value


class Stutter(W25Q128):
    """Answers an octet too many."""

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        return super().spi_exchange(t_ns, tx) + b"\xff"


def test_sound_part_passes() -> None:
    """A register part made of a table passes the suite."""
    check_part(lambda: Sound("sound"))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda: TwoFaced("p"), "in one call"),
        (lambda: Short("p"), "asked"),
        (lambda: Unclamped("p"), "must clamp"),
        (lambda: Stutter("p"), "out,"),
    ],
)
def test_broken_parts_fail(broken: Callable[[], Sound], message: str) -> None:
    """A part with two faces, short answers, no clamp or extra octets does not pass."""
    with pytest.raises(AssertionError, match=message):
        check_part(broken)


def test_sweep_tells_quantity_and_error() -> None:
    """A reading off by more than epsilon fails the sweep with part, quantity and value."""
    part = Sound("gauge")
    assert sweep(part, "level_m", lambda: part.values["level_m"] + 0.005) == pytest.approx(0.005)
    with pytest.raises(AssertionError, match=r"level_m at 0 m: the driver reads 0.02, off by 0.02"):
        sweep(part, "level_m", lambda: part.values["level_m"] + 0.02)
