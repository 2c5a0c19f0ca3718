"""What was asked of a tap, held against a run that is over: a name mistyped is refused at once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from flightsw.codec.wire import unpack_all
from hil.capture.export.naming import Names, chosen
from hil.capture.mcapfmt import MAGIC
from hil.capture.reader import Capture
from hil.config import nearest
from hil.errors import CaptureError, UsageError
from hil.replay.decode import Decoder
from hil.replay.stops import SEARCH_LIMIT, about
from hil.tapping import is_written
from hil.tapsinks import Filter


def check(
    path: Path, topics: Collection[str], condition: str | None, make: Callable[[], Decoder]
) -> bool:
    """Return whether the run is over, and so whatever was asked for is there or never comes.

    Raises ``CaptureError`` for a file that is no capture, ``UsageError`` for a topic or a field
    that no record has. Of a run that flies nobody knows yet what it will record.
    """
    if is_written(path):
        return False
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise CaptureError(f"{path}: not an MCAP file")
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from None
    if topics or condition is not None:
        with Capture(path, tolerant=True) as capture:
            every = {channel.topic for channel in capture.channels.values()}
            names = chosen(every, topics)
            if condition is not None:
                _check_fields(capture, names, Filter(condition), make())
    return True


def _check_fields(
    capture: Capture, topics: Collection[str], condition: Filter, decoder: Decoder
) -> None:
    """Raise ``UsageError`` for a field of a condition that no record of the topics has."""
    names, known, searched = Names(capture.channels.values()), dict[str, None](), 0
    for buffer in capture.buffers(list(topics)) if condition.unmet else ():
        for record in unpack_all(buffer):
            topic = names.topic(record.kind, record.channel)
            fields = {**about(record, topic), **decoder.fields(record)}
            known |= dict.fromkeys(fields)
            condition.takes(fields)
        searched += len(buffer)
        if not condition.unmet or searched > SEARCH_LIMIT * 64:
            return
    for field in sorted(condition.unmet):
        raise UsageError(f"--filter: {no_field(field, known)}")


def no_field(field: str, known: Collection[str]) -> str:
    """Say that no record has a field, and which one may be meant."""
    last = field.rpartition(".")[2]  # what a name may be cut down to
    hint = nearest(last, {name.rpartition(".")[2] for name in known}) or nearest(field, known)
    return f"no record has a field {field!r}{hint or '; put a text in quotes'}"
