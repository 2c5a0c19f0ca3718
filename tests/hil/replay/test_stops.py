"""A replay that stops in between: at a number, where a condition begins to hold, at each record."""

from __future__ import annotations

import builtins
import io
import json
import re
import shutil
from pathlib import Path

import pytest

from flightsw.codec.wire import Flag, Kind
from hil.capture.reader import Capture
from hil.cli import main
from hil.options import Options
from hil.replay.condition import parse
from hil.replay.naming import dictionary_words, resolve, views
from hil.session import fly


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short flight with a kill at 20 s."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return fly(Options(out=out, duration_s=40.0, transport="direct", faults=("kill@20",))).run_dir


def replay(run: Path, *words: str, typed: str = "", patch: pytest.MonkeyPatch | None = None) -> int:
    """Replay with words and with what a person types; return the exit code."""
    if patch is not None:
        patch.setattr("sys.stdin", io.StringIO(typed))
    return main(["replay", str(run), *words])


def test_until_a_record(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict covers the records up to the one named, and none after it."""
    with Capture(run / "capture.mcap") as capture:
        wanted = sum(record.seq <= 300 for record in capture.records())
    assert replay(run, "--until", "300", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["identical"]
    assert sum(count["replayed"] for count in told["verdict"]["counts"].values()) == wanted
    assert told["virtual_s"] < 40.0


@pytest.mark.parametrize("mode", ["re-execute", "mock"])
def test_until_beyond_the_end_is_an_error(
    run: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    """A record, or a time, that the run never comes to is a mistake, and is told as one."""
    assert replay(run, "--until", "99999999", "--mode", mode) == 2
    assert "--until 99999999: the last record of the run is number " in capsys.readouterr().err
    assert replay(run, "--until", "41s", "--mode", mode) == 2
    assert "--until 41s: the last record of the run is at " in capsys.readouterr().err


@pytest.mark.parametrize("words", ["seq=300", "300"])
def test_a_record_may_be_named_either_way(
    run: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """A plain number is that of a record, with and without seq= before it."""
    assert replay(run, "--until", words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["figures"]["records"] == 301


def test_until_a_time(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a unit it is a time: no record is behind it, and the next one would be."""
    assert replay(run, "--until", "0.25 min", "--json") == 0
    number = json.loads(capsys.readouterr().out)["figures"]["records"]
    with Capture(run / "capture.mcap") as capture:
        seqs = {record.seq: record.t_ns for record in capture.records()}
    assert seqs[number - 1] <= 15_000_000_000 <= seqs[number]
    assert replay(run, "--until", "abc") == 2
    assert replay(run, "--from", "41s") == 2
    assert replay(run, "--from", "0.5 min", "--until", "15s") == 2


@pytest.mark.parametrize("mode", ["re-execute", "mock", "play"])
def test_a_program_that_is_not_there_is_no_divergence(
    run: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    """Nothing was compared where nothing could run: that is trouble, told under our name."""
    assert replay(run, "--mode", mode, "--", "nosuchcmd") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("hil replay: nosuchcmd: ")


def test_break_at_opens_the_debugger_where_it_begins_to_hold(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Record, fields, rig, world and flight software are at hand, at the instant of the record."""
    typed = """\
p 'record', record.t_ns, fields['event.name']
p 'time', rig.kernel.now_ns, world is rig.world, rig.stream.count - record.seq
p 'flight', type(app).__module__
c
"""
    words = ("--break-at", "event.name==UUT_LOST and t>=20")
    assert replay(run, *words, typed=typed, patch=monkeypatch) == 0
    told = capsys.readouterr()
    assert "('record', 20000000000, 'UUT_LOST')" in told.err
    assert "('time', 20000000000, True, 1)" in told.err
    assert "('flight', 'flightsw.app')" in told.err
    assert told.err.count("stop()") == 1
    assert told.out.startswith("identical")


def test_the_names_are_there_in_every_frame(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up the stack rig, app, record and t are what they are at the bottom, and gone afterwards."""
    typed = "up\nup\nup\nup\np 'up', app is rig, record.seq, t == record.t_ns / 1e9\nq\n"
    assert replay(run, "--break-at", "seq=500", typed=typed, patch=monkeypatch) == 0
    assert "('up', False, 500, True)" in capsys.readouterr().err
    assert not hasattr(builtins, "rig")


@pytest.mark.parametrize("mode", ["re-execute", "mock"])
def test_a_condition_that_never_held_is_told(
    run: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    """Who waits for a stop that never came is told so, and how much was looked at."""
    words = ("--mode", mode, "--break-at", "status==255 and t>1")
    assert replay(run, *words, "--json") == 0
    (note,) = [n for n in json.loads(capsys.readouterr().out)["notes"] if "--break-at" in n]
    told = r"--break-at 'status==255 and t>1': never held \((\d+) records looked at\)"
    found = re.match(told, note)
    assert found
    assert int(found[1]) > 100
    assert ("a mock has what" in note) is (mode == "mock")


def test_a_mock_stops_at_what_comes_in(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that came in to the payload computer is a place to stop, by its number."""
    with Capture(run / "capture.mcap") as capture:
        seq = next(r.seq for r in capture.records() if r.kind == Kind.UART and r.flags & Flag.INPUT)
    words = ("--mode", "mock", "--break-at", f"seq={seq}")
    assert replay(run, *words, typed="p 'at', record.seq\nc\n", patch=monkeypatch) == 0
    told = capsys.readouterr()
    assert f"('at', {seq})" in told.err
    assert "never held" not in told.out


def test_leaving_the_debugger_ends_the_replay_there(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quitting, also from within the flight software, leaves a verdict on what came until then."""
    typed = "up\nup\nup\nup\nnext\nnext\nq\n"
    assert replay(run, "--break-at", "seq=500", "--json", typed=typed, patch=monkeypatch) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["identical"]
    assert told["flown_s"] is None
    assert "left at record 50" in told["notes"][0]


def test_a_wrong_name_is_told_before_anything_flies(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest field that was recorded is named, and the exit code is that of trouble."""
    assert replay(run, "--break-at", "event.nam==UUT_LOST") == 2
    assert (
        "no record has a field 'event.nam'; did you mean 'event.name'?" in capsys.readouterr().err
    )


def test_a_word_that_a_field_never_is_is_told_with_those_it_is(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped value is answered with the values of that field, not with words of others."""
    assert replay(run, "--break-at", "event.name==UUT_LOSS") == 2
    told = capsys.readouterr().err
    assert "'UUT_LOSS' is no field and no known word; event.name has been " in told
    assert "UUT_LOST" in told


def test_quiet_is_the_verdict_alone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With -q one line tells; without it, how long it took, and that a page was written."""
    page = tmp_path / "page.html"
    assert replay(run, "-q", "--html", str(page)) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = r"identical octet for octet: [\d,]+ records on \d+ topics, \d+ of them samples of .*"
    assert re.fullmatch(told, line)
    assert replay(run, "--html", str(page)) == 0
    told = capsys.readouterr()
    assert re.search(r"; recorded in [\d.]+ s: [\d.]+ times (faster|slower)\n", told.out)
    assert f"page   {page}\n" in told.err


def test_step_by_step(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enter goes on by one record, n by several, p shows a field, c goes to the end."""
    typed = "\n\np seq\nn 10\np seq\np nothing\nwhat\nc\n"
    assert replay(run, "--step", typed=typed, patch=monkeypatch) == 0
    told = capsys.readouterr()
    shown = [line for line in told.err.splitlines() if line.startswith(("#", "(step) #"))]
    assert [int(line.split("#")[1].split()[0]) for line in shown] == [0, 1, 1, 11]
    assert "  seq = 1\n" in told.err
    assert "  seq = 11\n" in told.err
    assert "this record has no field 'nothing'" in told.err
    assert "the next record" in told.err
    assert told.out.startswith("identical")


def test_step_from_where_a_condition_holds(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together with a condition, stepping begins there; the end of what is typed leaves."""
    words = ("--step", "--break-at", "seq>=600")
    assert replay(run, *words, typed="\n\n", patch=monkeypatch) == 0
    told = capsys.readouterr()
    shown = [line for line in told.err.splitlines() if "#60" in line]
    assert len(shown) == 3
    assert "left at record 602" in told.out


def test_a_field_of_a_packet_that_many_records_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A condition on telemetry holds where a packet is complete, named by the end of a field."""
    passing = fly(Options(out=tmp_path / "run", duration_s=80.0, transport="direct")).run_dir
    words = ("--break-at", "tm.bus_mv > 1000 and topic==/link/tm", "--step")
    assert replay(passing, *words, typed="p tm.power.bus_mv\np topic\nq\n", patch=monkeypatch) == 0
    told = capsys.readouterr().err
    ((_, value),) = [line.split("=") for line in told.splitlines() if "tm.power.bus_mv = " in line]
    assert float(value) > 1000
    assert "topic = /link/tm" in told


def test_of_several_packets_in_one_record_each_is_asked() -> None:
    """A condition is about one packet, be it the first that a record completes or the third."""
    fields: dict[str, int | float | str] = {"seq": 1, "tm.apid": 1, "tm.mode": "SAFE"}
    fields |= {"tm[1].apid": 2, "tm[1].mode": "NOMINAL", "tm[2].apid": 3}
    assert views(fields) == [
        {"seq": 1, "tm.apid": 1, "tm.mode": "SAFE"},
        {"seq": 1, "tm.apid": 2, "tm.mode": "NOMINAL"},
        {"seq": 1, "tm.apid": 3},
    ]


def test_from_a_snapshot(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Begun at the nearest snapshot, the rest is identical, and the digest that of the whole."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert main(["snapshot", str(copy), "--every", "5"]) == 0
    capsys.readouterr()
    assert replay(copy, "--from", "400", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figures"]["digest"] == json.loads((run / "run.json").read_text())["digest"]
    assert "begun at " in told["notes"][0]
    compared = sum(count["replayed"] for count in told["verdict"]["counts"].values())
    assert 0 < compared < 900
    assert replay(copy, "--from", "400", "--step", typed="\nq\n", patch=monkeypatch) == 0
    shown = [line for line in capsys.readouterr().err.splitlines() if "#40" in line]
    assert ["#400 " in shown[0], "#401 " in shown[1]] == [True, True]


def test_from_without_snapshots_begins_at_the_start(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no snapshot the way is longer, and how to make some is told."""
    assert replay(run, "--from", "400", "--until", "410") == 0
    assert "`hil snapshot` makes nearer places" in capsys.readouterr().out
    assert replay(run, "--from", "400", "--until", "399") == 2
    assert replay(run, "--from", "400", "--transport", "ipc") == 2


@pytest.mark.parametrize("mode", ["re-execute", "mock"])
def test_both_traces_on_a_page(run: Path, tmp_path: Path, mode: str) -> None:
    """With --html the recorded and the new trace lie over each other in one file."""
    page = tmp_path / "page.html"
    assert replay(run, "--html", str(page), "--mode", mode) == 0
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "IDENTICAL" in text
    assert "<td>replayed</td>" in text or "<th>replayed</th>" in text


@pytest.mark.parametrize("to", ["ground", "flight"])
def test_what_makes_no_trace_is_not_drawn(
    run: Path, tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A play keeps no new trace: a page of it is an error that names it, and no file."""
    page = tmp_path / "page.html"
    assert replay(run, "--html", str(page), "--mode", "play", "--to", to) == 2
    assert "--html: play keeps no new trace" in capsys.readouterr().err
    assert not page.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--board", "jetson_orin_nano"),
        ("--to", "ground"),
        ("--channel", "pass.toml"),
        ("--pace", "real"),
        ("--mode", "mock", "--board", "jetson_orin_nano"),
        ("--mode", "play", "--to", "flight", "--channel", "pass.toml"),
        ("--mode", "play", "--to", "ground", "--board", "jetson_orin_nano"),
    ],
)
def test_no_option_is_passed_over(
    run: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """An option of another mode is an error that names it: nothing was compared under it."""
    assert replay(run, *words) == 2
    assert f"hil replay: {words[-2]}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--step",), ("--break-at", "seq=100")])
def test_nobody_to_ask_is_somebody_who_leaves(
    run: Path,
    words: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where stdin is closed or empty the replay is left at its first stop, with a verdict."""
    for stdin in (None, io.StringIO()):
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["replay", str(run), *words]) == 0
        assert "note: left at record" in capsys.readouterr().out


def test_the_verdict_stands_though_its_page_cannot_be_written(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page in a folder that is not there costs exit code 3, and not the verdict."""
    assert replay(run, "--html", str(tmp_path / "none" / "page.html")) == 3
    told = capsys.readouterr()
    assert told.out.startswith("identical octet for octet")
    assert "the page cannot be written" in told.err


def test_nothing_begins_behind_the_end(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A first record that the run has not is an error that names the last, in front of a flight."""
    with Capture(run / "capture.mcap") as capture:
        last = capture.last_seq
    assert last is not None
    assert replay(run, "--from", str(last)) == 0
    capsys.readouterr()
    assert replay(run, "--from", str(last + 1)) == 2
    told = f"hil replay: --from {last + 1}: the last record of the run is number {last}\n"
    assert capsys.readouterr().err == told


def test_from_and_break_at_go_together(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Begun at a snapshot, the debugger opens at the first record from N on where it holds."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert main(["snapshot", str(copy), "--every", "5"]) == 0
    capsys.readouterr()
    typed = "p 'at', record.seq, rig.kernel.now_ns >= record.t_ns, app is not None\nq\n"
    words = ("--from", "400", "--break-at", "seq>=100 and kind==I2C")
    assert replay(copy, *words, typed=typed, patch=monkeypatch) == 0
    told = capsys.readouterr()
    assert re.search(r"\('at', 40\d, True, True\)", told.err)
    assert "note: begun at 00" in told.out


def test_a_mock_stops_too(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flight software alone can be stopped and left at what it does, as in a flight."""
    typed = "p 'flight', type(app).__module__, record.seq\nq\n"
    words = ("--mode", "mock", "--break-at", "seq>=400 and kind==I2C")
    assert replay(run, *words, typed=typed, patch=monkeypatch) == 0
    told = capsys.readouterr()
    assert "('flight', 'flightsw.app', 40" in told.err
    assert "note: left at t=" in told.out
    assert told.out.startswith("identical")


def manual() -> list[str]:
    """Return every condition of the manual."""
    page = Path(__file__).parents[3] / "docs" / "replay.md"
    return re.findall(r"--break-at '([^']*)'", page.read_text())


@pytest.mark.parametrize("text", manual())
def test_conditions_of_the_manual_are_conditions(text: str) -> None:
    """What the manual shows can be typed."""
    known = ["seq", "t", "topic", "tm.status.mode", "event.name"]
    resolve(parse(text), known, {*dictionary_words(), "UUT_LOST", "/fault"})
