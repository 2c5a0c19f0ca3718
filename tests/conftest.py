"""What tests everywhere share: every tier of the codec that this processor runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from flightsw.codec import tier as tiers

#: for an emulated processor, which needs seconds where a real one needs none
settings.register_profile("emulated", deadline=None, suppress_health_check=[HealthCheck.too_slow])


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
