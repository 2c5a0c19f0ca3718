"""What the capture is measured against writes the same records as we do."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcap.reader import make_reader

from hil.benches import capture
from hil.benches.capture_peers import PEERS


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name.split()[0])
@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_peers_write_what_they_are_given(tmp_path: Path, peer, compression: str) -> None:
    """Each peer gives a whole file with every record, compressed as it was asked to be."""
    write = peer.writer(compression)
    if write is None:
        pytest.skip(f"{peer.name} is not installed")
    records = capture.make_records(3000)
    write(tmp_path / "peer.mcap", records)
    with (tmp_path / "peer.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        kinds = {chunk.compression for chunk in reader.get_summary().chunk_indexes}
        assert [m.data for _, _, m in reader.iter_messages(log_time_order=False)] == records
    assert kinds == {"" if compression == "none" else compression}


def test_rows_of_writing_name_their_peers(tmp_path: Path) -> None:
    """Each operation has a row for each peer, with figures above nothing."""
    rows = list(capture._writing(capture._Bench(tmp_path, 2000, 1)))
    told = {row["peer_name"] for row in rows if row["op"] == "write, zstd, one call each"}
    installed = {peer.name for peer in PEERS if peer.writer("zstd") is not None}
    assert told - {None} == installed
    assert all(row["ours"] > 0 and row["floor"] > 0 for row in rows)
