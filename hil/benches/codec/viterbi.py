"""The convolutional code: encoding, and decoding one long stream of soft symbols."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt

from flightsw.codec.coding.convolutional import RATES, Encoder
from flightsw.codec.native import ffi, lib
from hil.benches.codec.measure import best_s, by_tier
from hil.benches.codec.row import Row

NBYTES = 1 << 15
#: libfec writes the newest bit lowest, so 171 octal is 0x4F there and 133 is 0x6D; a minus inverts
LIBFEC_POLYNOMIALS = (0x4F, -0x6D)


def rows(quick: bool) -> list[Row]:
    """Return the rows of this subject, in Mbit/s of bits, not of symbols."""
    data = np.random.default_rng(18).bytes(NBYTES - 1) + bytes(1)
    found = [_encoding(data, rate, quick) for rate in ("1/2", "7/8")]
    return found + [_decoding(data, rate, quick) for rate in RATES]


def mbit_per_s(seconds: float) -> float:
    """Return the rate at which the bits of one call passed."""
    return 8 * NBYTES / seconds / 1e6


def soft_symbols(data: bytes, rate: str) -> npt.NDArray[np.uint8]:
    """Return the symbols of octets under noise at Eb/N0 of 5 dB, amplitude 50."""
    encoder = Encoder(rate)
    packed = encoder.feed(data) + encoder.flush()
    sent = np.unpackbits(np.frombuffer(packed, np.uint8))[: encoder.symbols]
    numerator, denominator = map(int, rate.split("/"))
    sigma = 50 / np.sqrt(2 * 10**0.5 * numerator / denominator)
    noise = np.random.default_rng(19).normal(128, sigma, len(sent))
    level: npt.NDArray[np.float64] = np.clip(np.rint(noise + 100.0 * sent - 50), 0, 255)
    return level.astype(np.uint8)


def _encoding(data: bytes, rate: str, quick: bool) -> Row:
    encoder, code = ffi.new("fs_conv_encoder *"), ffi.new("fs_conv_code *", (RATES[rate][0], 0))
    lib.fs_conv_begin(encoder, code)
    room = lib.fs_conv_nbytes(encoder, 8 * NBYTES)
    buf, out = ffi.from_buffer(data), ffi.new("uint8_t[]", room)
    encode = lib.fs_conv_encode
    ours = by_tier(lambda: encode(encoder, buf, 8 * NBYTES, out, room), mbit_per_s, quick)
    return Row(f"convolutional encoding {rate}, 32 KiB", "Mbit/s", ours)


def _decoding(data: bytes, rate: str, quick: bool) -> Row:
    symbols = soft_symbols(data, rate)
    v, setup = ffi.new("fs_viterbi *"), ffi.new("fs_viterbi_setup *")
    setup.code.rate = RATES[rate][0]
    lib.fs_viterbi_begin(v, setup)
    room, count = lib.fs_viterbi_nbytes(v, len(symbols)), len(symbols)
    buf, out = ffi.from_buffer(symbols), ffi.new("uint8_t[]", room)
    feed, flush = lib.fs_viterbi_feed, lib.fs_viterbi_flush

    def decode() -> None:
        written = feed(v, buf, count, out, room)
        flush(v, 0, out + written, room - written)

    ours = by_tier(decode, mbit_per_s, quick)
    peers = _libfec(symbols, quick) if rate == "1/2" else {}
    return Row(f"Viterbi {rate} soft, 32 KiB of bits", "Mbit/s", ours, None, peers)


def _libfec(symbols: npt.NDArray[np.uint8], quick: bool) -> dict[str, float]:
    try:
        fec = ctypes.CDLL("libfec.so.0")
    except OSError:
        return {}
    fec.create_viterbi27.restype = ctypes.c_void_p
    nbits = len(symbols) // 2 - 6
    fec.set_viterbi27_polynomial((ctypes.c_int * 2)(*LIBFEC_POLYNOMIALS))
    v = ctypes.c_void_p(fec.create_viterbi27(nbits))
    buf, out = symbols.tobytes(), ctypes.create_string_buffer(nbits // 8 + 8)

    def decode() -> None:
        fec.init_viterbi27(v, 0)
        fec.update_viterbi27_blk(v, buf, nbits + 6)
        fec.chainback_viterbi27(v, out, nbits, 0)

    seconds = best_s(decode, quick)
    fec.delete_viterbi27(v)
    return {"libfec": mbit_per_s(seconds)}
