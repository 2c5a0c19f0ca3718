"""The manual of the handle is a program: its blocks run as they stand, one after the other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from hil.cli import main

PAGE = Path(__file__).resolve().parents[4] / "docs" / "testing.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _shape(text: str) -> str:
    """Return a text without its figures."""
    return re.sub(r"\d+(\.\d+)?", "N", text.strip())


def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    """Each program runs, each command is good, and what is shown as said is what was said."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "testing_page"}
    said = ""
    blocks = _BLOCK.findall(PAGE.read_text())
    assert {kind for kind, _ in blocks} == {"python", "sh", "text"}
    for kind, text in blocks:
        if kind == "text":
            assert _shape(said) == _shape(text)
            continue
        if kind == "python":
            exec(compile(text, str(PAGE), "exec"), names)
        else:
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                assert words[0] == "hil"
                assert main(words[1:]) == 0, line
        said = capsys.readouterr().out
