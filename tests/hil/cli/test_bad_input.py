"""What a user can get wrong: one clear line, the right exit code, nothing half-written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mcap.reader import make_reader

from flightsw.codec.wire import Kind
from hil.capture.reader import Capture
from hil.cli import main

ROOT = Path(__file__).resolve().parents[3]
SHORT = ["--transport", "direct", "--inference", "threshold", "--duration", "30", "-q"]


def run(capsys, *args):
    """Run `hil` in this process; return its exit code and the lines of its stderr."""
    try:
        code = main(list(args))
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.err.strip().splitlines()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--mission", "tiansuan_bupt2"], 2, "tiansuan_bupt1"),
        (["--board", "raspberypi4"], 2, "raspberrypi4"),
        (["--mission", "/no/such/file.toml"], 2, "/no/such/file.toml"),
        (["--pace", "fast"], 2, "xN"),
        (["--capture-full", "drop"], 2, "add --pace real or xN"),
        (["--seed", "-1"], 2, "seed"),
        (["--duration", "-5"], 2, "duration"),
        (["--duration", "nan"], 2, "duration"),
        (["--duration", "1e-9"], 2, "duration"),
        (["--duration", "1e6"], 2, "864000"),
        (["--duration", "0"], 2, "give 1 to 864000 s"),
        (["--duration", "10m"], 2, "min, h"),
        (["--duration", "ten"], 2, "a plain number is seconds"),
        (["--duration", "11 d"], 2, "864000"),
        (["--fault", "kill@31"], 2, "ends at 30 s"),
        (["--stall-limit", "nan"], 2, "stall limit"),
        (["--fault", "kill@soon"], 2, "kill@1200"),
        (["--fault", "melt@5"], 2, "melt"),
    ],
)
def test_wrong_options_are_one_line_and_write_nothing(capsys, tmp_path, args, code, words):
    """An option that cannot be used gets one line with the remedy and exit code 2."""
    got, lines = run(capsys, "run", *SHORT, *args, "--out", str(tmp_path / "run"))
    assert got == code
    assert len(lines) == 1
    assert words in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_program_without_dashes_is_told_where_it_goes(capsys):
    """Words that no option takes are a program without its `--`; an option is only named."""
    for words, told in ((["i2cdetect", "-y", "1"], True), (["--boards", "x"], False)):
        with pytest.raises(SystemExit, match="2"):
            main(["run", *words])
        assert ("a program goes behind `--`" in capsys.readouterr().err) == told


def test_an_unknown_verb_names_the_nearest(capsys):
    """A verb that does not exist is a usage error with a hint."""
    code, lines = run(capsys, "runn")
    assert code == 2
    assert "hil run" in lines[0]


def test_a_run_directory_that_holds_something_is_not_touched(capsys, tmp_path):
    """Files already in the run directory stay as they are; the run does not start."""
    out = tmp_path / "run"
    out.mkdir()
    (out / "precious").write_text("data")
    code, lines = run(capsys, "run", *SHORT, "--out", str(out))
    assert code == 3
    assert len(lines) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (out / "precious").read_text() == "data"


def test_a_run_directory_under_a_file_is_refused(capsys, tmp_path):
    """A path that leads through a file is one line and exit code 3."""
    (tmp_path / "file").write_text("")
    code, lines = run(capsys, "run", *SHORT, "--out", str(tmp_path / "file" / "run"))
    assert code == 3
    assert len(lines) == 1
    assert "--out" in lines[0]


def in_namespace(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a mount namespace of its own, or skip where that is not allowed."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare(1) of util-linux")
    command = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs leave to make user namespaces")
    return subprocess.run([*command, script], capture_output=True, text=True, check=False)


def hil_command(out: Path, seconds: int) -> str:
    """Return a shell command that flies for some seconds into a run directory."""
    return (
        f"{sys.executable} -m hil run --transport direct --inference threshold -q"
        f" --duration {seconds} --out {out}"
    )


@pytest.mark.parametrize(
    ("kilobytes", "transport"), [(64, "direct"), (700, "ipc"), (1536, "direct")]
)
def test_a_full_disk_is_one_line_and_a_whole_capture(tmp_path, kilobytes, transport):
    """When the disk fills up the run ends with exit code 3, and what it recorded until then is a
    whole capture in a place that the line names."""
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size={kilobytes}k tmpfs {disk} && cd {ROOT} && "
        f"{hil_command(disk / 'run', 800)} --transport {transport}; code=$?; ls -A {disk}; "
        f"cp -r {disk}/run.full-1 {kept}; exit $code"
    )
    done = in_namespace(script)
    assert done.returncode == 3, done.stderr
    assert done.stdout.split() == ["run.full-1"]
    (line,) = done.stderr.strip().splitlines()
    assert "space" in line
    assert line.endswith(f"what was recorded until then is in {disk}/run.full-1")
    with Capture(kept / "capture.mcap") as capture:
        numbers = [record.seq for record in capture.records() if record.kind != Kind.WORLD]
        ended = capture.metadata["flatsat.recording"]
    assert numbers == list(range(len(numbers)))
    assert numbers
    assert ended["ended"] == "No space left on device"
    with (kept / "capture.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert sum(1 for _ in reader.iter_messages()) == int(ended["records"])


def test_a_read_only_place_is_one_line(tmp_path):
    """A run directory that cannot be made is refused before anything starts."""
    script = (
        f"mount -t tmpfs -o ro tmpfs {tmp_path} && cd {ROOT} && {hil_command(tmp_path / 'run', 30)}"
    )
    done = in_namespace(script)
    assert done.returncode == 3, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "writable" in done.stderr
