"""The doctor finds what a host lacks, says how to mend it, and returns 3 if a run would fail."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from flightsw.codec.install import install_command
from hil.cli import doctor


def test_this_host_is_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the suite runs, a run would too: exit code 0 and a line for each check."""
    assert doctor.main([]) == 0
    out = capsys.readouterr().out
    assert "this host is fit to run" in out
    assert len(out.splitlines()) >= len(doctor.CHECKS) + 1


def test_the_tier_of_the_codec_is_named(tier: str) -> None:
    """The check of the codec says on which kernels it runs, whichever they are."""
    finding = doctor.codec()
    assert finding.state == doctor.GOOD
    assert finding.detail.endswith(f"{tier} tier")


def test_json_holds_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json there is one object with each check, its state and its command."""
    assert doctor.main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fit"] is True
    assert len(found["checks"]) == len(doctor.CHECKS)
    assert {check["state"] for check in found["checks"]} <= {"good", "warn"}
    assert all(set(check) == {"name", "state", "detail", "fix"} for check in found["checks"])


def test_every_warning_has_its_command() -> None:
    """Whatever is not good comes with what to do about it."""
    for check in doctor.CHECKS:
        finding = check()
        assert (finding.state == doctor.GOOD) == (finding.fix == "")


def test_a_codec_that_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the C codec the host is not fit, and the command to build it is given."""
    monkeypatch.setitem(sys.modules, "flightsw.codec.native", None)
    monkeypatch.delitem(sys.modules, "flightsw.codec.wire", raising=False)
    assert doctor.main([]) == 3
    out = capsys.readouterr().out
    assert "BAD   codec" in out
    assert "mend: python -m pip install -e ." in out
    assert "1 to mend before a run" in out


def test_a_runtime_folder_with_a_long_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder whose sockets would not fit an address is found before a run finds it."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    finding = doctor.socket_path()
    assert finding.state == doctor.BAD
    assert "XDG_RUNTIME_DIR" in finding.fix


def test_a_runtime_folder_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which nothing can be made is bad, with its reason."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")
    finding = doctor.runtime()
    assert finding.state == doctor.BAD
    assert finding.detail.startswith("/proc: ")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not installed is named, in the command too."""
    monkeypatch.setattr(doctor, "REQUIRED", ("numpy", "flatsat-no-such-package"))
    finding = doctor.required_packages()
    assert finding.state == doctor.BAD
    assert finding.fix == "python -m pip install flatsat-no-such-package"


@pytest.mark.parametrize("module", ["onnxruntime", "mpl_toolkits.basemap_data", "PIL.Image"])
def test_what_ends_the_default_run_makes_the_host_unfit(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a package that the default run needs, doctor returns 3 with the run's command."""
    monkeypatch.setitem(sys.modules, module, None)
    assert doctor.main([]) == doctor.NOT_FIT
    assert f"mend: {install_command()}" in capsys.readouterr().out
    assert "'" in install_command()


def test_one_processor_is_a_warning() -> None:
    """Bound to one core, the host is fit and slower."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        finding = doctor.processors()
    finally:
        os.sched_setaffinity(0, before)
    assert finding.state == doctor.WARN
    assert finding.detail.startswith("1 of ")


def test_an_unreadable_limit_never_raises() -> None:
    """A small lock limit is good for root and a warning for others, never an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (min(soft, 65536) if soft > 0 else 65536, hard))
    try:
        finding = doctor.memory_lock()
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))
    assert finding.state == (doctor.GOOD if os.geteuid() == 0 else doctor.WARN)


def test_the_command_line_knows_the_doctor() -> None:
    """``hil doctor`` is there, and an unknown option is an error of usage."""
    command = [sys.executable, "-m", "hil", "doctor"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["fit"]) == (0, True)
    wrong = subprocess.run([*command, "--jsno"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_the_boards_are_summed_up_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lab file that is wrong makes one warning that leads to the doctor of boards."""
    lab = tmp_path / "lab.toml"
    lab.write_text("schema = 1\n[[instance]]\nid = 'x'\ntype = 'unno'\n")
    monkeypatch.setenv("HIL_LAB", str(lab))
    finding = doctor.boards()
    assert (finding.state, finding.fix) == (doctor.WARN, "hil boards doctor")
    assert "lab file" in finding.detail
