"""What foreign readers make of a capture, as records of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

import mcap_rules
import pytest
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader

from flightsw.codec.wire import Record
from hil.capture.reader import Capture

HERE = Path(__file__).parent
#: where .ci/run installs packages of npm
LIBRARY = Path.home() / ".cache" / "flatsat"

#: topic, sequence, log time, publish time, data
Row = tuple[str, int, int, int, bytes]


def official(path: Path) -> Iterator[Row]:
    """Yield the messages of a file as the official Python reader gives them, CRCs checked."""
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        for _, channel, m in reader.iter_messages(log_time_order=False):
            yield channel.topic, m.sequence, m.log_time, m.publish_time, m.data


def typescript(path: Path) -> list[Row]:
    """Return the messages of a file in the order of their times, as the official TypeScript reader
    gives them; skips where it is not installed."""
    node = shutil.which("node")
    if node is None or not (LIBRARY / "node_modules" / "@mcap" / "core").is_dir():
        pytest.skip("no node, or no @mcap/core: npm install --prefix ~/.cache/flatsat @mcap/core")
    done = subprocess.run(
        [node, str(HERE / "mcap_typescript.mjs"), str(path)],
        env={**os.environ, "LIBRARY": str(LIBRARY)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = (json.loads(line) for line in done.stdout.splitlines())
    return [(t, seq, int(log), int(pub), bytes.fromhex(data)) for t, seq, log, pub, data in rows]


def row_of(record: Record, topic: str, epoch_ns: int) -> Row:
    """Return a record as the message that it is: bare JSON where header fields are all zero."""
    bare = topic in ("/event", "/world", "/fault", "/link/state") and not (
        record.flags or record.status or record.address
    )
    log_ns = epoch_ns + record.t_ns
    data = record.payload if bare else record.pack()
    return topic, record.seq, log_ns, log_ns + record.duration_ns, data


def ours(path: Path) -> list[Row]:
    """Return the messages of a file by our reader."""
    with Capture(path) as capture:
        names = {(c.kind, c.channel): c.topic for c in capture.channels.values()}
        return [row_of(r, names[r.kind, r.channel], capture.epoch_ns) for r in capture.records()]


def check_agreement(path: Path) -> int:
    """Assert that the file breaks no rule and that the official Python reader and an Arrow table
    give our records; return how many there are."""
    rows = ours(path)
    assert check_validity(path) == len(rows)
    same(official(path), rows)
    same(arrow(path), rows)
    return len(rows)


def check_validity(path: Path) -> int:
    """Assert that the file breaks no rule and that the official Python reader reads it with every
    check on; return how many messages it finds."""
    assert mcap_rules.check(path) == []
    with path.open("rb") as file:
        reader = StreamReader(file, validate_crcs=True)
        return sum(isinstance(r, Message) for r in reader.records)


def arrow(path: Path) -> Iterator[Row]:
    """Yield the messages of a file out of Arrow tables."""
    with Capture(path) as capture:
        for table in capture.tables():
            columns = table.to_arrow()
            for row in columns.to_pylist():
                yield row_of(
                    Record(**{name: row[name] for name in Record._fields}),
                    row["topic"],
                    capture.epoch_ns,
                )


def same(found: Iterable[Row], wanted: Iterable[Row]) -> None:
    """Assert that two readers give the same messages in the same order."""
    for i, (one, other) in enumerate(zip_longest(found, wanted)):
        assert one == other, f"message {i}"
