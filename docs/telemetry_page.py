"""Write `docs/telemetry.md` from the data dictionary: `python docs/telemetry_page.py`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import construct

from flightsw.codec import dictionary
from flightsw.codec.columns.declaration import split_docs
from flightsw.codec.dictionary import enums
from flightsw.codec.dictionary.fields import code_of

PAGE = Path(__file__).with_name("telemetry.md")
TYPES = {"B": "u8", "H": "u16", "L": "u32", "Q": "u64", "b": "i8", "h": "i16", "l": "i32"} | {
    "q": "i64",
    "I": "u32",
    "i": "i32",
    "f": "f32",
    "d": "f64",
}
ENUMS = (
    enums.Severity,
    enums.Role,
    enums.Mode,
    enums.ModeReason,
    enums.GovernorState,
    enums.Suspicion,
    enums.RateGroup,
    enums.JobState,
    enums.JobReason,
    enums.Failure,
    enums.ClassId,
    enums.ComputerKind,
    enums.ThermalSource,
    enums.Provider,
    enums.ProviderFailure,
)
HEAD = """\
# Telemetry and telecommands

Made from `flightsw/codec/dictionary/` by `docs/telemetry_page.py`; do not edit.

Packets are PUS-C (ECSS-E-ST-70-41C) in space packets of CCSDS 133.0-B. Everything is big-endian:
u8 to u64 are whole numbers without a sign, i8 to i64 with one, f32 is IEEE 754. `telemetry.pkts` of
a run holds such packets one after the other; their secondary header ends in the time, 8 octets of
CUC: P-field 0x2F, 4 octets of seconds since the start of the mission, 3 of their fraction.
Programs read the same from XTCE, which `python -m flightsw.codec.dictionary.export` prints.
"""


def cell(text: object) -> str:
    """Return a text that cannot end a cell of a table."""
    return str(text).replace("|", "\\|")


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table of Markdown."""
    names = list(header)
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def type_of(subcon: Any) -> str:
    """Return the type of a field in short: ``u16``."""
    return TYPES[code_of(subcon)]


def fields(struct: construct.Struct) -> str:
    """Return the fields of a layout as a table, or that there are none."""
    if not struct.subcons:
        return "No data.\n"
    rows = []
    for subcon in struct.subcons:
        meaning, unit = split_docs(subcon.docs)
        rows.append((f"`{subcon.name}`", type_of(subcon), unit, meaning))
    return table(("field", "type", "unit", ""), rows)


def page() -> str:
    """Return the text of the page."""
    parts = [HEAD, "## Housekeeping: TM[3,25]\n", "The structure id (u8), then the fields.\n"]
    for structure in dictionary.STRUCTURES:
        every = f"every {structure.interval_s} s" if structure.periodic else "when asked for"
        if structure.optional:
            every += " where it was told to"
        parts += [f"### {structure.sid}: {structure.name}, {every}\n", fields(structure.struct)]
    parts += ["## Events: TM[5,1] to TM[5,4]\n", "The event id (u16), then the fields.\n"]
    for event in dictionary.EVENTS:
        severity = f"{event.severity.name.lower()}, TM[5,{int(event.severity)}]"
        parts += [f"### {event.id}: {event.name}, {severity}\n", fields(event.struct)]
    parts += ["## Functions: TC[8,1]\n", "The function id (u16), then the arguments.\n"]
    for function in dictionary.FUNCTIONS:
        parts += [f"### {function.id}: {function.name}\n", f"{function.doc}\n"]
        parts += [fields(function.struct)]
    parts += ["## Parameters: TC[20,1], TC[20,3]\n", parameters()]
    parts += ["## Numbers with names\n"]
    for enum in ENUMS:
        parts += [f"### {enum.__name__}\n", f"{(enum.__doc__ or '').strip()}\n"]
        parts += [table(("number", "name"), ((int(member), member.name) for member in enum))]
    return "\n".join(parts)


def parameters() -> str:
    """Return the parameters as a table."""
    rows = (
        (f"{p.id:#06x}", f"`{p.name}`", type_of(p.kind), p.unit, p.default, p.lower, p.upper, p.doc)
        for p in dictionary.PARAMETERS
    )
    return table(("id", "name", "type", "unit", "default", "least", "most", ""), rows)


if __name__ == "__main__":
    PAGE.write_text(page())
