"""Frames of HILwire 1 on a board with MicroPython: COBS, fold and CRC, counters, events.

The board's side of docs/board-protocol.md. Written for little memory and for MicroPython of 2017
(micro:bit): no slice is assigned, no memoryview taken, and each file is small, because the board
itself compiles it.
"""

try:
    import utime as time
except ImportError:
    import time

MAX_FRAME = 136


def check(octets, n):
    """Return fold (second Fletcher sum modulo 256) and CRC-16 (0x1021, preset to ones)."""
    crc, a, b = 0xFFFF, 1, 0
    for i in range(n + 1):
        x = b
        if i < n:
            x = octets[i]
            a = (a + x) & 255
            b = (b + a) & 255
        x ^= crc >> 8
        x ^= x >> 4
        crc = (crc << 8 ^ x << 12 ^ x << 5 ^ x) & 0xFFFF
    return bytes((b, crc & 255, crc >> 8))


def decode(octets, n):
    """Decode n octets of COBS where they stand; return how many there are, -1 if it is cut off."""
    left = size = 0
    for i in range(n):
        if left:
            octets[size] = octets[i]
            left -= 1
        else:
            left = octets[i] - 1
            if not i:
                continue
            octets[size] = 0
        size += 1
    return -1 if left else size


class Sender:
    """What goes out, and what is counted."""

    def __init__(self, line, epoch):
        self.line = line
        # frames, bad_check, bad_cobs, overlong, wrong_epoch, no_session, repeated, out_of_order,
        # rx_overrun, events_lost: the order of STATS
        self.counters = [0] * 10
        self.nonce = None
        self.epoch = epoch
        self.expected = 0
        self.events = 0
        self.us = 0
        self.ticks = time.ticks_us()

    def now(self):
        """Return microseconds of 32 bits; ticks_us wraps earlier."""
        ticks = time.ticks_us()
        self.us = (self.us + time.ticks_diff(ticks, self.ticks)) & 0xFFFFFFFF
        self.ticks = ticks
        return self.us

    def send(self, kind, seq, payload):
        body = bytes((0x10 | self.epoch, kind, seq)) + payload
        body += check(body, len(body))
        self.line.write(b"\0")
        for piece in body.split(b"\0"):
            self.line.write(bytes((len(piece) + 1,)) + piece)
        self.line.write(b"\0")

    def event(self, kind, payload):
        self.send(kind, self.events, payload)
        self.events = (self.events + 1) & 255

    def count(self, which):
        self.counters[which] = (self.counters[which] + 1) & 0xFFFF

    def ask_again(self, counter, reason):
        self.count(counter)
        if self.nonce is not None:
            self.event(0xC2, bytes((reason, self.expected)))
