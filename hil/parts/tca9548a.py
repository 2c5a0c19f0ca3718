"""Texas Instruments TCA9548A and TCA9546A: a switch that puts 8 or 4 I2C buses behind one.

Source: data sheets SCPS207G (November 2019) and SCPS205B, sections 8.4 to 8.6 (reset, control
register). The control register has one bit a channel; what is written takes effect at the stop
condition (section 8.6.2), and several channels may be on at once.

Parts sit on a :class:`Segment`, which is attached to like a bus; segments nest. For each address
below, the switch puts a forwarder on the bus above: it hands a message to every part of that
address whose channel is on. Nobody there is an address that is not acknowledged. Two parts that
answer at once are what open-drain lines make of it: a bit reads 0 where either drives 0.

``reset`` pulled low switches all channels off. Not modelled: the voltage translation and the
capacitance that each channel adds, the low that a stuck channel puts on the bus above (give the
part behind it a fault), parts behind the switch that have 10-bit addresses or hold the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from hil.errors import ConfigError
from hil.parts.base import I2CPlace, I2CTarget, Part, unwired
from hil.parts.guide import Command, Guide


class Segment:
    """One channel of a switch: a place for parts."""

    def __init__(self, switch: Tca9548a, channel: int) -> None:
        self.name = f"{switch.name}:{channel}"
        self.targets: dict[int, I2CTarget] = {}
        self._switch = switch

    def attach(self, address: int, target: I2CTarget) -> None:
        """Put a part on this channel."""
        if address in self.targets:
            raise ConfigError(
                f"channel {self.name}, address {address:#04x}: {_name(target)!r} clashes with "
                f"{_name(self.targets[address])!r}; move one of them"
            )
        if not 0x08 <= address <= 0x77:
            raise ConfigError(f"channel {self.name}, address {address:#04x}: give 0x08 to 0x77")
        self.targets[address] = target
        self._switch.expose(address)


class Tca9548a(Part):
    """The switch itself, and its channels."""

    CHANNELS: ClassVar[int] = 8
    #: direction of each pin, seen from the part
    PINS: ClassVar[Mapping[str, str]] = {"reset": "in"}
    #: pins A2, A1, A0 (table 1)
    ADDRESSES: ClassVar[tuple[int, ...]] = tuple(range(0x70, 0x78))
    GUIDE: ClassVar[Guide] = Guide(
        commands={"channels": Command(b"", 1, "one bit for each channel that is on")},
        note="send 04 switches channel 2 on and the others off",
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.gpio_drive: Callable[[int, str, int], None] = unwired
        #: the control register: channels that are on
        self.enabled = 0
        self.counters = {"switched": 0, "resets": 0}
        self.segments = [Segment(self, channel) for channel in range(self.CHANNELS)]
        self._held_in_reset = False
        self._pending = -1
        self._upstream: I2CPlace | None = None
        self._exposed: set[int] = set()

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return super().snapshot() | {"counters": dict(self.counters)}

    # Topology -----------------------------------------------------------------------------------

    def segment(self, channel: int) -> Segment:
        """Return a channel to attach parts to; raises ConfigError for one that is not there."""
        if not 0 <= channel < self.CHANNELS:
            raise ConfigError(
                f"part {self.name!r}: channel {channel} is none of 0 to {self.CHANNELS - 1}"
            )
        return self.segments[channel]

    def connect(self, upstream: I2CPlace) -> None:
        """Say what the switch hangs on: from now on addresses below can be reached from there."""
        assert self._upstream is None, f"switch {self.name!r} is connected already"
        self._upstream = upstream
        for address in sorted({at for segment in self.segments for at in segment.targets}):
            self.expose(address)

    def expose(self, address: int) -> None:
        """Let an address below be reached from above."""
        if self._upstream is None or address in self._exposed:
            return
        self._exposed.add(address)
        self._upstream.attach(address, Forwarder(self, address))

    def reached(self, address: int) -> list[I2CTarget]:
        """Return the parts of this address whose channel is on."""
        return [
            segment.targets[address]
            for channel, segment in enumerate(self.segments)
            if self.enabled >> channel & 1 and address in segment.targets
        ]

    # Bus face and pin ---------------------------------------------------------------------------

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Take the control register; the last octet counts."""
        if self._held_in_reset:
            return -1
        if data:
            self._pending = data[-1] & (1 << self.CHANNELS) - 1
        return len(data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Return the control register, again and again."""
        return None if self._held_in_reset else bytes((self.enabled,)) * nbytes

    def i2c_stop(self, t_ns: int) -> None:
        """Switch."""
        if self._pending >= 0:
            self.counters["switched"] += self._pending != self.enabled
            self.enabled, self._pending = self._pending, -1

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """See RESET change: low switches everything off and the part does not answer."""
        self._held_in_reset = not level
        if not level:
            self.enabled, self._pending = 0, -1
            self.counters["resets"] += 1


class Tca9546a(Tca9548a):
    """The switch with four channels."""

    CHANNELS = 4


class Forwarder:
    """Stands on the bus above for whatever has this address below."""

    def __init__(self, switch: Tca9548a, address: int) -> None:
        self.name = f"{switch.name}:{address:#04x}"
        self._switch, self._address = switch, address

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Write to all that are reached; an octet is acknowledged if one of them does."""
        return max(
            (one.i2c_write(t_ns, data) for one in self._switch.reached(self._address)), default=-1
        )

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Read from all that are reached; 0 wins on the line."""
        out: bytes | None = None
        for one in self._switch.reached(self._address):
            answer = one.i2c_read(t_ns, nbytes)
            if answer is not None:
                out = (
                    answer
                    if out is None
                    else bytes(a & b for a, b in zip(out, answer, strict=True))
                )
        return out

    @property
    def i2c_device_id(self) -> int:
        """The identity of what is reached, as one that has none has no such attribute."""
        for one in self._switch.reached(self._address):
            if hasattr(one, "i2c_device_id"):
                return int(one.i2c_device_id)
        raise AttributeError(f"nothing at {self.name} tells its identity")

    def i2c_general_call(self, t_ns: int, data: bytes) -> int:
        """Pass the general call on."""
        reached = self._switch.reached(self._address)
        called = (getattr(one, "i2c_general_call", None) for one in reached)
        return max((call(t_ns, data) for call in called if call is not None), default=-1)

    def smbus_alert(self, t_ns: int) -> bool:
        """Tell whether one that is reached alerts."""
        return bool(self._alerting(t_ns))

    def smbus_alert_served(self, t_ns: int) -> None:
        """Let those go on that have sent their address."""
        for one in self._alerting(t_ns):
            one.smbus_alert_served(t_ns)

    def _alerting(self, t_ns: int) -> list[Any]:
        reached: list[Any] = self._switch.reached(self._address)
        return [one for one in reached if hasattr(one, "smbus_alert") and one.smbus_alert(t_ns)]

    def i2c_stop(self, t_ns: int) -> None:
        """Pass the stop condition on."""
        for one in self._switch.reached(self._address):
            one.i2c_stop(t_ns)


def _name(target: I2CTarget) -> str:
    return str(getattr(target, "name", "another part"))
