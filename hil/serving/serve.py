"""A bench that listens: it flies with whoever comes, run after run, until it is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hil import verdict
from hil.board import load_board
from hil.boards.binding import taking_part
from hil.errors import ParticipantError, UsageError
from hil.missions import load as load_mission
from hil.options import Options, checked
from hil.outcome import Outcome, View
from hil.rundir import host_errors
from hil.serving.asked import Service
from hil.serving.link import Link
from hil.serving.notify import Notifier
from hil.serving.session import ServedSession
from hil.session import run_directory
from hil.time.transports.zeromq import ZeroMQListener

#: Signals that end a bench with its books closed; the second one ends it at once.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether somebody has asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> bool:
        return self.number != 0

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; the second one ends everything at once."""
        if self.number:
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def stopping() -> Iterator[Stop]:
    """Have signals ask to stop while this lasts."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # one that is ignored, as under nohup, stays so
            signal.signal(number, stop.hear)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve(
    options: Options,
    service: Service,
    told: Callable[[str], None],
    ended: Callable[[Outcome], None],
    progress: Callable[[View], None] = lambda view: None,
) -> int:
    """Fly with whoever comes until stopped; return the exit code.

    ``told`` gets one line for a person at a time, ``ended`` what each run came to.
    """
    service.checked()
    checked(options)
    if options.out is not None and not service.once:
        raise UsageError(
            f"--out {options.out}: one run directory holds one run; add --once, "
            "or leave it away and each run has its own below runs/"
        )
    board, mission = load_board(options.board), load_mission(options.mission)
    verdict.asked(mission.group("verdict"))
    taking_part(options, board)
    code, notifier = 0, Notifier()
    with stopping() as stop, ZeroMQListener(service.listen, service.keys) as listener:
        listener.on_refused(lambda kind, text: told(text))
        patience_s = None if options.pace == "max" else service.patience_s
        with Link(listener, patience_s, options.stall_limit_s, told, stop) as link:
            told(f"listening at {listener.endpoint}")
            notifier.say("READY=1", f"STATUS=listening at {listener.endpoint}")
            link.alive = notifier.alive
            while not stop():
                if link.await_peer() is None:
                    break
                outcome = _survived(options, service, link, told, progress)
                if outcome is None:
                    code = ParticipantError.exit_code
                    continue
                ended(outcome)
                code = 0 if outcome.verdict.good else 1
                if service.once:
                    break
        notifier.say("STOPPING=1")
        if stop() and not (service.once and code == 0):
            told(f"stopped by {signal.Signals(stop.number).name}")
        return 128 + stop.number if stop() else code


def _survived(
    options: Options,
    service: Service,
    link: Link,
    told: Callable[[str], None],
    progress: Callable[[View], None],
) -> Outcome | None:
    """Fly once; None where the other end broke the protocol: that run is over, the bench is not."""
    try:
        return _fly(options, service, link, told, progress)
    except ParticipantError as error:
        if service.once:
            raise
        told(f"the run ended: {error}")
        return None


def _fly(
    options: Options,
    service: Service,
    link: Link,
    told: Callable[[str], None],
    progress: Callable[[View], None],
) -> Outcome:
    plan = checked(options)
    board, mission = load_board(options.board), load_mission(options.mission)
    taking = taking_part(options, board)
    assert link.waiting is not None, "somebody has come"
    told(f"flying with {link.waiting.who()}")
    with run_directory(options.out, mission) as directory, host_errors(directory.final):
        session = ServedSession(options, board, mission, directory, progress, taking)
        session.serve(service, link)
        return session.run(plan)
