"""What a reader of the computer returns: a number or a word with its unit, or why there is none.

A reader never raises for what a host lacks: a host without a sensor is the usual case. It never
takes a missing number for 0 either.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

#: longest text that is taken from a file; those of sysfs have 4096 octets at most
TEXT_LIMIT = 4096


class Reading(NamedTuple):
    """A quantity of this host by name: a whole number of ``unit``, or a word (unit ``""``)."""

    name: str
    value: int | str
    unit: str

    def __str__(self) -> str:
        """Return a line for people."""
        return f"{self.name:<28} {self.value} {self.unit}".rstrip()


class Absent(NamedTuple):
    """A quantity that this host does not tell, and why."""

    name: str
    because: str

    def __str__(self) -> str:
        """Return a line for people."""
        return f"{self.name:<28} absent, because {self.because}"


Result = Reading | Absent


class Unreadable(Exception):  # noqa: N818 - a cause, turned into Absent where the name is known
    """A file could not be used; the text says why as a clause."""


def text_of(path: Path) -> str:
    """Return the text of a small file, without the blanks around it. Raises Unreadable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Unreadable(_cause(path, error)) from None
    try:
        octets = os.read(descriptor, TEXT_LIMIT)
    except OSError as error:
        raise Unreadable(_cause(path, error)) from None
    finally:
        os.close(descriptor)
    return octets.decode("ascii", "replace").strip(" \t\r\n\0")


def _cause(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no {path}"
    return f"{path} cannot be read ({error.strerror or error})"


def number_of(path: Path, base: int = 10) -> int:
    """Return the whole number in a file. Raises Unreadable."""
    text = text_of(path)
    try:
        return int(text, base)
    except ValueError:
        raise Unreadable(f"{path} says {text[:40]!r}, which is no number") from None


def reading(name: str, path: Path, unit: str, scale: int = 1, base: int = 10) -> Result:
    """Return the number in a file divided by ``scale``, or why there is none."""
    try:
        return Reading(name, number_of(path, base) // scale, unit)
    except Unreadable as why:
        return Absent(name, str(why))


def first(name: str, paths: Iterable[Path], unit: str, none: str, base: int = 10) -> Result:
    """Return the number in the first file that is there; ``none`` says why, if none is."""
    for path in paths:
        if path.exists():
            return reading(name, path, unit, base=base)
    return Absent(name, none)


def folders(root: Path, pattern: str) -> list[Path]:
    """Return what below ``root`` fits a pattern, in order; folders that may not be read have
    nothing."""
    return sorted(root.glob(pattern), key=lambda path: (len(path.name), str(path)))
