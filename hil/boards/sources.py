"""Where the boards of a run are: on the ports of this computer, or emulated while it lasts.

An emulated instance has on its wires the same parts as those that it stands in for, built from the
rows of the board file and fed with the same state of the world (:mod:`hil.boards.silicon`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hil.board import Board
from hil.boardparts import Pin
from hil.boards import emulators
from hil.boards.binding import Binding
from hil.boards.emulator import Emulator
from hil.boards.identity import PortInfo
from hil.boards.lab import Instance
from hil.boards.ports import (
    FolderPorts,
    JoinedPorts,
    MachinePorts,
    PortRegistry,
    PortSource,
    emulated_device,
    emulated_port,
)
from hil.boards.silicon import Silicon
from hil.errors import BoardError, HilError
from hil.faces.nodes import nodes_of
from hil.fitting import part_overrides
from hil.rig import Rig

#: Kinds of bus whose parts an emulation can have on its wires, and of one on this computer.
_WIRED = ("i2c", "spi")
_WIRED_HERE = (*_WIRED, "uart", "gpio")
_UID_NBYTES = 8


class Sources:
    """The ports on which the sessions of one run look for their boards."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._machine = JoinedPorts(MachinePorts(), FolderPorts())
        self._registry = PortRegistry()
        #: path on which an emulation was plugged in last, by instance
        self._shown: dict[str, str] = {}
        self._wanted: dict[str, list[Binding]] = {}
        self._has: dict[str, frozenset[str]] = {}
        self.emulators: dict[str, Emulator] = {}
        #: those that died, and cannot be told of the world until they are started anew
        self._numb: set[str] = set()
        rig.wiring.felt.append(self._feel)

    def expect(self, bindings: Iterable[Binding]) -> None:
        """Learn what the emulated boards are to have on their wires; they get it when it is new.

        Raises :class:`~hil.errors.HilError` for what one cannot have; it then has what it had.
        """
        before, self._wanted = self._wanted, {}
        for binding in (one for one in bindings if not one.front):
            self._wanted.setdefault(binding.instance.id, []).append(binding)
        for name, bound in self._wanted.items():
            if name in self.emulators and not self._parts(bound) <= self._has[name]:
                self._stop(name)
                try:
                    self._start(bound[0].instance)
                except HilError:
                    self._wanted = before
                    self._start(bound[0].instance)
                    raise

    def ports(self, instance: Instance) -> PortSource:
        """Return where to look for a board; an emulation of it is running then."""
        if instance.emulate is None:
            return self._machine
        if instance.id not in self.emulators:
            self._start(instance)
        return _Living(self._registry, self.emulators)

    def close(self) -> None:
        """End every emulation."""
        self._rig.wiring.felt.remove(self._feel)
        for name in list(self.emulators):
            self._stop(name)

    # --- emulations -------------------------------------------------------------------------------

    def unplug(self, name: str) -> None:
        """Pull the plug of an emulated board."""
        self._hide(name)
        self.emulators[name].unplug()

    def replug(self, name: str) -> None:
        """Plug an emulated board in again; its port may have another name."""
        self._show(name, self.emulators[name].replug())
        self._numb.discard(name)

    def _parts(self, bound: Iterable[Binding]) -> frozenset[str]:
        """Return the names of the parts that an emulated board has on its wires."""
        names: set[str] = set()
        for binding in bound:
            is_here = binding.instance.emulate == "posix"
            if binding.behind.kind not in (_WIRED_HERE if is_here else _WIRED):
                continue
            if binding.part is not None:
                names.add(binding.part.name)
            else:
                names |= {part.name for part in self._rig.board.parts if part.bus == binding.bus}
        return frozenset(names)

    def _rewired(self, bound: Iterable[Binding]) -> Board:
        """Return the board file with the pins of what is bound where the dev board has them.

        Pins of a part on GPIO are the dev board's, in their order; those of other parts are open.
        """
        parts = {part.name: part for part in self._rig.board.parts}
        for binding in bound:
            if binding.part is None:
                continue
            part = binding.part
            pins: tuple[Pin, ...] = ()
            if binding.behind.kind == "gpio":
                pins = tuple(
                    pin._replace(line=binding.behind.pin_number(place))
                    for place, pin in enumerate(part.pins)
                )
            parts[part.name] = replace(part, pins=pins)
        return replace(self._rig.board, parts=tuple(parts.values()))

    def _start(self, instance: Instance) -> None:
        rig, bound = self._rig, self._wanted.get(instance.id, [])
        self._has[instance.id] = names = self._parts(bound)
        assert instance.emulate is not None
        silicon = None
        if names:
            now_utc = rig.mission.start_utc + timedelta(microseconds=rig.kernel.now_ns // 1000)
            silicon = Silicon.behind(
                self._rewired(bound), names, rig.seed, now_utc, **part_overrides(rig.mission)
            )
            silicon.feel(rig.world.state)
        uid = hashlib.blake2b(instance.id.encode(), digest_size=_UID_NBYTES).digest()
        options: dict[str, Any] = {}
        if instance.emulate == "posix":
            options["arguments"] = self._devices(bound)
        line = None if instance.type.link.is_native_usb else {"baud": instance.type.link.baud}
        emulator = emulators.start(
            instance.type, instance.emulate, silicon, uid=uid, line=line, **options
        )
        self.emulators[instance.id] = emulator
        self._show(instance.id, emulator.port)

    def _show(self, name: str, path: str) -> None:
        self._shown[name] = path
        self._registry.plug(emulated_port(name, path))

    def _hide(self, name: str) -> None:
        self._registry.pull(self._shown.pop(name, ""))

    def _devices(self, bound: Iterable[Binding]) -> list[str]:
        """Return the words that tell firmware on this computer which device is which of its buses.

        The devices are those of the silicon, whose buses have the names of the payload computer's.
        CAN buses are none of them: there the firmware takes this computer's interface of that name.
        """
        paths: dict[str, list[str]] = {}
        for node in nodes_of(self._rig.exchange.lanes.values()).values():
            paths.setdefault(node.lane.bus.name, []).append(node.path)
        words = []
        for binding in bound:
            if binding.behind.kind == "can":
                continue
            for path in paths.get(binding.bus, ()):
                name = binding.behind.name
                if binding.behind.kind == "spi":
                    name = f"{name}.{path.rpartition('.')[2]}"
                elif binding.behind.kind == "gpio":
                    name = "gpio"
                words += ["--device", f"{name}={path}"]
        return words

    def _stop(self, name: str) -> None:
        emulator = self.emulators.pop(name)
        self._numb.discard(name)
        self._hide(name)
        emulator.close()

    def _feel(self, state: Mapping[str, float]) -> None:
        for name, emulator in self.emulators.items():
            if name in self._numb:
                continue
            try:
                emulator.feel(state)
            except BoardError as error:
                self._numb.add(name)
                values = {"board": name, "reason": str(error)}
                self._rig.event(self._rig.kernel.now_ns, "bench", 3, "BOARD_NUMB", **values)


class _Living:
    """The ports of emulations that run: the tty of one that died is soon somebody else's."""

    def __init__(self, registry: PortRegistry, emulators: Mapping[str, Emulator]) -> None:
        self._registry = registry
        self._emulators = emulators

    def ports(self) -> list[PortInfo]:
        """Return the ports that are there now."""
        dead = {emulated_device(name) for name in self._dead()}
        return [port for port in self._registry.ports() if port.device not in dead]

    def token(self) -> object:
        """Return another one when an emulation was plugged in or pulled, or has died."""
        return self._registry.token(), self._dead()

    def _dead(self) -> tuple[str, ...]:
        # A cable hangs up by itself; where there is none, only the process tells.
        return tuple(
            name
            for name, one in self._emulators.items()
            if one.identity is None or (one.cable is None and not one.is_running)
        )
