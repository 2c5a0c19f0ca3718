"""The host of programs whose clock is virtual: time passes when all of them wait.

The preload shim puts the clock calls of a program on virtual time. A thread that sleeps says until
when, on a connection of its own, and sleeps until the bench says that it is then; a transaction
takes its bus time. Computing takes no time. Time passes only when no thread of the program, nor of
what it has started, can run: each waits here, or, as the kernel of the host shows, elsewhere for
one that does. What then happens next is decided by virtual time, and at one instant by the key of
the thread (:mod:`hil.faces.proctree`): one thread goes on at a time, and the next when that one
waits again. So nothing depends on who is quick.

Two rules keep this from standing still. A thread that runs and runs, as one that waits in a loop
for another's variable, holds time for ``STALL_S`` of the wall; then time passes all the same, which
is counted as a stall. And where all wait but nobody for the bench, as for a terminal or another
host, time stands for ``OUTSIDE_S`` and then follows the wall; counted as an unseen wait.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from pathlib import Path

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, pack
from hil.exchange import Exchange
from hil.faces.attributes import Tree
from hil.faces.clock_page import PAGE, VirtualPresent
from hil.faces.handles import Client
from hil.faces.host import MESSAGE_LIMIT_NBYTES, Host
from hil.faces.proctree import Key, ProcessTree, adopt_orphans
from hil.faces.stillness import Stillness
from hil.faces.terminal import Terminal
from hil.time.kernel import NEVER_NS
from hil.time.participant import Participant
from hil.time.phase import Phase
from hil.time.present import Present
from hil.transactions import Lane

_CHECK = int(Phase.CHECK)
_OPEN, _NEXT, _GRANT = int(Kind.OPEN), int(Kind.NEXT), int(Kind.GRANT)
_WAKE = int(Flag.WAKE)
#: name under which a thread opens its connection
CLOCK = b"clock"
#: ``address`` of a NEXT that only pays for looks at the clock
SPIN = 1
#: ``address`` of a NEXT of a thread that only looks from time to time whether it is time
SLICED = 2
#: In keys: a process that is not of the program, and a thread that does not say who it is.
NOBODY = UNNAMED = 1 << 32
#: How long a thread may compute while others wait, seconds of the wall.
STALL_S = 20.0
#: How long all may wait for what is not of the bench before time follows the wall.
OUTSIDE_S = 1.0
#: The bench looks around after this much virtual time, whatever happens.
CHUNK_NS = 60_000_000_000
#: How long to let a thread run before looking again, seconds: at first and at most.
_LOOK_S, _LOOK_MOST_S = 20e-6, 2e-3
#: The same for the only thread there is, which need not be looked at in a hurry.
_ALONE_S = 1e-3


class Taker:
    """One thread that takes part, and what it waits for."""

    __slots__ = ("client", "key", "sliced", "tid", "wait")

    def __init__(self, client: Client, tid: int, key: Key) -> None:
        self.client = client
        self.tid = tid
        self.key = key
        #: number of the wait that it is in; None: it runs
        self.wait: int | None = None
        self.sliced = False


class VirtualHost(Host):
    """A host that programs on virtual time use; ``epoch_ns``: CLOCK_REALTIME at time 0."""

    def __init__(
        self, exchange: Exchange, path: Path, epoch_ns: int, tree: Tree | None = None
    ) -> None:
        self._epoch_ns = epoch_ns
        # (when, key, order, act): what happens next; drivers probe while the host is being made
        self._items: list[tuple[int, Key, int, Callable[[int], None]]] = []
        super().__init__(exchange, path, "max", tree)
        self.clock = dict.fromkeys(
            ("threads", "sleeps", "waits", "spins", "watched_waits", "unseen_waits", "stalls"), 0
        )
        exchange.counted["host.clock"] = self.clock
        self.still = Stillness([line.terminal for line in self.lines.values()])
        self._takers: dict[int, Taker] = {}
        # who waits for the reply on a device, by the number of the connection
        self._asking: dict[int, Taker] = {}
        # keys of clients that do not say which thread they are
        self._foreign: dict[int, Key] = {}
        # threads that wait without a limit for what the bench may bring
        self._hopeful: set[int] = set()
        self._look_s = _LOOK_S
        self._still_s = time.monotonic()
        self._outside = False
        # a program was told something since time last passed
        self._spoken = False
        for line in self.lines.values():
            line.terminal.announce = partial(self._announce, line.terminal)

    def _make_present(self, path: Path, pace: str) -> Present:
        self.shown = VirtualPresent(self.kernel, path.with_name(PAGE), self._epoch_ns)
        return self.shown

    def settle(self, t_ns: int) -> None:
        """Let virtual time pass until ``t_ns`` before anybody asks: the computer is long up."""
        while self.kernel.now_ns < t_ns or (self._items and self._items[0][0] <= t_ns):
            self._pass(t_ns)

    def _advance(self) -> int:
        return self.shown.show()

    def serve_until_exit(self, pid: int) -> None:
        """Serve until a child process has ended, or the run."""
        self.still.program = ProcessTree(pid, adopt_orphans(True))
        super().serve_until_exit(pid)

    def close(self) -> None:
        """End what is left of the program, drop every client and close the socket."""
        program = self.still.program
        if program is not None:
            program.end()
            program.close()
            adopt_orphans(False)
        super().close()
        self.shown.close()

    # --- the loop ------------------------------------------------------------------------------

    def step(self, most_s: float = 3600.0) -> None:
        """Serve whoever asks; when nobody can run, let time pass to what happens next."""
        served = self._serve_ready(0.0 if self.still.program is None else self._first_s())
        if served:
            self._look_s = _LOOK_S
            self._still_s = time.monotonic()
            self._outside = False
        if not (self._items or self._hopeful):
            if not served:
                self._idle(most_s)
        elif self._at_rest():
            self._pass()
        elif not served:
            self._serve_ready(min(self._look_s, most_s))
            self._look_s = min(2 * self._look_s, _LOOK_MOST_S)

    def _first_s(self) -> float:
        """Return how long a thread that was just woken is given before it is looked at."""
        program = self.still.program
        alone = self._spoken and program is not None and len(program.tasks) == 1
        self._spoken = False
        return _ALONE_S if alone else 0.0

    def _serve_ready(self, wait_s: float) -> bool:
        """Serve those who ask within ``wait_s``; tell whether there were any."""
        if wait_s and wait_s != _ALONE_S:
            select.select([self._epoll], [], [], wait_s)
            wait_s = 0.0
        events = self._epoll.poll(wait_s)
        for fd, _ in events:
            ready = self._watched.get(fd)
            if ready is not None:
                ready()
        return bool(events)

    def _at_rest(self) -> bool:
        """Tell whether time may pass: nobody can run, and nobody has spoken meanwhile."""
        still = self.still
        running = (taker.tid for taker in self._takers.values() if taker.wait is None)
        quiet = still.threads(running)
        if quiet is False:
            if time.monotonic() - self._still_s < STALL_S:
                return False
            self.clock["stalls"] += 1
            return True
        # select and not poll, which would take the edge of a tty from whoever serves it.
        if still.program is not None and (
            select.select([self._epoll], [], [], 0)[0] or still.octets(self._epoll)
        ):
            return False
        self.clock["watched_waits"] += quiet is None
        return True

    def _announce(self, terminal: Terminal) -> None:
        self.still.brings(terminal)
        self._speak()

    def _speak(self) -> None:
        """Note that a program is being told something: time stands until all wait again."""
        self.shown.show()
        self._spoken = self.still.ran = True
        self.kernel.halt()

    def _pass(self, most_ns: int = NEVER_NS) -> None:
        """Let time pass until something happens for a program, or to ``most_ns``."""
        self._look_s = _LOOK_S
        self._still_s = time.monotonic()
        kernel, items, end_ns = self.kernel, self._items, self.exchange.end_ns
        self._spoken = False
        while not self._spoken:
            due_ns = items[0][0] if items else NEVER_NS
            until_ns = min(due_ns, kernel.now_ns + CHUNK_NS, most_ns, end_ns)
            kernel.run_before(until_ns, _CHECK)
            now_ns = self.shown.show()
            if now_ns >= end_ns:
                self.exchange.finish()
                return
            if now_ns >= due_ns:
                _, _, _, act = heappop(items)
                act(now_ns)
            elif now_ns >= until_ns:
                return

    def _idle(self, most_s: float) -> None:
        """Let programs compute; where all wait for something else, time follows the wall."""
        began_s = time.monotonic()
        if self._serve_ready(min(most_s, 0.01 if self._outside else 0.1)):
            self._outside = False
            self._still_s = time.monotonic()
            return
        now_s = time.monotonic()
        if self._outside:
            self.kernel.run_before(
                min(self.kernel.now_ns + int((now_s - began_s) * 1e9), self.exchange.end_ns), _CHECK
            )
            if self.shown.show() >= self.exchange.end_ns:
                self.exchange.finish()
        resting = self.still.program is not None and self.still.threads(())
        if resting is False:
            self._still_s = now_s
            self._outside = False
        elif now_s - self._still_s > OUTSIDE_S and not self._outside:
            self._outside = True
            self.clock["unseen_waits"] += 1

    def _at(self, t_ns: int, key: Key, act: Callable[[int], None]) -> None:
        self._order += 1
        heappush(self._items, (t_ns, key, self._order, act))

    # --- threads -------------------------------------------------------------------------------

    def _serve(self, client: Client) -> None:
        taker = self._takers.get(client.ident)
        if taker is None and client.attribute is None:
            super()._serve(client)
            return
        try:
            message = client.socket.recv(MESSAGE_LIMIT_NBYTES)
        except OSError:
            message = b""
        if taker is None and message:
            header = HEADER.unpack_from(message.ljust(HEADER_NBYTES, b"\0"))
            self._ask_at(client, header, partial(self._attribute, client, message))
            return
        if taker is None or len(message) != HEADER_NBYTES:
            self._drop(client)
            return
        header = HEADER.unpack(message)
        if header[0] == _NEXT:
            self._wait(taker, header)
        elif header[0] == _GRANT:
            self.still.unseeing.pop(taker.tid, None)
            if taker.wait == header[7]:
                self._runs(taker)
        else:
            self._refuse(client, f"a thread says NEXT or GRANT, not a record of kind {header[0]}")

    def _open(self, client: Client, header: tuple[int, ...], payload: bytes) -> None:
        if payload != CLOCK or header[0] != _OPEN:
            super()._open(client, header, payload)
            return
        tid = header[8]
        program = self.still.program
        key = None if program is None else program.key(tid)
        self._takers[client.ident] = Taker(client, tid, key or ((NOBODY, client.ident), 0))
        self.clock["threads"] += 1
        self._send(client, pack(_OPEN, flags=Flag.REPLY, seq=client.ident, t_ns=self.shown.show()))

    def _wait(self, taker: Taker, header: tuple[int, ...]) -> None:
        """Take what a thread says it waits for."""
        number, until_ns, watches = header[7], header[5], bool(header[2] & _WAKE)
        taker.wait, taker.sliced = number, header[8] == SLICED
        self.still.unseeing.pop(taker.tid, None)
        self.still.waiting.add(taker.tid)
        if watches:
            self.still.hearing.add(taker.tid)
        if until_ns >= NEVER_NS:
            self._hopeful.add(taker.client.ident)
        else:
            due_ns = max(until_ns, self.kernel.now_ns)
            self._at(due_ns, taker.key, partial(self._grant, taker, number))
        name = "waits" if watches else "spins" if header[8] == SPIN else "sleeps"
        self.clock[name] += 1

    def _grant(self, taker: Taker, number: int, t_ns: int) -> None:
        """Tell a thread that it is time, if it still waits."""
        if taker.wait == number:
            self._runs(taker)
            if taker.sliced:
                self.still.unseeing[taker.tid] = (-1, 0.0)
            self._send(taker.client, pack(_GRANT, t_ns=t_ns, seq=number))

    def _runs(self, taker: Taker) -> None:
        self._spoken = self.still.ran = True
        taker.wait = None
        self.still.waiting.discard(taker.tid)
        self.still.hearing.discard(taker.tid)
        self._hopeful.discard(taker.client.ident)

    def _drop(self, client: Client) -> None:
        taker = self._takers.pop(client.ident, None)
        if taker is not None:
            self._runs(taker)
        self._replied(client)
        self._foreign.pop(client.ident, None)
        super()._drop(client)

    # --- devices -------------------------------------------------------------------------------

    def _request(self, client: Client, lane: Lane, header: tuple[int, ...], payload: bytes) -> None:
        self.counters["requests"] += 1
        self._ask_at(client, header, partial(self._begin, client, lane, header, payload))

    def _ask_at(self, client: Client, header: tuple[int, ...], act: Callable[[int], None]) -> None:
        """Note a request for its time: it is done when all wait, in order of time and key."""
        taker = self._takers.get(header[7])
        if taker is not None:
            taker.wait = -1
            self.still.waiting.add(taker.tid)
            self._asking[client.ident] = taker
        self._at(max(header[5], self.kernel.now_ns), self._key(client), act)

    def _key(self, client: Client) -> Key:
        """Return the key of who asks on a handle: a thread, or a process that names none."""
        taker = self._asking.get(client.ident)
        if taker is not None:
            return taker.key
        own = self._foreign.get(client.ident)
        if own is None:
            own = self._foreign[client.ident] = self._key_of_process(client)
        return own

    def _key_of_process(self, client: Client) -> Key:
        program = self.still.program
        if client.take is None and program is not None:  # else it is within the bench
            asked = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            key = program.key(int.from_bytes(asked[:4], sys.byteorder))
            if key is not None:
                return key[0], UNNAMED
        return (NOBODY, client.ident), 0

    def _ask(self, participant: Participant, header: tuple[int, ...], payload: bytes) -> None:
        """Let time reach what a driver of the kernel asks of a bus, on whose end a thread waits."""
        super()._ask(participant, header, payload)
        self._at(header[5], ((1 << 32, participant.id), 0), lambda t_ns: None)

    def _attribute(self, client: Client, message: bytes, t_ns: int) -> None:
        if not client.participant.gone:
            self.attributes.serve(client, message, self._send, t_ns)

    def _begin(
        self, client: Client, lane: Lane, header: tuple[int, ...], payload: bytes, t_ns: int
    ) -> None:
        if not client.participant.gone:
            self._perform(client, lane, header, payload, t_ns)

    def _answer(self, participant: Participant, done_ns: int, octets: bytes) -> None:
        """Note a reply for the time when its transaction is over."""
        client = self._by_participant.get(participant.id)
        if client is None:
            self.counters["unheard"] += 1
            return
        self._at(done_ns, self._key(client), partial(self._reply, client, octets))
        self.kernel.halt()  # a queued transaction, in the middle of a stretch of time

    def _reply(self, client: Client, octets: bytes, t_ns: int) -> None:
        if client.participant.gone:
            self.counters["left_waiting"] += 1
        else:
            self._send(client, octets)

    def _replied(self, client: Client) -> None:
        taker = self._asking.pop(client.ident, None)
        if taker is not None and taker.wait == -1:
            self._runs(taker)

    def _send(self, client: Client, octets: bytes) -> None:
        self._replied(client)
        self._spoken = True
        super()._send(client, octets)

    def push(self, client: Client, octets: bytes, fds: Sequence[int] = ()) -> bool:
        """Send what a desk has to say; time stands until the program has taken it."""
        self._replied(client)
        self._speak()
        return super().push(client, octets, fds)

    def _hear(self, index: int, octets: bytes) -> None:
        line = self._hearers.get(index)
        if line is not None and line.aside:  # by a stream, which the desk of serial lines writes to
            self._speak()
        super()._hear(index, octets)
