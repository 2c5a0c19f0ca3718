"""Limits of a part's own parameters, judged when the part is built."""

from __future__ import annotations

from hil.errors import ConfigError


def check_limits(name: str, limits: dict[str, tuple[float, float, float]]) -> None:
    """Check ``{key: (value, lowest, highest)}`` of part ``name``.

    Raises :class:`~hil.errors.ConfigError` for the first value outside its limits.
    """
    for key, (value, lowest, highest) in limits.items():
        if not lowest <= value <= highest:
            raise ConfigError(f"part {name!r}: {key} is {value:g}; give {lowest:g} to {highest:g}")
