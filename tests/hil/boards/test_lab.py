"""The lab file: which boards a user has, what each stands in for, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.board import load_board
from hil.boards import boardtype
from hil.boards import lab as lab_module
from hil.boards.identity import Wanted
from hil.boards.lab import Lab, lab_path, load_lab
from hil.boards.session import State
from hil.errors import ConfigError

LEAST = """schema = 1

[[instance]]
id = "bench-uno-1"
type = "uno"
uid = "5f3c9a0012d4e801"
parts = { power_monitor = "i2c0" }
shadow = ["power_monitor"]
tolerances.power_monitor = { bus1_v = 2 }

[[instance]]
id = "spare"
type = "posix"
emulate = "posix"
buses = { "can0" = "can0" }
"""


def write(folder: Path, text: str) -> Path:
    """Return the path of a new lab file."""
    path = folder / "lab.toml"
    path.write_text(text)
    return path


def test_a_lab_says_what_is_behind_what(tmp_path: Path) -> None:
    """Instances, what they are known by, their bindings and their shadows come out as written."""
    lab = load_lab(write(tmp_path, LEAST))
    uno, spare = lab.instance("bench-uno-1"), lab.instance("spare")
    assert uno.wanted == Wanted(uid=bytes.fromhex("5f3c9a0012d4e801"))
    assert uno.emulate is None
    assert spare.emulate == "posix"
    assert lab.behind("power_monitor") is uno
    assert lab.behind("can0") is spare
    assert lab.behind("temp_board") is None
    assert uno.needs == {"i2c"}
    assert uno.shadow == {"power_monitor"}
    assert uno.tolerances == {"power_monitor": {"bus1_v": 2}}
    lab.check(load_board("raspberrypi4"))


PAGE = Path(__file__).resolve().parents[3] / "docs" / "lab-file.md"


def test_the_lab_of_the_page_is_one(tmp_path: Path) -> None:
    """The example of the manual is read without a complaint, and fits the default computer."""
    example = PAGE.read_text().split("```toml\n")[1].split("```")[0]
    lab = load_lab(write(tmp_path, example))
    assert set(lab.instances) == {"bench-uno-1", "bench-can"}
    lab.check(load_board("raspberrypi4"))


def test_the_page_names_every_key_and_state() -> None:
    """Keys of instances, types and emulations, and the states of a session, stand there."""
    text = PAGE.read_text()
    wanted = {*lab_module._KEYS, *boardtype._LINK_KEYS, *boardtype.RESETS, *boardtype.PROTOCOLS}
    wanted |= {*boardtype._EMULATIONS, *(state.value for state in State)}
    wanted |= {key for keys in boardtype._EMULATIONS.values() for key in keys}
    wanted |= {pin.removesuffix("[]") for pins in boardtype._PINS.values() for pin in pins}
    assert {name for name in wanted if f"`{name}`" not in text} == set()


def test_whoever_has_no_lab_file_has_an_empty_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is no error; a board sought there is one that names the nearest, or says none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HIL_LAB", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_lab() == Lab({})
    with pytest.raises(ConfigError, match="no lab file: no board 'x'; known: none"):
        load_lab().instance("x")


def test_the_nearest_place_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--lab`` goes before HIL_LAB, that before ./lab.toml, that before the user's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HIL_LAB", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    home = tmp_path / "config" / "flatsat"
    home.mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "given").mkdir()
    write(home, LEAST)
    assert lab_path() == home / "lab.toml"
    write(tmp_path, LEAST)
    assert lab_path() == Path("lab.toml")
    monkeypatch.setenv("HIL_LAB", str(write(tmp_path / "other", LEAST)))
    assert lab_path() == tmp_path / "other" / "lab.toml"
    given = write(tmp_path / "given", LEAST)
    assert lab_path(given) == given


@pytest.mark.parametrize("by", ["--lab", "HIL_LAB"])
def test_a_file_that_is_named_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """A lab file that is named and absent is an error, never an empty lab."""
    absent = str(tmp_path / "no.toml")
    monkeypatch.setenv("HIL_LAB", absent)
    with pytest.raises(ConfigError, match=f"no such lab file .{by}"):
        load_lab(absent if by == "--lab" else None)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("schema = 1", "schema = 9", "form 9 is newer"),
        ("uid =", "uuid =", "did you mean 'uid'"),
        ("uid = ", "usb_path = '1-1'\nport = ", "unknown key"),
        ('"5f3c9a0012d4e801"', '"5f3c"', "16 hex digits"),
        ('uid = "5f3c9a0012d4e801"', 'usb_path = "/dev/ttyACM0"', "changes from plug to plug"),
        ('uid = "5f3c9a0012d4e801"', 'device = "ttyUSB3"', "changes from plug to plug"),
        ('uid = "5f3c9a0012d4e801"', "interface = 1", "say its usb_serial"),
        ('type = "uno"', 'type = "unno"', "did you mean 'uno'"),
        ('= "i2c0"', '= "i2c1"', "did you mean 'i2c0'"),
        ('shadow = ["power', 'shadow = ["pover', "did you mean 'power_monitor'"),
        ("bus1_v = 2", "bus1_v = -2", "-2 is outside"),
        ('emulate = "posix"', 'emulate = "qemu"', "unknown value 'qemu'"),
        ('emulate = "posix"', 'emulate = "posix"\nuid = "0000000000000000"', "or emulated"),
        ('id = "spare"', 'id = "bench-uno-1"', "there is another"),
        ('"can0" = "can0"', '"power_monitor" = "i2c0"', "bench-uno-1 already stands in"),
        ('emulate = "posix"', 'uid = "5f3c9a0012d4e801"', "bench-uno-1 has uid 5f3c9a0012d4e801"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    """A wrong lab file is one line that names the file, the row and the remedy."""
    assert old in LEAST
    path = write(tmp_path, LEAST.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_lab(path)
    assert str(caught.value).startswith(f"{path}:")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("{ power_monitor", "{ power_moniter", "did you mean 'power_monitor'"),
        ("tolerances.power_monitor", "tolerances.power_monitr", "did you mean 'power_monitor'"),
        ("{ power_monitor", "{ gnss", "is on ttyAMA1, a bus of kind uart"),
        ('{ "can0"', '{ "can9"', "did you mean 'can0'"),
        ('{ "can0"', '{ "i2c-1"', "can0 of the posix is of kind can"),
    ],
)
def test_a_binding_must_fit_the_payload_computer(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    """What the payload computer has not, or has on a bus of another kind, cannot be bound."""
    text = LEAST.replace('shadow = ["power_monitor"]\n', "").replace(old, new, 1)
    lab = load_lab(write(tmp_path, text))
    with pytest.raises(ConfigError, match=complaint):
        lab.check(load_board("raspberrypi4"))
