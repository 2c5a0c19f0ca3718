"""Reed-Solomon blocks: published parity, corrections up to E, and refusals behind it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec import tier as tiers
from flightsw.codec.coding.reed_solomon import IN_FILL, Decoded, ReedSolomon
from flightsw.codec.errors import CodecError, FieldRangeError, TruncatedError
from flightsw.codec.link import sync, tm_frame
from flightsw.codec.link.chain import Chain
from flightsw.codec.link.frames import Frames
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import space_packet

ROOT = Path(__file__).resolve().parents[3]
INTERLEAVES = (1, 2, 3, 4, 5, 8)
Octets = npt.NDArray[np.uint8]

#: Parity of the data 00, 01, 02, .. by E and basis.
PUBLISHED = {
    (16, 1): "4FFB92DD557EC67F27FB8982CF58F8FD028AD117FCEF6B2793D0418826578651",
    (16, 0): "2FBD4FB4748494B9ACD554627212EEB3EBED41191DE1D36320EA49290B25ABCF",
    (8, 0): "2AA9A33235AEFE260E3C55BE8F495000",
    (8, 1): "9755133F2714A3FBE0101E8F0E0AC1D2",
}


def code_of(
    e: int = 16, dual: int = 1, interleave: int = 5, fill: int = 0, lenient: int = 0
) -> Any:
    """Return the parameters of a code for C."""
    return ffi.new("fs_rs_code *", (e, dual, interleave, fill, lenient))


def encoded(code: Any, rng: np.random.Generator) -> Octets:
    """Return a block of random data with its parity, one codeword a column."""
    nbytes = lib.fs_rs_block_nbytes(code)
    block = rng.integers(0, 256, nbytes, np.uint8)
    assert lib.fs_rs_encode(code, ffi.from_buffer("uint8_t[]", block), nbytes) == nbytes
    return block.reshape(-1, code.interleave)


def damaged(block: Octets, counts: list[int], rng: np.random.Generator) -> Octets:
    """Return a block with so many octets of each codeword changed."""
    hurt = block.copy()
    for c, count in enumerate(counts):
        at = rng.choice(len(block), count, replace=False)
        hurt[at, c] ^= rng.integers(1, 256, count, np.uint8)
    return hurt


def decoded(code: Any, block: Octets) -> tuple[int, list[int], Octets]:
    """Return what decoding returned, the corrections by codeword, and the block."""
    out = block.copy()
    corrected = ffi.new("int16_t[]", code.interleave)
    value = lib.fs_rs_decode(code, ffi.from_buffer("uint8_t[]", out), out.nbytes, corrected)
    return value, list(corrected), out


@pytest.mark.parametrize(("e", "dual"), PUBLISHED)
def test_published_parity_both_ways(tier: str, e: int, dual: int) -> None:
    """The parity of 00, 01, .. is the published one, and E damaged octets of it come back."""
    data, parity = bytes(range(255 - 2 * e)), bytes.fromhex(PUBLISHED[e, dual])
    block = bytearray(data + bytes(2 * e))
    code = code_of(e, dual, 1)
    assert lib.fs_rs_encode(code, ffi.from_buffer(block), 255) == 255
    assert block == data + parity
    whole = np.frombuffer(data + parity, np.uint8).reshape(-1, 1)
    assert decoded(code, whole)[:2] == (0, [0])
    hurt = damaged(whole, [e], np.random.default_rng(e))
    value, corrected, out = decoded(code, hurt)
    assert (value, corrected, out.tobytes()) == (e, [e], data + parity)


@pytest.mark.parametrize("e", [8, 16])
def test_generators_read_the_same_both_ways(tier: str, e: int) -> None:
    """The generator is palindromic, for E = 8 too; it is not if its roots begin at 112 there, as
    in Yamcs. The parity of a lone 1 is the generator without its leading coefficient."""
    code, block = code_of(e, 0, 1), bytearray(255)
    block[254 - 2 * e] = 1
    assert lib.fs_rs_encode(code, ffi.from_buffer(block), 255) == 255
    generator = block[254 - 2 * e :]
    assert generator == generator[::-1]
    assert len(set(generator)) > 2


@pytest.mark.parametrize("interleave", INTERLEAVES)
@pytest.mark.parametrize("dual", [0, 1])
@pytest.mark.parametrize("e", [8, 16])
def test_up_to_e_are_corrected_more_are_left_alone(
    tier: str, e: int, dual: int, interleave: int
) -> None:
    """Up to E wrong octets a codeword are put right and counted; with more it stays as it came."""
    rng = np.random.default_rng([e, dual, interleave])
    for trial in range(40):
        code = code_of(e, dual, interleave, int(rng.integers(0, 255 - 2 * e)) if trial % 2 else 0)
        block = encoded(code, rng)
        counts = [min(int(rng.integers(0, e + 4)), len(block)) for _ in range(interleave)]
        hurt = damaged(block, counts, rng)
        value, corrected, out = decoded(code, hurt)
        for c, count in enumerate(counts):
            if count <= e:
                assert corrected[c] == count
                assert (out[:, c] == block[:, c]).all()
            else:
                assert corrected[c] < 0
                assert (out[:, c] == hurt[:, c]).all()
        assert value == (sum(counts) if max(counts) <= e else lib.FS_E_CHECK)


@pytest.mark.parametrize("interleave", INTERLEAVES)
def test_every_tier_decides_alike(tier: str, interleave: int) -> None:
    """Codewords with more than E wrong octets, and random ones, fare on every tier as on the first:
    the same are left alone, and the few that lie close to another codeword become that one."""
    rng = np.random.default_rng(interleave)
    for trial in range(60):
        e, dual, lenient = 8 if trial % 3 else 16, trial & 1, trial >> 1 & 1
        code = code_of(e, dual, interleave, int(rng.integers(0, 255 - 2 * e)), lenient)
        block = encoded(code, rng)
        counts = [min(int(rng.integers(e, 3 * e)), len(block)) for _ in range(interleave)]
        hurt = damaged(block, counts, rng) if trial % 4 else rng.permuted(block)
        got = decoded(code, hurt)
        with tiers.forced("portable"):
            want = decoded(code, hurt)
        assert got[:2] == want[:2]
        assert (got[2] == want[2]).all()


@pytest.mark.parametrize("interleave", INTERLEAVES)
@pytest.mark.parametrize("e", [8, 16])
def test_nothing_outside_of_the_block_is_touched(
    tier: str, guard: Guard, e: int, interleave: int
) -> None:
    """Blocks of any length between forbidden pages are encoded and decoded."""
    rng = np.random.default_rng(e)
    for fill in (0, 1, 2, 3, 100, 254 - 2 * e):
        code = code_of(e, 1, interleave, fill)
        block = encoded(code, rng)
        hurt = damaged(block, [min(e, len(block))] * interleave, rng)
        corrected = ffi.new("int16_t[]", interleave)
        for at in guard.both(block.tobytes()):
            assert lib.fs_rs_encode(code, at, block.nbytes) == block.nbytes
            assert bytes(ffi.buffer(at, block.nbytes)) == block.tobytes()
            assert lib.fs_rs_decode(code, at, block.nbytes, corrected) == 0
        for at in guard.both(hurt.tobytes()):
            value = lib.fs_rs_decode(code, at, block.nbytes, corrected)
            assert value == sum(corrected) == interleave * min(e, len(block))
            assert bytes(ffi.buffer(at, block.nbytes)) == block.tobytes()


@pytest.mark.parametrize("e", [8, 16])
def test_corrections_in_the_virtual_fill(tier: str, e: int) -> None:
    """A codeword that can only be put right by octets that were never sent is refused as it is; a
    lenient code corrects the rest of it and counts them all."""
    rng = np.random.default_rng(e)
    whole = encoded(code_of(e, 1, 1, 0), rng)
    assert whole[:3].all()
    sent = whole[3:]
    strict, lenient = code_of(e, 1, 1, 3), code_of(e, 1, 1, 3, lenient=1)
    assert decoded(strict, sent)[:2] == (lib.FS_E_CHECK, [lib.FS_RS_IN_FILL])
    assert decoded(lenient, sent)[:2] == (3, [3])
    hurt = damaged(sent, [e - 3], rng)
    value, corrected, out = decoded(strict, hurt)
    assert (value, corrected) == (lib.FS_E_CHECK, [lib.FS_RS_IN_FILL])
    assert (out == hurt).all()
    value, corrected, out = decoded(lenient, hurt)
    assert (value, corrected) == (e, [e])
    assert (out == sent).all()


def test_parameters_that_the_standard_lacks_are_refused() -> None:
    """Another E, interleaving or basis, and a fill that leaves no data, are an error everywhere."""
    bad = [code_of(e=15), code_of(dual=2), code_of(interleave=6), code_of(interleave=0)]
    bad += [code_of(fill=223), code_of(e=8, fill=239), code_of(lenient=2), code_of(e=0)]
    block = ffi.new("uint8_t[4000]")
    for code in bad:
        assert lib.fs_rs_check(code) == lib.FS_E_RANGE
        assert lib.fs_rs_encode(code, block, 4000) == lib.FS_E_RANGE
        assert lib.fs_rs_decode(code, block, 4000, ffi.NULL) == lib.FS_E_RANGE
    assert lib.fs_rs_check(code_of(fill=222)) == 0
    assert lib.fs_rs_check(code_of(e=8, fill=238)) == 0


def test_blocks_that_do_not_fit_are_refused() -> None:
    """A block longer than its buffer, alone or the last of a batch, is an error."""
    code, block = code_of(interleave=1), ffi.new("uint8_t[1000]")
    assert lib.fs_rs_encode(code, block, 254) == lib.FS_E_SHORT
    assert lib.fs_rs_decode(code, block, 254, ffi.NULL) == lib.FS_E_SHORT
    for batch in (lib.fs_rs_encode_batch, lambda *a: lib.fs_rs_decode_batch(*a, ffi.NULL)):
        assert batch(code, block, 1000, 260, 3) == 3
        assert batch(code, block, 774, 260, 3) == lib.FS_E_SHORT
        assert batch(code, block, 1000, 254, 3) == lib.FS_E_RANGE
        assert batch(code, block, 0, 255, 0) == 0


def test_tables_are_what_their_script_writes(tmp_path: Path) -> None:
    """The committed constants are those that the script derives from the standard."""
    script = ROOT / "csrc" / "coding" / "tables" / "make_rs.py"
    copy = tmp_path / script.name
    copy.write_text(script.read_text())
    subprocess.run([sys.executable, str(copy)], check=True)
    written = sorted(tmp_path.glob("*.h"))
    assert written
    for made in written:
        assert made.read_text() == (script.parent / made.name).read_text()


def product(a: int, b: int) -> int:
    """Return the product of two symbols of the conventional basis (131.0-B-5 clause 4.3.3)."""
    total = 0
    for bit in range(7, -1, -1):
        total = total << 1 ^ (0x187 if total & 0x80 else 0)
        total ^= a if b >> bit & 1 else 0
    return total


def test_zero_at_all_roots_but_one_is_not_clean(tier: str) -> None:
    """A codeword that is zero at 31 of the 32 roots is not taken for clean, whichever is left."""
    beta, roots = 1, [1]
    for _ in range(11):
        beta = product(beta, 2)
    for _ in range(143):
        roots.append(product(roots[-1], beta))
    code = code_of(dual=0)
    for left in range(112, 144):
        poly = [1]
        for j in range(112, 144):
            if j != left:
                pairs = zip([*poly, 0], [0, *poly], strict=True)
                poly = [a ^ product(roots[j], b) for a, b in pairs]
        block = np.zeros((255, 5), np.uint8)
        block[left % 200 : left % 200 + 32, left % 5] = poly
        with tiers.forced("portable"):
            value, corrected, out = decoded(code, block)
        assert value != 0
        found = decoded(code, block)
        assert found[:2] == (value, corrected)
        assert np.array_equal(found[2], out)


def test_every_octet_is_looked_at(tier: str) -> None:
    """Each octet of a block of five codewords, changed alone, is found and mended."""
    rng = np.random.default_rng(7)
    for dual in (0, 1):
        code = code_of(dual=dual)
        block = encoded(code, rng)
        assert decoded(code, block)[0] == 0
        for at in range(block.size):
            hurt = block.copy()
            hurt.flat[at] ^= 1 << at % 8
            value, _, out = decoded(code, hurt)
            assert value == 1
            assert np.array_equal(out, block)


CODES = st.builds(
    lambda e, interleave, dual, fill, lenient: ReedSolomon(
        e, interleave, dual, fill % (255 - 2 * e), lenient
    ),
    st.sampled_from([8, 16]),
    st.sampled_from(INTERLEAVES),
    st.booleans(),
    st.integers(0, 255),
    st.booleans(),
)


@settings(deadline=None)
@given(CODES, st.integers(0, 2**32), st.integers(0, 16))
def test_what_is_encoded_comes_back(code: ReedSolomon, seed: int, wrong: int) -> None:
    """Any data come back through up to E wrong octets in one codeword, which are counted."""
    rng = np.random.default_rng(seed)
    data = rng.bytes(code.data_nbytes)
    block = code.encode(data)
    assert block.startswith(data)
    assert len(block) == code.block_nbytes
    rows = np.frombuffer(block, np.uint8).reshape(-1, code.interleave)
    wrong = min(wrong, (len(rows) - code.data_nbytes // code.interleave) // 2, len(rows))
    counts = [wrong, *[0] * (code.interleave - 1)]
    assert code.decode(damaged(rows, counts, rng).tobytes()) == Decoded(data, tuple(counts))
    assert code.counters == {
        "blocks": 1,
        "codewords": code.interleave,
        "corrected_octets": wrong,
        "failed_codewords": 0,
        "fill_codewords": 0,
    }


def test_batches_equal_blocks_one_by_one(tier: str) -> None:
    """A batch behind markers decodes as its blocks do alone, with the same counters."""
    rng = np.random.default_rng(9)
    one, many = ReedSolomon(8, 3, fill=20), ReedSolomon(8, 3, fill=20)
    rows = np.zeros((30, 4 + one.block_nbytes + 2), np.uint8)
    rows[:, 4 : 4 + one.data_nbytes] = rng.integers(0, 256, (30, one.data_nbytes), np.uint8)
    many.encode_batch(rows, at=4)
    blocks = rows[:, 4:-2]
    assert [row.tobytes() for row in blocks] == [
        one.encode(row[: one.data_nbytes].tobytes()) for row in blocks
    ]
    for row in blocks[5:]:
        row[:] = damaged(row.reshape(-1, 3), rng.integers(0, 11, 3).tolist(), rng).ravel()
    want = [one.decode(row.tobytes()) for row in blocks]
    out = np.zeros((30, 3), np.int16)
    assert many.decode_batch(rows, out, at=4) is out
    assert [tuple(row) for row in out.tolist()] == [found.corrected for found in want]
    assert [row[: one.data_nbytes].tobytes() for row in blocks] == [found.data for found in want]
    assert many.counters == one.counters
    assert one.counters["failed_codewords"] > 0
    assert not rows[:, :4].any()
    assert not rows[:, -2:].any()
    assert [found.good for found in want] == [min(found.corrected) >= 0 for found in want]


def test_refusals_for_fill_are_counted() -> None:
    """A refusal for the fill is a failed codeword and counted by itself, alone and in a batch."""
    rng = np.random.default_rng(3)
    whole = ReedSolomon(interleave=1)
    sent = whole.encode(bytes([1, 2]) + rng.bytes(221))[2:]
    code = ReedSolomon(interleave=1, fill=2)
    assert code.decode(sent) == Decoded(sent[:-32], (IN_FILL,))
    rows = np.frombuffer(sent + sent, np.uint8).reshape(2, -1).copy()
    assert code.decode_batch(rows).tolist() == [[IN_FILL], [IN_FILL]]
    assert code.counters["failed_codewords"] == code.counters["fill_codewords"] == 3
    assert code.counters["corrected_octets"] == 0
    assert ReedSolomon(interleave=1, fill=2, lenient=True).decode(sent).corrected == (2,)


def test_a_chain_takes_the_same_object() -> None:
    """The code that made a block can be given to a chain, which corrects the block by it."""
    code = ReedSolomon(interleave=2, fill=150)
    frames = tm_frame.Encoder(Frames("tm", code.data_nbytes, 5, ocf=True))
    frames.add(1, space_packet.pack(7, 0, b"octets of a packet"))
    frame = frames.next_frame(1, bytes(4), flush=True)
    block = bytearray(code.encode(frame))
    block[10] ^= 0x55
    chain = Chain(
        tm_frame.Receiver(Frames("tm", code.data_nbytes, 5, ocf=True)),
        randomiser=None,
        reed_solomon=code,
    )
    assert len(list(chain.feed(sync.ASM + block).each())) == 1
    assert chain.counters["corrected_octets"] == 1


def test_the_face_says_what_does_not_fit() -> None:
    """Wrong parameters, lengths, shapes and types are errors that name what would be right."""
    for wrong in ({"e": 4}, {"interleave": 7}, {"fill": 223}, {"fill": -1}, {"e": 272}):
        with pytest.raises(FieldRangeError, match="E is 16 or 8"):
            ReedSolomon(**wrong)
    code = ReedSolomon()
    with pytest.raises(TruncatedError, match="1115"):
        code.encode(bytes(1114))
    with pytest.raises(CodecError, match="1275"):
        code.decode(bytes(1276))
    with pytest.raises(TruncatedError, match="from 5 on"):
        code.decode_batch(np.zeros((2, 1279), np.uint8), at=5)
    with pytest.raises(CodecError, match="contiguous uint8"):
        code.encode_batch(np.zeros((2, 2000), np.uint8)[:, :1275])
    with pytest.raises(CodecError, match="int16"):
        code.decode_batch(np.zeros((2, 1275), np.uint8), np.zeros((2, 4), np.int16))
    assert code.decode_batch(np.zeros((0, 1275), np.uint8)).shape == (0, 5)
    assert set(code.counters.values()) == {0}
