"""A board's hardware for MicroPython's unix port, which has none: its module `machine` in the file
system goes before the built-in one.

On I2C bus 0 sits a memory of 256 octets at 0x50 with a pointer of one octet, which refuses the
fourth octet of a write (and says so as ports do, by fewer acknowledged octets). SPI, UART and pins
are wired to themselves: what goes out comes in; pin 1 is wired to pin 0.
"""

DEVICE_RESET, WDT_RESET = 1, 3


def unique_id():
    return b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"


def reset_cause():
    return WDT_RESET


class I2C:
    memory = bytearray(range(256))

    def __init__(self, bus, sda=None, scl=None, freq=400000):
        if bus:
            raise ValueError("no such bus")
        self.pins = sda, scl
        self.pointer = 0
        self.held = False

    def address(self, address):
        if address == 0x51:
            raise OSError(110)
        if address != 0x50:
            raise OSError(19)

    def readfrom(self, address, nbytes, stop=True):
        self.address(address)
        octets = bytes(self.memory[(self.pointer + i) & 255] for i in range(nbytes))
        self.pointer = (self.pointer + nbytes) & 255
        return octets

    def writeto(self, address, octets, stop=True):
        self.address(address)
        if octets:
            self.pointer = octets[0]
        for i in range(1, min(len(octets), 3)):
            self.memory[self.pointer] = octets[i]
            self.pointer = (self.pointer + 1) & 255
        return min(len(octets), 3)


class Pin:
    IN, OUT, OPEN_DRAIN = 0, 1, 2
    PULL_UP = 1
    IRQ_RISING, IRQ_FALLING = 1, 2
    levels = {}
    watched = []

    def __init__(self, name):
        if not isinstance(name, (int, str)):
            raise TypeError("no pin")
        self.name = name

    def init(self, mode, pull=None, value=None):
        if value is not None:
            self.value(value)
        elif pull == self.PULL_UP:
            self.levels.setdefault(self.name, 1)

    def value(self, level=None):
        wire = 0 if self.name == 1 else self.name
        if level is None:
            return self.levels.get(wire, 0)
        before, self.levels[wire] = self.levels.get(wire, 0), level
        for pin, handler, trigger in self.watched:
            if pin.name == wire and before != level and trigger & (1 if level else 2):
                handler(pin)
        return None

    def __call__(self, level):
        self.value(level)

    def irq(self, handler, trigger):
        self.watched.append((self, handler, trigger))


class SPI:
    def __init__(self, bus, baudrate, polarity, phase, sck=None, mosi=None, miso=None):
        self.mode = polarity << 1 | phase

    def write_readinto(self, octets, into):
        for i in range(len(octets)):
            into[i] = octets[i] ^ self.mode


class UART:
    def __init__(self, port, baud, bits, parity, stop, tx=None, rx=None):
        self.waiting = b""

    def write(self, octets):
        self.waiting += octets
        return len(octets)

    def any(self):
        return len(self.waiting)

    def read(self, nbytes):
        taken, self.waiting = self.waiting[:nbytes], self.waiting[nbytes:]
        return taken
