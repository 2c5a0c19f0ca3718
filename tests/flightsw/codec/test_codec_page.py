"""The codec's page of the manual runs as it stands."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[3] / "docs" / "codec.md"


def test_the_examples_run_from_top_to_bottom() -> None:
    """Every Python block of the page, one after the other, does what it asserts."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 6
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"codec.md, block {number}", "exec"), names)


def test_the_table_names_modules_that_exist() -> None:
    """Each module in the table of stages can be imported."""
    rows = re.findall(r"^\| [^|]*\| (`[^|]+) \|", PAGE.read_text(), re.MULTILINE)
    modules = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(modules) > 15
    for name in modules:
        import_module(f"flightsw.codec.{name}")
