"""Other writers of MCAP, where they are installed: the same records, chunks and compression."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hil.capture.writer import CHUNK_NBYTES

#: channels of the records, one after the other, and the time between two of them
_CHANNELS, _STEP_NS = 10, 9_000_000

#: writes records to a path
Write = Callable[[Path, list[bytes]], None]


class Peer(NamedTuple):
    """One other writer: ``writer(compression)`` is None where it is not installed."""

    name: str
    writer: Callable[[str], Write | None]
    #: it gets one in so many of the records, since it takes longer
    share: int


def _library(compression: str) -> Write | None:
    """Return the official Python library."""
    try:
        from mcap.writer import CompressionType, Writer
    except ImportError:
        return None
    kind = CompressionType[compression.upper()]

    def write(path: Path, records: list[bytes]) -> None:
        writer = Writer(str(path), CHUNK_NBYTES, kind)
        writer.start()
        ids = [writer.register_channel(f"/{n}", "flatsat-record", 0) for n in range(_CHANNELS)]
        for i, data in enumerate(records):
            t_ns = i * _STEP_NS
            writer.add_message(ids[i % _CHANNELS], t_ns, data, t_ns, i)
        writer.finish()  # type: ignore[no-untyped-call]  # the library leaves it bare

    return write


def _rust(compression: str) -> Write | None:
    """Return the Rust library, through the Python package that carries it."""
    try:
        import foxglove
        from foxglove.mcap import MCAPCompression, MCAPWriteOptions
    except ImportError:
        return None
    kinds: dict[str, Any] = {"zstd": MCAPCompression.Zstd, "lz4": MCAPCompression.Lz4, "none": None}
    options = MCAPWriteOptions(
        compression=kinds[compression], chunk_size=CHUNK_NBYTES, compression_threads=0
    )

    schema = foxglove.Schema(name="flatsat.Record", encoding="text", data=b"a record")

    def write(path: Path, records: list[bytes]) -> None:
        context = foxglove.Context()
        channels = [
            foxglove.Channel(
                f"/{n}", schema=schema, message_encoding="flatsat-record", context=context
            )
            for n in range(_CHANNELS)
        ]
        with foxglove.open_mcap(str(path), context=context, writer_options=options):
            for i, data in enumerate(records):
                channels[i % _CHANNELS].log(data, log_time=i * _STEP_NS)

    return write


PEERS = (
    Peer("mcap (official Python library)", _library, 8),
    Peer("foxglove-sdk (Rust library)", _rust, 1),
)


def read_by_the_library(capture: Path) -> None:
    """Read one of our files with the official Python library; ImportError where there is none."""
    from mcap.reader import make_reader

    with capture.open("rb") as file:
        for _message in make_reader(file).iter_messages(log_time_order=False):
            pass
