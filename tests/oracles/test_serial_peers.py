"""Serial framing against programs that we did not write."""

from __future__ import annotations

import random
import zlib

import pytest

from flightsw.codec.serial import cobs, hdlc, slip
from flightsw.codec.serial.line import enframe

CASES = 100_000


def contents(seed: int, count: int) -> list[bytes]:
    """Return random contents: short and long, many and few zeros, runs around 254."""
    rnd = random.Random(seed)
    made = []
    for i in range(count):
        nbytes = rnd.choice((1, 2, 3, 20, 60, 253, 254, 255, 256, 510, rnd.randrange(1, 700)))
        data = rnd.randbytes(nbytes)
        if i % 3 == 0:
            data = bytes(b if b & 3 else 0 for b in data)
        elif i % 3 == 1:
            data = bytes(b or 1 for b in data)
        made.append(data)
    return made


def test_cobs_agrees_with_the_cobs_package() -> None:
    """100,000 random contents encode as the package does, and its decoder reads ours."""
    peer = pytest.importorskip("cobs.cobs")
    cases = contents(1, CASES)
    stream = cobs.frames(cases)
    assert stream == b"".join(peer.encode(case) + b"\0" for case in cases)
    assert [peer.decode(frame) for frame in stream.split(b"\0")[:-1]] == cases
    assert cobs.Decoder().feed(stream) == cases


def test_broken_cobs_is_refused_where_the_package_refuses() -> None:
    """Of random octets without a zero, ours decodes what the package decodes and nothing else."""
    peer = pytest.importorskip("cobs.cobs")
    rnd = random.Random(2)
    for _ in range(20_000):
        frame = bytes(rnd.choice((1, 2, 3, 5, 255, rnd.randrange(1, 256))) for _ in range(9))
        try:
            want = [peer.decode(frame)]
        except peer.DecodeError:
            want = []
        decoder = cobs.Decoder()
        got = decoder.feed(frame + b"\0")
        assert got == want, frame.hex()


def test_frame_check_sequences_agree_with_zlib_and_pyserials_peers() -> None:
    """The 32-bit check is zlib's, the 16-bit one crcmod's X.25, on random contents."""
    crcmod = pytest.importorskip("crcmod.predefined")
    x25 = crcmod.mkPredefinedCrcFun("x-25")
    for case in contents(3, 3000):
        long, short = hdlc.encode(case, fcs_nbytes=4), hdlc.encode(case)
        plain = slip_free(long)
        assert plain[:-4] == case
        assert int.from_bytes(plain[-4:], "little") == zlib.crc32(case)
        assert int.from_bytes(slip_free(short)[-2:], "little") == x25(case)


def slip_free(frame: bytes) -> bytes:
    """Undo octet stuffing by the words of RFC 1662, one octet at a time."""
    out, escaped = bytearray(), False
    for octet in frame.strip(b"\x7e"):
        if octet == 0x7D:
            escaped = True
        else:
            out.append(octet ^ 0x20 if escaped else octet)
            escaped = False
    return bytes(out)


def test_slip_agrees_with_a_plain_replacement() -> None:
    """100,000 random contents are stuffed as two replacements of octets do it, and come back."""
    cases = contents(4, CASES)
    stream = slip.frames(cases)
    want = b"".join(
        b"\xc0" + case.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"
        for case in cases
    )
    assert stream == want
    assert slip.Decoder().feed(stream) == cases
    assert enframe(1, 0, cases[:1], False) == want[1 : want.index(b"\xc0", 1) + 1]
