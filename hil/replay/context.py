"""What happened around the first divergence, in both streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from difflib import SequenceMatcher

from flightsw.codec.wire import Record, unpack_all, unpack_from
from hil.replay.batch import starts
from hil.replay.verdict import Line

BEFORE, AFTER = 10, 3
#: offset of the number in a record
_NUMBER = 24
#: octets kept of each stream: while both run together, and while one waits for the other
_TOGETHER_NBYTES, _APART_NBYTES = 1 << 17, 8 << 20


class Ring:
    """The last records of one stream."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._nbytes = 0

    def add(self, octets: bytes) -> None:
        """Take whole records."""
        if octets:
            self._pieces.append(octets)
            self._nbytes += len(octets)

    def trim(self, together: bool) -> None:
        """Forget what is too far back."""
        limit = _TOGETHER_NBYTES if together else _APART_NBYTES
        while len(self._pieces) > 2 and self._nbytes - len(self._pieces[0]) > limit:
            self._nbytes -= len(self._pieces.popleft())

    def split(
        self, kind: int, channel: int, octets: bytes | None
    ) -> tuple[list[Record], list[Record]]:
        """Return the records of a kind and channel before one of them, and from it on; without
        one, all are before it."""
        wanted = [
            record
            for piece in self._pieces
            for record in unpack_all(piece)
            if record.kind == kind and record.channel == channel
        ]
        place = len(wanted)
        if octets is not None:
            first = unpack_from(octets)[0]
            place = next((n for n, record in enumerate(wanted) if record == first), place)
        return wanted[:place], wanted[place:]

    def around(self, octets: bytes) -> tuple[list[Record], list[Record]] | None:
        """Return the records before and from a record on; None if it is no longer there."""
        return self._split(lambda piece: _place(piece, octets))

    def behind(self, record: Record) -> tuple[list[Record], list[Record]] | None:
        """Return the records up to one with any number, and those behind it; None if it is no
        longer there."""
        octets = record.pack()

        def place(piece: bytes) -> int | None:
            at = _place(piece, octets, but_number=True)
            return None if at is None else at + len(octets)

        return self._split(place)

    def _split(
        self, place: Callable[[bytes], int | None]
    ) -> tuple[list[Record], list[Record]] | None:
        before: list[Record] = []
        behind: list[Record] = []
        found = False
        for piece in reversed(self._pieces):
            at = len(piece) if found else place(piece)
            if at is None:
                behind = (list(unpack_all(piece)) + behind)[: AFTER + 1]
                continue
            if not found:
                behind = (list(unpack_all(piece[at:])) + behind)[: AFTER + 1]
            found = True
            before = list(unpack_all(piece[:at])) + before
            if len(before) >= BEFORE:
                break
        return (before[-BEFORE:], behind) if found else None


def _place(piece: bytes, octets: bytes, but_number: bool = False) -> int | None:
    """Return where a record begins in a piece, from its end; its number may be another."""
    head, tail = (octets[:_NUMBER], octets[_NUMBER + 4 :]) if but_number else (octets, b"")
    at = piece.rfind(head)
    while at >= 0:
        places = starts(piece)
        if places[places.searchsorted(at)] == at and piece.startswith(
            tail, at + len(octets) - len(tail)
        ):
            return at
        at = piece.rfind(head, 0, at + len(head) - 1)
    return None


class Context:
    """The events around one place."""

    def __init__(self, old: bytes | None, new: bytes | None) -> None:
        self._at = (old, new)
        self._sides: list[tuple[list[Record], list[Record]]] = [([], []), ([], [])]

    def look(self, *rings: Ring) -> None:
        """Take what has come since."""
        for nth, ring in enumerate(rings):
            at = self._at[nth]
            if at is not None and len(self._sides[nth][1]) <= AFTER:
                self._keep(nth, ring.around(at))
        for nth, ring in enumerate(rings):
            if self._at[nth] is None:
                self._look_behind(nth, ring)

    def _look_behind(self, nth: int, ring: Ring) -> None:
        """Find the place of what one side does not have: behind the last that both have."""
        before, behind = self._sides[nth]
        if len(behind) > AFTER:
            return
        for record in reversed(before or self._sides[1 - nth][0]):
            if (around := ring.behind(record)) is not None:
                self._keep(nth, around)
                return

    def _keep(self, nth: int, around: tuple[list[Record], list[Record]] | None) -> None:
        if around is not None:
            self._sides[nth] = (self._sides[nth][0] or around[0], around[1])

    def lines(self, describe: Callable[[Record], str], whole: bool = False) -> tuple[Line, ...]:
        """Return the events, those of both once; ``whole``: those whose octets are the same, too,
        which a text does not show to the end."""
        old, new = ([*before, *behind] for before, behind in self._sides)
        told = [[(r.t_ns, describe(r)) for r in side] for side in (old, new)]
        lines: list[Line] = []
        keys = [
            [(*line, self._octets(r, nth, whole)) for r, line in zip(side, told[nth], strict=True)]
            for nth, side in enumerate((old, new))
        ]
        matcher = SequenceMatcher(None, keys[0], keys[1], autojunk=False)
        for tag, a, a_end, b, b_end in matcher.get_opcodes():
            is_equal = tag == "equal"
            lines += (
                Line("" if is_equal else "-", old[n].seq, *told[0][n]) for n in range(a, a_end)
            )
            if not is_equal:
                lines += (Line("+", new[n].seq, *told[1][n]) for n in range(b, b_end))
        return tuple(lines)

    def _octets(self, record: Record, nth: int, whole: bool) -> bytes:
        """Return what must be the same, besides the text: where the streams part, everything."""
        is_place = record.pack() == self._at[nth]
        return record.payload if whole or (is_place and None not in self._at) else b""
