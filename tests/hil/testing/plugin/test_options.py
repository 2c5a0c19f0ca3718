"""Flag over variable over ini key over default, and nothing that was said is passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hil.testing.plugin.options import CHOICES, SETTINGS, Settings

Told = Callable[..., Settings]


@pytest.fixture
def settings(within: pytest.Pytester) -> Told:
    """Return what a session of some words is told."""
    return lambda *words: within.parseconfigure(*words).stash[SETTINGS]


def test_each_choice_has_one_prefix() -> None:
    """No option, key or variable of ours can be taken for another plugin's."""
    assert all(choice.flag.startswith("--hil-") for choice in CHOICES)
    assert all(choice.key.startswith("hil_") for choice in CHOICES)
    assert all(choice.variable.startswith("HIL_") for choice in CHOICES)


def test_a_flag_is_over_a_variable_over_an_ini_key_over_the_default(
    settings: Told, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest to the fingers of whoever starts it wins."""
    assert (settings()["seed"], settings().by("seed")) == (None, "default")
    pytester.makeini("[pytest]\nhil_seed = 3\nhil_capture = all")
    assert (settings()["seed"], settings().by("seed")) == (3, "ini")
    monkeypatch.setenv("HIL_SEED", "4")
    assert (settings()["seed"], settings().by("seed")) == (4, "env")
    told = settings("--hil-seed=5")
    assert (told["seed"], told.by("seed"), told["capture"]) == (5, "flag", "all")


def test_keys_may_be_native_toml(settings: Told, pytester: pytest.Pytester) -> None:
    """Numbers, booleans and lists of ``[tool.pytest]`` are taken as they are."""
    if int(pytest.__version__.split(".")[0]) < 9:
        table, rows = "tool.pytest.ini_options", 'hil_seed = "3"\nhil_require_hw = "true"\n'
    else:
        table, rows = "tool.pytest", "hil_seed = 3\nhil_require_hw = true\n"
    pytester.makepyprojecttoml(f'[{table}]\n{rows}hil_bind = ["a=b", "c=d"]\n')
    told = settings()
    assert told["seed"] == 3
    assert told["require_hw"] is True
    assert told["bind"] == ("a=b", "c=d")


def test_paths_start_where_they_were_written(
    settings: Told, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key starts from its file, a flag from the working directory, a name is no path."""
    pytester.makeini("[pytest]\nhil_board = boards/mine.toml\nhil_lab = lab.toml")
    below = pytester.mkdir("below")
    monkeypatch.chdir(below)
    told = settings("--hil-mission=there/x.toml", "--rootdir", str(pytester.path))
    assert told["board"] == str(pytester.path / "boards/mine.toml")
    assert told["lab"] == pytester.path / "lab.toml"
    assert told["mission"] == str(Path.cwd() / "there/x.toml")
    assert told["captures"] == pytester.path / "hil-captures"
    assert settings("--hil-board=raspberrypi5")["board"] == "raspberrypi5"


@pytest.mark.parametrize(
    ("words", "variable", "said"),
    [
        (["--hil-seed=-1"], "", "--hil-seed: '-1' is no whole number"),
        (["--hil-seed=0x10"], "", "--hil-seed: '0x10' is no whole number"),
        (["--hil-capture=sometimes"], "", "--hil-capture: 'sometimes': say one of failed, all"),
        (["--hil-board="], "", "--hil-board: '' says nothing"),
        ([], "HIL_SEED=x", "HIL_SEED: 'x' is no whole number"),
        ([], "HIL_REQUIRE_HW=maybe", "HIL_REQUIRE_HW: 'maybe': say 1 or 0"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_that_said_it(
    settings: Told,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    variable: str,
    said: str,
) -> None:
    """The error names flag or variable, so that one knows where to mend it."""
    if variable:
        monkeypatch.setenv(*variable.split("="))
    with pytest.raises(pytest.UsageError, match=said):
        settings(*words)


def test_a_wrong_ini_key_names_its_file(settings: Told, pytester: pytest.Pytester) -> None:
    """A mistake in a file is found in that file."""
    pytester.makeini("[pytest]\nhil_capture = sometimes")
    with pytest.raises(pytest.UsageError, match=r"tox.ini: hil_capture: 'sometimes'"):
        settings()


@pytest.mark.parametrize("row", ["hil_seed = abc", "hil_require_hw = maybe"])
def test_what_pytest_refuses_of_an_ini_key_names_the_key(
    settings: Told, pytester: pytest.Pytester, row: str
) -> None:
    """pytest reads numbers and truths of ini files itself, and does not say of which key."""
    pytester.makeini(f"[pytest]\n{row}")
    with pytest.raises(pytest.UsageError, match=row.partition(" ")[0]):
        settings()
