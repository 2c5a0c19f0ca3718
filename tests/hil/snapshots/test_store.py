"""Snapshots of a recorded run: made on its line, used from anywhere, refused when they are not."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree, rmtree

import pytest

from flightsw.storage import Storage
from hil.capture.reader import Capture
from hil.cli import main
from hil.errors import SnapshotError, UsageError
from hil.options import Options, checked
from hil.replay.flown import flown
from hil.replay.stepped import Stepped
from hil.session import fly
from hil.snapshots import fingerprint
from hil.snapshots import store as stores
from hil.snapshots.going import begin, go, recorded_behind
from hil.snapshots.making import make
from hil.snapshots.store import Store
from hil.time.phase import Phase

from .flights import FAULTS, SECOND, Kept

EVERY_NS = 25 * SECOND


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run with its snapshots."""
    path = tmp_path_factory.mktemp("recorded") / "run"
    options = Options(transport="direct", inference="threshold", duration_s=110.0, faults=FAULTS)
    fly(replace(options, out=path))
    with flown(path) as run:
        make(run, EVERY_NS)
    return path


@pytest.fixture
def mine(recorded, tmp_path):
    """A copy of it to spoil."""
    return Path(copytree(recorded, tmp_path / "run"))


def entries(path):
    """Return the snapshots of a run."""
    with Store(path, None) as store:
        return store.entries


def states(path, folder):
    """Return the fingerprint of the straight run at some records, the last one among them."""
    found = {}
    with flown(path) as run:
        straight = Stepped(run, folder / "straight")
        for seq in (20, 250, run.run["records"] - 1):
            assert straight.run_to_seq(seq)
            found[seq] = fingerprint(straight.rig).hex()
    return found


def test_going_to_a_record_gives_the_state_of_the_straight_run(recorded, tmp_path):
    """Another process goes to a record from the nearest snapshot; the whole state there equals
    that of the run flown from its start, octet for octet."""
    firsts = {entry.seq: entry.file for entry in entries(recorded)}
    assert len(firsts) == 5
    for seq, wanted in states(recorded, tmp_path).items():
        command = [sys.executable, "-m", "hil", "snapshot", str(recorded), "--goto", str(seq)]
        done = subprocess.run([*command, "--json"], capture_output=True, check=True)
        there = json.loads(done.stdout)
        nearest = max(first for first in firsts if first <= seq)
        assert (there["from"], there["snapshot"]) == (nearest, firsts[nearest])
        assert there["seq"] == seq < there["made"]
        assert there["fingerprint"] == wanted


def test_from_a_snapshot_on_every_record_is_the_recorded_one(recorded, tmp_path):
    """What a run makes from each snapshot on is what its capture holds behind it, and so is the
    digest at its end."""
    with flown(recorded) as run, Capture(run.capture) as capture, Store(recorded, capture) as store:
        for number, entry in enumerate(store.entries):
            stepped = store.thaw(entry, tmp_path / str(number), Kept)
            wanted = b"".join(recorded_behind(capture, stepped))
            stepped.run()
            assert bytes(stepped.rig.stream.octets) == wanted
            assert stepped.rig.stream.hexdigest() == run.digest


def test_a_replay_begins_at_the_nearest_snapshot(mine, capsys):
    """`hil replay --from N` compares from there to the end, or to another record; where no snapshot
    can be used it says why and begins at the start."""
    kept = entries(mine)
    for words, begun, last in (
        (["--from", str(kept[3].seq)], kept[3], None),
        (["--from", str(kept[3].seq - 1), "--until", str(kept[3].seq + 50)], kept[2], 50),
    ):
        assert main(["replay", str(mine), *words, "--json"]) == 0
        said = capsys.readouterr()
        assert f"begun at {begun.file}, before record {begun.seq}" in said.err
        replayed = json.loads(said.out)
        assert replayed["virtual_s"] < 110.0 - begun.t_ns / SECOND + 0.5
        assert ("digest" in replayed["figures"]) == (last is None)
    spoil(mine / "snapshots" / kept[3].file, 100, 1)
    assert main(["replay", str(mine), "--from", str(kept[3].seq)]) == 0
    assert "no snapshot is used" in capsys.readouterr().out


def test_a_run_that_flies_otherwise_gets_no_snapshots(recorded, tmp_path):
    """Made by re-execution, a snapshot lies on the recorded line: the first record that is not as
    it was recorded is named, and so is a run that ends too early."""
    path = Path(copytree(recorded, tmp_path / "run"))
    with flown(path) as run:
        other = replace(run, options=replace(run.options, seed=2))
        with pytest.raises(SnapshotError, match=r"record \d+ at .* s on /.* is not as it was rec"):
            make(other)
        shorter = replace(run, options=replace(run.options, duration_s=60.0))
        with pytest.raises(SnapshotError, match="went on"):
            make(shorter, 1000 * SECOND)


def test_what_another_program_made_is_not_used(mine, monkeypatch, tmp_path):
    """Other sources, another version or Python: it says what differs and how to make them anew,
    and a run is begun at its start instead."""
    facts = stores.facts()
    monkeypatch.setattr(stores, "facts", lambda: facts | {"sources": "0" * 32, "python": "9.9"})
    with flown(mine) as run, Capture(run.capture) as capture:
        with Store(mine, capture) as store, pytest.raises(SnapshotError) as caught:
            store.check()
        assert "sources 000000000000, recorded with" in str(caught.value)
        assert "Python 9.9" in str(caught.value)
        assert f"`hil snapshot {mine}` makes them anew" in str(caught.value)
        begun = begin(run, capture, 400, tmp_path / "payload")
        assert (begun.start, begun.snapshot) == (0, "")
        assert "sources" in begun.notes[0]


def spoil(path, at, octet=None):
    """Turn over an octet of a file, or cut it off there."""
    octets = bytearray(path.read_bytes())
    octets[at:] = b"" if octet is None else bytes([octets[at] ^ octet]) + octets[at + 1 :]
    path.write_bytes(octets)


@pytest.mark.parametrize(
    ("file", "at", "octet", "what"),
    [
        ("003.snap", 100, 1, "its octets are not those that were written"),
        ("003.snap", 100, None, "its octets are not those that were written"),
        ("shared.pool", 5_000, 1, "damaged|cannot be unpacked"),
        ("shared.pool", 90_000, None, "are not in shared.pool"),
        ("index.json", 30, None, "no index of snapshots"),
        ("index.json", 12, 0x11, "no index of snapshots"),
    ],
)
def test_a_damaged_snapshot_is_named_and_not_used(mine, tmp_path, file, at, octet, what):
    """A snapshot that was cut or changed is named with the way out; the run begins at its start."""
    spoil(mine / "snapshots" / file, at, octet)
    with flown(mine) as run, Capture(run.capture) as capture:
        begun = begin(run, capture, 900, tmp_path / "payload")
        assert begun.snapshot == ""
        (note,) = begun.notes
        assert file in note
        assert "makes the snapshots anew" in note
        assert list(filter(note.__contains__, what.split("|"))), note
        assert begun.stepped.run_to_seq(900)


def test_a_snapshot_from_another_hand_is_not_used(mine, monkeypatch, tmp_path):
    """One that would write to a file of ours when its run goes on is not of this user's making: it
    is named, never put together, and the run is begun at its start."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"ours")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    with flown(mine) as run, Capture(run.capture) as capture:
        with Store(mine, capture, write=True) as store:
            forged = Stepped(run, tmp_path / "forged", Kept())
            journal = Storage(tmp_path / "their storage").journal("any")
            journal._path = str(victim)
            write = partial(journal.append, b"theirs")
            forged.rig.kernel.at(SECOND, Phase.CHECK, 0, write)
            store.add(forged)
        monkeypatch.undo()
        begun = begin(run, capture, 300, tmp_path / "payload", Kept)
        assert begun.stepped.run_to_seq(300)
        assert victim.read_bytes() == b"ours"
        assert begun.snapshot == ""
        assert "somebody else" in begun.notes[0]


def test_a_changed_index_is_not_used(mine, tmp_path):
    """Another hash in the index, with the state that it is of, breaks the seal."""
    index = mine / "snapshots" / "index.json"
    table = json.loads(index.read_text())
    table["snapshots"][0]["t_ns"] += 1
    index.write_text(json.dumps(table))
    with flown(mine) as run, Capture(run.capture) as capture:
        begun = begin(run, capture, 20, tmp_path / "payload")
    assert begun.snapshot == ""
    assert "somebody else" in begun.notes[0]


def test_a_snapshot_of_another_run_is_refused(mine, recorded, tmp_path):
    """The records before a snapshot are those of the capture beside it, or it is not used."""
    other = tmp_path / "other"
    fly(Options("raspberrypi4", seed=3, out=other, duration_s=60.0, transport="direct"))
    copytree(recorded / "snapshots", other / "snapshots")
    with (
        flown(other) as run,
        Capture(run.capture) as capture,
        Store(other, capture) as store,
        pytest.raises(SnapshotError, match="are not those that the snapshot stands behind"),
    ):
        store.thaw(store.entries[1], tmp_path / "payload", Kept)


def test_snapshots_made_in_flight_are_those_made_afterwards(recorded, tmp_path):
    """A run that makes them as it flies leaves the same records, and snapshots that lead to the
    same states as those made by flying it once more."""
    path = tmp_path / "run"
    options = Options(transport="direct", inference="threshold", duration_s=110.0, faults=FAULTS)
    outcome = fly(replace(options, out=path, snapshots_s=25.0))
    assert "rig.snapshots" in outcome.as_json()["where_time_goes_s"]
    with flown(path) as run, flown(recorded) as other:
        assert run.digest == other.digest
        wanted = states(recorded, tmp_path)
        with Capture(run.capture) as capture, Store(path, capture) as store:
            assert len(store.entries) == 5
            for entry, before in zip(store.entries, entries(recorded), strict=True):
                assert (entry.seq, entry.t_ns, entry.digest, entry.files) == (
                    *(before.seq, before.t_ns, before.digest, before.files),
                )
            for seq, mark in wanted.items():
                there = go(run, capture, seq, tmp_path / str(seq))
                assert there.snapshot
                assert fingerprint(there.stepped.rig).hex() == mark


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"transport": "ipc"}, "add --transport direct"),
        ({"pace": "x10"}, "leave --pace away"),
        ({"snapshots_s": 0.5}, "every 0.5 s: give 1 s or more"),
    ],
)
def test_snapshots_in_flight_need_a_flight_in_this_process(wrong, what):
    """Flight software elsewhere, or the pace of the wall: it says what to do instead."""
    options = Options(transport="direct", snapshots_s=60.0)
    assert not checked(options).rows
    with pytest.raises(UsageError, match=what):
        checked(replace(options, **wrong))


def test_a_frame_that_the_capture_holds_is_not_kept_twice(tmp_path):
    """A frame that a camera port holds is found in the capture when the run is thawed."""
    path = tmp_path / "run"
    fly(Options(transport="direct", inference="threshold", duration_s=700.0, out=path))
    with flown(path) as run:
        made = make(run, 690 * SECOND)
        with Capture(run.capture) as capture, Store(path, capture) as store:
            frames = list(capture.records(["/camera/csi0"]))
            stepped = store.thaw(made[-1], tmp_path / "payload", Kept)
    assert stepped.rig.wiring.buses["csi0"]._last == frames[-1].payload
    assert made[-1].shared_nbytes < len(frames[-1].payload) // 2


def test_what_cannot_be_flown_again_is_refused(recorded, tmp_path):
    """A capture alone, a foreign program, a run that something real took part in: one line each."""
    with flown(recorded) as run:
        for other, what in (
            (replace(run, path=run.capture), "lie in the directory of a run"),
            (replace(run, program=["i2cdetect", "-y", "1"]), "i2cdetect flew"),
            (replace(run, repeatable=False), "something real or from outside"),
            (replace(run, imported=True), "brought in from elsewhere"),
        ):
            with pytest.raises(UsageError, match=what):
                make(other)
        with pytest.raises(UsageError, match=r"every 0.5 s: give 1 s or more"):
            make(replace(run, path=tmp_path), SECOND // 2)


def test_the_command_lists_and_goes(recorded, capsys):
    """The list has a row for each snapshot, and what is wrong on a command line is one line."""
    assert main(["snapshot", str(recorded), "--list"]) == 0
    text = capsys.readouterr().out
    assert [line[:8] for line in text.splitlines()] == [f"00{n}.snap" for n in range(1, 6)]
    assert main(["snapshot", str(recorded), "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["t_ns"] // EVERY_NS for row in listed["snapshots"]] == [0, 1, 2, 3, 4]
    assert listed["differs"] == []
    for words, what in (
        (["--goto", "999999"], "the last record of the run is number"),
        (["--goto", "x"], "give the number of a record"),
        (["--every", "3 m"], "every: "),
        (["--list", "--every", "5"], "--every is for making"),
    ):
        assert main(["snapshot", str(recorded), *words]) == 2
        assert what in capsys.readouterr().err


def test_going_from_a_run_without_snapshots(mine, tmp_path):
    """Without snapshots the way begins at the start, and leads to the same state."""
    marks = []
    for folder in ("with", "without"):
        with flown(mine) as run, Capture(run.capture) as capture:
            there = go(run, capture, 500, tmp_path / folder)
            marks.append((there.snapshot, fingerprint(there.stepped.rig)))
        rmtree(mine / "snapshots", ignore_errors=True)
    assert [mark[0] for mark in marks] == ["002.snap", ""]
    assert marks[0][1] == marks[1][1]


def test_an_interrupt_leaves_the_snapshots_that_there_were(mine, recorded):
    """Snapshots are made beside the old ones: what ends that in between leaves those, and nothing
    else; where there were none, none are left."""

    def stop(entry):
        if entry.file == "003.snap":
            raise KeyboardInterrupt

    for kept in (True, False):
        before = {path.name: path.read_bytes() for path in (mine / "snapshots").glob("*")}
        with flown(mine) as run, pytest.raises(KeyboardInterrupt):
            make(run, 10 * SECOND, stop)
        assert [path.name for path in mine.glob("snapshots*")] == ["snapshots"] * kept
        assert {path.name: path.read_bytes() for path in (mine / "snapshots").glob("*")} == before
        rmtree(mine / "snapshots", ignore_errors=True)


def test_snapshots_on_a_disk_that_takes_none_are_an_error_of_the_host(mine, capsys):
    """A place that cannot be written is one line with the folder and the next step, exit code 3."""
    rmtree(mine / "snapshots")
    (mine / "snapshots.new").symlink_to("/dev/null")
    (mine / "snapshots").write_bytes(b"in the way")
    (mine / "snapshots.old").mkdir()
    (mine / "snapshots.old" / "x").touch()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        code = main(["snapshot", str(mine), "-q"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    told = capsys.readouterr().err
    assert code == 3
    assert f"{mine / 'snapshots.new'}: cannot be written: File too large; make room" in told
    assert "doctor" not in told
    assert [path.name for path in mine.glob("snapshots*")] == ["snapshots"]


@pytest.mark.parametrize("words", [[], ["-q"], ["--json"]])
def test_a_bar_shows_on_a_terminal_how_far_it_is(mine, monkeypatch, capsys, words):
    """Making snapshots says how far it has come, on a terminal and not where it is to be quiet."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["snapshot", str(mine), "--every", "60", *words]) == 0
    assert ("of 110 s" in terminal.getvalue()) == (not words)
