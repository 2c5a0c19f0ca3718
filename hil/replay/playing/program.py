"""Play to a program under the faces: it opens devices of the bench, and gets what was recorded.

The stimulus begins when the program has opened the first device that is played, so that nothing of
it is gone before there is anybody to hear it. With ``--pace max`` the next record comes as soon as
the program has read enough of those before. When the last one is out, the program has a second to
end by itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hil import hosting
from hil.board import load_board
from hil.capture.reader import Capture
from hil.digest import RecordStream
from hil.errors import UsageError
from hil.faces.host import Host
from hil.options import Options
from hil.replay.flown import Flown
from hil.replay.outcome import PLAY, Replayed, ReplayOptions
from hil.replay.playing.judge import EARLY, Judge
from hil.replay.playing.rig import hold_back, places, told
from hil.replay.playing.stimulus import Delivered, Player, is_input, stimulus
from hil.replay.playing.verdict import Played
from hil.rig import SECOND, Rig
from hil.time.kernel import NEVER_NS
from hil.time.pacing import fine_sleep, first_in_line

#: from the opening of the first device to the start of the stimulus: what is opened is set up
LEAD_NS = SECOND // 10
AFTER_NS = SECOND
#: how often it is looked whether a device is open, or whether a program has read on, seconds
LOOK_S = 0.002
#: unread octets of a program at which the next record waits, where nothing else holds it back
BACKLOG_NBYTES = 2048
#: what the counters of the faces call loss
LOST = ("unread", "rx_unopened", "rx_overrun", "unopened", "unheard")


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Play the stimulus of a capture to ``options.program``."""
    board = flown.board if options.board is None else load_board(options.board)
    command = list(options.program)
    face = hosting.Face.of(command)
    asked = Options(board=board.name, pace=options.pace, seed=flown.options.seed)
    with Capture(flown.capture, tolerant=not flown.whole) as capture:
        found = places(flown, board, capture)
        judge = Judge(
            *(capture, board, flown.mission, options, found), whole=False, last_ns=NEVER_NS
        )
        rig = Rig(
            *(board, flown.mission),
            seed=flown.options.seed,
            duration_s=6 * 3600.0,
            flight=False,
            stream=RecordStream(lambda octets: judge.sink(octets)),
        )
        silenced = hold_back(flown, board, rig.exchange, found)
        for one in silenced:
            say(f"silenced: {one}")
        feed = Feed(rig, options.pace == "max")
        delivered = Delivered.of(capture)
        records = (r for r in stimulus(capture, options, is_input) if found.wanted(r))
        late = None if options.pace == "max" else feed.late_ns
        feed.player = Player(rig.kernel, records, found.bringer(rig.exchange), delivered, late)
        feed.player.ended = feed.end
        with contextlib.ExitStack() as stack:
            if late is not None:
                stack.enter_context(fine_sleep())
                feed.is_first = stack.enter_context(first_in_line())
            begin = time.perf_counter()
            ended = hosting.serve(rig, asked, command, face, Path(), None, feed.attach)
            wall_s = time.perf_counter() - begin
        rig.finish()
        rest = feed.rest + feed.player.rest()
        lost = {**found.lost, **feed.lost()}
        stopped = options.until is not None
        verdict = judge.verdict(delivered, lost, rest=rest, stopped=stopped)
    if not feed.begun:
        raise UsageError(
            f"{command[0]} opened none of the devices that are played; it ended with code "
            f"{ended.code}"
        )
    figures: dict[str, Any] = {"exit_code": ended.code, "heard": feed.heard()}
    figures["delivered"] = dict(delivered.counts)
    if late is not None:
        figures["scheduling"] = "first in, first out" if feed.is_first else "as any program"
    return Played(
        PLAY,
        verdict,
        rig.kernel.now_ns / SECOND,
        wall_s,
        figures=figures | delivered.figures(),
        notes=(f"{rest:,} records were not delivered: {EARLY}",) if rest else (),
        told=tuple(told(silenced, rig.exchange, board)),
    )


class Feed:
    """Starts the player when somebody listens, and holds it back while nobody reads on."""

    player: Player
    _host: Host

    def __init__(self, rig: Rig, at_once: bool) -> None:
        self.rig = rig
        self.begun = False
        #: the loop comes before other programs of the host
        self.is_first = False
        #: records that were still to come when the program ended
        self.rest = 0
        self._at_once = at_once
        self._wait_s = LOOK_S

    def attach(self, host: Host) -> None:
        """Take part in the loop of a host."""
        self._host = host
        host.spin_s = 0.0  # a sleep that ends on time is enough
        host.ended = self.stop
        host.look_after, host.idle_s = self.look, lambda: self._wait_s

    def stop(self) -> None:
        """Play nothing more: there is nobody."""
        self.rest = self.player.rest()

    def look(self) -> None:
        """Do what the loop of the host is to do next."""
        if not self.begun:
            self.begun = self._is_open()
            if self.begun:
                present_ns = self._host.present.now_ns()
                self.player.begin(present_ns + LEAD_NS - self.player.first_ns)
                self._wait_s = 3600.0
            return
        if not self._at_once or self.player.due_ns == NEVER_NS:
            self._wait_s = 3600.0
        elif self._host.backlog_nbytes() > BACKLOG_NBYTES:
            self._wait_s = LOOK_S
        else:
            self._wait_s = 0.0
            self._host.present.jump(max(self.player.due_ns, self._host.present.now_ns()))

    def _is_open(self) -> bool:
        """Tell whether a program has opened something that is played."""
        host, played = self._host, self.rig.exchange.held_back
        for line in host.lines.values():
            if line.terminal.is_open():
                return True
        for kind, counter in (("can", "joined"), ("gpio", "requests"), ("uart", "opened")):
            if host.desks[kind].counters[counter]:
                return any(self.rig.exchange.lanes[index].kind == kind for index in played)
        return False

    def late_ns(self, t_ns: int) -> int:
        """Return how late the wall is for ``t_ns``."""
        return self._host.present.late_ns(t_ns)

    def end(self, t_ns: int) -> None:
        """Let the program end by itself for a while."""
        self.rig.exchange.end_ns = t_ns + AFTER_NS

    def heard(self) -> dict[str, Any]:
        """Return the counters of the faces that are not 0."""
        groups = {
            name: {key: count for key, count in values.items() if count}
            for name, values in self.rig.exchange.counted.items()
            if name.startswith("host")
        }
        return {name: values for name, values in groups.items() if values}

    def lost(self) -> dict[str, int]:
        """Return what the faces could not hand on of what was played."""
        exchange = self.rig.exchange
        played = {f"host.{exchange.lanes[index].bus.name}" for index in exchange.held_back}
        played |= {"host", *(f"host.{exchange.lanes[n].kind}" for n in exchange.held_back)}
        return {
            f"{name}: {key}": count
            for name, values in self.heard().items()
            for key, count in values.items()
            if key in LOST and name in played
        }
