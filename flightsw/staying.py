"""Flight software that stays: run after run, whatever becomes of the bench."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol

from flightsw.errors import BenchLostError, HandshakeBrokenError, SessionOverError, Shutdown
from flightsw.notify import Notifier

#: How long it waits before it looks for the bench again, seconds: the first time, and at most.
PAUSE_S, PAUSE_MOST_S = 0.2, 5.0


class Flight(Protocol):
    """One run, or one incarnation: returns at the end of the run."""

    def __call__(self, *, alive: Callable[[], None]) -> None: ...


def stay(
    fly: Flight,
    notifier: Notifier | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Fly run after run until a signal stops us; return the exit code.

    What can never fly (a device table, keys that are refused) still ends the process: its errors
    pass.
    """
    notifier = notifier or Notifier()
    notifier.ready("waiting for a bench")
    pause_s = PAUSE_S
    try:
        while True:
            try:
                fly(alive=notifier.alive)
                _say("the run is over; waiting for the next")
                notifier.status("the run is over; waiting for the next")
                pause_s = PAUSE_S
            except SessionOverError as error:
                _say(f"{error}: starting anew")
                pause_s = PAUSE_S
            except (BenchLostError, HandshakeBrokenError) as error:
                _say(str(error))
                notifier.status(str(error))
                pause_s = min(2 * pause_s, PAUSE_MOST_S)
            notifier.alive()
            pause(pause_s)
    except Shutdown:
        return 0
    finally:
        notifier.stopping()


def _say(text: str) -> None:
    print(f"flightsw: {text}", file=sys.stderr, flush=True)
