"""The run directory: whole or not at all, and never shared by two runs."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from hil.errors import RunDirectoryError
from hil.missions import load as load_mission
from hil.rundir import PARTIAL, RunDirectory, first_free, host_errors
from hil.session import run_directory


def test_a_directory_that_another_run_is_writing_is_refused_and_left_alone(tmp_path):
    """A second run with the same name is refused while the first one writes, and spoils nothing."""
    with RunDirectory(tmp_path / "run") as first:
        first.write_json("a.json", 1)
        with pytest.raises(RunDirectoryError, match="another run is writing it"):
            RunDirectory(tmp_path / "run").open()
        first.finish()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a.json"]


def test_what_a_killed_run_left_is_removed(tmp_path):
    """A partial directory that nobody holds does not stop the next run, nor get into it."""
    left = tmp_path / ("run" + PARTIAL)
    left.mkdir()
    (left / "capture.mcap.partial").write_text("half")
    with RunDirectory(tmp_path / "run") as run:
        assert not (left / "capture.mcap.partial").exists()
        run.finish()
    assert list((tmp_path / "run").iterdir()) == []


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
