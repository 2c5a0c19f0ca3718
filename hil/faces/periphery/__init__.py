"""A look-alike of python-periphery 2.4 for programs in the same process: I2C, SPI, GPIO, Serial.

Classes, arguments, properties, exceptions and their texts are periphery's; behind the device files
are the buses of an exchange, and time is virtual: a transaction takes its bus time, ``poll`` and
``read`` wait for what the bench does next, :func:`Machine.sleep_until` and the module's ``sleep``
let time pass::

    with installed(Machine(rig.exchange)):
        import payload                     # says periphery.I2C("/dev/i2c-1")

Not done: sysfs GPIO, LED, PWM, MMIO, XON/XOFF, and ``fd`` is no number (-1): nothing here is a
file. A wait that nothing can end raises :class:`~hil.errors.UsageError` instead of hanging.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from hil.faces.periphery.gpio import GPIO, EdgeEvent, GPIOError, SysfsGPIO
from hil.faces.periphery.i2c import I2C, I2CError
from hil.faces.periphery.machine import File, Machine
from hil.faces.periphery.serial import Serial, SerialError
from hil.faces.periphery.spi import SPI, SPIError

__all__ = [
    "GPIO",
    "I2C",
    "SPI",
    "EdgeEvent",
    "GPIOError",
    "I2CError",
    "Machine",
    "SPIError",
    "Serial",
    "SerialError",
    "installed",
    "look_alike",
]

VERSION = (2, 4, 3)
#: submodule -> what a program may import from it
_MODULES: dict[str, tuple[type, ...]] = {
    "i2c": (I2C, I2CError),
    "spi": (SPI, SPIError),
    "gpio": (GPIO, SysfsGPIO, EdgeEvent, GPIOError),
    "serial": (Serial, SerialError),
}


def look_alike(machine: Machine) -> ModuleType:
    """Return a module like periphery whose device files are those of ``machine``."""
    module = ModuleType("periphery", __doc__)
    found: dict[str, object] = {
        "version": VERSION,
        "__version__": ".".join(map(str, VERSION)),
        "sleep": machine.sleep,
        "sleep_ms": lambda milliseconds: machine.sleep(milliseconds / 1e3),
        "sleep_us": lambda microseconds: machine.sleep(microseconds / 1e6),
    }
    for name, classes in _MODULES.items():
        inner = ModuleType(f"periphery.{name}")
        for one in classes:
            bound = one
            if issubclass(one, File):
                bound = type(one.__name__, (one,), {"machine": machine, "__doc__": one.__doc__})
            found[one.__name__] = bound
            setattr(inner, one.__name__, bound)
        found[name] = inner
    found["CdevGPIO"] = found["GPIO"]
    for name, what in found.items():
        setattr(module, name, what)
    return module


@contextmanager
def installed(machine: Machine) -> Iterator[ModuleType]:
    """Let ``import periphery`` find the look-alike inside the ``with`` block.

    A module imported inside keeps it.
    """
    module = look_alike(machine)
    modules = {"periphery": module}
    modules |= {f"periphery.{name}": getattr(module, name) for name in _MODULES}
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield module
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old
