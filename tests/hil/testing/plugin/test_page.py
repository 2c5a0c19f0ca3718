"""The manual of the plugin: its tests run, its keys are keys, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hil.testing.plugin.hardware import known_capabilities
from hil.testing.plugin.markers import KEYS
from hil.testing.plugin.options import CHOICES, SETTINGS

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "pytest.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^```sh\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_tests_of_the_page_pass(
    pytester: pytest.Pytester, as_installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies the blocks into files has tests that run, and only needs_hw skips."""
    monkeypatch.setenv("PYTHONPATH", as_installed["PYTHONPATH"])
    ((program, name),) = [command.split() for command in COMMANDS]
    assert program == "pytest"
    pytester.path.joinpath(name).write_text(PROGRAMS[0])
    pytester.makepyfile(**{f"test_{nth}": text for nth, text in enumerate(PROGRAMS[1:])})
    result = pytester.runpytest_subprocess("-W", "error", "-p", "hil", name)
    result.assert_outcomes(passed=PROGRAMS[0].count("def test_"))
    result = pytester.runpytest_subprocess("-W", "error", "-p", "hil", "--ignore", name)
    needing = PAGE.count("@pytest.mark.needs_hw(")
    written = sum(text.count("def test_") for text in PROGRAMS[1:])
    result.assert_outcomes(passed=written - needing, skipped=needing)


def test_the_keys_of_the_page_are_keys(within: pytest.Pytester) -> None:
    """The table of pyproject.toml says what it seems to say."""
    (table,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    if int(pytest.__version__.split(".")[0]) < 9:
        table = table.replace("[tool.pytest]", "[tool.pytest.ini_options]").replace("40", '"40"')
    within.makepyprojecttoml(table)
    said = within.parseconfigure().stash[SETTINGS]
    assert (said["board"], said["capture"], said["events"]) == ("raspberrypi5", "all", 40)


def test_the_page_names_every_choice_and_every_argument() -> None:
    """The table of choices is that of the program, in its order; so are the marker's arguments."""
    rows = re.findall(r"^\| `(--hil-[a-z-]+)` \| `(HIL_[A-Z_]+)` \| `(hil_[a-z_]+)` \|", PAGE, re.M)
    assert rows == [(choice.flag, choice.variable, choice.key) for choice in CHOICES]
    assert f"`hil({', '.join(f'{key}=' for key in KEYS)})`" in PAGE
    told = set(re.findall(r"`([a-z0-9_]+)`", PAGE[PAGE.index("names capabilities") :][:300]))
    assert told <= set(known_capabilities())
