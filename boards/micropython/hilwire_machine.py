"""The board and the line of its REPL, where MicroPython has sys.stdin and the module machine."""

import select
import struct
import sys
import time

try:
    import machine
except ImportError:
    machine = None

UID_FILE = "hilwire.uid"
CAUSES = ("PWRON_RESET", "HARD_RESET", "BROWNOUT_RESET", "WDT_RESET", "SOFT_RESET")


class Who:
    """What the interpreter knows of its board."""

    def __init__(self):
        self.can = 0x600 if hasattr(machine, "reset") else 0x400
        self.cause = 0
        if hasattr(machine, "reset_cause"):
            cause = machine.reset_cause()
            told = [getattr(machine, name, None) == cause for name in CAUSES]
            self.cause = told.index(True) + 1 if True in told else 0
        self.boot_id = self.random()
        self.uid = self.read_uid()
        self.name = (getattr(sys.implementation, "_machine", None) or sys.platform)[:32].encode()

    def random(self):
        try:
            import os

            return struct.unpack("<I", os.urandom(4))[0]
        except (ImportError, AttributeError):
            import random

            return random.getrandbits(16) << 16 | time.ticks_us() & 0xFFFF

    def read_uid(self):
        """Return the chip's number folded to 8 octets; of a board without one what was stored."""
        octets = b""
        if hasattr(machine, "unique_id"):
            octets = machine.unique_id()
        else:
            self.can |= 0x800
            try:
                with open(UID_FILE, "rb") as file:
                    octets = file.read(8)
            except OSError:
                octets = bytes(8)  # none was stored yet
        uid = bytearray(8)
        for i in range(len(octets)):
            uid[i % 8] ^= octets[i]
        return bytes(uid)

    def write_uid(self, octets):
        try:
            with open(UID_FILE, "wb") as file:
                file.write(octets)
        except OSError:
            return False
        self.uid = octets
        return True

    def description(self):
        return ("MicroPython %s on %s" % (sys.version, sys.platform)).encode()

    def reset(self, kind):
        """Reset the board, or go back to the REPL."""
        time.sleep_ms(20)  # until the reply has left
        if kind:
            raise SystemExit
        machine.reset()


class Line:
    """Standard input and output, octet by octet."""

    def __init__(self):
        self.input, self.output = sys.stdin.buffer, sys.stdout.buffer
        self.poll = select.poll()
        self.poll.register(sys.stdin, select.POLLIN)

    def read(self):
        """Return an octet, -1 if none waits, None at the end of the line."""
        if not self.poll.poll(0):
            return -1
        try:
            octet = self.input.read(1)
        except OSError:
            return None
        return octet[0] if octet else None

    def write(self, octets):
        self.output.write(octets)

    def wait(self):
        self.poll.poll(10)
