"""Contract suite of parts: every emulated part must pass it, whatever it is.

Public on purpose: run it on a part of your own before you put it on a board. A check raises
AssertionError with what was promised and what came instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from hil.buses.i2c import combine
from hil.parts.base import I2CTarget, Part, SPIPeripheral, stream


def check_part(make: Callable[[], Part], transactions: int = 200) -> None:
    """Run the suite; ``make()`` returns a fresh part, each time with the same name and seed."""
    _world_face(make())
    part = make()
    json.dumps(part.snapshot())
    if isinstance(part, I2CTarget):
        _i2c_face(make, transactions)
    if isinstance(part, SPIPeripheral):
        _spi_face(make, transactions)


def sweep(
    part: Part,
    quantity: str,
    read: Callable[[], float],
    points: int = 9,
    epsilon: float | None = None,
    limits: tuple[float, float] | None = None,
) -> float:
    """Set ``quantity`` at ``points`` values over its range and compare with what ``read`` returns.

    ``limits`` narrows the range to what the driver's configuration can hold, ``epsilon`` replaces
    the part's own. Returns the largest error; raises AssertionError above epsilon.
    """
    spec = part.QUANTITIES[quantity]
    lower, upper = limits or (spec.lower, spec.upper)
    bound = spec.epsilon if epsilon is None else epsilon
    worst = 0.0
    for point in range(points):
        value = lower + (upper - lower) * point / (points - 1)
        part.set(quantity, value)
        got = read()
        error = abs(got - value)
        assert error <= bound, (
            f"{part.name}.{quantity} at {value:g} {spec.unit}: the driver reads {got:g}, off by "
            f"{error:g}, more than {bound:g}"
        )
        worst = max(worst, error)
    return worst


def _world_face(part: Part) -> None:
    for name, spec in part.QUANTITIES.items():
        assert spec.lower < spec.upper, f"{name}: the range is empty"
        assert spec.epsilon > 0, f"{name}: epsilon must be positive"
        part.set(name, spec.upper)
        assert part.values[name] == spec.upper, f"{name}: the end of the range is in the range"
        part.set(name, spec.upper + (spec.upper - spec.lower))
        assert part.values[name] == spec.upper, f"{name}: a value above the range must clamp"
        assert part.clamped[name] == 1, f"{name}: a clamp must be counted"


def _i2c_face(make: Callable[[], Part], transactions: int) -> None:
    """Any octets at any time: no exception, exact lengths, and the two ways agree."""
    one, two = make(), make()
    assert isinstance(two, I2CTarget)
    whole = combine(one)  # type: ignore[arg-type]
    random = stream(1, "check_part")
    t_ns = 0
    for number in range(transactions):
        t_ns += int(random.integers(100_000, 300_000_000))
        write = bytes(random.integers(0, 256, int(random.integers(0, 5)), dtype="u1"))
        nread = int(random.integers(0, 16))
        for name, spec in one.QUANTITIES.items():
            value = spec.lower + (spec.upper - spec.lower) * float(random.integers(0, 101)) / 100
            one.set(name, value)
            two.set(name, value)
        answer = whole(t_ns, write, nread)
        taken = two.i2c_write(t_ns, write) if write or not nread else 0
        if taken != len(write):
            assert answer == taken, f"transaction {number}: {answer!r} against {taken}"
            continue
        read = two.i2c_read(t_ns, nread) if nread else b""
        two.i2c_stop(t_ns)
        assert read is None or len(read) == nread, f"transaction {number}: asked {nread}: {read!r}"
        assert answer == (read if read is not None else -2 if write else -1), (
            f"transaction {number} at {t_ns} ns, write {write.hex()} read {nread}: in one call "
            f"{answer!r}, in messages {read!r}"
        )


def _spi_face(make: Callable[[], Part], transactions: int) -> None:
    """Any octets at any time: no exception, as many back, and the same whatever the chunks."""
    one, two = make(), make()
    assert isinstance(one, SPIPeripheral)
    assert isinstance(two, SPIPeripheral)
    random = stream(2, "check_part")
    t_ns = 0
    for number in range(transactions):
        t_ns += int(random.integers(100, 500_000_000))
        tx = bytes(random.integers(0, 256, int(random.integers(0, 40)), dtype="u1"))
        cut = int(random.integers(0, len(tx) + 1))
        one.spi_select(t_ns)
        whole = one.spi_exchange(t_ns, tx)
        one.spi_deselect(t_ns)
        two.spi_select(t_ns)
        parts = two.spi_exchange(t_ns, tx[:cut]) + two.spi_exchange(t_ns, tx[cut:])
        two.spi_deselect(t_ns)
        assert len(whole) == len(tx), f"transaction {number}: {len(tx)} out, {len(whole)} in"
        assert parts == whole, f"transaction {number}, {tx.hex()} cut at {cut}: {parts!r}"
