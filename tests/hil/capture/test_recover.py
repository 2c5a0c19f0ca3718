"""``hil recover`` makes a whole capture of what is left, loses nothing else, and says what."""

from __future__ import annotations

import fcntl
import json
import random
from pathlib import Path

import pytest
from damaging import EPOCH_NS, PER_CHUNK, chunk_ends, mutated, small_records, write_small
from mcap_readers import check_agreement

from flightsw.codec.wire import Record
from hil.capture import mcapfmt, topics
from hil.capture.reader import Capture
from hil.capture.recover import RECOVERED_TABLE, recover
from hil.cli import main
from hil.errors import CaptureError
from hil.rundir import LOCK

COUNT = 60


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The octets of a small capture of ten chunks."""
    return write_small(tmp_path_factory.mktemp("recover") / "capture.mcap", small_records(COUNT))


def records_of(path: Path) -> list[Record]:
    """Return the records of a capture, read strictly."""
    with Capture(path) as capture:
        return list(capture.records())


def test_a_capture_that_was_never_finished(
    tmp_path: Path, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its whole chunks become a capture beside it, of which foreign readers find nothing wrong."""
    partial = tmp_path / "capture.mcap.partial"
    partial.write_bytes(raw)
    ends = chunk_ends(partial)
    partial.write_bytes(raw[: ends[6] + 100])
    assert main(["recover", str(partial)]) == 0
    whole = tmp_path / "capture.mcap"
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith(f"{partial}: 42 records until ")
    assert f"in 7 chunks are in {whole}" in said
    assert f"lost from {max(r.t_ns for r in small_records(42)) / 1e9:.6f} s on: " in said
    assert partial.read_bytes() == raw[: ends[6] + 100]
    assert check_agreement(whole) == 42
    assert records_of(whole) == small_records(42)
    with Capture(whole) as capture:
        assert capture.attachment("board.toml") == b"[board]\n"
        assert capture.metadata["flatsat"]["board"] == "trial"
        assert capture.metadata["flatsat.recording"]["ended"] == "recovered"
        (loss,) = json.loads(capture.metadata[RECOVERED_TABLE]["lost"])
    assert loss["octet"] >= ends[6]


def test_a_chunk_is_copied_as_it_lies(tmp_path: Path, raw: bytes) -> None:
    """What is copied keeps its compressed octets."""
    path = tmp_path / "capture.mcap"
    path.write_bytes(raw[:-3])
    done = recover(path)
    assert done.target == tmp_path / "capture.recovered.mcap"
    for name in (path, done.target):
        with Capture(name, tolerant=True) as capture:
            place = capture.places[3]
        octets = name.read_bytes()[int(place["at"]) :][: int(place["length"])]
        if name == path:
            first = octets
    assert octets == first


def test_a_damaged_chunk_in_the_middle(tmp_path: Path, raw: bytes) -> None:
    """It is left out, and its octets, its time and its sequence numbers are named."""
    path, out = tmp_path / "capture.mcap", tmp_path / "out.mcap"
    path.write_bytes(raw)
    ends = chunk_ends(path)
    bad = bytearray(raw)
    bad[ends[3] - 5] ^= 0xFF
    path.write_bytes(bad)
    done = recover(path, out)
    (loss,) = done.losses
    assert ends[2] < loss.octet < ends[3]
    assert loss.octet + loss.nbytes == ends[3]
    assert loss.missing == PER_CHUNK
    records = small_records(COUNT)
    assert loss.after_s == max(r.t_ns for r in records[: 3 * PER_CHUNK]) / 1e9
    assert loss.before_s == min(r.t_ns for r in records[4 * PER_CHUNK :]) / 1e9
    assert records_of(out) == records[: 3 * PER_CHUNK] + records[4 * PER_CHUNK :]
    assert check_agreement(out) == COUNT - PER_CHUNK
    assert "between" in done.lines()[1]


def test_a_whole_capture_is_left_alone(
    tmp_path: Path, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to recover of it, and nothing is written."""
    path = tmp_path / "capture.mcap"
    path.write_bytes(raw)
    assert main(["recover", str(path), "--in-place"]) == 0
    assert "whole, 60 records" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir()] == ["capture.mcap"]
    assert path.read_bytes() == raw


@pytest.mark.parametrize("name", ["capture.mcap", "capture.mcap.partial"])
def test_in_place(tmp_path: Path, raw: bytes, name: str) -> None:
    """Asked to, the whole capture takes the place of the damaged one, and nothing else is left."""
    (tmp_path / name).write_bytes(raw[: len(raw) - 200])
    assert main(["recover", "--in-place", str(tmp_path / name)]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["capture.mcap"]
    assert records_of(tmp_path / "capture.mcap") == small_records(COUNT)


def test_nothing_is_overwritten(
    tmp_path: Path, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is there already stays as it is, and one line says so."""
    (tmp_path / "capture.mcap.partial").write_bytes(raw[:-100])
    (tmp_path / "capture.mcap").write_bytes(b"mine")
    assert main(["recover", str(tmp_path / "capture.mcap.partial")]) == 1
    assert "is there already; name another place with --out" in capsys.readouterr().err
    assert (tmp_path / "capture.mcap").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("octets", [b"", b"\x89MCAP0\r\n", b"no capture at all", bytes(100_000)])
def test_where_nothing_is_left(
    tmp_path: Path, octets: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that holds nothing of a capture is refused in one line, and nothing is written."""
    (tmp_path / "capture.mcap.partial").write_bytes(octets)
    assert main(["recover", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "nothing can be recovered" in said
    assert said.count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_directory(tmp_path: Path, raw: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """What a killed run left is recovered by the name of its directory; several at once, too."""
    for name in ("run.lost-1", "run.lost-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "capture.mcap.partial").write_bytes(raw[: len(raw) // 2])
    assert main(["recover", str(tmp_path / "run")]) == 2
    assert "run: is not there; there is run.lost-1, run.lost-2" in capsys.readouterr().err
    assert main(["recover", "--json", *(str(tmp_path / f"run.lost-{i}") for i in (1, 2))]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["records"] == second["records"] > 0
    assert Path(second["target"]) == tmp_path / "run.lost-2" / "capture.mcap"
    assert first["losses"][0]["octet"] > 0
    assert main(["recover", "--out", "x", "a", "b"]) == 2


def test_one_that_cannot_be_recovered_does_not_stop_the_others(
    tmp_path: Path, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with one path is said, the others are recovered, and the exit code tells."""
    (tmp_path / "good.mcap").write_bytes(raw[:-1])
    (tmp_path / "bad.mcap").write_bytes(b"nothing")
    paths = [str(tmp_path / name) for name in ("bad.mcap", "absent", "good.mcap")]
    assert main(["recover", "--json", *paths]) == 2
    said = capsys.readouterr()
    bad, absent, good = json.loads(said.out)
    assert "nothing can be recovered" in bad["error"]
    assert "absent: is not there" in absent["error"]
    assert good["records"] == COUNT
    assert said.err.count("\n") == 2


def test_a_run_that_is_writing_is_left_alone(
    tmp_path: Path, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """As long as a run holds the lock of its directory, its capture is not recovered."""
    (tmp_path / "capture.mcap.partial").write_bytes(raw[:2000])
    with (tmp_path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["recover", str(tmp_path)]) == 1
        assert "a run is writing it" in capsys.readouterr().err
    assert main(["recover", str(tmp_path)]) == 0


def test_records_of_a_channel_that_nothing_describes(tmp_path: Path, raw: bytes) -> None:
    """Where the description of a channel is lost, its records are left out and counted, and the
    capture is whole without them."""
    path = tmp_path / "capture.mcap.partial"
    path.write_bytes(raw)
    end = chunk_ends(path)[-1]
    kind = mcapfmt.string("/link/tm")
    at = raw.index(kind)
    path.write_bytes(raw[: at + 6] + b"X" + raw[at + 7 : end])
    done = recover(path)
    kept = [record for record in small_records(COUNT) if record.kind != 0x20]
    assert done.target is not None
    assert records_of(done.target) == kept
    assert check_agreement(done.target) == len(kept) < COUNT
    assert any("channels that nothing describes" in loss.reason for loss in done.losses)


def test_a_damaged_schema_is_written_anew(tmp_path: Path, raw: bytes) -> None:
    """A Schema record with another id breaks no rule of the capture that is made of the rest."""
    path = tmp_path / "capture.mcap.partial"
    path.write_bytes(raw)
    at = raw.index(mcapfmt.string(topics.SCHEMA_NAME)) - 2
    path.write_bytes(raw[:at] + b"\0" + raw[at + 1 : chunk_ends(path)[-1]])
    done = recover(path)
    assert done.target is not None
    assert check_agreement(done.target) == COUNT


def recover_mutated(folder: Path, raw: bytes, seed: int, count: int) -> None:
    """Recover ``count`` captures to which something happened."""
    rng, records = random.Random(seed), small_records(COUNT)
    path, out = folder / "capture.mcap", folder / "out.mcap"
    for _ in range(count):
        bad = mutated(raw, rng)
        path.write_bytes(bad)
        try:
            done = recover(path, out)
        except CaptureError as error:
            assert "nothing can be recovered: octet" in str(error)  # noqa: PT017 - either is right
            continue
        assert bad == raw or done.losses, "an octet is changed and nothing is said"
        got = records_of(out)
        remaining = iter(records)
        assert all(record in remaining for record in got)
        assert done.records == check_agreement(out) == len(got)
        out.unlink()


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happened_to_it(tmp_path: Path, raw: bytes, seed: int) -> None:
    """After any accident, what is recovered breaks no rule, holds no wrong record, and every
    changed octet is spoken of."""
    recover_mutated(tmp_path, raw, seed, 150)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 52))
def test_whatever_happened_to_it_ten_thousand_times(tmp_path: Path, raw: bytes, seed: int) -> None:
    """The same ten thousand times."""
    recover_mutated(tmp_path, raw, seed, 200)


def test_the_epoch_is_kept(tmp_path: Path, raw: bytes) -> None:
    """Also where the metadata is damaged: the records tell it."""
    path = tmp_path / "capture.mcap"
    path.write_bytes(raw.replace(str(EPOCH_NS).encode(), b"x" * 19))
    done = recover(path)
    assert done.target is not None
    with Capture(done.target) as capture:
        assert capture.epoch_ns == EPOCH_NS
        assert list(capture.records()) == small_records(COUNT)
