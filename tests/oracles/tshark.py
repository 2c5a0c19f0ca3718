"""Running Wireshark's programs on a file, without the settings of whoever runs the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.wire import Record
from hil.capture.writer import CaptureWriter
from hil.cli import main

EPOCH_NS = 1_680_480_000 * 10**9
NAMES = {0: "i2c-1", 1: "can0", 2: "gpiochip0", 3: "ttyAMA1", 240: "link", 241: "event"}
DISSECTOR = Path(str(files("hil.capture.wireshark") / "flatsat.lua"))
#: what Wireshark prints where a script of Lua fails
TROUBLE = ("Lua Error", "LUA ERROR", "Lua: Error", "flatsat.lua:", "possible infinite loop")

needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")


def environment(home: Path) -> dict[str, str]:
    """Return an environment whose settings of Wireshark are those below ``home``, if any."""
    kept = {
        k: v for k, v in os.environ.items() if k not in ("XDG_CONFIG_HOME", "WIRESHARK_DATA_DIR")
    }
    return {**kept, "HOME": str(home)}


@contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and end it with whoever asked for it."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def tshark(path: Path, *words: str, lua: bool = False, home: Path | None = None) -> str:
    """Return what tshark prints about a file, by itself or with our dissector."""
    script = ["-X", f"lua_script:{DISSECTOR}"] if lua else []
    done = subprocess.run(
        ["tshark", *script, "-r", str(path), *words],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment(home or path.parent),
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert not any(trouble in done.stdout + done.stderr for trouble in TROUBLE), done.stderr
    return done.stdout


def table(
    path: Path, *fields: str, only: str = "frame", lua: bool = False, home: Path | None = None
) -> list[dict[str, str]]:
    """Return fields of every packet that a display filter lets through."""
    words = ["-Y", only, "-T", "fields", "-E", "separator=|", "-E", "aggregator=;"]
    words += [word for field in fields for word in ("-e", field)]
    lines = tshark(path, *words, lua=lua, home=home).splitlines()
    return [dict(zip(fields, line.split("|"), strict=True)) for line in lines]


def write(path: Path, records: list[Record]) -> Path:
    """Write a capture."""
    with CaptureWriter(path, EPOCH_NS, NAMES, {"board": "trial", "seed": "7"}) as writer:
        writer.write(b"".join(record.pack() for record in records))
    return path


def exported(folder: Path, records: list[Record], *options: str) -> Path:
    """Return the pcapng of a capture with these records."""
    path = write(folder / "capture.mcap", records)
    out = folder / "exported.pcapng"
    assert main(["export", str(path), "--out", str(out), *options]) == 0
    return out
