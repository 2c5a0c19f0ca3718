"""``hil diff``: what differs between two runs is named, counted, and shown."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hil.board import load_board
from hil.capture.reader import Capture
from hil.cli import main
from hil.errors import ConfigError
from hil.options import Options
from hil.session import fly

from .planted import MODES, PLANTS, fly_all, replayed


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same flight with each of the planted mistakes, and with none."""
    return fly_all(tmp_path_factory.mktemp("planted"))


def told(runs: dict[str, Path], name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what ``hil diff --json`` says of a planted mistake."""
    assert main(["diff", str(runs["nothing"]), str(runs[name]), "--json"]) == 1
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_same_flight_twice_is_the_same(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A run against itself, by directory and by capture, is identical octet for octet."""
    run = str(runs["nothing"])
    assert main(["diff", run, f"{run}/capture.mcap"]) == 0
    assert capsys.readouterr().out.startswith("identical octet for octet: ")


def test_a_scale_factor_is_named(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The first divergence is the parameter of the housekeeping report, old and new."""
    found = told(runs, "scale", capsys)
    (field,) = found["first"]["fields"]
    assert (found["first"]["kind"], field["name"]) == ("changed", "tm.power.battery_mv")
    assert field["new"] == field["old"] * 101 // 100
    packets = found["units"]["/link/tm packets"]
    assert set(packets["fields"]) == {"tm.power.battery_mv"}
    assert packets["changed"] == packets["fields"]["tm.power.battery_mv"]


def test_a_swapped_octet_is_named(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first divergence is the register that was written, with its bit fields."""
    first = told(runs, "swap", capsys)["first"]
    fields = {field["name"]: (field["old"], field["new"]) for field in first["fields"]}
    assert (first["topic"], first["index"]) == ("/bus/i2c-1", 2)
    assert fields["i2c.power_monitor.CONFIG"] == (0x7527, 0x2775)
    assert fields["i2c.power_monitor.CONFIG.MODE"] == (7, 5)


def test_a_late_transaction_is_named(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first divergence is the first transaction of that read, with both times."""
    found = told(runs, "late", capsys)
    first = found["first"]
    assert (first["topic"], first["kind"]) == ("/bus/i2c-1", "late")
    assert [field["name"] for field in first["fields"]] == ["t_ns"]
    assert first["t_ns_replayed"] - first["t_ns_recorded"] == 2_000_000
    assert set(found["counts"]["/bus/i2c-1"]["fields"]) == {"t_ns"}
    assert found["rejoined"]["/bus/i2c-1"] is not None


def test_a_missing_packet_is_named(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first divergence is the packet that is missing; the others are the same packets."""
    found = told(runs, "missing", capsys)
    (field,) = found["first"]["fields"]
    assert field["name"].startswith("tm.")
    assert re.match(r"tm\.apid 257, \.seq \d+, ", field["old"])
    assert field["new"] is None
    packets = found["units"]["/link/tm packets"]
    assert (packets["missing"], packets["extra"]) == (1, 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PLANTS)
def test_a_replay_names_the_same(
    runs: dict[str, Path], name: str, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replay with the mistake diverges where the two runs do, at the same field."""
    verdict = json.loads(replayed(runs["nothing"].parent, name, mode).read_text())["verdict"]
    if name == "nothing":
        assert verdict["identical"]
        return
    first = told(runs, name, capsys)["first"]
    assert verdict["first"]["fields"] == first["fields"]
    assert (verdict["first"]["kind"], verdict["first"]["t_ns_recorded"]) == (
        first["kind"],
        first["t_ns_recorded"],
    )


def test_ten_events_stand_before_it(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The text shows ten events of both before the first divergence, and marks what differs."""
    assert main(["diff", str(runs["nothing"]), str(runs["late"])]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("around it (- recorded only, + replayed only):")
    assert [line[0] for line in lines[at + 1 : at + 12]] == [" "] * 10 + ["-"]
    assert all(
        "i2c.imu" in line or "/world" in line or "pps" in line for line in lines[at + 1 : at + 11]
    )


def test_a_rule_lets_a_difference_pass(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is ignored or within a tolerance is no difference, and is counted as tolerated."""
    pair = [str(runs["nothing"]), str(runs["scale"])]
    assert main(["diff", *pair, "--ignore", "tm.power.battery_mv"]) == 0
    assert "differ within the rules" in capsys.readouterr().out
    assert main(["diff", *pair, "--tolerate", "tm.power.battery_mv=200"]) == 0
    assert main(["diff", *pair, "--tolerate", "tm.power.battery_mv=20"]) == 1
    assert main(["diff", *pair, "--topic", "/bus/i2c-1"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tolerate", "t_ns"], "--tolerate t_ns: give a field and an amount"),
        (["--topic", "/bus/i2c-9"], "--topic /bus/i2c-9: recorded are /bus/can0"),
    ],
)
def test_wrong_words_are_trouble(
    runs: dict[str, Path], words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be meant is one line and exit code 2."""
    assert main(["diff", str(runs["nothing"]), str(runs["scale"]), *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_damaged_capture_is_trouble(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is cut, damaged or none is exit code 2, not a difference."""
    whole = runs["nothing"] / "capture.mcap"
    cut, damaged = tmp_path / "cut.mcap", tmp_path / "damaged.mcap"
    cut.write_bytes(whole.read_bytes()[:-100])
    octets = bytearray(whole.read_bytes())
    octets[octets.index(b"zstd") + 100] ^= 0x40  # in the first chunk
    damaged.write_bytes(octets)
    for path in (cut, damaged, tmp_path / "none", tmp_path):
        assert main(["diff", str(whole), str(path)]) == 2
        assert capsys.readouterr().err.startswith("hil diff: ")


def test_the_page_is_one_small_file(runs: dict[str, Path], tmp_path: Path) -> None:
    """The page is under 300 KB, names nothing outside, and holds both traces of what differs."""
    page = tmp_path / "page.html"
    pair = [str(runs["nothing"]), str(runs["scale"])]
    assert main(["diff", *pair, "-q", "--html", str(page)]) == 1
    text = page.read_text()
    assert len(text.encode()) < 300_000
    assert re.findall(r"""(?:src|href)=["'](?!#)""", text) == []
    data = re.search(r"<script type='application/json' id='data'>(.*?)</script>", text, re.S)
    assert data is not None
    (chart,) = json.loads(data[1])
    assert "tm.power.battery_mv" in text
    assert chart["old"][0] == chart["new"][0]
    assert all(new > old for old, new in zip(chart["old"][1], chart["new"][1], strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_a_replay_has_its_page(runs: dict[str, Path], tmp_path: Path, mode: str) -> None:
    """A replay draws what was recorded, and over it what came of it now."""
    page = tmp_path / "page.html"
    words = ["--mode", mode, "-q", "--html", str(page)]
    assert main(["replay", str(runs["nothing"]), *words]) == 0
    data = re.search(r"id='data'>(.*?)</script>", page.read_text(), re.S)
    assert data is not None
    charts = json.loads(data[1])
    assert charts
    assert all(chart["new"] == chart["old"] for chart in charts)


def test_a_page_that_cannot_be_written_says_so(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page in a folder that is not there is one line and exit code 3."""
    page = tmp_path / "nowhere" / "page.html"
    run = str(runs["nothing"])
    assert main(["diff", run, run, "-q", "--html", str(page)]) == 3
    assert "the page cannot be written" in capsys.readouterr().err


def test_a_board_file_may_declare_what_may_differ(tmp_path: Path) -> None:
    """Fields to ignore and to tolerate stand in [replay]; any other key there is a mistake."""
    text = load_board("raspberrypi4").source
    file = tmp_path / "board.toml"
    rules = '[replay]\nignore = ["frame.clcw"]\n[replay.tolerate]\n"tm.power" = 2\n'
    file.write_text(f"{rules}\n{text}")
    board = load_board(file)
    assert (board.ignore, board.tolerate) == (("frame.clcw",), {"tm.power": 2.0})
    for wrong in ("ignored = []", 'ignore = "t_ns"', "tolerate = { t_ns = -1 }", "ignore = [1]"):
        file.write_text(f"[replay]\n{wrong}\n{text}")
        with pytest.raises(ConfigError, match="replay"):
            load_board(file)


def test_the_rules_of_the_board_hold(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run is compared by the rules of the board file that it was flown with."""
    from hil.replay.diff import diff
    from hil.replay.flown import flown
    from hil.replay.rules import Rules

    with flown(runs["nothing"]) as old, flown(runs["scale"]) as new:
        text = '[replay]\nignore = ["tm.power.battery_mv"]\n' + old.board.source
        file = tmp_path / "board.toml"
        file.write_text(text)
        assert diff(old, new, Rules.of(load_board(file))).identical
        assert not diff(old, new, Rules.of(old.board)).identical


def test_channels_are_told_by_their_names(runs: dict[str, Path]) -> None:
    """Captures that number their channels otherwise are compared by the names of these."""
    from hil.replay.compare import Comparison
    from hil.replay.diff import translated, translation
    from hil.replay.rules import Rules

    names, others = {0: "i2c-1", 3: "can0"}, {0: "can0", 1: "i2c-1", 2: "uart"}
    table = translation(names, others)
    assert {table[channel]: name for channel, name in others.items()} == {
        **names,
        table[2]: "uart",
    }
    with Capture(runs["nothing"] / "capture.mcap") as capture:
        turned = {0: 1, 1: 0}
        there = b"".join(translated(capture.buffers(), turned))
        comparison = Comparison(capture.buffers(), None, Rules(), {})
        for piece in translated(iter([there]), turned):
            comparison.feed(piece)
    assert comparison.finish().same_octets


def test_a_packed_run_is_a_run(runs: dict[str, Path], tmp_path: Path) -> None:
    """A packed run compares as the directory that it was packed from."""
    packed = tmp_path / "run.flatsat"
    shutil.copytree(runs["nothing"], tmp_path / "run")
    assert main(["pack", str(tmp_path / "run"), "--out", str(packed)]) == 0
    assert main(["diff", str(runs["nothing"]), str(packed), "-q"]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--ignore", "nonsuch"), "--ignore 'nonsuch': no record has that field"),
        (("--ignore", "tm.powr"), "no record has that field; did you mean 'tm.power"),
        (("--tolerate", "nonsuch=3"), "--tolerate 'nonsuch': no record has that field"),
        (("--ignore", ""), "--ignore '': names no field"),
        (("--ignore", "/bus/i2c-9:t_ns"), "no run has a topic '/bus/i2c-9'; did you mean"),
    ],
)
@pytest.mark.parametrize("command", ["diff", "replay"])
def test_a_rule_about_no_field_is_an_error(
    runs: dict[str, Path],
    command: str,
    words: tuple[str, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A mistyped field is told, with the nearest name: nothing passes for being misspelt."""
    targets = [str(runs["nothing"])] * (2 if command == "diff" else 1)
    assert main([command, *targets, *words]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "rule", ["tm.power", "payload[3]", "tm.event.SAFE_MODE", "fault", "i2c.power_monitor.bus2_v"]
)
def test_a_rule_about_what_could_be_is_none(runs: dict[str, Path], rule: str) -> None:
    """A field that is recorded, or that the dictionary knows, may be ignored."""
    assert main(["diff", str(runs["nothing"]), str(runs["nothing"]), "--ignore", rule]) == 0


def test_a_page_that_cannot_be_written_leaves_nothing(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """A page is whole or not there: one that was there stays as it was."""
    pair = [str(runs["nothing"]), str(runs["late"])]
    page = tmp_path / "page.html"
    page.write_text("the one before")
    (tmp_path / "page.html.partial").mkdir()
    assert main(["diff", *pair, "-q", "--html", str(page)]) == 3
    assert page.read_text() == "the one before"


def test_the_packet_is_named_at_the_head(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first line says which packet differs: its name, its APID, and when it was made."""
    assert main(["diff", str(runs["nothing"]), str(runs["scale"])]) == 1
    head = capsys.readouterr().out.splitlines()[0]
    assert re.search(r" at [\d.]+ s: tm\.power, APID \d+, made at [\d.]+ s$", head)


def test_the_record_that_differs_is_marked(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Around the first divergence its record bears both marks, however late in it the octets are
    that differ."""
    for name in ("scale", "missing"):
        assert main(["diff", str(runs["nothing"]), str(runs[name])]) == 1
        out = capsys.readouterr().out
        found = re.search(r"changed, \S+ record \d+, #(\d+) at", out)
        assert found
        assert re.search(rf"^- +{found[1]} ", out, re.MULTILINE)


def test_how_two_runs_were_flown_otherwise_is_told_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seed, duration and faults that differ stand in front of what came of them; a topic that
    only one can have may be left out."""
    plain = fly(Options(out=tmp_path / "a", duration_s=10.0, transport="direct"))
    other = Options(
        out=tmp_path / "b", seed=2, duration_s=12.0, transport="direct", faults=("kill@11",)
    )
    pair = [str(plain.run_dir), str(fly(other).run_dir)]
    assert main(["diff", *pair]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "flown otherwise: seed 1 -> 2",
        "flown otherwise: duration_s 10.0 -> 12.0",
        "flown otherwise: faults none -> kill@11",
    ]
    assert lines[3].startswith("first divergence: ")
    assert main(["diff", *pair, "--ignore-topic", "/fault", "--json"]) == 1
    assert "/fault" not in json.loads(capsys.readouterr().out)["counts"]
    assert main(["diff", *pair, "--ignore-topic", "/fualt"]) == 2
    assert "--ignore-topic /fualt: recorded are " in capsys.readouterr().err
    assert main(["diff", pair[0], pair[0]]) == 0
    assert "flown otherwise" not in capsys.readouterr().out


def test_a_tolerated_reading_does_not_count_in_its_octets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The octets that a reading is made of differ with it: what it may differ by, they may."""
    runs = [
        fly(Options(out=tmp_path / str(seed), seed=seed, duration_s=8.0, transport="direct"))
        for seed in (1, 2)
    ]
    pair = [str(run.run_dir) for run in runs]

    def fields(*words: str) -> dict[str, int]:
        main(["diff", *pair, "--topic", "/bus/i2c-1", "--json", *words])
        found: dict[str, int] = json.loads(capsys.readouterr().out)["counts"]["/bus/i2c-1"][
            "fields"
        ]
        return found

    plain = fields()
    assert plain["i2c.imu.OUT_8"]
    passing = fields("--tolerate", "i2c.imu.accel_x_m_s2=65536")
    gone = {"i2c.imu.OUT_8", "i2c.imu.OUT_9", "i2c.imu.accel_x_m_s2.raw"}
    assert passing == {name: count for name, count in plain.items() if name not in gone}
    strict = fields("--tolerate", "i2c.imu.accel_x_m_s2=1")
    assert 0 < strict["i2c.imu.OUT_8"] < plain["i2c.imu.OUT_8"]
