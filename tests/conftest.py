"""What tests everywhere share: every tier of the codec that this processor runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flightsw.codec import tier as tiers


@pytest.fixture(params=tiers.available())
def tier(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once on each tier; its name is the value."""
    with tiers.forced(request.param):
        yield request.param
