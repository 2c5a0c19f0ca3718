"""What the tests of replay share: short flights, flown once."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.options import Options
from hil.session import fly


@pytest.fixture(scope="session")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a flight of five seconds."""
    out = tmp_path_factory.mktemp("brief") / "run"
    return fly(Options(out=out, duration_s=5.0, transport="direct")).run_dir
