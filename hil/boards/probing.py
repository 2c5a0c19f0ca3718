"""What has been learned of ports by asking: which board is behind which, until it is unplugged.

Sessions that look for a uid ask port after port. Those that look at the same source of ports share
one :class:`Known`, so that a board is asked once and not once by each.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from hil.boards.identity import Match, PortInfo
from hil.boards.ports import PortSource

_Key = tuple[str, str]


def _key(port: PortInfo) -> _Key:
    return port.path, port.arrival


class Known:
    """Uids by port and arrival, and ports that could not be asked."""

    def __init__(self) -> None:
        #: changes when there is something new for whoever looks for a uid
        self.news = 0
        self._uids: dict[_Key, bytes] = {}
        self._failures: dict[_Key, str] = {}

    def learned(self, port: PortInfo, uid: bytes) -> None:
        """Note who is behind a port."""
        self.news += self._uids.get(_key(port)) != uid
        self._uids[_key(port)] = uid
        self._failures.pop(_key(port), None)

    def failed(self, port: PortInfo, why: str) -> None:
        """Note that a port could not be asked: it is not asked again for a while."""
        self._failures[_key(port)] = why

    def forget(self, port: PortInfo) -> None:
        """Forget a port that has gone."""
        self._uids.pop(_key(port), None)
        self._failures.pop(_key(port), None)

    def forget_failures(self) -> None:
        """Have the ports asked again that could not be asked."""
        self._failures.clear()

    def _keep(self, listed: Sequence[PortInfo]) -> None:
        there = {_key(port) for port in listed}
        self._uids = {key: uid for key, uid in self._uids.items() if key in there}
        self._failures = {key: why for key, why in self._failures.items() if key in there}

    def narrowed(self, uid: bytes, match: Match, listed: Sequence[PortInfo]) -> Match:
        """Return the one port of ``match`` that has ``uid``, the next to ask, or why there is none.

        Every port is asked before one is taken: two boards may have the same uid.
        """
        self._keep(listed)
        ours = [port for port in match.ports if self._uids.get(_key(port)) == uid]
        unasked = [
            port
            for port in match.ports
            if _key(port) not in self._uids and _key(port) not in self._failures
        ]
        if unasked:
            return Match((unasked[0],))
        if len(ours) > 1:
            told = "; ".join(port.describe() for port in ours)
            return Match(
                tuple(ours),
                ambiguous=True,
                why=f"{len(ours)} boards say uid {uid.hex()}: {told}; give one of them another "
                "(hil boards identify --set-uid random), or say usb_path as well",
            )
        if ours:
            return Match((ours[0],), is_sure=True)
        told = ", ".join(self._told(port) for port in match.ports)
        return Match((), why=f"no board has uid {uid.hex()}; asked: {told}")

    def _told(self, port: PortInfo) -> str:
        found = self._uids.get(_key(port))
        if found is not None:
            return f"{port.path} has {found.hex()}"
        return self._failures.get(_key(port), f"{port.path} was not asked")


_of_source: WeakKeyDictionary[PortSource, Known] = WeakKeyDictionary()


def known_of(source: PortSource) -> Known:
    """Return what is known of the ports of a source; the same for all who ask."""
    return _of_source.setdefault(source, Known())
