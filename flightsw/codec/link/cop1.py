"""The repetition scheme of telecommand frames, COP-1 (CCSDS 232.1-B-2).

The spacecraft's half of it is :class:`Farm` (FARM-1); it reports in a :class:`Clcw`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.link.tc_frame import TcFrame

UNLOCK = b"\x00"


class Clcw(NamedTuple):
    """Command link control word: what the spacecraft says of one virtual channel of its uplink."""

    vcid: int
    report: int  #: N(R), the sequence number that the next frame must have
    farm_b: int = 0  #: frames taken without sequence check, modulo 4
    retransmit: bool = False
    wait: bool = False
    lockout: bool = False
    no_rf: bool = False
    no_bit_lock: bool = False
    status: int = 0

    def pack(self) -> bytes:
        """Return the four octets of the operational control field."""
        if not (0 <= self.vcid < 64 and 0 <= self.report < 256 and 0 <= self.status < 8):
            raise FieldRangeError(
                f"CLCW: virtual channel {self.vcid} (at most 63), report {self.report} (255) or"
                f" status {self.status} (7) do not fit"
            )
        word = self.status << 26 | 1 << 24 | self.vcid << 18 | self.report
        word |= self.no_rf << 15 | self.no_bit_lock << 14 | self.lockout << 13
        word |= self.wait << 12 | self.retransmit << 11 | (self.farm_b & 3) << 9
        return word.to_bytes(4, "big")

    @staticmethod
    def unpack(octets: bytes) -> Clcw:
        """Decode an operational control field; SyncError if it is not a CLCW of version 0."""
        if len(octets) != 4:
            raise TruncatedError(f"CLCW: {len(octets)} octets, must be 4")
        word = int.from_bytes(octets, "big")
        if word >> 29:
            raise SyncError(f"CLCW {word:08X}: type and version bits must be 0")
        return Clcw(
            vcid=word >> 18 & 0x3F,
            report=word & 0xFF,
            farm_b=word >> 9 & 3,
            retransmit=bool(word & 0x0800),
            wait=bool(word & 0x1000),
            lockout=bool(word & 0x2000),
            no_rf=bool(word & 0x8000),
            no_bit_lock=bool(word & 0x4000),
            status=word >> 26 & 7,
        )


class FarmState(IntEnum):
    """States S1 to S3 of FARM-1."""

    OPEN = 1
    WAIT = 2
    LOCKOUT = 3


class Farm:
    """FARM-1 of one virtual channel (CCSDS 232.1-B-2 section 6): which frames to take, in sequence.

    ``window`` is W, even, 2 to 254: half of it ahead of the expected number asks for repetition,
    half behind is a repetition already taken, and everything else locks out until Unlock.
    """

    def __init__(self, vcid: int = 0, window: int = 64) -> None:
        if window % 2 or not 2 <= window <= 254:
            raise FieldRangeError(f"FARM-1: window {window}, must be even and from 2 to 254")
        self.vcid = vcid
        self.window = window
        self.state = FarmState.OPEN
        self.expected = 0  #: V(R)
        self.farm_b = 0
        self.retransmit = self.wait = self.lockout = False
        self.counters = {
            "accepted": 0,
            "accepted_bypass": 0,
            "controls": 0,
            "refused_wait": 0,
            "refused_gap": 0,
            "refused_repeat": 0,
            "refused_lockout": 0,
            "bad_controls": 0,
        }

    def accept(self, frame: TcFrame, room: bool = True) -> bool:
        """Return whether the frame's data goes up; ``room`` says if a buffer is free for it.

        Control commands act here and return False. Whatever is refused is counted by its reason.
        """
        if frame.control:
            self._control(frame.data)
            return False
        if frame.bypass:
            self.farm_b = (self.farm_b + 1) & 3
            self.counters["accepted_bypass"] += 1
            return True
        reason = self._check(frame.seq, room)
        self.counters[reason] += 1
        return reason == "accepted"

    def _check(self, seq: int, room: bool) -> str:
        """Events E1 to E5 for a frame under sequence control; return the counter it belongs to."""
        if self.state is FarmState.LOCKOUT:
            return "refused_lockout"
        ahead, half = (seq - self.expected) & 0xFF, self.window // 2
        if ahead == 0:
            if self.state is FarmState.WAIT:
                return "refused_wait"
            if not room:
                self.state, self.retransmit, self.wait = FarmState.WAIT, True, True
                return "refused_wait"
            self.expected = (self.expected + 1) & 0xFF
            self.retransmit = False
            return "accepted"
        if ahead < half:
            self.retransmit = True
            return "refused_gap"
        if ahead >= 256 - half:
            return "refused_repeat"
        self.state, self.lockout = FarmState.LOCKOUT, True
        return "refused_lockout"

    def _control(self, command: bytes) -> None:
        """Events E7 and E8: Unlock, Set V(R)."""
        if command == UNLOCK:
            self.state = FarmState.OPEN
            self.retransmit = self.wait = self.lockout = False
        elif len(command) == 3 and command[:2] == b"\x82\x00":
            if self.state is not FarmState.LOCKOUT:
                self.state, self.expected = FarmState.OPEN, command[2]
                self.retransmit = self.wait = False
        else:
            self.counters["bad_controls"] += 1
            return
        self.farm_b = (self.farm_b + 1) & 3
        self.counters["controls"] += 1

    def release(self) -> None:
        """Event E10: a buffer is free again."""
        self.wait = False
        if self.state is FarmState.WAIT:
            self.state = FarmState.OPEN

    def clcw(self, *, no_rf: bool = False, no_bit_lock: bool = False) -> Clcw:
        """Return the control word to send with the next telemetry frame."""
        return Clcw(
            self.vcid,
            self.expected,
            self.farm_b,
            self.retransmit,
            self.wait,
            self.lockout,
            no_rf,
            no_bit_lock,
        )


def set_vr(value: int) -> bytes:
    """Return the data of the control command Set V(R)."""
    if not 0 <= value < 256:
        raise FieldRangeError(f"Set V(R): {value}, must be 0 to 255")
    return bytes((0x82, 0, value))
