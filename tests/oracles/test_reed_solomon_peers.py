"""Reed-Solomon against three independent programs: libfec, reedsolo and reed-solomon-ccsds.

Random data, both E, both bases where the peer has them, every interleaving, shortened or not, with
none to E + 3 octets of a codeword wrong: parity, corrected octets, their number, and which
codewords cannot be corrected must be the same. With more than E wrong octets a codeword may lie
close to another one: where that one differs in the virtual fill, reedsolo refuses it as our strict
code does, and the other two take it as our lenient code does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from flightsw.codec.coding.reed_solomon import ReedSolomon

Octets = npt.NDArray[np.uint8]
INTERLEAVES = (1, 2, 3, 4, 5, 8)


class Case(NamedTuple):
    """Codewords, one a row and shortened, of one code, before and behind the channel and us."""

    e: int
    dual: bool
    fill: int
    sent: Octets
    received: Octets
    decoded: Octets
    corrected: npt.NDArray[np.int16]


def by_codeword(blocks: Octets, interleave: int) -> Octets:
    """Return interleaved blocks (n, nbytes) as codewords (n * interleave, nbytes / interleave)."""
    rows = blocks.reshape(len(blocks), -1, interleave).transpose(0, 2, 1)
    return rows.copy(order="C").reshape(-1, rows.shape[2])


def cases(
    seed: int, count: int, es: tuple[int, ...], duals: tuple[bool, ...], lenient: bool = True
) -> Iterator[Case]:
    """Yield at least ``count`` codewords, in batches of one code each."""
    rng, done, turn = np.random.default_rng(seed), 0, 0
    while done < count:
        e, dual = es[turn % len(es)], duals[turn // 2 % len(duals)]
        interleave = INTERLEAVES[turn % 6]
        fill = int(rng.integers(0, 255 - 2 * e)) if turn % 3 == 0 else 0
        n = -(-min(max(count // 40, interleave), count - done) // interleave)
        code = ReedSolomon(e, interleave, dual, fill, lenient)
        blocks = rng.integers(0, 256, (n, code.block_nbytes), np.uint8)
        code.encode_batch(blocks)
        sent = by_codeword(blocks, interleave)
        hurt = damage(blocks, interleave, e, rng)
        received = by_codeword(hurt, interleave)
        corrected = code.decode_batch(hurt)
        decoded = by_codeword(hurt, interleave)
        yield Case(e, dual, fill, sent, received, decoded, corrected.reshape(-1))
        done, turn = done + len(sent), turn + 1


def damage(blocks: Octets, interleave: int, e: int, rng: np.random.Generator) -> Octets:
    """Return blocks with none to E + 3 octets of each codeword changed."""
    rows = blocks.reshape(len(blocks), -1, interleave).copy()
    counts = rng.integers(0, e + 4, (len(rows), 1, interleave))
    counts[rng.random(counts.shape) < 0.2] = e
    order = rng.random(rows.shape).argsort(axis=1).argsort(axis=1)
    rows ^= rng.integers(1, 256, rows.shape, np.uint8) * (order < counts).astype(np.uint8)
    return rows.reshape(blocks.shape)


class Libfec:
    """libfec, which holds one codeword at a time and has no SIMD on this processor."""

    def __init__(self) -> None:
        try:
            self.lib: Any = ctypes.CDLL("libfec.so.0")
        except OSError:
            pytest.skip("libfec is not installed (Debian: apt install libfec0)")
        self.lib.init_rs_char.restype = ctypes.c_void_p

    def functions(self, case: Case) -> tuple[Callable[[int], None], Callable[[int], int]]:
        """Return encoding and decoding in place of the codeword at an address."""
        k, pad = 255 - 2 * case.e - case.fill, case.fill
        at = ctypes.c_void_p
        if case.e == 16:
            kind = "ccsds" if case.dual else "8"
            encode = getattr(self.lib, f"encode_rs_{kind}")
            decode = getattr(self.lib, f"decode_rs_{kind}")
            return (
                lambda where: encode(at(where), at(where + k), pad),
                lambda where: decode(at(where), None, 0, pad),
            )
        code = at(self.lib.init_rs_char(8, 0x187, 120, 11, 16, pad))
        return (
            lambda where: self.lib.encode_rs_char(code, at(where), at(where + k)),
            lambda where: self.lib.decode_rs_char(code, at(where), None, 0),
        )


def against_libfec(seed: int, count: int, e: int, dual: bool) -> None:
    """Compare ``count`` codewords with libfec's."""
    peer = Libfec()
    for case in cases(seed, count, (e,), (dual,)):
        encode, decode = peer.functions(case)
        nbytes = case.sent.shape[1]
        again, fixed = case.sent.copy(), case.received.copy()
        again[:, nbytes - 2 * e :] = 0
        first, second = again.ctypes.data, fixed.ctypes.data
        for i in range(len(again)):
            encode(first + i * nbytes)
        # below zero it tells kinds of failure apart, which depend on its way of finding them
        counts = [max(decode(second + i * nbytes), -1) for i in range(len(fixed))]
        assert (again == case.sent).all()
        assert counts == case.corrected.tolist()
        assert (fixed == case.decoded).all()


LIBFEC = [(16, True), (16, False), (8, False)]


@pytest.mark.parametrize(("e", "dual"), LIBFEC)
def test_equals_libfec(e: int, dual: bool) -> None:
    """10,000 random codewords of each code are the same from us and from libfec."""
    against_libfec(1, 10_000, e, dual)


@pytest.mark.soak
@pytest.mark.parametrize(("e", "dual"), LIBFEC)
def test_equals_libfec_on_100_000(e: int, dual: bool) -> None:
    """100,000 random codewords of each code are the same from us and from libfec."""
    against_libfec(2, 100_000, e, dual)


def against_reedsolo(seed: int, count: int) -> None:
    """Compare ``count`` codewords with reedsolo's, which has the conventional basis."""
    reedsolo = pytest.importorskip("reedsolo")
    for case in cases(seed, count, (16, 8), (False,), lenient=False):
        peer = reedsolo.RSCodec(2 * case.e, fcr=128 - case.e, prim=0x187, generator=173)
        k = case.sent.shape[1] - 2 * case.e
        for sent, received, decoded, n in zip(
            case.sent, case.received, case.decoded, case.corrected.tolist(), strict=True
        ):
            assert bytes(peer.encode(sent[:k].tobytes())) == sent.tobytes()
            try:
                data, whole, errata = peer.decode(bytearray(received.tobytes()))
            except reedsolo.ReedSolomonError:
                assert n < 0
                assert (decoded == received).all()
                continue
            assert (bytes(data), bytes(whole)) == (decoded[:k].tobytes(), decoded.tobytes())
            assert len(errata) == n


def test_equals_reedsolo() -> None:
    """150 random codewords are the same from us and from reedsolo."""
    against_reedsolo(3, 150)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_equals_reedsolo_on_100_000(part: int) -> None:
    """20 times 5,000 random codewords are the same from us and from reedsolo."""
    against_reedsolo(100 + part, 5_000)


def against_ccsds(seed: int, count: int) -> None:
    """Compare ``count`` codewords with reed-solomon-ccsds', which has E = 16 and no shortening."""
    peer = pytest.importorskip("reed_solomon_ccsds")
    for case in cases(seed, count, (16,), (True, False)):
        zeros = bytes(case.fill)
        for sent in case.sent[::10]:  # takes twice as long as decoding, which needs the same parity
            data = zeros + sent[:-32].tobytes()
            assert peer.encode(data, case.dual) == zeros + sent.tobytes()
        for received, decoded, n in zip(
            case.received, case.decoded, case.corrected.tolist(), strict=True
        ):
            try:
                counts, fixed = peer.decode(zeros + received.tobytes(), case.dual)
            except peer.UncorrectableError:
                assert n < 0
                assert (decoded == received).all()
                continue
            assert counts == [n]
            assert bytes(fixed)[case.fill : 223] == decoded[:-32].tobytes()


def test_equals_reed_solomon_ccsds() -> None:
    """40 random codewords are the same from us and from reed-solomon-ccsds."""
    against_ccsds(4, 40)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(100))
def test_equals_reed_solomon_ccsds_on_100_000(part: int) -> None:
    """100 times 1,000 random codewords are the same from us and from reed-solomon-ccsds."""
    against_ccsds(200 + part, 1_000)
