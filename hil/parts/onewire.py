"""What every 1-Wire part has: a ROM code and the ROM commands, bit by bit.

From the data sheet of the DS18B20 (Maxim 19-7487, "64-bit lasered ROM code" and "ROM commands"):
family code, 48 bits of serial number and their CRC, low bit first; Search ROM F0h, Read ROM 33h,
Match ROM 55h, Skip ROM CCh, Alarm Search ECh. A part that a search or a match has ruled out waits
for the next reset.
"""

from __future__ import annotations

from typing import ClassVar

from flightsw.codec.bus_payload import crc8
from hil.parts.base import Part

SEARCH_ROM, READ_ROM, MATCH_ROM, SKIP_ROM, ALARM_SEARCH = 0xF0, 0x33, 0x55, 0xCC, 0xEC


class OneWirePart(Part):
    """A 1-Wire part: subclasses give ``FAMILY`` and answer function commands with octets."""

    FAMILY: ClassVar[int]

    def __init__(self, name: str, seed: int = 0, *, serial: int = 0) -> None:
        super().__init__(name, seed)
        if not 0 <= serial < 1 << 48:
            raise ValueError(f"serial {serial:#x} does not fit into 48 bits")
        code = bytes((self.FAMILY,)) + serial.to_bytes(6, "little")
        self.rom = code + bytes((crc8(code),))
        self._rom_bits = int.from_bytes(self.rom, "little")
        self._state = "idle"
        self._place = 0
        self._shift = 0
        self._answer: list[int] = []

    # -- for subclasses --------------------------------------------------------------------------

    def alarmed(self, t_ns: int) -> bool:
        """Tell whether the part takes part in an alarm search."""
        return False

    def function(self, t_ns: int, octet: int) -> bytes:
        """Take an octet of a function command or its data; return what the part sends then."""
        raise NotImplementedError

    def begin(self, t_ns: int) -> None:
        """See a reset: whatever was going on in a command is over."""

    def idle_bit(self, t_ns: int) -> int:
        """Return what a read slot shows when nothing is left to send."""
        return 1

    # -- bus face --------------------------------------------------------------------------------

    def onewire_reset(self, t_ns: int) -> bool:
        """Wait for a ROM command."""
        self._state, self._place, self._shift = "rom", 0, 0
        self._answer = []
        self.begin(t_ns)
        return True

    def onewire_write(self, t_ns: int, bit: int) -> None:
        """Take a bit: of a command, of a ROM code to match, or of the way a search goes."""
        if self._state == "search":
            if bit != self._rom_bits >> self._place // 3 & 1:
                self._state = "idle"
            self._step(3)
        elif self._state == "match":
            if bit != self._rom_bits >> self._place & 1:
                self._state = "idle"
            self._step(1)
        elif self._state in ("rom", "function"):
            self._shift |= bit << self._place
            self._place += 1
            if self._place == 8:
                octet, self._shift, self._place = self._shift, 0, 0
                self._command(t_ns, octet)

    def onewire_read(self, t_ns: int) -> int:
        """Serve the bit or its complement to a search, a bit of an answer, or 1."""
        if self._state == "search":
            bit = self._rom_bits >> self._place // 3 & 1
            bit ^= self._place % 3
            self._place += 1
            return bit
        if self._state == "idle":
            return 1
        return self._answer.pop(0) if self._answer else self.idle_bit(t_ns)

    def _step(self, width: int) -> None:
        """Go on to the next place of the ROM code; behind the last one a function is due."""
        self._place = (self._place // width + 1) * width
        if self._place == 64 * width and self._state != "idle":
            self._state, self._place, self._shift = "function", 0, 0

    def _command(self, t_ns: int, octet: int) -> None:
        if self._state == "function":
            self._send(self.function(t_ns, octet))
        elif octet == SEARCH_ROM or (octet == ALARM_SEARCH and self.alarmed(t_ns)):
            self._state = "search"
        elif octet == READ_ROM:
            self._state = "function"
            self._send(self.rom)
        elif octet == MATCH_ROM:
            self._state = "match"
        elif octet == SKIP_ROM:
            self._state = "function"
        else:
            self._state = "idle"
            if octet != ALARM_SEARCH:
                self.touch(f"ROM command {octet:02X}h")

    def _send(self, octets: bytes) -> None:
        self._answer += [octet >> n & 1 for octet in octets for n in range(8)]
