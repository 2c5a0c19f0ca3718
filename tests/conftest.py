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
