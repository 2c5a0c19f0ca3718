"""The values of one packet: from a mapping to the slots that C reads, and back.

A slot is eight octets: an unsigned or signed integer or a double. Flat layouts without enums,
arrays and octets take the short way through ``itemgetter`` and ``dict(zip())``; the others are
walked by path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from operator import itemgetter
from struct import Struct
from struct import error as struct_error
from typing import Any

from flightsw.codec.columns.plan import Field
from flightsw.codec.errors import FieldRangeError, SyncError


def misfit(f: Field, value: Any) -> str | None:
    """Return why a value does not fit a field, or None if it does."""
    if f.flag:
        return None
    if f.labels is not None and isinstance(value, str):
        if value not in f.labels.values():
            return f"is none of its labels {', '.join(f.labels.values())}"
        return None
    try:
        if f.kind == "float":
            Struct({16: ">e", 32: ">f", 64: ">d"}[f.width]).pack(
                value
            )  # native order checks no range
            return None
        number = value.__index__()
    except (struct_error, OverflowError, AttributeError, TypeError):
        return f"is not {'a number' if f.kind == 'float' else 'an integer'} of {f.width} bits"
    low = -(1 << f.width - 1) if f.kind == "int" else 0
    high = low + (1 << f.width) - 1
    return None if low <= number <= high else f"is not within {low} to {high}"


def look_up(values: Mapping[str, Any], f: Field) -> Any:
    value: Any = values
    try:
        for part in f.path:
            value = value[part]
    except LookupError:
        if f.default is None:
            raise
        return f.default
    return value


def gatherer(inputs: tuple[Field, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """Return what turns a mapping into the values of the slots, as fast as the fields allow."""
    plain = all(
        len(f.path) == 1 and not f.array and f.labels is None and f.default is None for f in inputs
    )
    if plain and len(inputs) > 1:
        return itemgetter(*(f.path[0] for f in inputs))
    numbers = [
        {label: value for value, label in f.labels.items()} if f.labels is not None else None
        for f in inputs
    ]

    def gather(values: Mapping[str, Any]) -> list[Any]:
        flat: list[Any] = []
        for f, labels in zip(inputs, numbers, strict=True):
            value = look_up(values, f)
            if f.array:
                if len(value) != f.elements:
                    raise LookupError(f"{f.name}: {len(value)} values, must be {f.elements}")
                flat += value
            else:
                flat.append(
                    labels[value] if labels is not None and isinstance(value, str) else value
                )
        return flat

    return gather


def plain_names(numbers: tuple[Field, ...], octets: tuple[Field, ...]) -> list[str] | None:
    """Return the keys of the slots where each is a value as it is; None where one is not."""
    plain = all(
        len(f.path) == 1 and not f.array and f.labels is None and f.const is None for f in numbers
    )
    return [str(f.path[0]) for f in numbers] if plain and not octets else None


def builder(
    numbers: tuple[Field, ...], octets: tuple[Field, ...]
) -> Callable[[tuple[Any, ...], Any, int], dict[str, Any]]:
    """Return what turns slots, and the octets between them, into the result of decode."""
    slot_of, n = {}, 0
    for f in numbers:
        slot_of[f.path] = n
        n += f.elements
    in_order = sorted((*numbers, *octets), key=lambda f: f.bit)

    def build(slots: tuple[Any, ...], buf: Any, at: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for f in in_order:
            value: Any
            if f.kind == "bytes":
                first = at + f.bit // 8
                value = bytes(buf[first : first + f.elements])
            else:
                slot = slot_of[f.path]
                value = list(slots[slot : slot + f.elements]) if f.array else slots[slot]
                if f.labels is not None:
                    value = f.labels.get(value, value)
            if f.const is not None and value != f.const:
                raise SyncError(f"{f.name}: {value!r} where the layout has {f.const!r}")
            store(result, f.path, value)
        return result

    return build


def store(result: dict[str, Any], path: tuple[str | int, ...], value: Any) -> None:
    """Put a value where its path says, making the dicts and lists on the way."""
    at: Any = result
    for part, following in pairwise(path):
        fresh: Any = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            if part == len(at):
                at.append(fresh)
            at = at[part]
        else:
            at = at.setdefault(part, fresh)
    if isinstance(path[-1], int):
        at.append(value)
    else:
        at[path[-1]] = value


def unfit(
    inputs: tuple[Field, ...], values: Mapping[str, Any], error: Exception | None
) -> FieldRangeError:
    """Find the field that could not be encoded and say why; the fast path only knows that."""
    for f in inputs:
        try:
            value = look_up(values, f)
            given = list(value) if f.array else [value]
        except (LookupError, TypeError) as missing:
            return FieldRangeError(f"{f.name}: no value given ({missing!r}); every field needs one")
        if len(given) != f.elements:
            return FieldRangeError(f"{f.name}: {len(given)} values, must be {f.elements}")
        for each in given:
            if (why := misfit(f, each)) is not None:
                return FieldRangeError(f"{f.name}: {each!r} {why}; nothing was written")
    return FieldRangeError(f"layout: {error}")
