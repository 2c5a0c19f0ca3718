"""Taking turns: the bench runs in a thread of its own, and only while the test waits for it.

A test wants to run virtual time to some instant and then act, with everybody blocked. Flight
software that is called directly is then deep in a call; over a channel the coordinator is. Both
stop the same way: an event of the kernel hands the turn back to the test and waits for the next
one. So every way to fly stops at the same place between the same records, and no two threads ever
run at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable

from hil.errors import ParticipantError, UsageError
from hil.exchange import Exchange

#: How often who waits for the bench looks whether a signal has come, seconds of the wall.
LOOK_S = 0.2
#: How long a bench that is told to end may take, seconds of the wall.
LEAVE_S = 10.0


_WITHIN = (
    "time cannot pass within itself: a function that looks at what comes, or that flies, cannot "
    "wait for more with the handle of the test"
)


class Abandoned(BaseException):
    """The test is over and its bench is not: no error, and nothing may take it for one."""


class AloneTurns:
    """The turns of a bench on which nobody flies: it runs where the test waits, in its thread."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._is_back = False
        self._is_away = False

    @property
    def over(self) -> bool:
        """The run has come to its end."""
        return self._exchange.over

    @property
    def is_parked(self) -> bool:
        """It may go on from where it is."""
        return not self._exchange.over

    def turn(self) -> None:
        """Let time pass until somebody hands back, or the run ends."""
        if self._is_away:
            raise UsageError(_WITHIN)
        exchange, self._is_back = self._exchange, False
        self._is_away = True
        try:
            while not (self._is_back or exchange.over):
                exchange.disturbed = False
                exchange.advance()
        finally:
            self._is_away = False

    def back(self) -> None:
        """Stop with the present instant."""
        self._is_back = True

    def end(self) -> None:
        """Have nothing to end."""


class Turns:
    """Runs ``body`` by turns with whoever calls :meth:`turn`."""

    def __init__(self, body: Callable[[], None]) -> None:
        self._body = body
        self._mine, self._theirs = threading.Lock(), threading.Lock()
        self._mine.acquire()
        self._theirs.acquire()
        self._thread = threading.Thread(target=self._run, name="hil-bench", daemon=True)
        self._started = self._abandoned = False
        #: the bench has the turn: of two threads it is the one that runs
        self._is_away = False
        self._failure: BaseException | None = None
        #: the body has come to its end
        self.over = False

    @property
    def is_parked(self) -> bool:
        """The bench has begun, and may go on from where it is."""
        return self._started and not self._is_away and not self.over

    def turn(self) -> None:
        """Let the bench run until it hands back or ends. Raises what the body raises."""
        if self.over:
            return
        if threading.current_thread() is self._thread:
            raise UsageError(_WITHIN)
        if self._is_away:
            raise ParticipantError("the bench was interrupted while it ran; open another one")
        self._is_away = True
        if self._started:
            self._theirs.release()
        else:
            self._started = True
            self._thread.start()
        # A signal that comes just before the wait does not end it; it is looked after then.
        while not self._mine.acquire(timeout=LOOK_S):
            pass
        self._is_away = False
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def back(self) -> None:
        """Hand the turn back to the test; called by the bench, returns with its next turn."""
        self._mine.release()
        self._theirs.acquire()
        if self._abandoned:
            raise Abandoned

    def end(self) -> None:
        """End the body wherever it is."""
        if not self._started or self.over:
            return
        self._abandoned = True
        if self._is_away:
            # Interrupted while it ran: it has the turn, and is to find out by itself.
            ident = ctypes.c_ulong(self._thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Abandoned))
        self._theirs.release()
        self._thread.join(LEAVE_S)
        if self._thread.is_alive():
            raise ParticipantError(
                f"the bench does not end {LEAVE_S:g} s after its test: what flies on it catches "
                "everything, or waits for something outside virtual time"
            )

    def _run(self) -> None:
        try:
            with contextlib.suppress(Abandoned):
                self._body()
        except BaseException as error:  # noqa: BLE001 - it is raised where the test waits
            self._failure = error
        finally:
            self.over = True
            with contextlib.suppress(RuntimeError):  # nobody waits: the test was interrupted
                self._mine.release()
