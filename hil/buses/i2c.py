"""An I2C bus seen from its controller: bus time to the bit, NAKs, adapter limits, faults.

Bus time (NXP UM10204, section 3.1): start, repeated start and stop take one bit each, an octet
with its acknowledge nine. Writing a register pointer and reading two octets back is 48 bits, 120 us
at 400 kHz. Gaps that a driver or controller leaves between octets are not charged.

In high-speed mode (section 5.3) each transaction starts with the controller code at the rate of the
bus, 10 bits with its missing acknowledge, and goes on after a repeated start at ``high_speed_hz``.

A part sees the time at which the transaction started, in all of its messages. One that holds the
clock for ``i2c_stretch_ns`` in front of each octet that it serves says so in an attribute of that
name; what comes of it is the adapter's.

The reserved addresses are those of ``hil.buses.i2c_reserved``, other controllers those of
``hil.buses.i2c_rivals``, SMBus is ``hil.buses.smbus``. Not modelled: ultra fast-mode, rise times,
spikes, a target that changes its address.
"""

from __future__ import annotations

from typing import Any, Final

from flightsw.codec.wire import Status
from hil.buses.adapters import AdapterProfile, profile_of
from hil.buses.base import Outcome
from hil.buses.faults import I2C_KINDS, BusFault, FaultTable
from hil.buses.i2c_faults import spoil
from hil.buses.i2c_messages import (
    READ,
    TEN_BIT,
    Combined,
    Message,
    MessageOutcome,
    combine,
    refusal,
)
from hil.buses.i2c_rivals import Rivals
from hil.buses.i2c_wire import Wire
from hil.buses.intercept import Crossing, Interceptor, Result, through
from hil.errors import ConfigError
from hil.parts.base import I2CTarget

__all__ = ["READ", "TEN_BIT", "I2CBus", "Message", "MessageOutcome", "combine"]

#: Start, controller code and its missing acknowledge, in front of a high-speed transaction.
HIGH_SPEED_CODE_NBITS: Final = 10
HIGH_SPEED_LIMIT_HZ: Final = 3_400_000

_OK = int(Status.OK)


class I2CBus:
    """One emulated I2C bus; implements :class:`hil.buses.base.I2CController`."""

    kind = "i2c"

    def __init__(
        self,
        name: str,
        bitrate_hz: int,
        profile: AdapterProfile | str,
        seed: int = 0,
        high_speed_hz: int = 0,
    ) -> None:
        if bitrate_hz <= 0:
            raise ConfigError(f"I2C bus {name!r}: bit rate {bitrate_hz} Hz must be positive")
        if high_speed_hz and not bitrate_hz < high_speed_hz <= HIGH_SPEED_LIMIT_HZ:
            raise ConfigError(
                f"I2C bus {name!r}: high speed of {high_speed_hz} Hz; give more than {bitrate_hz} "
                "and at most 3.4 MHz"
            )
        self.name = name
        self.bitrate_hz = bitrate_hz
        self.high_speed_hz = high_speed_hz
        self.profile = profile_of(profile)
        self.seed = seed
        self.faults = FaultTable(name, I2C_KINDS)
        #: whether a fault or an interceptor changed the last transaction
        self.faulted = False
        self._interceptor: Interceptor | None = None
        self._watched = False
        self._wire = Wire(self.profile, self.duration_ns)
        #: takes the place of the wire while a transaction runs that a board has answered
        self._lent: Wire | None = None
        self._targets, self._ten_bit = self._wire.targets, self._wire.ten_bit
        self._rivals: Rivals | None = None
        self._combined: dict[int, Combined] = {}
        # (octets written, octets read) -> [bus time, how often]: limits are checked and counters
        # kept per shape, so that the usual transaction pays for two look-ups only.
        self._shapes: dict[tuple[int, int], list[int]] = {}
        self._counts = dict.fromkeys(("other", "octets", "naks", "refused", "faulted"), 0)

    # -- wiring ---------------------------------------------------------------------------------

    def attach(self, address: int, target: I2CTarget, ten_bit: bool | None = None) -> None:
        """Put a part on the bus. Addresses above 7Fh are 10-bit unless ``ten_bit`` says so too.

        Raises :class:`hil.errors.ConfigError` for a clash and for an address no part can have.
        """
        ten_bit = address > 0x7F if ten_bit is None else ten_bit
        place = self._ten_bit if ten_bit else self._targets
        where = f"I2C bus {self.name!r}, address {address:#04x}"
        if not 0 <= address <= (0x3FF if ten_bit else 0x7F):
            raise ConfigError(f"{where}: out of range; give 0x08..0x77, or 0x80..0x3ff for 10-bit")
        if not ten_bit and not 0x08 <= address <= 0x77:
            raise ConfigError(f"{where}: reserved by the I2C specification; give 0x08..0x77")
        if address in place:
            there = getattr(place[address], "name", "another part")
            here = getattr(target, "name", "this part")
            raise ConfigError(f"{where}: {here!r} clashes with {there!r}; move one of them")
        place[address] = target
        if not ten_bit and not getattr(target, "i2c_stretch_ns", 0):
            self._combined[address] = combine(target)

    def detach(self, address: int, ten_bit: bool | None = None) -> None:
        """Take a part off the bus; from now on its address is not acknowledged."""
        ten_bit = address > 0x7F if ten_bit is None else ten_bit
        place = self._ten_bit if ten_bit else self._targets
        if address not in place:
            raise ConfigError(f"I2C bus {self.name!r}: no part at address {address:#04x} to detach")
        del place[address]
        if not ten_bit:
            self._combined.pop(address, None)

    def target_at(self, address: int) -> I2CTarget | None:
        """Return who answers a 7-bit address, or None; reserved addresses included."""
        return self._targets.get(address) or self._wire.reserved.get(address)

    def intercept(self, interceptor: Interceptor | None) -> None:
        """Put a callable into the way of every transaction; None takes it out."""
        self._interceptor = interceptor
        self._rewatch()

    def add_fault(self, fault: BusFault) -> None:
        """Activate a row of the fault table."""
        self.faults.add(fault)
        self._rewatch()

    def remove_fault(self, fault: BusFault) -> None:
        """Deactivate a row of the fault table."""
        self.faults.remove(fault)
        self._rewatch()

    @property
    def rivals(self) -> Rivals:
        """Return the other controllers of this bus; from now on there may be some."""
        if self._rivals is None:
            self._rivals = Rivals(self.on_wire, self.duration_ns)
            self._rewatch()
        return self._rivals

    def lend(self, wire: Wire | None) -> None:
        """Let ``wire`` carry what comes, with other targets than ours; None: ours again.

        Faults, interceptors and other controllers are those of this bus all the same.
        """
        self._lent = wire
        self._rewatch()

    def _rewatch(self) -> None:
        self._watched = (
            self._interceptor is not None
            or bool(self.faults)
            or self._rivals is not None
            or self._lent is not None
        )
        self.faulted = False

    def on_wire(self, t_ns: int, messages: list[Message]) -> MessageOutcome:
        """Put messages on the wire, past faults, interceptors, counters and limits."""
        return (self._lent or self._wire).run(t_ns, messages)

    # -- what the rest of the bench may know -----------------------------------------------------

    @property
    def transfers(self) -> int:
        """Transactions asked for so far, refused ones included: the index of the next one."""
        return self._counts["other"] + sum(count for _, count in self._shapes.values())

    @property
    def counters(self) -> dict[str, int]:
        """Counts since start: transfers, octets, naks, refused, faulted."""
        octets = sum((nw + nr) * count for (nw, nr), (_, count) in self._shapes.items())
        rest = {key: value for key, value in self._counts.items() if key != "other"}
        rest["octets"] += octets
        return {
            "transfers": self.transfers,
            **rest,
            **(self._rivals.counters if self._rivals else {}),
        }

    def describe(self) -> dict[str, Any]:
        """Return what the payload computer may know of this bus."""
        return {
            "bitrate_hz": self.bitrate_hz,
            "adapter": self.profile.name,
            "max_octets": self.profile.i2c_max_octets,
            "max_messages": self.profile.i2c_max_messages,
            **({"high_speed_hz": self.high_speed_hz} if self.high_speed_hz else {}),
            "functions": self.profile.i2c_functions,
        }

    def duration_ns(self, bits: int) -> int:
        """Return the time of a transaction of ``bits`` bit times, to the nearest nanosecond."""
        if self.high_speed_hz:
            code_ns = _bits_ns(HIGH_SPEED_CODE_NBITS, self.bitrate_hz)
            return code_ns + _bits_ns(bits, self.high_speed_hz)
        return (bits * 1_000_000_000 + self.bitrate_hz // 2) // self.bitrate_hz

    # -- transactions ----------------------------------------------------------------------------

    def transfer(self, t_ns: int, address: int, write: bytes, nread: int) -> Outcome:
        """Write then, after a repeated start, read; either part may be empty."""
        if self._watched:
            return self._as_messages(t_ns, address, write, nread)
        try:
            target = self._combined[address]
            shape = self._shapes[len(write), nread]
        except KeyError:
            return self._as_messages(t_ns, address, write, nread)
        data = target(t_ns, write, nread)
        if data.__class__ is bytes:
            shape[1] += 1
            return _OK, shape[0], data
        assert isinstance(data, int)
        return self._not_acknowledged(write, data)

    def transfer_messages(self, t_ns: int, messages: list[Message]) -> MessageOutcome:
        """Run messages as one transaction, as the kernel's ``I2C_RDWR`` does."""
        counts = self._counts
        counts["other"] += 1
        self.faulted = False
        refused = refusal(self.profile, messages)
        if refused != _OK:
            counts["refused"] += 1
            return refused, 0, []
        if self._interceptor is None:
            status, duration_ns, data = self._with_faults(t_ns, messages)
        else:
            crossing = Crossing(t_ns, self.name, messages[0][0], messages)
            outcome, did = through(self._interceptor, crossing, self._forward)
            status, duration_ns, data = *outcome[:2], list(outcome[2])
            self.faulted |= did
        if status == _OK:
            counts["octets"] += sum(m[2] if isinstance(m[2], int) else len(m[2]) for m in messages)
        counts["naks"] += status in (Status.NAK_ADDRESS, Status.NAK_DATA)
        counts["faulted"] += self.faulted
        return int(status), duration_ns, data

    def _as_messages(self, t_ns: int, address: int, write: bytes, nread: int) -> Outcome:
        """Take the long way: first of its shape, no such part, 10-bit address, faults."""
        flags = TEN_BIT if address > 0x7F else 0
        messages: list[Message] = []
        if write or not nread:
            messages.append((address, flags, write))
        if nread:
            messages.append((address, flags | READ, nread))
        status, duration_ns, data = self.transfer_messages(t_ns, messages)
        if status == _OK and not self._watched and address in self._combined:
            self._shapes.setdefault((len(write), nread), [duration_ns, 0])
        return status, duration_ns, data[0] if data else b""

    def _not_acknowledged(self, write: bytes, taken: int) -> Outcome:
        self._counts["other"] += 1
        self._counts["naks"] += 1
        if taken == -1:
            return int(Status.NAK_ADDRESS), self.duration_ns(11), b""
        if taken == -2:
            return int(Status.NAK_ADDRESS), self.duration_ns(21 + 9 * len(write)), b""
        return int(Status.NAK_DATA), self.duration_ns(11 + 9 * (taken + 1)), b""

    # -- faults ----------------------------------------------------------------------------------

    def _forward(self, crossing: Crossing) -> Result:
        return self._with_faults(crossing.t_ns, crossing.content)

    def _with_faults(self, t_ns: int, messages: list[Message]) -> MessageOutcome:
        run = self.on_wire if self._rivals is None else self._rivals.enter
        if self.faults:
            fault = self.faults.consult(self.transfers - 1, t_ns, messages[0][0])
            if fault is not None:
                self.faulted = True
                return spoil(fault, t_ns, messages, run, self.duration_ns, self.profile)
        return run(t_ns, messages)


def _bits_ns(bits: int, rate_hz: int) -> int:
    return (bits * 1_000_000_000 + rate_hz // 2) // rate_hz
