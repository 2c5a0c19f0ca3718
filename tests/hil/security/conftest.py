"""What the tests of security share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hil.time.transports.keys import make_keys


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the key folder of a bench."""
    folder = tmp_path_factory.mktemp("bench") / "keys"
    make_keys(folder)
    return folder
