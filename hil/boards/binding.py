"""What of a payload computer is real: parts and buses, each with the board that takes its place.

Three may say so, each over the one before: the lab file, the board file (``board = ...``), and
whoever starts the run (``--bind``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hil.board import Board, PartSpec
from hil.boards.boardtype import BoardBus
from hil.boards.lab import Instance, Lab, load_lab
from hil.config import nearest
from hil.errors import UsageError
from hil.options import NEEDS_REAL, Options

EMULATED = "emulated"
#: Buses that a board can take the place of.
KINDS = ("i2c", "spi", "uart", "can", "gpio")


@dataclass(frozen=True)
class Binding:
    """A part or a bus of the payload computer, and the board that takes its place."""

    name: str
    #: the bus of the payload computer, the same as ``name`` where the whole of it is bound
    bus: str
    instance: Instance
    behind: BoardBus
    #: the part; None: the whole bus
    part: PartSpec | None = None
    #: beside the emulated one instead of in its place
    shadow: bool = False
    #: of a shadow: the payload computer is told what the real one says
    shows_real: bool = False
    #: the board plays the emulated part on real wires instead of standing in for it here
    front: bool = False

    def describe(self) -> str:
        """Return it as ``--bind`` has it."""
        return f"{self.name}={self.where}"

    @property
    def where(self) -> str:
        """The board and its bus."""
        return f"{self.instance.id}:{self.behind.name}"


def resolve(board: Board, lab: Lab, name: str, where: str, shadow: bool = False) -> Binding:
    """Return the binding of part or bus ``name`` to ``where``, ``INSTANCE`` or ``INSTANCE:BUS``.

    Raises ``UsageError`` or ``ConfigError`` for what cannot be bound.
    """
    part = next((part for part in board.parts if part.name == name), None)
    buses = {bus.name: bus for bus in board.buses}
    if part is None and name not in buses:
        known = [*(part.name for part in board.parts), *buses]
        hint = nearest(name, known) or f"; it has: {', '.join(known)}"
        raise UsageError(f"board {board.name} has no part or bus {name[:64]!r}{hint}")
    bus = buses[part.bus if part else name]
    if bus.kind not in KINDS:
        raise UsageError(f"{name}: no board can stand in on a bus of kind {bus.kind}")
    if part is not None and part.mux is not None:
        raise UsageError(
            f"{name} sits behind {part.mux}: what is emulated behind a switch stays so; bind "
            f"{part.mux}, or the whole of {part.bus}"
        )
    identity, _, wanted = where.partition(":")
    instance = lab.instance(identity)
    there = [one for one in instance.type.buses.values() if one.kind == bus.kind]
    if wanted:
        behind = instance.type.bus(wanted)
        if behind.kind != bus.kind:
            raise UsageError(f"{name} is on a bus of kind {bus.kind}; {where} is {behind.kind}")
    elif not there:
        raise UsageError(
            f"{name} is on a bus of kind {bus.kind}; {identity}, a {instance.type.name}, has none"
        )
    else:
        behind = there[0]
    if shadow and bus.kind != "i2c":
        raise UsageError(f"{name} is on a bus of kind {bus.kind}; only I2C parts can be shadowed")
    return Binding(name, bus.name, instance, behind, part, shadow)


def _front(board: Board, lab: Lab, text: str) -> Binding:
    """Return the binding of a part that a board is to play. Raises as :func:`resolve`."""
    name, equals, where = text.partition("=")
    if not equals or not name or not where:
        raise UsageError(f"front {text!r}: say PART=INSTANCE[:BUS]")
    found = resolve(board, lab, name, where)
    if found.part is None or found.behind.kind not in ("i2c", "spi"):
        raise UsageError(
            f"front {text!r}: {name} is no part on an I2C or SPI bus; boards play only those"
        )
    return replace(found, front=True)


def bindings(
    board: Board, lab: Lab, asked: Iterable[str], fronts: Iterable[str] = ()
) -> list[Binding]:
    """Return every binding of a run; ``asked`` are ``NAME=INSTANCE[:BUS]`` or ``NAME=emulated``.

    ``fronts`` are the parts that boards play, ``PART=INSTANCE[:BUS]``.

    Raises ``UsageError`` or ``ConfigError`` for what cannot be bound, and for a part and its bus
    both.
    """
    lab.check(board)
    wanted: dict[str, tuple[str, bool]] = {}
    for instance in lab.instances.values():
        for name, behind in {**instance.parts, **instance.buses}.items():
            wanted[name] = f"{instance.id}:{behind}", name in instance.shadow
    stand_ins = [(part.name, part.board) for part in board.parts]
    for spec_name, where in (*stand_ins, *((bus.name, bus.board) for bus in board.buses)):
        if where is not None:
            wanted[spec_name] = where, False
    for text in asked:
        name, equals, at = text.partition("=")
        if not equals or not name or not at:
            raise UsageError(f"bind {text!r}: say PART=INSTANCE[:BUS], or PART={EMULATED}")
        wanted.pop(name, None)
        if at != EMULATED:
            wanted[name] = at, False
    found = [resolve(board, lab, name, *rest) for name, rest in wanted.items()]
    for played in (_front(board, lab, text) for text in fronts):
        if any(one.name == played.name for one in found):
            raise UsageError(
                f"{played.name} is bound twice: a part that a board plays is emulated; add "
                f"--bind {played.name}={EMULATED}"
            )
        found.append(played)
    check_overlap(found)
    return found


def check_overlap(found: Iterable[Binding]) -> None:
    """Raise ``UsageError`` where a part and the whole of its bus are bound."""
    found = list(found)
    whole = {binding.bus: binding for binding in found if binding.part is None}
    for binding in found:
        other = whole.get(binding.bus)
        if binding.part is not None and other is not None:
            raise UsageError(
                f"{binding.describe()} and {other.describe()}: {binding.name} is on "
                f"{binding.bus}, all of which is bound; leave one away"
            )


#: the lab of a run, and what of it is bound to what
Taking = tuple[Lab, list[Binding]]


def taking_part(options: Options, board: Board) -> Taking | None:
    """Return the lab of a run and what is bound in it; None where no board takes part.

    A lab file that nobody has named takes part at the pace of the wall only. Raises ``UsageError``
    or ``ConfigError`` for what cannot be.
    """
    stand_ins = [part.board for part in board.parts] + [bus.board for bus in board.buses]
    is_real = options.pace == "real" and not options.virtual_time
    if not (options.lab or options.bind or options.front or any(stand_ins) or is_real):
        return None
    lab = load_lab(options.lab)
    found = bindings(board, lab, options.bind, options.front)
    if found and not is_real:
        what = ", ".join(binding.describe() for binding in found)
        raise UsageError(f"{what}: {NEEDS_REAL}")
    return (lab, found) if lab.instances and is_real else None
