"""The self-test of a part: what its register table promises, tried on the part itself.

On an emulated part each try has a fresh part on a fresh bench, so that none disturbs another. A
real part is only read, unless ``write`` is given; then each register gets back what it held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hil.checkout.subject import Entry, Subject
from hil.errors import DeviceError
from hil.parts.guide import Memory

#: points of its range at which an input is compared with its reading
POINTS = (0.1, 0.5, 0.9)


class Finding(NamedTuple):
    """One thing tried; ``ok`` is None where it could not be."""

    check: str
    what: str
    ok: bool | None
    detail: str


Make = Callable[[], Subject]


def run(make: Make, write: bool) -> Iterator[Finding]:
    """Yield the findings. ``make()`` returns the part, a fresh one where it is emulated."""
    subject = make()
    try:
        guide = subject.guide
        if not (subject.entries or guide.commands or guide.memory):
            yield Finding("registers", subject.type, None, guide.note or "it has none to test")
            return
        yield from _commands(subject)
        if guide.memory is not None and guide.memory.page and (write or subject.emulated):
            yield from _memory(subject, guide.memory)
        yield from _identity(subject)
        if subject.emulated:
            yield from _reset(make)
            for entry in subject.entries:
                if entry.writable:
                    yield from _holds(make(), entry)
            yield from _read_only(make)
            yield from _counted(make)
            yield from _conversions(make())
            return
        yield from _answers(subject)
        yield from _in_range(subject)
        if write:
            for entry in subject.entries:
                if entry.writable:
                    yield from _holds(subject, entry)
        else:
            yield Finding("holds", subject.type, None, "--write tries the writable bits as well")
    finally:
        subject.link.close()


def _commands(subject: Subject) -> Iterator[Finding]:
    for name, command in subject.guide.commands.items():
        answer = subject.transfer(command.send, command.nread, name)
        if command.expect is not None:
            ok = answer == command.expect
            hint = "" if ok else f", not {command.expect.hex(' ')}"
            yield Finding("identity", name, ok, f"{answer.hex(' ')}{hint}")


def _memory(subject: Subject, memory: Memory) -> Iterator[Finding]:
    """An octet at either end of the memory takes a value, then has its old one again."""
    for address in (0, memory.size - 1):
        head = address.to_bytes(memory.nbytes)
        (before,) = subject.transfer(memory.read + head, 1, f"read octet {address:#x}")
        seen = b""
        for value in (before ^ 0xFF, before):
            subject.transfer(head + bytes((value,)), 0, f"write octet {address:#x}")
            subject.link.wait(memory.cycle_s)
            seen += subject.transfer(memory.read + head, 1, f"read octet {address:#x}")
        good = seen == bytes((before ^ 0xFF, before))
        yield Finding("holds", f"octet {address:#x}", good, f"{before:02X}h, {seen.hex(' ')}")


def _identity(subject: Subject) -> Iterator[Finding]:
    for name in subject.guide.identity:
        entry = subject.register(name)
        value = subject.read(entry)
        good = value == entry.row.reset
        hint = "" if good else f", not {entry.hex(entry.row.reset)}"
        yield Finding("identity", name, good, f"{entry.hex(value)}{hint}")


def _reset(make: Make) -> Iterator[Finding]:
    """Right after power-up every register holds its reset value; reading one may change others."""
    same = 0
    for entry in make().entries:
        subject = make()
        value = subject.read(entry)
        fixed = ~subject.guide.volatile.get(entry.name, 0)
        if (value ^ entry.row.reset) & fixed:
            wrong = f"{entry.hex(value)} after power-up, not {entry.hex(entry.row.reset)}"
            yield Finding("reset", entry.name, False, wrong)
        else:
            same += 1
    if same:
        yield Finding("reset", f"{same} registers", True, "compared with their reset values")


def _holds(subject: Subject, entry: Entry) -> Iterator[Finding]:
    """Writable bits take what is written, the others keep theirs; then it is as before."""
    why = subject.guide.careful.get(entry.name)
    if why is not None:
        yield Finding("holds", entry.name, None, f"not tried: {why}")
        return
    volatile = subject.guide.volatile.get(entry.name, 0)
    row = entry.row
    writable = entry.writable & ~volatile
    fixed = entry.mask & ~_special(entry) & ~volatile
    before = subject.read(entry)
    # Read-only registers of real parts are left alone: a data sheet may reserve writes to them.
    flips = writable | (fixed if subject.emulated else 0)
    quiet = (before | row.w0c) & ~(row.clearing | row.w1c)
    subject.write(entry, quiet ^ flips)
    after = subject.read(entry)
    lost, moved = (before ^ after ^ writable) & writable, (before ^ after) & fixed
    if writable:
        subject.write(entry, quiet)
        lost |= (subject.read(entry) ^ before) & writable
    if lost:
        wrong = f"bits {entry.hex(lost)} do not hold: {entry.hex(before)} became {entry.hex(after)}"
        yield Finding("holds", entry.name, False, wrong)
    elif moved:
        yield Finding("holds", entry.name, False, f"read-only bits {entry.hex(moved)} changed")
    else:
        yield Finding("holds", entry.name, True, f"bits {entry.hex(writable)} hold")


def _read_only(make: Make) -> Iterator[Finding]:
    """Registers that cannot be written stay as they are."""
    same = 0
    for entry in make().entries:
        fixed = entry.mask & ~_special(entry) & ~make().guide.volatile.get(entry.name, 0)
        if entry.writable or not fixed:
            continue
        subject = make()
        before = subject.read(entry)
        subject.write(entry, (before | entry.row.w0c) ^ fixed)
        moved = (before ^ subject.read(entry)) & fixed
        if moved:
            yield Finding("read-only", entry.name, False, f"bits {entry.hex(moved)} changed")
        else:
            same += 1
    if same:
        yield Finding("read-only", f"{same} registers", True, "keep their values")


def _special(entry: Entry) -> int:
    """Return the bits for which writing means something else than keeping a value."""
    row = entry.row
    return row.writable | row.clearing | row.w1c | row.w0c


def _counted(make: Make) -> Iterator[Finding]:
    """Each register with bits that are not modelled counts a write that changes them."""
    for entry in make().entries:
        bits = entry.row.unmodelled & entry.mask & entry.row.writable
        if not bits or entry.name in make().guide.careful:
            continue
        subject = make()
        before = subject.read(entry)
        subject.write(entry, before ^ bits)
        assert subject.link.part is not None
        counted = sum(subject.link.part.touched.values())
        detail = f"a change of bits {entry.hex(bits)} is {'' if counted else 'not '}counted"
        yield Finding("unmodelled", entry.name, counted > 0, detail)


def _setup(subject: Subject) -> None:
    for name, value in subject.guide.setup:
        subject.write(subject.register(name), value)


def _conversions(subject: Subject) -> Iterator[Finding]:
    """Readings follow the inputs of the same name, within epsilon."""
    part = subject.link.part
    assert part is not None
    for name in subject.guide.readings:
        spec = part.QUANTITIES.get(name)
        if spec is None:
            continue
        worst = 0.0
        for point in POINTS:
            value = spec.lower + (spec.upper - spec.lower) * point
            part.set(name, value)
            _setup(subject)
            subject.link.wait(subject.guide.settle_s)
            worst = max(worst, abs(subject.reading(name) - value))
        good = worst <= spec.epsilon * (1 + 1e-9)
        detail = f"within {worst:.3g} {spec.unit} of its input (epsilon {spec.epsilon:.3g})"
        yield Finding("conversion", name, good, detail)


def _answers(subject: Subject) -> Iterator[Finding]:
    """Every register of a real part can be read."""
    differ, left = [], subject.guide.consumed
    for entry in subject.entries:
        if entry.name in left:
            continue
        try:
            value = subject.read(entry)
        except DeviceError as error:
            yield Finding("answers", entry.name, False, str(error))
            return
        if value != entry.row.reset and entry.writable:
            differ.append(entry.name)
    if subject.entries:
        told = f"; not at reset: {', '.join(differ)}" if differ else ""
        told += f"; left alone: {', '.join(left)}" if left else ""
        count = len(subject.entries) - len(left)
        yield Finding("answers", f"{count} registers", True, f"read{told}")


def _in_range(subject: Subject) -> Iterator[Finding]:
    """Readings of a real part lie in the range that the part can measure."""
    for name in subject.guide.readings:
        spec = subject.model.QUANTITIES.get(name)
        if spec is not None:
            value = subject.reading(name)
            good = spec.lower - spec.epsilon <= value <= spec.upper + spec.epsilon
            text = f"{value:.6g} {spec.unit} of {spec.lower:g} to {spec.upper:g}"
            yield Finding("conversion", name, good, text)
