"""What a board with MicroPython tells of itself and does without its buses (HILwire 1)."""

import struct

ROOM = 130  # of a payload: a frame less head, fold and CRC
INVALID, UNSUPPORTED = b"\x07", b"\x06"
CAN_RESET, CAN_STOP, CAN_UID = 0x200, 0x400, 0x800


class Board:
    """`who` is what the interpreter knows of the board; `buses` is None or has the requests of
    buses."""

    def __init__(self, who, buses, build):
        self.who = who
        self.buses = buses
        self.build = build
        self.boot_id = who.boot_id
        self.after = None

    def identity(self):
        who = self.who
        can = who.can | (self.buses.can if self.buses else 0)
        told = struct.pack("<BBBHIB", 0, ROOM + 6, 1, ROOM + 9, 1000000, 32)
        told += struct.pack("<IBI", can, who.cause, who.boot_id) + who.uid
        told += b"\1\0\0" + struct.pack("<I", self.build) + who.name + b"\0hilwire-micropython"
        return told[: ROOM - 1]

    def execute(self, link, kind, payload, came):
        """Return the reply to a request, its status first."""
        try:
            if kind >= 0x10 and self.buses:
                return self.buses.execute(link, kind, payload)
            return self.system(link, kind, payload, came)
        except (IndexError, ValueError, TypeError):
            return INVALID  # shorter than it must be, or a number out of range

    def system(self, link, kind, payload, came):
        if kind == 2:
            return b"\0" + payload if len(payload) < ROOM else INVALID
        if kind == 3:
            return struct.pack("<BII", 0, came, link.now())
        if kind == 4:
            return b"\0" + struct.pack("<10H", *link.counters)
        if kind == 6:
            if payload[0] > 1:
                return INVALID
            if not self.who.can & CAN_RESET << payload[0]:
                return UNSUPPORTED
            self.after = payload[0]
            return b"\0"
        if kind == 7 or kind == 8:
            offset = struct.unpack("<I", payload[1:5])[0]
            return self.space(kind, payload[0], offset, payload[5:])
        return UNSUPPORTED

    def space(self, kind, space, offset, rest):
        """Read the description or the uid, write the uid."""
        who = self.who
        if kind == 8:
            whole = space == 1 and len(rest) == 8 and not offset
            return b"\0" if whole and who.can & CAN_UID and who.write_uid(rest) else INVALID
        if space > 1 or (space and offset):
            return INVALID
        text = who.uid if space else who.description()
        return b"\0" + text[offset : offset + min(rest[0], ROOM - 1)]

    def service(self, link):
        if self.buses:
            self.buses.service(link)

    def finish(self):
        """Reset, or go back to the REPL, now that the reply has left."""
        if self.after is not None:
            self.who.reset(self.after)
