"""Messages on an I2C bus, bit time by bit time, and the parts that take them."""

from __future__ import annotations

from collections.abc import Callable

from flightsw.codec.wire import Status
from hil.buses.adapters import AdapterProfile
from hil.buses.i2c_faults import stretched
from hil.buses.i2c_messages import (
    BLOCK_LIMIT,
    LENGTH_FIRST,
    READ,
    TEN_BIT,
    Message,
    MessageOutcome,
)
from hil.buses.i2c_reserved import reserved
from hil.parts.base import I2CTarget

_OK = int(Status.OK)


class Wire:
    """The parts of a bus by address; ``duration_ns`` is the time of so many bits."""

    def __init__(self, profile: AdapterProfile, duration_ns: Callable[[int], int]) -> None:
        self.targets: dict[int, I2CTarget] = {}
        self.ten_bit: dict[int, I2CTarget] = {}
        self.reserved = reserved(self.targets)
        self._profile = profile
        self._duration_ns = duration_ns

    def run(self, t_ns: int, messages: list[Message]) -> MessageOutcome:
        """Put messages on the wire: start, address, octets, repeated start, ..., stop."""
        bits = held_ns = 0
        status = _OK
        data: list[bytes] = []
        seen: list[I2CTarget] = []
        ten_bit_open = -1  # the 10-bit address that is already selected, for a short re-address
        for address, flags, what in messages:
            bits += 10
            target = (self.ten_bit if flags & TEN_BIT else self.targets).get(address)
            if target is None and not flags & TEN_BIT:
                target = self.reserved.get(address)
            if target is None:
                status = int(Status.NAK_ADDRESS)
                break
            if isinstance(what, int):
                status, answer = _read(target, t_ns, flags, what)
                taken = -1 if answer is None else len(answer)
                if answer is not None:
                    data.append(answer)
                held_ns = max(held_ns, taken * getattr(target, "i2c_stretch_ns", 0))
            else:
                taken = target.i2c_write(t_ns, what)
            if taken < 0:
                status = int(Status.NAK_ADDRESS)
                break
            if flags & TEN_BIT:
                if not flags & READ:
                    bits += 9  # the second octet of the address
                elif ten_bit_open != address:
                    bits += 19  # both octets as a write, then a repeated start
            ten_bit_open = address if flags & TEN_BIT else -1
            if target not in seen:
                seen.append(target)
            if not isinstance(what, int) and taken < len(what):
                bits += 9 * (taken + 1)
                status = int(Status.NAK_DATA)
                break
            bits += 9 * taken
            if status != _OK:
                break
        for target in seen:
            target.i2c_stop(t_ns)
        outcome = status, self._duration_ns(bits + 1), data if status == _OK else []
        return stretched(self._profile, *outcome, held_ns, each=True) if held_ns else outcome


def _read(target: I2CTarget, t_ns: int, flags: int, nbytes: int) -> tuple[int, bytes | None]:
    """Read a message; one whose first octet says how many follow in two goes."""
    answer = target.i2c_read(t_ns, 1 if flags & LENGTH_FIRST else nbytes)
    if answer is None or not flags & LENGTH_FIRST:
        assert answer is None or len(answer) == nbytes, f"{target!r} served too much or too little"
        return _OK, answer
    if not 1 <= answer[0] <= BLOCK_LIMIT:
        return int(Status.PROTOCOL), answer
    more = target.i2c_read(t_ns, answer[0] + nbytes - 1)
    return _OK, None if more is None else answer + more
