"""The command that adds an extra fits the way in which FlatSat was installed."""

from __future__ import annotations

import shlex
from pathlib import Path

from flightsw.codec.install import install_command


def test_a_checkout_installs_itself(tmp_path: Path) -> None:
    """From a checkout the command names the checkout, elsewhere the package."""
    assert install_command(root=tmp_path) == "pip install 'flatsat[orbit]'"
    (tmp_path / "pyproject.toml").touch()
    assert install_command(root=tmp_path) == "pip install -e '.[orbit]'"


def test_the_command_survives_a_shell(tmp_path: Path) -> None:
    """Square brackets are a pattern in some shells: the argument is quoted."""
    assert shlex.split(install_command(root=tmp_path))[-1] == "flatsat[orbit]"
    assert "'" in install_command(root=tmp_path)
