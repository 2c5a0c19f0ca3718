"""The convolutional code of CCSDS 131.0-B-5 section 3: encoder and soft-decision Viterbi decoder.

Constraint length 7, rate 1/2, punctured to 2/3, 3/4, 5/6 and 7/8. Bits are packed eight an octet,
the first one highest. Soft symbols are one an octet: 0 the surest zero, 255 the surest one, 128 an
erasure. Both ends are streams: cut them anywhere and the result is the same.

``order`` is how the two symbols of a bit go out at rate 1/2: ``ccsds`` is C1 and C2 inverted
(section 3.3), ``dsn`` C2 inverted and C1; the two ``-uninverted`` ones are met in orbit. Punctured
codes invert nothing (section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import CodecError, FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import Octets, view_of

#: Name of a rate to its number in C, and the symbols of one period of its pattern.
RATES = {
    "1/2": (lib.FS_CONV_1_2, 2),
    "2/3": (lib.FS_CONV_2_3, 3),
    "3/4": (lib.FS_CONV_3_4, 4),
    "5/6": (lib.FS_CONV_5_6, 6),
    "7/8": (lib.FS_CONV_7_8, 8),
}
ORDERS = {
    "ccsds": lib.FS_CONV_CCSDS,
    "dsn": lib.FS_CONV_DSN,
    "ccsds-uninverted": lib.FS_CONV_CCSDS_PLAIN,
    "dsn-uninverted": lib.FS_CONV_DSN_PLAIN,
}
COUNTERS = ("symbols", "bits", "steps_checked", "known_symbols", "wrong_symbols")

Symbols = Octets | npt.NDArray[np.uint8]


def _code(rate: str, order: str) -> tuple[int, int]:
    """Return the numbers of a rate and an order, or FieldRangeError."""
    if rate not in RATES or order not in ORDERS:
        raise FieldRangeError(
            f"convolutional code: rate {rate!r}, order {order!r};"
            f" rates are {', '.join(RATES)}, orders are {', '.join(ORDERS)}"
        )
    return RATES[rate][0], ORDERS[order]


def _bits_of(what: str, data: Octets, count: int | None) -> tuple[Any, int]:
    """Return C's view of ``data`` and how many of its bits are meant: all, or ``count``."""
    view = view_of(what, data)
    if count is None:
        return view, 8 * len(view)
    if not 0 <= count <= 8 * len(view):
        raise TruncatedError(f"{what}: {count} bits asked for, {len(view)} octets given")
    return view, count


class Encoder:
    """Turns bits into packed symbols, from the zero state on."""

    def __init__(self, rate: str = "1/2", order: str = "ccsds") -> None:
        self._state = ffi.new("fs_conv_encoder *")
        lib.fs_conv_begin(self._state, ffi.new("fs_conv_code *", _code(rate, order)))

    def feed(self, data: Octets, nbits: int | None = None) -> bytes:
        """Return the whole octets of symbols that ``data``, or its first ``nbits``, completes."""
        view, count = _bits_of("convolutional encoder", data, nbits)
        out = bytearray(lib.fs_conv_nbytes(self._state, count))
        nbytes = lib.fs_conv_encode(self._state, view, count, ffi.from_buffer(out), len(out))
        return bytes(memoryview(out)[:nbytes])

    def flush(self) -> bytes:
        """Return the symbols that wait for their octet to fill, zeros behind them, or nothing."""
        out = bytearray(1)
        return bytes(out[: lib.fs_conv_flush(self._state, ffi.from_buffer(out), 1)])

    @property
    def bits(self) -> int:
        """Bits taken so far."""
        return int(self._state.bits)

    @property
    def symbols(self) -> int:
        """Symbols made so far, with those that wait."""
        return int(self._state.symbols)


class Viterbi:
    """Finds the likeliest bits behind symbols, a segment at a time.

    ``traceback`` is the overlap of segments in bits, a multiple of 16 up to 512; the default of the
    rate is 96 to 192. ``segment`` is a multiple of 64 up to 2,048, the default: a bit comes out at
    most ``segment + traceback`` bits late, so take a short one on a slow link. ``start`` is the
    state before the first bit, its last six bits with the newest lowest, if it is known.
    """

    def __init__(
        self,
        rate: str = "1/2",
        order: str = "ccsds",
        *,
        traceback: int | None = None,
        segment: int | None = None,
        start: int | None = None,
    ) -> None:
        self._state = ffi.new("fs_viterbi *")
        setup = ffi.new("fs_viterbi_setup *")
        setup.code.rate, setup.code.order = _code(rate, order)
        try:
            setup.depth = 0 if traceback is None else traceback or 1
            setup.segment = 0 if segment is None else segment or 1
            setup.start = -1 if start is None else start
            refused = lib.fs_viterbi_begin(self._state, setup) < 0 or start == -1
        except OverflowError:
            refused = True
        if refused:
            raise FieldRangeError(
                f"Viterbi decoder: traceback {traceback}, segment {segment}, start {start}; give a"
                " multiple of 16 up to 512, a multiple of 64 up to 2048, and a state below 64"
            )

    def feed(self, symbols: Symbols) -> bytes:
        """Return the bits of every segment that ``symbols``, one an octet, completes."""
        view = view_of("Viterbi decoder", symbols)
        shown: Any = symbols
        if memoryview(shown).itemsize != 1 or getattr(symbols, "dtype", np.uint8) != np.uint8:
            kind = getattr(symbols, "dtype", None) or f"{memoryview(shown).itemsize} octets each"
            raise CodecError(f"Viterbi decoder: symbols of {kind}, must be uint8")
        return self._run(lib.fs_viterbi_feed, view, len(view), len(view))

    def feed_hard(self, data: Octets, nsymbols: int | None = None) -> bytes:
        """Take symbols as bits, packed eight an octet, all or the first ``nsymbols``."""
        view, count = _bits_of("Viterbi decoder", data, nsymbols)
        return self._run(lib.fs_viterbi_feed_hard, view, count, count)

    def flush(self, end: int | None = None) -> bytes:
        """Return the bits that wait and begin a new stream; ``bits`` tells how many there were.

        ``end`` is the state behind the last bit if it is known: 0 behind a tail of six zeros, which
        come out as bits.
        """
        if end is not None and not 0 <= end < 64:
            raise FieldRangeError(f"Viterbi decoder: flush with end state {end}; give 0 to 63")
        return self._run(lib.fs_viterbi_flush, -1 if end is None else end, 0)

    def _run(self, function: Any, *arguments: Any) -> bytes:
        """Call with room for what the last argument, a number of symbols, can give."""
        *given, nsymbols = arguments
        out = bytearray(lib.fs_viterbi_nbytes(self._state, nsymbols))
        nbytes = function(self._state, *given, ffi.from_buffer(out), len(out))
        assert nbytes >= 0
        return bytes(memoryview(out)[:nbytes])

    @property
    def bits(self) -> int:
        """Bits given out so far."""
        return int(self._state.bits)

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start, by name; see ``csrc/coding/viterbi.h``."""
        return {name: getattr(self._state, name) for name in COUNTERS}

    @property
    def symbol_error_rate(self) -> float:
        """Share of the symbols compared whose sign the decoder overruled; 0.0 before the first."""
        known = self._state.known_symbols
        return self._state.wrong_symbols / known if known else 0.0


@dataclass(frozen=True)
class Alignment:
    """One way to read symbols and how well it fits: the less overruled, the better."""

    skip: int  #: symbols to leave out at the front
    order: str
    symbol_error_rate: float


def alignments(symbols: Symbols, rate: str = "1/2") -> list[Alignment]:
    """Return every way to read ``symbols``, a few thousand of them, the best first.

    A stream out of step decodes to noise that overrules a fifth and more of the symbols at rate
    1/2. The code is transparent: all symbols inverted give all bits inverted and fit as well, so
    that is left for the sync marker to tell.
    """
    orders = ORDERS if rate == "1/2" else ("ccsds", "dsn")
    found = []
    for order in orders:
        for skip in range(RATES[rate][1] if rate in RATES else 1):
            decoder = Viterbi(rate, order)
            decoder.feed(symbols[skip:])
            decoder.flush()
            found.append(Alignment(skip, order, decoder.symbol_error_rate))
    return sorted(found, key=lambda found: found.symbol_error_rate)
