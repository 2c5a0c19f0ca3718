"""The front of a stream: from octets of whatever input to units, which are mostly packets.

Each front has ``feed(octets)`` for chunks of any size, ``finish()`` for what waits at the end, and
``counters`` by stage. It holds no more than one unit between calls.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flightsw.codec.coding.convolutional import Viterbi
from flightsw.codec.coding.randomiser import sequence
from flightsw.codec.coding.reed_solomon import ReedSolomon
from flightsw.codec.errors import CodecError, FieldRangeError
from flightsw.codec.link.chain import Chain
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.native import ffi
from flightsw.codec.octets import Octets, joined
from flightsw.codec.packet.find import PacketFinder
from flightsw.codec.stream.batch import Delivered
from flightsw.codec.stream.channel import INPUTS, ON_AIR, Channel
from flightsw.codec.stream.lines import DEFRAMERS, NOTHING, Counters, SerialLine, Uplink, delivered

_NULL = ffi.NULL


class Front(Protocol):
    """What brings units out of an input."""

    def feed(self, octets: Octets) -> Delivered:
        """Return what ``octets`` complete."""

    def finish(self) -> Delivered:
        """Return what waited for more, as far as it is whole."""

    @property
    def counters(self) -> Counters:
        """Totals since the start, by stage and name."""


def make_front(channel: Channel) -> Front:
    """Return the front of a channel; FieldRangeError for stages that do not go together."""
    if channel.input in ON_AIR:
        return _Air(channel)
    if channel.convolutional or channel.marker:
        raise FieldRangeError(
            f"channel {channel.name}: input {channel.input!r} has no markers and no convolutional"
            f" code; those need one of {', '.join(ON_AIR)}"
        )
    if channel.input == "frames":
        return _FrameFile(channel)
    if channel.input == "cltu":
        return Uplink(channel)
    if channel.frames or channel.reed_solomon or channel.randomiser:
        raise FieldRangeError(
            f"channel {channel.name}: input {channel.input!r} has no frames, so no randomiser and"
            " no Reed-Solomon code either"
        )
    if channel.input == "packets":
        return _PacketFile(channel)
    if channel.input in DEFRAMERS:
        return SerialLine(channel)
    raise FieldRangeError(
        f"channel {channel.name}: no input is called {channel.input!r}; there are"
        f" {', '.join(INPUTS)}"
    )


def make_receiver(frames: Frames) -> FrameReceiver:
    """Return the receiver of a channel's frames, which keeps idle packets: they are counted."""
    return FrameReceiver(replace(frames, keep_idle=True))


class _Air:
    """Symbols or bits off the air."""

    def __init__(self, channel: Channel) -> None:
        if channel.frames is None or channel.marker is None:
            raise FieldRangeError(
                f"channel {channel.name}: input {channel.input!r} needs a marker and frames"
            )
        if (channel.input == "symbols") is not (channel.convolutional is not None):
            raise FieldRangeError(
                f"channel {channel.name}: soft symbols go with a convolutional code, and bits do"
                " not"
            )
        code = channel.convolutional
        self._viterbi = code and Viterbi(
            code.rate, code.order, traceback=code.traceback, segment=code.segment
        )
        self._bits = _BitPacker() if channel.input == "bits" else None
        self._chain = Chain(
            make_receiver(channel.frames),
            marker=channel.marker,
            randomiser=channel.randomiser,
            reed_solomon=channel.reed_solomon,
        )

    def feed(self, octets: Octets) -> Delivered:
        if self._viterbi:
            octets = self._viterbi.feed(octets)
        elif self._bits:
            octets = self._bits.feed(octets)
        return self._through(octets)

    def finish(self) -> Delivered:
        if self._viterbi:
            return self._through(self._viterbi.flush())
        return self._through(self._bits.flush()) if self._bits else NOTHING

    def _through(self, octets: Octets) -> Delivered:
        rows, count, found = self._chain.take(octets)
        return Delivered(found, len(found), count, rows, _NULL)

    @property
    def counters(self) -> Counters:
        found: Counters = {}
        if self._viterbi:
            found["convolutional"] = self._viterbi.counters
        found["link"] = self._chain.counters
        return found | by_channel(self._chain.receiver)


def by_channel(receiver: FrameReceiver) -> Counters:
    """Return where the octets of frames went, and the counters of each virtual channel."""
    found = {"frame octets": receiver.octets}
    return found | {f"vc {vcid}": counters for vcid, counters in receiver.channels.items()}


class _BitPacker:
    """Bits, one an octet, to octets."""

    def __init__(self) -> None:
        self._held = np.empty(0, np.uint8)

    def feed(self, octets: Octets) -> bytes:
        bits = np.concatenate((self._held, np.frombuffer(octets, np.uint8)))
        if bits.size and bits.max() > 1:
            raise CodecError(
                f"bits: an octet is {bits.max()}, must be 0 or 1; take the input as octets or"
                " symbols"
            )
        whole = bits.size & ~7
        self._held = bits[whole:]
        return np.packbits(bits[:whole]).tobytes()

    def flush(self) -> bytes:
        """Return the bits that wait, with zeros behind them."""
        bits, self._held = self._held, np.empty(0, np.uint8)
        return np.packbits(bits).tobytes()


class _FrameFile:
    """Frames, or the code blocks around them, one behind the other."""

    def __init__(self, channel: Channel) -> None:
        if channel.frames is None:
            raise FieldRangeError(f"channel {channel.name}: input 'frames' needs frames")
        frames, code = channel.frames, channel.reed_solomon
        self._name = channel.name
        self._receiver = make_receiver(frames)
        self._code = code and ReedSolomon(
            code.e, code.interleave, code.dual, code.fill, code.lenient
        )
        self._unit_nbytes = self._code.block_nbytes if self._code else frames.nbytes
        if self._code and self._code.data_nbytes != frames.nbytes:
            raise FieldRangeError(
                f"channel {channel.name}: frames of {frames.nbytes} octets, but the code blocks"
                f" hold {self._code.data_nbytes}"
            )
        if channel.randomiser == "tc":
            raise FieldRangeError(f"channel {channel.name}: randomiser 'tc' is for input 'cltu'")
        name = channel.randomiser
        self._sequence = (
            None if name is None else np.frombuffer(sequence(name, self._unit_nbytes), np.uint8)
        )
        self._held = b""
        self._units = self._octets = self._failed = self._left = 0
        self._varies = (frames.variable or frames.truncated_nbytes > 0) and self._code is None
        if self._varies and self._sequence is not None:
            raise FieldRangeError(
                f"channel {channel.name}: frames of varying length under a randomiser, which hides"
                " how long they are; take the randomiser off first"
            )

    def feed(self, octets: Octets) -> Delivered:
        held = joined("stream", self._held, octets)
        if self._varies:
            return self._of_own_lengths(held)
        count = len(held) // self._unit_nbytes
        end = count * self._unit_nbytes
        self._held = held[end:]
        self._units += count
        self._octets += end
        if self._sequence is None and self._code is None:
            return delivered(self._receiver.frames(memoryview(held)[:end]))
        units: npt.NDArray[np.uint8] = np.frombuffer(held, np.uint8, end)
        units = units.reshape(count, self._unit_nbytes).copy()
        if self._sequence is not None:
            units ^= self._sequence
        if self._code:
            good = self._code.decode_batch(units).min(axis=1, initial=0) >= 0
            self._failed += count - int(good.sum())
            units = np.ascontiguousarray(units[good, : self._code.data_nbytes])
        return delivered(self._receiver.frames(units.reshape(-1), units.shape[1]))

    def _of_own_lengths(self, held: bytes) -> Delivered:
        units, count, taken = self._receiver.take_whole(held)
        self._held = held[taken:]
        self._units += count
        self._octets += taken
        return delivered(units)

    def finish(self) -> Delivered:
        self._left, self._held = len(self._held), b""
        return self.feed(b"")

    @property
    def counters(self) -> Counters:
        link = {
            "air_units": self._units,
            "air_octets": self._octets,
            "failed_units": self._failed,
            "octets_left": self._left,
            "held_octets": len(self._held),
        }
        if self._code:
            link |= self._code.counters
        return {"link": link | self._receiver.counters} | by_channel(self._receiver)


class _PacketFile:
    """Packets one behind the other, with or without record headers."""

    def __init__(self, channel: Channel) -> None:
        packets = channel.packets
        self._finder = PacketFinder(
            before_nbytes=packets.before_nbytes,
            behind_nbytes=packets.behind_nbytes,
            max_nbytes=packets.max_nbytes,
            apids=packets.apids or None,
            error_control=packets.error_control and not packets.no_error_control,
        )
        self._held = b""
        self._left = 0

    def feed(self, octets: Octets, last: bool = False) -> Delivered:
        held = joined("stream", self._held, octets)
        table = self._finder.find(held, last=last)
        self._held = held[table.consumed :]
        offsets = ffi.from_buffer("uint64_t[]", table.offset)
        return Delivered(held, table.consumed, len(table), _NULL, offsets)

    def finish(self) -> Delivered:
        found = self.feed(b"", last=True)
        self._left, self._held = len(self._held), b""
        return found

    @property
    def counters(self) -> Counters:
        left = {"octets_left": self._left, "held_octets": len(self._held)}
        return {"file": self._finder.counters | left}
