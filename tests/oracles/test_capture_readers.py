"""Foreign readers of MCAP, its rules and an Arrow table agree with our reader record by record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mcap_rules
import pytest
from mcap_readers import check_agreement, ours, same, typescript

from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.options import Options
from hil.session import fly


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The capture of two minutes of the default run."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return fly(Options(out=out, duration_s=120.0, transport="direct")).run_dir / "capture.mcap"


def test_a_flown_capture(flown: Path) -> None:
    """Official reader, rules and Arrow find in a run's capture what we find."""
    assert check_agreement(flown) > 1000


def test_a_flown_capture_in_typescript(flown: Path) -> None:
    """The official TypeScript reader, which goes by the index, gives the same records by time."""
    same(typescript(flown), sorted(ours(flown), key=lambda row: row[2]))


@pytest.mark.parametrize("compression", ["zstd", "lz4", "none"])
def test_every_compression(flown: Path, tmp_path: Path, compression: str) -> None:
    """However its chunks are compressed, a capture holds the same records for all readers."""
    if compression == "lz4":
        pytest.importorskip("lz4.frame")
    path = tmp_path / "capture.mcap"
    with Capture(flown) as capture:
        names = {c.channel: c.topic.rpartition("/")[2] for c in capture.channels.values()}
        epoch_ns = capture.epoch_ns
        with CaptureWriter(path, epoch_ns, names, {}, compression) as writer:
            for buffer in capture.buffers():
                writer.write(buffer)
        wanted = list(capture.records())
    with Capture(path) as capture:
        assert list(capture.records()) == wanted
    assert check_agreement(path) == len(wanted)


@pytest.mark.soak
def test_the_capture_of_the_default_run(tmp_path: Path) -> None:
    """The same of a whole orbit, with the TypeScript reader."""
    path = fly(Options(out=tmp_path / "run", transport="direct")).run_dir / "capture.mcap"
    assert check_agreement(path) > 170_000
    same(typescript(path), sorted(ours(path), key=lambda row: row[2]))


def flip(raw: bytes, at: int) -> bytes:
    """Return the octets with one of them changed."""
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


BREAKS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "magic": (lambda raw: raw[:-1], "magic at the end"),
    "chunk": (lambda raw: flip(raw, len(raw) // 2), "CRC of the data section"),
    "summary": (lambda raw: flip(raw, len(raw) - 60), "CRC of the summary"),
    "section": (lambda raw: raw[:8] + raw[9:], "cannot be read on"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_rules_notice(flown: Path, tmp_path: Path, name: str) -> None:
    """The checker is none that everything passes: it names what is broken."""
    broken, told = BREAKS[name]
    path = tmp_path / "broken.mcap"
    path.write_bytes(broken(flown.read_bytes()))
    assert any(told in error for error in mcap_rules.check(path))
