"""The line of every key of a TOML text.

The standard library parses TOML but forgets where things stood. :func:`index_keys` walks a text
that ``tomllib`` has already accepted, so it needs to know the shape of the grammar
(https://toml.io/en/v1.0.0) and may take its validity for granted.
"""

from __future__ import annotations

import tomllib

_BARE_END = " \t=.]\n"
_VALUE_END = ",]}#\n"

Path = tuple[str | int, ...]


def index_keys(text: str) -> dict[Path, int]:
    """Return the line (from 1) of each key, table and array element, by its path from the root."""
    walk = _Walk(text)
    walk.document()
    return walk.lines


class _Walk:
    """A cursor over the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._elements: dict[Path, int] = {}  # arrays of tables: index of the last element
        self._counted_at = 0
        self._line = 1

    def line(self) -> int:
        """Return the line of the cursor; it only ever moves forward."""
        self._line += self.text.count("\n", self._counted_at, self.at)
        self._counted_at = self.at
        return self._line

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def blanks(self, newlines: bool = True) -> None:
        """Skip white space and, with ``newlines``, line ends and comments."""
        while char := self.peek():
            if char in " \t" or (newlines and char in "\r\n"):
                self.at += 1
            elif newlines and char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def document(self) -> None:
        """Walk headers and key-value pairs to the end of the text."""
        table: Path = ()
        self.blanks()
        while self.peek():
            if self.peek() == "[":
                table = self.header()
            else:
                self.pair(table)
            self.blanks()

    def header(self) -> Path:
        """Walk ``[a.b]`` or ``[[a.b]]`` and return the path of the table that it opens."""
        is_element = self.text.startswith("[[", self.at)
        line = self.line()
        self.at += 2 if is_element else 1
        path: Path = ()
        names = self.key()
        for i, name in enumerate(names):
            path = (*path, name)
            self.lines.setdefault(path, line)
            if is_element and i == len(names) - 1:
                self._elements[path] = self._elements.get(path, -1) + 1
            if path in self._elements:
                path = (*path, self._elements[path])
        self.lines[path] = line
        self.at += 2 if is_element else 1
        return path

    def key(self) -> list[str]:
        """Walk a key, dotted or not, and return its names."""
        names: list[str] = []
        while True:
            self.blanks(newlines=False)
            start = self.at
            if self.peek() in "\"'":
                self.quoted()
                # The standard library knows the escapes; one key is a document of its own.
                names.extend(tomllib.loads(self.text[start : self.at] + "=0"))
            else:
                while self.peek() not in _BARE_END:
                    self.at += 1
                names.append(self.text[start : self.at])
            self.blanks(newlines=False)
            if self.peek() != ".":
                return names
            self.at += 1

    def pair(self, table: Path) -> None:
        """Walk ``key = value`` inside ``table``."""
        line = self.line()
        path = table
        for name in self.key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self.at += 1  # the equals sign
        self.value(path)

    def value(self, path: Path) -> None:
        """Walk one value and index what is inside it."""
        self.blanks(newlines=False)
        opening = self.peek()
        if opening in "\"'":
            self.quoted()
        elif opening in "[{":
            self.container(path, "]" if opening == "[" else "}")
        else:
            while self.peek() and self.peek() not in _VALUE_END:
                self.at += 1

    def container(self, path: Path, closing: str) -> None:
        """Walk an array or an inline table."""
        self.at += 1
        count = 0
        self.blanks()
        while self.peek() != closing:
            if closing == "]":
                self.lines[(*path, count)] = self.line()
                self.value((*path, count))
                count += 1
            else:
                self.pair(path)
            self.blanks()
            if self.peek() == ",":
                self.at += 1
                self.blanks()
        self.at += 1

    def quoted(self) -> None:
        """Walk a string of any of the four kinds."""
        quote = self.peek()
        fence = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(fence)
        while not self.text.startswith(fence, self.at):
            self.at += 2 if quote == '"' and self.peek() == "\\" else 1
        self.at += len(fence)
        while len(fence) == 3 and self.peek() == quote:  # up to two quotes may touch the fence
            self.at += 1
