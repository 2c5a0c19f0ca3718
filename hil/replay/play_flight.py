"""Play into our flight software: the rig flies, but what comes in by itself is what was recorded.

Serial octets, CAN frames and edges come from the capture, at their recorded times; transactions
(I2C, SPI, 1-Wire, camera) are answered by the emulated parts in the emulated world. A capture of
our own run is compared with the new one record by record; an import has outputs only where it says
so, else what was delivered is the verdict.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from flightsw.codec.wire import Kind, unpack_all
from hil.board import load_board
from hil.capture.reader import Capture
from hil.digest import RecordStream
from hil.errors import UsageError
from hil.replay.compare import Comparison
from hil.replay.decode import Decoder
from hil.replay.flown import Flown
from hil.replay.outcome import PLAY, Replayed, ReplayOptions, Verdict
from hil.replay.play_rig import Places, hold_back, places, told
from hil.replay.play_stimulus import Delivered, Player, is_input, stimulus
from hil.replay.play_verdict import Delivery, Played
from hil.replay.rules import Rules
from hil.replay.stepped import Stepped
from hil.rig import SECOND, Rig
from hil.time.kernel import NEVER_NS
from hil.time.pacing import Pacer, fine_sleep

#: an imported stimulus has no end of its own: the flight software gets this long to answer
AFTER_NS = SECOND


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Fly with recorded stimulus."""
    if options.start:
        raise UsageError(f"--from {options.start}: the flight software begins at its beginning")
    if options.transport != "direct":
        raise UsageError(f"--transport {options.transport}: play flies direct; leave it away")
    board = flown.board if options.board is None else load_board(options.board)
    course = replace(flown, board=board) if options.board is not None else flown
    with (
        Capture(flown.capture, tolerant=not flown.whole) as capture,
        tempfile.TemporaryDirectory(prefix="flatsat-") as folder,
    ):
        found = places(flown, board, capture)
        judge = Judge(flown, course, capture, options)
        stepped = Stepped(course, Path(folder) / "payload", RecordStream(judge.sink))
        silenced = hold_back(flown, board, stepped.rig.exchange, found)
        for one in silenced:
            say(f"silenced: {one}")
        return _fly(flown, options, capture, stepped, found, judge, silenced)


def _fly(
    flown: Flown,
    options: ReplayOptions,
    capture: Capture,
    stepped: Stepped,
    found: Places,
    judge: Judge,
    silenced: list[str],
) -> Replayed:
    rig = stepped.rig
    exchange, kernel = rig.exchange, rig.kernel
    delivered = Delivered.of(capture)
    records = (r for r in stimulus(capture, options, is_input) if found.wanted(r))
    player = Player(kernel, records, found.bringer(exchange), delivered)
    if flown.imported or options.until is not None:
        last_ns = 0 if options.until is not None else capture.times_ns[1]
        player.ended = lambda t_ns: _end(rig, max(t_ns, last_ns) + AFTER_NS)
    player.begin()
    begin = time.perf_counter()
    with contextlib.ExitStack() as stack:
        if options.pace != "max":
            # Loading the flight software is not part of its time.
            while stepped.app is None and stepped.step():
                pass
            player.late = Pacer(kernel, options.pace).late_ns
            stack.enter_context(fine_sleep())
        stepped.run()
    wall_s = time.perf_counter() - begin
    return Played(
        PLAY,
        judge.verdict(delivered, found, player.rest()),
        kernel.now_ns / SECOND,
        wall_s,
        flown.wall_s,
        delivered.figures(),
        told=tuple(told(silenced, exchange, rig.board)),
    )


def _end(rig: Rig, t_ns: int) -> None:
    """Bring the end of the run forward."""
    rig.exchange.end_ns = min(t_ns, rig.exchange.end_ns)


class Judge:
    """Compares the new run with the capture where that holds outputs."""

    def __init__(
        self, flown: Flown, course: Flown, capture: Capture, options: ReplayOptions
    ) -> None:
        self._stopped = flown.imported or options.until is not None
        outputs = _outputs(capture) if flown.imported else None
        self._comparison: Comparison | None = None
        if outputs is None or outputs:
            ignore = (*options.ignore, *(("t_ns", "duration_ns") if flown.imported else ()))
            board = course.board
            names = {bus.index: bus.name for bus in board.buses}
            names |= {
                info.channel: info.topic.split("/", 2)[-1] for info in capture.channels.values()
            }
            recorded = capture.buffers(outputs)
            self._comparison = Comparison(
                recorded if outputs is None else _answers(recorded),
                Decoder(board, course.mission, names),
                Rules(
                    tuple(ignore),
                    dict(options.tolerate),
                    None if outputs is None else tuple(sorted(outputs)),
                ),
                names,
            )
        self._answers_only = outputs is not None
        #: an import is compared as far as it goes
        self._last_ns = capture.times_ns[1]

    def sink(self, octets: bytes) -> None:
        """Take records of the new run."""
        if self._comparison is not None:
            if self._answers_only:
                octets = next(_answers([octets], self._last_ns))
            self._comparison.feed(octets)

    def verdict(self, delivered: Delivered, found: Places, rest: int) -> Verdict:
        """Return the verdict."""
        lost = found.lost | ({"due after the end of the run": rest} if rest else {})
        if self._comparison is None or lost:
            return Delivery.of(delivered, lost)
        return self._comparison.finish(stopped=self._stopped)


def _outputs(capture: Capture) -> frozenset[str]:
    """Return the topics on which an import says that something was sent."""
    sent = (int(Kind.UART), int(Kind.CAN), int(Kind.GPIO))
    topics = {(c.kind, c.channel): c.topic for c in capture.channels.values() if c.kind in sent}
    found = {
        topics[r.kind, r.channel]
        for r in capture.records(list(topics.values()) or None)
        if (r.kind, r.channel) in topics and not is_input(r)
    }
    return frozenset(found)


def _answers(buffers: Iterable[bytes], last_ns: int = NEVER_NS) -> Iterator[bytes]:
    """Yield buffers without what came in, which was brought, and without what is too late."""
    for buffer in buffers:
        yield b"".join(
            r.pack() for r in unpack_all(buffer) if not is_input(r) and r.t_ns <= last_ns
        )
