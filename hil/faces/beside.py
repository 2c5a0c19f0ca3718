"""What a program sees and does beside the data on its buses, as records of the capture.

Reads and writes of live attributes, and the modem lines, rate and format of serial lines. Such
records are views: they are not part of the digest and take no number, so that a run which is looked
at more closely stays the same run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from flightsw.codec.wire import Flag, Kind

if TYPE_CHECKING:
    from hil.faces.host import Host
    from hil.transactions import Lane

#: (kind, channel, flags, status, t_ns, duration_ns, address, payload): keeps one record
Record = Callable[[int, int, int, int, int, int, int, bytes], object]
#: channel number of accesses to attributes, which belong to no bus
ATTRIBUTE_CHANNEL = 0xF3
_REPLY, _INPUT = int(Flag.REPLY), int(Flag.INPUT)


def record_beside(host: Host, record: Record) -> None:
    """Have ``record`` keep what the programs of a host do beside the data on their buses."""

    def accessed(path: str, wrote: bool, code: int, text: str, t_ns: int, done_ns: int) -> None:
        payload = _json({"errno": code, "path": path, "text": text})
        kind, took_ns = int(Kind.ATTRIBUTE), done_ns - t_ns
        record(kind, ATTRIBUTE_CHANNEL, _REPLY, 0, t_ns, took_ns, int(wrote), payload)

    host.attributes.told = accessed
    for lane in host.exchange.lanes.values():
        if lane.kind == "uart":
            changed = partial(_lines_changed, host, lane, record)
            lane.bus.after_lines.append(changed)
            lane.bus.after_setting.append(partial(changed, None, 0))


def _lines_changed(host: Host, lane: Lane, record: Record, t_ns: int | None, came: int) -> None:
    """Keep how a serial line is set; ``came``: its device moved a modem line."""
    bus = lane.bus
    now_ns = host.kernel.now_ns if t_ns is None else t_ns
    state = {**bus.modem, **bus.setting._asdict()}
    record(int(Kind.LINES), lane.index, _INPUT if came else 0, 0, now_ns, 0, 0, _json(state))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
