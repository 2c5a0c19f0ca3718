"""Requests on their way: window, credit, order, and what is done about loss.

The board executes requests in order of ``seq``, keeps the last replies, and says RESEND when it had
to drop one. A line keeps the order of what it carries, so a reply to a later request, or a hint,
tells that the oldest one is missing something. Then it goes out again, once for each of the board's
silences; those behind it follow one by one as it is answered, because the board has dropped them
too. A timeout does the same where nothing is heard at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from flightsw.codec.serial.hilwire import Sender
from hil.boards.protocol import ON_LINE_NBYTES, REPLY, Reply, Request

MS = 1_000_000
SECOND = 1_000 * MS
#: Before a request goes out again: so many times the line time of it and its reply, and this.
TIMEOUT_FACTOR, TIMEOUT_NS, LEAST_TIMEOUT_NS = 4, 20 * MS, 50 * MS
#: The link is lost when so many tries more met silence, and not before it was silent so long.
RETRIES, SILENCE_NS = 3, 500 * MS
#: A board that talks, yet never answers one request, is given up after so many tries.
MOST_TRIES = 24
BITS_AN_OCTET = 10

Done = Callable[[Reply | None], None]

COUNTERS = ("requests", "replies", "timeouts", "hints", "retransmitted", "stray")


class Pending:
    """A request that has no answer yet."""

    __slots__ = (
        "busy_ns",
        "done",
        "frame",
        "hinted",
        "last",
        "payload",
        "reply",
        "sent_ns",
        "seq",
        "suspect",
        "tries",
        "type",
    )

    def __init__(self, type_: int, payload: bytes, done: Done, busy_ns: int, last: bool) -> None:
        self.type = type_
        self.payload = payload
        self.done = done
        self.busy_ns = busy_ns  #: that the board may need to do it
        self.last = last  #: nothing goes out behind it until the window is opened again
        self.frame = b""
        self.seq = -1
        self.tries = 0
        self.sent_ns = 0
        self.reply: Reply | None = None  #: came before that of an older request
        self.hinted = False  #: sent again for a hint since the last timeout
        self.suspect = False  #: was on the line behind one that was lost


class Window:
    """The requests of one session. ``out`` takes frames, ``counts`` has :data:`COUNTERS`."""

    def __init__(self, out: list[bytes], counts: dict[str, int]) -> None:
        self._out, self._counts = out, counts
        self._frame = Sender().frame
        self._waiting: deque[Pending] = deque()
        self._sent: deque[Pending] = deque()
        self._octet_ns = 0.0
        self._shut = False
        self._suspects = 0  # of the sent ones, how many have to follow the oldest once more
        self._misses = 0  # timeouts since anything was heard
        self._silent_since_ns = 0
        self.deadline_ns: int | None = None  #: 0: sent at a time that was not told
        self.credit_used = 0  #: octets on the line without an answer
        self.open(0, 0, 1, 0, 0, None, 0)

    def open(
        self,
        head: int,
        seq: int,
        window: int,
        credit: int,
        max_frame: int,
        baud: int | None,
        now_ns: int,
    ) -> None:
        """Begin a session: the next request has ``seq``."""
        self._head, self.seq = head, seq & 0xFF
        self._width, self._credit = window, credit
        self._reply_nbytes = max_frame + ON_LINE_NBYTES - 6
        self._shut, self._misses, self._silent_since_ns = False, 0, now_ns
        self.set_rate(baud)

    def set_rate(self, baud: int | None) -> None:
        """Count with another line rate from now on; None: the line takes no time."""
        self._octet_ns = BITS_AN_OCTET * SECOND / baud if baud else 0.0

    def __len__(self) -> int:
        return len(self._sent) + len(self._waiting)

    @property
    def unanswered(self) -> int:
        """Requests that are on their way."""
        return len(self._sent)

    # --- out ----------------------------------------------------------------------------------

    def submit(self, pending: Pending, now_ns: int | None) -> None:
        """Queue a request; it goes out at once if window and credit allow."""
        self._counts["requests"] += 1
        self._waiting.append(pending)
        self.pump(now_ns)

    def submit_first(self, pending: Pending, now_ns: int) -> None:
        """Open the window for this request alone, in front of what waits."""
        self._counts["requests"] += 1
        self._waiting.appendleft(pending)
        self._shut = False
        self.pump(now_ns)

    def reopen(self, now_ns: int) -> None:
        """Let requests out again behind one that was the last."""
        self._shut = False
        self.pump(now_ns)

    def pump(self, now_ns: int | None) -> None:
        """Send what waits, as far as window and credit allow."""
        waiting, sent = self._waiting, self._sent
        while waiting and not self._shut and not self._suspects:
            pending = waiting[0]
            nbytes = len(pending.payload) + ON_LINE_NBYTES
            # One alone may always go: a board that does nothing else takes octets as they come.
            if sent and (
                ((self.seq - sent[0].seq) & 0xFF) >= self._width
                or self.credit_used + nbytes > self._credit
            ):
                return
            waiting.popleft()
            pending.seq = seq = self.seq
            self.seq = (seq + 1) & 0xFF
            pending.frame = self._frame(bytes((self._head, pending.type, seq)) + pending.payload)
            self.credit_used += nbytes
            self._shut = pending.last
            sent.append(pending)
            pending.tries = 1
            pending.sent_ns = self._silent_since_ns if now_ns is None else now_ns
            self._out.append(pending.frame)
            if len(sent) == 1:
                self._silent_since_ns = pending.sent_ns
                self.deadline_ns = 0 if now_ns is None else now_ns + self.timeout_ns

    @property
    def timeout_ns(self) -> int:
        """How long the oldest request may stay without an answer."""
        octets = self.credit_used + len(self._sent) * self._reply_nbytes
        line_ns = int(TIMEOUT_FACTOR * octets * self._octet_ns) + TIMEOUT_NS
        return max(line_ns, LEAST_TIMEOUT_NS) + self._sent[0].busy_ns

    def line_ns(self, nbytes: int) -> int:
        """Return how long so many octets take on the line."""
        return int(nbytes * self._octet_ns)

    # --- in -----------------------------------------------------------------------------------

    def heard(self, now_ns: int) -> None:
        """A good frame of this session has come: the board is there."""
        self._misses, self._silent_since_ns = 0, now_ns

    def answered(self, body: bytes, now_ns: int) -> list[tuple[Done, Reply]]:
        """Take a reply; return what may be handed over now, in the order of the requests."""
        self.heard(now_ns)
        sent, seq = self._sent, body[2]
        ahead = (seq - sent[0].seq) & 0xFF if sent else 0
        if ahead >= len(sent) or sent[ahead].reply is not None:
            self._counts["stray"] += 1
            return []
        pending = sent[ahead]
        if body[1] != pending.type | REPLY or len(body) < 4:
            self._counts["stray"] += 1
            return []
        self._counts["replies"] += 1
        self._clear(pending)
        pending.reply = Reply(
            pending.type, body[3], body[4:], pending.sent_ns, now_ns, pending.tries
        )
        if ahead:
            self._again_once(now_ns)
            return []
        return self._hand_over(now_ns)

    def _hand_over(self, now_ns: int) -> list[tuple[Done, Reply]]:
        sent, ready = self._sent, []
        while sent and (reply := sent[0].reply) is not None:
            pending = sent.popleft()
            self.credit_used -= len(pending.frame)
            ready.append((pending.done, reply))
        if not sent:
            self.deadline_ns = None
        else:
            if sent[0].suspect:  # dropped with the one before, which has been answered at last
                self._again(sent[0], now_ns)
            self.deadline_ns = now_ns + self.timeout_ns
        if self._waiting:
            self.pump(now_ns)
        return ready

    def hint(self, now_ns: int) -> None:
        """The board had to drop something."""
        self.heard(now_ns)
        if self._sent:
            self._again_once(now_ns)

    def _again_once(self, now_ns: int) -> None:
        """Send the oldest again, unless that was done already since the last timeout."""
        oldest = self._sent[0]
        if not oldest.hinted:
            oldest.hinted = True
            self._counts["hints"] += 1
            self._again_from_oldest(now_ns)

    def _again_from_oldest(self, now_ns: int) -> None:
        self._suspects = 0
        for pending in self._sent:
            pending.suspect = pending.reply is None
            self._suspects += pending.suspect
        self._again(self._sent[0], now_ns)
        self.deadline_ns = now_ns + self.timeout_ns

    def _again(self, pending: Pending, now_ns: int) -> None:
        self._counts["retransmitted"] += 1
        self._clear(pending)
        pending.tries += 1
        pending.sent_ns = now_ns
        self._out.append(pending.frame)

    def _clear(self, pending: Pending) -> None:
        self._suspects -= pending.suspect
        pending.suspect = False

    # --- time ---------------------------------------------------------------------------------

    def service(self, now_ns: int) -> str:
        """Repeat the oldest request when its time has come; return why the link is lost, or ''."""
        deadline = self.deadline_ns
        if deadline == 0:
            self._silent_since_ns = self._sent[0].sent_ns = now_ns
            self.deadline_ns = now_ns + self.timeout_ns
        elif deadline is not None and now_ns >= deadline:
            return self._timed_out(now_ns)
        return ""

    def _timed_out(self, now_ns: int) -> str:
        oldest = self._sent[0]
        self._counts["timeouts"] += 1
        self._misses += 1
        silent_ns = now_ns - self._silent_since_ns
        name = name_of(oldest.type)
        if self._misses > RETRIES and silent_ns >= SILENCE_NS:
            return f"{name} got no answer in {oldest.tries} tries; silent for {silent_ns // MS} ms"
        if oldest.tries >= MOST_TRIES:
            return f"{name} got no answer in {oldest.tries} tries, though the board talks"
        oldest.hinted = False
        self._again_from_oldest(now_ns)
        return ""

    def drop(self) -> list[Done]:
        """End the session; return who waited."""
        waited = [pending.done for pending in (*self._sent, *self._waiting)]
        self._sent.clear()
        self._waiting.clear()
        self.deadline_ns, self.credit_used = None, 0
        self._suspects, self._shut = 0, False
        return waited


def name_of(type_: int) -> str:
    """Return the name of a request."""
    try:
        return Request(type_).name
    except ValueError:
        return f"request 0x{type_:02X}"
