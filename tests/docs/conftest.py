"""What the tests of the manual share: their helpers, and our extension of Sphinx."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "docs" / "_ext")]
