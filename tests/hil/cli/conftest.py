"""What the tests of ``hil codec`` share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flightsw.codec.packet.pus_format import PUS_C
from hil.channel import load_channel

sys.path.insert(0, str(Path(__file__).resolve().parent))

from decoding import PACKETS, VALUES


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory that the test works in, its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def packets(workplace: Path) -> str:
    """Return the channel of packets, and put a file of them beside it: p."""
    Path("c.toml").write_text(PACKETS)
    layout = load_channel("c.toml").rules[0].layout
    rows = [PUS_C.pack_tm(5, i, 3, 25, layout.encode(v), t_ns=i) for i, v in enumerate(VALUES)]
    rows += [PUS_C.pack_tm(6, 0, 5, 1, bytes([1, 2, 3, 4, 255]), t_ns=10**9)]
    rows += [PUS_C.pack_tm(8, 0, 17, 2, b"", t_ns=2 * 10**9)]
    Path("p").write_bytes(b"".join(rows))
    return "c.toml"
