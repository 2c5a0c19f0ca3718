"""Parts that other packages contribute: entry points of the group ``hil.parts``.

A package says in its ``pyproject.toml``::

    [project.entry-points."hil.parts"]
    adt7410 = "flatsat_adt7410:Adt7410"

and the type ``adt7410`` is there wherever a built-in one is. Nothing of a package is imported until
somebody names its type.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hil.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from hil.parts.base import Part

GROUP = "hil.parts"


class Offer(NamedTuple):
    """A type of part that packages offer: more than one package is a clash."""

    points: tuple[EntryPoint, ...]

    @property
    def distributions(self) -> tuple[str, ...]:
        """Name and version of each package."""
        found = {f"{p.dist.name} {p.dist.version}" if p.dist else p.value for p in self.points}
        return tuple(sorted(found))

    @property
    def remedy(self) -> str:
        """The command that takes the last of the packages away."""
        return f"pip uninstall {self.distributions[-1].partition(' ')[0]}"


def _mentioned() -> bool:
    """Tell whether an installed package may offer parts: most of the time none does.

    Looking costs a few milliseconds, reading the metadata of every package a hundred.
    """
    for folder in sys.path:
        for path in Path(folder or ".").glob("*-info/entry_points.txt"):
            try:
                if GROUP in path.read_text(errors="replace"):
                    return True
            except OSError:
                return True  # the reader of all the metadata knows better
    return False


@cache
def offers() -> Mapping[str, Offer]:
    """Return the types that packages offer, by name; nothing is imported."""
    if not _mentioned():
        return {}
    from importlib.metadata import entry_points

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return {name: Offer(tuple(points)) for name, points in sorted(found.items())}


def clash(name: str, is_built_in: bool) -> str:
    """Return what is wrong with a name that two want, or nothing."""
    offer = offers().get(name)
    if offer is None or (len(offer.points) == 1 and not is_built_in):
        return ""
    own = "flatsat itself" if is_built_in else ""
    who = " and ".join(filter(None, (own, *offer.distributions)))
    return f"part type {name!r} is offered by {who}; keep one: `{offer.remedy}`"


def load(name: str) -> type[Part]:
    """Return the class of an offered type. Raises ``ConfigError`` that names who is to blame."""
    from hil.parts.base import Part

    wrong = clash(name, is_built_in=False)
    if wrong:
        raise ConfigError(wrong)
    offer = offers()[name]
    blame = f"part type {name!r} of {offer.distributions[0]}"
    remedy = f"mend it, or `{offer.remedy}`"
    try:
        part = offer.points[0].load()
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{blame} cannot be loaded ({text}); {remedy}") from error
    if not (isinstance(part, type) and issubclass(part, Part)):
        what = offer.points[0].value
        raise ConfigError(f"{blame}: {what} is no subclass of hil.parts.base.Part; {remedy}")
    return part
