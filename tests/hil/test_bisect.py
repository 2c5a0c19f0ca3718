"""Searching for what makes a run fail: plans that shrink, seeds in order, faults by the swarm."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil import hosting
from hil.board import load_board
from hil.cli.bisect import main, seeds_of
from hil.errors import ConfigError, HostError, UsageError
from hil.faults.bisect import wanted_marks
from hil.faults.plan import Row, apply, read_plan, read_rows, rows_toml
from hil.faults.shrink import ddmin
from hil.faults.swarm import places, swarm
from hil.faults.trials import Case, Trials
from hil.missions import load
from hil.options import Options
from hil.rig import Rig
from hil.session import fly

#: Fails only if both of the parts that it asks fail.
EITHER = "i2cget -y 1 0x40 0xff w || i2cget -y 1 0x48 0x00 w"
needs_shim = pytest.mark.skipif(
    not (Path(hosting.__file__).parent / "faces" / hosting.SHIM).is_file(),
    reason="the preload shim was not built",
)
needs_i2cget = pytest.mark.skipif(shutil.which("i2cget") is None, reason="i2cget is not installed")


def bench(duration_s: float = 60.0) -> Rig:
    """Return a rig of the default board without flight software."""
    board, mission = load_board("raspberrypi4"), load("tiansuan_bupt1")
    return Rig(board, mission, seed=1, duration_s=duration_s, flight=False)


@given(st.integers(1, 60), st.data())
def test_a_conjunction_shrinks_to_itself(count, data):
    """Where a set fails if it holds all guilty items, exactly those are left, in their order."""
    guilty = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=5))

    def first_failing(parts):
        return next((i for i, part in enumerate(parts) if guilty <= set(part)), None)

    assert ddmin(range(count), first_failing) == tuple(sorted(guilty))


@given(st.lists(st.frozensets(st.integers(0, 19), min_size=1, max_size=4), min_size=1, max_size=5))
def test_what_is_left_fails_and_needs_every_item(causes):
    """With several ways to fail, what is left fails and does not without any one of its items."""

    def fails(part):
        return any(cause <= set(part) for cause in causes)

    def first_failing(parts):
        return next((i for i, part in enumerate(parts) if fails(part)), None)

    kept = ddmin(range(20), first_failing)
    assert fails(kept)
    assert not any(fails([item for item in kept if item != out]) for out in kept)


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
names = words.filter(str.strip)
numbers = st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6)
keys = st.sampled_from(["from", "until", "rate", "node", "address", "at"])


@given(
    st.lists(
        st.builds(
            lambda on, kind, values: Row(on, kind, values, lambda key, text: ConfigError(text)),
            names,
            names,
            st.dictionaries(keys, words | numbers),
        ),
        max_size=5,
    )
)
def test_rows_survive_being_written(tmp_path_factory, rows):
    """A plan that we write is read back row by row as it was."""
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    path.write_text(rows_toml(rows))
    read = [(row.on, row.kind, row.values) for row in (read_rows(path=path) if rows else [])]
    assert read == [(row.on, row.kind, row.values) for row in rows]


@settings(max_examples=15, deadline=None)  # it builds a rig
@given(st.integers(0, 2**63 - 1))
def test_every_row_of_a_swarm_can_be_flown(seed):
    """A swarm is the same each time, lies within the run, and a rig takes every row of it."""
    rig = bench()
    where = places(rig.wiring)
    rows = swarm(seed, 40, 60.0, where)
    again = swarm(seed, 40, 60.0, where)
    assert [row[:3] for row in rows] == [row[:3] for row in again]
    assert all(0.0 <= row.values["from"] < row.values["until"] <= 60.002 for row in rows)
    plan = read_plan()._replace(rows=tuple(rows))
    apply(plan, rig)
    assert sum("planned" in event for event in rig.events) == 40


def test_a_swarm_leaves_kinds_out():
    """Two seeds do not break the same kinds of things, and neither breaks everything."""
    where = places(bench().wiring)
    kinds = [{row[:2] for row in swarm(seed, 400, 60.0, where)} for seed in (1, 2)]
    assert kinds[0] != kinds[1]
    assert len(kinds[0] | kinds[1]) > max(map(len, kinds))


def test_a_swarm_keeps_to_the_buses_that_it_is_given():
    """Only what is named is broken, and a name that is not there is told with those that are."""
    wiring = bench().wiring
    rows = swarm(3, 50, 60.0, places(wiring, ["can0"]))
    assert {row.on for row in rows} == {"can0"}
    with pytest.raises(ConfigError, match=r"'can7'.*i2c-1.*gnss"):
        places(wiring, ["can7"])


def storm(folder: Path) -> Path:
    """Write a plan of 16 rows, two of which together leave ``EITHER`` without an answer."""
    harmless = "".join(
        f'[[fault]]\non = "i2c-1"\nkind = "delay"\naddress = 0x6A\nfirst = {n}\nns = 5000\n'
        for n in range(14)
    ).split("[[fault]]")
    guilty = [
        f'\non = "i2c-1"\nkind = "nak_address"\naddress = {address}\n' for address in (0x40, 0x48)
    ]
    rows = [*harmless[1:6], guilty[0], *harmless[6:12], guilty[1], *harmless[12:]]
    path = folder / "storm.toml"
    path.write_text("".join(f"[[fault]]{row}" for row in rows))
    return path


@needs_i2cget
def test_a_program_is_left_with_the_two_faults_that_break_it(tmp_path, monkeypatch, capsys):
    """Of 16 faults the two remain without both of which the program finds an answer."""
    monkeypatch.chdir(tmp_path)
    plan = storm(tmp_path)
    code = main(["--faults", str(plan), "--json", "-q", "--virtual-time", "--", "sh", "-c", EITHER])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert code == 1, err
    assert found["faults"] == 16
    assert [row["address"] for row in found["kept"]] == [0x40, 0x48]
    assert read_rows(path=tmp_path / "shrunk.toml") != []
    assert "--faults shrunk.toml -- sh -c" in found["command"]


@needs_i2cget
def test_the_first_that_fails_is_the_first_in_order(tmp_path):
    """Side by side or one after the other, the first failing case is the same one."""
    nak = 'i2c-1:nak_address,address="0x48"'
    bad = rows_toml(read_rows([nak.replace('"', "")]))
    slow_bad = bad + "\n" + rows_toml(read_rows(["i2c-1:delay,ns=200000000"]))
    cases = [Case(1, ""), Case(2, slow_bad), Case(3, bad), Case(4, bad)]
    found = []
    for jobs in (1, 3):
        program = ["i2cget", "-y", "1", "0x48", "0x00", "w"]
        with Trials(["--virtual-time"], program, jobs=jobs) as trials:
            found.append(trials.first(cases, lambda trial: "exit" in trial.marks))
    assert found == [1, 1]


@needs_i2cget
@needs_shim
def test_a_search_that_is_stopped_leaves_no_program(tmp_path):
    """What trials have started ends with the search, and their folders are gone."""
    os.mkfifo(tmp_path / "pid")
    command = [sys.executable, "-m", "hil", "bisect", "-q", "--jobs", "1", "--", "sh", "-c"]
    command += [f"echo $$ > {tmp_path}/pid; exec sleep 60"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=env) as search:
        pid = int((tmp_path / "pid").read_text())
        program = os.pidfd_open(pid)
        search.terminate()
        search.communicate()
    assert search.returncode == 128 + signal.SIGTERM
    assert select.select([program], [], [], 10)[0] == [program]
    os.close(program)
    assert list(tmp_path.glob("hil-bisect-*")) == []


def test_a_check_judges_the_run_directory(tmp_path, monkeypatch, capsys):
    """A command of the user's own says what a failure is, and its last line is told."""
    monkeypatch.chdir(tmp_path)
    check = 'grep -q nak_address "$1/events.jsonl" && echo seen it && exit 1; true'
    plan = ["--fault", "i2c-1:delay,ns=1000", "--fault", "i2c-1:nak_address,address=0x48"]
    command = ["--virtual-time", "-q", "--", "i2cget", "-y", "1", "0x40", "0xff", "w"]
    assert main([*plan, "--check", check, *command]) == 1
    out, _ = capsys.readouterr()
    assert "seed 1 fails: seen it" in out
    assert "2 faults shrunk to 1" in out


@needs_i2cget
def test_a_run_that_fails_without_faults_is_told(capsys):
    """What fails by itself cannot be laid at the faults' door: usage error, not a plan."""
    with pytest.raises(UsageError, match="fails without any fault"):
        main(["--fault", "i2c-1:delay,ns=10", "--virtual-time", "-q", "--", "false"])


@needs_i2cget
def test_nothing_fails(capsys):
    """Where nothing fails the exit code is 0 and no plan is written."""
    assert main(["--seeds", "1-2", "--virtual-time", "-q", "--", "true"]) == 0
    assert capsys.readouterr().out == "nothing fails: 2 runs\n"


def test_the_names_of_failures_are_those_that_runs_have(tmp_path):
    """Every condition of a run, and every event in its books, can be asked for."""
    outcome = fly(Options(out=tmp_path / "run", duration_s=80.0, faults=("kill@20",)))
    conditions = [condition.name for condition in outcome.verdict.conditions]
    lines = (outcome.run_dir / "events.jsonl").read_text().splitlines()
    events = {name for line in lines if (name := json.loads(line).get("name"))}
    assert {"UUT_LOST", "CONTACT_BEGIN"} <= events
    for mark in (*(f"condition:{n}" for n in conditions), *(f"event:{n}" for n in events)):
        assert wanted_marks(mark) == (mark,)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--seeds", "9-3"], "A <= B"),
        (["--seeds", "one"], "give A-B"),
        (["--fails", "sadness"], "say verdict"),
        (["--fails", "condition:nosuch"], "no such condition; no brown-out, battery"),
        (["--fails", "condition:batery"], "did you mean 'battery'"),
        (["--fails", "event:NOSUCH"], "no such event.*; .*UUT_LOST"),
        (["--fails", "exit:one"], "a number"),
        (["--jobs", "0"], "1 or more"),
        (["--out", "x"], "leave no run directory"),
        (["--swarm", "0"], "swarm of 0"),
        (["--swarm", "5", "--swarm-on", "can7"], "nothing to break"),
        (["--fault", "can7:crc"], "nothing here is called"),
    ],
)
def test_what_cannot_be_searched_is_refused(words, wrong, tmp_path, monkeypatch):
    """A wrong option, bus or row is one error that says what would do."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=wrong):
        main([*words, "-q", "--duration", "5"])


@pytest.mark.parametrize("place", ["away/plan.toml", "."])
def test_where_a_plan_cannot_be_written_nothing_is_searched(place, tmp_path):
    """A folder that is not there, or a name that is one, is refused before any run is flown."""
    words = ["--fault", "i2c-1:absent", "--plan-out", str(tmp_path / place), "--", "false"]
    with pytest.raises(HostError, match=r"--plan-out .* another"):
        main(words)


def test_seeds_are_read_as_ranges():
    """One number, A-B and A..B name seeds, both ends included."""
    assert list(seeds_of("7")) == [7]
    assert seeds_of("1-500") == seeds_of("1..500") == range(1, 501)


@pytest.mark.soak
def test_two_guilty_of_two_hundred(tmp_path, monkeypatch, capsys):
    """Of 200 random faults in a flight the two remain that leave ground without any picture."""
    monkeypatch.chdir(tmp_path)
    wiring = bench().wiring
    rows = swarm(7, 198, 990.0, places(wiring, ["i2c-1", "ttyAMA1", "can0", "gnss"]))
    camera = ["csi0:absent,from=530,until=650", "csi0:absent,from=700,until=820"]
    for at, row in zip((61, 150), read_rows(camera), strict=True):
        rows.insert(at, row)
    (tmp_path / "storm.toml").write_text(rows_toml(rows))
    words = ["--faults", "storm.toml", "--inference", "threshold", "--duration", "990", "--json"]
    assert main([*words, "--fails", "condition:delivery", "-q"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == 200
    assert [(row["on"], row["from"]) for row in found["kept"]] == [("csi0", "530"), ("csi0", "700")]
