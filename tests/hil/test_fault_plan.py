"""Fault plans: what a user writes becomes faults of buses, or an error that says where and why."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hil.board import load_board
from hil.buses.can_faults import CANFault
from hil.buses.faults import FOREVER, BusFault
from hil.buses.frames import FrameFault
from hil.buses.gpio_faults import PinFault
from hil.buses.line_faults import LineFault
from hil.errors import ConfigError, UsageError
from hil.faults.plan import apply, read_plan
from hil.missions import load
from hil.options import Options
from hil.parts.fault_windows import FOREVER_NS
from hil.parts.pps import PulseFault
from hil.rig import Rig
from hil.session import fly

SECOND = 1_000_000_000
SHORT = Options(transport="direct", inference="threshold", duration_s=30.0)
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def rig() -> Rig:
    mission = load("tiansuan_bupt1")
    return Rig(load_board("raspberrypi4"), mission, seed=1, duration_s=30.0, inference="threshold")


ROWS = {
    "i2c-1:nak_address,address=0x40,first=5,last=9": BusFault(
        "i2c-1", "nak_address", 0x40, "index", 5, 9
    ),
    "i2c-1:stuck_sda,from=300,until=5.5 min": BusFault(
        "i2c-1", "stuck_sda", None, "t_ns", 300 * SECOND, 330 * SECOND - 1
    ),
    "spi-0:bit_flip,octet=1,bit=3": BusFault(
        "spi-0", "bit_flip", None, "index", 0, FOREVER, {"octet": 1, "bit": 3}
    ),
    "ttyAMA1:framing,from=0.5,rate=0.1": LineFault("framing", SECOND // 2, FOREVER_NS, rate=0.1),
    "can0:crc,can_id=0x101,node=eps": CANFault("crc", can_id=0x101, node="eps"),
    "gpiochip0:stuck,line=4,level=1,until=2 ms": PinFault("stuck", 4, 0, 2_000_000, level=1),
    "csi0:timeout,from=10": FrameFault("timeout", 10 * SECOND),
    "gnss:shifted,value_ns=1000000000": PulseFault("shifted", value_ns=SECOND),
}


@pytest.mark.parametrize("text", ROWS)
def test_a_row_becomes_the_fault_of_its_bus(rig: Rig, text: str) -> None:
    """Each kind of bus, and a time pulse, gets what the row says, and the records tell of it."""
    apply(read_plan([text]), rig)
    name = text.partition(":")[0]
    bus = rig.wiring.buses.get(name)
    faults = rig.wiring.parts[name].pulse.faults if bus is None else bus.faults
    assert list(faults) == [ROWS[text]]
    (event,) = rig.events
    assert (event["source"], event["on"], event["planned"]) == ("fault", name, 1)


def test_a_file_says_the_same(rig: Rig, tmp_path: Path) -> None:
    """The rows of a file are those of the command line, kills among them."""
    path = tmp_path / "plan.toml"
    path.write_text(
        "[[fault]]\non = 'i2c-1'\nkind = 'nak_address'\naddress = 0x40\nfirst = 5\nlast = 9\n"
        "[[fault]]\nkind = 'kill'\nat = '20 min'\n"
        "[[fault]]\non = 'ttyAMA1'\nkind = 'framing'\nfrom = '500 ms'\nrate = 0.1\n"
    )
    plan = read_plan(["kill@7"], path)
    assert plan.kills == (1200 * SECOND, 7 * SECOND)
    apply(plan, rig)
    texts = list(ROWS)
    assert list(rig.wiring.buses["i2c-1"].faults) == [ROWS[texts[0]]]
    assert list(rig.wiring.buses["ttyAMA1"].faults) == [ROWS[texts[3]]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kill", "kill@1200"),
        ("kill@-1", "no time of a run"),
        ("kill@2,3", "its time alone"),
        ("nothing", "BUS:KIND"),
        ("i2c-1:nak_adress", "not a fault of this kind of bus"),
        ("i2c-7:nak_address", "did you mean 'i2c-1'"),
        ("i2c-1:nak_address,adress=1", "did you mean 'address'"),
        ("i2c-1:nak_address,address=x", "whole number"),
        ("i2c-1:nak_address,first=9,last=5", "ends before it starts"),
        ("i2c-1:nak_address,first=9,from=5", "take one"),
        ("i2c-1:nak_address,first", "KEY=VALUE"),
        ("ttyAMA1:framing,rate=2", "at most 1"),
        ("ttyAMA1:framing,from=9,until=2", "before it starts"),
        ("ttyAMA1:framing,from=9 kg", "seconds"),
        ("gpiochip0:stuck", "'line'"),
        ("csi0:timeout,value=1.5", "whole number"),
        ("can0:crc,node=epps", "did you mean 'eps'"),
    ],
)
def test_a_wrong_row_is_named(rig: Rig, text: str, words: str) -> None:
    """The error is one line, quotes the row and says what would be right."""
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        apply(read_plan([text]), rig)
    assert str(caught.value).startswith(f"fault {text!r}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fault = 3\n", "array of tables"),
        ("[[fault]]\nkind = 'crc'\n", "plan.toml:1: fault[0]: key 'on'"),
        ("[[fault]]\nonn = 'can0'\nkind = 'crc'\n", "the bus that fails; there is kind, onn"),
        ("[[fault]]\non = 'can0'\nkind = 'crc'\nrate = true\n", "plan.toml:4: fault[0].rate"),
        ("[[faults]]\n", "did you mean 'fault'"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(
    rig: Rig, tmp_path: Path, text: str, words: str
) -> None:
    """The error has file, line and key."""
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        apply(read_plan((), path), rig)


def test_two_flights_with_a_plan_agree_and_another_seed_does_not(tmp_path: Path) -> None:
    """Faults on every bus at once: same seed, same digest; the drawn ones differ by seed."""
    texts = (
        *("i2c-1:bit_flip,octet=1,first=40,last=60", "i2c-1:stuck_sda,from=12,until=12.5"),
        *("spi-0:wrong_mode,first=3,last=4", "ttyAMA1:framing,rate=0.01", "can0:crc,rate=0.2"),
        *("gpiochip0:bounce,line=4,times=2,value_ns=50000", "gnss:jittered,value_ns=900000"),
        "ttyAMA2:bit_flip,rate=0.001",
    )
    digests = [
        fly(replace(SHORT, seed=seed, faults=texts, out=tmp_path / name)).digest
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    ]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
    assert digests[0] != fly(replace(SHORT, seed=5, out=tmp_path / "d")).digest
    events = [json.loads(line) for line in (tmp_path / "a/events.jsonl").read_text().splitlines()]
    assert sum(event.get("planned", 0) for event in events) == len(texts)


def test_the_command_that_repeats_a_run_has_its_faults(tmp_path: Path) -> None:
    """What a report says to type gives the same plan."""
    options = replace(SHORT, faults=("can0:crc,rate=0.2",), plan=tmp_path / "plan.toml")
    words = options.command().split()
    assert words[words.index("--fault") + 1] == "can0:crc,rate=0.2"
    assert words[words.index("--faults") + 1] == str(tmp_path / "plan.toml")


PROGRAM = """
import fcntl, os, sys
fd = os.open("/dev/i2c-1", os.O_RDWR)
fcntl.ioctl(fd, 0x0703, 0x48)
codes = []
for _ in range(4):
    try:
        os.write(fd, bytes(1))
        codes.append(0)
    except OSError as error:
        codes.append(error.errno)
print(codes)
"""


def test_an_unmodified_program_meets_the_faults_of_the_plan(tmp_path: Path) -> None:
    """`hil run --fault ROW -- CMD`: its third write fails with the adapter's errno, no other."""
    words = [sys.executable, "-m", "hil", "run", "--pace", "max", "--out", str(tmp_path / "run")]
    words += ["--fault", "i2c-1:nak_address,address=0x48,first=2,last=2", "-q", "--"]
    done = subprocess.run(
        [*words, sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=os.environ
    )
    if "was not built" in done.stderr:
        pytest.skip("the preload shim was not built")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, 0, errno.EREMOTEIO, 0]


def test_a_foreign_program_cannot_be_killed_by_the_plan() -> None:
    """A kill is for the flight software; here it is refused before anything starts."""
    from hil.hosting import host_program

    with pytest.raises(UsageError, match="flight software"):
        host_program(replace(SHORT, faults=("kill@3",)), ["true"])


def test_the_example_of_the_page_is_a_plan(rig: Rig, tmp_path: Path) -> None:
    """What docs/faults.md shows can be used as it stands."""
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / "faults.md").read_text(), re.S)
    path = tmp_path / "plan.toml"
    path.write_text(example)
    apply(read_plan((), path), rig)
    assert len(rig.events) == example.count("on = ")
