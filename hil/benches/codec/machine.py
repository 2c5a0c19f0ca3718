"""The machine's own table: how fast it copies, by size, which is what every figure leans on."""

from __future__ import annotations

from flightsw.codec import tier
from hil.benches.codec.measure import gb_per_s, memcpy_s
from hil.benches.codec.row import Row

SIZES = ((16 << 10, "16 KiB"), (256 << 10, "256 KiB"), (4 << 20, "4 MiB"), (64 << 20, "64 MiB"))


def machine_rows(quick: bool) -> list[Row]:
    """Return one row a size, memcpy alone."""
    return [
        Row(f"memcpy {name}", "GB/s", {tier.active(): gb_per_s(nbytes)(memcpy_s(nbytes, quick))})
        for nbytes, name in SIZES
    ]
