"""Board files: ours is what the mission needs, and every wrong one is refused in one line."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import pytest

from flightsw.codec.dictionary import PARAMETER_BY_NAME, Role, interface
from flightsw.codec.wire import HEADER_NBYTES
from hil.board import Board, BusSpec, board_names, find_board, load_board
from hil.boardparts import KINDS, WORLD_UNITS
from hil.digest import RecordStream
from hil.errors import ConfigError
from hil.exchange import Exchange
from hil.parts import PART_TYPES, part_class
from hil.parts.base import Part
from hil.time.kernel import Kernel
from hil.wiring import Wiring

BOARD = Path(__file__).resolve().parents[2] / "boards" / "raspberrypi4.toml"
SOURCE = BOARD.read_text()

SMALL = """[board]
name = "small"
title = "Small"
adapter = "bcm2835"
[bus.i2c-1]
kind = "i2c"
[bus.spi-0]
kind = "spi"
[bus.gpiochip0]
kind = "gpio"
[part.a]
type = "tmp117"
bus = "i2c-1"
address = 0x48
"""


def load(tmp_path: Path, text: str) -> Board:
    """Load a board from text."""
    path = tmp_path / "trial.toml"
    path.write_text(text)
    return load_board(path)


def complaint(tmp_path: Path, text: str) -> str:
    """Return what is said of a wrong board; it is one line that names the file."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    assert "trial.toml" in message
    return message


def test_the_board_is_what_the_mission_needs() -> None:
    """The payload computer has the buses and parts that its mission is flown with."""
    board = load_board("raspberrypi4")
    assert "raspberrypi4" in board_names()
    assert [(bus.name, bus.kind) for bus in board.buses] == [
        ("i2c-1", "i2c"),
        ("spi-0", "spi"),
        ("ttyAMA1", "uart"),
        ("ttyAMA2", "uart"),
        ("can0", "can"),
        ("gpiochip0", "gpio"),
        ("csi0", "frames"),
    ]
    assert board.bus("i2c-1") == BusSpec(
        "i2c-1", "i2c", 0, {"bitrate_hz": 400_000, "high_speed_hz": 0}
    )
    assert board.bus("can0").params == {"bitrate_hz": 500_000, "data_bitrate_hz": 0}
    places = {part.role: (part.type, part.bus, part.address) for part in board.parts}
    assert places == {
        "power": ("ina3221", "i2c-1", 0x40),
        "temp_board": ("tmp117", "i2c-1", 0x48),
        "temp_chip": ("tmp117", "i2c-1", 0x49),
        "imu": ("lsm6dsox", "i2c-1", 0x6A),
        "flash": ("w25q128", "spi-0", 0),
        "gnss": ("ublox", "ttyAMA1", 0),
        "ttc": ("ttc", "ttyAMA2", 0),
        "eps": ("eps_node", "can0", 0),
        "watchdog": ("watchdog", "gpiochip0", 0),
        "imager": ("imager", "csi0", 0),
    }
    pins = {(pin.name, pin.bus, pin.line, pin.direction) for p in board.parts for pin in p.pins}
    assert pins == {
        ("pps", "gpiochip0", 18, "out"),
        ("carrier", "gpiochip0", 23, "out"),
        ("kick", "gpiochip0", 24, "in"),
        ("reset", "gpiochip0", 25, "out"),
    }
    assert board.parts[0].params["shunts"] == [0.01, 0.01, 0.01]
    assert board.source == SOURCE


def test_the_device_table_is_ready_for_json() -> None:
    """The flight software gets role, driver, place and parameters, defaults included."""
    import json

    devices = load_board("raspberrypi4").devices()
    assert json.loads(json.dumps(devices)) == devices
    by_role = {device["role"]: device for device in devices}
    assert by_role["power"]["params"]["shunts"] == [0.01, 0.01, 0.01]
    assert by_role["watchdog"]["params"]["pins"]["kick"] == ["gpiochip0", 24]
    assert by_role["watchdog"]["params"]["timeout_s"] > 0
    assert by_role["flash"]["params"]["speed_hz"] == 20_000_000


def test_missing_roles_are_those_that_no_part_has(tmp_path: Path) -> None:
    """A whole board misses none; one without a power monitor misses that, in order of roles."""
    assert load_board("raspberrypi4").missing_roles() == []
    text = SOURCE.replace('role = "power"\n', "").replace('role = "gnss"\n', "")
    assert load(tmp_path, text).missing_roles() == ["power", "gnss"]


def test_a_rig_tells_of_the_roles_that_its_board_misses(tmp_path: Path) -> None:
    """A board without a part that the flight software knows is an event of the bench, once."""
    from hil.missions import load as load_mission
    from hil.rig import Rig

    mission = load_mission("tiansuan_bupt1")
    for text, told in ((SOURCE, []), (SOURCE.replace('role = "gnss"\n', ""), [["gnss"]])):
        board = load(tmp_path, text)
        rig = Rig(board, mission, seed=1, duration_s=60.0, inference="threshold")
        events = [event for event in rig.events if event["name"] == "ROLES_MISSING"]
        assert [event["roles"] for event in events] == told
        assert all(event["source"] == "bench" for event in events)


def test_names_of_roles_drivers_and_keys_are_those_of_the_flight_software() -> None:
    """What the bench checks names against is what the flight software takes, no more, no less."""
    drivers = importlib.import_module("flightsw.drivers")
    config = importlib.import_module("flightsw.config")
    assert set(interface.DRIVER_NAMES) == set(drivers.DRIVERS)
    assert tuple(config.KEYS) == interface.CONFIG_NAMES
    assert [name.upper() for name in interface.ROLE_NAMES] == list(Role.__members__)
    assert set(interface.FLIGHT_KEYS) == {*config.KEYS, *PARAMETER_BY_NAME}


@pytest.mark.parametrize("name", sorted(PART_TYPES))
def test_every_part_type_exists_and_has_a_bus_face(name: str) -> None:
    """Each class of the table is a part and can sit on at least one kind of bus."""
    part = part_class(name)
    assert issubclass(part, Part)
    assert any(hasattr(part, kind.face) for kind in KINDS.values())


def test_the_world_provides_what_parts_can_be_bound_to() -> None:
    """Every name that a board file may bind is in the state of the world."""
    from hil.missions import load as load_mission
    from hil.world.world import World

    state = World(load_mission("tiansuan_bupt1"), 1, 60.0).state
    assert set(WORLD_UNITS) <= set(state)


WRONG = {
    "unknown top key": (
        SMALL + "[buss.x]\nkind='i2c'\n",
        ":15: buss: unknown key; did you mean 'bus'",
    ),
    "unknown bus key": (
        SMALL.replace('kind = "spi"', 'kind = "spi"\nbitrate = "1 MHz"'),
        "unknown",
    ),
    "unknown bus kind": (
        SMALL.replace('"spi"', '"sip"'),
        "unknown value 'sip'; did you mean 'spi'",
    ),
    "unknown part key": (
        SMALL + "adress = 1\n",
        ":15: part.a.adress: unknown key; did you mean 'address'",
    ),
    "unknown type": (
        SMALL.replace("tmp117", "tmp171"),
        "unknown value 'tmp171'; did you mean 'tmp117'",
    ),
    "unknown bus": (
        SMALL.replace('bus = "i2c-1"', 'bus = "i2c-l"'),
        "no bus named 'i2c-l'; did you mean",
    ),
    "unknown adapter": (SMALL.replace("bcm2835", "bcm2853"), "did you mean 'bcm2835'"),
    "wrong unit": (
        SMALL.replace('kind = "i2c"', 'kind = "i2c"\nbitrate = "400 kV"'),
        ":7: bus.i2c-1.bitrate: expected a quantity in Hz, such as '400 kHz'",
    ),
    "no unit": (
        SMALL.replace('kind = "i2c"', 'kind = "i2c"\nbitrate = 400000'),
        "400000 has no unit",
    ),
    "bitrate out of range": (
        SMALL.replace('kind = "i2c"', 'kind = "i2c"\nbitrate = "9 GHz"'),
        "is outside 1000 to 5e+06 Hz",
    ),
    "reserved address": (
        SMALL.replace("0x48", "0x03"),
        "0x03 is reserved by the I2C specification",
    ),
    "address too large": (SMALL.replace("0x48", "0x4800"), "18432 is outside 0 to 1023"),
    "address missing": (SMALL.replace("address = 0x48\n", ""), "key 'address' is missing"),
    "address as text": (SMALL.replace("0x48", '"0x48"'), "must be a whole number, is text"),
    "address clash": (
        SMALL + '[part.b]\ntype = "tmp117"\nbus = "i2c-1"\naddress = 0x48\n',
        ":18: part.b.address: address 0x48 on i2c-1 is already taken by 'a'",
    ),
    "chip select clash": (
        SMALL
        + "".join(f'[part.f{i}]\ntype="w25q128"\nbus="spi-0"\nchip_select=1\n' for i in (1, 2)),
        "part.f2.chip_select: chip select 1 of spi-0 is already taken by 'f1'",
    ),
    "part on a wrong kind of bus": (
        SMALL.replace('bus = "i2c-1"', 'bus = "spi-0"'),
        "a tmp117 does not sit on a bus of kind spi",
    ),
    "role without driver": (SMALL + 'role = "temp_chip"\n', "key 'driver' is missing"),
    "role twice": (
        SMALL + 'role="imu"\ndriver="tmp117"\n[part.b]\ntype="tmp117"\nbus="i2c-1"\naddress=0x49\n'
        'role="imu"\ndriver="tmp117"\n',
        "part.b.role: role 'imu' is already taken by 'a'",
    ),
    "unknown role": (
        SMALL + 'role="temp_bord"\ndriver="tmp117"\n',
        ":15: part.a.role: unknown value 'temp_bord'; did you mean 'temp_board'",
    ),
    "unknown driver": (
        SMALL + '[part.f]\ntype="w25q128"\nbus="spi-0"\nchip_select=0\nrole="flash"\n'
        'driver = "w25q128"\n',
        ":20: part.f.driver: unknown value 'w25q128'; did you mean 'w25q'",
    ),
    "address that the part cannot have": (
        SMALL.replace("0x48", "0x50"),
        ":14: part.a.address: 0x50 is none that this part can have; use 0x48, 0x49, 0x4a, 0x4b",
    ),
    "shunts of a wrong length": (
        SMALL + '[part.p]\ntype="ina3221"\nbus="i2c-1"\naddress=0x40\nshunts=["1 ohm"]\n',
        ":19: part.p.shunts: the part refuses this: shunts must be three positive resistances",
    ),
    "unknown world name": (
        SMALL + 'world = { temperature_c = "thermal.bord_c" }\n',
        "unknown value 'thermal.bord_c'; did you mean 'thermal.board_c'",
    ),
    "unknown quantity": (
        SMALL + 'world = { temprature_c = "thermal.board_c" }\n',
        "no physical input of this part named 'temprature_c'; did you mean 'temperature_c'",
    ),
    "world in another unit": (
        SMALL + 'world = { temperature_c = "power.solar_w" }\n',
        "takes degC, but power.solar_w is in W",
    ),
    "pins of a part without": (SMALL + 'pins = { x = "gpiochip0:1" }\n', "this part has no pins"),
    "name of a part": (SMALL + "[part.'a b']\n", "a name is a letter"),
    "no bus": (SMALL.split("[bus")[0], "key 'bus' is missing"),
    "bus not a table": (SMALL.split("[bus")[0] + "[bus]\nx = 1\n", "must be a table"),
    "no title": (SMALL.replace('title = "Small"\n', ""), "key 'title' is missing"),
}

WATCHDOG = """[part.w]
type = "watchdog"
bus = "gpiochip0"
pins = { kick = "gpiochip0:4", reset = "gpiochip0:5" }
"""

WRONG |= {
    name: (SMALL + WATCHDOG.replace(old, new), text)
    for name, old, new, text in (
        ("pin on two lines", "gpiochip0:5", "gpiochip0:4", "two pins on line 4 of gpiochip0"),
        ("pin out of range", "gpiochip0:5", "gpiochip0:58", "line 58 is outside 0 to 57"),
        ("pin without line", "gpiochip0:5", "gpiochip0", "expected 'gpiochip0:18'"),
        ("pin on another bus", "gpiochip0:5", "spi-0:5", "spi-0 is a bus of kind spi, not gpio"),
        ("unknown pin", "kick =", "kik =", "no pin of this part named 'kik'; did you mean 'kick'"),
        ("parameter with a wrong unit", 'bus = "gpio', 'timeout_s = "5 V"\nbus = "gpio', "in s"),
        ("parameter of a wrong type", 'bus = "gpio', 'timeout_s = [1]\nbus = "gpio', "one value"),
        ("parameter that is no number", 'bus = "gpio', 'timeout_s = nan\nbus = "gpio', "nan"),
    )
}
WRONG["pin clash"] = (
    SMALL + WATCHDOG + WATCHDOG.replace("part.w", "part.v").replace(":5", ":6"),
    "part.v.pins: line 4 of gpiochip0 is already taken by 'w'",
)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_boards_say_what_is_wrong(tmp_path: Path, name: str) -> None:
    """Each mistake gives its own words: file, line, key and the nearest known name."""
    text, words = WRONG[name]
    assert words in complaint(tmp_path, text)


def test_a_small_board_is_enough(tmp_path: Path) -> None:
    """A board of a few lines loads, so the mistakes above are what is refused."""
    load(tmp_path, SMALL)
    load(tmp_path, SMALL + WATCHDOG)
    load(tmp_path, SMALL + WATCHDOG + 'timeout_s = "5 s"\n')


def test_an_unknown_board_names_the_nearest(tmp_path: Path) -> None:
    """A board name that does not exist is answered with the one that does."""
    with pytest.raises(
        ConfigError, match="no board named 'rasberrypi4'; did you mean 'raspberrypi4'"
    ):
        load_board("rasberrypi4")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_board(tmp_path / "absent.toml")


def mutate(rng: random.Random, text: str) -> str:
    """Return the text of a board with one to three things broken."""
    words = [
        "0",
        "-1",
        "''",
        '"i2c-1"',
        "[",
        "]",
        "{}",
        "true",
        "1e9",
        '"9 V"',
        "[1, 2]",
        "inf",
        "=",
        "#",
    ]
    for _ in range(rng.randrange(1, 4)):
        lines = text.split("\n")
        i = rng.randrange(len(lines))
        action = rng.randrange(7)
        if action == 0:
            del lines[i]
        elif action == 1:
            lines.insert(i, lines[rng.randrange(len(lines))])
        elif action == 2 and "=" in lines[i]:
            lines[i] = lines[i].split("=")[0] + "= " + rng.choice(words)
        elif action == 3 and "=" in lines[i]:
            key, _, value = lines[i].partition("=")
            lines[i] = key.strip()[:-1] + "x =" + value
        elif action == 4:
            lines = lines[:i]
        elif action == 5:
            at = rng.randrange(len(lines[i]) + 1)
            lines[i] = lines[i][:at] + rng.choice("\"'[]{}=.,\x00\x1b\u2028é0z \\") + lines[i][at:]
        else:
            j = rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
        text = "\n".join(lines)
    return text


@pytest.mark.parametrize("block", range(10))
def test_malformed_boards_are_always_our_error(tmp_path: Path, block: int) -> None:
    """Of hundreds of broken boards each loads or is refused in one line; nothing else happens."""
    refused = 0
    for seed in range(60 * block, 60 * block + 60):
        path = tmp_path / "trial.toml"
        path.write_text(mutate(random.Random(seed), SOURCE))
        try:
            load_board(path)
        except ConfigError as error:
            refused += 1
            message = str(error)
            assert len(message.splitlines()) == 1
            assert message.startswith(str(path))
    assert refused > 30


def test_the_folder_of_boards_holds_board_files_only() -> None:
    """The folder goes into the package as it is: board files, dev boards and their software."""
    folder = find_board("raspberrypi4").parent
    others = {path.name for path in folder.iterdir() if path.suffix != ".toml"}
    assert others <= {"dev", "emulators", "firmware", "micropython"}
    assert [path.name for path in (folder / "dev").iterdir() if path.suffix != ".toml"] == []


WIRED = """[board]
name = "wired"
title = "Wired"
adapter = "ideal"
[bus.a]
kind = "uart"
wired_to = "b"
[bus.b]
kind = "uart"
[bus.c]
kind = "uart"
wired_to = "c"
"""


def test_two_uarts_can_be_wired_to_each_other_or_themselves(tmp_path: Path) -> None:
    """What is written to one line comes in on the other, and a loop hears itself."""
    exchange = Exchange(Kernel(), RecordStream())
    heard: list[tuple[int, bytes]] = []
    exchange.hearers.append(lambda index, octets: heard.append((index, octets[HEADER_NBYTES:])))
    buses = Wiring(load(tmp_path, WIRED), exchange, 0, {}).buses
    for name in "abc":
        buses[name].write(0, name.encode())
    exchange.kernel.run_until(10**9)
    assert sorted(heard) == [(0, b"b"), (1, b"a"), (2, b"c")]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('[bus.d]\nkind = "uart"\nwired_to = "a"\n', "the one end of a is already taken by 'b'"),
        ('[bus.d]\nkind = "uart"\nwired_to = "e"\n', "unknown value 'e'"),
        ('[part.gnss]\ntype = "ublox"\nbus = "b"\n', "the one end of b is already taken by 'a'"),
    ],
)
def test_a_wired_uart_has_one_thing_at_its_end(tmp_path: Path, more: str, why: str) -> None:
    """A third line, one that is not there, and a part at a wired line are refused by name."""
    assert why in complaint(tmp_path, WIRED + more)
