"""What tests of C kernels share: forbidden pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guard import Guard


@pytest.fixture
def guard() -> Iterator[Guard]:
    """Buffers that begin or end at a page which nobody may touch."""
    with Guard() as made:
        yield made
