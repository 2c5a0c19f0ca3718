"""The player brings recorded stimulus at its times, and nothing else is heard where it plays."""

from __future__ import annotations

from collections.abc import Callable

from flightsw.codec.wire import Flag, Kind, pack, unpack_all
from hil.buses.gpio import GPIOChip
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.replay.playing.stimulus import Delivered, Player
from hil.time.kernel import Kernel

INPUT = int(Flag.INPUT)


def make_player(records: list[bytes]) -> tuple[Kernel, Player, list[tuple[int, bytes]]]:
    """Return a player and what it brings, with the times."""
    kernel = Kernel()
    brought: list[tuple[int, bytes]] = []
    player = Player(
        kernel,
        iter(unpack_all(b"".join(records))),
        lambda record: brought.append((kernel.now_ns, record.payload)),
        Delivered({(int(Kind.UART), 0): "/bus/a", (int(Kind.CAN), 1): "/bus/b"}),
    )
    return kernel, player, brought


def test_records_come_when_their_last_bit_came() -> None:
    """Each is due at its start and duration; those that go back in time come at once, in order."""
    kernel, player, brought = make_player(
        [
            pack(Kind.UART, 0, INPUT, 0, 100, 50, 0, 0, b"a"),
            pack(Kind.CAN, 1, INPUT, 0, 100, 90, 1, 0, b"b"),
            pack(Kind.UART, 0, INPUT, 0, 10, 0, 2, 0, b"c"),
            pack(Kind.UART, 0, INPUT, 0, 300, 0, 3, 0, b"d"),
        ]
    )
    ended: list[int] = []
    player.ended = ended.append
    player.begin(1000)
    kernel.run_until(10_000)
    assert brought == [(1150, b"a"), (1190, b"b"), (1190, b"c"), (1300, b"d")]
    assert ended == [1300]
    assert player.delivered.counts == {"/bus/a": 3, "/bus/b": 1}
    assert player.rest() == 0


def make_chip() -> tuple[Exchange, GPIOChip, list[tuple[int, bytes]]]:
    """Return a GPIO chip on an exchange, and what is heard of it."""
    kernel, heard = Kernel(), []
    exchange = Exchange(kernel, RecordStream())
    chip = GPIOChip("gpiochip0", kernel, 1, exchange.emitter(0, Kind.GPIO), 8)
    exchange.connect(0, chip)
    exchange.hearers.append(lambda index, octets: heard.append((index, octets[32:])))
    return exchange, chip, heard


class _Pin:
    """A part that drives one line."""

    name = "part"
    gpio_drive: Callable[[int, str, int], None]

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """Hear nothing."""


def test_what_a_part_sends_on_a_played_channel_is_held_back() -> None:
    """An edge of a part is counted and not heard; one that is brought is heard, and the line shows
    it."""
    exchange, chip, heard = make_chip()
    part = _Pin()
    chip.attach(part, {"out": (3, "out")})
    part.gpio_drive(0, "out", 1)
    assert heard == [(0, b"\1")]
    exchange.held_back[0] = 0
    part.gpio_drive(0, "out", 0)
    assert heard == [(0, b"\1")]
    assert exchange.held_back == {0: 1}
    (record,) = unpack_all(pack(Kind.GPIO, 0, INPUT, address=5, payload=b"\1"))
    exchange.bring(0, record)
    assert heard == [(0, b"\1"), (0, b"\1")]
    assert [chip.level(line) for line in (3, 5)] == [0, 1]
