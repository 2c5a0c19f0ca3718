"""The device table of a board: what flight software needs to know to fly without a bench."""

from __future__ import annotations

import json
from typing import Any

from hil.board import Board
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.fitting import flight_config, part_overrides
from hil.missions.mission import Mission
from hil.time.kernel import Kernel
from hil.wiring import Wiring

FORMAT = 1
#: what a channel is told of that changes, or is the bench's
_NOT_TOLD = ("errno", "index", "levels")


def device_table(board: Board, mission: Mission, inference: str = "onnx") -> dict[str, Any]:
    """Return the table: buses with their settings, parts with role and driver, configuration."""
    exchange = Exchange(Kernel(), RecordStream())
    Wiring(board, exchange, 0, part_overrides(mission))
    channels = [lane.describe() for lane in exchange.lanes.values()]
    return {
        "format": FORMAT,
        "rig": mission.id,
        "board": board.name,
        "channels": [
            {key: value for key, value in sorted(row.items()) if key not in _NOT_TOLD}
            for row in channels
        ],
        "devices": board.devices(),
        "config": flight_config(mission, inference),
    }


def as_text(table: dict[str, Any]) -> str:
    """Return the table as JSON that a person can read and change: a row a line."""
    lines = []
    for key, value in table.items():
        if isinstance(value, list):
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value)
            lines.append(f"{json.dumps(key)}: [\n{rows}\n ]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{" + ",\n ".join(lines) + "}\n"
