"""Telecommands: sent, and waited for until they are verified."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from construct import ConstructError

from flightsw.codec import dictionary
from flightsw.codec.dictionary.commands import TELECOMMANDS
from hil.errors import TelecommandError, UnknownNameError
from hil.ground.telecommands import Telecommand
from hil.testing.bench.log import SECOND, Entry, seconds
from hil.testing.bench.telemetry import near_names

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench

_REQUEST = re.compile(r"(?:request_)?(\d+)[_.,](\d+)")


@dataclass(frozen=True)
class Verified:
    """What became of a telecommand: numbers of records and virtual times; None: not yet."""

    name: str
    number: int
    t_ns: int
    accepted_ns: int | None
    completed_ns: int | None
    #: what ground knows of it, which goes on
    telecommand: Telecommand


class Telecommands:
    """Sends telecommands by their name in the dictionary: ``ENTER_SAFE``, ``request_17_1``."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def send(
        self, name: str, *, within: int = 30 * SECOND, verify: bool = True, **arguments: Any
    ) -> Verified:
        """Send a telecommand, and wait until it is reported complete; return the evidence.

        ``arguments`` are those of the dictionary. ``verify=False`` only sends. Raises
        :class:`~hil.errors.TelecommandError` with stage and code where it fails or is not reported
        in time, and ``UnknownNameError`` for a name or argument that there is not.
        """
        bench = self._bench
        made = self._make(name, arguments)
        bench.act("SEND", telecommand=name, arguments=_plain(arguments))
        number = bench.log.acted.number
        bench.emulation.ground.send(made)
        if verify:
            self._await(name, made, within)
        t_ns = made.t_made_ns
        return Verified(name, number, t_ns, made.t_accepted_ns, made.t_completed_ns, made)

    def names(self) -> list[str]:
        """Return the names that can be sent."""
        plain = [f"request_{a}_{b}" for a, b in TELECOMMANDS if (a, b) != (8, 1)]
        return [function.name for function in dictionary.FUNCTIONS] + plain

    def _make(self, name: str, arguments: Mapping[str, Any]) -> Telecommand:
        log, now_ns = self._bench.emulation.ground.telecommands, self._bench.now_ns
        functions = {function.name: function for function in dictionary.FUNCTIONS}
        function = functions.get(name.upper())
        if function is not None:
            _check(function.name, function.struct, arguments)
            try:
                return log.function(function.name, now_ns, dict(arguments))
            except ConstructError as wrong:
                raise _unfit(name, function.struct, wrong) from None
        request = _REQUEST.fullmatch(name)
        key = (int(request[1]), int(request[2])) if request else (0, 0)
        if key not in TELECOMMANDS:
            known = dict.fromkeys(self.names())
            raise UnknownNameError(f"no telecommand is called {name!r}{near_names(name, known)}")
        struct = TELECOMMANDS[key]
        _check(name, struct, arguments)
        try:
            return log.make(name, now_ns, *key, struct.build(dict(arguments)))
        except ConstructError as wrong:
            raise _unfit(name, struct, wrong) from None

    def _await(self, name: str, made: Telecommand, within: int) -> None:
        bench = self._bench

        def settled(entry: Entry) -> bool:
            return made.verified or made.failure is not None

        begun_ns = bench.now_ns
        bench.wait(settled, within)
        failure = made.failure
        if failure is not None:
            raise TelecommandError(
                f"telecommand {name} failed at {failure.stage}: {failure.code}, value at fault "
                f"{failure.detail}{self._reports(made)}\n{bench.state()}",
                failure.stage,
                failure.code,
                failure.detail,
            )
        if not made.verified:
            stage = "acceptance" if made.t_accepted_ns is None else "completion"
            raise TelecommandError(
                f"telecommand {name} sent at t={seconds(begun_ns)}: no report of {stage} within "
                f"{seconds(bench.now_ns - begun_ns)}{self._way(made)}{self._reports(made)}\n"
                f"{bench.state()}",
                stage,
            )

    def _reports(self, made: Telecommand) -> str:
        """Return the reports that came since it was made."""
        since = self._bench.log.since(self._bench.log.acted)
        shown = [entry for entry in since if entry.name in _VERIFICATION]
        return "".join(f"\n  {entry}" for entry in shown)

    def _way(self, made: Telecommand) -> str:
        """Say how far it has got, where no report came."""
        rig = self._bench.emulation
        if not rig.ground.in_contact:
            return "; ground has no contact"
        fop = rig.ground.fop
        waiting = made.packet in fop.waiting
        said = "it has not left the ground" if waiting else "it has left the ground"
        return f"; {said} (sending end {fop.state.value}, {dict(fop.counters)})"


_VERIFICATION = ("accepted", "refused", "started", "start_failed", "completed", "completion_failed")


def _check(name: str, struct: Any, arguments: Mapping[str, Any]) -> None:
    """Raise ``UnknownNameError`` for arguments that are too many or too few."""
    known = [one.name for one in struct.subcons if one.name]
    for key in arguments:
        if key not in known:
            raise UnknownNameError(f"telecommand {name} has no {key!r}; {_takes(struct)}")
    missing = [key for key in known if key not in arguments]
    if missing:
        raise UnknownNameError(f"telecommand {name} lacks {', '.join(missing)}; {_takes(struct)}")


def _takes(struct: Any) -> str:
    told = [f"{one.name} ({one.docs})" if one.docs else str(one.name) for one in struct.subcons]
    return f"it takes {', '.join(told)}" if told else "it takes no arguments"


def _unfit(name: str, struct: Any, wrong: Exception) -> UnknownNameError:
    reason = str(wrong).strip().splitlines()[-1] if str(wrong).strip() else type(wrong).__name__
    return UnknownNameError(f"telecommand {name}: {reason}; {_takes(struct)}")


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON has them."""
    plain = (bool, int, float, str, list, dict)
    return {
        key: value
        if isinstance(value, plain)
        else value.hex()
        if isinstance(value, bytes)
        else str(value)
        for key, value in arguments.items()
    }
