"""What each operation of the codec costs: each tier of ours, memcpy, and every installed peer.

One module a subject; its ``rows(quick)`` returns what it measured. All of a row is measured in one
run on the same octets, and each figure is the best of its repeats, because the machine is shared.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from hil.benches.codec.machine import machine_rows
from hil.benches.codec.row import Row

#: not subjects
_SHARED = {"columns_peers", "machine", "measure", "row"}


def subjects() -> tuple[str, ...]:
    """Return the names of what can be measured."""
    return tuple(sorted({m.name for m in pkgutil.iter_modules(__path__)} - _SHARED))


def run(
    quick: bool = False,
    only: tuple[str, ...] = (),
    watch: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Return one object a row: first the machine's own copying speed, then each subject.

    ``watch`` is told what is measured next.
    """
    watch("memcpy")
    rows: list[Row] = machine_rows(quick)
    names = only or subjects()
    for number, name in enumerate(names, 1):
        watch(f"{name} ({number} of {len(names)})")
        rows += importlib.import_module(f"hil.benches.codec.{name}").rows(quick)
    return [row.as_object() for row in rows]


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as text: our best tier, its ratio to memcpy, every tier, every peer."""
    lines = [
        ("operation", "unit", "ours", "x memcpy", "tiers", "peers (ours is so many times better)")
    ]
    for row in rows:
        tiers = "  ".join(f"{name} {figure(value)}" for name, value in row["tiers"].items())
        peers = "  ".join(
            f"{name} {figure(value)} (x{figure(row['times_peer'][name])})"
            for name, value in row["peers"].items()
        )
        ratio = "-" if row["times_memcpy"] is None else f"{row['times_memcpy']:.2f}"
        lines.append(
            (row["op"], row["unit"], figure(row["ours"]), ratio, tiers or "-", peers or "-")
        )
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def figure(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
