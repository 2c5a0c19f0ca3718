"""Parts of the bench: what a test sets of their surroundings, against the model of the world."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

from hil.config import nearest
from hil.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench
    from hil.wiring import Wiring

#: nothing is to be set
_UNSET = object()


class RigPart:
    """One part. What is set stays set, whatever the world does, until it is released."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.name = name
        self._bench = bench
        self._wiring: Wiring = bench.emulation.wiring
        #: the part itself
        self.emulated = self._wiring.parts[name]

    def set(self, **values: float) -> None:
        """Pin physical inputs, in the units of :meth:`quantities`.

        Raises ``UsageError`` for a part that is real: nobody here sets what it feels; and for a
        value that it cannot feel, before any is set.
        """
        if self.name in self._bench.real:
            raise UsageError(
                f"part {self.name!r} is real here ({self._bench.kind}): what it feels is set where "
                "it lies, or with the part emulated"
            )
        for quantity, value in values.items():
            self._check(quantity, value)
        bench = self._bench
        if "locked" in values and self.emulated is bench.emulation.wiring.of_type("ttc"):
            raise UsageError(
                f"{self.name}.locked follows the link every second: cut it with rig.unplug(), and "
                "let it be up again with rig.plug()"
            )
        bench.act("SET", part=self.name, values=values)
        for quantity, value in values.items():
            before = self.emulated.values.get(quantity)
            self._wiring.pin(self.name, quantity)
            self.emulated.set(quantity, value)
            bench.pinned.setdefault((self.name, quantity), before)

    def release(self, *quantities: str) -> None:
        """Let the world have its way again, with these or with all that was set."""
        bench = self._bench
        mine = [quantity for part, quantity in bench.pinned if part == self.name]
        for quantity in quantities:
            self._check(quantity)
        bench.act("RELEASE", part=self.name, quantities=list(quantities or mine))
        for quantity in quantities or mine:
            before = bench.pinned.pop((self.name, quantity), None)
            world = self._wiring.unpin(self.name, quantity, bench.emulation.world.state)
            if not world and before is not None:
                self.emulated.set(quantity, before)

    def get(self, quantity: str) -> float:
        """Return a physical input as the part feels it now."""
        self._check(quantity)
        return self.emulated.values[quantity]

    def quantities(self) -> dict[str, str]:
        """Return what can be set, with its unit and range."""
        return {
            name: f"{one.lower:g} to {one.upper:g} {one.unit}"
            for name, one in self.emulated.QUANTITIES.items()
        }

    def snapshot(self) -> dict[str, Any]:
        """Return the counters of the part."""
        return self.emulated.snapshot()

    def _check(self, quantity: str, value: object = _UNSET) -> None:
        known = self.emulated.QUANTITIES
        if quantity not in known:
            hint = nearest(quantity, known)
            ranges = "; ".join(f"{name}: {range_}" for name, range_ in self.quantities().items())
            raise UnknownNameError(
                f"part {self.name!r} has no {quantity!r}{hint}; what can be set: {ranges or 'none'}"
            )
        if value is _UNSET:
            return
        one = known[quantity]
        if not isinstance(value, Real) or not one.lower <= float(value) <= one.upper:
            raise UsageError(
                f"{self.name}.{quantity} cannot be {value!r}; give {one.lower:g} to {one.upper:g} "
                f"{one.unit}"
            )


def part_named(bench: Bench, name: str) -> RigPart:
    """Return a part. Raises ``UnknownNameError`` for one that the board has not."""
    parts = bench.emulation.wiring.parts
    if name not in parts:
        hint = nearest(name, parts)
        raise UnknownNameError(
            f"board {bench.board} has no part {name!r}{hint}; it has {', '.join(parts)}"
        )
    return RigPart(bench, name)
