"""The exchange: one participant in lock-step, scheduled requests, inputs, ends, refusals."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import pytest

from flightsw.codec import bus_payload
from flightsw.codec.wire import HEADER_NBYTES, Flag, Kind, Record, Status, pack, unpack_all
from hil.digest import RecordStream
from hil.errors import ParticipantError
from hil.exchange import Exchange
from hil.greeting import END_ACK, answer_hello, check_end_ack
from hil.testing.contracts.bus import ADDRESS
from hil.testing.small_rig import CAN, FRAMES, GPIO, I2C, SPI, UART, Camera, SmallRig
from hil.time.participant import Participant
from hil.time.phase import Phase

END_NS = 1_000_000_000


@pytest.fixture
def rig() -> SmallRig:
    return SmallRig(END_NS)


@pytest.fixture
def fsw(rig: SmallRig) -> Participant:
    return rig.exchange.join("fsw")


def i2c(t_ns: int, write: bytes, nread: int = 0, address: int = ADDRESS) -> bytes:
    payload = bus_payload.pack_i2c(address, write, nread)
    return pack(Kind.I2C, I2C, t_ns=t_ns, address=address, payload=payload)


def wait(t_ns: int, flags: int = 0) -> bytes:
    return pack(Kind.NEXT, flags=flags, t_ns=t_ns)


def ask(rig: SmallRig, fsw: Participant, message: bytes) -> list[Record]:
    return list(unpack_all(rig.exchange.handle(fsw, message)))


def test_a_transaction_moves_time_to_its_end(rig: SmallRig, fsw: Participant) -> None:
    """A write and read of two octets at 400 kHz is answered after its 48 bit times, 120 us."""
    (reply,) = ask(rig, fsw, i2c(1000, b"\x05", 2))
    assert (reply.kind, reply.flags, reply.status) == (Kind.I2C, Flag.REPLY, Status.OK)
    assert (reply.t_ns, reply.duration_ns, rig.kernel.now_ns) == (1000, 120_000, 121_000)
    messages = bus_payload.unpack_i2c(reply.payload, reply=True)
    assert messages == [(ADDRESS, 0, b"\x05"), (ADDRESS, bus_payload.I2C_READ, b"\x05\x06")]


def test_a_failed_transaction_is_answered_with_its_status(rig: SmallRig, fsw: Participant) -> None:
    """A NAK is a reply like any other, with nothing read; the errno is the adapter's business."""
    (reply,) = ask(rig, fsw, i2c(0, b"\x00", 2, address=0x51))
    assert reply.status == Status.NAK_ADDRESS
    assert bus_payload.unpack_i2c(reply.payload, reply=True)[-1] == (0x51, 1, b"")


def test_more_than_a_write_and_a_read_goes_as_messages(rig: SmallRig, fsw: Participant) -> None:
    """Messages that are not the usual pair run one by one in one transaction."""
    parts = [(ADDRESS, 0, b"\x10\xaa\xbb"), (ADDRESS, 0, b"\x10"), (ADDRESS, 1, 2)]
    payload = b"".join(
        bus_payload.I2C_MESSAGE.pack(a, f, d if isinstance(d, int) else len(d))
        + (b"" if isinstance(d, int) else d)
        for a, f, d in parts
    )
    (reply,) = ask(rig, fsw, pack(Kind.I2C, I2C, address=ADDRESS, payload=payload))
    assert bus_payload.unpack_i2c(reply.payload, reply=True)[-1] == (ADDRESS, 1, b"\xaa\xbb")


def test_a_fault_on_the_bus_is_flagged(rig: SmallRig, fsw: Participant) -> None:
    """A transaction that a fault changed carries FAULTED, the next one does not."""
    from hil.buses.faults import BusFault

    fault = BusFault("i2c-1", "bit_flip")
    rig.i2c.add_fault(fault)
    (changed,) = ask(rig, fsw, i2c(0, b"\x05", 1))
    rig.i2c.remove_fault(fault)
    (clean,) = ask(rig, fsw, i2c(rig.kernel.now_ns, b"\x05", 1))
    assert (changed.flags, changed.payload[-1]) == (Flag.REPLY | Flag.FAULTED, 0x05 ^ 1)
    assert (clean.flags, clean.payload[-1]) == (Flag.REPLY, 0x05)


def test_every_kind_of_request_is_answered(rig: SmallRig, fsw: Participant) -> None:
    """SPI, FRAME and LOAD requests come back complete, in the layouts of their kinds."""
    segments: list[bus_payload.SPISegment] = [(b"\x01\x02\x03", 0, 8, 0, 0)]
    (spi,) = ask(rig, fsw, pack(Kind.SPI, SPI, payload=bus_payload.pack_spi(segments)))
    assert bus_payload.unpack_spi(spi.payload, reply=True) == (segments, [b"\x00\x01\x02"])
    t_ns = rig.kernel.now_ns
    request = bus_payload.FRAME_REQUEST.pack(7)
    (frame,) = ask(rig, fsw, pack(Kind.FRAME, FRAMES, t_ns=t_ns, payload=request))
    assert bus_payload.FRAME_HEADER.unpack_from(frame.payload) == (4, 2, 1, 8, 0)
    assert rig.kernel.now_ns == t_ns + 7000
    request = bus_payload.LOAD_REQUEST.pack(5) + b"tiny"
    (load,) = ask(rig, fsw, pack(Kind.LOAD, 0xFF, t_ns=rig.kernel.now_ns, payload=request))
    assert bus_payload.LOAD_REPLY.unpack_from(load.payload) == (5000, 5)
    assert load.duration_ns == 0
    assert load.payload.endswith(request)


def test_two_spi_segments_go_as_one_transaction(rig: SmallRig, fsw: Participant) -> None:
    """A request of several segments is one record with what each received."""
    segments: list[bus_payload.SPISegment] = [
        (b"\x01\x02", 0, 8, 0, 0),
        (b"\x03", 500_000, 8, 0, 5),
    ]
    (spi,) = ask(rig, fsw, pack(Kind.SPI, SPI, payload=bus_payload.pack_spi(segments)))
    assert bus_payload.unpack_spi(spi.payload, reply=True) == (segments, [b"\x00\x01", b"\x02"])


def test_posted_records_ride_in_front(rig: SmallRig, fsw: Participant) -> None:
    """UART, CAN and GPIO outputs take effect at their time, and what answers them is input."""
    message = (
        pack(Kind.UART, UART, payload=b"hi")
        + pack(Kind.CAN, CAN, address=0x123, payload=b"\x01")
        + pack(Kind.GPIO, GPIO, address=0, payload=b"\x01")
        + wait(10_000_000)
    )
    *inputs, grant = ask(rig, fsw, message)
    assert (grant.kind, grant.t_ns) == (Kind.GRANT, 10_000_000)
    assert all(record.flags == Flag.INPUT for record in inputs)
    assert sorted((r.kind, r.address, r.payload) for r in inputs) == [
        (Kind.UART, 0, b"hi"),
        (Kind.CAN, 0x124, b"\x01"),
        (Kind.GPIO, 1, b"\x01"),
        (Kind.GPIO, 3, b"\x01"),
    ]
    ends = [record.t_ns + record.duration_ns for record in inputs]
    assert ends == sorted(ends), "inputs come in the order in which they were complete"


def test_scheduled_requests_come_back_with_the_grant(rig: SmallRig, fsw: Participant) -> None:
    """Requests in front of NEXT run at their own times; their results precede its grant."""
    times = [3_000_000, 1_000_000, 2_000_000]
    message = b"".join(i2c(t, bytes((n,)), 1) for n, t in enumerate(times)) + wait(4_000_000)
    *results, grant = ask(rig, fsw, message)
    assert [(r.t_ns, r.payload[-1]) for r in results] == [
        (1_000_000, 1),
        (2_000_000, 2),
        (3_000_000, 0),
    ]
    assert grant.t_ns == 4_000_000


def test_scheduled_requests_wait_for_a_busy_bus(rig: SmallRig, fsw: Participant) -> None:
    """Transactions that would overlap on one bus follow one another, in order."""
    message = b"".join(i2c(1000, bytes((n,)), 1) for n in range(4)) + wait(4_000_000)
    *results, _ = ask(rig, fsw, message)
    assert [r.payload[-1] for r in results] == [0, 1, 2, 3]
    for before, after in pairwise(results):
        assert after.t_ns == before.t_ns + before.duration_ns


@pytest.mark.parametrize(
    "times",
    [(1, 2, 3), (1, 1, 2), (5, 5, 5), (0, 0, 400), (3, 2, 1), (1, 395, 396), (399, 400, 400)],
)
def test_a_window_is_the_same_by_the_short_way_and_the_long(times: tuple[int, ...]) -> None:
    """A window has the same records and reply whether its requests are put on the clock or not."""

    def fly(slow: bool) -> tuple[bytes, bytes]:
        rig = SmallRig(END_NS)
        fsw = rig.exchange.join("fsw")
        rig.pulse(200_000, lambda t: rig.echo.uart_send(t, b"hello"))
        message = b"".join(i2c(t * 1000, bytes((n,)), 1) for n, t in enumerate(times))
        message += wait(400_000)
        rig.exchange.disturbed = False
        if slow:
            rig.exchange.begin(fsw, message)
            reply = rig.exchange.settle(fsw)
        else:
            reply = rig.exchange.handle(fsw, message)
        rig.exchange.handle(fsw, wait(2_000_000))
        return rig.stream.digest(), reply

    assert fly(slow=False) == fly(slow=True)


def test_a_result_is_not_handed_out_before_its_end(rig: SmallRig, fsw: Participant) -> None:
    """A transaction that has not ended at the grant comes with the next reply."""
    message = i2c(1_000_000, b"\x00", 2) + wait(1_010_000)
    assert [r.kind for r in ask(rig, fsw, message)] == [Kind.GRANT]
    *results, _ = ask(rig, fsw, wait(2_000_000))
    assert [r.kind for r in results] == [Kind.I2C]


def test_wake_grants_at_the_first_input(rig: SmallRig, fsw: Participant) -> None:
    """NEXT with WAKE is granted when an input comes, or at its time if none does."""
    message = pack(Kind.UART, UART, payload=b"x") + wait(500_000_000, Flag.WAKE)
    heard, grant = ask(rig, fsw, message)
    assert (heard.kind, grant.kind) == (Kind.UART, Kind.GRANT)
    assert grant.t_ns == heard.t_ns + heard.duration_ns < 1_000_000
    (grant,) = ask(rig, fsw, wait(2_000_000, Flag.WAKE))
    assert grant.t_ns == 2_000_000


def test_everything_of_an_instant_precedes_the_grant(rig: SmallRig, fsw: Participant) -> None:
    """A grant for t comes after all phases of t up to FLIGHT, and before its checks."""
    ran: list[Phase] = []
    for phase in Phase:
        rig.pulse(1000, lambda t, phase=phase: ran.append(phase), phase)
    ask(rig, fsw, wait(1000))
    assert ran == [Phase.PHYSICS, Phase.PART, Phase.BUS, Phase.FLIGHT]
    ask(rig, fsw, wait(1001))
    assert ran[-1] == Phase.CHECK


def test_the_short_way_and_the_long_way_give_the_same_records() -> None:
    """A message in lock-step has the same records whether it takes the fast path or not."""

    def fly(slow: bool) -> tuple[str, list[bytes]]:
        rig = SmallRig(END_NS)
        fsw = rig.exchange.join("fsw")
        rig.pulse(5_000_000, lambda t: rig.echo.uart_send(t, b"hello"))
        replies = []
        for step in range(1, 20):
            for message in (i2c(rig.kernel.now_ns, b"\x01", 2), wait(step * 1_000_000)):
                if slow:
                    rig.exchange.disturbed = False
                    rig.exchange.begin(fsw, message)
                    replies.append(rig.exchange.settle(fsw))
                else:
                    replies.append(rig.exchange.handle(fsw, message))
        return rig.stream.hexdigest(), replies

    assert fly(slow=False) == fly(slow=True)


def test_the_end_is_told_instead_of_a_grant(rig: SmallRig, fsw: Participant) -> None:
    """At the end of the run there is no answer but END, and everything due has happened."""
    ran: list[int] = []
    rig.pulse(END_NS, ran.append, Phase.CHECK)
    assert rig.exchange.handle(fsw, wait(END_NS)) == b""
    assert rig.exchange.over
    assert ran == [END_NS]
    (end,) = unpack_all(rig.exchange.end(fsw))
    assert (end.kind, end.t_ns) == (Kind.END, END_NS)


def test_a_transaction_across_the_end_is_recorded_and_not_answered(
    rig: SmallRig, fsw: Participant
) -> None:
    """A transaction begun before the end is in the records; its caller sees END."""
    ask(rig, fsw, wait(END_NS - 1000))
    assert rig.exchange.handle(fsw, i2c(END_NS - 1000, b"\x00", 2)) == b""
    assert (rig.exchange.over, rig.kernel.now_ns, rig.stream.count) == (True, END_NS, 1)


def test_acts_after_the_end_do_not_count(rig: SmallRig, fsw: Participant) -> None:
    """What a program that ran ahead posts beyond the end is counted and does nothing."""
    message = pack(Kind.UART, UART, t_ns=END_NS, payload=b"late") + i2c(END_NS + 5, b"\x00")
    rig.exchange.handle(fsw, message + wait(END_NS + 10))
    assert fsw.counters["after_end"] == 2
    assert rig.stream.count == 0


def test_incarnations_of_a_participant_are_counted_together(
    rig: SmallRig, fsw: Participant
) -> None:
    """What each incarnation counts adds up under its name, also what comes after it has left."""
    late = pack(Kind.UART, UART, t_ns=END_NS, payload=b"late")
    rig.exchange.begin(fsw, late, posted=True)
    rig.exchange.leave(fsw, "reset")
    rig.exchange.begin(fsw, late, posted=True)
    second = rig.exchange.join("fsw")
    rig.exchange.begin(second, late, posted=True)
    rig.exchange.begin(rig.exchange.join("other"), late, posted=True)
    assert rig.exchange.counted["participant.fsw"]["after_end"] == 3
    assert rig.exchange.counted["participant.other"]["after_end"] == 1


def test_the_end_can_be_brought_forward(rig: SmallRig, fsw: Participant) -> None:
    """A run that is ended by an event ends at that instant, for the participant too."""

    def stop(t_ns: int) -> None:
        rig.exchange.end_ns = t_ns

    rig.pulse(5000, stop)
    assert rig.exchange.handle(fsw, wait(9000)) == b""
    assert (rig.exchange.over, rig.kernel.now_ns) == (True, 5000)


def test_a_participant_that_leaves_gets_no_answer(rig: SmallRig, fsw: Participant) -> None:
    """A reset in the middle of a wait takes the participant out at that instant."""
    rig.pulse(5000, lambda t: rig.exchange.leave(fsw, "reset"), Phase.CHECK)
    message = i2c(7000, b"\x00", 2) + wait(9000)
    assert rig.exchange.handle(fsw, message) == b""
    assert (rig.kernel.now_ns, rig.exchange.over, fsw.gone) == (5000, False, "reset")
    rig.exchange.finish()
    assert rig.exchange.counters["abandoned"] == 1
    assert rig.stream.count == 0


def test_inputs_that_nobody_hears_are_counted(rig: SmallRig) -> None:
    """While no participant is there, what comes in is recorded and counted as unheard."""
    rig.pulse(0, lambda t: rig.echo.uart_send(t, b"anyone?"))
    rig.exchange.finish()
    assert rig.exchange.counters["inputs_unheard"] == 1
    assert rig.stream.count == 1


def test_a_participant_hears_its_channels_only(rig: SmallRig) -> None:
    """Inputs go to those who were given the channel."""
    deaf = rig.exchange.join("deaf", channels=frozenset((CAN,)))
    keen = rig.exchange.join("keen", channels=frozenset((UART,)))
    rig.pulse(0, lambda t: rig.echo.uart_send(t, b"x"))
    rig.exchange.finish()
    assert (len(deaf.inputs), len(keen.inputs)) == (0, 1)


GOOD = i2c(0, b"\x00", 1)
BROKEN = {
    "the past": (i2c(10, b"\x00", 1), "acted in the past"),
    "no such channel": (pack(Kind.I2C, 77, t_ns=50, payload=GOOD[32:]), "channel 77"),
    "another kind of channel": (pack(Kind.SPI, I2C, t_ns=50), "channel 0 as spi"),
    "half a header": (GOOD[:20] + wait(50), "mid-record|past"),
    "a length beyond the end": (pack(Kind.NEXT, t_ns=50, payload=b"12")[:-1], "mid-record"),
    "a post that is last": (pack(Kind.UART, UART, t_ns=50, payload=b"x"), "no place"),
    "NEXT that is not last": (wait(50) + wait(60), "no place"),
    "an unknown kind": (pack(0x7F, t_ns=50), "no place"),
    "no I2C message": (pack(Kind.I2C, I2C, t_ns=50), "without a message"),
    "a cut I2C message": (pack(Kind.I2C, I2C, t_ns=50, payload=GOOD[32:-1]), "cannot be read"),
    "a cut SPI segment": (pack(Kind.SPI, SPI, t_ns=50, payload=b"\x05"), "cannot be read"),
    "a short FRAME": (pack(Kind.FRAME, FRAMES, t_ns=50, payload=b"\x05"), "cannot be read"),
    "a short LOAD": (pack(Kind.LOAD, 0xFF, t_ns=50, payload=b"\x05"), "cannot be read"),
    "a GPIO of two octets": (pack(Kind.GPIO, GPIO, t_ns=50, payload=b"ab") + wait(60), "2 octets"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_message_is_an_error_by_name(rig: SmallRig, fsw: Participant, name: str) -> None:
    """A message against the protocol raises, naming participant, fault and its last record."""
    message, words = BROKEN[name]
    ask(rig, fsw, wait(50))
    with pytest.raises(ParticipantError, match=f"'fsw' .*({words})"):
        rig.exchange.handle(fsw, message)


def test_the_welcome_describes_the_rig(rig: SmallRig, fsw: Participant) -> None:
    """HELLO is answered with the time, every channel by index, name, kind, and errno table."""
    hello = pack(Kind.HELLO, payload=json.dumps({"protocol": 1, "name": "fsw", "pid": 7}).encode())
    (welcome,) = unpack_all(answer_hello(fsw, hello, rig.exchange.welcome()))
    said = json.loads(welcome.payload)
    assert (welcome.kind, said["rig"], said["t_ns"], fsw.pid) == (Kind.WELCOME, "small", 0, 7)
    assert [(c["index"], c["name"], c["kind"]) for c in said["channels"]][:2] == [
        (0, "i2c-1", "i2c"),
        (1, "spi-0", "spi"),
    ]
    assert said["channels"][0]["errno"][str(int(Status.NAK_ADDRESS))] == 121


@pytest.mark.parametrize(
    "hello", [pack(Kind.HELLO, payload=b'{"protocol":2}'), wait(5), pack(Kind.HELLO, payload=b"{")]
)
def test_another_protocol_is_refused(rig: SmallRig, fsw: Participant, hello: bytes) -> None:
    """Who greets otherwise gets REFUSE with both versions and what to do."""
    (refusal,) = unpack_all(answer_hello(fsw, hello, rig.exchange.welcome()))
    assert refusal.kind == Kind.REFUSE
    assert b"the bench speaks protocol 1" in refusal.payload


def test_the_acknowledgement_is_checked(rig: SmallRig, fsw: Participant) -> None:
    """END_ACK must hold the count and digest of what was sent, or the channel is to blame."""
    reply = rig.exchange.handle(fsw, i2c(0, b"\x00", 2))
    rig.exchange.handle(fsw, wait(END_NS))
    good = END_ACK.pack(1, hashlib.blake2b(reply, digest_size=32).digest())
    check_end_ack(fsw, pack(Kind.END_ACK, payload=good))
    for bad in (END_ACK.pack(0, good[8:]), END_ACK.pack(1, bytes(32)), b""):
        with pytest.raises(ParticipantError, match=r"damaged|something else"):
            check_end_ack(fsw, pack(Kind.END_ACK, payload=bad))


def test_the_digest_is_that_of_the_recorded_octets(rig: SmallRig, fsw: Participant) -> None:
    """The digest is BLAKE2b-256 over bus, link and event records as handed to the sink."""
    for n in range(300):
        rig.exchange.handle(fsw, i2c(rig.kernel.now_ns, bytes((n & 0xFF,)), 1))
    digest = rig.stream.digest()
    assert digest == hashlib.blake2b(bytes(rig.octets), digest_size=32).digest()
    assert [record.seq for record in unpack_all(bytes(rig.octets))] == list(range(300))


def test_world_samples_are_a_view() -> None:
    """WORLD and protocol records reach the sink in order and change neither digest nor numbers."""
    got: list[bytes] = []
    plain, watched = RecordStream(), RecordStream(got.append)
    for stream in (plain, watched):
        for n in range(3):
            stream.record(Kind.EVENT, 0, 0, 0, n, 0, 0, b"{}")
            if stream is watched:
                stream.record(Kind.WORLD, 0, 0, 0, n, 0, 0, b"{}")
    assert plain.digest() == watched.digest()
    records = list(unpack_all(b"".join(got)))
    assert [record.kind for record in records] == [Kind.EVENT, Kind.WORLD] * 3
    assert [record.seq for record in records] == [0, 1, 1, 2, 2, 3]


def test_a_large_frame_is_handed_on_at_once() -> None:
    """Frames do not pile up in the recorder: one closes the batch."""
    rig = SmallRig(END_NS, Camera(640, 480))
    fsw = rig.exchange.join("fsw")
    payload = bus_payload.FRAME_REQUEST.pack(1)
    rig.exchange.handle(fsw, pack(Kind.FRAME, FRAMES, payload=payload))
    assert len(rig.octets) == HEADER_NBYTES + bus_payload.FRAME_HEADER.size + 640 * 480


def test_a_new_incarnation_takes_the_place_of_the_one_before(rig: SmallRig) -> None:
    """Participants are ordered by id, and who joins takes the lowest that is free."""
    exchange: Exchange = rig.exchange
    first, second = exchange.join("a"), exchange.join("b")
    exchange.leave(first, "reset")
    again = exchange.join("a")
    assert (first.id, second.id, again.id) == (0, 1, 0)
    assert exchange.participants == [again, second]
