"""Play into the ground endpoint: recorded frames and packets of any mission, decoded as described.

The units go, as they were recorded, through the stream decoder of ``hil codec``: the description is
the channel file that came with the import, or one that is given. Captures of our own runs go to the
ground segment that flew (:mod:`hil.replay.playing.mission`), unless a description is given.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from flightsw.codec.errors import CodecError
from flightsw.codec.stream.batch import Batch
from flightsw.codec.stream.channel import ON_AIR, Channel
from flightsw.codec.stream.stream import Stream
from flightsw.codec.wire import Record
from hil.capture.reader import Capture
from hil.channel import load_channel, read_channel
from hil.config import document
from hil.errors import HostError, UsageError
from hil.replay.flown import Flown
from hil.replay.outcome import PLAY, Replayed, ReplayOptions
from hil.replay.playing.mode import CHANNEL
from hil.replay.playing.stimulus import Delivered, Player, is_downlink, stimulus
from hil.replay.playing.verdict import Delivery, Played
from hil.time.kernel import NEVER_NS, Kernel
from hil.time.pacing import Pacer, fine_sleep, first_in_line

SECOND = 1_000_000_000
#: octets of units that go into the decoder at a time where nothing is waited for
_CHUNK_NBYTES = 1 << 18


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Play the downlink of a capture into the ground endpoint."""
    with Capture(flown.capture, tolerant=not flown.whole) as capture:
        channel = described(flown, options, capture)
        if channel is None:
            from hil.replay.playing.mission import replay as replay_mission

            return replay_mission(flown, options, say)
        with contextlib.ExitStack() as stack:
            return _play(capture, channel, options, _output(options, stack))


def described(flown: Flown, options: ReplayOptions, capture: Capture) -> Channel | None:
    """Return what the units are; None: they are those of our own mission.

    Raises ``UsageError`` where nothing says it.
    """
    forms = forms_of(flown)
    if options.channel is not None:
        channel = load_channel(options.channel)
    elif CHANNEL in capture.attachments:
        text = capture.attachment(CHANNEL).decode(errors="replace")
        channel = read_channel(document(text, Path(f"{capture.path}:{CHANNEL}")))
    elif forms == ["packets"]:
        return Channel("packets", "packets")
    elif flown.imported:
        raise UsageError(f"{flown.path}: what are its units? give a channel file: --channel FILE")
    else:
        return None
    return as_recorded(channel, forms)


def forms_of(flown: Flown) -> list[str]:
    """Return what the files of an import were; nothing where it does not say."""
    try:
        found = json.loads(flown.made_by.get("forms", "[]"))
    except (ValueError, RecursionError):
        return []
    return [str(form) for form in found] if isinstance(found, list) else []


def as_recorded(channel: Channel, forms: list[str]) -> Channel:
    """Return a channel as its units lie in the capture: an import has taken some things off."""
    if "packets" in forms:
        bare = replace(channel.packets, before_nbytes=0, behind_nbytes=0)
        return Channel(channel.name, "packets", packets=bare, rules=channel.rules)
    if "cadu" in forms and channel.input == "bits":
        return replace(channel, input="octets")
    if "frames" in forms and channel.input in ON_AIR:
        return replace(channel, input="frames", marker=None, convolutional=None)
    return channel


def _output(options: ReplayOptions, stack: contextlib.ExitStack) -> BinaryIO | None:
    if options.out is None:
        return None
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        return stack.enter_context((options.out / "telemetry.pkts").open("xb"))
    except OSError as error:
        raise HostError(
            f"{options.out}/telemetry.pkts: {error.strerror}; choose another --out"
        ) from None


def _play(
    capture: Capture, channel: Channel, options: ReplayOptions, file: BinaryIO | None
) -> Replayed:
    try:
        endpoint = Endpoint(channel, file)
    except CodecError as wrong:  # stages that do not go together
        raise UsageError(f"{options.channel or CHANNEL}: {wrong}") from None
    delivered = Delivered.of(capture)
    records = stimulus(capture, options, is_downlink)
    begin, rest = time.perf_counter(), 0
    if options.pace == "max":
        end_ns = _at_once(records, endpoint, delivered)
    else:
        end_ns, rest = _in_time(records, endpoint, delivered, options.pace)
    endpoint.finish()
    wall_s = time.perf_counter() - begin
    if not delivered.counts:
        raise UsageError(
            f"{capture.path}: holds no downlink; --to ground plays records of /link/tm"
        )
    figures = endpoint.figures() | delivered.figures()
    return Played(
        PLAY, Delivery.of(delivered, {"due never": rest}), end_ns / SECOND, wall_s, figures=figures
    )


def _at_once(records: Iterator[Record], endpoint: Endpoint, delivered: Delivered) -> int:
    """Feed the endpoint as fast as it goes; return when the last unit had come."""
    held: list[bytes] = []
    nbytes = end_ns = 0
    for record in records:
        held.append(record.payload)
        nbytes += len(record.payload)
        delivered.note(record)
        end_ns = record.t_ns + record.duration_ns
        if nbytes >= _CHUNK_NBYTES:
            endpoint.feed(b"".join(held))
            held.clear()
            nbytes = 0
    endpoint.feed(b"".join(held))
    return end_ns


def _in_time(
    records: Iterator[Record], endpoint: Endpoint, delivered: Delivered, pace: str
) -> tuple[int, int]:
    """Feed the endpoint each unit when it is due; return when the last one was, and how many were
    due never."""
    kernel = Kernel()
    pacer = Pacer(kernel, pace)
    player = Player(
        kernel, records, lambda unit: endpoint.feed(unit.payload), delivered, pacer.late_ns
    )
    player.begin(-player.first_ns)
    with fine_sleep(), first_in_line():
        while player.due_ns < NEVER_NS:
            kernel.run_until(player.due_ns)
    return kernel.now_ns, player.rest()


class Endpoint:
    """The decoder of one channel, and what it has found."""

    def __init__(self, channel: Channel, file: BinaryIO | None = None) -> None:
        self.stream = Stream(channel)
        #: reports by type and subtype, of packets whose error control is right
        self.types: Counter[str] = Counter()
        self._file = file

    def feed(self, octets: bytes) -> None:
        """Take octets of the link."""
        self._take(self.stream.feed(octets))

    def finish(self) -> None:
        """Take what waited for more."""
        self._take(self.stream.finish())

    def _take(self, batch: Batch) -> None:
        if self._file is not None:
            self._file.write(batch.packets.gather())
        if batch.pus is not None:
            there = batch.pus.good & batch.good
            kinds = zip(
                batch.pus.service[there].tolist(), batch.pus.subtype[there].tolist(), strict=True
            )
            self.types.update(f"{service},{subtype}" for service, subtype in kinds)

    def figures(self) -> dict[str, Any]:
        """Return packets, reports by type, and the counters of every stage that are not 0."""
        counters = {
            stage: {name: value for name, value in values.items() if value}
            for stage, values in self.stream.counters.items()
        }
        types = {"pus": dict(sorted(self.types.items()))} if self.types else {}
        return {
            "packets": self.stream.counters["packets"]["packets"],
            **types,
            "counters": {stage: values for stage, values in counters.items() if values},
        }
