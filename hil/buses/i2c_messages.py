"""What an I2C transaction is made of, and the one call in which a part may take the usual one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from flightsw.codec.wire import Status
from hil.buses.adapters import AdapterProfile
from hil.parts.base import I2CTarget

READ: Final = 1
TEN_BIT: Final = 2
#: a read whose first octet says how many follow, 1 to 32 (``I2C_M_RECV_LEN``); its length counts
#: that octet and those behind the block
LENGTH_FIRST: Final = 4
BLOCK_LIMIT: Final = 32

#: (address, flags, octets to write or how many to read)
Message = tuple[int, int, bytes | int]
MessageOutcome = tuple[int, int, list[bytes]]
#: i2c_write_read(t_ns, data, nread): a whole transaction; see :class:`CombinedTarget`
Combined = Callable[[int, bytes, int], bytes | int]


class CombinedTarget(Protocol):
    """A part that takes the usual transaction in one call, for speed."""

    def i2c_write_read(self, t_ns: int, data: bytes, nread: int) -> bytes | int:
        """Take ``data``, then serve ``nread`` octets, then the stop; return the octets.

        Either may be empty. An int means not acknowledged: the number of octets of ``data`` that
        were, -1 for the address, -2 for the address of the read after the repeated start. Must do
        exactly what ``i2c_write``, ``i2c_read``, ``i2c_stop`` in a row would do.
        """


def combine(target: I2CTarget) -> Combined:
    """Return the one-call transaction of a part: its own, or one made of its messages."""
    own: Combined | None = getattr(target, "i2c_write_read", None)
    if own is not None:
        return own
    write, read, stop = target.i2c_write, target.i2c_read, target.i2c_stop

    def write_read(t_ns: int, data: bytes, nread: int) -> bytes | int:
        if data or not nread:
            taken = write(t_ns, data)
            if taken != len(data):
                if taken >= 0:
                    stop(t_ns)
                return taken
        answer = read(t_ns, nread) if nread else b""
        if answer is None and not data:
            return -1
        stop(t_ns)
        return -2 if answer is None else answer

    return write_read


def refusal(profile: AdapterProfile, messages: list[Message]) -> int:
    """Return what the adapter's driver makes of these messages before it touches the bus."""
    last = len(messages) - 1
    if last < 0:
        return int(Status.INVALID)
    if last >= profile.i2c_max_messages:
        return int(Status.UNSUPPORTED)
    for index, (address, flags, what) in enumerate(messages):
        length = what if isinstance(what, int) else len(what)
        assert isinstance(what, int) == bool(flags & READ), "a read carries a length"
        if length > profile.i2c_max_octets or not 0 <= address <= 0x3FF:
            return int(Status.INVALID)
        if (
            (not length and not profile.i2c_zero_length)
            or (flags & READ and index < last and profile.i2c_one_read_last)
            or (flags & TEN_BIT and not profile.i2c_ten_bit)
            or (flags & LENGTH_FIRST and not profile.i2c_length_first)
        ):
            return int(Status.UNSUPPORTED)
    if (
        profile.i2c_one_address
        and len({(address, flags & TEN_BIT) for address, flags, _ in messages}) > 1
    ):
        return int(Status.INVALID)
    if profile.i2c_write_read_only and last == 1:
        (one, write, _), (two, read, _) = messages
        if one != two or write & READ or not read & READ:
            return int(Status.UNSUPPORTED)
    return int(Status.OK)
