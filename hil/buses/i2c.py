"""An I2C bus seen from its controller: bus time to the bit, NAKs, adapter limits, faults.

Bus time (NXP UM10204, section 3.1): start, repeated start and stop take one bit each, an octet
with its acknowledge nine. Writing a register pointer and reading two octets back is 48 bits, 120 us
at 400 kHz. Gaps that a driver or controller leaves between octets are not charged.

A part sees the time at which the transaction started, in all of its messages.

A part with an ``i2c_device_id`` is identified at the reserved address 7Ch.

Not modelled: several controllers (arbitration is lost only as a fault), general call and the other
reserved addresses, high-speed mode, SMBus alert and packet error check. An address that no part
has is not acknowledged, which is what these become.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from flightsw.codec.wire import Status
from hil.buses import i2c_identity
from hil.buses.adapters import AdapterProfile, profile_of
from hil.buses.base import Outcome
from hil.buses.faults import I2C_KINDS, BusFault, FaultTable, flip_bit
from hil.buses.i2c_identity import DeviceIdentities
from hil.errors import ConfigError
from hil.parts.base import I2CTarget

READ = 1
TEN_BIT = 2

#: (address, flags, octets to write or how many to read)
Message = tuple[int, int, bytes | int]
MessageOutcome = tuple[int, int, list[bytes]]
Forward = Callable[[int, list[Message]], MessageOutcome]
#: interceptor(t_ns, messages, forward): return None to *pass*; an outcome of its own to *block*
#: (a status and no data) or *mimic*; the outcome of ``forward`` with other messages, or changed,
#: to *modify*.
Interceptor = Callable[[int, list[Message], Forward], MessageOutcome | None]
#: i2c_write_read(t_ns, data, nread): a whole transaction; see :class:`CombinedTarget`
Combined = Callable[[int, bytes, int], bytes | int]

_OK = int(Status.OK)


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


class I2CBus:
    """One emulated I2C bus; implements :class:`hil.buses.base.I2CController`."""

    kind = "i2c"

    def __init__(
        self, name: str, bitrate_hz: int, profile: AdapterProfile | str, seed: int = 0
    ) -> None:
        if bitrate_hz <= 0:
            raise ConfigError(f"I2C bus {name!r}: bit rate {bitrate_hz} Hz must be positive")
        self.name = name
        self.bitrate_hz = bitrate_hz
        self.profile = profile_of(profile)
        self.seed = seed
        self.faults = FaultTable(name, I2C_KINDS)
        #: whether a fault or an interceptor changed the last transaction
        self.faulted = False
        self._interceptor: Interceptor | None = None
        self._watched = False
        self._targets: dict[int, I2CTarget] = {}
        self._ten_bit: dict[int, I2CTarget] = {}
        self._combined: dict[int, Combined] = {}
        self._identities = DeviceIdentities()
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
        if not ten_bit:
            self._combined[address] = combine(target)
        identity = getattr(target, "i2c_device_id", None)
        if identity is not None:
            self._identities.identities[address] = identity
            self._targets[i2c_identity.ADDRESS] = self._identities
            self._combined[i2c_identity.ADDRESS] = combine(self._identities)

    def detach(self, address: int, ten_bit: bool | None = None) -> None:
        """Take a part off the bus; from now on its address is not acknowledged."""
        ten_bit = address > 0x7F if ten_bit is None else ten_bit
        place = self._ten_bit if ten_bit else self._targets
        if address not in place:
            raise ConfigError(f"I2C bus {self.name!r}: no part at address {address:#04x} to detach")
        del place[address]
        self._identities.identities.pop(address, None)
        if not ten_bit:
            del self._combined[address]

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

    def _rewatch(self) -> None:
        self._watched = self._interceptor is not None or bool(self.faults)
        self.faulted = False

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
        return {"transfers": self.transfers, **rest}

    def describe(self) -> dict[str, Any]:
        """Return what the payload computer may know of this bus."""
        return {
            "bitrate_hz": self.bitrate_hz,
            "adapter": self.profile.name,
            "max_octets": self.profile.i2c_max_octets,
            "max_messages": self.profile.i2c_max_messages,
        }

    def duration_ns(self, bits: int) -> int:
        """Return the time of ``bits`` bit times, to the nearest nanosecond."""
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
        refusal = self._refusal(messages)
        if refusal != _OK:
            counts["refused"] += 1
            return refusal, 0, []
        outcome = None
        if self._interceptor is not None:
            outcome = self._interceptor(t_ns, messages, self._with_faults)
            self.faulted |= outcome is not None
        status, duration_ns, data = outcome or self._with_faults(t_ns, messages)
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
        if status == _OK and not flags and not self._watched:
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

    def _refusal(self, messages: list[Message]) -> int:
        """Return what the adapter's driver makes of these messages before it touches the bus."""
        profile = self.profile
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
            ):
                return int(Status.UNSUPPORTED)
        if profile.i2c_write_read_only and last == 1:
            (one, write, _), (two, read, _) = messages
            if one != two or write & READ or not read & READ:
                return int(Status.UNSUPPORTED)
        return _OK

    def _run(self, t_ns: int, messages: list[Message]) -> MessageOutcome:
        """Put messages on the wire: start, address, octets, repeated start, ..., stop."""
        bits = 0
        status = _OK
        data: list[bytes] = []
        seen: list[I2CTarget] = []
        ten_bit_open = -1  # the 10-bit address that is already selected, for a short re-address
        for address, flags, what in messages:
            bits += 10
            target = (self._ten_bit if flags & TEN_BIT else self._targets).get(address)
            if target is None:
                status = int(Status.NAK_ADDRESS)
                break
            if isinstance(what, int):
                answer = target.i2c_read(t_ns, what)
                taken = -1 if answer is None else what
                if answer is not None:
                    assert len(answer) == what, f"{target!r} served {len(answer)} of {what} octets"
                    data.append(answer)
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
                ten_bit_open = address
            if target not in seen:
                seen.append(target)
            if not isinstance(what, int) and taken < len(what):
                bits += 9 * (taken + 1)
                status = int(Status.NAK_DATA)
                break
            bits += 9 * taken
        for target in seen:
            target.i2c_stop(t_ns)
        return status, self.duration_ns(bits + 1), data if status == _OK else []

    # -- faults ----------------------------------------------------------------------------------

    def _with_faults(self, t_ns: int, messages: list[Message]) -> MessageOutcome:
        if self.faults:
            fault = self.faults.consult(self.transfers - 1, t_ns, messages[0][0])
            if fault is not None:
                self.faulted = True
                return self._spoil(fault, t_ns, messages)
        return self._run(t_ns, messages)

    def _spoil(self, fault: BusFault, t_ns: int, messages: list[Message]) -> MessageOutcome:
        """Run a transaction the way the fault makes it go."""
        kind, args = fault.kind, fault.args
        if kind in ("absent", "nak_address"):
            return int(Status.NAK_ADDRESS), self.duration_ns(11), []
        if kind == "stuck_sda":
            return int(Status.STUCK), self.profile.timeout_ns, []
        if kind == "stuck_scl":
            return int(Status.TIMEOUT), self.profile.timeout_ns, []
        if kind == "arbitration":
            return int(Status.ARBITRATION_LOST), self.duration_ns(10), []
        reads = any(flags & READ for _, flags, _ in messages)
        if kind == "nak_data" or (kind == "truncate" and not reads):
            return self._cut(t_ns, messages, args.get("after", 0))
        if kind == "bit_flip" and args.get("write", 0):
            flipped = flip_bit([m[2] for m in messages if isinstance(m[2], bytes)], args)
            outgoing = iter(flipped)
            messages = [m if m[1] & READ else (m[0], m[1], next(outgoing)) for m in messages]
            return self._run(t_ns, messages)
        status, duration_ns, data = self._run(t_ns, messages)
        if kind == "bit_flip":
            return status, duration_ns, flip_bit(data, args)
        if kind == "truncate":
            after = args.get("after", 0)
            return status, duration_ns, [d[:after].ljust(len(d), b"\xff") for d in data]
        assert kind == "stretch", f"fault kind {kind!r} is in the table but not in the bus"
        return self._stretched(status, duration_ns, data, args.get("ns", 0))

    def _cut(self, t_ns: int, messages: list[Message], after: int) -> MessageOutcome:
        """Stop acknowledging after ``after`` octets of the first write message."""
        address, flags, what = messages[0]
        if not isinstance(what, bytes) or not what:
            return int(Status.NAK_ADDRESS), self.duration_ns(11), []
        taken = what[: min(after, len(what) - 1)]
        status, duration_ns, _ = self._run(t_ns, [(address, flags, taken)])
        if status != _OK:
            return status, duration_ns, []
        return int(Status.NAK_DATA), duration_ns + self.duration_ns(9), []

    def _stretched(
        self, status: int, duration_ns: int, data: list[bytes], ns: int
    ) -> MessageOutcome:
        if ns > self.profile.timeout_ns:
            return int(Status.TIMEOUT), self.profile.timeout_ns, []
        if self.profile.i2c_stretch == "corrupt":
            # The first bit after the stretch is sampled wrong: the top bit of the first octet read.
            data = flip_bit(data, {"bit": 7})
        return status, duration_ns + ns, data
