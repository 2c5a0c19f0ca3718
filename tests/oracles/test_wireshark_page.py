"""The pages on Wireshark and on exports: their commands run, their filters are there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tshark import DISSECTOR, NAMES, environment, needs_tshark, write

from flightsw.codec.wire import Kind, Record

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("wireshark.md", "exchange-formats.md")
#: what needs a screen, or a run that flies now
LIVE = ("wireshark -k", "--wait")


def commands(page: str) -> list[str]:
    """Return the lines of a page's shell blocks that are about taps, exports and tshark."""
    text = (ROOT / "docs" / page).read_text()
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    kept = [line.partition("  #")[0].strip() for line in lines]
    return [line for line in kept if line.startswith(("hil export", "hil tap", "tshark"))]


@needs_tshark
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_the_page_run(page: str, tmp_path: Path) -> None:
    """Every command that needs neither a screen nor a flying run ends well and says no error."""
    pytest.importorskip("pyarrow")
    program = tmp_path / "bin" / "hil"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m hil "$@"\n')
    program.chmod(0o755)
    assert NAMES[0] == "i2c-1"
    kinds = [(Kind.I2C, 0), (Kind.CAN, 1), (Kind.GPIO, 2), (Kind.UART, 3), (Kind.EVENT, 241)]
    payloads = [b"\x40\0\0\0\1\0\7", b"ab", b"\1", b"hello", b'{"name":"X"}']
    write(
        tmp_path / "capture.mcap",
        [Record(*kinds[n % 5], 0, 0, n * 10**9, 0, n, 0, payloads[n % 5]) for n in range(500)],
    )
    home = environment(tmp_path / "home")
    home["PATH"] = f"{program.parent}:{home['PATH']}"
    lines = [line for line in commands(page) if not any(word in line for word in LIVE)]
    assert len(lines) > 3
    if page == "wireshark.md":
        assert lines[0].startswith("hil tap --install")
    for line in lines:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", re.sub(r"\bRUN\b", "capture.mcap", line)],
            cwd=tmp_path,
            env=home,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (line, done.stderr)
        assert "Error" not in done.stderr, line


def test_the_filters_of_the_page_are_fields_of_the_dissector() -> None:
    """Each full name on the page, and each ending behind it, is registered in the script."""
    script = DISSECTOR.read_text()
    keys = set(re.findall(r'^[FX]\(\w+, "([^"]+)"', script, re.MULTILINE))
    keys |= {f"expert.{key}" for key in re.findall(r'^X\(\w+, "([^"]+)"', script, re.MULTILINE)}
    assert "flags." in script
    text = (ROOT / "docs" / "wireshark.md").read_text()
    wrong, found = [], 0
    for row in re.findall(r"^\| (`flatsat\.[^|]*)\|", text, re.MULTILINE):
        folder = ""
        for name in re.findall(r"`(flatsat\.[\w.]+|\.[\w.]+)`", row):
            if name.startswith("flatsat."):
                folder = name.rpartition(".")[0]
            whole = name if name.startswith("flatsat.") else folder + name
            found += 1
            key = whole.removeprefix("flatsat.")
            if key not in keys and not key.startswith("flags."):
                wrong.append(whole)
    assert wrong == []
    assert found > 40


@pytest.mark.skipif(not shutil.which("luac5.4"), reason="luac5.4 is not installed")
def test_the_dissector_is_lua_of_today_too() -> None:
    """Wireshark 4.4 has Lua 5.4: the script is valid there."""
    subprocess.run(["luac5.4", "-p", str(DISSECTOR)], check=True, timeout=30)
