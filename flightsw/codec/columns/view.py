"""Lazy views of one packet: only the field that is asked for is decoded.

A view shares the buffer, so it shows what stands there at the time of the question. Where the
fields of a layout stand is worked out once for the layout, into one small function a field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from struct import Struct
from typing import Any

from flightsw.codec.columns.plan import Field
from flightsw.codec.errors import SyncError

Reader = Callable[[Any, int], Any]  #: of (buffer, octet of the packet)

_WORDS = {1: "B", 2: "H", 4: "L", 8: "Q"}


class View:
    """One packet at octet ``at`` of ``buffer``: ``view["bus_v"]``, ``view["flags.state"]``.

    Values are those of ``Layout.decode``, by the names of columns: enums as labels, arrays as
    lists; KeyError names a field that is not there, SyncError a constant that is not as declared.
    """

    __slots__ = ("at", "buffer")
    buffer: Any
    at: int
    readers: Mapping[str, Reader]

    def __getitem__(self, name: str) -> Any:
        return self.readers[name](self.buffer, self.at)

    def __iter__(self) -> Iterator[str]:
        return iter(self.readers)

    def __len__(self) -> int:
        return len(self.readers)

    def __contains__(self, name: object) -> bool:
        return name in self.readers

    def keys(self) -> Iterator[str]:
        """Return the names of all fields, so that ``dict(view)`` decodes them."""
        return iter(self.readers)


def view_class(fields: tuple[Field, ...], nbytes: int) -> type[View]:
    """Return the class of views of a layout of ``nbytes`` octets."""
    readers = {f.name: _reader(f, nbytes) for f in fields}
    return type("PacketView", (View,), {"__slots__": (), "readers": readers})


def _reader(f: Field, nbytes: int) -> Reader:
    if f.kind == "bytes":
        first, last = f.bit // 8, f.bit // 8 + f.elements
        return _checked(f, lambda buf, at: bytes(buf[at + first : at + last]))
    elements = [_element(f, f.bit + j * f.width, nbytes) for j in range(f.elements)]
    if f.array:
        return _checked(f, lambda buf, at: [read(buf, at) for read in elements])
    return _checked(f, _labelled(f, elements[0]))


def _checked(f: Field, read: Reader) -> Reader:
    if f.const is None:
        return read

    def check(buf: Any, at: int) -> Any:
        value = read(buf, at)
        if value != f.const:
            raise SyncError(f"{f.name}: {value!r} where the layout has {f.const!r}")
        return value

    return check


def _labelled(f: Field, read: Reader) -> Reader:
    if f.flag:
        return lambda buf, at: read(buf, at) != 0
    if f.labels is None:
        return read
    labels = f.labels

    def label(buf: Any, at: int) -> Any:
        value = read(buf, at)
        return labels.get(value, value)

    return label


def _element(f: Field, bit: int, nbytes: int) -> Reader:
    """Return what reads ``f.width`` bits at ``bit``: as one word of its own, or out of one."""
    octet, size = bit // 8, f.width // 8
    if bit % 8 == 0 and f.width in (8, 16, 32, 64):
        code = _WORDS[size] if f.kind != "float" else {4: "f", 8: "d"}[size]
        code = code.lower() if f.kind == "int" else code
        unpack = Struct("<>"[not f.swap] + code).unpack_from
        return lambda buf, at: unpack(buf, at + octet)[0]
    bits = _bits(bit, f.width, nbytes)
    if f.swap:
        bits = _swapped(bits, size)
    if f.kind == "float":
        single = Struct(">f" if size == 4 else ">d").unpack
        return lambda buf, at: single(bits(buf, at).to_bytes(size, "big"))[0]
    if f.kind == "int":
        sign = 1 << f.width - 1
        return lambda buf, at: (bits(buf, at) ^ sign) - sign
    return bits


def _bits(bit: int, width: int, nbytes: int) -> Callable[[Any, int], int]:
    """Return what reads an unsigned number: from the smallest word around it, if there is one."""
    first, behind = bit // 8, (bit + width + 7) // 8
    mask = (1 << width) - 1
    size = next((n for n in _WORDS if behind - first <= n <= nbytes), 0)
    if not size:
        drop = 8 * behind - bit - width
        return lambda buf, at: int.from_bytes(buf[at + first : at + behind], "big") >> drop & mask
    start = min(first, nbytes - size)
    shift = 8 * (start + size) - bit - width
    unpack = Struct(">" + _WORDS[size]).unpack_from
    return lambda buf, at: unpack(buf, at + start)[0] >> shift & mask


def _swapped(bits: Callable[[Any, int], int], size: int) -> Callable[[Any, int], int]:
    return lambda buf, at: int.from_bytes(bits(buf, at).to_bytes(size, "big"), "little")
