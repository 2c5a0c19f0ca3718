"""I2C, SPI, UART and pins by MicroPython's module machine, for HILwire 1.

Pins of a bus come from `pins` of hilwire.run, else they are the port's own: "i2c0": (sda, scl),
"spi0": (sck, mosi, miso, chip select 0, ...), "uart1": (tx, rx), "gpio0": (pin 0, pin 1, ...).
"""

import struct
import time

import machine

OK, NAK_ADDRESS, NAK_DATA, TIMEOUT, UNSUPPORTED, INVALID, ABSENT = 0, 1, 2, 4, 6, 7, 12
TIMED_OUT = (110, 116)  # ETIMEDOUT of Linux and of newlib
EDGES_KEPT = 16


class FailedError(Exception):
    """A request ends with this status."""


def pin(name):
    """Return a pin by its name or its number."""
    return machine.Pin(int(name) if isinstance(name, str) and name.isdigit() else name)


class Buses:
    """What requests of buses do; each returns the reply, its status first."""

    def __init__(self, pins):
        self.pins = pins
        self.can = 0
        for bit, name in enumerate(("I2C", "SPI", "UART", "Pin")):
            if hasattr(machine, name):
                self.can |= 1 << bit
        if not self.can:
            raise ImportError("no buses")
        self.i2c, self.spi, self.uart, self.io = {}, {}, {}, {}
        self.edges = []
        self.edges_lost = 0
        self.link = None

    def execute(self, link, kind, payload):
        self.link = link
        group = (kind >> 3) - 2
        does = (self.on_i2c, self.on_spi, self.on_uart, self.on_pin)
        if group > 3 or not self.can & 1 << group:
            return bytes((UNSUPPORTED,))
        try:
            return does[group](kind & 7, payload)
        except FailedError as failed:
            return bytes((failed.args[0],))
        except OSError:
            return bytes((INVALID,))  # the port refuses the number, the rate or the pin

    # --- I2C ---

    def on_i2c(self, what, payload):
        bus = payload[0]
        if what == 0:
            hz = struct.unpack("<I", payload[1:5])[0]
            names = self.pins.get("i2c%d" % bus)
            if names:
                opened = machine.I2C(bus, sda=pin(names[0]), scl=pin(names[1]), freq=hz)
            else:
                opened = machine.I2C(bus, freq=hz)
            self.i2c[bus] = opened
            return struct.pack("<BI", OK, hz)
        if what != 1:
            return bytes((UNSUPPORTED,))
        if bus not in self.i2c:
            return bytes((ABSENT,))
        flags = payload[1]
        groups = self.groups(payload)
        if flags & 2:
            raise FailedError(UNSUPPORTED)  # machine.I2C ends each read with a NACK
        return self.transfer(self.i2c[bus], groups, flags & 1)

    def groups(self, payload):
        """Return (address, octets to write or number to read, index of its first message)."""
        groups = []
        at = 2
        index = room = 0
        while at < len(payload):
            address, length = struct.unpack("<HB", payload[at : at + 3])
            at += 3
            read = address & 0x8000
            what = length if read else payload[at : at + length]
            if read:
                room += length
            else:
                if at + length > len(payload):
                    raise FailedError(INVALID)
                at += length
            if room > 123:
                raise FailedError(INVALID)
            if address & 0x4000:
                raise FailedError(UNSUPPORTED)
            if address & 0x2000:
                if not groups or bool(read) != isinstance(groups[-1][1], int):
                    raise FailedError(UNSUPPORTED)  # needs a START, which machine.I2C always makes
                before = groups.pop()
                groups.append((before[0], before[1] + what, before[2]))
            else:
                groups.append((address & 0x7F, what, index))
            index += 1
        return groups

    def transfer(self, i2c, groups, hold):
        start = self.link.now()
        data = b""
        taken = failed = 255
        status = OK
        for place, (address, what, index) in enumerate(groups):
            stop = place == len(groups) - 1 and not hold
            try:
                if isinstance(what, int):
                    data += i2c.readfrom(address, what, stop)
                else:
                    n = i2c.writeto(address, what, stop)
                    if n is not None and n < len(what):
                        # the octet after the acknowledged ones was not
                        status, taken, failed = NAK_DATA, n, index
            except OSError as error:
                code = error.args[0] if error.args else 0
                status = TIMEOUT if code in TIMED_OUT else NAK_ADDRESS
                taken, failed = 0, index
            if status:
                break
        return struct.pack("<BIBB", status, start, taken, failed) + data

    # --- SPI ---

    def on_spi(self, what, payload):
        bus, cs = payload[0], payload[1]
        names = self.pins.get("spi%d" % bus)
        if what == 0:
            mode = payload[2]
            hz = struct.unpack("<I", payload[3:7])[0]
            if mode > 3 or not hz:
                return bytes((INVALID,))
            more = {"baudrate": hz, "polarity": mode >> 1, "phase": mode & 1}
            if names:
                more["sck"], more["mosi"], more["miso"] = (
                    pin(names[0]),
                    pin(names[1]),
                    pin(names[2]),
                )
            if not names or cs + 3 >= len(names):
                return bytes((ABSENT,))
            select = pin(names[cs + 3])
            select.init(machine.Pin.OUT, value=1)
            self.spi[(bus, cs)] = (machine.SPI(bus, **more), select)
            return struct.pack("<BI", OK, hz)
        if what != 1:
            return bytes((UNSUPPORTED,))
        if (bus, cs) not in self.spi:
            return bytes((ABSENT,))
        if len(payload) - 3 > 125:
            return bytes((INVALID,))
        spi, select = self.spi[(bus, cs)]
        data = bytearray(payload[3:])
        start = self.link.now()
        select(0)
        spi.write_readinto(payload[3:], data)
        if not payload[2] & 1:
            select(1)
        return struct.pack("<BI", OK, start) + data

    # --- UART ---

    def on_uart(self, what, payload):
        port = payload[0]
        if what == 0:
            baud, bits, parity, stop = struct.unpack("<IBBB", payload[1:8])
            if parity > 2 or stop not in (2, 4):
                return bytes((INVALID,))
            more = {"bits": bits, "parity": (None, 0, 1)[parity], "stop": stop // 2}
            names = self.pins.get("uart%d" % port)
            if names:
                more["tx"], more["rx"] = pin(names[0]), pin(names[1])
            self.uart[port] = machine.UART(port, baud, **more)
            return struct.pack("<BI", OK, baud)
        if what != 1:
            return bytes((UNSUPPORTED,))
        if port not in self.uart:
            return bytes((ABSENT,))
        return bytes((OK, self.uart[port].write(payload[1:]) or 0))

    # --- pins ---

    def on_pin(self, what, payload):
        number = payload[0]
        if what == 0:
            self.pin_config(number, payload[1], payload[2])
        if number not in self.io:
            return bytes((ABSENT,))
        line = self.io[number]
        if what == 1:
            line.value(1 if payload[1] else 0)
            return bytes((OK,))
        if what > 2:
            return bytes((UNSUPPORTED,))
        return bytes((OK, line.value()))

    def pin_config(self, number, mode, edges):
        kind = machine.Pin
        names = self.pins.get("gpio0")
        line = pin(names[number]) if names and number < len(names) else pin(number)
        if mode > 5 or edges > 3:
            raise FailedError(INVALID)
        if mode < 3:
            pull = (None, kind.PULL_UP, getattr(kind, "PULL_DOWN", None))[mode]
            if mode and pull is None:
                raise FailedError(UNSUPPORTED)
            line.init(kind.IN, pull)
        elif mode < 5:
            line.init(kind.OUT, value=mode - 3)
        else:
            line.init(kind.OPEN_DRAIN, value=1)
        if edges:
            trigger = kind.IRQ_RISING if edges & 1 else 0
            trigger |= kind.IRQ_FALLING if edges & 2 else 0
            line.irq(lambda line: self.edge(number, line), trigger)
        self.io[number] = line

    def edge(self, number, line):
        """Keep an edge until the loop comes round; called by the interpreter's scheduler."""
        if len(self.edges) < EDGES_KEPT:
            self.edges.append((number, line.value(), time.ticks_us()))
        else:
            self.edges_lost += 1

    def service(self, link):
        """Tell of edges and of what the UARTs have received."""
        for _ in range(self.edges_lost):
            self.edges_lost -= 1
            link.count(9)
        while self.edges:
            number, level, ticks = self.edges.pop(0)
            ago = time.ticks_diff(time.ticks_us(), ticks)
            t_us = (link.now() - ago) & 0xFFFFFFFF
            link.event(0xC9, struct.pack("<BBI", number, level, t_us))
        for port, uart in self.uart.items():
            n = min(uart.any(), 124)
            if n:
                data = uart.read(n) or b""
                link.event(0xC8, struct.pack("<BIB", port, link.now(), 0) + data)
