"""The rules of MCAP (https://mcap.dev/spec, version 0) as a checker of files.

It holds a file to what the specification demands and to what the public ``mcap doctor`` command
reports as an error. It is written from the specification and shares nothing with our writer, our
reader or the official ones.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

MAGIC = b"\x89MCAP0\r\n"
_OPCODES = (
    "Header Footer Schema Channel Message Chunk MessageIndex ChunkIndex Attachment AttachmentIndex "
    "Statistics Metadata MetadataIndex SummaryOffset DataEnd"
)
NAMES = dict(enumerate(_OPCODES.split(), 1))


class Content:
    """The fields of a record, taken in order."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def __call__(self, form: str) -> Any:
        """Return fields of a struct format; one alone as it is."""
        values = struct.unpack_from("<" + form, self.raw, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def octets(self, nbytes: int) -> bytes:
        """Return octets, all of which must be there."""
        assert nbytes <= len(self.raw) - self.at, "the record is too short for its fields"
        self.at += nbytes
        return self.raw[self.at - nbytes : self.at]

    def text(self) -> str:
        """Return a string, which must be UTF-8."""
        return self.octets(self("I")).decode()

    def pairs(self, key: str, value: str) -> list[tuple[Any, Any]]:
        """Return a map or an array of tuples."""
        inner, found = Content(self.octets(self("I"))), []
        while inner.at < len(inner.raw):
            one = inner.text() if key == "s" else inner(key)
            found.append((one, inner.text() if value == "s" else inner(value)))
        return found


@dataclass
class File:
    """What was seen of a file, and what is wrong with it."""

    raw: bytes
    errors: list[str] = field(default_factory=list)
    schemas: dict[int, bytes] = field(default_factory=dict)
    channels: dict[int, bytes] = field(default_factory=dict)
    schema_of: dict[int, int] = field(default_factory=dict)
    in_summary: dict[str, set[int]] = field(
        default_factory=lambda: {"Schema": set(), "Channel": set()}
    )
    counts: Counter[int] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    times: list[int] = field(default_factory=list)
    #: by offset: (record, its message indexes by channel and place, channels, octets of indexes)
    chunks: dict[int, dict[str, Any]] = field(default_factory=dict)
    indexes: dict[int, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, list[tuple[int, int, str]]] = field(
        default_factory=lambda: {"Attachment": [], "Metadata": []}
    )
    statistics: tuple[Any, ...] | None = None

    def must(self, holds: object, what: str) -> None:
        """Note a rule that is broken."""
        if not holds:
            self.errors.append(what)


def records(raw: bytes, at: int, end: int) -> Iterator[tuple[int, str, bytes]]:
    """Yield offset, name and content of records that fill the octets exactly."""
    while at < end:
        op, length = struct.unpack_from("<BQ", raw, at)
        assert at + 9 + length <= end, f"octet {at}: a record reaches behind its section"
        yield at, NAMES.get(op, f"opcode {op:#x}"), raw[at + 9 : at + 9 + length]
        at += 9 + length
    assert at == end


def check(path: Path) -> list[str]:
    """Return the rules that a file breaks; none for a good one."""
    file = File(path.read_bytes())
    try:
        _check(file)
    except (AssertionError, struct.error, UnicodeDecodeError, zstandard.ZstdError) as wrong:
        file.errors.append(f"cannot be read on: {wrong}")
    return file.errors


def _check(file: File) -> None:
    raw = file.raw
    assert raw.startswith(MAGIC), "magic at the start"
    assert raw.endswith(MAGIC), "magic at the end"
    footer_at = len(raw) - len(MAGIC) - 29
    assert struct.unpack_from("<BQ", raw, footer_at) == (2, 20), "the footer stands at the end"
    summary, offsets, crc = struct.unpack_from("<QQI", raw, footer_at + 9)
    data = list(records(raw, len(MAGIC), summary or footer_at))
    file.must(data[0][1] == "Header", "the first record is the Header")
    file.must(data[-1][1] == "DataEnd", "the data section ends in DataEnd")
    stated = struct.unpack("<I", data[-1][2])[0]
    file.must(stated in (0, zlib.crc32(raw[: data[-1][0]])), "CRC of the data section")
    file.must(crc in (0, zlib.crc32(raw[summary : footer_at + 25])), "CRC of the summary")
    for at, name, content in data:
        _data_record(file, at, name, content)
    for at, name, content in records(raw, summary, offsets or footer_at):
        _summary_record(file, at, name, content)
    _summary_offsets(file, summary, offsets, footer_at)
    _indexes(file)
    _statistics(file)


def _data_record(file: File, at: int, name: str, content: bytes) -> None:
    fields = Content(content)
    file.seen[name] += 1
    if name in ("Schema", "Channel"):
        _describes(file, name, content, summary=False)
    elif name == "Chunk":
        _chunk(file, at, fields)
    elif name == "MessageIndex":
        chunk = file.chunks[max(file.chunks)]
        file.must(at == chunk["next"], f"octet {at}: a message index does not follow its chunk")
        channel, entries = fields("H"), fields.pairs("Q", "Q")
        file.must(channel not in chunk["indexes"], f"octet {at}: a second index of a channel")
        chunk["indexes"][channel] = at, sorted(entries)
        chunk["next"] = at + 9 + len(content)
    elif name == "Attachment":
        fields("QQ")
        title, _kind = fields.text(), fields.text()
        fields.octets(fields("Q"))
        file.must(fields("I") in (0, zlib.crc32(content[:-4])), "CRC of an attachment")
        file.places[name].append((at, 9 + len(content), title))
    elif name == "Metadata":
        title = fields.text()
        keys = [key for key, _ in fields.pairs("s", "s")]
        file.must(len(keys) == len(set(keys)), f"octet {at}: a key twice in a map")
        file.places[name].append((at, 9 + len(content), title))
    else:
        file.must(name in ("Header", "DataEnd"), f"octet {at}: {name} in the data section")
        return
    file.must(
        name in ("Chunk", "Channel", "Schema") or fields.at == len(content),
        f"octet {at}: octets left over",
    )


def _describes(file: File, name: str, content: bytes, summary: bool) -> None:
    """A Schema or a Channel, wherever it stands."""
    fields = Content(content)
    known = file.schemas if name == "Schema" else file.channels
    number = fields("H")
    if name == "Schema":
        file.must(number, "schema 0 is reserved")
        title, encoding, text = fields.text(), fields.text(), fields.octets(fields("I"))
        file.must(encoding or not text, f"schema {title} has text and no encoding")
    else:
        schema = fields("H")
        fields.text(), fields.text(), fields.pairs("s", "s")
        file.must(schema == 0 or schema in file.schemas, f"channel {number} of an unknown schema")
        file.schema_of[number] = schema
    file.must(fields.at == len(content), f"{name} {number}: octets left over")
    file.must(known.get(number, content) == content, f"{name} {number} in two versions")
    if summary:
        file.must(number in known, f"{name} {number} stands only in the summary")
        file.in_summary[name].add(number)
    known[number] = content


def _chunk(file: File, at: int, fields: Content) -> None:
    start, end, size, crc = fields("QQQI")
    compression, packed = fields.text(), fields.octets(fields("Q"))
    length = 9 + len(fields.raw)
    file.must(fields.at == len(fields.raw), f"octet {at}: octets left over")
    content = packed
    if compression == "zstd":
        content = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    elif compression == "lz4":
        import lz4.frame

        content = lz4.frame.decompress(packed)
    file.must(compression in ("", "zstd", "lz4"), f"octet {at}: compression {compression!r}")
    file.must(len(content) == size, f"octet {at}: uncompressed size")
    file.must(crc in (0, zlib.crc32(content)), f"octet {at}: CRC of the chunk")
    entries: dict[int, list[tuple[int, int]]] = {}
    for offset, name, inner in records(content, 0, len(content)):
        if name in ("Schema", "Channel"):
            _describes(file, name, inner, summary=False)
            continue
        file.must(name == "Message", f"octet {at}: {name} in a chunk")
        channel, _seq, log_ns, _publish_ns = struct.unpack_from("<HIQQ", inner)
        file.must(channel in file.channels, f"octet {at}: a message of an unknown channel")
        entries.setdefault(channel, []).append((log_ns, offset))
        file.counts[channel] += 1
        file.times.append(log_ns)
    times = [log_ns for items in entries.values() for log_ns, _ in items] or [0]
    file.must((start, end) == (min(times), max(times)), f"octet {at}: times of the chunk")
    file.chunks[at] = {
        "head": (start, end, length, compression, len(packed), size),
        "entries": {channel: sorted(items) for channel, items in entries.items()},
        "indexes": {},
        "next": at + length,
        "end": at + length,
    }


def _summary_record(file: File, at: int, name: str, content: bytes) -> None:
    fields = Content(content)
    if name in ("Schema", "Channel"):
        _describes(file, name, content, summary=True)
    elif name == "ChunkIndex":
        start, end, chunk_at, length = fields("QQQQ")
        offsets, nindex = dict(fields.pairs("H", "Q")), fields("Q")
        compression, sizes = fields.text(), fields("QQ")
        file.must(chunk_at not in file.indexes, f"two indexes of the chunk at octet {chunk_at}")
        file.indexes[chunk_at] = {
            "head": (start, end, length, compression, *sizes),
            "offsets": offsets,
            "nindex": nindex,
        }
    elif name in ("AttachmentIndex", "MetadataIndex"):
        place = fields("QQ")
        if name == "AttachmentIndex":
            fields("QQQ")
        what = name.removesuffix("Index")
        file.must((*place, fields.text()) in file.places[what], f"octet {at}: {name} is wrong")
        file.seen[name] += 1
    elif name == "Statistics":
        file.must(file.statistics is None, "a second Statistics record")
        file.statistics = (*fields("QHIIIIQQ"), dict(fields.pairs("H", "Q")))
    else:
        file.must(False, f"octet {at}: {name} in the summary section")


def _summary_offsets(file: File, summary: int, offsets: int, footer_at: int) -> None:
    """Groups are of one kind each, follow each other, and the offsets name all of them."""
    if not offsets:
        return
    groups: list[list[Any]] = []
    for at, name, content in records(file.raw, summary, offsets):
        if not groups or groups[-1][0] != name:
            groups.append([name, at, 0])
        groups[-1][2] += 9 + len(content)
    names = [name for name, _, _ in groups]
    file.must(len(names) == len(set(names)), "records of the summary are not grouped")
    found = []
    for _, name, content in records(file.raw, offsets, footer_at):
        file.must(name == "SummaryOffset", f"{name} among the summary offsets")
        op, at, nbytes = struct.unpack("<BQQ", content)
        found.append([NAMES[op], at, nbytes])
    file.must(sorted(found) == sorted(groups), "the summary offsets do not name the groups")


def _indexes(file: File) -> None:
    """Every chunk is indexed, by what is true of it."""
    file.must(set(file.indexes) == set(file.chunks), "chunks and chunk indexes do not match")
    for at in set(file.indexes) & set(file.chunks):
        chunk, index = file.chunks[at], file.indexes[at]
        file.must(index["head"] == chunk["head"], f"the index of the chunk at octet {at} is wrong")
        file.must(index["nindex"] == chunk["next"] - chunk["end"], f"octet {at}: octets of indexes")
        places = {channel: place for channel, (place, _) in chunk["indexes"].items()}
        file.must(index["offsets"] == places, f"octet {at}: places of message indexes")
        entries = {channel: found for channel, (_, found) in chunk["indexes"].items()}
        file.must(entries == chunk["entries"], f"octet {at}: message indexes do not match")
        for channel in chunk["entries"]:
            file.must(channel in file.in_summary["Channel"], f"channel {channel} not in summary")
            schema = file.schema_of.get(channel, 0)
            file.must(
                schema == 0 or schema in file.in_summary["Schema"],
                f"schema {schema} not in summary",
            )


def _statistics(file: File) -> None:
    """The statistics count what is there."""
    file.must(file.statistics is not None, "no Statistics record")
    if file.statistics is None:
        return
    total, schemas, channels, attachments, tables, chunks, first, last, counts = file.statistics
    held = (len(file.schemas), len(file.channels), len(file.places["Attachment"]))
    held += (len(file.places["Metadata"]), len(file.chunks))
    file.must((schemas, channels, attachments, tables, chunks) == held, "counts of the statistics")
    file.must(total == file.counts.total(), "messages of the statistics")
    file.must({k: v for k, v in counts.items() if v} == file.counts, "messages of each channel")
    times = (min(file.times), max(file.times)) if file.times else (0, 0)
    file.must((first, last) == times, "times of the statistics")
    for name in ("Attachment", "Metadata"):
        file.must(file.seen[f"{name}Index"] == len(file.places[name]), f"{name} not indexed")
