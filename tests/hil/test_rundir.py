"""The run directory: whole or not at all, and never shared by two runs."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from hil.errors import RunDirectoryError
from hil.missions import load as load_mission
from hil.rundir import LOCK, PARTIAL, RunDirectory, first_free, host_errors
from hil.session import run_directory


def test_a_directory_that_another_run_is_writing_is_refused_and_left_alone(tmp_path):
    """A second run with the same name is refused while the first one writes, and spoils nothing."""
    with RunDirectory(tmp_path / "run") as first:
        first.write_json("a.json", 1)
        with pytest.raises(RunDirectoryError, match="another run is writing it"):
            RunDirectory(tmp_path / "run").open()
        first.finish()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a.json"]


def leave(path: Path, text: str) -> None:
    """Make what a run that was killed while writing to ``path`` leaves behind."""
    left = path.with_name(path.name + PARTIAL)
    left.mkdir(parents=True)
    (left / LOCK).touch()
    (left / "capture.mcap.partial").write_text(text)


def test_what_a_killed_run_left_is_kept(tmp_path, capsys):
    """A partial directory that nobody holds is put aside, with a word, each under its own name."""
    for number, text in enumerate(["first", "second"], 1):
        leave(tmp_path / "run", text)
        with RunDirectory(tmp_path / "run") as run:
            assert not (run.path / "capture.mcap.partial").exists()
        kept = tmp_path / f"run.lost-{number}"
        assert {path.name: path.read_text() for path in kept.iterdir()} == {
            "capture.mcap.partial": text
        }
        assert str(kept) in capsys.readouterr().err
    with RunDirectory(tmp_path / "run") as run:
        run.finish()
    assert list((tmp_path / "run").iterdir()) == []
    assert capsys.readouterr().err == ""


def test_an_empty_leftover_is_not_kept(tmp_path, capsys):
    """A run that was killed before it recorded anything leaves nothing worth a name."""
    (tmp_path / ("run" + PARTIAL)).mkdir()
    with RunDirectory(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_the_number_of_a_killed_run_is_not_given_again(tmp_path, monkeypatch):
    """Default numbering passes over a number whose run was killed, now and the next time."""
    monkeypatch.chdir(tmp_path)
    leave(tmp_path / "runs" / "tiansuan_bupt1-0001", "half")
    mission = load_mission("tiansuan_bupt1")
    for _ in range(2):
        run = run_directory(None, mission)
        assert run.final.name == "tiansuan_bupt1-0002"
        run.__exit__(None, None, None)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["tiansuan_bupt1-0001.lost-1"]


def test_an_unfinished_run_leaves_nothing(tmp_path):
    """Whatever ends a run before its end takes its files away."""
    with RunDirectory(tmp_path / "run") as run:
        run.write_json("a.json", 1)
    assert list(tmp_path.iterdir()) == []


def test_the_name_is_free_again_after_a_failed_run(tmp_path):
    """The lock goes with the run that held it."""
    RunDirectory(tmp_path / "run").open().__exit__(None, None, None)
    with RunDirectory(tmp_path / "run") as run:
        run.finish()
    assert (tmp_path / "run").is_dir()


def test_runs_without_a_name_get_numbers_of_their_own(tmp_path, monkeypatch):
    """Runs at the same time in one place are numbered, whether they are finished or not."""
    monkeypatch.chdir(tmp_path)
    mission = load_mission("tiansuan_bupt1")
    runs = [run_directory(None, mission) for _ in range(3)]
    runs[0].write_json("run.json", {})
    runs[0].finish()
    runs.append(run_directory(None, mission))
    names = [run.final.name for run in runs]
    assert names == [f"tiansuan_bupt1-{number:04d}" for number in (1, 2, 3, 4)]
    for run in runs:
        run.__exit__(None, None, None)


def test_the_first_free_name_is_taken(tmp_path):
    """A name that holds a finished run is passed over."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text("{}")
    with first_free([tmp_path / "a", tmp_path / "b"]) as run:
        assert run.final == tmp_path / "b"


@pytest.mark.parametrize("name", [".", "/", "", "..", "a\0b"])
def test_a_path_without_a_name_is_refused_in_one_line(name):
    """A place that cannot take a suffix is an error of ours, not one of the library."""
    with pytest.raises(RunDirectoryError, match="--out"):
        RunDirectory(Path(name))


def test_an_error_elsewhere_is_not_blamed_on_the_run_directory(tmp_path):
    """An OSError that names a file outside the directory is told with that file."""
    with (
        pytest.raises(RunDirectoryError, match="/no/such: No such file"),
        host_errors(tmp_path / "run"),
    ):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/no/such")
