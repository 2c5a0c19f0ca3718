"""The computer's own buses: the interfaces of :mod:`flightsw.hal` over the kernel's devices.

One file a bus, with the standard library alone. :class:`~flightsw.hal.linux.alone.LinuxHal` has all
of a device table on them; :class:`~flightsw.hal.linux.mixed.MixedHal` has some, and a bench has the
others. ``docs/linux-hal.md`` tells which calls of which interface are used.
"""
