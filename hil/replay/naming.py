"""Which field a name in a condition means: by its end, where that is one field and no other."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import IntEnum
from functools import cache
from types import MappingProxyType

from flightsw.codec import dictionary
from hil.config import nearest
from hil.errors import UsageError
from hil.replay.condition import Compare, Condition, Name, Not, Several, Value

#: what is known of every record without decoding it
HEADER = (
    *("seq", "t", "t_ns", "duration_ns", "status", "flags", "address"),
    *("kind", "channel", "topic"),
)
_SHOWN, _WORDS_SHOWN = 4, 12
_NO_VALUES: Mapping[str, Collection[str]] = MappingProxyType({})
#: a field of the second, third... unit that one record completes
_NUMBERED = re.compile(r"((\w+)\[\d+\])\.")


def meant(text: str, known: Collection[str]) -> list[str]:
    """Return the fields that a name may mean: itself, or those that end with it.

    Parts in between may be left out too: ``tm.mode`` means ``tm.hk_core.mode``. The fewer are left
    out, the better; there is more than one answer where as many are.
    """
    if text in known:
        return [text]
    parts = text.split(".")
    found = [field for field in known if _ends(field.split("."), parts)]
    fewest = min((field.count(".") for field in found), default=0)
    return sorted(field for field in found if field.count(".") == fewest)


def _ends(field: list[str], parts: list[str]) -> bool:
    """Tell whether the parts of a name stand in a field in their order, the last one last."""
    if field[-1] != parts[-1]:
        return False
    rest = iter(field[:-1])
    return all(part in rest for part in parts[:-1])


def resolve(
    condition: Condition,
    known: Collection[str],
    words: Collection[str],
    values: Mapping[str, Collection[str]] = _NO_VALUES,
) -> None:
    """Give every name in a condition its field, or let it stand for itself.

    ``known`` are the fields that there are, ``words`` the texts that a field may have, ``values``
    those that some of the fields have had. Raises
    ``UsageError`` for a name that is neither and for one that means several fields.
    """
    if isinstance(condition, Compare):
        _resolve_pair(condition, known, words, values)
    elif isinstance(condition, Not):
        resolve(condition.inner, known, words, values)
    elif isinstance(condition, Several):
        for each in condition.inner:
            resolve(each, known, words, values)
    elif isinstance(condition, Name):
        _resolve_field(condition, known)


def _resolve_pair(
    pair: Compare,
    known: Collection[str],
    words: Collection[str],
    values: Mapping[str, Collection[str]],
) -> None:
    """Resolve both sides of a comparison: one is a field, the other may be a word."""
    names = [side for side in (pair.left, pair.right) if isinstance(side, Name)]
    fields = [name for name in names if meant(name.text, known)]
    if not fields:
        _resolve_field(names[0], known)
    for name in names:
        if name in fields and (name is fields[0] or name.text not in words):
            _resolve_field(name, known)
        elif name.text in words:
            name.is_word = True
        else:
            had = sorted(values.get(fields[0].field, ()))
            told = f"; {fields[0].field} has been {', '.join(had[:_WORDS_SHOWN])}" if had else ""
            hint = told or nearest(name.text, words) or "; put a text in quotes"
            raise UsageError(f"condition: {name.text!r} is no field and no known word{hint}")


def _resolve_field(name: Name, known: Collection[str]) -> None:
    found = meant(name.text, known)
    if not found:
        last = name.text.rpartition(".")[2]
        near = nearest(name.text, known) or nearest(last, {k.rpartition(".")[2] for k in known})
        raise UsageError(f"condition: no record has a field {name.text!r}{near}")
    if len(found) > 1:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        listed = ", ".join(found[:_SHOWN]) + more
        raise UsageError(f"condition: {name.text!r} may be any of {listed}; say more of its name")
    name.field = found[0]


def views(fields: Mapping[str, Value]) -> list[Mapping[str, Value]]:
    """Return the fields of a record once for each packet in it: of several, the second has
    ``tm[1].`` in place of ``tm.``, and a condition is about one of them."""
    numbered: dict[str, dict[str, Value]] = {}
    for name, value in fields.items():
        if found := _NUMBERED.match(name):
            numbered.setdefault(found[1], {})[f"{found[2]}.{name[found.end() :]}"] = value
    if not numbered:
        return [fields]
    first = {name: value for name, value in fields.items() if not _NUMBERED.match(name)}
    heads = {name.partition(".")[0] for unit in numbered.values() for name in unit}
    rest = {name: v for name, v in first.items() if name.partition(".")[0] not in heads}
    return [first, *({**rest, **unit} for unit in numbered.values())]


@cache
def dictionary_words() -> frozenset[str]:
    """Return the words of the dictionary: of enumerations, names of events and functions."""
    found: set[str] = set()
    for value in vars(dictionary).values():
        if isinstance(value, type) and issubclass(value, IntEnum):
            found.update(value.__members__)
    found.update(event.name for event in dictionary.EVENTS)
    found.update(function.name for function in dictionary.FUNCTIONS)
    return frozenset(found)
