"""The convolutional encoder and the Viterbi decoder: definition, streams, every tier alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding.convolutional import ORDERS, RATES, Encoder, Viterbi, alignments
from flightsw.codec.errors import CodecError, FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib

Soft = npt.NDArray[np.uint8]

#: CCSDS 131.0-B-5 section 3.4: which C1 and C2 of a period are sent.
PATTERNS = {
    "1/2": ("1", "1"),
    "2/3": ("10", "11"),
    "3/4": ("101", "110"),
    "5/6": ("10101", "11010"),
    "7/8": ("1000101", "1111010"),
}
CODES = [(rate, order) for rate in RATES for order in ORDERS]


def bits_of(data: bytes, count: int | None = None) -> list[int]:
    """Return bits, the first of each octet highest."""
    return np.unpackbits(np.frombuffer(data, np.uint8))[:count].tolist()


def packed(bits: list[int]) -> bytes:
    """Return bits as octets, zeros behind them."""
    return np.packbits(np.array(bits, np.uint8)).tobytes()


def by_definition(bits: list[int], rate: str, order: str, register: int = 0) -> list[int]:
    """Return the symbols of bits as the standard's figure draws them."""
    symbols = []
    for t, bit in enumerate(bits):
        register = register >> 1 | bit << 6
        c1 = (register & 0b1111001).bit_count() & 1
        c2 = (register & 0b1011011).bit_count() & 1
        if rate == "1/2" and "uninverted" not in order:
            c2 ^= 1
        pair = [(c, row[t % len(row)]) for c, row in zip((c1, c2), PATTERNS[rate], strict=True)]
        if order.startswith("dsn"):
            pair.reverse()
        symbols += [c for c, sent in pair if sent == "1"]
    return symbols


def encoded(data: bytes, rate: str = "1/2", order: str = "ccsds") -> list[int]:
    """Return the symbols of octets by our encoder."""
    encoder = Encoder(rate, order)
    return bits_of(encoder.feed(data) + encoder.flush(), encoder.symbols)


def soft(symbols: list[int], noise: float = 0.0, seed: int = 1) -> Soft:
    """Return symbols as octets, 50 away from the middle, under Gaussian noise of that sigma."""
    clean = np.where(np.array(symbols, np.uint8) == 1, 178.0, 78.0)
    drawn = clean + np.random.default_rng(seed).normal(0, noise, len(clean))
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


def decoded(symbols: Soft, *args: Any, end: int | None = None, **kwargs: Any) -> bytes:
    """Return all bits of a stream by our decoder."""
    decoder = Viterbi(*args, **kwargs)
    return decoder.feed(symbols) + decoder.flush(end)


def exact_viterbi(symbols: Soft, start: int | None, end: int | None) -> list[int]:
    """Return the bits behind uninverted symbols of rate 1/2 by the plain algorithm.

    States are (x[t], ..., x[t-5]), so that "the first of equals" is the smallest number.
    """
    values = np.maximum(symbols.astype(int), 1) - 128
    reverse = [int(f"{n:06b}"[::-1], 2) for n in range(64)]
    metrics = [0 if start is None or reverse[start] == n else -(10**9) for n in range(64)]
    history = []
    for v1, v2 in values.reshape(-1, 2).tolist():
        fresh, came = [0] * 64, [0] * 64
        for n in range(64):
            ways = []
            for k in (0, 1):
                register = n << 1 | k
                c1 = (register & 0b1111001).bit_count() & 1
                c2 = (register & 0b1011011).bit_count() & 1
                gain = (v1 if c1 else -v1) + (v2 if c2 else -v2)
                ways.append(metrics[register & 63] + gain)
            came[n] = int(ways[1] > ways[0])
            fresh[n] = ways[came[n]]
        metrics = fresh
        history.append(came)
    state = metrics.index(max(metrics)) if end is None else reverse[end]
    bits = []
    for came in reversed(history):
        bits.append(state >> 5)
        state = (state << 1 | came[state]) & 63
    return bits[::-1]


def test_marker_from_the_zero_state() -> None:
    """The sync marker gives the published symbols; its end is the pattern known in the stream."""
    marker = bytes.fromhex("1ACFFC1D")
    assert Encoder().feed(marker).hex().upper() == "56081C971AA73D3E"
    swapped = Encoder("1/2", "dsn").feed(marker)
    pairs = np.array(bits_of(swapped)).reshape(-1, 2)[:, ::-1]
    assert packed(pairs.ravel().tolist()).hex().upper() == "56081C971AA73D3E"


def test_marker_decodes_on_every_tier(tier: str) -> None:
    """The published symbols give the marker again, in both orders, soft and hard."""
    golden = bytes.fromhex("56081C971AA73D3E")
    for order in ("ccsds", "dsn"):
        symbols = encoded(bytes.fromhex("1ACFFC1D"), "1/2", order)
        assert decoded(soft(symbols), "1/2", order, start=0).hex().upper() == "1ACFFC1D"
    decoder = Viterbi(start=0)
    assert (decoder.feed_hard(golden) + decoder.flush()).hex().upper() == "1ACFFC1D"
    assert decoder.counters == {
        "symbols": 64,
        "bits": 32,
        "steps_checked": 32,
        "known_symbols": 64,
        "wrong_symbols": 0,
    }


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=60), st.integers(0, 7), st.sampled_from(CODES), st.integers(0, 500))
def test_encoder_is_the_standards(data: bytes, less: int, code: tuple[str, str], cut: int) -> None:
    """Any number of bits in any two parts gives the symbols of the definition, packed."""
    bits = bits_of(data, max(0, 8 * len(data) - less))
    cut = min(cut, len(bits))
    encoder = Encoder(*code)
    octets = encoder.feed(packed(bits[:cut]), cut)
    octets += encoder.feed(packed(bits[cut:]), len(bits) - cut) + encoder.flush()
    want = by_definition(bits, *code)
    assert octets == packed(want)
    assert (encoder.bits, encoder.symbols) == (len(bits), len(want))


@pytest.mark.parametrize(("rate", "order"), CODES)
def test_decoder_inverts_the_encoder(tier: str, rate: str, order: str) -> None:
    """Every code comes back without noise, and under noise with every error corrected."""
    data = np.random.default_rng(7).bytes(1501) + bytes(1)
    symbols = encoded(data, rate, order)
    noise = {"1/2": 27, "2/3": 23, "3/4": 21, "5/6": 18, "7/8": 17}[rate]
    for sigma in (0, noise):
        decoder = Viterbi(rate, order, start=0)
        received = soft(symbols, sigma)
        known = received != 128
        wrong = int(np.sum(known & ((received > 128) != np.array(symbols, bool))))
        assert decoder.feed(received) + decoder.flush(0) == data
        assert (wrong > 20) == (sigma > 0)
        assert decoder.counters["wrong_symbols"] == wrong
        assert decoder.counters["known_symbols"] == int(np.sum(known))


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.sampled_from([None, 0, 37]))
def test_bits_are_the_plain_algorithms(seed: int, nsteps: int, state: int | None) -> None:
    """On pure noise, where ties and doubt abound, every bit is that of the exact algorithm."""
    symbols = np.random.default_rng(seed).choice(np.arange(0, 256, 51, np.uint8), 2 * nsteps)
    want = packed(exact_viterbi(symbols, state, state))
    got = decoded(symbols, "1/2", "ccsds-uninverted", start=state, end=state)
    assert got == want


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(CODES),
    st.sampled_from([None, 16, 160]),
    st.sampled_from([None, 64, 192]),
    st.lists(st.integers(0, 900), max_size=12),
)
def test_chunks_and_tiers_do_not_matter(
    seed: int, code: tuple[str, str], traceback: int | None, segment: int | None, cuts: list[int]
) -> None:
    """Noise in any chunks gives the same bits and counters on every tier."""
    from flightsw.codec import tier as tiers

    symbols = np.random.default_rng(seed).integers(0, 256, sum(cuts) + 1000, np.uint8)
    results = set()
    for name in tiers.available():
        with tiers.forced(name):
            whole = Viterbi(*code, traceback=traceback, segment=segment)
            parts = Viterbi(*code, traceback=traceback, segment=segment)
            out = whole.feed(symbols) + whole.flush()
            pieces = [parts.feed(part) for part in np.split(symbols, np.cumsum(cuts))]
            assert b"".join(pieces) + parts.flush() == out
            assert parts.counters == whole.counters
            assert len(out) == -(-whole.bits // 8)
            results.add((out, tuple(whole.counters.items())))
    assert len(results) == 1


def test_long_streams_are_the_same_on_every_tier(tier: str) -> None:
    """Many segments side by side give what one at a time on the plainest tier gives."""
    from flightsw.codec import tier as tiers

    symbols = soft(encoded(np.random.default_rng(3).bytes(9000)), 48)
    got = decoded(symbols, start=0)
    with tiers.forced("portable"):
        decoder = Viterbi(start=0)
        pieces = [decoder.feed(symbols[i : i + 1500]) for i in range(0, len(symbols), 1500)]
        assert b"".join(pieces) + decoder.flush() == got


def test_segments_do_not_show(tier: str) -> None:
    """At a usable noise the shortest segments give the bits of the longest."""
    symbols = soft(encoded(np.random.default_rng(4).bytes(4000)), 40)
    assert decoded(symbols, segment=64) == decoded(symbols)


def test_delay_is_bounded() -> None:
    """A bit comes out at most segment + traceback bits behind its symbols."""
    decoder, out = Viterbi(segment=64, traceback=96), 0
    for nbits in range(1, 600):
        out += 8 * len(decoder.feed(bytes([128, 128])))
        assert out == max(0, (nbits - 96) // 64 * 64)


def test_erasures_know_nothing() -> None:
    """A quarter of the symbols erased is still decoded, and erasures alone favour no bit."""
    data = np.random.default_rng(5).bytes(500)
    symbols = soft(encoded(data))
    symbols[::4] = 128
    decoder = Viterbi(start=0)
    assert decoder.feed(symbols) + decoder.flush() == data
    assert decoder.counters["known_symbols"] == len(symbols) * 3 // 4
    assert decoded(np.full(400, 128, np.uint8)) == bytes(25)


def test_octet_zero_is_as_sure_as_octet_255() -> None:
    """Hard symbols and their complement are overruled equally often: no sign is favoured."""
    rng = np.random.default_rng(6)
    hard = np.where(rng.random(4000) < 0.5, 255, 0).astype(np.uint8)
    wrong = []
    for symbols in (hard, 255 - hard):
        decoder = Viterbi("1/2", "ccsds-uninverted", segment=2048)
        assert len(decoder.feed(symbols) + decoder.flush()) == 250
        wrong.append(decoder.counters["wrong_symbols"])
    assert wrong[0] == wrong[1] > 100  # ties may go either way, at equal cost


def test_inverted_symbols_give_inverted_bits() -> None:
    """The code is transparent: the sign is for the marker to tell, not for the decoder."""
    data = np.random.default_rng(8).bytes(800)
    symbols = soft(encoded(data), 30)
    whole = Viterbi()
    flipped = whole.feed(255 - symbols) + whole.flush()
    assert flipped[2:-2] == bytes(octet ^ 0xFF for octet in data[2:-2])
    assert whole.symbol_error_rate < 0.1


@pytest.mark.parametrize(("rate", "order"), [(rate, "ccsds") for rate in RATES] + [("1/2", "dsn")])
def test_alignment_shows_in_the_error_rate(rate: str, order: str) -> None:
    """Symbols that lead the pattern by some fit best when those are left out."""
    symbols = soft(encoded(np.random.default_rng(9).bytes(700), rate, order), 18)
    for lead in range(RATES[rate][1]):
        late = symbols[lead:]
        best, second, *_ = alignments(late, rate)
        assert best.skip == -lead % RATES[rate][1]
        assert best.order == order
        assert second.symbol_error_rate > best.symbol_error_rate + 0.01


def test_half_a_step_counts() -> None:
    """A last bit of which one symbol came is decoded with the other erased."""
    decoder = Viterbi()
    symbols = soft(encoded(bytes.fromhex("1ACFFC1D")))
    assert decoder.feed(symbols[:-1]) == b""
    assert decoder.flush().hex().upper() == "1ACFFC1D"
    assert decoder.bits == 32
    assert decoder.flush() == b""


def test_flush_begins_a_new_stream() -> None:
    """Block after block, each with its tail, decodes as if alone; counters go on."""
    decoder = Viterbi(start=0)
    for seed in range(4):
        data = np.random.default_rng(seed).bytes(100 + seed) + bytes(1)
        assert decoder.feed(soft(encoded(data), 35)) + decoder.flush(0) == data
    assert decoder.bits == 8 * (101 + 102 + 103 + 104)


def test_known_ends_help() -> None:
    """A wrong symbol pair at either end is corrected once the states there are known."""
    data = np.random.default_rng(10).bytes(40) + bytes(1)
    symbols = soft(encoded(data))
    symbols[:4], symbols[-4:] = 255 - symbols[:4], 255 - symbols[-4:]
    assert decoded(symbols, start=0, end=0) == data
    assert decoded(symbols) != data


def test_wrong_settings_are_refused() -> None:
    """Unknown rates and orders, and settings out of range, say what there is."""
    for rate, order in (("1/3", "ccsds"), ("1/2", "esa")):
        for maker in (Encoder, Viterbi):
            with pytest.raises(FieldRangeError, match="rates are 1/2"):
                maker(rate, order)
    for wrong in (
        {"traceback": 0},
        {"traceback": 97},
        {"traceback": 528},
        {"segment": 0},
        {"segment": 100},
        {"segment": 2112},
        {"segment": 1 << 20},
        {"start": 64},
        {"start": -1},
    ):
        with pytest.raises(FieldRangeError, match="multiple of 16"):
            Viterbi(**wrong)  # type: ignore[arg-type]
    with pytest.raises(FieldRangeError, match="end state 64"):
        Viterbi().flush(64)
    with pytest.raises(CodecError, match="int16"):
        Viterbi().feed(np.zeros(4, np.int16))  # type: ignore[arg-type]
    with pytest.raises(TruncatedError, match="17 bits"):
        Encoder().feed(bytes(2), 17)
    with pytest.raises(TruncatedError, match="17 bits"):
        Viterbi().feed_hard(bytes(2), 17)


def test_c_refuses_what_does_not_fit() -> None:
    """Without room for the most that could come, nothing is taken and nothing written."""
    encoder, v = ffi.new("fs_conv_encoder *"), ffi.new("fs_viterbi *")
    assert lib.fs_conv_begin(encoder, ffi.new("fs_conv_code *", (0, 0))) == 0
    assert lib.fs_conv_begin(encoder, ffi.new("fs_conv_code *", (5, 0))) == lib.FS_E_RANGE
    room = lib.fs_conv_nbytes(encoder, 80)
    assert (
        lib.fs_conv_encode(encoder, bytes(10), 80, ffi.new("uint8_t[]", room), room - 1)
        == lib.FS_E_CAPACITY
    )
    lib.fs_conv_encode(encoder, bytes(1), 1, ffi.new("uint8_t[]", room), room)
    assert lib.fs_conv_flush(encoder, ffi.NULL, 0) == lib.FS_E_CAPACITY
    assert encoder.bits == 1
    assert lib.fs_viterbi_begin(v, ffi.new("fs_viterbi_setup *", {"start": -1})) == 0
    room = lib.fs_viterbi_nbytes(v, 300)
    for call in (lib.fs_viterbi_feed, lib.fs_viterbi_feed_hard):
        assert call(v, bytes(300), 300, ffi.new("uint8_t[]", room), room - 1) == lib.FS_E_CAPACITY
    assert lib.fs_viterbi_flush(v, -1, ffi.NULL, 0) == lib.FS_E_CAPACITY
    assert lib.fs_viterbi_flush(v, 64, ffi.new("uint8_t[]", room), room) == lib.FS_E_RANGE
    assert v.symbols == v.bits == 0


@pytest.mark.parametrize("rate", RATES)
def test_touches_nothing_outside(tier: str, guard: Guard, rate: str) -> None:
    """Encoder and decoder stay inside their buffers, at both ends of each."""
    data = np.random.default_rng(11).bytes(333)
    symbols = bytes(soft(encoded(data, rate), 15))
    for source in guard.both(data):
        encoder = ffi.new("fs_conv_encoder *")
        lib.fs_conv_begin(encoder, ffi.new("fs_conv_code *", (RATES[rate][0], 0)))
        room = lib.fs_conv_nbytes(encoder, 8 * len(data))
        for out in guard.both(bytes(room)):
            lib.fs_conv_begin(encoder, ffi.new("fs_conv_code *", (RATES[rate][0], 0)))
            assert lib.fs_conv_encode(encoder, source, 8 * len(data), out, room) > 0
    for source in guard.both(symbols):
        v = ffi.new("fs_viterbi *")
        setup = ffi.new("fs_viterbi_setup *", {"code": (RATES[rate][0], 0), "segment": 64})
        lib.fs_viterbi_begin(v, setup)
        room = lib.fs_viterbi_nbytes(v, len(symbols))
        for out in guard.both(bytes(room)):
            lib.fs_viterbi_begin(v, setup)
            assert lib.fs_viterbi_feed(v, source, len(symbols), out, room) > 0
            rest = lib.fs_viterbi_nbytes(v, 0)
            last = guard.place(bytes(rest), at_end=True)
            assert lib.fs_viterbi_flush(v, -1, last, rest) > 0
            assert lib.fs_viterbi_feed_hard(v, source, len(symbols), out, room) > 0
