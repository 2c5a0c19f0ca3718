"""HILwire 1 for boards that run stock MicroPython: `hilwire.run()` answers until told to stop.

`hil boards install` puts the files of this folder on a board. Each is compiled by the board, the
longest first and the waste of one cleared before the next.
"""

import gc
import sys

import micropython


def run(build=0, pins=None):
    """Answer on the line of the REPL; `pins` names those of each bus, {"i2c0": ("GP4", "GP5")}."""
    for name in ("hilwire_frame", "hilwire_link", "hilwire_system"):
        gc.collect()
        __import__(name)
    gc.collect()
    import hilwire_link
    import hilwire_system

    buses = None
    if sys.platform == "microbit":
        import hilwire_microbit as port
    else:
        import hilwire_machine as port

        try:
            from hilwire_buses import Buses

            buses = Buses(pins or {})
        except ImportError:  # no module machine, or none of its buses
            buses = None
    gc.collect()
    board = hilwire_system.Board(port.Who(), buses, build)
    micropython.kbd_intr(-1)  # 3 is an octet like any other
    try:
        hilwire_link.Link(port.Line(), board).run()
    except SystemExit:
        gc.collect()
    finally:
        micropython.kbd_intr(3)
