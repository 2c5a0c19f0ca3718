"""The coordinator: several participants in step, stalls, losses and new incarnations."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator

import pytest

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Record, pack, unpack_all
from hil.errors import ParticipantError, StalledError
from hil.greeting import END_ACK
from hil.testing.contracts.bus import ADDRESS
from hil.testing.small_rig import I2C, UART, SmallRig
from hil.time.coordinator import Coordinator
from hil.time.participant import Participant
from hil.time.phase import Phase
from hil.time.transports import ChannelLost

END_NS = 100_000_000
MS = 1_000_000

#: What a participant does: yields messages, is sent the records of each reply.
Script = Generator[bytes, list[Record], None]


class ScriptChannel:
    """A channel whose far end is a generator. ``lag`` slices pass before each message comes."""

    def __init__(self, script: Script, lag: int = 0, lost: str = "it closed its socket") -> None:
        self.script = script
        self.lag = lag
        self.lost = lost
        self.replies: list[list[Record]] = []
        self.closed = False
        self._heard: list[bytes] = []
        self._waits = lag
        self._next: bytes | None = pack(Kind.HELLO, payload=json.dumps({"protocol": 1}).encode())

    def recv(self) -> bytes | None:
        if self._waits:
            self._waits -= 1
            return None
        self._waits = self.lag
        message, self._next = self._next, None
        if message is None:
            raise ChannelLost(self.lost)
        return message

    def send(self, message: bytes) -> None:
        records = list(unpack_all(message))
        self.replies.append(records)
        self._heard += [r.pack() for r in records if r.flags & (Flag.REPLY | Flag.INPUT)]
        try:
            if records[-1].kind == Kind.END:
                self._next = self.acknowledgement()
            elif records[-1].kind == Kind.WELCOME:
                self._next = next(self.script)
            elif records[-1].kind != Kind.REFUSE:
                self._next = self.script.send(records)
        except StopIteration:
            self._next = None

    def acknowledgement(self) -> bytes:
        import hashlib

        digest = hashlib.blake2b(b"".join(self._heard), digest_size=32).digest()
        return pack(Kind.END_ACK, payload=END_ACK.pack(len(self._heard), digest))

    def close(self) -> None:
        self.closed = True


def wait(t_ns: int, flags: int = 0) -> bytes:
    return pack(Kind.NEXT, flags=flags, t_ns=t_ns)


def i2c(t_ns: int, write: bytes, nread: int = 0) -> bytes:
    payload = bus_payload.pack_i2c(ADDRESS, write, nread)
    return pack(Kind.I2C, I2C, t_ns=t_ns, address=ADDRESS, payload=payload)


def periodic(period_ns: int, mark: int, offset_ns: int = 0) -> Script:
    """Write a mark into the memory every period, at instants that others share."""
    t_ns = offset_ns
    while True:
        t_ns += period_ns
        yield wait(t_ns)
        (*_, reply) = yield i2c(t_ns, bytes((mark, mark)))
        t_ns = max(t_ns, reply.t_ns)


def sleeper(*times: int) -> Script:
    """Wait for each time, then leave without a word."""
    for t_ns in times:
        yield wait(t_ns)


def fly(lags: list[int]) -> str:
    rig = SmallRig(END_NS)
    coordinator = Coordinator(rig.exchange)
    for n, lag in enumerate(lags):
        coordinator.add(ScriptChannel(periodic((n + 1) * MS, n), lag), f"p{n}")
    coordinator.run()
    assert rig.stream.count > 100
    return rig.stream.hexdigest()


def test_arrival_order_decides_nothing() -> None:
    """However late each participant's messages come on the wall, the records are the same."""
    assert fly([0, 0, 0, 0]) == fly([3, 0, 2, 1]) == fly([0, 1, 2, 3])


def test_one_participant_alone_has_the_records_of_company() -> None:
    """A participant's records are the same whether it is alone or another one merely sleeps."""

    def run(company: bool) -> str:
        rig = SmallRig(END_NS)
        coordinator = Coordinator(rig.exchange)
        coordinator.add(ScriptChannel(periodic(MS, 1)), "worker")
        if company:
            coordinator.add(ScriptChannel(sleeper(END_NS)), "idler")
        coordinator.run()
        return rig.stream.hexdigest()

    assert run(company=False) == run(company=True)


def test_ties_between_participants_go_by_id() -> None:
    """Requests of one instant on one bus run in order of participant, one after the other."""
    rig = SmallRig(END_NS)
    coordinator = Coordinator(rig.exchange)
    for n in range(3):
        coordinator.add(ScriptChannel(periodic(10 * MS, n), lag=2 - n), f"p{n}")
    coordinator.run()
    records = rig.records()
    first = [r for r in records if r.t_ns < 11 * MS]
    assert [r.payload[-1] for r in first] == [0, 1, 2]
    assert first[1].t_ns == first[0].t_ns + first[0].duration_ns
    assert first[2].t_ns == first[1].t_ns + first[1].duration_ns


def test_time_waits_for_every_participant() -> None:
    """No grant passes the time that another participant still has to act at."""
    rig = SmallRig(END_NS)
    seen: list[tuple[str, int]] = []

    def noting(name: str, period_ns: int) -> Script:
        t_ns = 0
        while True:
            t_ns += period_ns
            yield wait(t_ns)
            seen.append((name, rig.kernel.now_ns))

    coordinator = Coordinator(rig.exchange)
    coordinator.add(ScriptChannel(noting("slow", 7 * MS)), "slow")
    coordinator.add(ScriptChannel(noting("fast", 2 * MS)), "fast")
    coordinator.run()
    assert [t for _, t in seen] == sorted(t for _, t in seen)
    assert ("slow", 7 * MS) in seen
    assert coordinator.counters["instants"] == len({t for _, t in seen}) + 1


def test_an_input_wakes_the_one_who_waits_for_it() -> None:
    """A participant that waits with WAKE is granted at the input, while another sleeps on."""
    rig = SmallRig(END_NS)

    def listener() -> Script:
        records = yield wait(END_NS, Flag.WAKE)
        assert [r.kind for r in records] == [Kind.UART, Kind.GRANT]
        assert records[-1].t_ns == 5 * MS + 173_611
        yield wait(END_NS)

    rig.pulse(5 * MS, lambda t: rig.echo.uart_send(t, b"up"))
    coordinator = Coordinator(rig.exchange)
    coordinator.add(ScriptChannel(listener()), "listener")
    coordinator.add(ScriptChannel(sleeper(END_NS)), "sleeper", channels=frozenset())
    coordinator.run()
    assert coordinator.counters["lost"] == 0


@pytest.mark.parametrize("company", [False, True])
def test_a_stalled_participant_is_named(company: bool) -> None:
    """One that does not answer within its wall limit ends the run: name, time, last record."""
    rig = SmallRig(END_NS)
    coordinator = Coordinator(rig.exchange)
    silent = ScriptChannel(sleeper(3 * MS, 4 * MS))

    def then_silent(t_ns: int) -> None:
        silent.lag = silent._waits = 1 << 40

    rig.pulse(3 * MS, then_silent)
    if company:
        coordinator.add(ScriptChannel(sleeper(END_NS)), "idler")
    coordinator.add(silent, "payload", wall_limit_s=0.0)
    with pytest.raises(
        StalledError, match=r"'payload' .* since t=0.003000 s, .* NEXT, number 0, at t=0.003000 s"
    ):
        coordinator.run()


def test_a_lost_participant_ends_the_run_unless_someone_cares() -> None:
    """Without ``on_gone`` a loss raises, with the time, how it ended and what it last said."""
    rig = SmallRig(END_NS)
    coordinator = Coordinator(rig.exchange)
    coordinator.add(ScriptChannel(sleeper(3 * MS)), "payload", died=lambda: "killed by SIGKILL")
    with pytest.raises(ParticipantError, match=r"'payload' was lost at t=0.003.*SIGKILL.*NEXT"):
        coordinator.run()


def reborn(
    rig: SmallRig, first: Script, second: Script, boot_ns: int, idle: bool
) -> tuple[Coordinator, list[ScriptChannel], list[tuple[int, str]]]:
    """Return a coordinator that starts a new incarnation ``boot_ns`` after it lost the first."""
    channels = [ScriptChannel(first, lost="it crashed"), ScriptChannel(second)]
    gone: list[tuple[int, str]] = []

    def on_gone(participant: Participant, reason: str) -> None:
        gone.append((rig.kernel.now_ns, reason))
        rig.kernel.at(
            rig.kernel.now_ns + boot_ns,
            Phase.CHECK,
            0,
            lambda t: coordinator.add(channels[1], participant.name) and None,
        )

    coordinator = Coordinator(rig.exchange, on_gone)
    coordinator.add(channels[0], "payload")
    if idle:
        coordinator.add(ScriptChannel(periodic(MS, 9)), "other")
    return coordinator, channels, gone


@pytest.mark.parametrize("idle", [False, True])
def test_a_lost_participant_can_come_back(idle: bool) -> None:
    """After a loss time goes on without it, and a new incarnation starts at its own time."""
    rig = SmallRig(END_NS)
    coordinator, channels, gone = reborn(
        rig, sleeper(3 * MS, 6 * MS), periodic(MS, 5, 26 * MS), 20 * MS, idle
    )
    coordinator.run()
    assert gone == [(6 * MS, "it crashed")]
    welcome = channels[1].replies[0][0]
    assert (welcome.kind, welcome.t_ns) == (Kind.WELCOME, 26 * MS)
    assert json.loads(welcome.payload)["t_ns"] == 26 * MS
    assert channels[0].closed
    assert channels[1].replies[-1][0].kind == Kind.END


@pytest.mark.parametrize("idle", [False, True])
def test_a_reset_takes_a_participant_out_in_mid_wait(idle: bool) -> None:
    """A rig that removes a participant at a virtual time and adds another goes on from there."""
    rig = SmallRig(END_NS)
    second = ScriptChannel(periodic(MS, 5, 50 * MS))
    coordinator = Coordinator(rig.exchange)

    def working() -> Script:
        t_ns = 0
        while True:
            t_ns += 3 * MS
            yield i2c(t_ns + MS, b"\x01", 1) + wait(t_ns)

    first = coordinator.add(ScriptChannel(working()), "payload")
    if idle:
        coordinator.add(ScriptChannel(sleeper(END_NS)), "other")
    rig.pulse(40 * MS + 5, lambda t: coordinator.remove(first, "brown-out"), Phase.PHYSICS)
    rig.pulse(50 * MS, lambda t: coordinator.add(second, "payload") and None)
    coordinator.run()
    assert first.gone == "brown-out"
    assert second.replies[0][0].t_ns == 50 * MS
    times = [record.t_ns for record in rig.records()]
    assert not [t for t in times if 40 * MS + 5 <= t < 51 * MS], "a dead computer used its bus"
    assert [t for t in times if t >= 51 * MS]


def test_a_participant_may_cut_its_own_supply() -> None:
    """A reset that a transaction itself causes leaves it in the records, unanswered."""
    rig = SmallRig(END_NS)
    coordinator = Coordinator(rig.exchange)
    channel = ScriptChannel(periodic(10 * MS, 1))
    payload = coordinator.add(channel, "payload")
    write = rig.memory.i2c_write

    def fuse(t_ns: int, data: bytes) -> int:
        coordinator.remove(payload, "switched itself off")
        return write(t_ns, data)

    rig.memory.i2c_write = fuse  # type: ignore[method-assign]
    rig.i2c.detach(ADDRESS)
    rig.i2c.attach(ADDRESS, rig.memory)
    coordinator.run()
    assert rig.stream.count == 1
    assert [records[-1].kind for records in channel.replies] == [Kind.WELCOME, Kind.GRANT]


def test_nobody_at_all_still_reaches_the_end() -> None:
    """A run without a participant runs to its end."""
    rig = SmallRig(END_NS)
    rig.pulse(MS, lambda t: rig.uart.write(t, b"tick"))
    Coordinator(rig.exchange).run()
    assert (rig.kernel.now_ns, rig.stream.count) == (END_NS, 2)


def test_a_stranger_is_refused_by_name() -> None:
    """A participant that speaks another protocol is told so, and the run ends."""
    rig = SmallRig(END_NS)
    channel = ScriptChannel(sleeper(END_NS))
    channel._next = pack(Kind.HELLO, payload=b'{"protocol":9}')
    coordinator = Coordinator(rig.exchange)
    coordinator.add(channel, "old")
    with pytest.raises(ParticipantError, match="'old' was refused: the bench speaks protocol 1"):
        coordinator.run()
    assert channel.replies[0][0].kind == Kind.REFUSE


def test_a_wrong_acknowledgement_is_an_error() -> None:
    """A participant that heard other octets than were sent to it fails the run at its end."""
    rig = SmallRig(END_NS)
    channel = ScriptChannel(sleeper(END_NS))
    rig.pulse(MS, lambda t: rig.exchange.emitter(UART, Kind.UART)(t, 0, Flag.INPUT, 0, 0, b"x"))
    channel.acknowledgement = lambda: pack(  # type: ignore[method-assign]
        Kind.END_ACK, payload=END_ACK.pack(0, bytes(32))
    )
    coordinator = Coordinator(rig.exchange)
    coordinator.add(channel, "payload")
    with pytest.raises(ParticipantError, match="'payload' received 0 records of the 1"):
        coordinator.run()


def test_a_loss_at_the_very_end_is_reported() -> None:
    """A participant that leaves instead of acknowledging the end is reported as lost."""
    rig = SmallRig(END_NS)
    channel = ScriptChannel(sleeper(END_NS))
    channel.acknowledgement = lambda: None  # type: ignore[method-assign,assignment,return-value]
    gone: list[str] = []
    note: Callable[[Participant, str], None] = lambda one, how: gone.append(how)  # noqa: E731
    coordinator = Coordinator(rig.exchange, note)
    coordinator.add(channel, "payload")
    coordinator.run()
    assert gone == ["it closed its socket before it acknowledged the end"]
