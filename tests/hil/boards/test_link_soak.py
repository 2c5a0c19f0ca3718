"""A million damaged frames, and a million requests across a bad line; short forms in the suite."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hostboard import MS, Bench, Core, Trouble, numbered

from flightsw.codec.serial.hilwire import Receiver, Sender
from hil.boards import protocol
from hil.boards.protocol import EventType, Reply, Request

MILLION = 1_000_000
FRAME = Sender().frame


# --- damage ---------------------------------------------------------------------------------------


def flip_bits(random: Random, frame: bytes, other: bytes) -> bytes:
    """One to four bits are other than they were."""
    octets = bytearray(frame)
    for _ in range(random.randint(1, 4)):
        octets[random.randrange(len(octets))] ^= 1 << random.randrange(8)
    return bytes(octets)


def burst(random: Random, frame: bytes, other: bytes) -> bytes:
    """A run of 17 to 32 bits is noise."""
    nbits = random.randint(17, 32)
    at = random.randrange(max(1, 8 * len(frame) - nbits))
    noise = (random.getrandbits(nbits) | 1 | 1 << (nbits - 1)) << at
    value = int.from_bytes(frame, "little") ^ noise
    return (value & ((1 << 8 * len(frame)) - 1)).to_bytes(len(frame), "little")


def lose_one(random: Random, frame: bytes, other: bytes) -> bytes:
    """One octet never came."""
    at = random.randrange(len(frame))
    return frame[:at] + frame[at + 1 :]


def lose_some(random: Random, frame: bytes, other: bytes) -> bytes:
    """Two to eight octets in a row never came."""
    at = random.randrange(len(frame))
    return frame[:at] + frame[at + random.randint(2, 8) :]


def double(random: Random, frame: bytes, other: bytes) -> bytes:
    """One octet came twice."""
    at = random.randrange(len(frame))
    return frame[: at + 1] + frame[at:]


def insert(random: Random, frame: bytes, other: bytes) -> bytes:
    """An octet came that nobody sent."""
    at = random.randrange(len(frame) + 1)
    return frame[:at] + bytes([random.randrange(256)]) + frame[at:]


def lose_delimiter(random: Random, frame: bytes, other: bytes) -> bytes:
    """Both delimiters between two frames are lost: they are one."""
    return frame[:-1] + other[1:]


def join_equal(random: Random, frame: bytes, other: bytes) -> bytes:
    """Two equal frames without the delimiters between them."""
    return frame[:-1] + frame[1:]


def garble_octets(random: Random, frame: bytes, other: bytes) -> bytes:
    """Two to six octets are any others."""
    octets = bytearray(frame)
    for _ in range(random.randint(2, 6)):
        octets[random.randrange(len(octets))] = random.randrange(256)
    return bytes(octets)


DAMAGE = (
    *(flip_bits, burst, lose_one, lose_some, double),
    *(insert, lose_delimiter, join_equal, garble_octets),
)


class Victims:
    """A host receiver and a board that get the same damaged frames."""

    def __init__(self) -> None:
        self.receiver, self.core = Receiver(), Core()
        self.core.start(0, boot_id=0)
        hello = protocol.build(Request.HELLO, major=1, minor=0, nonce=1)
        (answer,) = Receiver().feed(self.core.run(FRAME(b"\x10\1\0" + hello), 0))
        self.head, self.seq = answer[0], 1
        self.core.clear()
        self.passed_checks = self.wrong = self.wrong_on_board = 0

    def request(self, number: int, random: Random) -> bytes:
        """Return a request's body as it would be sent next."""
        more = random.randbytes(random.randrange(60))
        return bytes((self.head, Request.UART_WRITE, self.seq)) + numbered(number, more)

    def take(self, number: int, damaged: bytes, sound: tuple[bytes, ...]) -> None:
        """Give both what came; count what was taken for what it is not."""
        for body in self.receiver.feed(damaged + b"\0"):
            if body not in sound:
                self.passed_checks += 1
                self.wrong += self.fits(body)
        before = self.core.executed[number]
        for said in Receiver().feed(self.core.run(damaged + b"\0", 0)):
            if said[1] >= protocol.FIRST_EVENT:
                assert said[1] == EventType.RESEND
                continue
            self.seq = (said[2] + 1) & 0xFF
            done = self.core.executed[number] - before
            self.wrong_on_board += done != 1 or said[1] != Request.UART_WRITE | protocol.REPLY

    def fits(self, body: bytes) -> bool:
        """Return whether the host would take this for what it waits for: epoch, type, length."""
        return body[0] == self.head and body[1] == Request.UART_WRITE and len(body) >= 8


def damage_frames(count: int, seed: int) -> Victims:
    """Damage so many frames, each class as often as the others."""
    random, victims = Random(seed), Victims()
    for nth in range(count):
        number = nth % ((1 << 20) - 2) + 1
        body, other = victims.request(number, random), victims.request(0, random)
        damaged = DAMAGE[nth % len(DAMAGE)](random, FRAME(body), FRAME(other))
        victims.take(number, damaged, (body, other))
    return victims


def judge(victims: Victims, count: int) -> str:
    """Return what came of it in a line; nothing wrong may have been taken."""
    counts = victims.receiver.counters
    text = (
        f"{count} damaged frames: {counts['bad_folds']} passed CRC-16 alone,"
        f" {victims.passed_checks} CRC-16 and fold, {victims.wrong} these and epoch, type and"
        f" length; {victims.wrong_on_board} wrong ones were executed by the board"
    )
    assert (victims.wrong, victims.wrong_on_board) == (0, 0), text
    assert counts["bad_checks"] > count // 4, text
    return text


def test_damaged_frames_are_not_taken() -> None:
    """Of frames damaged in every way none is taken for another, by the host or by the board."""
    judge(damage_frames(18_000, 1), 18_000)


@pytest.mark.soak
def test_a_million_damaged_frames_are_not_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a million damaged frames none is taken for another, by the host or by the board."""
    text = judge(damage_frames(MILLION, 2), MILLION)
    with capsys.disabled():
        print(text)


# --- requests -------------------------------------------------------------------------------------

#: Just below 1 % of the octets, both ways.
BAD = Trouble(garble=0.005, drop=0.0025, duplicate=0.0024)


def ask_many(bench: Bench, count: int) -> list[int]:
    """Make so many requests, always some at a time; return the numbers in order of their ends."""
    ended: list[int] = []
    made = 0

    def taker(number: int) -> Callable[[Reply | None], None]:
        return lambda reply: ended.append(number if reply is not None and reply.ok else -number)

    def refill() -> None:
        nonlocal made
        while made < count and bench.link.unanswered < 8:
            made += 1
            payload = numbered(made)
            bench.link.request(Request.UART_WRITE, payload, taker(made), now_ns=bench.now_ns)

    bench.watch = refill
    assert bench.run(lambda: len(ended) >= count, 100 * count), bench.states
    return ended


def no_request_is_lost(count: int, window: int) -> str:
    """Ask so often across a bad line of 500 kbaud and tell what it took."""
    bench = Bench(baud=500_000, seed=3, window=window, clock_period_ns=10_000 * MS).open()
    bench.lines.each(lambda line: setattr(line, "trouble", BAD))
    begun_ns = bench.now_ns
    ended = ask_many(bench, count)
    assert ended == list(range(1, count + 1))
    assert bytes(bench.core.executed[1 : count + 1]) == b"\1" * count
    assert bench.core.number("host_disorder") == 0
    assert bench.link.counters["sessions"] == 1
    counts, line = bench.link.counters, bench.lines.counters
    octets = line["to_board.octets"] + line["to_host.octets"]
    hit = sum(line[f"{way}.{what}"] for way in ("to_board", "to_host") for what in HITS)
    return (
        f"{count} requests, window {window}: none lost, none done twice; {hit} of {octets} octets"
        f" damaged, {counts['retransmitted']} repeated ({counts['hints']} on a hint,"
        f" {counts['timeouts']} after a timeout), {bench.core.counters[6]} (mod 65536) answered"
        f" again, {(bench.now_ns - begun_ns) / 1e6 / count:.2f} ms a request"
    )


HITS = ("garbled", "dropped", "duplicated")


@pytest.mark.parametrize("window", [1, 4])
def test_requests_survive_a_bad_line(window: int) -> None:
    """With nearly 1 % of all octets damaged no request is lost and none is done twice."""
    no_request_is_lost(3_000, window)


@pytest.mark.soak
@pytest.mark.parametrize("window", [1, 4])
def test_a_million_requests_survive_a_bad_line(
    window: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a million requests on such a line none is lost and none is done twice."""
    text = no_request_is_lost(MILLION, window)
    with capsys.disabled():
        print(text)
