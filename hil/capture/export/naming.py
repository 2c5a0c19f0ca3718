"""What the channels of a capture are called in the files of other tools."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable

from flightsw.codec.wire import Kind
from hil.capture.mcapread import ChannelInfo
from hil.capture.topics import topic_of
from hil.config import nearest
from hil.errors import UsageError

#: names of what is no bus
_FIXED = {
    "/link/tm": "tm-downlink",
    "/link/tc": "tc-uplink",
    "/link/state": "link-state",
}
_PLACES = ("/bus/", "/gpio/", "/camera/", "/")
_WORDS = {
    Kind.I2C: "I2C bus",
    Kind.SPI: "SPI bus",
    Kind.UART: "serial line",
    Kind.CAN: "CAN bus",
    Kind.GPIO: "GPIO lines",
    Kind.FRAME: "camera",
    Kind.LOAD: "announced load",
    Kind.ONEWIRE: "1-Wire bus",
    Kind.TM: "transfer frames,",
    Kind.TC: "telecommand units,",
    Kind.LINK: "carrier,",
    Kind.LINES: "modem lines, rate and format,",
    Kind.EVENT: "events",
    Kind.WORLD: "world",
    Kind.FAULT: "faults",
}


def name_of(topic: str) -> str:
    """Return the name of a topic's channel: ``i2c-1``, ``can0``, ``tm-downlink``, ``event``."""
    if topic in _FIXED:
        return _FIXED[topic]
    place = next((place for place in _PLACES if topic.startswith(place)), "")
    return topic[len(place) :].replace("/", "-") or "channel"


def described(kind: int, name: str) -> str:
    """Return what a channel is, in words."""
    is_known = kind in Kind.__members__.values()
    words = _WORDS.get(Kind(kind), "") if is_known else f"records of kind {kind:#04x},"
    return f"{words} {name}" if name not in words and words else words or name


class Names:
    """Topics and names by (kind, channel), of the channels known so far and of any other."""

    def __init__(self, channels: Iterable[ChannelInfo] = ()) -> None:
        self._topics: dict[tuple[int, int], str] = {}
        self.learn(channels)

    def learn(self, channels: Iterable[ChannelInfo]) -> None:
        """Take in channels; those of a capture that grows become more."""
        for channel in channels:
            self._topics[channel.kind, channel.channel] = channel.topic

    def topic(self, kind: int, channel: int) -> str:
        """Return the topic of records of ``kind`` on channel number ``channel``."""
        return self._topics.get((kind, channel)) or topic_of(kind, channel, {})

    def name(self, kind: int, channel: int) -> str:
        """Return the name of that channel."""
        return name_of(self.topic(kind, channel))

    def topics(self) -> list[str]:
        """Return every topic known, sorted."""
        return sorted(set(self._topics.values()))


def matches(topic: str, words: Collection[str]) -> bool:
    """Tell whether one of the words means the topic: it, its name, or a pattern of either."""
    return any(
        fnmatch.fnmatchcase(said, word) for word in words for said in (topic, name_of(topic))
    )


def chosen(topics: Collection[str], words: Collection[str]) -> list[str]:
    """Return the topics that the words mean, sorted; none of the words: all topics.

    Raises :class:`~hil.errors.UsageError` for a word that means none of them.
    """
    for word in words:
        if not any(matches(topic, [word]) for topic in topics):
            known = [said for topic in topics for said in (topic, name_of(topic))]
            hint = nearest(word, known) or f"; recorded: {', '.join(sorted(topics)) or 'none'}"
            raise UsageError(f"topic {word!r}: the capture has none of that name{hint}")
    return sorted(topic for topic in topics if not words or matches(topic, words))
