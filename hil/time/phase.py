"""The order of things that happen at the same instant."""

from __future__ import annotations

from enum import IntEnum


class Phase(IntEnum):
    """Ties at one virtual time are broken by phase, then source, then order of arrival."""

    PHYSICS = 0
    PART = 1
    BUS = 2
    FLIGHT = 3
    CHECK = 4
