"""A stream of records with somebody who looks at each one as it is made."""

from __future__ import annotations

from collections.abc import Callable

from hil.digest import RecordStream


class WatchingStream(RecordStream):
    """The recorder of a run that is watched: ``observer`` gets the octets of every record.

    It is called after the record was numbered and before whoever made it goes on, so that what it
    raises stops the run at that record.
    """

    __slots__ = ("observer",)

    def __init__(
        self, observer: Callable[[bytes], None], sink: Callable[[bytes], None] | None = None
    ) -> None:
        super().__init__(sink)
        self.observer = observer

    def record(
        self,
        kind: int,
        channel: int,
        flags: int,
        status: int,
        t_ns: int,
        duration_ns: int,
        address: int,
        payload: bytes,
    ) -> bytes:
        """Number, pack and keep one record, show it to the observer, return its octets."""
        octets = super().record(kind, channel, flags, status, t_ns, duration_ns, address, payload)
        self.observer(octets)
        return octets
