"""Two recorded runs, one held against the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from flightsw.codec.wire import unpack_from
from hil.capture.reader import Capture
from hil.errors import UsageError
from hil.replay.batch import starts
from hil.replay.compare import BATCH_NBYTES, Comparison
from hil.replay.decode import Decoder
from hil.replay.flown import Flown
from hil.replay.rules import Rules
from hil.replay.verdict import Verdict

#: topics that bear the name of a channel
_NAMED = ("/bus/", "/gpio/", "/camera/")
_CHANNELS = 256


def diff(
    old: Flown, new: Flown, rules: Rules, tell: Callable[[int], None] | None = None
) -> Verdict:
    """Compare what two runs recorded; ``tell`` is told, time and again, which time it has come to.

    Raises :class:`~hil.errors.CaptureError` for a capture that is damaged, and UsageError for a
    topic that neither has.
    """
    with Capture(old.capture) as one, Capture(new.capture) as other:
        check_topics(rules.topics, one, other)
        check_topics(rules.without, one, other, option="--ignore-topic")
        names = names_of(one)
        table = translation(names, names_of(other))
        names = {**{table[channel]: name for channel, name in names_of(other).items()}, **names}
        decoder = Decoder(old.board, old.mission, names)
        comparison = Comparison(one.buffers(), decoder, rules, names)
        for octets in translated(other.buffers(), table):
            comparison.feed(octets)
            if tell is not None:
                tell(unpack_from(octets)[0].t_ns)
        return comparison.finish()


def check_topics(
    topics: Collection[str] | None, *captures: Capture, option: str = "--topic"
) -> None:
    """Raise UsageError for a topic that none of the captures has."""
    known = {info.topic for capture in captures for info in capture.channels.values()}
    if unknown := sorted(set(topics or ()) - known):
        raise UsageError(
            f"{option} {unknown[0]}: recorded are {', '.join(sorted(known)) or 'none'}"
        )


def names_of(capture: Capture) -> dict[int, str]:
    """Return the names of the channels of a capture, from its topics."""
    return {
        info.channel: info.topic.removeprefix(lead)
        for info in capture.channels.values()
        for lead in _NAMED
        if info.topic.startswith(lead)
    }


def translation(names: Mapping[int, str], others: Mapping[int, str]) -> dict[int, int]:
    """Return the channel numbers that the other capture's channels have in the first one: those of
    the same name. Channels that only the other has get numbers that are free."""
    numbers = {name: channel for channel, name in names.items()}
    taken = set(names) | {channel for channel in range(_CHANNELS) if channel not in others}
    free = (channel for channel in range(_CHANNELS) if channel not in taken)
    table: dict[int, int] = {}
    for channel, name in others.items():
        if name in numbers:
            table[channel] = numbers[name]
        else:
            table[channel] = channel if channel not in names else next(free, channel)
    return table


def translated(buffers: Iterator[bytes], table: Mapping[int, int]) -> Iterator[bytes]:
    """Yield the records under other channel numbers, in pieces that end with a record."""
    row = np.arange(_CHANNELS, dtype=np.uint8)
    for channel, number in table.items():
        row[channel] = number
    moves = bool((row != np.arange(_CHANNELS)).any())
    for buffer in buffers:
        places = starts(buffer)
        octets = buffer
        if moves:
            changed = np.frombuffer(bytearray(buffer), np.uint8)
            changed[places[:-1] + 1] = row[changed[places[:-1] + 1]]
            octets = changed.tobytes()
        begin = 0
        while begin < len(octets):
            nth = int(places.searchsorted(begin + BATCH_NBYTES, "right")) - 1
            end = int(places[nth])
            if end <= begin:  # one record is longer than a piece
                end = int(places[int(places.searchsorted(begin, "right"))])
            yield octets[begin:end]
            begin = end
