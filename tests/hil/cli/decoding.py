"""Channels, and files of them, for the tests of ``hil codec``."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet import space_packet
from hil.cli import main

HIL = [sys.executable, "-m", "hil", "codec"]

PACKETS = """
[channel]
name = "packets"
input = "packets"
[packets]
error_control = true
[packets.pus]
version = "c"
[[layout]]
name = "status"
apid = 5
service = 3
fields = [
    {name = "mode", type = "u4", enum = {idle = 0, imaging = 3}},
    {name = "armed", type = "flag"},
    {type = "pad 3"},
    {name = "bus", type = "u16", unit = "mV", scale = 0.001, scaled_unit = "V", doc = "bus"},
    {name = "pair", type = "u8[2]"},
    {name = "gain", type = "f32"},
    {name = "count", type = "u8"},
    {name = "samples", type = "i16[count]"},
    {name = "level", type = "u64", when = "armed"},
    {name = "tag", type = "bytes 2"},
    {name = "note", type = "text 4", when = "mode", equals = "imaging"},
    {name = "words", type = "text 2[count]"},
    {name = "at", type = "cuc 4 2"},
    {name = "rest", type = "text rest"},
]
[[layout]]
name = "fixed"
apid = 6
fields = [{name = "n", type = "u16"}, {name = "v", type = "i8[3]"}]
[[layout]]
name = "never"
apid = 7
fields = [{name = "n", type = "u16"}]
"""
VALUES: tuple[dict[str, Any], ...] = (
    {"mode": 1, "armed": False, "bus": 0, "pair": [1, 2], "gain": float("nan"), "count": 0}
    | {"samples": [], "tag": b"\0\xff", "words": [], "at": 0, "rest": ""},
    {"mode": "imaging", "armed": True, "bus": 5012, "pair": [3, 4], "gain": 0.5, "count": 2}
    | {"samples": [-7, 300], "level": 2**64 - 1, "tag": b"ab", "note": "hey", "words": ["a", "bc"]}
    | {"at": 1_500_000_000, "rest": 'a,"b" ü'},
)
FRAMES = """
[channel]
name = "air"
input = "{input}"
randomiser = "tm"
[marker]
[frames]
kind = "tm"
nbytes = 64
scid = 9
"""


def air(count: int = 20) -> tuple[bytes, list[bytes]]:
    """Return frames as they come off the air, and the packets in them."""
    encoder = tm_frame.Encoder(Frames("tm", 64, 9, ocf=True))
    sent = [space_packet.pack(100 + i % 2, i // 2, bytes([i] * 30)) for i in range(count)]
    for packet in sent:
        encoder.add(0, packet)
    octets = b""
    while (frame := encoder.next_frame(0, ocf=bytes(4), flush=True)) is not None:
        octets += tm_frame.cadu(frame)
    return octets, sent


def run(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run the command as a process of its own; return exit code, stdout and stderr."""
    done = subprocess.run([*HIL, *words], input=stdin, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def here(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], list[str]]:
    """Run the command in this process; return exit code, and lines of stdout and stderr."""
    code = main(["codec", *words])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err.splitlines()


def rows_of(path: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
