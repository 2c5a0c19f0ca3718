"""Physics around the payload computer: SI units, one state vector, no knowledge of parts."""

from __future__ import annotations

from hil.world.eclipse import Eclipse
from hil.world.passes import Pass
from hil.world.world import World

__all__ = ["Eclipse", "Pass", "World"]
