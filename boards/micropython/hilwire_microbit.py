"""The board, the line and the I2C bus of a micro:bit, whose MicroPython has a module of its own."""

import random

import machine
import microbit
import utime


class Who:
    """What the interpreter knows of its board."""

    can = 0x600
    cause = 0
    name = b"micro:bit"
    uid = machine.unique_id()
    boot_id = random.getrandbits(30)

    def description(self):
        return b"MicroPython on a micro:bit"

    def reset(self, kind):
        utime.sleep_ms(20)
        if kind:
            raise SystemExit
        machine.reset()


class Line:
    """The UART of the interface chip, which is the REPL's as well."""

    def __init__(self):
        self.uart = microbit.uart
        self.write = self.uart.write

    def read(self):
        octet = self.uart.read(1)
        return octet[0] if octet else -1

    def wait(self):
        utime.sleep_ms(1)
