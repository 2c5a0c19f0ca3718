"""Which parts there are, and how the command line opens one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hil.board import load_board
from hil.boardparts import KINDS
from hil.checkout import actions
from hil.checkout.devices import open_device
from hil.checkout.links import PREFERENCE, Emulated, Link, lone_board
from hil.checkout.subject import Subject, number
from hil.config import nearest
from hil.errors import ConfigError, UsageError
from hil.parts import part_class, part_types
from hil.parts.base import Part
from hil.parts.contributed import offers


def parts() -> Iterator[tuple[dict[str, Any], str]]:
    """Yield every type of part: its buses, its addresses, what it is."""
    for name in sorted(part_types()):
        try:
            part = part_class(name)
        except ConfigError as wrong:
            yield {"part": name, "broken": str(wrong)}, f"{name:<12} BROKEN: {wrong}"
            continue
        kinds = [kind for kind in PREFERENCE if hasattr(part, KINDS[kind].face)]
        told = {"part": name, "buses": kinds, "addresses": list(part.ADDRESSES)}
        places = part.ADDRESSES
        where = f"{places[0]:#04x}" if places else ""
        if len(places) > 1:
            where += f" to {places[-1]:#04x}"
        about = headline(part)
        told["about"] = about
        if name in offers():
            (told["distribution"],) = offers()[name].distributions
            about += f" ({told['distribution']})"
        yield told, f"{name:<12} {'+'.join(kinds):<10} {where:<13} {about}"


def headline(part: type[Part]) -> str:
    """Return the first sentence of a part's docstring."""
    import sys

    text = (sys.modules[part.__module__].__doc__ or part.__doc__ or "").strip()
    return text.split("\n")[0].rstrip(".")


def address(text: str) -> int:
    """Return an I2C address. Raises ``UsageError`` for what is none."""
    value = number(text)
    if not 0x08 <= value <= 0x77:
        raise UsageError(f"--address {text}: I2C addresses are 0x08 to 0x77")
    return value


def _argument(name: str, default: Any, value: float) -> Any:
    """Return a number as a parameter takes it; all members of a list are the same.

    Raises ``UsageError`` for a parameter that is no number.
    """
    if isinstance(default, list | tuple):
        return [value] * len(default)
    if isinstance(default, str):
        raise UsageError(f"--set {name}: takes a word; put the part on a board and give --board")
    return type(default)(value) if isinstance(default, bool | int) else value


@dataclass
class Opener:
    """How to reach the part that the command line names."""

    part: str
    on: str | None = None
    address: int | None = None
    board: str | None = None
    #: inputs and parameters by name
    given: Mapping[str, float] = field(default_factory=dict)
    seed: int = 1
    #: mode and clock of a real SPI device
    spi: tuple[int | None, int] = (None, 1_000_000)
    baud: int = 115_200

    def fresh(self) -> Subject:
        """Return the part as it is right after power-up."""
        return self.open(0.0)

    def open(self, after_s: float) -> Subject:
        """Return the part, ``after_s`` after power-up where it is emulated."""
        type_name, link = self._link()
        if link.part is not None:
            model = link.part
        else:
            model = part_class(type_name)("model", **self._params(type_name))
        subject = Subject(type_name, model, link)
        try:
            inputs = {n: v for n, v in self.given.items() if n not in model.PARAMS}
            if inputs:
                actions.apply_inputs(subject, inputs)
            if subject.emulated:
                link.wait(after_s)
        except BaseException:
            link.close()
            raise
        return subject

    def _link(self) -> tuple[str, Link]:
        """Return the type of the part and the way to it."""
        if self.board is not None:
            return self._on_board()
        if self.part not in part_types():
            hint = nearest(self.part, part_types()) or "; `hil checkout` lists the parts"
            raise UsageError(f"no part named {self.part!r}{hint}")
        part = part_class(self.part)
        if self.on is not None and self.on.startswith("/"):
            mode, speed_hz = self.spi
            link: Link = open_device(self.on, part, self.address, mode, speed_hz, self.baud)
            return self.part, link
        if self.on is not None and self.on not in KINDS:
            raise UsageError(
                f"--on {self.on}: a device file as /dev/i2c-1, a kind of bus, or with --board "
                "a bus of that board"
            )
        if self.on is not None and not hasattr(part, KINDS[self.on].face):
            raise UsageError(f"--on {self.on}: a {self.part} does not sit on a bus of that kind")
        if self.address is not None and self.address not in (part.ADDRESSES or (self.address,)):
            known = ", ".join(f"{one:#04x}" for one in part.ADDRESSES)
            raise UsageError(f"--address {self.address:#04x}: a {self.part} can have {known}")
        board = lone_board(self.part, self._params(self.part), self.on or "", self.address)
        try:
            return self.part, Emulated(board, board.parts[0], self.seed)
        except (TypeError, ValueError, IndexError) as wrong:
            raise UsageError(f"{self.part} refuses this: {wrong}") from wrong

    def _params(self, type_name: str) -> dict[str, Any]:
        """Return the constructor arguments among what was given."""
        params = part_class(type_name).PARAMS
        return {
            name: _argument(name, params[name].default, value)
            for name, value in self.given.items()
            if name in params
        }

    def _on_board(self) -> tuple[str, Link]:
        """Find the part in the board file: by its name there, or the only one of its type."""
        assert self.board is not None
        board = load_board(self.board)
        named = [spec for spec in board.parts if spec.name == self.part]
        found = [
            spec
            for spec in named or [spec for spec in board.parts if spec.type == self.part]
            if self.on in (None, spec.bus) and self.address in (None, spec.address)
        ]
        if len(found) == 1:
            fixed = [name for name in self.given if name in part_class(found[0].type).PARAMS]
            if fixed:
                raise UsageError(f"--set {fixed[0]}: the board file {board.path} gives it")
            return found[0].type, Emulated(board, found[0], self.seed)
        if found:
            names = ", ".join(spec.name for spec in found)
            raise UsageError(f"board {board.name} has several: {names}; name one")
        known = [spec.name for spec in board.parts if self.on in (None, spec.bus)]
        hint = nearest(self.part, known) or f"; it has {', '.join(known) or 'none there'}"
        raise UsageError(f"board {board.name} has no part {self.part!r}{hint}")
