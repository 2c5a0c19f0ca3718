"""The command that installs what the default run needs beyond the core.

One text for flight software, bench and ``hil doctor``: it ends up in a shell, so it is quoted.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def install_command(extra: str = "orbit", root: Path = ROOT) -> str:
    """Return the command that adds an extra to the installation whose packages lie in ``root``.

    A checkout has its ``pyproject.toml`` beside the packages, and the command is for its top.
    """
    if (root / "pyproject.toml").is_file():
        return f"pip install -e '.[{extra}]'"
    return f"pip install 'flatsat[{extra}]'"
