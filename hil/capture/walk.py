"""Walking a capture from its start, record by record, and past what is damaged.

A record counts as good only if its fields fill it exactly; chunks, attachments and whatever else
has a CRC must match it. Behind damage the walk goes on at the next octet where a record of a
capture can start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hil.capture.chunks import FIXED_NBYTES, NOTHING, Seen, decompressed, unpack
from hil.capture.mcapfmt import MAGIC, RECORD_HEAD, Op
from hil.capture.mcapread import (
    LIMIT_NBYTES,
    MALFORMED,
    Damage,
    Fields,
    Source,
    parse_attachment,
    parse_channel,
)

#: What is no chunk is small; an attachment may be a model.
_RECORD_LIMIT_NBYTES = 64 << 20
_WINDOW_NBYTES = 1 << 20
_HEAD_NBYTES = RECORD_HEAD.size
#: Where a record may start that we would go on with: such an opcode, and a length below 2^40.
_MAY_START = re.compile(rb"(?s)[\x03\x04\x06\x09\x0c](?=.{5}\0\0\0)")


class Item(NamedTuple):
    """One good record of a file, its fields untouched; of a chunk also its content and what was
    seen in it."""

    op: int
    at: int
    stop: int
    fields: Fields
    content: bytes = b""
    seen: Seen | None = None


def walk(source: Source) -> Iterator[Item | Damage]:
    """Yield every good record in the order of the file, and what is wrong in between.

    A file that was never finished ends in a Damage. Takes time in proportion to the file whatever
    is in it, and the memory of one chunk.
    """
    at, end, spent, cut = len(MAGIC), source.nbytes, 0, False
    while at < end:
        if end - at == len(MAGIC) and source.read(at, len(MAGIC)) == MAGIC:
            return
        try:
            item = _item(source, at, end)
        except Damage as damage:
            spent += damage.nbytes
            # Whoever makes us look at everything thrice has not had an accident.
            tired = spent > 3 * end + LIMIT_NBYTES
            following = end if tired else _following(source, at, end)
            yield Damage(at, damage.reason, following - at)
            at, cut = following, True
        else:
            if item.seen is not None and not _is_dated(item.fields, item.seen):
                yield Damage(at, "the head of the chunk states wrong times; its records are good")
            yield item
            at, cut = item.stop, False
    if not cut:
        yield Damage(end, "the capture was never finished")


def _item(source: Source, at: int, end: int) -> Item:
    """Return the record at ``at``; raises Damage, with the octets looked at."""
    op, stop = source.head(at, end)
    nbytes = stop - at
    if op not in _SHAPES or nbytes > (LIMIT_NBYTES if op == Op.CHUNK else _RECORD_LIMIT_NBYTES):
        raise Damage(at, "no record of a capture starts here", _HEAD_NBYTES)
    fields = source.fields(at, stop)
    if op == Op.CHUNK:
        content = decompressed(fields, at)
        _, seen = unpack(content, NOTHING, at)
        return Item(op, at, stop, Fields(fields.content), content, seen)
    try:
        _SHAPES[op](fields)
        if fields.at != len(fields.content):
            raise ValueError(f"{len(fields.content) - fields.at} octets behind its last field")
    except MALFORMED as wrong:
        raise Damage(at, f"a {Op(op).name} record is malformed: {wrong}", nbytes) from None
    return Item(op, at, stop, Fields(fields.content))


def _is_dated(chunk: Fields, seen: Seen) -> bool:
    """Tell whether the head of a chunk says the times that its messages have."""
    return Fields(chunk.content[:16]).take("QQ") == (seen.start_ns, seen.end_ns)


def _following(source: Source, at: int, end: int) -> int:
    """Return where to go on after damage at ``at``: behind the record that begins there if another
    one follows it, else at the next place where one may."""
    try:
        stop = source.head(at, end)[1]
        if stop == end or _may_start(source, stop, end):
            return stop
    except Damage as damage:
        at = damage.at
    return _search(source, at + 1, end)


def _search(source: Source, at: int, end: int) -> int:
    """Return the first offset from ``at`` on where a record may start, ``end`` if there is none."""
    while at < end:
        window = source.read(at, min(_WINDOW_NBYTES + _HEAD_NBYTES, end - at))
        for match in _MAY_START.finditer(window):
            if match.start() >= _WINDOW_NBYTES:
                break
            if _may_start(source, at + match.start(), end):
                return at + match.start()
        at += _WINDOW_NBYTES
    return end


def _may_start(source: Source, at: int, end: int) -> bool:
    """Tell whether the head of a record of a capture stands at ``at``, without reading it whole."""
    try:
        op, stop = source.head(at, end)
    except Damage:
        return end - at == len(MAGIC) and source.read(at, len(MAGIC)) == MAGIC
    nbytes = stop - at - _HEAD_NBYTES
    fields = Fields(source.read(at + _HEAD_NBYTES, min(nbytes, 256)))
    try:
        return _HINTS.get(op, _whole)(fields, nbytes, op)
    except MALFORMED:
        return False


# --- the shape of each record ---------------------------------------------------------------------


def _header(fields: Fields) -> None:
    fields.string(), fields.string()


def _schema(fields: Fields) -> None:
    fields.take("H")
    fields.string(), fields.string(), fields.octets(fields.take("I")[0])


def _metadata(fields: Fields) -> None:
    fields.string(), fields.sealed_map()


def _message_index(fields: Fields) -> None:
    nbytes = fields.take("HI")[1]
    if nbytes % 16:
        raise ValueError("its length is no whole number of entries")
    fields.octets(nbytes)


def _chunk_index(fields: Fields) -> None:
    fields.take("QQQQ"), fields.octets(fields.take("I")[0]), fields.take("Q")
    fields.string(), fields.take("QQ")


def _attachment_index(fields: Fields) -> None:
    fields.take("QQQQQ"), fields.string(), fields.string()


def _statistics(fields: Fields) -> None:
    fields.take("QHIIIIQQ"), fields.octets(fields.take("I")[0])


def _metadata_index(fields: Fields) -> None:
    fields.take("QQ"), fields.string()


def _fixed(form: str) -> Callable[[Fields], object]:
    return lambda fields: fields.take(form)


_SHAPES: dict[int, Callable[[Fields], object]] = {
    Op.HEADER: _header,
    Op.FOOTER: _fixed("QQI"),
    Op.SCHEMA: _schema,
    Op.CHANNEL: parse_channel,
    Op.CHUNK: lambda fields: None,
    Op.MESSAGE_INDEX: _message_index,
    Op.CHUNK_INDEX: _chunk_index,
    Op.ATTACHMENT: lambda fields: parse_attachment(fields, 0),
    Op.ATTACHMENT_INDEX: _attachment_index,
    Op.STATISTICS: _statistics,
    Op.METADATA: _metadata,
    Op.METADATA_INDEX: _metadata_index,
    Op.SUMMARY_OFFSET: _fixed("BQQ"),
    Op.DATA_END: _fixed("I"),
}


def _chunk_hint(fields: Fields, nbytes: int, op: int) -> bool:
    size = fields.take("QQQI")[2]
    name = fields.string()
    packed = fields.take("Q")[0]
    fits = nbytes == FIXED_NBYTES + len(name) + packed and nbytes <= LIMIT_NBYTES
    return fits and size <= LIMIT_NBYTES and name in ("zstd", "lz4", "")


def _index_hint(fields: Fields, nbytes: int, op: int) -> bool:
    inside = fields.take("HI")[1]
    return nbytes == inside + 6 and inside % 16 == 0


def _named_hint(fields: Fields, nbytes: int, op: int) -> bool:
    """Attachments, schemas and metadata: a short name in front, and of a length that may be."""
    fields.take({Op.ATTACHMENT: "QQ", Op.SCHEMA: "H"}.get(Op(op), ""))
    return nbytes <= _RECORD_LIMIT_NBYTES and fields.string().isprintable()


def _whole(fields: Fields, nbytes: int, op: int) -> bool:
    """Anything else that is short enough to be looked at whole."""
    if op not in _SHAPES or nbytes != len(fields.content):
        return op in (Op.CHANNEL, Op.CHUNK_INDEX, Op.STATISTICS) and nbytes < _WINDOW_NBYTES
    _SHAPES[op](fields)
    return fields.at == nbytes


_HINTS: dict[int, Callable[[Fields, int, int], bool]] = {
    Op.CHUNK: _chunk_hint,
    Op.MESSAGE_INDEX: _index_hint,
    Op.ATTACHMENT: _named_hint,
    Op.SCHEMA: _named_hint,
    Op.METADATA: _named_hint,
}
