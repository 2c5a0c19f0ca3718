"""Helpers beside the tests of captures are imported by their names."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: what foreign readers say is asked here, too
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "oracles")]
