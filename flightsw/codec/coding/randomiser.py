"""Pseudo-random sequences that give a link its bit transitions (CCSDS 131.0-B-5 section 10,
CCSDS 231.0-B-4 section 6). Exclusive or, so applying one twice gives the octets back.

===========  ====================================  ==================================
name         polynomial                            repeats after
===========  ====================================  ==================================
``"tm"``     x^8 + x^7 + x^5 + x^3 + 1             255 octets; the one in older links
``"tc"``     x^8 + x^6 + x^4 + x^3 + x^2 + x + 1   255 octets
``"tm17"``   x^17 + x^14 + 1                       131,071 octets
===========  ====================================  ==================================

Each transfer frame, code block or telecommand is one unit: the sequence starts anew in it, and the
sync marker is never part of it. For many units: :func:`randomise_units`, or a :class:`Randomiser`
that keeps its sequence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import CodecError, FieldRangeError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import Octets, bytes_of, room_of

#: What C calls each sequence, by its name.
RANDOMISERS: dict[str, int] = {"tm": lib.FS_PN_TM, "tm17": lib.FS_PN_TM17, "tc": lib.FS_PN_TC}

#: Up to this many octets the integers of Python take less time than the call into C.
SHORT_NBYTES = 2048

_apply = lib.fs_pn_apply
_randomise = lib.fs_randomise
_from_buffer = ffi.from_buffer


def number_of(name: str) -> int:
    """Return what C calls a sequence; FieldRangeError if there is none of that name."""
    if name not in RANDOMISERS:
        raise FieldRangeError(
            f"randomiser: no sequence is called {name!r}; give {', '.join(RANDOMISERS)}"
        )
    return RANDOMISERS[name]


def sequence(name: str, nbytes: int) -> bytes:
    """Return the first ``nbytes`` octets of a sequence: ``"tm"``, ``"tm17"`` or ``"tc"``.

    Raises FieldRangeError for another sequence, or fewer than no octets.
    """
    if nbytes < 0:
        raise FieldRangeError(f"randomiser: a sequence of {nbytes} octets; give 0 or more")
    out = bytearray(nbytes)
    lib.fs_pn_fill(number_of(name), _from_buffer(out), nbytes)
    return bytes(out)


# A frame is one long integer to Python, and one exclusive or of two of those takes less time than
# the call into C with its output buffer.
_SHORT = {name: int.from_bytes(sequence(name, SHORT_NBYTES), "big") for name in RANDOMISERS}


def tm_randomise(data: Octets) -> bytes:
    """Return telemetry ``data``, one unit, under the sequence of period 255."""
    return _unit("tm", data)


def tc_randomise(data: Octets) -> bytes:
    """Return telecommand ``data``, one unit, under its sequence."""
    return _unit("tc", data)


def tm17_randomise(data: Octets) -> bytes:
    """Return telemetry ``data``, one unit, under the sequence of period 131,071."""
    return _unit("tm17", data)


def randomise_units(
    name: str, units: bytearray | memoryview | npt.NDArray[np.uint8], nbytes: int
) -> None:
    """Randomise, in place, ``units`` that stand one behind the other, ``nbytes`` octets each.

    Raises CodecError if ``units`` is not a whole number of units or may not be written,
    FieldRangeError for an unknown sequence; nothing was changed then.
    """
    octets, kind = room_of("randomiser", "uint8_t[]", units), number_of(name)
    _randomise(kind, octets, octets, nbytes, _whole(len(octets), nbytes))


class Randomiser:
    """Keeps the sequence for units of one length and applies it to batches of them.

    ``sequence`` is its octets, read-only: what else exclusive-ors units while it copies them takes
    it from there.
    """

    def __init__(self, name: str, nbytes: int) -> None:
        self.name, self.nbytes = name, nbytes
        self.sequence = sequence(name, nbytes)
        self._pn = _from_buffer(self.sequence)

    def apply(
        self,
        units: npt.NDArray[np.uint8],
        out: npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Return randomised units; both arrays have shape (units, octets), rows anywhere.

        Octets of a row must be adjacent. ``out`` may be ``units`` for in place; without it a new
        array is made. Raises CodecError for another shape.
        """
        result = np.empty(units.shape, np.uint8) if out is None else out
        for name, array in (("units", units), ("out", result)):
            if not self._fits(array, len(units)):
                raise CodecError(
                    f"randomiser: {name} of {array.dtype} {array.shape} with strides"
                    f" {array.strides}; give uint8 ({len(units)}, {self.nbytes}), rows in order"
                )
        if not result.flags.writeable:
            raise CodecError("randomiser: out is read-only; give an array that may be written")
        source, step = _place(units)
        target, stride = _place(result)
        if (source, step) != (target, stride) and np.may_share_memory(units, result):
            raise CodecError("randomiser: out overlaps units; give units itself, or another array")
        cast = ffi.cast
        _apply(
            self._pn,
            cast("uint8_t *", source),
            step,
            cast("uint8_t *", target),
            stride,
            self.nbytes,
            len(units),
        )
        return result

    def _fits(self, array: npt.NDArray[np.uint8], count: int) -> bool:
        if array.dtype != np.uint8 or array.shape != (count, self.nbytes):
            return False
        adjacent = self.nbytes <= 1 or array.strides[1] == 1
        return not array.size or (adjacent and (count < 2 or array.strides[0] >= self.nbytes))


def _place(rows: npt.NDArray[np.uint8]) -> tuple[int, int]:
    # Rows with gaps are no contiguous buffer: only the first one's address and the step are taken.
    step = rows.strides[0] if len(rows) > 1 else rows.shape[1]
    return rows.__array_interface__["data"][0], step


def _whole(nbytes: int, unit_nbytes: int) -> int:
    if unit_nbytes <= 0 or nbytes % unit_nbytes:
        raise CodecError(
            f"randomiser: {nbytes} octets are not whole units of {unit_nbytes}; cut the rest off"
        )
    return nbytes // unit_nbytes


def _unit(name: str, octets: Octets) -> bytes:
    data = bytes_of("randomiser", octets)
    nbytes = len(data)
    if nbytes > SHORT_NBYTES:
        out = bytearray(nbytes)
        _randomise(RANDOMISERS[name], _from_buffer(data), _from_buffer(out), nbytes, 1)
        return bytes(out)
    pn = _SHORT[name] >> 8 * (SHORT_NBYTES - nbytes)
    return (int.from_bytes(data, "big") ^ pn).to_bytes(nbytes, "big")
