"""Building buses and parts from a board file, and wiring the ones to the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flightsw.codec.wire import Kind, Status
from hil.board import Board, BusSpec, PartSpec
from hil.buses import adapters
from hil.buses.can import CANBus
from hil.buses.frames import FrameBus
from hil.buses.gpio import GPIOChip
from hil.buses.i2c import I2CBus
from hil.buses.onewire import OneWireBus
from hil.buses.spi import SPIBus
from hil.buses.uart import UARTBus
from hil.errors import ConfigError
from hil.exchange import Exchange
from hil.parts import part_class
from hil.parts.base import I2CPlace, I2CSwitch, Part

#: Ties at one instant go by source: buses first, then parts, in file order (see hil.time.phase).
BUS_SOURCE = 100
PART_SOURCE = 200


def attach_i2c(bus: I2CPlace, address: int, part: Any) -> None:
    """Put a part on an I2C bus, with the further addresses that it answers (``i2c_also``)."""
    bus.attach(address, part)
    for other, target in getattr(part, "i2c_also", {}).items():
        bus.attach(other, target)
    if isinstance(part, I2CSwitch):
        part.connect(bus)


class Wiring:
    """The buses and parts of one board, on one exchange."""

    def __init__(
        self, board: Board, exchange: Exchange, seed: int, overrides: Mapping[str, dict[str, Any]]
    ) -> None:
        """Build everything. ``overrides``: part type -> constructor arguments of the mission."""
        self.board = board
        self.exchange = exchange
        self.seed = seed
        self.buses: dict[str, Any] = {spec.name: self._bus(spec) for spec in board.buses}
        for bus in board.buses:
            if bus.params.get("wired_to"):
                self.buses[bus.name].wire(self.buses[bus.params["wired_to"]])
        self.parts: dict[str, Part] = {}
        for spec in board.parts:
            params = {**overrides.get(spec.type, {}), **spec.params}
            part = part_class(spec.type)(spec.name, seed, **params)
            self.parts[spec.name] = part
            for quantity, value in spec.fixed.items():
                part.set(quantity, value)
        for spec in board.parts:
            self._attach(spec, self.parts[spec.name])
        self.bindings = [
            (self.parts[spec.name].set, quantity, world)
            for spec in board.parts
            for quantity, world in spec.world.items()
        ]
        #: told of the state of the world after the parts
        self.felt: list[Callable[[Mapping[str, float]], None]] = []

    def _bus(self, spec: BusSpec) -> Any:
        profile = adapters.profile_of(self.board.adapter)
        kernel, source = self.exchange.kernel, BUS_SOURCE + spec.index
        emitter = partial(self.exchange.emitter, spec.index)
        make: dict[str, Callable[..., Any]] = {
            "i2c": lambda bitrate_hz, high_speed_hz: I2CBus(
                spec.name, bitrate_hz, profile, self.seed, high_speed_hz
            ),
            "spi": lambda: SPIBus(spec.name, profile, self.seed),
            "uart": lambda baud, wired_to: UARTBus(
                spec.name, kernel, source, emitter(Kind.UART), baud, seed=self.seed
            ),
            "can": lambda bitrate_hz, data_bitrate_hz: CANBus(
                spec.name,
                kernel,
                source,
                emitter(Kind.CAN),
                bitrate_hz,
                self.seed,
                data_bitrate_hz=data_bitrate_hz,
            ),
            "gpio": lambda lines: GPIOChip(spec.name, kernel, source, emitter(Kind.GPIO), lines),
            "frames": lambda: FrameBus(spec.name),
            "onewire": lambda: OneWireBus(spec.name),
        }
        bus = make[spec.kind](**spec.params)
        errno = {int(status): adapters.errno_for(profile, status) for status in Status if status}
        self.exchange.connect(spec.index, bus, errno)
        return bus

    def _attach(self, spec: PartSpec, part: Any) -> None:
        bus = self.buses[spec.bus]
        kind = self.board.bus(spec.bus).kind
        if kind == "i2c":
            place = bus
            if spec.mux is not None:
                place = self.parts[spec.mux].segment(spec.channel)  # type: ignore[attr-defined]
            attach_i2c(place, spec.address, part)
        elif kind == "spi":
            mode, speed_hz = spec.spi["mode"], spec.spi["speed_hz"]
            bus.attach(spec.address, part, mode=mode, speed_hz=speed_hz)
            self._attach_can(spec, part)
        elif kind != "gpio":
            bus.attach(part)
        chips: dict[str, dict[str, tuple[int, str]]] = {}
        for pin in spec.pins:
            direction = type(part).PINS[pin.name]
            chips.setdefault(pin.bus, {})[pin.name] = (pin.line, direction)
        for chip, pins in chips.items():
            self.buses[chip].attach(part, pins)

    def _attach_can(self, spec: PartSpec, part: Any) -> None:
        """Put the other side of a CAN controller on the bus that it names."""
        name = getattr(part, "can_bus", "")
        if name:
            if getattr(self.buses.get(name), "kind", "") != "can":
                raise ConfigError(f"part {spec.name!r}: can_bus is {name!r}, which is no CAN bus")
            self.buses[name].attach(part)

    def start(self) -> None:
        """Start every part that acts on its own, in file order."""
        for index, part in enumerate(self.parts.values()):
            start = getattr(part, "start", None)
            if start is not None:
                start(self.exchange.kernel, PART_SOURCE + index)

    def feel(self, state: Mapping[str, float]) -> None:
        """Set the physical inputs of all parts from the state of the world."""
        for set_quantity, quantity, world in self.bindings:
            set_quantity(quantity, state[world])
        for told in self.felt:
            told(state)

    def pin(self, part: str, quantity: str) -> None:
        """Let the world no longer set a quantity of a part."""
        mine = self.parts[part].set
        self.bindings = [one for one in self.bindings if one[:2] != (mine, quantity)]

    def unpin(self, part: str, quantity: str, state: Mapping[str, float]) -> bool:
        """Let the world set a quantity again, as it is now; tell whether it ever does."""
        spec = next(spec for spec in self.board.parts if spec.name == part)
        world = spec.world.get(quantity)
        if world is None:
            return False
        self.pin(part, quantity)
        self.bindings.append((self.parts[part].set, quantity, world))
        self.parts[part].set(quantity, state[world])
        return True

    def of_type(self, type_name: str) -> Any:
        """Return the first part of a type, or None if the board has none."""
        for spec in self.board.parts:
            if spec.type == type_name:
                return self.parts[spec.name]
        return None

    def counters(self) -> dict[str, Any]:
        """Return the counters of every bus and part, those that are not zero."""
        found: dict[str, Any] = {}
        for name, bus in self.buses.items():
            found[f"bus.{name}"] = {k: v for k, v in bus.counters.items() if v}
        for name, part in self.parts.items():
            snapshot = part.snapshot()
            counted = {**snapshot.pop("counters", {}), **snapshot}
            found[f"part.{name}"] = {k: v for k, v in counted.items() if v}
        return {name: values for name, values in found.items() if values}
