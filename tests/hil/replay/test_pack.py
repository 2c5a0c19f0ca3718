"""A run as one file: the same octets each time, replayed elsewhere, refused where it is a trap."""

from __future__ import annotations

import io
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.about import about, attach
from hil.board import load_board
from hil.capture.writer import CaptureWriter
from hil.cli import main
from hil.errors import CaptureError, HilError
from hil.faults.plan import NOTHING
from hil.missions import load as load_mission
from hil.options import Options
from hil.replay.manifest import NAME
from hil.replay.pack import pack
from hil.replay.packed import Packed


@pytest.fixture
def packed(brief: Path, tmp_path: Path) -> Path:
    """A packed run."""
    return pack(brief, tmp_path / "run.flatsat")[0]


def test_the_same_run_packs_to_the_same_octets(brief: Path, tmp_path: Path) -> None:
    """Neither the hour, the folder nor the age of the files is in it."""
    first, _ = pack(brief, tmp_path / "first.flatsat")
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(brief, copy, copy_function=shutil.copyfile)
    second, _ = pack(copy)
    assert second == copy.with_name("copy.flatsat")
    assert first.read_bytes() == second.read_bytes()


def test_it_replays_where_the_original_is_gone(
    brief: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file alone, in another directory, flies again to the recorded digest."""
    copy = tmp_path / "copy"
    shutil.copytree(brief, copy)
    digest = json.loads((copy / "run.json").read_text())["digest"]
    assert main(["pack", str(copy), "--out", str(tmp_path / "a.flatsat")]) == 0
    shutil.rmtree(copy)
    away = tmp_path / "away"
    away.mkdir()
    (tmp_path / "a.flatsat").rename(away / "b.flatsat")
    monkeypatch.chdir(away)
    capsys.readouterr()
    assert main(["replay", "b.flatsat", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["identical"]
    assert told["figures"] == {"digest": digest}
    assert [path.name for path in away.iterdir()] == ["b.flatsat"]


def test_it_says_what_it_holds(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """List and check name every file with its hash, and what made the run."""
    assert main(["pack", "--list", str(packed)]) == 0
    listed = capsys.readouterr().out
    assert "capture.mcap" in listed
    assert "python: " in listed
    assert main(["pack", "--check", "--json", str(packed)]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["run"]["options"]["duration_s"] == 5.0
    assert set(manifest["members"]) >= {"run.json", "capture.mcap", "events.jsonl"}


def test_it_unpacks_to_what_was_packed(brief: Path, packed: Path, tmp_path: Path) -> None:
    """Every file comes out as it went in, and a folder that holds something is refused."""
    out = tmp_path / "out"
    assert main(["pack", "--extract", str(out), str(packed)]) == 0
    for path in (path for path in brief.rglob("*") if path.is_file()):
        assert (out / path.relative_to(brief)).read_bytes() == path.read_bytes()
    assert main(["pack", "--extract", str(out), str(packed)]) == 3


def test_what_is_not_packed_is_told(
    brief: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Links, keys and snapshots are left out, each with its reason; snapshots if not asked for."""
    run = tmp_path / "run"
    shutil.copytree(brief, run)
    (run / "keys").mkdir()
    (run / "keys" / "server.key_secret").write_text("secret")
    (run / "snapshots").mkdir()
    for name in ("1", "2", "3"):
        (run / "snapshots" / name).write_text("state")
    (run / "link").symlink_to("run.json")
    assert main(["pack", str(run)]) == 0
    told = capsys.readouterr().out
    assert "left out: keys/server.key_secret: keys of the run, which are private" in told
    assert "left out: link: no file but a link or a device" in told
    assert "left out: 3 files: a snapshot; --with-snapshots packs it" in told
    assert told.count("left out") == 3
    _, manifest = pack(run, tmp_path / "b.flatsat", with_snapshots=True)
    assert "snapshots/1" in manifest.members
    assert not any(name.startswith("keys") for name in manifest.members)


def remade(packed: Path, change: Callable[[dict[str, bytes], zipfile.ZipFile], None]) -> Path:
    """Return an archive of the same members after ``change`` to them; it may add its own."""
    out = packed.with_name("bad.flatsat")
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(out, "w") as new:
        members = {info.filename: old.read(info) for info in old.infolist()}
        change(members, new)
        for name, octets in members.items():
            new.writestr(zipfile.ZipInfo(name), octets)
    return out


def edited(members: dict[str, bytes], entries: dict[str, object], **keys: object) -> None:
    """Change entries of the manifest's members, and its other keys."""
    manifest = json.loads(members[NAME]) | keys
    manifest["members"] |= entries
    members[NAME] = json.dumps(manifest).encode()


ENTRY = {"nbytes": 1, "blake2b": "0" * 64}


def climbing(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Name a file outside of the folder."""
    members["../evil"] = b"x"
    edited(members, {"../evil": ENTRY})


def rooted(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Name a file by its whole path."""
    members["/evil"] = b"x"


def link(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Add a symbolic link."""
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    new.writestr(info, b"/etc/passwd")


def twice(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Add a file that is there already."""
    new.writestr(zipfile.ZipInfo("run.json"), b"{}")


def stranger(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Add a file that the manifest does not list."""
    members["more"] = b"x"


def absent(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Take a file away."""
    del members["events.jsonl"]


def bomb(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """List a file of a terabyte."""
    edited(members, {"run.json": {"nbytes": 1 << 40, "blake2b": "0" * 64}})


def inflated(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Add a third of a gigabyte of nothing, rightly listed."""
    info = zipfile.ZipInfo("zeros")
    info.compress_type = zipfile.ZIP_DEFLATED
    with new.open(info, "w") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    edited(members, {"zeros": {"nbytes": 300 << 20, "blake2b": "0" * 64}})


def folder(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Use a file as a folder."""
    members["run.json/x"] = b"x"
    edited(members, {"run.json/x": ENTRY})


def later(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Come from a version to come."""
    edited(members, {}, format_version=2)


def bare(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Have no manifest."""
    del members[NAME]


def other(members: dict[str, bytes], new: zipfile.ZipFile) -> None:
    """Hold another file than was packed, of the same size."""
    members["run.json"] = members["run.json"].replace(b"good", b"fine")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (climbing, "'../evil': its name leads out of the folder"),
        (rooted, "'/evil': its name is no relative path"),
        (link, "'link': is a link or a device"),
        (stranger, "'more' is only in the archive"),
        (absent, "'events.jsonl' is only in the manifest"),
        (bomb, "'run.json' has another size than it should"),
        (inflated, "more than a run of its size ever is"),
        (folder, "'run.json' is a file and a folder"),
        (later, "is packed in format version 2, this installation reads 1"),
        (bare, "it has no manifest.json"),
        (other, "'run.json' is not what was packed: its hash does not match"),
    ],
)
def test_traps_are_refused(
    change: Callable[[dict[str, bytes], zipfile.ZipFile], None],
    told: str,
    packed: Path,
    tmp_path: Path,
) -> None:
    """What a run never holds is named, and before the hashes are read nothing is written."""
    bad = remade(packed, change)
    out = tmp_path / "out"
    with pytest.raises(CaptureError) as refused, Packed(bad) as opened:
        opened.extract(out)
    assert told in str(refused.value)
    assert change is other or not out.exists()
    assert not (tmp_path / "evil").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_is_refused(packed: Path) -> None:
    """Of two files of one name nobody knows which was meant."""
    with pytest.raises(CaptureError, match=r"'run\.json': is there twice"):
        Packed(remade(packed, twice))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, brief: Path) -> bytes:
    """A packed run of few octets: the capture, without what makes it large."""
    run = tmp_path_factory.mktemp("small") / "run"
    run.mkdir()
    shutil.copyfile(brief / "capture.mcap", run / "capture.mcap")
    return pack(run)[0].read_bytes()


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_is_never_taken_for_a_run(data: st.DataObject, small: bytes, tmp_path: Path) -> None:
    """However octets are changed or cut, the file is refused or what it holds is what it was."""
    octets = bytearray(small)
    tail = len(octets) - 4000  # where the tables are
    for _ in range(data.draw(st.integers(1, 4))):
        lower = data.draw(st.sampled_from([0, tail]))
        octets[data.draw(st.integers(lower, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(octets)))
    path = tmp_path / "damaged.flatsat"
    path.write_bytes(octets[:cut])
    refused = False
    try:
        with Packed(path) as packed:
            packed.check()
            kept = packed.manifest.members
    except HilError:
        refused = True
    if not refused:
        with zipfile.ZipFile(io.BytesIO(small)) as whole:
            assert set(kept) == {name for name in whole.namelist() if name != NAME}


def test_what_is_no_run_is_not_packed(
    tmp_path: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without a capture, a file that is there already and a text file are refused."""
    assert main(["pack", str(tmp_path)]) == 2
    assert main(["pack", "--check", __file__]) == 1
    assert main(["pack", "--check", "/dev/zero"]) == 2
    assert main(["pack", "--list", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "holds no capture.mcap" in told
    assert "is no packed run, or damaged: File is not a zip file" in told


def test_a_run_has_a_name_wherever_one_stands(
    brief: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that one is in is packed beside itself."""
    run = tmp_path / "run"
    shutil.copytree(brief, run)
    monkeypatch.chdir(run)
    assert pack(Path())[0].resolve() == tmp_path / "run.flatsat"
    (run / "inner").mkdir()
    monkeypatch.chdir(run / "inner")
    (tmp_path / "run.flatsat").unlink()
    assert pack(Path(".."))[0].resolve() == tmp_path / "run.flatsat"


def test_no_run_is_packed_into_itself(
    brief: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An archive that would hold itself is refused before anything is written."""
    run = tmp_path / "run"
    shutil.copytree(brief, run)
    before = sorted(run.rglob("*"))
    assert main(["pack", str(run), "--out", str(run / "products" / "x.flatsat")]) == 2
    assert "would be packed into itself" in capsys.readouterr().err
    assert sorted(run.rglob("*")) == before


def of_a_program(run: Path, words: list[str]) -> Path:
    """Return a run directory whose capture names a program."""
    run.mkdir()
    board, mission = load_board(Options().board), load_mission(Options().mission)
    facts = about(Options(), board, mission, words)
    with CaptureWriter(run / "capture.mcap", 0, {}, facts) as writer:
        attach(writer, board, mission, NOTHING)
    return run


@pytest.mark.parametrize("mode", ["mock", "re-execute"])
def test_a_program_that_a_file_names_is_not_run(
    mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A packed run and a capture alone run nothing but what is named behind `--`."""
    trace = tmp_path / "trace"
    run = of_a_program(tmp_path / "run", ["touch", str(trace), "\x1b[31m"])
    packed, _ = pack(run)
    for target in (packed, run / "capture.mcap"):
        assert main(["replay", str(target), "--mode", mode]) == 2
        assert not trace.exists()
        told = capsys.readouterr().err.splitlines()[-1]
        assert told.startswith(f"hil replay: {target}: a program that a file names is not run")
        assert f"hil replay {target} -- touch {trace}" in told
        assert "\x1b" not in told
    assert main(["replay", str(packed), "--mode", "mock", "--", "touch", str(trace)]) == 0
    assert trace.exists()


def test_what_a_packed_run_says_does_not_steer_a_terminal(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Facts and reasons of the manifest are shown with their control characters spelt out."""

    def change(members: dict[str, bytes], _new: zipfile.ZipFile) -> None:
        manifest = json.loads(members[NAME])
        manifest["run"]["command"] = "hil\x1b[2J"
        manifest["left_out"] = {"a\x1b]0;b\x07": "\x1b[31m", "c": ["\x1b"]}
        members[NAME] = json.dumps(manifest).encode()

    assert main(["pack", "--list", str(remade(packed, change))]) == 0
    told = capsys.readouterr().out
    assert "command: hil\\x1b[2J" in told
    assert "\x1b" not in told


def test_snapshots_in_a_packed_run_are_used(
    brief: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replay of the file alone begins at a snapshot that was packed."""
    run = tmp_path / "run"
    shutil.copytree(brief, run)
    assert main(["snapshot", str(run), "--every", "2"]) == 0
    packed, _ = pack(run, with_snapshots=True)
    assert main(["replay", str(packed), "--from", "130"]) == 0
    assert "note: begun at 00" in capsys.readouterr().out
