"""The host's link against the firmware's core, across a simulated line."""

from __future__ import annotations

from random import Random

import pytest
from hostboard import MS, Bench, Trouble, answered, came, submit, submit_and_run

from flightsw.codec.serial.hilwire import Receiver, Sender
from hil.boards.link import Link, LinkState
from hil.boards.protocol import EventType, Reply, Request, ResetCause
from hil.errors import BoardError

FRAME = Sender().frame


@pytest.fixture(params=[1, 4], ids=["window-1", "window-4"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A board with an open session on a line without a rate."""
    return Bench(window=request.param).open()


# --- sessions -------------------------------------------------------------------------------------


def test_boot_is_told_and_a_session_opens(bench: Bench) -> None:
    """A board says BOOT, answers HELLO with who it is, and then answers requests."""
    identity = bench.link.identity
    assert identity is not None
    assert [event.type for event in bench.events] == [EventType.BOOT]
    assert (identity.board, identity.firmware) == ("host", "hilwire-host")
    assert identity.reset_cause is ResetCause.POWER_ON
    assert bench.states[-1] == (LinkState.OPEN, "board 'host', firmware 'hilwire-host'")
    reply = bench.ask(Request.PING, b"ab\0c")
    assert reply is not None
    assert (reply.ok, reply.payload, reply.tries) == (True, b"ab\0c", 1)


def test_each_session_has_a_nonce_and_an_epoch_of_its_own() -> None:
    """A new session has another nonce and another epoch, and what the old one asked fails."""
    bench = Bench().open()
    heads = set()
    for _ in range(10):
        got: list[Reply | None] = []
        bench.link.request(Request.PING, b"", got.append, now_ns=bench.now_ns)
        head = bench.link.output()[2]
        heads.add(head)
        bench.link.hello(bench.now_ns)
        assert got == [None]
        assert bench.link.counters["failed"] >= 1
        assert bench.run(lambda: bench.link.state is LinkState.OPEN)
    assert len(heads) == 10


def test_a_nonce_never_repeats_the_one_before() -> None:
    """Even from a source that always says the same, two sessions have two nonces."""

    class Stuck(Random):
        def getrandbits(self, k: int) -> int:
            return 0x1234

    link = Link(random=Stuck())
    link.hello(0)
    first = link.output()
    link.hello(1)
    second = link.output()
    assert first[-6:-4] != second[-6:-4]


def test_hello_is_repeated_and_given_up() -> None:
    """Where nothing answers, HELLO goes out every 250 ms, and the link is lost after 1.5 s."""
    bench = Bench()
    bench.unplug()
    bench.link.hello(bench.now_ns)
    begun = bench.now_ns
    assert bench.run(lambda: bench.link.state is LinkState.LOST)
    assert bench.now_ns - begun == 1_500 * MS
    assert bench.link.counters["hello_tries"] == 6
    assert bench.link.reason == "no answer to HELLO within 1500 ms"
    assert bench.link.due_ns is None


def test_a_limit_of_hello_may_be_shorter() -> None:
    """Who tries many line rates asks each for a short time."""
    link = Link()
    link.hello(0, limit_ns=120 * MS)
    link.service(119 * MS)
    assert link.state is LinkState.GREETING
    link.service(120 * MS)
    assert link.reason == "no answer to HELLO within 120 ms"


def test_text_in_front_of_a_boot_is_passed_over() -> None:
    """What a boot loader writes is idle, and the board behind it is found at once."""
    bench = Bench()
    bench.board_says(b"ROM boot v1.2\r\nready\r\n")
    bench.open()
    assert bench.link.counters["rx_idle_octets"] > 20
    assert bench.link.counters["rx_bad_octets"] == 0


def test_a_board_of_another_major_is_refused() -> None:
    """A board that speaks another HILwire is refused with what to do about it."""
    link = Link()
    seq = greeted(link)
    link.feed(FRAME(bytes((0x20, 0x81, seq)) + b"\0whatever"), 1)
    assert link.state is LinkState.REFUSED
    assert (
        link.reason == "the board speaks HILwire 2, this bench 1; flash the firmware of this bench"
    )


@pytest.mark.parametrize(
    ("at", "value", "what"),
    [(1, 63, "max_frame 63"), (1, 253, "max_frame 253"), (2, 0, "window 0"), (9, 16, "16 bits")],
)
def test_an_identity_that_cannot_be_is_refused(at: int, value: int, what: str) -> None:
    """A board that says what no board may say is refused by name."""
    bench = Bench()
    said = bench.core.start(0)
    code = bytearray(_body(said))
    payload = code[3:]
    payload[at] = value
    link = Link()
    seq = greeted(link)
    link.feed(FRAME(bytes((0x11, 0x81, seq, 0)) + payload), 1)
    assert link.state is LinkState.REFUSED
    assert what in link.reason
    assert "board 'host'" in link.reason


def greeted(link: Link) -> int:
    """Have a link say HELLO; return its seq."""
    link.hello(0)
    return _body(link.output())[2]


def _body(frame: bytes) -> bytes:
    """Return the one body of a frame."""
    (body,) = Receiver().feed(frame)
    return body


def test_without_a_session_requests_fail_at_once() -> None:
    """Before HELLO and after a loss a request fails before the call returns, and is counted."""
    link = Link()
    got: list[Reply | None] = []
    link.request(Request.PING, b"", got.append)
    assert got == [None]
    assert link.counters["refused"] == 1
    assert link.output() == b""
    assert link.due_ns is None


def test_a_payload_that_no_frame_holds_is_refused(bench: Bench) -> None:
    """A payload above the board's frames is told to be sent in parts, and nothing goes out."""
    with pytest.raises(BoardError, match=r"board 'host': PING with 131 octets .* hold 130"):
        bench.link.request(Request.PING, bytes(131))
    assert bench.ask(Request.PING, bytes(129)) is not None


def test_a_closed_link_says_why() -> None:
    """What waits when the link is closed fails, and the reason is the one that was given."""
    bench = Bench().open()
    got: list[Reply | None] = []
    bench.link.request(Request.PING, b"", got.append, now_ns=bench.now_ns)
    bench.link.close("swapped for an emulated part")
    assert got == [None]
    assert bench.states[-1] == (LinkState.CLOSED, "swapped for an emulated part")


# --- resets ---------------------------------------------------------------------------------------


def test_a_reset_fails_what_waits_and_opens_a_new_session(bench: Bench) -> None:
    """BOOT in a session: everything pending fails at once by name, and the board is greeted."""
    got = submit(bench, range(1, 9))
    at_failure: list[str] = []
    bench.link.request(
        Request.PING, b"", lambda _: at_failure.append(bench.link.reason), now_ns=bench.now_ns
    )
    bench.link.output()  # lost with the power
    bench.reset_board(cause=3)
    assert bench.run(lambda: len(got) == 8)
    assert [reply for _, reply in got] == [None] * 8
    assert at_failure == ["board 'host' was reset (brown-out)"]
    assert bench.states[-1] == (LinkState.GREETING, "board 'host' was reset (brown-out)")
    assert bench.run(lambda: bench.link.state is LinkState.OPEN)
    assert bench.link.counters["resets"] == 1
    assert set(bench.core.executed[:9]) == {0}
    assert answered(submit_and_run(bench, range(10, 15))) == list(range(10, 15))


def test_replies_from_before_a_reset_are_never_taken(bench: Bench) -> None:
    """A reply that was kept back until after a reset is dropped and counted, whatever its seq."""
    bench.link.request(Request.PING, b"old", now_ns=bench.now_ns)
    old = bench.core.run(bench.link.output(), bench.now_ns)
    assert b"old" in old
    bench.reset_board()
    assert bench.run(lambda: bench.link.counters["sessions"] == 2)
    got: list[Reply | None] = []
    for _ in range(300):  # so that each seq is under way once
        bench.link.request(Request.PING, b"new", got.append, now_ns=bench.now_ns)
        bench.board_says(old)
        assert bench.run(came(got))
        assert got.pop().payload == b"new"  # type: ignore[union-attr]
    assert bench.link.counters["wrong_epoch"] == 300


def test_a_boot_said_twice_is_one_reset() -> None:
    """A BOOT of the boot that the session is with is old news, and is counted as such."""
    bench = Bench()
    said = bench.core.start(bench.board_ns())
    bench.board_says(said + said)
    bench.link.hello(bench.now_ns)
    assert bench.run(lambda: bench.link.state is LinkState.OPEN)
    bench.board_says(said)
    assert bench.ask(Request.PING) is not None
    assert bench.link.counters["stale_boots"] == 2
    assert bench.link.counters["resets"] == 0
    assert len(bench.events) == 1


def test_a_reset_that_nobody_told_of_loses_the_link() -> None:
    """Where BOOT is lost, the board drops what has no session, and the link is lost in time."""
    bench = Bench().open()
    bench.core.start(bench.board_ns())
    begun = bench.now_ns
    got = submit(bench, range(1, 4))
    assert bench.run(lambda: bench.link.state is LinkState.LOST)
    assert 500 * MS <= bench.now_ns - begun <= 600 * MS
    assert [reply for _, reply in got] == [None] * 3
    assert "UART_WRITE got no answer in" in bench.link.reason
    assert set(bench.core.executed[:9]) == {0}


def test_a_stray_hello_after_an_unseen_reset_is_noticed() -> None:
    """A HELLO still on the line opens a session that is not ours: the other boot id tells."""
    bench = Bench()
    bench.core.start(bench.board_ns())
    bench.link.hello(bench.now_ns)
    hello = bench.link.output()
    bench.board_says(bench.core.run(hello, bench.board_ns()))
    assert bench.run(lambda: bench.link.state is LinkState.OPEN)
    bench.core.start(bench.board_ns())  # whose BOOT nobody hears
    bench.board_says(bench.core.run(hello, bench.board_ns()))
    assert bench.run(lambda: bench.link.counters["resets"] == 1)
    assert bench.run(lambda: bench.link.counters["sessions"] == 2)


def test_a_repeated_hello_changes_nothing() -> None:
    """A second answer to one HELLO is dropped, and requests under way are answered."""
    bench = Bench()
    bench.reset_board()
    bench.link.hello(bench.now_ns)
    hello = bench.link.output()
    bench.lines.to_board.put(hello + hello, bench.now_ns)
    assert bench.run(lambda: bench.link.state is LinkState.OPEN)
    assert answered(submit_and_run(bench, range(1, 6))) == [1, 2, 3, 4, 5]
    assert bench.link.counters["stray"] == 2  # BOOT has brought a third HELLO
    assert bench.link.counters["sessions"] == 1


# --- loss -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(garble=0.0095),
        Trouble(drop=0.0095),
        Trouble(duplicate=0.0095),
        Trouble(garble=0.004, drop=0.003, duplicate=0.0025),
        Trouble(garble=0.03),
    ],
    ids=["garble", "drop", "duplicate", "all", "garble-3-percent"],
)
@pytest.mark.parametrize("window", [1, 4])
def test_requests_are_done_once_and_in_order_under_damage(trouble: Trouble, window: int) -> None:
    """Whatever is done to octets, each request is executed and answered once and in order."""
    bench = Bench(baud=500_000, seed=7, window=window, clock_period_ns=60_000 * MS)
    bench.open()
    bench.lines.to_board.trouble = bench.lines.to_host.trouble = trouble
    got = submit(bench, range(1, 401))
    assert bench.run(lambda: len(got) == 400, 600_000), bench.states
    assert answered(got) == list(range(1, 401))
    assert set(bench.core.executed[1:401]) == {1}
    assert bench.core.number("host_disorder") == 0
    assert bench.link.counters["retransmitted"] > 0


def test_a_hint_repeats_a_request_without_waiting() -> None:
    """A damaged request is repeated when the board says so, long before its timeout."""
    bench = Bench(baud=115_200).open()
    bench.lines.to_board.put(b"\0\5abcd\0", bench.now_ns)
    sent = bench.now_ns
    bench.link.request(Request.PING, b"12345678", now_ns=bench.now_ns)
    bench.link.output()  # never arrives; the damaged frame in its place does
    got = submit_and_run(bench, range(1, 2))
    assert answered(got) == [1]
    assert bench.now_ns - sent < 10 * MS
    assert bench.link.counters["timeouts"] == 0
    assert bench.link.counters["hints"] == 1


def test_lost_octets_of_the_hardware_are_asked_for_again() -> None:
    """An overrun on the board brings the request again, and nothing is done twice."""
    bench = Bench(baud=115_200).open()
    got = submit(bench, range(1, 4))
    bench.core.lose()
    assert bench.run(lambda: len(got) == 3)
    assert answered(got) == [1, 2, 3]
    assert set(bench.core.executed[1:4]) == {1}
    assert bench.core.counters[8] == 1


def test_the_time_to_a_repetition_is_that_of_the_line() -> None:
    """A request is repeated after 4 times the line time of it and its reply and 20 ms."""
    bench = Bench(baud=9_600).open()
    bench.wait_ms(800)
    bench.unplug()
    sent = bench.now_ns
    bench.link.request(Request.PING, b"1234", now_ns=sent)
    octets = 4 + 9 + 136 + 3
    timeout_ns = int(4 * octets * 10 * 1e9 / 9_600) + 20 * MS
    assert bench.link.due_ns is not None
    due = {bench.link.due_ns}
    while bench.link.counters["timeouts"] == 0:
        bench.step(sent + 10_000 * MS)
        due.add(bench.now_ns)
    assert abs(bench.now_ns - sent - timeout_ns) < 1_000_000


def test_silence_loses_the_link_after_three_tries_more_and_half_a_second() -> None:
    """With nothing on the line the link is lost after at least 4 tries and at least 500 ms."""
    bench = Bench().open()
    bench.wait_ms(2_000)
    bench.unplug()
    got = submit(bench, range(1, 3))
    sent = bench.now_ns
    assert bench.run(lambda: bench.link.state is LinkState.LOST)
    assert 500 * MS <= bench.now_ns - sent <= 560 * MS
    assert bench.link.counters["timeouts"] >= 4
    assert [reply for _, reply in got] == [None, None]
    assert bench.link.reason.startswith("UART_WRITE got no answer in 10 tries; silent for 5")


def test_a_dead_line_is_noticed_though_nobody_asks() -> None:
    """Without any request the keep-alive finds that the board is gone."""
    bench = Bench().open()
    bench.wait_ms(3_000)
    bench.unplug()
    begun = bench.now_ns
    assert bench.run(lambda: bench.link.state is LinkState.LOST)
    assert bench.now_ns - begun < 2_000 * MS
    assert bench.link.reason.startswith("TIME got no answer")


def test_a_request_that_is_never_answered_does_not_go_on_for_ever() -> None:
    """A board that talks but never answers one request is given up by name."""
    bench = Bench().open()
    bench.link.request(0x3F, now_ns=bench.now_ns)
    while bench.link.state is LinkState.OPEN:
        bench.link.output()  # what the board never gets
        bench.board_says(bench.core.say(b"still here"))
        bench.wait_ms(10)
    assert bench.link.reason == "request 0x3F got no answer in 24 tries, though the board talks"


def test_an_unknown_request_is_answered_as_unsupported(bench: Bench) -> None:
    """What a board does not know it says so, and the session goes on."""
    got: list[Reply | None] = []
    bench.link.request(0x3F, b"", got.append, now_ns=bench.now_ns)
    assert bench.run(came(got))
    assert got[0] is not None
    assert got[0].status == 6


def test_time_may_be_told_late() -> None:
    """A request made at an untold time is due at once and then waits as long as any other."""
    bench = Bench().open()
    bench.unplug()
    bench.link.request(Request.PING)
    assert bench.link.due_ns == 0
    bench.link.service(bench.now_ns)
    assert bench.link.due_ns == bench.now_ns + 50 * MS


# --- window and credit ----------------------------------------------------------------------------


def test_window_and_credit_bound_what_is_on_the_line() -> None:
    """At most a window of requests and at most the credit of octets are without an answer."""
    bench = Bench(baud=115_200).open()
    identity = bench.link.identity
    assert identity is not None
    submit(bench, range(1, 9))
    assert bench.link.output().count(b"\x21") == identity.window == 4
    bench = Bench(baud=115_200).open()
    for _ in range(4):
        bench.link.request(Request.PING, bytes(100), now_ns=bench.now_ns)
    assert len(bench.link.output()) == 2 * 109 <= identity.rx_credit < 3 * 109


# --- events ---------------------------------------------------------------------------------------


def test_lost_events_are_counted_and_none_comes_twice() -> None:
    """A gap in the events' own counter is told with the next event; a repeated one is dropped."""
    bench = Bench().open()
    before = len(bench.events)
    frames = [bench.core.say(f"line {i}".encode()) for i in range(6)]
    for frame in (frames[0], frames[1], frames[1], frames[4], frames[5]):
        bench.board_says(frame)
    bench.wait_ms(10)
    told = bench.events[before:]
    assert [event.payload for event in told] == [b"line 0", b"line 1", b"line 4", b"line 5"]
    assert [event.lost for event in told] == [0, 0, 2, 0]
    assert bench.link.counters["events_lost"] == 2
    assert bench.link.counters["events_repeated"] == 1


def test_events_of_another_epoch_are_dropped() -> None:
    """An event from before the session is not taken; a LOG without a session is."""
    bench = Bench()
    bench.reset_board()
    bench.board_says(bench.core.say(b"hello world"))
    bench.core.edge(1)
    bench.board_says(bench.core.run(b"", bench.board_ns()))
    bench.wait_ms(5)
    assert [event.type for event in bench.events] == [EventType.BOOT, EventType.LOG]
    assert bench.link.counters["no_session"] == 1
    old = bench.core.say(b"too late")
    bench.link.hello(bench.now_ns)
    assert bench.run(lambda: bench.link.state is LinkState.OPEN)
    bench.board_says(old)
    bench.wait_ms(5)
    assert bench.link.counters["wrong_epoch"] == 1
    assert bench.events[-1].payload == b"hello world"
