"""python-can on emulated buses: ``can.Bus(interface="hil", channel="can0")``.

Where the bus is:

- below ``hil run`` (``HIL_BENCH`` is set), on the bench: ``can0`` is the controller of the payload
  computer, shared by all who open it as a network interface is; ``can0:NAME`` is a node of its own
  on the same bus;
- otherwise in this process: each ``Bus`` is a node of its own on the emulated bus of its channel,
  which exists as long as one of them is open. ``:NAME`` names the node. :func:`emulated` gives the
  bus to tests, to attach parts and to plan faults.
"""

from hil.faces.python_can.bus import HilBus
from hil.faces.python_can.local import emulated

__all__ = ["HilBus", "emulated"]
