"""What a capture holds, found by its summary or, where that is missing or damaged, by walking."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.capture import topics
from hil.capture.chunks import (
    PLACE,
    check_places,
    counts_of,
    decompressed,
    entries_of,
    epoch_in,
    places_in,
)
from hil.capture.mcapfmt import MAGIC, RECORD_HEAD, Op
from hil.capture.mcapread import (
    MALFORMED,
    AttachmentInfo,
    ChannelInfo,
    Damage,
    Fields,
    Source,
    parse_attachment,
    parse_channel,
    stated_epoch,
    summary_of,
)
from hil.capture.walk import walk

_RECORDS_LIMIT = 1 << 20
_DAMAGES_LIMIT = 1000


@dataclass
class Contents:
    """Everything but the records. ``counts`` holds messages by MCAP channel; ``places`` is an array
    of :data:`~hil.capture.chunks.PLACE` in the order of the file."""

    channels: dict[int, ChannelInfo] = field(default_factory=dict)
    attachments: dict[str, AttachmentInfo] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    places: NDArray[Any] = field(default_factory=lambda: np.empty(0, PLACE))
    counts: dict[int, int] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)
    #: where the records stand that describe the channels and the schema, found by walking
    channels_at: dict[int, int] = field(default_factory=dict)
    schema_at: int | None = None
    #: Data End, and the CRC of the data section in it; found by walking
    data_end: tuple[int, int] | None = None
    #: whether the metadata "flatsat" is protected by a CRC of its own
    epoch_sealed: bool = False


# --- by the summary -------------------------------------------------------------------------------


def by_summary(source: Source) -> Contents | None:
    """Return what the summary says, or None if there is none; raises Damage if it is damaged."""
    found = summary_of(source)
    if found is None:
        return None
    start, raw = found
    contents, begun = Contents(), source.octets_read
    try:
        places, others = places_in(raw)
        contents.places = check_places(places, start)
        if len(others) > _RECORDS_LIMIT:
            raise ValueError(f"{len(others)} records in a summary")
        for at in others.tolist():
            op, length = RECORD_HEAD.unpack_from(raw, at)
            begin = at + RECORD_HEAD.size
            _take_summary(contents, source, op, Fields(raw[begin : begin + length]))
            if len(contents.damages) > _DAMAGES_LIMIT:
                raise ValueError(f"more than {_DAMAGES_LIMIT} of its tables cannot be read")
            if source.octets_read - begun > source.nbytes:  # told again and again to read the same
                raise ValueError("the tables that it names are larger than the file")
        if sum(contents.counts.values()) != int(contents.places["nmessages"].sum()):
            raise ValueError("statistics and index contradict each other")
    except MALFORMED as wrong:
        raise Damage(start, f"the summary is malformed: {wrong}") from None
    return contents


def _take_summary(contents: Contents, source: Source, op: int, fields: Fields) -> None:
    """Take in one record of the summary section that is no chunk index."""
    if op == Op.CHANNEL:
        channel, _sealed = parse_channel(fields)
        contents.channels[channel.id] = channel
    elif op == Op.STATISTICS:
        contents.counts = parse_counts(fields)
    elif op == Op.ATTACHMENT_INDEX:
        at = fields.take("QQQQQ")[0]
        info = AttachmentInfo(at, fields.string(), fields.string())
        contents.attachments[info.name] = info
    elif op == Op.METADATA_INDEX:
        at = fields.take("Q")[0]
        try:
            _take_metadata(contents, source.record(at, Op.METADATA))
        except MALFORMED as wrong:
            contents.damages.append(Damage(at, f"a Metadata record is malformed: {wrong}"))
        except Damage as damage:
            contents.damages.append(damage)


def _take_metadata(contents: Contents, fields: Fields) -> None:
    """Take in a Metadata record; a sealed one is never replaced by one that is not."""
    name = fields.string()
    pairs, sealed = fields.sealed_map()
    if name == "flatsat":
        if contents.epoch_sealed and not sealed:
            raise ValueError("it has no CRC, as the one before had")
        contents.epoch_sealed = sealed
    contents.metadata[name] = pairs


def parse_counts(fields: Fields) -> dict[int, int]:
    """Return the messages by MCAP channel of a Statistics record; raises ValueError."""
    total = fields.take("QHIIIIQQ")[0]
    inner = Fields(fields.octets(fields.take("I")[0]))
    counts = {}
    while inner.at < len(inner.content):
        mcap_id, count = inner.take("HQ")
        counts[mcap_id] = count
    if sum(counts.values()) != total:
        raise ValueError("the statistics contradict themselves")
    return counts


def settle_epoch(source: Source, contents: Contents, ask: bool) -> None:
    """Make sure of the epoch; raises Damage if nothing tells it.

    With ``ask`` the records are asked, which state their time since the epoch beside that since
    1970, unless the metadata has a CRC of its own.
    """
    about = contents.metadata.get("flatsat", {})
    stated_ns = stated_epoch(about)
    if ask and not (stated_ns is not None and contents.epoch_sealed):
        epoch_ns = _epoch_of_records(source, contents)
        if epoch_ns is not None and epoch_ns != stated_ns:
            reason = f"the metadata states no true epoch; by the records it is {epoch_ns}"
            contents.damages.append(Damage(len(MAGIC), reason))
            contents.metadata["flatsat"] = about | {"epoch_ns": str(epoch_ns)}
            return
    if stated_ns is None:
        raise Damage(0, "not a capture of FlatSat: it does not state its epoch")


def _epoch_of_records(source: Source, contents: Contents) -> int | None:
    """Return the epoch by the first record that states its time twice."""
    for at in contents.places["at"].tolist():
        try:
            content = decompressed(source.record(at, Op.CHUNK), at)
            epoch_ns = epoch_in(content, contents.channels)
        except Damage as damage:
            contents.damages.append(damage)
        else:
            if epoch_ns is not None:
                return epoch_ns
    return None


# --- by walking -----------------------------------------------------------------------------------


def by_walking(source: Source) -> Contents:
    """Return what a file holds whose summary is missing or of no use: every record is looked at,
    the CRC of every chunk checked, and what is damaged passed over and named."""
    contents = Contents()
    rows: list[tuple[int, ...]] = []
    found: dict[int, list[tuple[ChannelInfo, bool, int]]] = {}
    counts: Counter[int] = Counter()
    for item in walk(source):
        if isinstance(item, Damage):
            contents.damages.append(item)
        elif item.seen is not None:
            seen, size, nbytes = item.seen, len(item.content), item.stop - item.at
            rows.append((item.at, nbytes, seen.start_ns, seen.end_ns, nbytes, size, seen.nmessages))
            rows[-1] += (seen.channels,)
            counts.update(counts_of(entries_of(item.content, seen)))
        elif item.op == Op.CHANNEL:
            channel, sealed = parse_channel(item.fields)
            found.setdefault(channel.id, []).append((channel, sealed, item.at))
        elif item.op == Op.SCHEMA and contents.schema_at is None and _is_ours(item.fields):
            contents.schema_at = item.at
        elif item.op == Op.DATA_END:
            contents.data_end = item.at, item.fields.take("I")[0]
        elif item.op == Op.ATTACHMENT:
            info = parse_attachment(item.fields, item.at)[0]
            contents.attachments[info.name] = info
        elif item.op == Op.METADATA:
            try:
                _take_metadata(contents, item.fields)
            except ValueError as wrong:
                contents.damages.append(Damage(item.at, f"a Metadata record is not used: {wrong}"))
    contents.channels = _settled(found, contents)
    contents.places, contents.counts = np.array(rows, PLACE), dict(counts)
    return contents


def _is_ours(schema: Fields) -> bool:
    """Tell whether a Schema record is the one that our channels refer to; it has no CRC."""
    names = schema.take("H")[0], schema.string(), schema.string()
    return names == (topics.SCHEMA_ID, topics.SCHEMA_NAME, topics.SCHEMA_ENCODING)


def _settled(
    found: dict[int, list[tuple[ChannelInfo, bool, int]]], contents: Contents
) -> dict[int, ChannelInfo]:
    """Return the channels to believe: those with a CRC of their own, where the file has such."""
    is_sealed = contents.epoch_sealed or any(
        sealed for items in found.values() for _, sealed, _ in items
    )
    channels = {}
    for mcap_id, items in found.items():
        believed = {channel for channel, sealed, _ in items if sealed or not is_sealed}
        if len(believed) == 1:
            channels[mcap_id] = chosen = believed.pop()
            contents.channels_at[mcap_id] = next(
                at for channel, sealed, at in items if channel == chosen and sealed >= is_sealed
            )
        else:
            why = "stands there in several versions" if believed else "has no CRC, as others have"
            contents.damages.append(Damage(items[0][2], f"channel {mcap_id} {why}"))
    return channels
