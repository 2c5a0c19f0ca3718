"""The chain of 1279-octet CADUs: marker, derandomise, Reed-Solomon I = 5, CRC, packets."""

from __future__ import annotations

import binascii

import numpy as np

from flightsw.codec.coding.randomiser import sequence
from flightsw.codec.link import tm_frame
from flightsw.codec.link.chain import BlockCode, Line
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.sync import Marker
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import space_packet
from hil.benches.codec.measure import best_s, by_tier, memcpy_s, ns_per
from hil.benches.codec.reed_solomon import addresses, codewords, fec_ns, libfec
from hil.benches.codec.row import Row

FRAME_NBYTES = 1115
CADU_NBYTES = 1279
CODE = BlockCode(interleave=5)


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject."""
    octets = stream(800)
    nbytes = len(octets)
    count = nbytes // CADU_NBYTES

    def gbit_per_s(seconds: float) -> float:
        return 8 * nbytes / seconds / 1e9

    memcpy = gbit_per_s(memcpy_s(nbytes, quick))
    peers, found = peer_gbit_per_s(octets, quick), []
    for what, shift in (("at octets", 0), ("3 bits off", 3)):
        bits = np.roll(np.unpackbits(np.frombuffer(octets + b"\0", np.uint8)), shift)
        work = Feeding(np.packbits(bits).tobytes(), count)
        found.append(
            Row(
                f"chain of {CADU_NBYTES}-octet CADUs, I=5, clean, {what}",
                "Gbit/s",
                by_tier(work, gbit_per_s, quick),
                memcpy,
                peers,
            )
        )
    return found


def peer_gbit_per_s(octets: bytes, quick: bool) -> dict[str, float]:
    """Return what libfec and a CRC by table make of the same blocks: no search, no derandomising,
    no packets, codewords deinterleaved beforehand, and the cost of the calls taken off."""
    fec = libfec()
    if fec is None:
        return {}
    blocks = np.frombuffer(octets, np.uint8).reshape(-1, CADU_NBYTES)[:128, 4:]
    blocks = blocks ^ np.frombuffer(sequence("tm", CADU_NBYTES - 4), np.uint8)
    frames = [block[:FRAME_NBYTES].tobytes() for block in blocks]
    some = codewords(blocks)
    at = addresses(some)

    def correct() -> None:
        for data, _parity in at:
            fec.decode_rs_ccsds(data, None, 0, 0)

    def check() -> None:
        for frame in frames:
            binascii.crc_hqx(frame, 0xFFFF)

    ns = fec_ns(fec, correct, some, quick) + ns_per(len(frames))(best_s(check, quick))
    return {"libfec + binascii": 8 * CADU_NBYTES / ns}


def stream(count: int) -> bytes:
    """Return ``count`` CADUs full of packets of 1 to 1000 octets."""
    rng = np.random.default_rng(6)
    encoder = tm_frame.Encoder(Frames("tm", FRAME_NBYTES, 1, ocf=True))
    numbers = (CODE.e, CODE.dual, CODE.interleave, CODE.fill, CODE.lenient)
    code = ffi.new("fs_rs_code *", numbers)
    blocks = np.zeros((count, CADU_NBYTES), np.uint8)
    blocks[:, :4] = np.frombuffer(tm_frame.ASM, np.uint8)
    for i, block in enumerate(blocks):
        while encoder.pending(0) < FRAME_NBYTES:
            data = rng.bytes(int(rng.integers(1, 1000)))
            encoder.add(0, space_packet.pack(7, i % 16384, data))
        frame = encoder.next_frame(0, bytes(4))
        block[4 : 4 + FRAME_NBYTES] = np.frombuffer(frame or b"", np.uint8)
        part = ffi.from_buffer("uint8_t[]", block[4:])
        assert lib.fs_rs_encode(code, part, CADU_NBYTES - 4) == CADU_NBYTES - 4
    pn = np.frombuffer(sequence("tm", CADU_NBYTES - 4), np.uint8)
    blocks[:, 4:] ^= pn
    return blocks.tobytes()


class Feeding:
    """Passes a stream down the chain, in one call of C, into memory that is in use."""

    def __init__(self, octets: bytes, count: int) -> None:
        self.receiver = tm_frame.Receiver(Frames("tm", FRAME_NBYTES, 1, ocf=True))
        self.line = Line(self.receiver._state, Marker(slip=1, inverted=True), reed_solomon=CODE)
        self.octets, self.count = octets, count
        nrows, noctets = 16 * count, count * FRAME_NBYTES + (1 << 17)
        self.rows = ffi.new("fs_frame_row[]", nrows)
        self.out = ffi.new("uint8_t[]", noctets)
        self.sink = ffi.new("fs_frame_sink *", (self.rows, self.out, ffi.NULL, nrows, noctets, 0))
        self.consumed = ffi.new("uint64_t *")

    def __call__(self) -> None:
        """Feed the whole stream; each of its CADUs must be right."""
        sink, line = self.sink, self.line
        before = line.state.sync.units - line.state.sync.bad_units
        sink.rows_used = sink.octets_used = 0
        line.state.at = 0
        lib.fs_chain_feed(line.state, self.octets, len(self.octets), self.consumed, sink)
        assert line.state.sync.units - line.state.sync.bad_units - before >= self.count - 1
