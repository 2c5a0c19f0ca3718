"""The raw REPL of MicroPython: programs go to the board, what they print comes back.

A thin reader of our own: what is needed is a page, while the tool that MicroPython ships takes
``/dev/pts/N`` for its only kind of pseudo-terminal and resets interpreters that end thereby.
The protocol is that of docs.micropython.org/en/latest/reference/repl.html: Ctrl-A enters, Ctrl-D
runs, the output comes between ``OK`` and two Ctrl-D; raw-paste mode adds a window, in octets.
"""

from __future__ import annotations

from typing import Protocol

from hil.errors import BoardError

INTERRUPT, ENTER_RAW, LEAVE_RAW, END = b"\x03", b"\x01", b"\x02", b"\x04"
BANNER = b"raw REPL; CTRL-B to exit\r\n>"
PASTE, PASTE_YES, PASTE_NO, MORE = b"\x05A\x01", b"R\x01", b"R\x00", b"\x01"
#: Boards without raw-paste get so much at a time, and a pause: they say nothing while they listen.
PIECE_NBYTES, PAUSE_S = 32, 0.01
QUIET_S, ANSWER_S, COMPILE_S = 0.2, 3.0, 20.0
_CHATTER_NBYTES = 1 << 16


class Wire(Protocol):
    """What a raw REPL talks over: :class:`hil.boards.talk.Talk` is one."""

    name: str

    def read(self, timeout_s: float) -> bytes:
        """Return what came within ``timeout_s``, nothing if nothing did."""

    def write(self, octets: bytes) -> None:
        """Write everything."""


class RawRepl:
    """A board's interpreter; ``enter`` first."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._waiting = b""
        self._pastes = True

    def enter(self, answer_s: float = ANSWER_S) -> None:
        """Stop what runs and enter the raw REPL. Raises BoardError if nothing answers like one."""
        self.wire.write(b"\r" + INTERRUPT + INTERRUPT)
        heard = self._quiet()
        self.wire.write(b"\r" + ENTER_RAW)
        if not self._until(BANNER, answer_s)[1]:
            what = "something else answers" if heard else "nothing answers"
            raise BoardError(
                f"{self.wire.name}: {what} where MicroPython's REPL was expected; "
                "reset the board, put MicroPython on it, or flash the firmware of its type"
            )
        try:
            self.run("pass")  # an interrupt that was still on its way ends this one
        except BoardError:
            self.run("pass")

    def run(self, source: str) -> str:
        """Run a program and return what it prints. Raises BoardError with its last line of woe."""
        self.start(source)
        return self.finish()

    def start(self, source: str) -> None:
        """Hand a program over and let it begin."""
        octets = source.encode()
        if self._pastes and self._paste(octets):
            return
        for at in range(0, len(octets), PIECE_NBYTES):
            self.wire.write(octets[at : at + PIECE_NBYTES])
            self._waiting += self.wire.read(PAUSE_S)
        self.wire.write(END)
        if not self._until(b"OK")[1]:
            raise self._deaf()

    def _paste(self, octets: bytes) -> bool:
        """Hand a program over in raw-paste mode; tell whether the board knows it."""
        self.wire.write(PASTE)
        answer = self._take(2)
        if answer != PASTE_YES:
            self._pastes = False
            if answer != PASTE_NO:
                self._until(BANNER[len(answer) :])  # an older one takes it for Ctrl-A
            return False
        window = room = int.from_bytes(self._take(2), "little")
        while octets:
            if not room:
                told = self._take(1)
                if told != MORE:
                    raise self._deaf()
                room += window
            self.wire.write(octets[:room])
            octets, room = octets[room:], max(room - len(octets), 0)
        self.wire.write(END)
        if not self._until(END)[1]:
            raise self._deaf()
        return True

    def _deaf(self) -> BoardError:
        return BoardError(f"{self.wire.name}: the board does not take a program; reset it")

    def begins_with(self, octet: bytes) -> bool:
        """Tell whether the program that began says this octet first, which it takes away then."""
        self._waiting += self._waiting or self.wire.read(COMPILE_S)
        if not self._waiting.startswith(octet):
            return False
        self._waiting = b""
        return True

    def finish(self) -> str:
        """Return what the program that began has printed, when it has ended."""
        printed, ended = self._until(END)
        if not ended:
            raise BoardError(f"{self.wire.name}: the program on the board does not end; reset it")
        woe, _ = self._until(END)
        self._until(b">")
        if woe:
            last = woe.decode(errors="replace").strip().splitlines()[-1]
            raise BoardError(f"{self.wire.name}: the board says {last}")
        return printed.decode(errors="replace")

    def leave(self) -> None:
        """Go back to the friendly REPL."""
        self.wire.write(b"\r" + LEAVE_RAW)

    def _quiet(self) -> bytes:
        """Return what comes until nothing does; at most so much, from a board that chatters."""
        heard = self._waiting
        self._waiting = b""
        while len(heard) < _CHATTER_NBYTES and (octets := self.wire.read(QUIET_S)):
            heard += octets
        return heard

    def _until(self, mark: bytes, answer_s: float = ANSWER_S) -> tuple[bytes, bool]:
        """Return what comes before ``mark``, and whether it came."""
        heard = self._waiting
        while mark not in heard:
            octets = self.wire.read(answer_s)
            if not octets:
                self._waiting = b""
                return heard, False
            heard += octets
        before, _, self._waiting = heard.partition(mark)
        return before, True

    def _take(self, n: int) -> bytes:
        """Return the next n octets, fewer if the board falls silent."""
        while len(self._waiting) < n and (octets := self.wire.read(ANSWER_S)):
            self._waiting += octets
        taken, self._waiting = self._waiting[:n], self._waiting[n:]
        return taken
