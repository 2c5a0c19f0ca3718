"""What tests of C kernels share: every tier that this processor runs, and forbidden pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guard import Guard

from flightsw.codec import tier as tiers


@pytest.fixture(params=tiers.available())
def tier(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once on each tier; its name is the value."""
    with tiers.forced(request.param):
        yield request.param


@pytest.fixture
def guard() -> Iterator[Guard]:
    """Buffers that begin or end at a page which nobody may touch."""
    with Guard() as made:
        yield made
