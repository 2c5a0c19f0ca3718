"""The contract suite of boards: every firmware, ours or not, that speaks HILwire 1 must pass it.

Public on purpose: whoever writes firmware for another board runs it against the board's tty::

    check_board("/dev/ttyACM0")

The board may be in any state before; the suite opens sessions of its own and leaves one open. It
uses no bus and no pin of the board. A check raises AssertionError with what was promised
(``docs/board-protocol.md``) and what came. ``reset`` presses the board's reset button where it has
one that the suite can reach; a board that takes RESET is reset by that, too.
"""

from __future__ import annotations

import itertools
import os
import random
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from hil.testing.contracts import board_bench as bench
from hil.testing.contracts.board_bench import BoardBench, Identity, check_octets, on_line

#: Opens the board's line: raw, and with nothing lost between two calls.
OpenPort = Callable[[], AbstractContextManager[int]]
Check = Callable[[BoardBench], None]

_CAN_SET_BAUD, _CAN_RESET = 1 << 8, 1 << 9
_NOBODY = 0x3F  # a request that no minor version has
_nonces = itertools.count(random.SystemRandom().randrange(1 << 16))


def _draws(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same damage in every run, no secret


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a tty raw at 115200 baud and hand out its descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(fd)
        line = termios.tcgetattr(fd)
        line[4] = line[5] = termios.B115200
        termios.tcsetattr(fd, termios.TCSANOW, line)
        yield fd
    finally:
        os.close(fd)


def open_session(board: BoardBench, seq: int = 0) -> Identity:
    """Open a new session, whatever the board was in the middle of."""
    identity = board.hello(next(_nonces) & 0xFFFF, seq)
    board.events.clear()
    return identity


def check_board(port: str | OpenPort, reset: Callable[[], None] | None = None) -> None:
    """Run every check against one board; raises AssertionError at the first promise not kept.

    ``port`` is the path of its tty, or what opens its line.
    """
    with opened(port) if isinstance(port, str) else port() as fd:
        board = BoardBench(fd)
        for check in CHECKS:
            check(board)
        check_reset(board, reset)


# --- identity and sessions ---------------------------------------------------------------------


def check_identity(board: BoardBench) -> None:
    """HELLO is answered with an identity whose numbers are within the protocol's limits."""
    who = open_session(board)
    assert 64 <= who.max_frame <= 252, f"frames of {who.max_frame} octets"
    assert who.window in range(1, 17), f"a window of {who.window}"
    assert who.rx_credit >= 64, f"credit for {who.rx_credit} octets, less than the least frame"
    assert (who.clock_hz, who.clock_bits) == (1_000_000, 32), "time is u32 microseconds"
    assert who.reset_cause <= 6, f"reset cause {who.reset_cause}"
    assert who.board, "a board without a name"
    assert who.firmware, "firmware without a name"


def check_hello_anywhere(board: BoardBench) -> None:
    """HELLO is taken at any epoch and any major, because the host cannot know them yet."""
    for head in (0x00, 0x1F, 0x2A, 0xFF):
        board.hello(next(_nonces) & 0xFFFF, seq=head, head=head)
        assert board.request(bench.PING, b"after").data == b"after"


def check_new_session(board: BoardBench) -> None:
    """A new nonce opens the next epoch and expects the seq behind the HELLO's."""
    open_session(board, seq=200)
    epoch = board.epoch
    open_session(board, seq=255)
    assert board.epoch == (epoch + 1) & 15, f"epoch {board.epoch} behind {epoch}"
    assert board.request(bench.PING).seq == 0, "seq wraps at 256"


def check_same_hello(board: BoardBench) -> None:
    """A HELLO that comes again with its nonce is answered the same and changes nothing."""
    nonce = next(_nonces) & 0xFFFF
    first = board.hello(nonce, seq=10)
    epoch = board.epoch
    kept = board.request(bench.TIME)
    again = board.hello(nonce, seq=10)
    assert (again, board.epoch) == (first, epoch)
    board.seq = kept.seq
    assert board.request(bench.TIME).data == kept.data, "HELLO has cost the kept reply"
    assert board.request(bench.PING).status == bench.OK


def check_short_hello(board: BoardBench) -> None:
    """A HELLO without its nonce is INVALID and opens nothing."""
    open_session(board)
    board.send(bytes((0x10, bench.HELLO, 77, bench.MAJOR)))
    reply = board.reply()
    assert (reply.type, reply.seq, reply.payload) == (0x81, 77, bytes((bench.INVALID,))), reply
    assert board.request(bench.PING).status == bench.OK


def check_wrong_epoch(board: BoardBench) -> None:
    """Frames of another epoch or another major are dropped without an answer, and counted."""
    open_session(board)
    before = board.counters()
    right = board.body(bench.PING, b"stray")
    heads = [head for head in range(256) if head != right[0]]
    for head in heads:
        board.send(bytes((head,)) + right[1:])
        if head % 4 == 0:  # and no more on their way than a small board's ring holds
            assert board.request(bench.PING, b"good").data == b"good"
            right = board.body(bench.PING, b"stray")
    grown = board.grown(before)
    assert grown.pop("frames") >= len(heads)
    assert grown == {"wrong_epoch": len(heads)}, grown


def check_echo(board: BoardBench) -> None:
    """Replies and events that a line brings back are dropped without an answer, and counted."""
    open_session(board)
    before = board.counters()
    for kind in (0x40, 0x82, 0xC0, 0xC2, 0xFF):
        board.send(board.body(kind, b"echo"))
        assert board.request(bench.PING, b"good").data == b"good"
    assert board.grown(before) == {"frames": 10, "wrong_epoch": 5}


# --- requests ----------------------------------------------------------------------------------


def check_ping(board: BoardBench) -> None:
    """PING gives back any octets, of every length that has room behind the status."""
    who = open_session(board)
    octets = bytes(_draws(1).randrange(256) for _ in range(252))
    for nbytes in range(who.max_frame - 6):
        assert board.request(bench.PING, octets[:nbytes]).data == octets[:nbytes]
    assert board.request(bench.PING, bytes(who.max_frame - 7)).data == bytes(who.max_frame - 7)
    assert board.request(bench.PING, bytes(who.max_frame - 6)).status == bench.INVALID


def check_unknown(board: BoardBench) -> None:
    """A request that the board does not know is answered UNSUPPORTED, with the session intact."""
    open_session(board)
    for kind in (0x00, 0x09, 0x1F, _NOBODY):
        reply = board.request(kind, b"what")
        assert reply.payload == bytes((bench.UNSUPPORTED,)), f"0x{kind:02x}: {reply}"


def check_short_payload(board: BoardBench) -> None:
    """A request whose payload is too short is INVALID; without the capability, UNSUPPORTED."""
    who = open_session(board)
    kinds = {bench.SET_BAUD: 8, bench.RESET: 9, 0x10: 0, 0x11: 0, 0x12: 0, 0x18: 1, 0x19: 1}
    kinds |= {0x20: 2, 0x21: 2, 0x28: 3, 0x29: 3, 0x2A: 3, 0x30: 4, 0x31: 4}
    kinds |= {0x38: 6, 0x39: 6, 0x3A: 6}
    for kind, bit in kinds.items():
        want = bench.INVALID if who.capabilities >> bit & 1 else bench.UNSUPPORTED
        status = board.request(kind).status
        wants = {want, bench.INVALID} if kind < 0x10 else {want}
        assert status in wants, f"0x{kind:02x} without payload ends with {status}, not {want}"
    for kind in (bench.READ, bench.WRITE):
        assert board.request(kind, b"\0\0\0").status == bench.INVALID, f"0x{kind:02x}"


def check_time(board: BoardBench) -> None:
    """TIME gives two readings of a clock that never runs back (but wraps at 2^32)."""
    open_session(board)
    last: int | None = None
    for _ in range(20):
        data = board.request(bench.TIME).data
        assert len(data) == 8, f"TIME of {len(data)} octets"
        for at in (0, 4):
            now = int.from_bytes(data[at : at + 4], "little")
            assert last is None or (now - last) & 0xFFFFFFFF < 1 << 31, f"{now} us behind {last}"
            last = now


def check_spaces(board: BoardBench) -> None:
    """Space 0 reads as text in pieces of any size, space 1 as the UID; others are INVALID."""
    who = open_session(board)

    def read(space: int, offset: int, nbytes: int) -> bench.Frame:
        payload = bytes((space,)) + offset.to_bytes(4, "little") + bytes((nbytes,))
        return board.request(bench.READ, payload)

    whole = b""
    while piece := read(0, len(whole), 40).data:
        whole += piece
    whole.decode("utf-8")
    assert read(0, 3, 5).data == whole[3:8]
    assert read(0, 0xFFFFFFFF, 5).data == b""
    assert read(1, 0, 8).data == who.uid
    assert read(0xEE, 0, 1).status == bench.INVALID


# --- at most once ------------------------------------------------------------------------------


def check_repeated(board: BoardBench) -> None:
    """A repeated request is answered with the kept reply, not executed again, and counted."""
    open_session(board, seq=254)
    before = board.counters()
    for kind in (bench.TIME, bench.PING, _NOBODY, bench.TIME):
        seq, first = board.seq, board.request(kind)
        for _ in range(3):
            board.seq = seq
            assert board.request(kind) == first, "the reply to a repeated request is another one"
    assert board.grown(before) == {"frames": 16, "repeated": 12}


def check_window(board: BoardBench) -> None:
    """A window full of requests is answered in order; each of them may be repeated from memory."""
    who = open_session(board, seq=100)
    board.write(b"".join(_framed(board, i) for i in range(who.window)))
    first = board.seq
    replies = [board.answered(bench.TIME) for _ in range(who.window)]
    last = board.seq
    for reply in reversed(replies):
        board.seq = reply.seq
        assert board.request(bench.TIME) == reply
    board.seq = last
    board.send(board.body(bench.TIME, seq=first - 1))  # the HELLO's, which is not kept
    assert board.event(bench.RESEND).payload == bytes((2, last))


def _framed(board: BoardBench, ahead: int, kind: int = bench.TIME, payload: bytes = b"") -> bytes:
    body = board.body(kind, payload, seq=board.seq + ahead)
    return on_line(body + check_octets(body))


def check_credit(board: BoardBench) -> None:
    """As many octets as the credit allows may be on their way while the board answers: none is
    lost, and nothing has to be said twice."""
    who = open_session(board)
    before = board.counters()
    nbytes = min(who.rx_credit // who.window - 9, who.max_frame - 7)
    payload = bytes(1 + at % 255 for at in range(nbytes))
    for _ in range(3):
        frames = (_framed(board, i, bench.PING, payload) for i in range(who.window))
        board.write(b"".join(frames))
        for _ in range(who.window):
            assert board.answered(bench.PING).data == payload
    assert board.grown(before) == {"frames": 3 * who.window}


def check_out_of_order(board: BoardBench) -> None:
    """A request ahead of its turn is dropped, counted and told by RESEND with the seq expected."""
    open_session(board)
    before = board.counters()
    for ahead in (1, 2, 100, 128, 200):
        board.send(board.body(bench.PING, seq=board.seq + ahead))
        told = board.event(bench.RESEND)
        assert told.payload == bytes((2, board.seq)), told
    assert board.request(bench.PING, b"in order").data == b"in order"
    assert board.grown(before) == {"frames": 6, "out_of_order": 5}


# --- damage ------------------------------------------------------------------------------------


def check_damage(board: BoardBench) -> None:
    """A damaged frame does nothing: it is counted and told by RESEND with the seq expected."""
    open_session(board)
    before, draw = board.counters(), _draws(2)
    for _ in range(40):
        body = board.body(bench.PING, b"payload")
        frame = bytearray(body + check_octets(body))
        for at in draw.sample(range(len(frame)), draw.randrange(1, 4)):
            frame[at] ^= draw.randrange(1, 256)
        board.write(on_line(bytes(frame)))
        told = board.event(bench.RESEND)
        assert told.payload == bytes((1, board.seq)), told
    assert board.request(bench.PING, b"whole").data == b"whole"
    assert board.grown(before) == {"frames": 1, "bad_check": 40}


def check_both_checks(board: BoardBench) -> None:
    """A frame is good by its fold and by its CRC: one of the two is not enough."""
    open_session(board)
    before = board.counters()
    body = board.body(bench.PING, b"payload")
    fold, *crc = check_octets(body)
    low, high = crc
    wrong = body + bytes((fold ^ 1,))
    with_crc_of_wrong = wrong + bench.crc_octets(wrong)
    for frame in (with_crc_of_wrong, wrong + bytes(crc), body + bytes((fold, low ^ 1, high))):
        board.write(on_line(frame))
        assert board.event(bench.RESEND).payload == bytes((1, board.seq))
    assert board.request(bench.PING, b"whole").data == b"whole"
    assert board.grown(before) == {"frames": 1, "bad_check": 3}


def check_truncated(board: BoardBench) -> None:
    """A frame that ends inside a piece of COBS is counted as such and told by RESEND."""
    open_session(board)
    before = board.counters()
    for nbytes in (1, 4):
        board.write(on_line(b"abcdefgh")[: 1 + nbytes] + b"\0")
        assert board.event(bench.RESEND).payload == bytes((1, board.seq))
    board.write(b"\0\x03ab\0")  # too short for a check
    assert board.event(bench.RESEND).payload == bytes((1, board.seq))
    assert board.request(bench.PING).status == bench.OK
    assert board.grown(before) == {"frames": 1, "bad_cobs": 2, "bad_check": 1}


def check_overlong(board: BoardBench) -> None:
    """A frame longer than max_frame is counted once and dropped to its end."""
    who = open_session(board)
    before = board.counters()
    body = board.body(bench.PING, bytes(who.max_frame - 5))
    board.send(body)
    assert board.event(bench.RESEND).payload == bytes((1, board.seq))
    board.write(b"\0" + b"\xff" + b"U" * 254 + b"\x05UUUU\0")
    assert board.event(bench.RESEND).payload == bytes((1, board.seq))
    assert board.request(bench.PING, b"short").data == b"short"
    assert board.grown(before) == {"frames": 1, "overlong": 2}


def check_noise(board: BoardBench) -> None:
    """Empty frames mean nothing, and a frame is good whatever noise its first delimiter ends."""
    open_session(board)
    board.write(bytes(20))
    before = board.counters()
    draw = _draws(3)
    for _ in range(20):
        board.write(bytes(draw.randrange(1, 256) for _ in range(draw.randrange(1, 50))))
        assert board.request(bench.PING, b"good").data == b"good"
    grown = board.grown(before)
    assert grown.pop("frames") == 20
    assert sum(grown.values()) == 20, f"20 pieces of noise, counted {grown}"


def check_octet_wise(board: BoardBench) -> None:
    """A frame may come in any pieces: the board keeps its place between two octets."""
    open_session(board)
    body = board.body(bench.PING, bytes((0, 1, 0, 0, 2, 255, 0)))
    for octet in on_line(body + check_octets(body)):
        board.write(bytes((octet,)))
    assert board.answered(bench.PING).data == bytes((0, 1, 0, 0, 2, 255, 0))


def check_event_counter(board: BoardBench) -> None:
    """Events are numbered one by one, so that a lost one is seen."""
    open_session(board)
    numbers = []
    for _ in range(5):
        board.send(board.body(bench.PING, seq=board.seq + 50))
        numbers.append(board.event(bench.RESEND).seq)
    assert numbers == [(numbers[0] + i) & 0xFF for i in range(5)], numbers


def check_baud(board: BoardBench) -> None:
    """SET_BAUD of a rate that no line has is refused; without the capability it is UNSUPPORTED."""
    who = open_session(board)
    can = who.capabilities & _CAN_SET_BAUD
    status = board.request(bench.SET_BAUD, (1).to_bytes(4, "little")).status
    assert status == (bench.INVALID if can else bench.UNSUPPORTED), f"1 baud ends with {status}"
    assert board.request(bench.PING).status == bench.OK


#: What needs nothing but the line. :func:`check_reset` comes last.
CHECKS: tuple[Check, ...] = (
    check_identity,
    check_hello_anywhere,
    check_new_session,
    check_same_hello,
    check_short_hello,
    check_wrong_epoch,
    check_echo,
    check_ping,
    check_unknown,
    check_short_payload,
    check_time,
    check_spaces,
    check_repeated,
    check_window,
    check_credit,
    check_out_of_order,
    check_damage,
    check_both_checks,
    check_truncated,
    check_overlong,
    check_noise,
    check_octet_wise,
    check_event_counter,
    check_baud,
)


def check_reset(board: BoardBench, reset: Callable[[], None] | None = None) -> None:
    """After a reset BOOT comes with a new boot id, and nothing but HELLO is heard until then."""
    who = open_session(board)
    if who.capabilities & _CAN_RESET:
        assert board.request(bench.RESET, b"\0").status == bench.OK
        _booted(board, who, causes={5})
    else:
        assert board.request(bench.RESET, b"\0").status == bench.UNSUPPORTED
    if reset is not None:
        who = open_session(board)
        reset()
        _booted(board, who, causes=set(range(7)) - {5})


def _booted(board: BoardBench, before: Identity, causes: set[int]) -> None:
    told = board.event(bench.BOOT)
    who = Identity.of(told.payload)
    assert who.boot_id != before.boot_id, "a boot id that is not new"
    assert told.epoch == who.boot_id & 15, "the first epoch is of the boot id"
    assert who.reset_cause in causes, f"reset cause {who.reset_cause}"
    assert who._replace(boot_id=0, reset_cause=0) == before._replace(boot_id=0, reset_cause=0)
    board.epoch = told.epoch
    body = board.body(bench.PING, b"no delimiter before it")
    board.write(on_line(body + check_octets(body))[1:])
    for _ in range(3):
        board.send(board.body(bench.PING, b"too early"))
    assert open_session(board).boot_id == who.boot_id
    assert board.epoch == (told.epoch + 1) & 15
    counters = board.counters()
    assert (counters["no_session"], counters["frames"]) == (3, 5), counters
