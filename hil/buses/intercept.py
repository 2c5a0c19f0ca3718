"""Interceptors: one interface on every kind of bus to pass, block, modify or mimic.

An interceptor stands in the way of each *crossing*, one unit of traffic before its bus takes it,
and answers with an outcome. What ``forward`` does with a crossing is what the bus would have done::

    def interceptor(crossing, forward):
        return None                                             # pass
        return BLOCKED                                          # block
        return forward(crossing._replace(content=b"other"))     # modify
        return (Status.OK, 1_000, b"made up")                   # mimic an answer (I2C, SPI, frames)
        forward(crossing); return forward(crossing._replace(address=0x123))     # mimic a sender
        return forward(crossing._replace(t_ns=crossing.t_ns + 1_000_000))       # delay

=======  =======================  ============================  ===============================
bus      ``address``              ``content``                   ``sender``
=======  =======================  ============================  ===============================
i2c      of the first message     list of messages              the bus (its controller)
spi      chip select              list of segments              the bus
uart     0                        octets                        the bus, or the device
can      identifier with flags    data                          the node that sends it
gpio     line                     level                         the bus, or the part
frames   0                        exposure, us                  the bus
onewire  0                        list of steps                 the bus
=======  =======================  ============================  ===============================

On I2C, SPI, frames and 1-Wire the outcome is ``(status, duration_ns, data)``, on the others only
its status counts: what happens there is reported by the bus itself, at its time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from flightsw.codec.wire import Status


class Crossing(NamedTuple):
    """One unit of traffic on its way onto a bus; the table above says what is in it."""

    t_ns: int
    sender: str
    address: int
    content: Any


#: (status, duration_ns, data); data is what the bus of this kind returns
Result = tuple[int, int, Any]
Forward = Callable[[Crossing], Result]
Interceptor = Callable[[Crossing, Forward], Result | None]

#: What a bus answers for what it has only queued.
QUEUED: Final[Result] = (int(Status.OK), 0, b"")
#: Nobody is there, nothing goes through; the data of every kind of bus is empty.
BLOCKED: Final[Result] = (int(Status.NAK_ADDRESS), 0, ())


def through(interceptor: Interceptor, crossing: Crossing, forward: Forward) -> tuple[Result, bool]:
    """Return the outcome of a crossing, and whether the interceptor did anything but pass it."""
    outcome = interceptor(crossing, forward)
    return (forward(crossing), False) if outcome is None else (outcome, True)
