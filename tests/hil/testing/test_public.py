"""What `hil.testing` offers is there, and nothing is loaded before it is asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hil.testing

PAGE = Path(__file__).resolve().parents[3] / "docs" / "contracts.md"


@pytest.mark.parametrize("name", hil.testing.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name that the package offers can be had from it, and stands in `dir`."""
    assert getattr(hil.testing, name) is not None
    assert name in dir(hil.testing)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A mistyped name is answered as by any module."""
    with pytest.raises(AttributeError, match="check_buss"):
        hil.testing.check_buss  # noqa: B018


def test_importing_the_package_loads_no_suite() -> None:
    """Who imports the package pays for nothing that it holds."""
    code = (
        "import hil.testing, sys; print([m for m in sys.modules if m.startswith('hil.testing.')])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_page_runs() -> None:
    """Every example of the manual of contract suites holds."""
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), {})
