"""The session of HILwire 1 on a board with MicroPython: requests in order and at most once."""

from hilwire_frame import MAX_FRAME, Sender, check, decode

INVALID = b"\x07"


class Link(Sender):
    """The session over a line (of hilwire_machine); `board` is a Board of hilwire_system."""

    def __init__(self, line, board):
        Sender.__init__(self, line, board.boot_id & 15)
        self.board = board
        self.octets = bytearray(MAX_FRAME + 1)
        self.n = 0
        self.lost = True  # until the first delimiter
        self.kept = None

    def take(self, octet):
        """Take one octet of the line."""
        if not octet:
            n, self.n = self.n, 0
            if n and not self.lost:
                self.frame(n)
            self.lost = False
        elif self.n > MAX_FRAME:
            self.n = 0
            self.lost = True
            self.ask_again(3, 1)
        elif not self.lost:
            self.octets[self.n] = octet
            self.n += 1

    def frame(self, n):
        """Take a frame of n encoded octets."""
        came = self.now()
        octets = self.octets
        n = decode(octets, n) - 3
        if n == -4:
            self.ask_again(2, 1)
        elif n < 3 or bytes((octets[n], octets[n + 1], octets[n + 2])) != check(octets, n):
            self.ask_again(1, 1)
        else:
            self.count(0)
            self.body(octets[0], octets[1], octets[2], bytes(octets[3:n]), came)

    def body(self, head, kind, seq, payload, came):
        if kind == 1:
            self.hello(seq, payload)
        elif self.nonce is None:
            self.count(5)
        elif head != 0x10 | self.epoch or kind >= 0x40:
            self.count(4)
        elif seq == self.expected:
            self.expected = (seq + 1) & 255
            self.kept = (kind | 0x80, seq, self.board.execute(self, kind, payload, came))
            self.send(*self.kept)
            self.board.finish()
        elif self.kept and seq == self.kept[1]:
            self.count(6)
            self.send(*self.kept)
        else:
            self.ask_again(7, 2)

    def hello(self, seq, payload):
        if len(payload) < 4:
            self.send(0x81, seq, INVALID)
            return
        nonce = payload[2] | payload[3] << 8
        if nonce != self.nonce:
            self.nonce = nonce
            self.epoch = (self.epoch + 1) & 15
            self.expected = (seq + 1) & 255
            self.kept = None
        self.send(0x81, seq, b"\0" + self.board.identity())

    def run(self):
        """Answer until the line ends."""
        self.event(0xC0, self.board.identity())
        octet = 0
        while octet is not None:
            octet = self.line.read()
            if octet is None or octet >= 0:
                self.take(octet or 0)
            else:
                self.now()  # often enough, so that no wrap is missed
                self.board.service(self)
                self.line.wait()
