"""Any order of requests, damage, resets, unplugging and new sessions keeps the link's promises."""

from __future__ import annotations

from hostboard import MS, Bench, Trouble, numbered
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hil.boards.link import LinkState
from hil.boards.protocol import ON_LINE_NBYTES, Reply, Request

SHARES = st.integers(0, 20).map(lambda thousandths: thousandths / 1000)
TROUBLES = st.builds(
    Trouble,
    garble=SHARES,
    drop=SHARES,
    duplicate=SHARES,
    latency_ns=st.integers(0, 30 * MS),
)


class LinkMachine(RuleBasedStateMachine):
    """A link under everything that a line and a board do."""

    @initialize(window=st.sampled_from([1, 2, 4]), seed=st.integers(0, 1000))
    def start(self, window: int, seed: int) -> None:
        """Open a session on a sound line."""
        self.bench = Bench(baud=115_200, seed=seed, window=window).open()
        self.made = 0
        self.waiting: dict[int, int] = {}  # number of a request -> its octets on the line
        self.session = {}  # number of a request -> count of sessions when it was made
        self.last_answered = 0
        self.answered = self.failed = 0

    @rule(count=st.integers(1, 12), more=st.integers(0, 100))
    def ask(self, count: int, more: int) -> None:
        """Ask several times at once."""
        for _ in range(count):
            self.made += 1
            number, payload = self.made, numbered(self.made, bytes(more))
            self.waiting[number] = len(payload) + ON_LINE_NBYTES
            self.session[number] = self.bench.link.counters["sessions"]

            def done(reply: Reply | None, number: int = number) -> None:
                self.taken(number, reply)

            self.bench.link.request(Request.UART_WRITE, payload, done, now_ns=self.bench.now_ns)

    def taken(self, number: int, reply: Reply | None) -> None:
        """Each request ends once; an answer is of its own session, in order, and true."""
        del self.waiting[number]
        if reply is None:
            self.failed += 1
            return
        self.answered += 1
        assert reply.ok
        assert reply.payload == bytes([len(numbered(0)) - 1 + self.more_of(reply)])
        assert self.bench.link.counters["sessions"] == self.session[number]
        assert self.bench.core.executed[number] == 1
        assert number > self.last_answered
        self.last_answered = number

    def more_of(self, reply: Reply) -> int:
        """Return how many octets beyond the number the board has taken."""
        return reply.payload[0] - len(numbered(0)) + 1

    @rule(ms=st.integers(1, 400))
    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.bench.wait_ms(ms)

    @rule(trouble=TROUBLES)
    def trouble(self, trouble: Trouble) -> None:
        """The line gets worse or better."""
        self.bench.lines.to_board.trouble = self.bench.lines.to_host.trouble = trouble

    @rule(told=st.booleans())
    def reset(self, told: bool) -> None:
        """The board starts anew; its BOOT may be lost."""
        if told:
            self.bench.reset_board()
        else:
            self.bench.core.start(self.bench.board_ns())

    @rule()
    def unplug_and_replug(self) -> None:
        """What is on the line is lost, both ways."""
        self.bench.unplug()
        self.bench.wait_ms(20)
        self.bench.plugged = True

    @rule()
    def hello(self) -> None:
        """Ask for a new session."""
        self.bench.link.hello(self.bench.now_ns)
        self.bench.wait_ms(50)

    @rule(count=st.integers(1, 5))
    def events(self, count: int) -> None:
        """Have events come in between."""
        self.bench.core.edge(count)
        self.bench.wait_ms(1)

    @invariant()
    def nothing_is_done_twice(self) -> None:
        """No request is executed more than once, or out of order."""
        if hasattr(self, "bench"):
            assert max(self.bench.core.executed[: self.made + 1]) <= 1
            assert self.bench.core.number("host_disorder") == 0

    @invariant()
    def credit_and_window_hold(self) -> None:
        """What is without an answer fits window and credit, but for one request alone."""
        if not hasattr(self, "bench"):
            return
        window, identity = self.bench.link._window, self.bench.link.identity
        if identity is not None and window.unanswered:
            assert window.unanswered <= identity.window
            assert window.unanswered == 1 or window.credit_used <= identity.rx_credit

    @invariant()
    def every_request_has_one_end(self) -> None:
        """A request is answered, has failed, or waits."""
        if hasattr(self, "bench"):
            assert self.answered + self.failed + len(self.waiting) == self.made

    def teardown(self) -> None:
        """On a sound line a link is open again, and everything comes to an end."""
        if not hasattr(self, "bench"):
            return
        bench = self.bench
        bench.plugged = True
        bench.lines.each(lambda line: setattr(line, "trouble", Trouble()))
        assert bench.run(lambda: not self.waiting, 60_000), bench.states
        bench.wait_ms(3_000)  # a reset that nobody told of has been noticed by now
        if bench.link.state is not LinkState.OPEN:
            bench.link.hello(bench.now_ns)
        assert bench.run(lambda: bench.link.state is LinkState.OPEN), bench.states
        assert bench.ask(Request.PING) is not None


TestLinkMachine = LinkMachine.TestCase
TestLinkMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
