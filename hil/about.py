"""What a capture says of the run that it holds: enough to fly the same again from it alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hil.board import Board
from hil.faults.plan import Plan
from hil.faults.rows import as_rows
from hil.missions.mission import Mission
from hil.options import Options
from hil.provenance import installation

#: attached files
BOARD, MISSION, FAULTS = "board.toml", "mission.toml", "faults.json"
#: the table that a run adds when it has ended
END = "flatsat.end"
#: and what is in it, each value as JSON
END_FACTS = ("digest", "records", "wall_s", "virtual_s", "repeatable", "exit_code")


class Keeper(Protocol):
    """Where a run keeps such things: a capture that is being written."""

    def add_attachment(self, name: str, media_type: str, data: bytes) -> None:
        """Store a file."""

    def add_metadata(self, name: str, pairs: Mapping[str, str]) -> None:
        """Store a named table of strings."""


def about(
    options: Options, board: Board, mission: Mission, program: Sequence[str] = ()
) -> dict[str, str]:
    """Return the table ``flatsat`` of a capture; ``program`` is a foreign one, with its words."""
    return {
        **installation(),
        "board": board.name,
        "mission": mission.id,
        "seed": str(options.seed),
        "inference": options.inference,
        "options": json.dumps(options.as_json(), sort_keys=True),
        "command": f"{options.command()} -- {shlex.join(program)}"
        if program
        else options.command(),
        **({"program": json.dumps(list(program))} if program else {}),
    }


def attach(keeper: Keeper, board: Board, mission: Mission, plan: Plan) -> None:
    """Store board file, mission profile and fault plan as they were flown."""
    keeper.add_attachment(BOARD, "application/toml", board.source.encode())
    keeper.add_attachment(MISSION, "application/toml", mission.source.encode())
    if rows := as_rows(plan):
        text = json.dumps(rows, sort_keys=True, indent=1)
        keeper.add_attachment(FAULTS, "application/json", text.encode())


def note_end(keeper: Keeper, **facts: Any) -> None:
    """Store what is known only when a run is over: digest, records, wall seconds."""
    assert set(facts) <= set(END_FACTS), "who reads a capture knows these by name"
    keeper.add_metadata(END, {name: json.dumps(value) for name, value in facts.items()})
