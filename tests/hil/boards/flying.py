"""Short flights with boards, for tests: the flight software at the pace of the wall."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flightsw.codec.wire import Flag, Kind, Record, unpack_all
from hil.board import load_board
from hil.boards.binding import taking_part
from hil.boards.desk import Boards
from hil.missions import load as load_mission
from hil.options import Options
from hil.outcome import Outcome
from hil.rundir import RunDirectory
from hil.session import Session
from hil.time.phase import Phase

SECOND = 1_000_000_000
POWER = 0x40
#: Emulated boards of this computer; ``bench`` is the one that tests bind.
LAB = """schema = 1

[[instance]]
id = "bench"
type = "posix"
emulate = "posix"

[[instance]]
id = "other"
type = "posix"
emulate = "posix"
"""


class Flown:
    """A flight: what was done in it at which time, and its records."""

    def __init__(self, folder: Path, lab: str = LAB, **options: Any) -> None:
        (folder / "lab.toml").write_text(lab)
        given = {"transport": "direct", "duration_s": 4.0, "inference": "threshold"} | options
        self.options = Options(pace="real", lab=folder / "lab.toml", out=folder / "run", **given)
        self.folder = folder
        self._acts: list[tuple[float, Callable[[Boards], object]]] = []
        self.octets = bytearray()
        self.session: Session | None = None

    def at(self, t_s: float, act: Callable[[Boards], object]) -> None:
        """Have something done with the boards at a virtual time."""
        self._acts.append((t_s, act))

    def fly(self) -> Outcome:
        """Fly; the records are then in :meth:`records`."""
        options = self.options
        board, mission = load_board(options.board), load_mission(options.mission)
        assert options.out is not None
        with RunDirectory(options.out).open() as directory:
            taking = taking_part(options, board)
            self.session = session = Session(
                options, board, mission, directory, lambda view: None, taking
            )
            sink = session.rig.stream.sink

            def keep(octets: bytes) -> None:
                self.octets += octets
                if sink is not None:
                    sink(octets)

            session.rig.stream.sink = keep
            for t_s, act in self._acts:
                session.rig.kernel.at(round(t_s * SECOND), Phase.CHECK, 900, self._acting(act))
            return session.run()

    def _acting(self, act: Callable[[Boards], object]) -> Callable[[int], None]:
        def acting(t_ns: int) -> None:
            assert self.session is not None
            assert self.session.boards is not None
            act(self.session.boards)

        return acting

    def records(self) -> Iterator[Record]:
        """Return every record."""
        return unpack_all(bytes(self.octets))

    def power(self) -> list[tuple[float, int, bool]]:
        """Return (time, status, by a board) of each transaction with the power monitor."""
        return [
            (record.t_ns / SECOND, record.status, bool(record.flags & Flag.BOARD))
            for record in self.records()
            if record.kind == Kind.I2C and record.address == POWER
        ]

    def events(self, prefix: str = "BOARD_") -> list[dict[str, Any]]:
        """Return the events whose name begins so."""
        assert self.session is not None
        return [e for e in self.session.rig.events if str(e.get("name")).startswith(prefix)]
