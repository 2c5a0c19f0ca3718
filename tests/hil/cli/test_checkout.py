"""`hil checkout`: a part by its register map, emulated, on a board, and by its device file."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hil.checkout import catalogue
from hil.checkout.subject import Subject, number
from hil.cli import main
from hil.hosting import SHIM
from hil.parts import PART_TYPES, part_class
from hil.parts.guide import fields
from hil.parts.ina219 import Ina219
from hil.parts.registers import Register

ROOT = Path(__file__).resolve().parents[3]
needs_shim = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)

Said = Callable[..., list[Any]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Return a function that runs the verb with --json and returns the objects it printed."""

    def run(*words: str, code: int = 0) -> list[Any]:
        assert main(["checkout", *words, "--json"]) == code
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def complaint(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """Return the one line that the verb says when it refuses."""
    assert main(["checkout", *words]) == code
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    return captured.err


def test_every_part_is_listed(said: Said) -> None:
    """Without a part, every type is there with its buses and what it is."""
    listed = {one["part"]: one for one in said()}
    assert set(PART_TYPES) <= set(listed)
    assert listed["ina219"]["buses"] == ["i2c"]
    assert listed["ina219"]["addresses"] == list(range(0x40, 0x50))
    assert all(one["about"] for one in listed.values())


@pytest.mark.parametrize("name", PART_TYPES)
def test_each_part_can_be_opened_listed_and_tested(name: str, said: Said) -> None:
    """Every part stands on a bench of its own, lists itself, and passes its own self-test."""
    assert said(name)[0]["part"] == name
    findings = said(name, "self-test")
    assert [one for one in findings if one["ok"] is False] == []
    part = part_class(name)
    if hasattr(part, "MAP"):
        held = {one["what"] for one in findings if one["check"] == "holds"}
        mask = (1 << part.MAP.width) - 1
        rows = [row for row in part.MAP.registers if row.writable & ~row.clearing & mask]
        assert {row.name for row in rows if not (row.w1c | row.w0c)} - held == set()


@pytest.mark.parametrize("name", PART_TYPES)
def test_what_a_guide_names_is_there(name: str) -> None:
    """Registers, fields and settings of a guide are those of the table, and inside its widths."""
    subject = catalogue.Opener(name).fresh()
    guide = subject.guide
    named = {*guide.identity, *guide.fields, *guide.volatile, *guide.careful, *guide.consumed}
    named |= {register for register, _ in guide.setup}
    named |= {reading.register for reading in guide.readings.values()}
    table = {entry.name: entry for entry in subject.entries}
    assert named - set(table) == set()
    for register, text in guide.fields.items():
        used = 0
        for field in fields(text):
            assert not used & field.mask, f"{register}.{field.name} overlaps"
            used |= field.mask
        assert used & ~table[register].mask == 0
    for reading in guide.readings.values():
        register, _, field_name = reading.by.partition(".")
        assert not reading.by or field_name in table[register].decoded(0)


def test_reading_follows_an_input_in_virtual_time(said: Said) -> None:
    """An input set on the command line is what the registers and the readings say."""
    register, reading = said("ina219", "--set", "bus_v=12", "read", "bus_voltage", "bus_v")
    assert register["octets"] == "5dc2"
    assert register["fields"] == {"BD": 3000, "CNVR": 1, "OVF": 0}
    assert (register["reset"], register["differs"]) == (0, True)
    assert reading == {"action": "read", "reading": "bus_v", "unit": "V", "value": 12.0}


def test_parameters_are_set_as_inputs_are(said: Said) -> None:
    """A parameter of the part given with --set scales its reading."""
    given = ("--set", "shunt=0.01", "--set", "current_a=20")
    (reading,) = said("ina219", *given, "read", "current_a")
    assert reading["value"] == pytest.approx(20.0, abs=1e-3)


def test_a_list_parameter_takes_one_number_for_all(said: Said) -> None:
    """The shunts of the INA3221 are all set, and scale each channel's reading."""
    given = ("--set", "shunts=0.01", "--set", "current3_a=10")
    (reading,) = said("ina3221", *given, "read", "current3_a")
    assert reading["value"] == pytest.approx(10.0, abs=4e-3)


def test_actions_follow_each_other_on_one_part(said: Said) -> None:
    """A write is seen by the read behind it; a field is changed and the others stay."""
    words = ("write", "config", "MODE=3", "read", "config", "write", "0x05", "1000h", "read", "5")
    written, read, calibration, again = said("ina219", *words)
    assert written["written"] == read["value"] == 0x399B
    assert read["fields"]["MODE"] == 3
    assert calibration["register"] == again["register"] == "CALIBRATION"
    assert again["value"] == 0x1000


def test_set_and_wait_move_the_bench(said: Said) -> None:
    """Between two reads the input changes and virtual time passes."""
    words = ("read", "temperature_c", "set", "temperature_c=-40", "wait", "2", "read", "temp")
    first, _, _, second = said("lm75", *words[:-1], "temperature_c")
    assert (first["value"], second["value"]) == (25.0, -40.0)


def test_watch_is_periodic(said: Said) -> None:
    """Each turn comes the given time after the one before, as often as asked."""
    seen = said("ina219", "watch", "bus_v", "--every", "0.1", "--count", "4", "--after", "0")
    times = [one["t_s"] for one in seen]
    assert len(times) == 4
    assert all(0.1 <= b - a < 0.101 for a, b in itertools.pairwise(times))


def test_dump_shows_every_register(said: Said) -> None:
    """Name, octets, fields, reset value, and whether it differs, for each row of the table."""
    rows = said("mcp9808", "dump")
    registers = [row for row in rows if "register" in row]
    assert [row["register"] for row in registers] == [r.name for r in part_class("mcp9808").MAP[0]]
    differing = {row["register"] for row in registers if row["differs"]}
    assert differing == {"T_A"}
    assert rows[-1]["reading"] == "temperature_c"


def test_banks_are_shown_by_themselves(said: Said) -> None:
    """A register of another bank is read and written as any other."""
    words = ("read", "accel_config", "who_am_i", "write", "accel_config", "FS_SEL=3", "read")
    config, identity, written, again = said("icm20948", *words, "accel_config")
    assert (config["bank"], config["value"]) == (0x20, 0x01)
    assert identity["value"] == 0xEA
    assert written["value"] == again["value"] == 0x07


def test_spi_parts_are_reached_by_address_octets(said: Said) -> None:
    """The BME280 on SPI and the MAX31865 take their own bits for a read and a write."""
    (identity,) = said("bme280", "--on", "spi", "read", "id")
    assert identity["value"] == 0x60
    words = ("write", "config", "0xc0", "wait", "1", "read", "rtd_ohm")
    *_, resistance = said("max31865", *words)
    assert resistance["value"] == pytest.approx(109.73, abs=0.02)


def test_memories_are_read_and_written(said: Said) -> None:
    """An EEPROM takes octets over the end of a page; a flash tells its identity and its octets."""
    written, read = said("at24c02", "write", "0x06", "01020304", "read", "5:6")
    assert written["octets"] == "01020304"
    assert read["octets"] == "ff01020304ff"
    identity, octets = said("w25q16", "read", "jedec_id", "0x100:4")
    assert (identity["octets"], octets["octets"]) == ("ef4015", "ffffffff")


def test_parts_that_speak_can_be_heard(said: Said) -> None:
    """A receiver's sentences, a node's frames and the answer of a 1-Wire part are shown."""
    heard = said("ublox", "watch", "--count", "2", "--after", "0")
    assert bytes.fromhex(heard[0]["octets"]).startswith(b"$GN")
    frames = said("eps_node", "watch", "--count", "1")
    assert {frame["ident"] for frame in frames} == {0x100, 0x101, 0x102, 0x700}
    words = ("send", "cc44", "wait", "0.75", "read", "scratchpad")
    *_, scratchpad = said("ds18b20", "--set", "temperature_c=50", *words)
    assert scratchpad["octets"].startswith("2003")


def test_a_part_of_a_board_file_is_found(said: Said, tmp_path: Path) -> None:
    """By its name there, by its type where that is one only, and behind a switch."""
    assert said("temp_chip", "--board", "raspberrypi4", "read", "device_id")[0]["value"] == 0x117
    assert "chip select 0" in said("w25q128", "--board", "raspberrypi4")[0]["where"]
    path = tmp_path / "b.toml"
    path.write_text(
        '[board]\nname = "b"\ntitle = "b"\nadapter = "bcm2835"\n[bus.i2c-1]\nkind = "i2c"\n'
        '[part.mux]\ntype = "tca9548a"\nbus = "i2c-1"\naddress = 0x70\n'
        '[part.far]\ntype = "lm75"\nbus = "i2c-1"\naddress = 0x48\nmux = "mux"\nchannel = 3\n'
    )
    (reading,) = said("far", "--board", str(path), "read", "temperature_c")
    assert reading["value"] == 25.0


class Broken(Ina219):
    """An INA219 whose configuration has a bit that is stuck."""

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        super().on_write(t_ns, address, value)
        self.file.values[0] |= 0x0008


def test_a_part_that_breaks_its_table_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The self-test of a part with a stuck bit names register and bit, and ends with 1."""
    monkeypatch.setattr("hil.parts.ina219.Ina219", Broken)
    assert main(["checkout", "ina219", "self-test"]) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 1
    assert "CONFIG" in failed[0]
    assert "0008h" in failed[0]


def test_a_wrong_identity_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part that answers with another identity than its data sheet's fails by that register."""
    cls = part_class("lis3mdl")
    before = cls.__init__

    def wrong(self: Any, *given: Any, **named: Any) -> None:
        before(self, *given, **named)
        self.file.values[0x0F] = 0x3C

    monkeypatch.setattr(cls, "__init__", wrong)
    assert main(["checkout", "lis3mdl", "self-test"]) == 1
    assert "FAIL  identity    WHO_AM_I" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ina21",), "did you mean 'ina219'"),
        (("ina219", "raed", "config"), "did you mean 'read'"),
        (("ina219", "read", "confg"), "did you mean 'config'"),
        (("ina219", "read"), "`read` needs more words, as in `read CONFIG`"),
        (("ina219", "read", "bus"), "may be bus_voltage, bus_v"),
        (("ina219", "read", "0x99"), "is no register"),
        (("ina219", "write", "config", "0x12345"), "does not fit"),
        (("ina219", "write", "config", "MODE=9"), "MODE holds 0 to 7"),
        (("ina219", "write", "config", "MOD=1"), "did you mean 'mode'"),
        (("ina219", "write", "bus_v", "1"), "is no register"),
        (("ina219", "--set", "bus=1"), "did you mean 'bus_v'"),
        (("ina219", "--set", "bus_v=99"), "outside 0 to 26 V"),
        (("ina219", "--set", "bus_v"), "there is no value"),
        (("ina219", "--address", "0x04"), "0x08 to 0x77"),
        (("ina219", "--on", "spi"), "does not sit on"),
        (("ina219", "--on", "/dev/spidev0.0"), "does not sit on"),
        (("ina219", "--address", "0x33"), "can have 0x40"),
        (("ina219", "--set", "shunt=-1"), "shunt"),
        (("mcp2515", "--set", "can_bus=1"), "takes a word"),
        (("ina219", "watch"), "watch what"),
        (("at24c02", "dump"), "has no registers to dump"),
        (("w25q16", "write", "0", "00"), "does not write it"),
        (("at24c02", "read", "0xff:2"), "octets 0 to 0xff"),
        (("tmp117", "--board", "raspberrypi4"), "temp_board, temp_chip; name one"),
        (("nobody", "--board", "raspberrypi4"), "has no part 'nobody'"),
        (("ina3221", "--board", "raspberrypi4", "--set", "shunts=1"), "raspberrypi4.toml gives it"),
        (("ina219", "--on", "/dev/i2c-9"), "give --address"),
        (("ina219", "send", "05", "--", "-3"), "0 to 65536"),
        (("max31865", "send", "00", "99999999999"), "0 to 65536"),
        (("ublox", "send", "zz#11"), "hexadecimal"),
        (("eps_node", "send", "zz#11"), "is no frame"),
        (("eps_node", "send", "11"), "is no frame"),
        (("eps_node", "send", "FFFFFFFFFF#00"), "the bus refuses it"),
        (("eps_node", "send", "1#112233445566778899"), "the bus refuses it"),
    ],
)
def test_wrong_words_are_one_line(
    words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be done is told in one line, with the nearest thing that can."""
    assert expected in complaint(capsys, *words)


def test_a_device_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """The host is not fit: exit code 3, and the file is named."""
    line = complaint(capsys, "lm75", "--on", "/dev/i2c-99", "--address", "0x48", code=3)
    assert "/dev/i2c-99: no such device file" in line


def test_numbers_are_taken_as_data_sheets_write_them() -> None:
    """Hexadecimal by 0x and by h, binary, decimal."""
    assert [number(word) for word in ("0x1F", "1Fh", "0b11111", "31")] == [31] * 4


def through_the_shim(
    folder: Path, *words: str, board: str = "raspberrypi4"
) -> subprocess.CompletedProcess[str]:
    """Run the verb as a program on the bench of a board."""
    python = [sys.executable, "-m", "hil"]
    bench = [*python, "run", "--board", board, "--pace", "max", "--out", str(folder / "run")]
    bench += ["-q", "--"]
    return subprocess.run(
        [*bench, *python, "checkout", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
    )


@needs_shim
def test_a_real_device_file_is_read_and_not_written(tmp_path: Path) -> None:
    """By /dev/i2c-1 the part is found, dumped and tested without a write."""
    words = ("tmp117", "--on", "/dev/i2c-1", "--address", "0x48", "read", "device_id", "self-test")
    done = through_the_shim(tmp_path, *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    identity, *findings = (json.loads(line) for line in done.stdout.splitlines())
    assert identity["value"] == 0x0117
    assert [one["check"] for one in findings] == ["identity", "answers", "conversion", "holds"]
    assert [one["ok"] for one in findings] == [True, True, True, None]


@needs_shim
def test_a_real_part_gets_its_values_back(tmp_path: Path) -> None:
    """With --write each register is tried, and afterwards it is as it was before."""
    words = ("ina3221", "--on", "/dev/i2c-1", "--address", "0x40")
    done = through_the_shim(tmp_path, *words, "write", "config", "0x7fff", "self-test", "--write",
                            "read", "config", "warning_limit_2", "--json")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["value"] for one in told[-2:]] == [0x7FFF, 0x7FF8]
    assert "WARNING_LIMIT_2" in {one.get("what") for one in told if one.get("check") == "holds"}


@needs_shim
def test_an_adapter_of_smbus_only_reads_by_blocks(tmp_path: Path) -> None:
    """Registers are read and written by I2C block transfers; what SMBus cannot do is told."""
    board = tmp_path / "b.toml"
    board.write_text(
        '[board]\nname = "b"\ntitle = "b"\nadapter = "smbus"\n[bus.i2c-1]\nkind = "i2c"\n'
        '[part.t]\ntype = "tmp117"\nbus = "i2c-1"\naddress = 0x48\n'
    )
    words = ("tmp117", "--on", "/dev/i2c-1", "--address", "0x48")
    actions = ("write", "high_limit", "0x1234", "read", "high_limit", "device_id", "--json")
    done = through_the_shim(tmp_path, *words, *actions, board=str(board))
    assert (done.returncode, done.stderr) == (0, "")
    values = [json.loads(line)["value"] for line in done.stdout.splitlines()]
    assert values == [0x1234, 0x1234, 0x0117]
    (tmp_path / "2").mkdir()
    done = through_the_shim(tmp_path / "2", *words, "send", "0102", "2", board=str(board))
    assert done.returncode == 2
    assert "knows SMBus only" in done.stderr


@needs_shim
def test_nobody_at_an_address_is_exit_code_4(tmp_path: Path) -> None:
    """No acknowledgement is one line with the errno, and ends with 4."""
    done = through_the_shim(tmp_path, "tmp117", "--on", "/dev/i2c-1", "--address", "0x4a", "dump")
    assert done.returncode == 4
    assert "read TEMP_RESULT: no answer (EREMOTEIO)" in done.stderr
    assert done.stderr.count("\n") == 1


@needs_shim
def test_a_spidev_and_a_tty_are_reached(tmp_path: Path) -> None:
    """The flash answers by /dev/spidev0.0, the receiver is heard by its tty."""
    done = through_the_shim(tmp_path, "w25q128", "--on", "/dev/spidev0.0", "self-test", "--json")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["what"] for one in told if one["ok"]} >= {"jedec_id", "device_id", "sfdp"}
    words = ("ublox", "--on", "/dev/ttyAMA1", "watch", "--count", "40", "--every", "0.05", "--json")
    (tmp_path / "run2").mkdir()
    done = through_the_shim(tmp_path / "run2", *words)
    assert done.returncode == 0, done.stderr
    heard = b"".join(bytes.fromhex(json.loads(line)["octets"]) for line in done.stdout.splitlines())
    assert b"$GN" in heard


def test_a_table_decides_what_can_be_written() -> None:
    """Access is read from the row: nothing writable is ro, all clearing is wo."""
    subject: Subject = catalogue.Opener("mpu6050").fresh()
    access = {entry.name: entry.access for entry in subject.entries}
    assert access["WHO_AM_I"] == "ro"
    assert access["SIGNAL_PATH_RESET"] == "wo"
    assert access["PWR_MGMT_1"] == "rw"
    assert Register(0, "X", clearing=0xFF).writable == -1


PAGE = (ROOT / "docs" / "checkout.md").read_text()


@pytest.mark.parametrize("command", re.findall(r"^\| `hil checkout (.+?)` \|", PAGE, re.M))
def test_the_commands_of_the_page_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command that the page shows ends well and says something."""
    assert main(["checkout", *shlex.split(command)]) == 0
    assert capsys.readouterr().out
