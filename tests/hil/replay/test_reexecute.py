"""A run that was recorded is flown again from what its capture holds."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import pytest

from flightsw.codec.wire import Kind
from hil.about import END
from hil.board import find_board
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.cli import main
from hil.errors import CaptureError
from hil.hosting import SHIM, host_program
from hil.missions.loader import FOLDER
from hil.options import TRANSPORTS, Options, options_of
from hil.replay.diff import names_of
from hil.replay.flown import Flown, flown
from hil.session import fly

FAULTS = ("i2c-1:nak_address,address=0x40,first=5,last=9", "kill@30")
PLAN = """
[[fault]]
kind = "kill"
at = "12 s"

[[fault]]
on = "i2c-1"
kind = "nak_address"
address = 0x40
from = "3 s"
until = 5.5
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short flight with a fault of a bus and a kill."""
    out = tmp_path_factory.mktemp("runs") / "killed"
    return fly(Options(out=out, duration_s=90.0, transport="direct", faults=FAULTS)).run_dir


def test_a_capture_alone_is_enough(killed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options and fault plan come out of the capture, and the run comes out identical."""
    with flown(killed / "capture.mcap") as run:
        assert run.options == Options(duration_s=90.0, transport="direct")
        assert run.plan.kills == (30_000_000_000,)
        assert [row.values for row in run.plan.rows] == [
            {"address": "0x40", "first": "5", "last": "9"}
        ]
        assert run.differences() == []
        digest = run.digest
    assert main(["replay", str(killed / "capture.mcap")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("identical")
    assert digest is not None
    assert digest in out


@pytest.mark.parametrize(
    "options",
    [
        Options(board="raspberrypi5", seed=7),
        Options(board="jetson_orin_nano", inference="threshold"),
        Options(board="jetson_agx_orin", faults=("i2c-1:nak_address,first=3", "kill@4")),
        Options(plan=Path("plan.toml"), seed=3),
        Options(mission="other.toml", transport="ipc"),
    ],
    ids=lambda options: options.command().removeprefix("hil run --seed "),
)
def test_whatever_flew_flies_again(
    options: Options,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Boards, missions, seeds, faults, transports: the digest is the recorded one, from the
    capture alone, with the files gone that it was flown with."""
    monkeypatch.chdir(tmp_path)
    profile = (FOLDER / "tiansuan_bupt1.toml").read_text()
    Path("other.toml").write_text(profile.replace("tiansuan_bupt1", "other"))
    Path("plan.toml").write_text(PLAN)
    outcome = fly(replace(options, duration_s=20.0, out=tmp_path / "run"))
    for path in tmp_path.glob("*.toml"):
        path.unlink()
    assert main(["replay", str(outcome.run_dir), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["figures"] == {"digest": outcome.digest}
    assert "differs" not in told.err


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_it_flies_again_over_every_transport(
    brief: Path, transport: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was recorded over one transport comes out identical over each."""
    assert main(["replay", str(brief), "--transport", transport, "--json"]) == 0
    digest = json.loads((brief / "run.json").read_text())["digest"]
    assert json.loads(capsys.readouterr().out)["figures"] == {"digest": digest}


def test_what_it_makes_can_be_kept(
    brief: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new records become a capture of their own, which replays as the first one does."""
    again = tmp_path / "again"
    assert main(["replay", str(brief), "--out", str(again)]) == 0
    assert main(["replay", str(again)]) == 0
    with flown(brief) as first, flown(again) as second:
        assert second.digest == first.digest
        assert second.board.source == first.board.source
    assert capsys.readouterr().out.count("identical") == 2


def test_a_file_that_was_changed_since_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recorded board file is flown, and that there is another one by now is told."""
    board = tmp_path / "mine.toml"
    shutil.copyfile(find_board("raspberrypi4"), board)
    options = Options(board=str(board), out=tmp_path / "run", duration_s=2.0, transport="direct")
    run = fly(options).run_dir
    board.write_text(board.read_text().replace("0x40", "0x41"))
    assert main(["replay", str(run)]) == 0
    told = capsys.readouterr()
    assert f"differs: board {board} is another now; the recorded one is taken" in told.err
    assert told.out.startswith("identical")


def changed(run: Flown, key: str, value: str) -> list[str]:
    """Return what differs from a run with one fact changed."""
    return replace(run, made_by={**run.made_by, key: value}).differences()


def test_another_installation_is_told(brief: Path) -> None:
    """Version, commit, Python, platform and libraries are named where they differ."""
    with flown(brief) as run:
        assert changed(run, "version", "0.0.9")[0].endswith("recorded with 0.0.9")
        assert changed(run, "commit", "f" * 40)[0].endswith("recorded with ffffffffffff")
        assert changed(run, "python", "3.99.1")[0].startswith("Python 3.")
        assert changed(run, "platform", "linux riscv64")[0].endswith("recorded with linux riscv64")
        assert changed(run, "libraries", '{"numpy": "0.1"}')
        assert changed(run, "libraries", "[]") == []


def test_options_round_trip() -> None:
    """What a capture keeps of the options gives the same options, of files their names alone."""
    every = Options(
        board="boards/other.toml",
        mission="m.toml",
        seed=9,
        duration_s=12.5,
        transport="tcp",
        pace="x2",
        inference="threshold",
        pin=False,
        stall_limit_s=3.0,
        virtual_time=True,
        lab=Path("lab/lab.toml"),
        bind=("a=b",),
        front=("c=d",),
        boards_wait_s=1.0,
    )
    again = options_of(json.loads(json.dumps(every.as_json())), "here")
    assert again == replace(every, board="other.toml", lab=Path("lab.toml"))
    kept = set(every.as_json()) | {"out", "plan", "faults"}
    assert kept == {each.name for each in fields(Options)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"seed": "1"}', "option 'seed' cannot be '1'"),
        ('{"pin": 1}', "option 'pin' cannot be '1'"),
        ('{"bind": [1]}', "option 'bind' cannot be '[1]'"),
        ("[]", "must be an object"),
        ("{", "is damaged"),
        ('{"seed": %s}' % ("1" * 5000), "is damaged"),
        ("[" * 100_000, "is damaged"),
    ],
    ids=["seed", "pin", "bind", "list", "cut", "huge", "deep"],
)
def test_what_a_capture_claims_is_checked(
    text: str, told: str, brief: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options of a wrong type, or no options at all, are an error in one line."""
    path = tmp_path / "claims.mcap"
    with CaptureWriter(path, 0, {}, {"options": text}):
        pass
    assert main(["replay", str(path)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_another_order_of_topics_is_told_without_a_digest(
    brief: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part of a run diverges, too, where each topic is the same and their order is not."""
    with Capture(brief / "capture.mcap") as old:
        records = list(old.records())
        both = {Kind.I2C, Kind.UART}
        pairs = enumerate(pairwise(records))
        at = next(n for n, (a, b) in pairs if {a.kind, b.kind} == both)
        one, other = records[at : at + 2]
        records[at : at + 2] = other._replace(seq=one.seq), one._replace(seq=other.seq)
        facts = old.metadata["flatsat"]
        with CaptureWriter(tmp_path / "a.mcap", old.epoch_ns, names_of(old), facts) as new:
            for name in old.attachments:
                new.add_attachment(name, "", old.attachment(name))
            for record in records:
                new.write(record.pack())
    assert main(["replay", str(tmp_path / "a.mcap"), "--until", str(other.seq)]) == 1
    assert "identical topic by topic" in (told := capsys.readouterr().out)
    assert "come earlier or later among the others" in told
    assert main(["replay", str(tmp_path / "a.mcap"), "--until", str(one.seq - 1)]) == 0
    assert "identical octet for octet" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["Infinity", "NaN", "-5", "1" + "0" * 400, "1" * 5000, "[" * 9999])
def test_no_run_takes_an_odd_time(text: str, tmp_path: Path) -> None:
    """Times at the end of a capture that no run can take are as good as none."""
    with CaptureWriter(tmp_path / "a.mcap", 0, {}, {}) as writer:
        writer.add_metadata(END, {"virtual_s": text, "wall_s": text})
    with flown(tmp_path / "a.mcap") as run:
        assert (run.virtual_s, run.wall_s) == (None, None)
    (tmp_path / "a.mcap").rename(tmp_path / "capture.mcap")
    (tmp_path / "run.json").write_text("[" * 100_000)
    with pytest.raises(CaptureError, match="cannot be used"):
        flown(tmp_path)


def test_facts_of_elsewhere_do_not_steer_a_terminal(tmp_path: Path) -> None:
    """What differs is told with control characters spelt out, however odd the facts are."""
    facts = {"commit": "\x1b[31m", "tier": "\x07", "libraries": '{"numpy": "\\u001b"}'}
    for each in (facts, facts | {"libraries": "[" * 100_000}):
        with CaptureWriter(tmp_path / "a.mcap", 0, {}, each):
            pass
        with flown(tmp_path / "a.mcap") as run:
            told = "".join(run.differences())
        assert "\\x1b[31m" in told
        assert told.isprintable()
        (tmp_path / "a.mcap").unlink()


def test_there_must_be_something_to_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path that is not there, an empty folder and a text are told as such."""
    assert main(["replay", str(tmp_path / "none")]) == 2
    assert main(["replay", str(tmp_path)]) == 2
    assert main(["replay", __file__]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "is not there" in lines[0]
    assert "holds no capture.mcap" in lines[1]


# --- programs -------------------------------------------------------------------------------------

PROGRAM = """
import os, sys
fd = os.open('/dev/i2c-1', os.O_RDWR)
import fcntl
open('/sys/class/thermal/thermal_zone0/temp').read()
fcntl.ioctl(fd, 0x0703, 0x40)
for register in b'\\x02\\x01\\x02':
    os.write(fd, bytes([register]))
    print(os.read(fd, 2).hex(), flush=True)
sys.exit(3)
"""
needs_shim = pytest.mark.skipif(
    not (Path(main.__code__.co_filename).parents[1] / "faces" / SHIM).is_file(),
    reason="the preload shim was not built",
)


def recorded(tmp_path: Path, options: Options, text: str = PROGRAM) -> Path:
    """Return the run of a program under the shim."""
    ended = host_program(replace(options, out=tmp_path / "run"), [sys.executable, "-c", text])
    return ended.run_dir


@needs_shim
@pytest.mark.parametrize("virtual", [True, False], ids=["virtual", "wall"])
def test_a_program_runs_again(
    virtual: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """On virtual time everything is compared; on that of the wall what it asked and was told."""
    pace = "max" if virtual else "real"
    run = recorded(tmp_path, Options(pace=pace, virtual_time=virtual, duration_s=60.0))
    said = capfd.readouterr().out
    assert len(said.split()) == 3
    assert main(["replay", str(run), "--mode", "re-execute", "--json"]) == 0
    told = capfd.readouterr()
    counts = json.loads(told.out)["verdict"]["counts"]
    assert counts["/bus/i2c-1"]["replayed"] == 6
    assert "/attribute" not in counts if not virtual else counts["/attribute"]["replayed"] == 1
    assert said in told.err
    assert ("no times" in told.err) is not virtual


@needs_shim
def test_another_program_is_told_from_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A program that asks for another register diverges there, and its other end is noted."""
    run = recorded(tmp_path, Options(pace="max", virtual_time=True, duration_s=60.0))
    other = PROGRAM.replace("\\x02\\x01", "\\x02\\x04").replace("exit(3)", "exit(4)")
    command = ["--", sys.executable, "-c", other]
    assert main(["replay", str(run), "--mode", "re-execute", *command]) == 1
    told = capfd.readouterr()
    assert "/bus/i2c-1 record 2" in told.err
    assert "note: it ended with 4, and with 3 when recorded" in told.err
