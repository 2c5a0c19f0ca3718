"""The names that board files and mission profiles use of the flight software.

The bench may not look into the flight software, and yet must tell a user of a misprint where it
stands. These are the names alone; what stands behind them is the flight software's own, and a test
holds the two together.
"""

from __future__ import annotations

from .enums import Role
from .parameters import PARAMETERS

#: ``role`` of a part: its place in the payload computer
ROLE_NAMES: tuple[str, ...] = tuple(role.name.lower() for role in Role)
#: ``driver`` of a part: the keys of ``flightsw.drivers.DRIVERS``
DRIVER_NAMES: tuple[str, ...] = (
    "ina3221",
    "tmp117",
    "lm75",
    "lsm6dsox",
    "w25q",
    "gnss",
    "ublox",
    "eps",
    "watchdog",
    "ttc",
    "imager",
)
#: keys of ``[flight]``: those of ``flightsw.config.KEYS``, and the on-board parameters
CONFIG_NAMES: tuple[str, ...] = (
    "scid",
    "apid",
    "downlink_bps",
    "pass_budget_octets",
    "model_class",
    "inference",
    "store_max_packets",
    "product_max_octets",
    "jobs_max_open",
    "jobs_max_kept",
    "plan_max_entries",
    "epoch_unix_s",
    "fsync",
    "computer",
    "thermal",
    "providers",
)
FLIGHT_KEYS: tuple[str, ...] = (*CONFIG_NAMES, *(parameter.name for parameter in PARAMETERS))
