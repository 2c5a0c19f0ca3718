"""Putting boards in the place of parts and buses of a wired rig, and taking them away again.

What is emulated is not lost: a part that a board stands in for goes on feeling the world, and takes
its place again as it was left when the board goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flightsw.codec.wire import Flag
from hil.board import PartSpec
from hil.boards.binding import Binding
from hil.boards.bridge import I2CRoute, Seat, SPIRoute, SPISeat
from hil.boards.lines import BoardLine, BoardNode, BoardPins
from hil.boards.protocol import Request
from hil.boards.shadow import Comparison, ShadowWitness
from hil.boards.station import BoardStation
from hil.errors import UsageError
from hil.parts.base import unwired
from hil.rig import Rig

#: What puts everything back as it was.
Undo = Callable[[], None]


class Seating:
    """The seats of one rig: which lane has a route, and which part is off its bus."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._wiring = rig.wiring
        self._seats: dict[str, Undo] = {}
        self.i2c: dict[str, I2CRoute] = {}
        self._spi: dict[str, SPIRoute] = {}
        #: of every shadow that there was
        self.witnesses: list[ShadowWitness] = []

    def put(self, binding: Binding, station: BoardStation) -> None:
        """Put a board in its place. Raises ``UsageError`` where it cannot be."""
        assert binding.name not in self._seats, f"{binding.name} is taken"
        put: Mapping[str, Callable[[Binding, BoardStation], Undo]] = {
            "i2c": self._put_i2c,
            "spi": self._put_spi,
            "uart": self._put_uart,
            "can": self._put_can,
            "gpio": self._put_gpio,
        }
        undo = put[binding.behind.kind](binding, station)
        pins = self._cut_pins(binding, station) if not binding.shadow else _nothing

        def everything() -> None:
            undo()
            pins()

        self._seats[binding.name] = everything

    def take(self, name: str) -> None:
        """Take the board away that stands in for ``name``."""
        self._seats.pop(name)()

    def _bus(self, binding: Binding) -> Any:
        return self._wiring.buses[binding.bus]

    def _parts(self, binding: Binding) -> list[tuple[PartSpec, Any]]:
        """Return the emulated parts that a board takes the place of."""
        specs = [part for part in self._rig.board.parts if part.bus == binding.bus]
        if binding.part is not None:
            specs = [binding.part]
        return [(spec, self._wiring.parts[spec.name]) for spec in specs]

    # --- buses of transactions ------------------------------------------------------------------

    def _lane(self, binding: Binding) -> Any:
        return self._rig.exchange.lanes[self._rig.board.bus(binding.bus).index]

    def _put_i2c(self, binding: Binding, station: BoardStation) -> Undo:
        bus, lane = self._bus(binding), self._lane(binding)
        route = self.i2c.get(binding.bus)
        if route is None:
            route = self.i2c[binding.bus] = I2CRoute(lane, self._rig.exchange.transactor)
        witness = self._witness(binding, station) if binding.shadow else None
        seat = Seat(station, binding.behind.index, witness, binding.shows_real)
        keys: list[tuple[int, bool]] = []
        if binding.part is None:
            route.whole = seat
        else:
            part = self._wiring.parts[binding.part.name]
            if hasattr(part, "CHANNELS"):
                raise UsageError(
                    f"{binding.name} is a switch, with parts behind it: bind all of {binding.bus}"
                )
            addresses = [binding.part.address, *getattr(part, "i2c_also", {})]
            keys = [(address, address > 0x7F) for address in addresses]
            route.seats |= dict.fromkeys(keys, seat)
        lane.lead(route)
        config = bytes((seat.bus,)) + int(bus.bitrate_hz).to_bytes(4, "little")
        told = self._configures(station, Request.I2C_CONFIG, config, bus.name)

        def undo() -> None:
            told()
            if binding.part is None:
                route.whole = None
            for key in keys:
                del route.seats[key]
            if route.is_empty:
                lane.lead(None)

        return undo

    def _witness(self, binding: Binding, station: BoardStation) -> ShadowWitness:
        """Return who compares a shadowed part, or all parts of a bus, with the real ones."""
        allowed = binding.instance.tolerances
        comparisons = {
            (spec.address, spec.address > 0x7F): Comparison(
                spec.name, part, allowed.get(spec.name, {})
            )
            for spec, part in self._parts(binding)
            if spec.mux is None
        }
        witness = ShadowWitness(comparisons, station.tell)
        self.witnesses.append(witness)
        return witness

    @staticmethod
    def _configures(station: BoardStation, request: int, config: bytes, bus: str) -> Undo:
        """Tell the board how a bus is set, now and whenever it comes anew."""

        def answered(reply: Any) -> None:
            if reply is not None and not reply.ok:
                station.tell_once("BOARD_CONFIG_REFUSED", bus=bus, status=reply.status)

        configure = partial(station.ask, request, config, answered)
        station.on_ready.append(configure)
        if station.ready:
            configure()
        return lambda: station.on_ready.remove(configure)

    def _put_spi(self, binding: Binding, station: BoardStation) -> Undo:
        bus, lane = self._bus(binding), self._lane(binding)
        route = self._spi.get(binding.bus)
        if route is None:
            route = self._spi[binding.bus] = SPIRoute(lane, self._rig.exchange.transactor)
        selects = [part.address for part, _ in self._parts(binding)]
        before = {}
        seats = []
        for select in selects:
            seat = SPISeat(station, binding.behind.index, select, binding.name)
            before[select] = bus.replace(select, seat.peripheral)
            route.seats[select] = seat
            seats.append(seat)

        def anew() -> None:
            for seat in seats:
                seat.told = None

        station.on_ready.append(anew)
        lane.lead(route)

        def undo() -> None:
            station.on_ready.remove(anew)
            for select, part in before.items():
                del route.seats[select]
                bus.replace(select, part)
            if route.is_empty:
                lane.lead(None)

        return undo

    # --- buses of events --------------------------------------------------------------------------

    def _put_uart(self, binding: Binding, station: BoardStation) -> Undo:
        bus = self._bus(binding)
        part = bus.detach() if self._parts(binding) else None
        line = BoardLine(station, binding.behind.index, bus, self._rig.kernel)
        bus.attach(line)
        bus.rx_flags = int(Flag.BOARD)

        def undo() -> None:
            line.close()
            bus.detach()
            bus.rx_flags = 0
            if part is not None:
                bus.attach(part)

        return undo

    def _put_can(self, binding: Binding, station: BoardStation) -> Undo:
        bus = self._bus(binding)
        parts = [part for _, part in self._parts(binding)]
        for part in parts:
            bus.detach(part)
            part.can_send = unwired
        node = BoardNode(station, binding.behind.index, bus)
        bus.attach(node)
        if station.ready:
            node.configure()

        def undo() -> None:
            node.close()
            bus.detach(node)
            for part in parts:
                bus.attach(part)

        return undo

    def _put_gpio(self, binding: Binding, station: BoardStation) -> Undo:
        if binding.part is None:
            raise UsageError(f"{binding.bus}: lines go either way; bind the parts on it one by one")
        spec, part = binding.part, self._wiring.parts[binding.part.name]
        by_chip = _by_chip(spec)
        if len(by_chip) != 1:
            raise UsageError(f"{binding.name}: its pins must be on one chip to be a board's")
        chip, pins = next(iter(by_chip.items()))
        there = len(binding.behind.pins.get("pins", ()))
        if there and len(pins) > there:
            raise UsageError(f"{binding.name}: has {len(pins)} pins, {station.name} {there}")
        numbers = {
            pin: (binding.behind.pin_number(place), way)
            for place, (pin, (_, way)) in enumerate(pins.items())
        }
        self._wiring.buses[chip].detach(part, pins)
        board_pins = BoardPins(station, binding.name, numbers)
        self._wiring.buses[chip].attach(board_pins, pins)
        if station.ready:
            board_pins.configure()

        def undo() -> None:
            board_pins.close()
            self._wiring.buses[chip].detach(board_pins, pins)
            self._wiring.buses[chip].attach(part, pins)

        return undo

    def _cut_pins(self, binding: Binding, station: BoardStation) -> Undo:
        """Take the pins of parts that are off their bus off their lines as well."""
        cut: list[tuple[Any, Any, Mapping[str, tuple[int, str]]]] = []
        for spec, part in self._parts(binding) if binding.behind.kind != "gpio" else ():
            for chip, pins in _by_chip(spec).items():
                bus = self._wiring.buses[chip]
                bus.detach(part, pins)
                cut.append((bus, part, pins))
                station.tell_once("BOARD_PINS_OPEN", part=spec.name, pins=sorted(pins))

        def undo() -> None:
            for bus, part, pins in cut:
                bus.attach(part, pins)

        return undo


def _nothing() -> None:
    """Undo what was not done."""


def _by_chip(spec: PartSpec) -> dict[str, dict[str, tuple[int, str]]]:
    """Return the pins of a part by the chip that they are on: pin -> (line, direction)."""
    chips: dict[str, dict[str, tuple[int, str]]] = {}
    for pin in spec.pins:
        chips.setdefault(pin.bus, {})[pin.name] = (pin.line, pin.direction)
    return chips
