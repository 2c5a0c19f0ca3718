"""One board, for as long as a run lasts: found, opened, greeted, lost and found again.

A :class:`Session` waits for nothing. Whoever owns it polls :meth:`Session.fileno` (None while no
port is open), and calls :meth:`Session.service` when that is readable or :attr:`Session.due_ns` has
come; time is an argument. It goes through six states, and every change is told to ``on_change``::

    ABSENT -> OPENING -> SYNCING -> READY -> LOST -> OPENING ...
                 any of them -> REFUSED

ABSENT: no port fits. OPENING: a port is being opened. SYNCING: HELLO is out, or the board has just
been reset. READY: requests are answered. LOST: it was READY and is away. REFUSED: somebody has to
do something, and ``why`` says what. From each of them the session goes on by itself as soon as what
was in its way has gone.

The descriptor of a board that is gone is closed at once, since Linux gives the board another name
for as long as the old one is open. What is looked for next is the identity of the instance, under
whatever name (:mod:`hil.boards.identity`).
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from hil.boards.fitness import SECOND_NS, ResetWatch, another_board, misfit, remedy
from hil.boards.host import Host
from hil.boards.identity import PortInfo, Wanted, match_ports
from hil.boards.lab import Instance
from hil.boards.link import HELLO_LIMIT_NS, Link, LinkState
from hil.boards.noise import Noise
from hil.boards.opening import Opener, Port, PortError, holders, open_port
from hil.boards.ports import PortSource, emulated_device
from hil.boards.probing import known_of
from hil.boards.protocol import Capability, Event, EventType, Identity
from hil.boards.slcan import StickLink
from hil.boards.states import COUNTERS, State, Transition
from hil.errors import BoardError

__all__ = ["Session", "State", "Transition"]

MS: Final = 1_000_000
#: How often the list of ports is looked at while the board is away; later, when it stays away.
POLL_NS, SLOW_POLL_NS, SLOW_AFTER_NS = 2 * MS, 25 * MS, 5 * SECOND_NS
#: A rate is tried for so long, and the time that the answer takes on the line.
SCAN_NS, HELLO_NBYTES = 120 * MS, 130
#: When a port that was busy, forbidden or silent is tried again though nothing has changed.
GONE_RETRY_NS, BUSY_RETRY_NS, DENIED_RETRY_NS = 50 * MS, 250 * MS, 2 * SECOND_NS
SILENT_RETRY_NS, SILENT_LIMIT_NS = 5 * SECOND_NS, 30 * SECOND_NS
#: A board that was READY for so long is no longer thought to be in a loop of resets.
STEADY_NS = 60 * SECOND_NS


class Session:
    """One instance of the lab; see the module for how it is driven.

    ``clock`` is monotonic, in nanoseconds, and only read by :meth:`wait_ready`. ``host`` is asked
    for processes and groups when a port cannot be had. ``opener`` opens a port; another one may
    bring a line that exists in simulated time only.
    """

    def __init__(
        self,
        instance: Instance,
        ports: PortSource,
        clock: Callable[[], int],
        *,
        random: Random | None = None,
        host: Callable[[], Host] = Host,
        upshift: bool = True,
        opener: Opener = open_port,
    ) -> None:
        self.instance = instance
        self.wanted = instance.wanted
        if instance.emulate is not None and instance.wanted == Wanted():
            self.wanted = Wanted(device=emulated_device(instance.id))
        self.clock = clock
        self.state = State.ABSENT
        self.why = "not looked for yet"
        self.port: PortInfo | None = None
        #: rate of the line now; 0: it has none
        self.baud = 0
        #: what came of settings that a port may refuse
        self.notes: tuple[str, ...] = ()
        #: other programs that have the port open, found when its line got bad
        self.disturber = ""
        #: who answered last
        self.identity: Identity | None = None
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.on_change: Callable[[Transition], None] = lambda transition: None
        self.on_event: Callable[[Event], None] = lambda event: None
        stick = instance.type.link.protocol == "slcan"
        self.link: Link | StickLink = StickLink() if stick else Link(random=random)
        self.link.on_state = lambda state, reason: self._news.append((state, reason))
        self.link.on_event = self._take_event
        self.link.on_baud = self._switch_rate
        self._ports, self._host, self._opener = ports, host, opener
        self._known = known_of(ports)
        self._wants_upshift = upshift
        self._news: list[tuple[LinkState, str]] = []
        self._resets = ResetWatch()
        self._io: Port | None = None
        self._token: object = self
        self._failed: str | None = None  # path that could not be opened the last time
        self._look_now = False  # whether or not the list has changed
        self._next_ns = 0  # when to look for a port
        self._retry_ns = 0  # when to look though nothing has changed
        self._away_since_ns = self._ready_since_ns = self._now_ns = 0
        self._was_ready = False
        self._is_up = False  # READY since the port was opened
        self._probing = False
        self._wary = False
        self._silences = 0
        self._rates: list[int] = []
        self._noise = Noise()
        self._last_path: str | None = None
        self._uid: bytes | None = None

    # --- what drives it ---------------------------------------------------------------------------

    def fileno(self) -> int | None:
        """Return the descriptor of the open port, None while there is none."""
        return self._io.fd if self._io else None

    @property
    def due_ns(self) -> int:
        """When :meth:`service` must be called at the latest, readable or not."""
        if self._io is None:
            return self._next_ns
        if self._io.unsent:
            return self._now_ns + MS  # the port had no room
        due_ns = self.link.due_ns
        return self._now_ns + SECOND_NS if due_ns is None else due_ns

    def service(self, now_ns: int) -> None:
        """Look for the port, or read it, drive the link and write; never waits."""
        self._now_ns = now_ns
        if self._io is None and now_ns >= self._next_ns:
            self._seek(now_ns)
        if self._io is not None:
            self._serve(self._io, now_ns)

    def wait_ready(self, timeout_s: float) -> Identity:
        """Serve until READY and return who is there; for commands, which have nothing else to do.

        Raises BoardError with the reason when it is REFUSED, or not READY in time.
        """
        limit_ns = self.clock() + round(timeout_s * SECOND_NS)
        while True:
            now_ns = self.clock()
            self.service(now_ns)
            if self.state is State.READY and self.identity is not None:
                return self.identity
            if self.state is State.REFUSED or now_ns >= limit_ns:
                raise BoardError(self.status)
            wait_s = max(min(self.due_ns, limit_ns) - self.clock(), 0) / SECOND_NS
            select.select([] if self._io is None else [self._io.fd], [], [], wait_s)

    @property
    def status(self) -> str:
        """The session in one line: who, in which state, and why."""
        text = f"{self.instance.id}: {self.state.value}: {self.why}"
        if self.disturber:
            text += f"; {self.disturber} has the port open too: end that"
        return text

    def close(self, why: str = "the session was closed") -> None:
        """Give the port back. May be called twice."""
        self.link.close(why)
        if self._io is not None:
            with contextlib.suppress(OSError):
                self._io.write(self.link.output())  # what takes a CAN stick off its bus
        self._shut()
        self._news.clear()
        self._is_up, self._next_ns = False, 0
        self._change(State.ABSENT, why)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- looking for a port -----------------------------------------------------------------------

    def _seek(self, now_ns: int) -> None:
        """Look at the list of ports if it has changed or it is time to try again."""
        slow = now_ns - self._away_since_ns > SLOW_AFTER_NS
        self._next_ns = now_ns + (SLOW_POLL_NS if slow else POLL_NS)
        token = self._ports.token(), self._known.news if self.wanted.uid else 0
        changed, again = token != self._token, now_ns >= self._retry_ns
        if not (changed or again or self._look_now):
            return
        if changed:
            self._silences = 0
        elif not self._look_now:
            self._known.forget_failures()
        self._token, self._look_now = token, False
        listed = self._ports.ports()
        match = match_ports(self.wanted, self.instance.type, listed)
        if match.ports and not match.ambiguous and not match.is_sure:
            assert self.wanted.uid is not None
            match = self._known.narrowed(self.wanted.uid, match, listed)
        if match.ambiguous:
            self._rest(State.REFUSED, match.why, SECOND_NS)
        elif not match.ports:
            why = self.why if self.state is State.LOST else match.why  # why it was lost says more
            self._rest(self._away, why, self._patience_ns())
        else:
            self._open(match.ports[0], now_ns, probe=not match.is_sure)

    @property
    def _away(self) -> State:
        """What a session without a board is."""
        return State.LOST if self._was_ready else State.ABSENT

    def _patience_ns(self) -> int:
        """Return how long to let silent ports be: to open them may reset somebody's board."""
        wait_ns = min(SILENT_RETRY_NS << self._silences, SILENT_LIMIT_NS)
        self._silences = min(self._silences + 1, 8)
        return wait_ns

    def _rest(self, state: State, why: str, retry_ns: int) -> None:
        """Stay without a port until the list changes, or for so long."""
        self._retry_ns = self._now_ns + retry_ns
        self._change(state, why)

    def _open(self, port: PortInfo, now_ns: int, probe: bool) -> None:
        """Open a port and greet; with ``probe`` it is not known whether the board is there."""
        link = self.instance.type.link
        baud = link.baud
        text = f"opening {port.describe()}"
        again = self._failed == port.path  # and not news before it works
        if not again:
            self._change(State.OPENING, text, port)
        self.counters["probes"] += probe
        self._probing = probe
        try:
            who = holders(port.path, self._host()) if probe or self._wary else ""
            if who:
                raise PortError("busy", f"{port.path} is busy: it is held by {who}; end that")
            self._io = self._opener(port, link, baud, self._host)
        except PortError as error:
            self._not_opened(port, error)
            return
        if again:
            self._change(State.OPENING, text, port)
        self._failed = None
        self.counters["opened"] += 1
        self.port, self.baud = port, 0 if link.is_native_usb else baud
        self.notes, self.disturber = self._io.notes, ""
        self._noise.start()
        self._rates = [rate for rate in link.rates if rate != baud] if self.baud else []
        self.link.baud = self.baud or None
        self._news.clear()
        self._change(State.SYNCING, f"HELLO is out on {port.path}" + self._at_rate(), port)
        # A boot loader drops what it does not know: a board that was not reset answers at once, one
        # that was is greeted again when it says BOOT.
        limit_ns = round(link.boot_wait_s * SECOND_NS) + HELLO_LIMIT_NS
        self.link.hello(now_ns, limit_ns)

    def _not_opened(self, port: PortInfo, error: PortError) -> None:
        """Say why a port was not opened, and when it is tried again."""
        self._wary = self._wary or error.kind == "busy"
        self._failed = port.path
        if error.kind == "gone":
            self._known.forget(port)
            self._rest(self._away, str(error), GONE_RETRY_NS)
            return
        if error.kind in ("busy", "denied"):
            self.counters[error.kind] += 1
        self._known.failed(port, str(error))
        if self._probing:
            self._look_now = True  # at the next port
            return
        retry_ns = DENIED_RETRY_NS
        if error.kind == "busy":  # to see who has it takes tens of ms
            retry_ns = min(BUSY_RETRY_NS << self._silences, DENIED_RETRY_NS)
            self._silences = min(self._silences + 1, 8)
        self._rest(State.REFUSED, str(error), retry_ns)

    def _at_rate(self) -> str:
        return f" at {self.baud} baud" if self.baud else ""

    # --- the open port ----------------------------------------------------------------------------

    def _serve(self, io: Port, now_ns: int) -> None:
        """Read everything that is there, let the link work, write what it has."""
        try:
            octets = io.read()
            if octets:
                self.counters["octets_in"] += len(octets)
                if self.link.state is not LinkState.OPEN:
                    self._noise.hear(octets)
                self.link.feed(octets, now_ns)
            self.link.service(now_ns)
            self._take_news(now_ns)
            if self._io is not None:
                self._check_resets(now_ns)
            if self._io is not None:
                self.counters["octets_out"] += io.write(self.link.output())
        except OSError as error:
            self._gone(os.strerror(error.errno) if error.errno else "")
        if self.state is State.READY:
            self._look_after(now_ns)

    def _look_after(self, now_ns: int) -> None:
        """See whether the board runs for long by now, and who disturbs its line."""
        if now_ns - self._ready_since_ns > STEADY_NS:
            self._resets.steady()
        if self._noise.due(now_ns) and self._noise.grown(self.link.counters, now_ns):
            assert self.port is not None
            self.disturber = holders(self.port.path, self._host(), besides_us=True)
            self.counters["disturbed"] += 1

    def _switch_rate(self, baud: int) -> None:
        """Give the line another rate behind everything that was written."""
        if self._io is not None:
            self.counters["octets_out"] += self._io.write(self.link.output())
            self._io.set_rate(baud)
            self.baud = baud

    def _shut(self) -> None:
        """Close the port at once."""
        if self._io is not None:
            io, self._io = self._io, None
            io.close()

    # --- what the link tells ----------------------------------------------------------------------

    def _take_event(self, event: Event) -> None:
        if event.type == EventType.BOOT:
            identity = Identity.parse(event.payload)
            self._saw_boot(identity, event.received_ns, in_session=self._is_up)
        if not self._probing:
            self.on_event(event)

    def _saw_boot(self, identity: Identity, now_ns: int, in_session: bool) -> None:
        if self._resets.add(identity.boot_id, identity.reset_cause, now_ns, in_session):
            self.counters["resets"] += 1

    def _take_news(self, now_ns: int) -> None:
        """Follow the link's changes of state, one after the other."""
        while self._news and self._io is not None:
            state, reason = self._news.pop(0)
            if state is LinkState.OPEN:
                self._greeted(now_ns)
            elif state is LinkState.GREETING and self.state is State.READY:
                self._change(State.SYNCING, reason, self.port)
            elif state is LinkState.LOST:
                self._silent(reason, now_ns)
            elif state is LinkState.REFUSED:
                assert self.port is not None
                text = f"{self.port.path}: {reason}; {remedy(self.instance.type, self.port.path)}"
                self._drop(State.REFUSED, text, SILENT_RETRY_NS)

    def _check_resets(self, now_ns: int) -> None:
        """Leave a board alone that keeps resetting."""
        loop = self._resets.loop()
        if loop is not None:
            why, wait_ns = loop
            self.counters["reset_loops"] += 1
            self._drop(State.LOST, f"{why}; left alone for {wait_ns // SECOND_NS} s", wait_ns)
            self._next_ns = now_ns + wait_ns

    def _greeted(self, now_ns: int) -> None:
        """Look at who has answered HELLO: READY, or why not."""
        identity, port = self.link.identity, self.port
        assert identity is not None
        assert port is not None
        self._saw_boot(identity, now_ns, in_session=False)
        wanted = self.wanted.uid
        if wanted is not None:
            self._known.learned(port, identity.uid)
            if not self._is_the_one(port, wanted):
                self._drop(self.state, self.why, 0)
                return
        why = another_board(self._uid, identity, port.path)
        why = why or misfit(self.instance, identity, port.path)
        if why:
            self._drop(State.REFUSED, why, SILENT_RETRY_NS)
            return
        self._ready(identity, port, now_ns)

    def _is_the_one(self, port: PortInfo, uid: bytes) -> bool:
        """Tell whether this port alone has the uid, after every port that may have it was asked."""
        listed = self._ports.ports()
        match = match_ports(self.wanted, self.instance.type, listed)
        match = self._known.narrowed(uid, match, listed)
        return match.is_sure and match.ports[0].path == port.path

    def _ready(self, identity: Identity, port: PortInfo, now_ns: int) -> None:
        """Note that requests are answered from here on."""
        moved = self._last_path is not None and self._last_path != port.path
        text = f"{identity.board} ({identity.firmware} {identity.version_text}) on {port.path}"
        text += self._at_rate()
        if moved:
            self.counters["port_moves"] += 1
            text += f", before it was {self._last_path}"
        usual = self.instance.type.link.baud
        if self.baud and self.baud != usual and self._last_path is None:
            text += f"; its type says {usual} baud"
        self.counters["ready"] += 1
        self.counters["reconnects"] += self._was_ready and not self._is_up
        self._is_up, self._probing = True, False
        self.identity, self._uid = identity, identity.uid
        self._last_path, self._was_ready = port.path, True
        self._wary, self._silences, self._ready_since_ns = False, 0, now_ns
        self._change(State.READY, text, port)
        self._shift_up(identity, now_ns)

    def _shift_up(self, identity: Identity, now_ns: int) -> None:
        """Ask for the fastest rate of the type, where board and line can change theirs."""
        fastest = self.instance.type.link.max_baud
        can = Capability.SET_BAUD in identity.capabilities
        if not (self._wants_upshift and can and self.baud) or self.baud >= fastest:
            return

        def settled(kept: bool) -> None:
            self.counters["upshifts" if kept else "upshifts_failed"] += 1

        self.link.set_baud(fastest, settled, now_ns)

    # --- losing it --------------------------------------------------------------------------------

    def _silent(self, reason: str, now_ns: int) -> None:
        """Nothing answers: scan the rates, then say what is known."""
        assert self.port is not None
        if self._is_up:
            self._wary = True
            self._drop(State.LOST, f"{self.port.path}: {reason}", 0)
            return
        if self._rates:
            rate = self._rates.pop(0)
            self.counters["baud_scans"] += 1
            self._switch_rate(rate)
            self.link.baud = rate
            limit_ns = SCAN_NS + HELLO_NBYTES * 10 * SECOND_NS // rate
            self.link.hello(now_ns, limit_ns)
            return
        self.counters["silent"] += 1
        self._wary = True
        why = self._silence(self.port)
        self._known.failed(self.port, why)
        if self._probing:
            self._drop(self.state, self.why, 0)
        else:
            self._drop(State.LOST if self._was_ready else State.REFUSED, why, self._patience_ns())

    def _silence(self, port: PortInfo) -> str:
        """Return what is known of a port on which nothing answers."""
        rates = self.instance.type.link.rates
        at = f" at {', '.join(map(str, rates))} baud" if self.baud else ""
        text = f"{port.path}: no answer to HELLO{at}"
        if self._noise.text:
            text += f"; there is noise: {self._noise.text!r}"
        who = holders(port.path, self._host(), besides_us=True)
        if who:
            return f"{text}; {who} has the port open as well: end that"
        return f"{text}; {remedy(self.instance.type, port.path)}"

    def _gone(self, why: str) -> None:
        """The port has gone: the board was unplugged."""
        assert self.port is not None
        self._known.forget(self.port)
        reason = f"{self.port.path} has gone" + (f" ({why})" if why else "") + ": unplugged"
        self._drop(self._away, reason, 0)

    def _drop(self, state: State, why: str, retry_ns: int) -> None:
        """Close the port, end the link's session and look again after ``retry_ns``."""
        self._shut()
        self.link.close(why)
        self._news.clear()
        if self._is_up:
            self.counters["lost"] += 1
            self._is_up, self._away_since_ns = False, self._now_ns
        self._next_ns = self._now_ns
        self._look_now = retry_ns == 0
        self._retry_ns = self._now_ns + retry_ns
        if state is not self.state or why != self.why:
            self._change(state, why, self.port)

    def _change(self, state: State, why: str, port: PortInfo | None = None) -> None:
        """Enter a state and tell of it; the same state for the same reason is no news."""
        if state is self.state and why == self.why:
            return
        before, self.state, self.why = self.state, state, why
        self.counters["refused"] += state is State.REFUSED and state is not before
        path = port.path if port is not None else None
        known = self.identity if state is State.READY else None
        self.on_change(
            Transition(self.instance.id, before, state, why, self._now_ns, path, self.baud, known)
        )

    def all_counters(self) -> Mapping[str, int]:
        """Return the counters of the session, and those of its link with ``link_`` in front."""
        return self.counters | {f"link_{key}": n for key, n in self.link.counters.items()}
