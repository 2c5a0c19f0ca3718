"""Mission profiles: what loads, what is refused, and how it is said."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.board import load_board
from hil.config import load_toml
from hil.errors import ConfigError
from hil.missions import known, load
from hil.missions.loader import FOLDER
from hil.missions.schema import EVIDENCE, SCHEMA
from hil.rig import Rig
from hil.world import World

TEXT = (FOLDER / "tiansuan_bupt1.toml").read_text(encoding="utf-8")
ENTRY = re.compile(r"^(\w+) = \{ value = ([^\[{}\"]+?), (?:unit = \"([^\"]+)\", )?evidence", re.M)


def refused(tmp_path: Path, text: str) -> str:
    """Return the one line with which a profile is refused; it names the file."""
    path = tmp_path / "broken.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "broken.toml" in message
    assert len(message) <= 400
    return message


@pytest.mark.parametrize("name", known())
def test_every_shipped_profile_loads_and_flies(name: str) -> None:
    """Each profile in the package passes its own schema and makes a world that steps."""
    mission = load(name)
    assert mission.id == name
    world = World(mission, duration_s=30.0)
    world.step(20_000_000_000)
    assert world.state["power.battery_v"] > mission.number("power.brown_out")


@pytest.mark.parametrize("name", known())
def test_every_value_of_a_profile_says_how_it_is_known(name: str) -> None:
    """Every quantity carries evidence and source; unknown ones are assumptions."""
    for value in load(name).values.values():
        if value.unit:
            assert value.evidence in EVIDENCE, value.key
            assert len(value.source) > 3, value.key
        if value.unknown:
            assert value.evidence == "assumed", value.key


def test_values_come_in_the_units_of_their_keys() -> None:
    """Units of the file are converted: 230 Wh, 400 kB, 512 km."""
    mission = load("tiansuan_bupt1")
    assert mission.number("power.battery_capacity") == 828_000.0
    assert mission.value("power.battery_capacity").unit == "J"
    assert mission.integer("link.pass_byte_budget") == 400_000
    assert mission.number("imager.footprint") == 512_000.0
    assert mission.curve("power.battery_curve") == (16.26, 15.51, 14.69, 14.07, 12.30)
    assert mission.model_classes["segmentation"].time_s == 0.48
    assert mission.start_utc.isoformat() == "2023-04-04T02:38:00+00:00"
    assert mission.norad == 55261
    assert mission.duration_s is None


def test_unknown_values_that_were_used_are_found() -> None:
    """unknowns() returns exactly the unknown values among keys and groups that were used."""
    mission = load("tiansuan_bupt1")
    assert [v.key for v in mission.unknowns(["power.battery_initial_soc", "power.array"])] == [
        "power.battery_initial_soc"
    ]
    keys = {v.key for v in mission.unknowns(["imager"])}
    assert keys == {f"imager.{k}" for k in ("width", "height", "footprint", "exposure", "readout")}
    assert mission.unknowns([]) == []
    groups = sorted({key.split(".")[0] for key in mission.values})
    assert mission.by_evidence()["unknown"] == len(mission.unknowns(groups)) > 5
    with pytest.raises(ConfigError, match=r"did you mean 'power.brown_out'"):
        mission.unknowns(["power.brownout"])


def test_a_shipped_profile_and_its_path_are_the_same_mission() -> None:
    """Name and path load the same values."""
    by_path = load(FOLDER / "tiansuan_bupt1.toml")
    assert by_path.values == load("tiansuan_bupt1").values


@pytest.mark.parametrize("name", ["tiansuan_bupt2", "", "nothing like it", "x" * 5000])
def test_an_unknown_mission_lists_the_known_ones(name: str) -> None:
    """An unknown name is refused with the list of names, and the nearest if there is one."""
    with pytest.raises(ConfigError, match=r"known are .*tiansuan_bupt1") as caught:
        load(name)
    assert ("did you mean 'tiansuan_bupt1'" in str(caught.value)) == (name == "tiansuan_bupt2")


def test_an_unknown_value_names_the_nearest() -> None:
    """Asking a mission for a key that it lacks names the nearest key."""
    with pytest.raises(ConfigError, match=r"did you mean 'link.downlink_bps'"):
        load("tiansuan_bupt1").number("link.downlnk_bps")


def required_lines() -> list[int]:
    """Return the numbers of all lines that hold a required key."""
    lines, group, found = TEXT.splitlines(), "", []
    for number, line in enumerate(lines):
        if line.startswith("["):
            parts = line.strip("[]").split(".")
            group = line.strip("[]")
            if group not in SCHEMA:
                group = ".".join([*parts[:-1], "*"])
        match = re.match(r"(\w+) = ", line)
        field = SCHEMA.get(group, {}).get(match[1]) if match else None
        if field is not None and field.required:
            found.append(number)
    return found


@pytest.mark.parametrize("number", required_lines())
def test_a_missing_key_is_named(tmp_path: Path, number: int) -> None:
    """Each required key, taken out, is an error that names it and the line of its table."""
    lines = TEXT.splitlines()
    key = lines[number].split(" = ")[0]
    message = refused(tmp_path, "\n".join(lines[:number] + lines[number + 1 :]))
    assert f"key '{key}' is missing" in message
    assert re.search(r"broken\.toml:\d+: ", message)


@pytest.mark.parametrize("entry", list(ENTRY.finditer(TEXT)), ids=lambda m: m[1])
@pytest.mark.parametrize("wrong", ['"text"', "true", "1e300", "[]", "nan"])
def test_a_wrong_value_is_refused(tmp_path: Path, entry: re.Match[str], wrong: str) -> None:
    """Each number, replaced by nonsense, is an error that names key and line."""
    text = TEXT[: entry.start(2)] + wrong + TEXT[entry.end(2) :]
    message = refused(tmp_path, text)
    line = TEXT.count("\n", 0, entry.start()) + 1
    assert f"broken.toml:{line}: " in message
    assert entry[1] in message


@pytest.mark.parametrize(
    "entry", [m for m in ENTRY.finditer(TEXT) if m[3]], ids=lambda m: f"{m[1]}-{m[3]}"
)
def test_a_wrong_unit_is_refused(tmp_path: Path, entry: re.Match[str]) -> None:
    """Each unit, replaced by one of another kind, is an error that says which units fit."""
    other = "kg" if entry[3] != "kg" else "V"
    text = TEXT[: entry.start(3)] + other + TEXT[entry.end(3) :]
    message = refused(tmp_path, text)
    assert f"{entry[1]}.unit" in message
    assert "units that fit" in message


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("brown_out = {", "brown_oot = {", "did you mean 'brown_out'"),
        ("[thermal]", "[thermals]", "did you mean 'thermal'"),
        ("array = { value", "array = { valeu", "did you mean 'value'"),
        ('evidence = "measured"', 'evidence = "mesured"', "did you mean 'measured'"),
        ("[stations.troll]", '[stations."../x"]', "a name is a-z"),
        ('value = "sun"', 'value = "moon"', "'sun' or 'zenith'"),
        ("[16.26, 15.51,", "[15.51, 16.26,", "must fall"),
        ("[75.9, 82.5,", "[82.5, 75.9,", "must rise"),
        ("brown_out = { value = 12.3", "brown_out = { value = 13.1", "not below brown_out"),
        ("[1800, 1775,", "[1800,", "one value more"),
        ("2023-04-04T02:38:00Z", "2023-04-04T02:38:00", "must be a UTC time"),
        ("2023-04-04T02:38:00Z", "yesterday", "must be a UTC time"),
        ("telecommands_verified = true", "telecommands_verified = 1", "true or false"),
        ('unknown = true, source = "last', 'unknown = 1, source = "last', "true or false"),
        ('"assumed", unknown = true', '"primary", unknown = true', "is 'assumed'"),
        ("array = { value = 26.27, ", "array = 26.27 #", "must be a table"),
        ('battery_capacity = { value = 230, unit = "Wh", ', "battery_capacity = { value = 230, ",
         "'unit' is missing"),
        ("value = 512, evidence", "value = 512.5, evidence", "whole number"),
        ("value = 39.96", "value = 139.96", "outside -90 to 90"),
        ("[mission]", "[mission", "not valid TOML"),
        ("[mission]", "[mission]\nid = 'twice'", "not valid TOML"),
        ('id = "tiansuan_bupt1"', "id = 5", "must be text"),
        ('model_class = "segmentation"', "model_class = 2020-01-01", "number, a text"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_remedy(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    """Typing errors in keys, words and structure are errors that say what to do."""
    assert TEXT.count(old) >= 1
    assert says in refused(tmp_path, TEXT.replace(old, new, 1))


def test_a_wrong_element_set_is_refused(tmp_path: Path) -> None:
    """A digit changed in the element set is caught by its checksum when the world is made."""
    path = tmp_path / "broken.toml"
    path.write_text(TEXT.replace("97.3598", "97.3599"), encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2: checksum") as caught:
        World(load(path))
    assert str(caught.value).startswith(str(path))


def test_a_misprint_in_flight_is_an_unknown_key(tmp_path: Path) -> None:
    """A key that the flight software does not know is refused where it stands."""
    line = TEXT.splitlines().index('model_class = "segmentation"') + 1
    text = refused(tmp_path, TEXT.replace("model_class = ", "model_clas = "))
    assert f":{line}: flight.model_clas: unknown key; did you mean 'model_class'" in text


def test_a_profile_without_a_model_class_says_so(tmp_path: Path) -> None:
    """Where the model class is left out, the rig says which there are."""
    path = tmp_path / "none.toml"
    path.write_text(TEXT.replace('model_class = "segmentation"\n', ""), encoding="utf-8")
    with pytest.raises(ConfigError, match="'model_class' is missing; give one of segmentation"):
        Rig(load_board("raspberrypi4"), load(path), seed=1, duration_s=60.0)


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("2043-04-04", ["2043-04-04", "2023-04-03", "7305.3 days after"]),
        ("2023-06-03", ["2023-06-03", "2023-04-03", "60.3 days after"]),
        ("2022-12-01", ["2022-12-01", "2023-04-03", "123.7 days before"]),
    ],
)
def test_elements_far_from_the_start_are_refused(
    tmp_path: Path, start: str, says: list[str]
) -> None:
    """A start that the element set says nothing about is refused with file, dates and remedy."""
    path = tmp_path / "broken.toml"
    path.write_text(TEXT.replace("2023-04-04T", f"{start}T"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        World(load(path))
    message = str(caught.value)
    for words in (str(path), *says, "take an element set", "time.start_utc"):
        assert words in message


@pytest.mark.parametrize("start", ["2023-02-03", "2023-06-02"])
def test_elements_within_two_months_fly(tmp_path: Path, start: str) -> None:
    """A start up to 60 days from the epoch of the elements is taken."""
    path = tmp_path / "near.toml"
    path.write_text(TEXT.replace("2023-04-04T", f"{start}T"), encoding="utf-8")
    assert abs(World(load(path), duration_s=10.0).orbit.age_s) > 59 * 86400.0


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(TEXT) - 1), junk=st.text(max_size=4), cut=st.integers(0, 40))
def test_damage_anywhere_never_shows_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, place: int, junk: str, cut: int
) -> None:
    """A damaged profile either still loads or is refused in one line by ConfigError."""
    path = tmp_path_factory.mktemp("damage") / "broken.toml"
    text = TEXT[:place] + junk + TEXT[place + cut :]
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    message = ""
    try:
        load(path)
    except ConfigError as refusal:
        message = str(refusal)
    assert "\n" not in message
    assert message == "" or str(path) in message


def test_the_document_of_a_profile_keeps_the_lines_of_its_keys() -> None:
    """Lines in messages are those of the file."""
    doc = load_toml(FOLDER / "tiansuan_bupt1.toml")
    line = doc.line_of("power.array")
    assert TEXT.splitlines()[line - 1].startswith("array = ")
    assert tomllib.loads(TEXT)["power"]["array"]["value"] == 26.27


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "tiansuan_bupt1"', 'id = "../../elsewhere"', "mission.id"),
        ('id = "tiansuan_bupt1"', f'id = "{"a" * 33}"', "mission.id"),
        ("02:38:00Z", "02:38:00.5Z", "whole second"),
        ("width = { value = 512", "width = { value = 1", "imager.width"),
        ("[flight]", "[faults]\nkill = 300\n\n[flight]", "faults"),
    ],
)
def test_what_no_run_could_use_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Names that leave their folder, times between ticks, cameras of a pixel, groups unread."""
    assert TEXT.count(old) == 1
    assert words in refused(tmp_path, TEXT.replace(old, new))
