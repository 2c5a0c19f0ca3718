"""What can be done with a part: each action yields objects that are printed as lines or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hil.checkout import selftest
from hil.checkout.subject import Entry, Subject, number
from hil.config import nearest
from hil.errors import UsageError
from hil.parts.guide import Reading

#: what an action yields: JSON on demand, and its text
Told = tuple[dict[str, Any], str]
#: what one transaction reads at most
MOST_NBYTES = 65_536
ACTIONS = ("list", "read", "write", "dump", "watch", "wait", "set", "send", "self-test")


#: what can be done with parts on buses without registers
NOTES = {
    "uart": "it speaks by itself: watch; send HEX tells it something",
    "can": "it speaks by itself: watch; send ID#HEX tells it something",
    "gpio": "a part with pins only: watch tells their edges",
    "frames": "watch takes frames; it has a scene only where a mission gives it one",
}


class Request(NamedTuple):
    """What the command line says besides the actions."""

    every_s: float = 1.0
    times: int = 10
    write: bool = False
    #: makes the part anew, for a self-test
    make: Callable[[], Subject] | None = None


def split(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return actions with their words. Raises ``UsageError`` when the first word is none."""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word in ACTIONS:
            found.append((word, []))
        elif not found:
            hint = nearest(word, ACTIONS) or f"; there are {', '.join(ACTIONS)}"
            raise UsageError(f"no action {word!r}{hint}")
        else:
            found[-1][1].append(word)
    return found


def perform(subject: Subject, action: str, words: list[str], asked: Request) -> Iterator[Told]:
    """Yield what an action brings."""
    doers: dict[str, Callable[[Subject, list[str], Request], Iterator[Told]]] = {
        "list": _list,
        "read": _read,
        "write": _write,
        "dump": _dump,
        "watch": _watch,
        "wait": _wait,
        "set": _set,
        "send": _send,
        "self-test": _self_test,
    }
    for told, text in doers[action](subject, words, asked):
        yield {"action": action, **told}, text


def _needs(words: list[str], least: int, usage: str) -> None:
    if len(words) < least:
        raise UsageError(f"`{usage.split()[0]}` needs more words, as in `{usage}`")


# Reading ------------------------------------------------------------------------------------------


def show(subject: Subject, entry: Entry, value: int) -> Told:
    """Return a register value with all that is known of it."""
    decoded = entry.decoded(value)
    reset = entry.row.reset
    told = {
        "register": entry.name,
        "address": entry.row.address,
        "value": value,
        "octets": value.to_bytes(entry.nbytes, entry.table.order).hex(),
        "reset": reset,
        "differs": value != reset,
        "fields": decoded,
    }
    if entry.bank:
        told["bank"] = entry.bank
    differs = f"reset {entry.hex(reset)}" if value != reset else ""
    bank = f"{entry.bank}/" if subject.guide.banks else ""
    head = f"{bank}{entry.row.address:02X}h {entry.name:<20} {entry.hex(value):>7}"
    words = " ".join(f"{name}={held}" for name, held in decoded.items())
    width = 9 + 2 * max(each.nbytes for each in subject.entries or [entry])
    return told, f"{head}  {differs:<{width}}  {words}".rstrip()


def _one(subject: Subject, word: str) -> Told:
    """Read what a word names."""
    if subject.guide.memory is not None and word[:1].isdigit():
        return _octets(subject, word)
    found = subject.find(word)
    if isinstance(found, Entry):
        return show(subject, found, subject.read(found))
    if isinstance(found, Reading):
        name = next(name for name, one in subject.guide.readings.items() if one is found)
        return _reading(subject, name)
    command = subject.guide.commands[found]
    answer = subject.transfer(command.send, command.nread, found)
    told = {"command": found, "octets": answer.hex(), "about": command.about}
    return told, f"{found:<14} {answer.hex(' ')}   {command.about}"


def _reading(subject: Subject, name: str) -> Told:
    value, unit = subject.reading(name), subject.unit(name)
    return {"reading": name, "value": value, "unit": unit}, f"{name:<24} {value:.6g} {unit}"


def _octets(subject: Subject, word: str) -> Told:
    """Read octets of a memory: ``ADDRESS`` or ``ADDRESS:COUNT``."""
    memory = subject.guide.memory
    assert memory is not None
    at, _, count = word.partition(":")
    address, nread = number(at), number(count or "16")
    if nread < 1 or address + nread > memory.size:
        raise UsageError(f"{word}: {subject.type} has octets 0 to {memory.size - 1:#x}")
    head = memory.read + address.to_bytes(memory.nbytes)
    octets = subject.transfer(head, nread, f"read {nread} octets from {address:#x}")
    lines = [f"{address + n:06X}h {octets[n : n + 16].hex(' ')}" for n in range(0, len(octets), 16)]
    return {"address": address, "octets": octets.hex()}, "\n".join(lines)


def _read(subject: Subject, words: list[str], asked: Request) -> Iterator[Told]:
    _needs(words, 1, "read CONFIG")
    for word in words:
        yield _one(subject, word)


def _dump(subject: Subject, words: list[str], asked: Request) -> Iterator[Told]:
    if words:
        raise UsageError(f"dump takes no name; `read {words[0]}` reads one")
    if not (subject.entries or subject.guide.commands):
        memory = "read ADDRESS:COUNT shows its octets" if subject.guide.memory else ""
        note = subject.guide.note or memory or NOTES[subject.link.kind]
        raise UsageError(f"{subject.type} has no registers to dump: {note}")
    for entry in subject.entries:
        yield show(subject, entry, subject.read(entry))
    for name in (*subject.guide.readings, *subject.guide.commands):
        yield _one(subject, name)


# Writing ------------------------------------------------------------------------------------------


def _write(subject: Subject, words: list[str], asked: Request) -> Iterator[Told]:
    _needs(words, 2, "write CONFIG 0x1234` or `write CONFIG MODE=3")
    if subject.guide.memory is not None and words[0][:1].isdigit():
        yield _store(subject, number(words[0]), octets_of(" ".join(words[1:])))
        return
    entry = subject.register(words[0])
    if "=" in words[1]:
        value = subject.read(entry)
        for word in words[1:]:
            value = _with_field(entry, value, word)
    elif len(words) == 2:
        value = number(words[1])
    else:
        raise UsageError(f"write {words[0]}: one value, or fields as in MODE=3")
    subject.write(entry, value)
    told, text = show(subject, entry, subject.read(entry))
    yield {**told, "written": value}, text


def _store(subject: Subject, address: int, octets: bytes) -> Told:
    """Write octets to a memory, page by page, and read them back."""
    memory = subject.guide.memory
    assert memory is not None
    if not memory.page:
        raise UsageError(f"{subject.type}: checkout does not write it; {subject.guide.note}")
    if address + len(octets) > memory.size:
        raise UsageError(f"{subject.type} has octets 0 to {memory.size - 1:#x}")
    at = 0
    while at < len(octets):
        room = memory.page - (address + at) % memory.page
        head = (address + at).to_bytes(memory.nbytes)
        subject.transfer(head + octets[at : at + room], 0, f"write octets from {address + at:#x}")
        subject.link.wait(memory.cycle_s)
        at += room
    return _octets(subject, f"{address}:{len(octets)}")


def octets_of(text: str) -> bytes:
    """Return octets written in hexadecimal. Raises ``UsageError`` for anything else."""
    try:
        octets = bytes.fromhex(text.replace("0x", ""))
    except ValueError:
        octets = b""
    if not octets:
        raise UsageError(f"{text!r}: octets are written in hexadecimal, as 9f or '01 02 ff'")
    return octets


def _send(subject: Subject, words: list[str], asked: Request) -> Iterator[Told]:
    _needs(words, 1, "send 9f 3")
    if subject.link.kind in ("uart", "can"):
        ident, octets = _frame(words[0]) if subject.link.kind == "can" else (0, octets_of(words[0]))
        subject.link.say(ident, octets)
        yield {"octets": octets.hex()}, f"sent {words[0]}"
        return
    nread = number(words[1]) if len(words) > 1 else 0
    if not 0 <= nread <= MOST_NBYTES:
        raise UsageError(f"send: {nread} octets cannot be read at once; give 0 to {MOST_NBYTES}")
    octets = octets_of(words[0])
    answer = subject.transfer(octets, nread, f"send {words[0]}")
    yield {"octets": octets.hex(), "answer": answer.hex()}, f"sent {words[0]}: {answer.hex(' ')}"


def _frame(word: str) -> tuple[int, bytes]:
    """Return identifier and data of ``ID#HEX``. Raises ``UsageError`` for anything else."""
    ident, mark, data = word.partition("#")
    try:
        return int(mark and ident, 16), octets_of(data) if data else b""
    except ValueError:
        raise UsageError(f"{word!r} is no frame; as in `send 123#0102`, hexadecimal") from None


def _with_field(entry: Entry, value: int, word: str) -> int:
    """Return a register value with one field changed."""
    name, _, text = word.partition("=")
    known = {field.name.lower(): field for field in entry.fields}
    field = known.get(name.lower())
    if field is None:
        hint = nearest(name.lower(), known) or f"; it has {', '.join(known) or 'none declared'}"
        raise UsageError(f"{entry.name} has no field {name!r}{hint}")
    new = number(text)
    if not 0 <= new <= field.mask >> field.low:
        raise UsageError(f"{entry.name}: {field.name} holds 0 to {field.mask >> field.low}")
    return value & ~field.mask | new << field.low


def _wait(subject: Subject, words: list[str], asked: Request) -> Iterator[Told]:
    _needs(words, 1, "wait 0.1")
    seconds = positive(words[0])
    subject.link.wait(seconds)
    yield {"seconds": seconds}, f"{seconds:g} s later"


def _set(subject: Subject, words: list[str], asked: Request) -> Iterator[Told]:
    _needs(words, 1, "set bus_v=12")
    apply_inputs(subject, dict(assignment(word) for word in words))
    yield {"inputs": dict(map(assignment, words))}, f"set {' '.join(words)}"


def assignment(word: str) -> tuple[str, float]:
    """Return name and number of ``NAME=NUMBER``. Raises ``UsageError`` for anything else."""
    name, equals, text = word.partition("=")
    try:
        return name, float(text)
    except ValueError:
        what = f"{text!r} is no number" if equals else "there is no value"
        raise UsageError(f"{word!r}: {what}; as in bus_v=12, in SI units") from None


def positive(word: str) -> float:
    """Return a number of seconds that is not negative. Raises ``UsageError`` otherwise."""
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise UsageError(f"{word!r} is no time in seconds")
    return seconds


def apply_inputs(subject: Subject, inputs: Mapping[str, float]) -> None:
    """Set physical inputs. Raises ``UsageError`` for a name or a value that the part has not."""
    part = subject.link.part
    if part is None:
        raise UsageError(f"{subject.type} is real: nobody can set what it measures; leave out set")
    for name, value in inputs.items():
        if name not in part.QUANTITIES:
            known = part.QUANTITIES
            hint = nearest(name, known) or f"; it has {', '.join(known) or 'none'}"
            raise UsageError(f"{subject.type} has no input {name!r}{hint}")
        spec = part.QUANTITIES[name]
        if not spec.lower <= value <= spec.upper:
            raise UsageError(f"{name}: {value:g} is outside {spec.lower:g} to {spec.upper:g} "
                             f"{spec.unit}")  # fmt: skip
        part.set(name, value)


# The rest -----------------------------------------------------------------------------------------


def _watch(subject: Subject, words: list[str], asked: Request) -> Iterator[Told]:
    if not words:
        yield from _listen(subject, asked)
        return
    for turn in range(asked.times):
        if turn:
            subject.link.wait(asked.every_s)
        for word in words:
            told, text = _one(subject, word)
            t_s = subject.link.now_s()
            yield {"t_s": t_s, **told}, f"{t_s:12.6f} s  {text}"


def _listen(subject: Subject, asked: Request) -> Iterator[Told]:
    """Tell what the part says by itself."""
    if subject.link.kind in ("i2c", "spi", "onewire"):
        raise UsageError(f"watch what? as in `hil checkout {subject.type} watch NAME`")
    for _ in range(asked.times):
        subject.link.wait(asked.every_s)
        for t_s, ident, octets in subject.heard():
            told = {"t_s": t_s, "ident": ident, "octets": octets.hex()}
            yield told, f"{t_s:12.6f} s  {_heard(subject.link.kind, ident, octets)}"


def _heard(kind: str, ident: int, octets: bytes) -> str:
    """Return in words what came in."""
    if kind == "frames":
        return f"a frame of {len(octets)} octets: {octets[:32].hex(' ')} ..."
    if kind == "can":
        return f"{ident & 0x1FFFFFFF:X}#{octets.hex()}"
    if kind == "gpio":
        return f"line {ident}: {octets.hex(' ')}"
    return f"{octets.hex(' ')}  {''.join(chr(o) if 32 <= o < 127 else '.' for o in octets)}"


def _self_test(subject: Subject, words: list[str], asked: Request) -> Iterator[Told]:
    assert asked.make is not None
    marks = {True: "ok  ", False: "FAIL", None: "--  "}
    for finding in selftest.run(asked.make, asked.write):
        text = f"{marks[finding.ok]}  {finding.check:<10}  {finding.what:<20}  {finding.detail}"
        yield finding._asdict(), text


def _list(subject: Subject, words: list[str], asked: Request) -> Iterator[Told]:
    guide, model = subject.guide, subject.model
    yield (
        {"part": subject.type, "where": subject.link.where},
        f"{subject.type}: {subject.link.where}",
    )
    for name, spec in model.QUANTITIES.items():
        range_ = {"lower": spec.lower, "upper": spec.upper, "unit": spec.unit}
        text = f"input   {name:<20} {spec.lower:g} to {spec.upper:g} {spec.unit}"
        yield {"input": name, **range_}, text
    for entry in subject.entries:
        row = entry.row
        names = " ".join(
            f"{one.name}[{one.high}:{one.low}]" if one.high > one.low else f"{one.name}[{one.low}]"
            for one in entry.fields
        )
        bank = f"{entry.bank}/" if guide.banks else ""
        told = {"register": entry.name, "address": row.address, "bank": entry.bank,
                "nbytes": entry.nbytes, "access": entry.access, "reset": row.reset,
                "fields": [one._asdict() for one in entry.fields]}  # fmt: skip
        head = f"{bank}{row.address:02X}h  {entry.name:<20} {entry.access}"
        yield told, f"{head} reset {entry.hex(row.reset):<9} {names}".rstrip()
    for name in guide.readings:
        unit = subject.unit(name)
        yield {"reading": name, "unit": unit}, f"reading {name:<20} {unit}"
    for name, command in guide.commands.items():
        yield {"command": name, "about": command.about}, f"command {name:<20} {command.about}"
    if guide.memory is not None:
        size = guide.memory.size
        yield {"memory": size}, f"memory  {size} octets: read ADDRESS:COUNT"
    note = guide.note or NOTES.get(subject.link.kind, "")
    if note:
        yield {"note": note}, f"note    {note}"
