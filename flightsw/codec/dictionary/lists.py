"""Lists that the services take as octets, spelt out for whoever decodes, documents or exports them.

On board a schedule keeps whole packets, and a parameter is looked up by its id before its value is
read; both cut their octets themselves. Here the same octets are declared to the last field, so that
a layout makes columns of them. Keys are (service, subtype), as in :mod:`.commands`.
"""

from __future__ import annotations

from typing import Any

from construct import Bytes, Int8ub, Int16ub, PrefixedArray, Struct, Switch, this

from flightsw.codec.columns.declaration import field
from flightsw.codec.columns.time_field import cuc

from .commands import REQUEST_ID
from .housekeeping import POOL
from .parameters import PARAMETERS

#: One activity of the schedule: a release time and a whole telecommand packet.
ACTIVITY = Struct(
    field("release", cuc(4, 3, preamble=True), "ns", "release time"),
    *REQUEST_ID.subcons,
    field("length", Int16ub, "octet", "octets behind this field less one"),
    field("data", Bytes(this.length + 1), "", "secondary header, arguments, error control"),
)
_ACTIVITIES = Struct(field("activities", PrefixedArray(Int8ub, ACTIVITY), "", "in wire order"))

_KINDS: dict[int, Any] = {p.id: p.kind for p in PARAMETERS} | {
    number: subcon.subcon for number, (_, subcon) in POOL.items()
}
#: One parameter: its id, and a value of the width that this id has.
PARAMETER_ROW = Struct(
    field("id", Int16ub, "", "parameter id"),
    field("value", Switch(this.id, _KINDS), "", "as the parameter is declared"),
)
_ROWS = Struct(field("rows", PrefixedArray(Int8ub, PARAMETER_ROW), "", "in wire order"))

LISTS: dict[tuple[int, int], Any] = {
    (11, 4): _ACTIVITIES,
    (11, 10): _ACTIVITIES,
    (20, 2): _ROWS,
    (20, 3): _ROWS,
}
