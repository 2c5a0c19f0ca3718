"""``tegrastats`` of NVIDIA: one line of it read into readings, and a reader of its output.

Source: NVIDIA Jetson Linux Developer Guide, "tegrastats Utility". A line is a row of statements;
one that is not known is counted and left alone, since each release has others. JetPack 4 has no mW
and no date. The reader is bounded: by the length of a line, and by the time it waits.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from typing import NamedTuple

from flightsw.computer.reading import Absent, Reading, Result

LINE_LIMIT = 4096
#: statements of a line that are taken, more is not looked at
_STATEMENTS = 128
_DATE = re.compile(r"^\d\d-\d\d-\d{4} \d\d:\d\d:\d\d ")
_STATEMENT = re.compile(
    r"RAM (?P<used>\d+)/(?P<total>\d+)MB(?: \(lfb [^)]*\))?"
    r"|SWAP \d+/\d+MB(?: \([^)]*\))?|IRAM \d+/\d+kB ?(?:\([^)]*\))?"
    r"|CPU \[(?P<cores>[^\]]*)\]"
    r"|GR3D(?P<gpus>\d?)_FREQ (?:(?P<load>\d+)%)?(?:@\[?(?P<clock>\d+)(?:,\d+)*\]?)?"
    r"|(?P<zone>[A-Za-z][\w-]*)@(?P<celsius>-?\d+(?:\.\d+)?)C"
    r"|(?P<rail>[A-Z][A-Z0-9_]*) (?P<now>\d+)(?:mW)?/(?P<mean>\d+)(?:mW)?(?= |$)"
    r"|(?P<other>[A-Za-z][\w]*) (?:off|\d+%?(?:@\[?[\d,]+\]?)?)(?= |$)"
    r"|(?P<unknown>\S+)"
)
_MIB = 1024


class Line(NamedTuple):
    """What a line says, and how many of its words were not understood."""

    readings: list[Reading]
    unknown: int


def parse(line: str) -> Line:
    """Return the readings of one line; never raises, whatever the line is."""
    readings: list[Reading] = []
    unknown = 0
    text = _DATE.sub("", line[:LINE_LIMIT].strip())
    for number, found in enumerate(_STATEMENT.finditer(text)):
        if number >= _STATEMENTS or found["unknown"]:
            unknown += 1
        else:
            readings += _readings(found)
    return Line(readings, unknown)


def _readings(found: re.Match[str]) -> list[Reading]:
    if found["used"]:
        used, total = int(found["used"]) * _MIB, int(found["total"]) * _MIB
        return [
            Reading("host.memory_used", used, "KiB"),
            Reading("host.memory_total", total, "KiB"),
        ]
    if found["cores"] is not None:
        return _cores(found["cores"])
    if found["zone"]:
        mdegc = round(float(found["celsius"]) * 1000)
        return [Reading(f"zone.{found['zone']}", mdegc, "m°C")]
    if found["rail"]:
        return [Reading(f"rail.{found['rail']}", int(found["now"]), "mW")]
    gpu: list[Reading] = []
    if found["load"]:
        gpu.append(Reading("gpu.load", int(found["load"]) * 10, "1/1000"))
    if found["clock"]:
        gpu.append(Reading("gpu.clock", int(found["clock"]) * 1_000_000, "Hz"))
    return gpu


def _cores(text: str) -> list[Reading]:
    """Read ``12%@1190,off,0%@729``: the mean load of cores that are on, and the top clock."""
    loads, clocks = [], []
    for core in text.split(","):
        load, _, mhz = core.partition("%@")
        if load.isdigit() and mhz.isdigit():
            loads.append(int(load))
            clocks.append(int(mhz))
    if not loads:
        return []
    return [
        Reading("host.busy", sum(loads) * 10 // len(loads), "1/1000"),
        Reading("clock.cores", max(clocks) * 1000, "kHz"),
    ]


def read(interval_ms: int = 1000, patience_s: float = 5.0) -> list[Result]:
    """Start ``tegrastats --interval``, take its first line, end it; wait no longer than told."""
    program = shutil.which("tegrastats")
    if program is None:
        return [Absent("tegrastats", "there is no such program in the path")]
    try:
        process = subprocess.Popen(  # noqa: S603 - found in the path of who runs us
            [program, "--interval", str(interval_ms)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        return [Absent("tegrastats", f"it does not start ({error.strerror})")]
    assert process.stdout is not None, "its output is a pipe"
    try:
        line = _line(process.stdout.fileno(), patience_s)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if line is None:
        return [Absent("tegrastats", f"no whole line came within {patience_s:g} s")]
    return list(parse(line).readings) or [Absent("tegrastats", f"it says {line[:40]!r}")]


def _line(descriptor: int, patience_s: float) -> str | None:
    octets = b""
    end_s = time.monotonic() + patience_s
    while b"\n" not in octets and len(octets) < LINE_LIMIT:
        left_s = end_s - time.monotonic()
        if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
            return None
        some = os.read(descriptor, LINE_LIMIT)
        if not some:
            return None
        octets += some
    return octets.split(b"\n", 1)[0].decode("ascii", "replace")
