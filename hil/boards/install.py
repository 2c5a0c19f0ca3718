"""The MicroPython bridge put on a board by its raw REPL, started, and asked who it is.

What is written is ``boards/micropython`` without its comments: the board compiles it, and memory is
what such a board has least of.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from pathlib import Path

from hil.board import board_folders
from hil.boards.boardtype import BoardType
from hil.boards.protocol import Identity, Request, build
from hil.boards.rawrepl import RawRepl
from hil.boards.talk import Talk
from hil.errors import BoardError, HostError

#: What the bridge takes of the board's memory while it is compiled and runs, in octets.
NEEDED_NBYTES = 24_000
#: octets of a file that are written by one small program
PIECE_NBYTES = 128
TRIES = 3
TO_REPL = 1
#: how long a REPL is waited for before a bridge is looked for
TRY_S = 0.8
#: The first octet of a frame; a program that fails says END first.
BOOT_BEGINS = b"\0"
FIRMWARE = "hilwire-micropython"
MARK = "# hil boards install wrote this file\n"
_CHECK = """
a=1
b=0
f=open({name!r},'rb')
while 1:
 p=f.read(64)
 if not p: break
 for c in p:
  a=(a+c)%65521
  b=(b+a)%65521
f.close()
print(a,b)
"""


def folder() -> Path:
    """Return where the sources of the bridge lie. Raises HostError if they are not installed."""
    for place in board_folders():
        if (place / "micropython" / "hilwire.py").is_file():
            return place / "micropython"
    raise HostError("boards/micropython is not there: install flatsat again")


def sources(platform: str) -> dict[str, bytes]:
    """Return the files of the bridge as they are put on a board of a platform, by name."""
    other = ("machine", "buses") if platform == "microbit" else ("microbit",)
    paths = sorted(folder().glob("*.py"))
    wanted = (path for path in paths if not path.stem.endswith(other))
    return {path.name: compact(path.read_text()) for path in wanted}


def build_number() -> int:
    """Return the first 32 bits of the hash of the sources: what the bridge says its build is."""
    whole = hashlib.sha256()
    for path in sorted(folder().glob("*.py")):
        whole.update(path.read_bytes())
    return int.from_bytes(whole.digest()[:4], "big")


def compact(source: str) -> bytes:
    """Return a program without comments and docstrings, indented by one space."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            body[:] = body[1:] or [ast.Pass()]
    lines = []
    for line in ast.unparse(ast.fix_missing_locations(tree)).splitlines():
        bare = line.lstrip()
        if bare:
            lines.append(" " * ((len(line) - len(bare)) // 4) + bare)
    return ("\n".join(lines) + "\n").encode()


def _is_text(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def pins_of(kind: BoardType) -> dict[str, tuple[str, ...]]:
    """Return the pins of each bus in the order in which the bridge takes them."""
    orders = {"i2c": ("sda", "scl"), "spi": ("sck", "mosi", "miso"), "uart": ("tx", "rx")}
    found = {}
    for name, bus in kind.buses.items():
        single = [bus.pins.get(signal) for signal in orders.get(bus.kind, ())]
        listed = bus.pins.get("cs" if bus.kind == "spi" else "pins", ())
        names = (*single, *listed)
        if names and all(isinstance(pin, str) for pin in names):
            found[name] = tuple(str(pin) for pin in names)
    return found


def start_line(number: int, pins: dict[str, tuple[str, ...]]) -> str:
    """Return the program that starts the bridge."""
    return f"import hilwire\nhilwire.run({number:#x}, {pins!r})\n"


class Installer:
    """One installation; ``tell`` gets a line for each step."""

    def __init__(self, talk: Talk, tell: Callable[[str], None] = lambda line: None) -> None:
        self.talk = talk
        self.repl = RawRepl(talk)
        self.tell = tell

    def install(
        self, pins: dict[str, tuple[str, ...]], autostart: bool = True, force: bool = False
    ) -> Identity:
        """Put the bridge on the board, start it and return who it says it is.

        ``autostart`` makes the board start it by itself after a reset. Raises BoardError for a
        board that lacks memory or has a ``main.py`` of its own, unless ``force`` is given.
        """
        try:
            self.repl.enter(TRY_S)
        except BoardError as no_repl:
            self._end_bridge(no_repl)
            self.repl.enter()
        told = self.repl.run("import gc,sys\ngc.collect()\nprint(sys.platform,gc.mem_free())")
        platform, free = told.split()[0], int(told.split()[1])
        if free < NEEDED_NBYTES and not force:
            raise self._too_small(free)
        if autostart and not force:
            self._spare_main()
        files = sources(platform)
        program = start_line(build_number(), pins)
        if autostart:
            files["main.py"] = (MARK + program).encode()
        for name, octets in files.items():
            self._write(name, octets)
        return self._start(program, free)

    def _end_bridge(self, no_repl: BoardError) -> None:
        """Bring a bridge that runs already back to the REPL; a REPL might take HELLO for words."""
        try:
            identity = self.talk.greet()
        except BoardError:
            raise no_repl from None
        told = f"{identity.firmware} {identity.version_text} runs on it"
        if identity.firmware != FIRMWARE:
            raise BoardError(
                f"{self.talk.name}: {told}, which is no MicroPython; `hil boards flash` puts "
                "another firmware on"
            )
        self.tell(f"{told}: back to the REPL")
        self.talk.ask(Request.RESET, build(Request.RESET, kind=TO_REPL))

    def _too_small(self, free: int) -> BoardError:
        return BoardError(
            f"{self.talk.name}: {free:,} octets of memory are free and the bridge needs about "
            f"{NEEDED_NBYTES:,}; flash the C firmware instead (`hil boards flash microbit`)"
        )

    def _spare_main(self) -> None:
        ask = "try:\n print(repr(open('main.py').readline()))\nexcept OSError:\n print('none')"
        first = self.repl.run(ask).strip()
        if first not in ("none", repr(MARK)):
            raise BoardError(
                f"{self.talk.name}: the board has a main.py of its own; --force replaces it, "
                "--no-autostart leaves it"
            )

    def _write(self, name: str, octets: bytes) -> None:
        """Write a file and compare its sums; again where a line without flow control lost some."""
        self.tell(f"{name}: {len(octets)} octets")
        for left in reversed(range(TRIES)):
            try:
                return self._write_once(name, octets)
            except BoardError as damaged:
                if not left:
                    raise
                self.tell(f"{damaged}; written again")
                self.repl.enter()
        return None

    def _write_once(self, name: str, octets: bytes) -> None:
        self.repl.run(f"f=open({name!r},'wb')\nw=f.write")
        for at in range(0, len(octets), PIECE_NBYTES):
            self.repl.run(f"w({octets[at : at + PIECE_NBYTES]!r})")
        self.repl.run("f.close()")
        said = self.repl.run(_CHECK.format(name=name)).strip()
        if said != " ".join(map(str, _sums(octets))):
            raise BoardError(
                f"{self.talk.name}: {name} is not on the board as it was sent; its file system is "
                "full or damaged"
            )

    def _start(self, program: str, free: int) -> Identity:
        self.repl.start(program)
        if self.repl.begins_with(BOOT_BEGINS):
            return self.talk.greet()
        try:
            said = self.repl.finish().strip()
        except BoardError as woe:
            if "MemoryError" in str(woe):
                raise self._too_small(free) from woe
            raise
        raise BoardError(f"{self.talk.name}: the bridge ended at once, saying {said[:80]!r}")


def _sums(octets: bytes) -> tuple[int, int]:
    """Return the two sums of Adler-32."""
    a, b = 1, 0
    for octet in octets:
        a = (a + octet) % 65521
        b = (b + a) % 65521
    return a, b
