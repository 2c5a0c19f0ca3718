"""TOML files of a user, read so that every complaint names file, line and key.

:func:`load_toml` returns a :class:`Document`: the data as the standard library reads it, and the
line of every key. Whoever interprets the file (board, mission, fault plan) checks it through the
document's methods; each raises :class:`~hil.errors.ConfigError` with one line of text and nothing
else, whatever the file holds.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hil.errors import ConfigError
from hil.tomlindex import index_keys
from hil.units import parse_quantity

__all__ = ["Document", "check_keys", "load_toml", "nearest", "parse_quantity"]

FILE_LIMIT_NBYTES = 1 << 20
_MESSAGE_LIMIT = 400
_MISSING: Any = object()

#: keys from the root: names of tables and keys, numbers for places in arrays
KeyPath = tuple[str | int, ...]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to ``word``, or ``""``."""
    match = difflib.get_close_matches(word[:64], list(known), n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else ""


def as_path(key: str | KeyPath) -> KeyPath:
    """Return a key path from ``"bus.i2c-1.kind"`` or a tuple (for names that hold a dot)."""
    if isinstance(key, str):
        return tuple(key.split(".")) if key else ()
    return tuple(key)


def show_key(path: KeyPath) -> str:
    """Return a key path as TOML would spell it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = part.isascii() and part.replace("-", "").replace("_", "").isalnum()
        text += ("." if text else "") + (part if bare else repr(part))
    return text


def one_line(text: str) -> str:
    """Return ``text`` with every run of white space one blank and no control characters."""
    return visible(" ".join(text.split()))[:_MESSAGE_LIMIT]


def visible(text: str) -> str:
    """Return ``text`` with a question mark for whatever a terminal would heed and not show."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


class Document:
    """A TOML file: its text in ``source``, its ``data``, and where each key stands."""

    def __init__(
        self, path: Path, source: str, data: dict[str, Any], lines: dict[KeyPath, int]
    ) -> None:
        self.path = path
        self.source = source
        self.data = data
        self.lines = lines

    def line_of(self, key: str | KeyPath) -> int:
        """Return the line of a key, or of the nearest table around it that has one."""
        path = as_path(key)
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return 1

    def error(self, key: str | KeyPath, message: str) -> ConfigError:
        """Return the error to raise: ``file:line: key: message`` in one line."""
        path = as_path(key)
        place = f"{self.path}:{self.line_of(path)}: "
        return ConfigError(one_line(place + (f"{show_key(path)}: " if path else "") + message))

    def find(self, key: str | KeyPath, default: Any = _MISSING) -> Any:
        """Return the value at a key path; raises ConfigError if it is absent and has no default."""
        path = as_path(key)
        here: Any = self.data
        for part in path:
            in_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
            if in_list or (isinstance(here, dict) and part in here):
                here = here[part]
            elif default is _MISSING:
                raise self.error(path[:-1], f"key {show_key(path[-1:])!r} is missing")
            else:
                return default
        return here

    def table(self, key: str | KeyPath, default: Any = _MISSING) -> dict[str, Any]:
        """Return a table."""
        value = self.find(key, default)
        if value is not default:
            self._typed(key, value, dict, "a table")
        return value  # type: ignore[no-any-return]  # a table, or the caller's own default

    def text(self, key: str | KeyPath, default: Any = _MISSING) -> str:
        """Return a string that is not empty."""
        value = self.find(key, default)
        if value is default:
            return default  # type: ignore[no-any-return]  # the caller's own default
        if not self._typed(key, value, str, "text in quotes").strip():
            raise self.error(key, "must not be empty")
        return str(value)

    def integer(self, key: str | KeyPath, lower: int, upper: int, default: Any = _MISSING) -> int:
        """Return a whole number within ``lower`` to ``upper``, both included."""
        value = self.find(key, default)
        if value is default:
            return default  # type: ignore[no-any-return]  # the caller's own default
        self._typed(key, value, int, "a whole number")
        if not lower <= value <= upper:
            raise self.error(key, f"{value} is outside {lower} to {upper}")
        return int(value)

    def quantity(self, key: str | KeyPath, unit: str, default: Any = _MISSING) -> float:
        """Return a quantity with a unit, such as ``"400 kHz"``, converted to ``unit``."""
        value = self.find(key, default)
        if value is default:
            return default  # type: ignore[no-any-return]  # the caller's own default
        try:
            return parse_quantity(value, unit)
        except ConfigError as wrong:
            raise self.error(key, str(wrong)) from None

    def choice(self, key: str | KeyPath, known: Iterable[str], default: Any = _MISSING) -> str:
        """Return a string that is one of ``known``."""
        names = list(known)
        value = self.text(key, default)
        if value is not default and value not in names:
            hint = nearest(value, names) or f"; known: {', '.join(names)}"
            raise self.error(key, f"unknown value {value!r}{hint}")
        return value

    def check_keys(self, key: str | KeyPath, known: Iterable[str]) -> None:
        """Raise ConfigError for the first key of the table at ``key`` that is not in ``known``."""
        check_keys(self, key, known)

    def _typed(self, key: str | KeyPath, value: Any, kind: type, wanted: str) -> Any:
        # bool is an int to Python and never to a user.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, f"must be {wanted}, is {_kind_name(value)}")
        return value


def _kind_name(value: Any) -> str:
    """Return what a TOML value is, for a user."""
    names = {dict: "a table", list: "an array", str: "text", bool: "a boolean"}
    names |= {int: "a whole number", float: "a number with a fraction"}
    return f"{names.get(type(value), 'a date or time')} ({one_line(repr(value))[:60]})"


def check_keys(doc: Document, key: str | KeyPath, known: Iterable[str]) -> None:
    """Raise ConfigError, with the nearest known name, for an unknown key of a table."""
    names = list(known)
    path = as_path(key)
    for name in doc.table(path):
        if name not in names:
            hint = nearest(name, names) or f"; known: {', '.join(names)}"
            raise doc.error((*path, name), f"unknown key{hint}")


def load_toml(path: str | Path) -> Document:
    """Read a TOML file of at most 1 MiB.

    Raises :class:`~hil.errors.ConfigError`, in one line, whatever is wrong: absent, a folder, not
    readable, too large, not UTF-8, not TOML.
    """
    path = Path(path)
    return document(_read_text(path), path)


def document(text: str, path: Path) -> Document:
    """Return the text of a TOML file as a document; ``path`` is what complaints call it.

    Raises :class:`~hil.errors.ConfigError`, in one line, for what is no TOML.
    """
    try:
        data = tomllib.loads(text)
        lines = index_keys(text)
    except RecursionError:
        raise ConfigError(one_line(f"{path}: arrays or tables are nested too deeply")) from None
    except ValueError as wrong:  # TOMLDecodeError, and integers beyond the interpreter's limit
        raise ConfigError(_syntax_message(path, text, str(wrong))) from None
    return Document(path, text, data, lines)


def _read_text(path: Path) -> str:
    """Return the text of the file, or raise ConfigError."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(one_line(f"{path}: is not a file; give the path of a .toml file"))
        with path.open("rb") as file:
            raw = file.read(FILE_LIMIT_NBYTES + 1)
    except (OSError, ValueError) as wrong:  # ValueError: a NUL in the path
        reason = getattr(wrong, "strerror", None) or str(wrong)
        raise ConfigError(one_line(f"{path}: cannot be read: {reason}")) from None
    if len(raw) > FILE_LIMIT_NBYTES:
        limit_kib = FILE_LIMIT_NBYTES // 1024
        raise ConfigError(
            one_line(f"{path}: is larger than {limit_kib} KiB; no such file should be")
        )
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as wrong:
        line = raw.count(b"\n", 0, wrong.start) + 1
        raise ConfigError(one_line(f"{path}:{line}: is not UTF-8; save it as UTF-8")) from None


def _syntax_message(path: Path, text: str, complaint: str) -> str:
    """Return ``file:line: what`` from what the standard library says of a text."""
    what, mark, place = complaint.rpartition(" (at ")
    if not mark:
        return one_line(f"{path}: not valid TOML: {complaint}")
    line = place.removeprefix("line ").split(",")[0]
    if not line.isdecimal():  # "end of document"
        line = str(text.rstrip().count("\n") + 1)
    return one_line(f"{path}:{line}: not valid TOML: {what}")
