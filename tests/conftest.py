"""What tests everywhere share: every tier of the codec that this processor runs."""

from __future__ import annotations

import os
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from flightsw.codec import tier as tiers

ROOT = Path(__file__).resolve().parents[1]

#: for an emulated processor, which needs seconds where a real one needs none
settings.register_profile(
    "emulated", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)


def pytest_configure() -> None:
    """Hear SIGINT, and let programs that tests start hear it: background jobs begin without."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Refuse to begin where an import has broken pipes end the process: a test would take all."""
    if signal.getsignal(signal.SIGPIPE) != signal.SIG_IGN:
        raise pytest.UsageError("a test module that was imported has reset SIGPIPE; put it back")


@pytest.fixture(scope="session", autouse=True)
def _state_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep keys of the tests out of the home of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(params=tiers.available())
def tier(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once on each tier; its name is the value."""
    with tiers.forced(request.param):
        yield request.param


@pytest.fixture
def can_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have python-can know ``interface="hil"`` in a tree that is not installed, too."""
    can = pytest.importorskip("can", reason="python-can is not installed")
    if "hil" not in can.interfaces.BACKENDS:
        monkeypatch.setitem(can.interfaces.BACKENDS, "hil", ("hil.faces.python_can", "HilBus"))
        known = frozenset(can.interfaces.BACKENDS)
        monkeypatch.setattr("can.util.VALID_INTERFACES", known)


@pytest.fixture
def as_installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the environment of a Python that sees this tree as an installation would be seen."""
    folder = tmp_path_factory.mktemp("installed")
    about = folder / "flatsat_tree-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: flatsat-tree\nVersion: 1.0\n")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [
        line
        for group, names in declared.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in names.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    env = {name: value for name, value in os.environ.items() if name != "HIL_BENCH"}
    return {**env, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
