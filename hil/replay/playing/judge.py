"""The verdict of a play into a rig: what was answered against what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from flightsw.codec.wire import Record, unpack_all
from hil.board import Board
from hil.capture.reader import Capture
from hil.missions import Mission
from hil.replay.compare import Comparison
from hil.replay.decode import Decoder
from hil.replay.outcome import ReplayOptions, Verdict
from hil.replay.playing.rig import Places
from hil.replay.playing.stimulus import Delivered, is_sent
from hil.replay.playing.verdict import Delivery
from hil.replay.rules import Rules

#: why a record was not delivered to a program
EARLY = "the program ended before it was due"


class Judge:
    """Compares a new run with a capture, as far as that holds outputs.

    A ``whole`` capture is of a run of ours on the same rig: every record counts, with its time.
    Else it is what was sent on the channels that are played, in order; records later than
    ``last_ns`` are beyond what was recorded.
    """

    def __init__(
        self,
        capture: Capture,
        board: Board,
        mission: Mission,
        options: ReplayOptions,
        found: Places,
        *,
        whole: bool,
        last_ns: int | None = None,
    ) -> None:
        self._last_ns = capture.times_ns[1] if last_ns is None else last_ns
        #: (kind, channel of the rig) -> channel of the capture
        self._channels = {(kind, lane): at for (kind, at), lane in found.lanes.items()}
        self._whole = whole
        self._comparison: Comparison | None = None
        played = {found.topics[key] for key in found.lanes}
        ignore, tolerate = tuple(options.ignore), dict(options.tolerate)
        if whole:
            names = {bus.index: bus.name for bus in board.buses} | _names(capture)
            rules = Rules(ignore, tolerate)
            self._comparison = Comparison(
                capture.buffers(), Decoder(board, mission, names), rules, names
            )
        elif any(True for _ in _sent(capture.records(sorted(played)))):
            names = _names(capture)
            rules = Rules((*ignore, "t_ns", "duration_ns"), tolerate, tuple(sorted(played)))
            recorded = (
                b"".join(r.pack() for r in _sent(unpack_all(buffer)))
                for buffer in capture.buffers(sorted(played))
            )
            self._comparison = Comparison(recorded, Decoder(board, mission, names), rules, names)

    def sink(self, octets: bytes) -> None:
        """Take records of the new run."""
        if self._comparison is None:
            return
        if not self._whole:
            octets = b"".join(
                r._replace(channel=self._channels[r.kind, r.channel]).pack()
                for r in _sent(unpack_all(octets))
                if (r.kind, r.channel) in self._channels and r.t_ns <= self._last_ns
            )
        self._comparison.feed(octets)

    def verdict(
        self, delivered: Delivered, lost: Mapping[str, int], *, rest: int = 0, stopped: bool = False
    ) -> Verdict:
        """Return the verdict: what was lost, if anything, and else what differs.

        ``rest`` is what a program did not stay for: no loss where it can be told what it sent.
        """
        if self._comparison is None or any(lost.values()):
            return Delivery.of(delivered, {**lost, EARLY: rest})
        return self._comparison.finish(stopped=stopped)


def _names(capture: Capture) -> dict[int, str]:
    return {info.channel: info.topic.split("/", 2)[-1] for info in capture.channels.values()}


def _sent(records: Iterable[Record]) -> Iterator[Record]:
    """Yield what the payload computer sent by itself."""
    return (record for record in records if is_sent(record))
