"""The head of a variable layout: fields whose places are known, read by the kernels for such.

Most packets begin with fields of fixed size. The interpreter then only steps over them, keeps what
later lengths need, and finds out which packets are good; their heads become columns by the vector
kernels of fixed layouts, which cost a fraction of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flightsw.codec.columns.fixed_columns import PreparedLayout
from flightsw.codec.columns.program import Program
from flightsw.codec.native import ffi, lib

#: Fewer fields than this are not worth a second pass over the packets.
_WORTH = 4
_KINDS = {"uint": lib.FS_UINT, "bytes": lib.FS_UINT, "int": lib.FS_INT, "float": lib.FS_UINT}


@dataclass(frozen=True)
class Head:
    """``table`` is the program without its head; ``columns`` are the indices of what it leaves.

    ``origins`` are the first operations of the whole program that each of the table stands for,
    and ``sizes`` the bits of those of the head.
    """

    table: Any
    kept: tuple[Any, ...]
    prepared: PreparedLayout
    columns: tuple[int, ...]
    origins: tuple[int, ...]
    sizes: tuple[int, ...]

    def place(self, op: int, bit: int, nbits: int) -> tuple[int, int]:
        """Return operation and bit of the whole program, of a packet that has ``nbits``."""
        if op >= len(self.origins) - 1:
            return self.origins[-1], bit
        origin, behind = self.origins[op], self.origins[op + 1]
        while origin + 1 < behind and bit + self.sizes[origin] <= nbits:
            bit += self.sizes[origin]
            origin += 1
        return origin, bit

    def decode(
        self,
        octets: Any,
        offsets: npt.NDArray[np.uint64],
        faults: npt.NDArray[np.uint8],
        arrays: list[npt.NDArray[Any]],
    ) -> None:
        """Fill the columns of the head from packets at ``offsets``, zeros where they are bad."""
        count = len(faults)
        bad = np.flatnonzero(faults)
        if len(bad):
            good = np.flatnonzero(faults == 0)
            if not len(good):
                for index in self.columns:
                    arrays[index][:] = 0
                return
            offsets = offsets.copy()
            offsets[bad] = offsets[good[0]]
        pointers = [ffi.from_buffer("uint8_t[]", arrays[index]) for index in self.columns]
        code = lib.fs_layout_decode_columns(
            self.prepared.pointer,
            octets,
            len(octets),
            ffi.from_buffer("uint64_t[]", offsets),
            0,
            count,
            ffi.new("uint8_t *[]", pointers),
        )
        assert code == count, "a good packet holds its head"
        for index in self.columns if len(bad) else ():
            array = arrays[index]
            width = len(array) // max(len(faults), 1)
            array[: count * width].reshape(count, width)[bad] = 0


def head_of(program: Program) -> Head | None:
    """Return the head of a program if it has one that is worth it."""
    rows = program.rows
    fields: list[tuple[Any, ...]] = []
    indices: list[int] = []
    kept: list[tuple[int, dict[str, Any]]] = []
    sizes: list[int] = []
    for origin, row in enumerate(rows):
        if row["op"] not in (lib.FS_OP_FIELD, lib.FS_OP_FIXED):
            break
        f = program.columns[row["column"] - 1].field if row.get("column") else None
        nbits = row["width"] * row["elements"]
        if f is not None:
            if f.kind not in _KINDS:
                break
            place = sum(sizes), f.elements, f.width
            fields.append((*place, _KINDS[f.kind], f.dtype.itemsize, f.swap))
            indices.append(row["column"] - 1)
            row = row | {"column": 0} if row["reg"] else _stepped_over(nbits)
        sizes.append(nbits)
        kept.append((origin, row))
    if len(fields) < _WORTH:
        return None
    merged = _merged(kept)
    removed = len(kept) - len(merged)
    rest = [r | {"jump": r["jump"] - removed} if "jump" in r else r for r in rows[len(kept) :]]
    ops, terms = ffi.new("fs_op[]", [row for _, row in merged] + rest), program.kept[1]
    table = ffi.new("fs_program *", (ops, terms, len(merged) + len(rest), len(program.parents)))
    left = tuple(f for f in (program.columns[i].field for i in indices) if f is not None)
    prepared = PreparedLayout(left, ffi.new("fs_field[]", fields), -(-sum(sizes) // 8))
    origins = (*(origin for origin, _ in merged), *range(len(kept), len(rows) + 1))
    return Head(table, (ops, terms), prepared, tuple(indices), origins, tuple(sizes))


def _stepped_over(nbits: int) -> dict[str, Any]:
    return {"op": lib.FS_OP_FIXED, "kind": lib.FS_UINT, "width": 1, "elements": nbits, "scope": 0}


def _merged(rows: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
    """Return the operations with those that only step over bits put together."""
    merged: list[tuple[int, dict[str, Any]]] = []
    for origin, row in rows:
        before = merged[-1] if merged else None
        if before is not None and _is_step(row) and _is_step(before[1]):
            nbits = sum(r["width"] * r["elements"] for r in (before[1], row))
            merged[-1] = before[0], _stepped_over(nbits)
        else:
            merged.append((origin, row))
    return merged


def _is_step(row: dict[str, Any]) -> bool:
    return bool(row["op"] == lib.FS_OP_FIXED) and not row.get("flag")
