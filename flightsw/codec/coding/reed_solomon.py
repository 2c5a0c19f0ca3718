"""The Reed-Solomon code of CCSDS 131.0-B-5 section 4: (255,223), which corrects 16 octets of a
codeword, and (255,239), which corrects 8.

A block is what stands behind a sync marker: ``interleave`` codewords, octet by octet in turn, first
their data, then their parity. Shortened codewords have ``fill`` virtual zeros in front which are
never sent. A codeword that cannot be corrected stays as it was received, its neighbours in the
block are corrected all the same, and both are counted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import CodecError, FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import Octets, bytes_of, room_of

#: In place of a number of corrections: more octets are wrong than can be corrected.
FAILED: int = lib.FS_RS_FAILED
#: The same: a correction fell into the virtual fill, and the code is not lenient.
IN_FILL: int = lib.FS_RS_IN_FILL

Blocks = npt.NDArray[np.uint8]

_encode = lib.fs_rs_encode
_decode = lib.fs_rs_decode
_from_buffer = ffi.from_buffer
_buffer = ffi.buffer
_CHECK: int = lib.FS_E_CHECK


class Decoded(NamedTuple):
    """A block after correction."""

    #: its data, without parity
    data: bytes
    #: octets that were wrong, by codeword, or FAILED or IN_FILL, both negative
    corrected: tuple[int, ...]

    @property
    def good(self) -> bool:
        """Whether every codeword is sound now."""
        return min(self.corrected) >= 0


class ReedSolomon:
    """One code, both ways; a :class:`flightsw.codec.link.chain.Chain` takes it too.

    ``e`` is 16 or 8, ``interleave`` 1, 2, 3, 4, 5 or 8, ``fill`` at most 254 - 2E. ``dual`` takes
    octets on the wire in the dual basis, which the standard prescribes; without it they are in the
    conventional one. A codeword whose corrections fall into the virtual fill is not what was sent
    and fails; ``lenient`` accepts it. FieldRangeError for anything else.

    ``counters`` has, since the start, the blocks and codewords that were decoded, the octets
    corrected in them, the codewords that failed, and of those the ones refused for their fill. It
    belongs to one thread at a time.
    """

    def __init__(
        self,
        e: int = 16,
        interleave: int = 5,
        dual: bool = True,
        fill: int = 0,
        lenient: bool = False,
    ) -> None:
        fits = all(0 <= value <= 255 for value in (e, interleave, fill))
        code = ffi.new("fs_rs_code *", (e, dual, interleave, fill, lenient)) if fits else None
        if code is None or lib.fs_rs_check(code) < 0:
            raise FieldRangeError(
                f"Reed-Solomon code with E = {e}, interleaving {interleave}, {fill} octets of fill:"
                " E is 16 or 8, interleaving 1, 2, 3, 4, 5 or 8, fill at most 254 - 2E"
            )
        self._code = code
        self.e, self.interleave, self.fill = e, interleave, fill
        self.dual, self.lenient = bool(dual), bool(lenient)
        #: octets of data of a block
        self.data_nbytes: int = lib.fs_rs_data_nbytes(code)
        #: octets of a block, data and parity
        self.block_nbytes: int = lib.fs_rs_block_nbytes(code)
        self.counters = {
            "blocks": 0,
            "codewords": 0,
            "corrected_octets": 0,
            "failed_codewords": 0,
            "fill_codewords": 0,
        }
        self._one = bytearray(self.block_nbytes)
        self._one_at = _from_buffer(self._one)
        self._corrected = ffi.new("int16_t[]", interleave)

    def encode(self, data: Octets) -> bytes:
        """Return the block of ``data``, which has ``data_nbytes`` octets; else CodecError."""
        data = bytes_of("Reed-Solomon encode", data)
        if len(data) != self.data_nbytes:
            raise _wrong_length("encode", "data", len(data), self.data_nbytes)
        self._one[: self.data_nbytes] = data
        _encode(self._code, self._one_at, self.block_nbytes)
        return bytes(self._one)

    def decode(self, block: Octets) -> Decoded:
        """Return the corrected data of ``block``, of ``block_nbytes`` octets; else CodecError."""
        block = bytes_of("Reed-Solomon decode", block)
        if len(block) != self.block_nbytes:
            raise _wrong_length("decode", "a block", len(block), self.block_nbytes)
        self._one[:] = block
        wrong = _decode(self._code, self._one_at, self.block_nbytes, self._corrected)
        corrected = tuple(self._corrected)
        counters = self.counters
        counters["blocks"] += 1
        counters["codewords"] += self.interleave
        if wrong > 0:
            counters["corrected_octets"] += wrong
        elif wrong == _CHECK:
            counters["corrected_octets"] += sum(n for n in corrected if n > 0)
            counters["failed_codewords"] += sum(n < 0 for n in corrected)
            counters["fill_codewords"] += corrected.count(IN_FILL)
        return Decoded(bytes(self._one[: self.data_nbytes]), corrected)

    def encode_batch(self, blocks: Blocks, at: int = 0) -> None:
        """Write the parity of many blocks in place.

        ``blocks`` is (n, width) uint8, C-contiguous; the block of a row begins at octet ``at`` of
        it, so that a marker may stand in front. CodecError for another shape or an array that may
        not be written, TruncatedError where a block does not fit its row.
        """
        where, nbytes, width = self._rows(blocks, at)
        done = lib.fs_rs_encode_batch(self._code, where, nbytes, width, len(blocks))
        assert done == len(blocks)

    def decode_batch(
        self, blocks: Blocks, out: npt.NDArray[np.int16] | None = None, at: int = 0
    ) -> npt.NDArray[np.int16]:
        """Correct many blocks in place and return what became of each codeword.

        ``blocks`` is as for encode_batch. The result is (n, interleave) int16: octets corrected, or
        FAILED or IN_FILL; ``out``, if given, takes it and is returned.
        """
        where, nbytes, width = self._rows(blocks, at)
        shape = (len(blocks), self.interleave)
        result = np.empty(shape, np.int16) if out is None else out
        if result.shape != shape or result.dtype != np.int16 or not result.flags.c_contiguous:
            raise CodecError(
                f"Reed-Solomon decode_batch: out is {result.dtype} {result.shape};"
                f" give contiguous int16 {shape}"
            )
        to = room_of("Reed-Solomon decode_batch", "int16_t[]", result)
        good = lib.fs_rs_decode_batch(self._code, where, nbytes, width, len(blocks), to)
        assert good >= 0
        counters = self.counters
        counters["blocks"] += len(blocks)
        counters["codewords"] += result.size
        counters["corrected_octets"] += int(result.sum(dtype=np.int64))
        if good < len(blocks):
            refused = int(np.count_nonzero(result == IN_FILL))
            failed = int(np.count_nonzero(result == FAILED))
            counters["corrected_octets"] -= failed * FAILED + refused * IN_FILL
            counters["failed_codewords"] += failed + refused
            counters["fill_codewords"] += refused
        return result

    def _rows(self, blocks: Blocks, at: int) -> tuple[Any, int, int]:
        """Return where the first block begins, octets from there on, and octets of a row."""
        if blocks.ndim != 2 or blocks.dtype != np.uint8 or not blocks.flags.c_contiguous:
            raise CodecError(
                f"Reed-Solomon batch: blocks are {blocks.dtype} {blocks.shape};"
                " give contiguous uint8 rows, one block a row"
            )
        width = blocks.shape[1]
        if at < 0 or width - at < self.block_nbytes:
            raise TruncatedError(
                f"Reed-Solomon batch: rows of {width} octets from {at} on hold no block of"
                f" {self.block_nbytes}"
            )
        if not len(blocks):
            return ffi.NULL, 0, width
        where = room_of("Reed-Solomon batch", "uint8_t[]", blocks)
        return where + at, blocks.nbytes - at, width


def _wrong_length(verb: str, what: str, nbytes: int, want: int) -> CodecError:
    kind = TruncatedError if nbytes < want else CodecError
    return kind(
        f"Reed-Solomon {verb}: {nbytes} octets; {what} of this code has {want}, check E,"
        " interleaving and fill"
    )
