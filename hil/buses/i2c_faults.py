"""What a fault makes of an I2C transaction; the rows are those of ``hil.buses.faults``."""

from __future__ import annotations

from collections.abc import Callable

from flightsw.codec.wire import Status
from hil.buses.adapters import AdapterProfile
from hil.buses.faults import BusFault, flip_bit
from hil.buses.i2c_messages import READ, Message, MessageOutcome

Run = Callable[[int, list[Message]], MessageOutcome]
BitsNs = Callable[[int], int]


def spoil(
    fault: BusFault,
    t_ns: int,
    messages: list[Message],
    run: Run,
    bits_ns: BitsNs,
    profile: AdapterProfile,
) -> MessageOutcome:
    """Run a transaction the way the fault makes it go."""
    kind, args = fault.kind, fault.args
    if kind in _UNANSWERED:
        why, bits = _UNANSWERED[kind]
        return int(why), bits_ns(bits) if bits else profile.timeout_ns, []
    if kind in ("delay", "spam"):
        late_ns = args.get("ns", 0)
        if kind == "spam":
            late_ns = args.get("times", 1) * bits_ns(11 + 9 * args.get("octets", 1))
        status, duration_ns, data = run(t_ns + late_ns, messages)
        return status, duration_ns + late_ns, data
    if kind == "duplicate":
        first_ns = run(t_ns, messages)[1]
        status, duration_ns, data = run(t_ns + first_ns, messages)
        return status, first_ns + duration_ns, data
    reads = any(flags & READ for _, flags, _ in messages)
    if kind == "nak_data" or (kind == "truncate" and not reads):
        return _cut(t_ns, messages, args.get("after", 0), run, bits_ns)
    if kind == "bit_flip" and args.get("write", 0):
        flipped = flip_bit([m[2] for m in messages if isinstance(m[2], bytes)], args)
        outgoing = iter(flipped)
        messages = [m if m[1] & READ else (m[0], m[1], next(outgoing)) for m in messages]
        return run(t_ns, messages)
    status, duration_ns, data = run(t_ns, messages)
    if kind == "bit_flip":
        return status, duration_ns, flip_bit(data, args)
    if kind == "truncate":
        after = args.get("after", 0)
        return status, duration_ns, [d[:after].ljust(len(d), b"\xff") for d in data]
    assert kind == "stretch", f"fault kind {kind!r} is in the table but not in the bus"
    return stretched(profile, status, duration_ns, data, args.get("ns", 0))


#: kinds in which the parts see nothing: status and bits (0: the adapter's timeout)
_UNANSWERED = {
    "absent": (Status.NAK_ADDRESS, 11),
    "nak_address": (Status.NAK_ADDRESS, 11),
    "stuck_sda": (Status.STUCK, 0),
    "stuck_scl": (Status.TIMEOUT, 0),
    "arbitration": (Status.ARBITRATION_LOST, 10),
}


def _cut(
    t_ns: int, messages: list[Message], after: int, run: Run, bits_ns: BitsNs
) -> MessageOutcome:
    """Stop acknowledging after ``after`` octets of the first write message."""
    address, flags, what = messages[0]
    if not isinstance(what, bytes) or not what:
        return int(Status.NAK_ADDRESS), bits_ns(11), []
    taken = what[: min(after, len(what) - 1)]
    status, duration_ns, _ = run(t_ns, [(address, flags, taken)])
    if status != Status.OK:
        return status, duration_ns, []
    return int(Status.NAK_DATA), duration_ns + bits_ns(18) - bits_ns(9), []


def stretched(
    profile: AdapterProfile,
    status: int,
    duration_ns: int,
    data: list[bytes],
    ns: int,
    each: bool = False,
) -> MessageOutcome:
    """Return the outcome of a transaction in which the clock was held for ``ns`` in all.

    Once, in front of the first octet read, or ``each``: in front of each of them.
    """
    if ns > (profile.i2c_stretch_ns or profile.timeout_ns):
        return int(Status.TIMEOUT), profile.i2c_stretch_ns or profile.timeout_ns, []
    if profile.i2c_stretch == "corrupt" and each:
        data = [bytes(octet ^ 0x80 for octet in part) for part in data]
    elif profile.i2c_stretch == "corrupt":
        # The first bit after the stretch is sampled wrong: the top bit of the first octet read.
        data = flip_bit(data, {"bit": 7})
    return status, duration_ns + ns, data
