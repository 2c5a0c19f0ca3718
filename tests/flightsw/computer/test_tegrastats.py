"""Lines of tegrastats, of each generation, and its output as a stream."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.computer import tegrastats
from flightsw.computer.reading import Absent, Reading

#: as JetPack 6 has it on an Orin, JetPack 5 on a Xavier, JetPack 4 on a Nano
LINES = {
    "6": "11-23-2026 10:20:30 RAM 3061/7620MB (lfb 2x4MB) SWAP 12/3810MB (cached 1MB) "
    "CPU [12%@1510,8%@1510,off,off,0%@729,4%@729] EMC_FREQ 3%@2133 GR3D_FREQ 47%@[611] "
    "NVDEC off NVJPG off VIC off OFA off APE 200 cpu@49.812C soc2@48.343C gpu@50.5C "
    "tj@50.5C VDD_IN 6544mW/6421mW VDD_CPU_GPU_CV 1200mW/1188mW VDD_SOC 1520mW/1511mW",
    "5": "RAM 2448/15823MB (lfb 2701x4MB) SWAP 0/7912MB (cached 0MB) CPU [3%@1190,1%@1190] "
    "EMC_FREQ 0% GR3D_FREQ 0%@114 VIC_FREQ 115 APE 150 AUX@33C CPU@34.5C thermal@34.2C "
    "Tboard@34C AO@33C GPU@33.5C Tdiode@36C PMIC@50C GPU 0mW/0mW CPU 337mW/337mW SOC 675mW/640mW",
    "4": "RAM 1903/3964MB (lfb 62x4MB) IRAM 0/252kB(lfb 252kB) CPU [26%@921,15%@921,9%@921,off] "
    "EMC_FREQ 6%@1600 GR3D_FREQ 33%@76 APE 25 PLL@31C CPU@33.5C PMIC@100C GPU@32C AO@39.5C "
    "thermal@33C POM_5V_IN 2217/2217 POM_5V_GPU 41/41 POM_5V_CPU 374/374",
}


def found_in(line: str) -> dict[str, tuple[int | str, str]]:
    """Return the readings of a line by name."""
    return {one.name: (one.value, one.unit) for one in tegrastats.parse(line).readings}


def test_a_line_of_jetpack_6() -> None:
    """Memory, cores that are on, GPU, zones and rails of an Orin line are read."""
    found = found_in(LINES["6"])
    assert found["host.memory_used"] == (3061 * 1024, "KiB")
    assert found["host.busy"] == (60, "1/1000")
    assert found["clock.cores"] == (1_510_000, "kHz")
    assert (found["gpu.load"], found["gpu.clock"]) == ((470, "1/1000"), (611_000_000, "Hz"))
    assert found["zone.cpu"] == (49812, "m°C")
    assert found["rail.VDD_IN"] == (6544, "mW")
    assert found["rail.VDD_SOC"] == (1520, "mW")


def test_lines_of_older_releases() -> None:
    """A line without a date, without mW, and with a rail that is called as a zone is read too."""
    xavier, nano = found_in(LINES["5"]), found_in(LINES["4"])
    assert (xavier["zone.GPU"], xavier["rail.GPU"]) == ((33500, "m°C"), (0, "mW"))
    assert xavier["rail.CPU"] == (337, "mW")
    assert nano["rail.POM_5V_IN"] == (2217, "mW")
    assert nano["gpu.load"] == (330, "1/1000")
    assert nano["host.busy"] == (166, "1/1000")


@pytest.mark.parametrize("release", sorted(LINES))
def test_nothing_of_a_known_line_is_left_over(release: str) -> None:
    """Every word of a line as NVIDIA prints it is understood; a strange one is counted."""
    assert tegrastats.parse(LINES[release]).unknown == 0
    assert tegrastats.parse(LINES[release] + " NVNEW ? 12").unknown > 0


@given(st.text(alphabet="RAM CPU[]0123456789@%,/mWCMB GR3D_FREQ().-", max_size=200) | st.text())
def test_no_line_breaks_it(line: str) -> None:
    """Whatever a line is, it gives readings with numbers or nothing."""
    for one in tegrastats.parse(line).readings:
        assert isinstance(one.value, int)


def program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program called tegrastats first in the path."""
    path = folder / "tegrastats"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_one_line_is_taken_of_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of a program that never ends is read, and the program is ended."""
    program(
        tmp_path, f'echo $$ > {tmp_path}/pid\nwhile :; do echo "{LINES["4"]}"; done', monkeypatch
    )
    found = tegrastats.read(1000)
    assert Reading("rail.POM_5V_IN", 2217, "mW") in found
    assert not Path(f"/proc/{int((tmp_path / 'pid').read_text())}").exists()


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("exit 0", "no whole line came"),
        ("head -c 100000 /dev/zero", "it says "),
        ("echo nothing of note; exec cat", "it says 'nothing of note'"),
        ("exec cat <&-; :", "no whole line came"),
    ],
    ids=["ends", "floods", "babbles", "silent"],
)
def test_a_program_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, because: str
) -> None:
    """What ends, floods or says something else is absent with its reason."""
    program(tmp_path, text, monkeypatch)
    (none,) = tegrastats.read(1000)
    assert isinstance(none, Absent)
    assert none.because.startswith(because)


def test_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host without tegrastats says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tegrastats.read() == [Absent("tegrastats", "there is no such program in the path")]
