"""The flight software of a mock, called directly: what it raises is told, and no end."""

from __future__ import annotations

from hil.uut import DirectFlight


class MockDirectFlight(DirectFlight):
    """The flight software in this loop; one that dies of itself is lost, as a process would be."""

    def step(self) -> bool:
        """Do the next thing; False: the run is over."""
        try:
            return super().step()
        except Exception as error:  # noqa: BLE001  # it is told with the verdict
            self.app = None
            exchange = self.supervisor.rig.exchange
            exchange.leave(self._joined, "crash")
            words = str(error).splitlines() or [""]
            self.supervisor.lost(f"{type(error).__name__}: {words[0]}", "crash")
            return True
