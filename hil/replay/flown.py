"""A run that was recorded: opened from its run directory, its capture alone, or a packed file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hil.about import BOARD, END, END_FACTS, FAULTS, MISSION
from hil.board import Board, load_board, read_board
from hil.capture.capturefile import END_TABLE, WHOLE
from hil.capture.reader import Capture
from hil.capture.recover import RECOVERED_TABLE
from hil.closing import Closing
from hil.config import document, one_line
from hil.errors import CaptureError, ConfigError, UsageError
from hil.faults.plan import NOTHING, Plan
from hil.faults.rows import plan_of
from hil.missions import Mission
from hil.missions import load as load_mission
from hil.missions.loader import read as read_mission
from hil.options import Options, options_of
from hil.printable import printable
from hil.provenance import differences, installation
from hil.tapping import is_flying

CAPTURE, RUN = "capture.mcap", "run.json"
PARTIAL = ".partial"
PACKED = ".flatsat"
#: a packed run is unpacked into a folder of this name, in a private one
RUN_FOLDER = "run"
T = TypeVar("T")
#: a run.json beyond this is none
_JSON_LIMIT_NBYTES = 64 << 20
#: more than any count, and seconds beyond any run
_DIGITS, _SECONDS_LIMIT = 18, 1e9


@dataclass
class Flown(Closing):
    """A recorded run. A context manager: what was unpacked for it goes when it is closed."""

    #: what was given
    path: Path
    capture: Path
    #: the run directory, unpacked where it was packed; None: there is the capture alone
    folder: Path | None
    #: as it was flown, but for the fault plan, which is ``plan``
    options: Options
    board: Board
    mission: Mission
    plan: Plan
    #: a foreign program with its words; None: the flight software flew
    program: list[str] | None
    digest: str | None
    #: wall seconds that it took; None: it does not say
    wall_s: float | None
    #: virtual seconds that it took; None: it does not say
    virtual_s: float | None
    #: of a foreign program; None: it does not say
    exit_code: int | None
    #: facts of the installation that made it, see ``hil.provenance``
    made_by: dict[str, str]
    #: False: something real took part, or something outside stopped it
    repeatable: bool
    #: True: not recorded by a run of ours, but brought in from another tool's file
    imported: bool = False
    #: False: the run was cut off, the capture ends before it
    whole: bool = True
    #: records that the capture lacks, by topic: they came faster than they could be written
    lost: Mapping[str, int] = field(default_factory=dict)
    #: what is missing in the capture, and what stands in for it
    gaps: tuple[str, ...] = ()
    run: dict[str, Any] = field(default_factory=dict)
    home: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Remove what was unpacked."""
        self.home.close()

    def command(self, given: Sequence[str]) -> list[str]:
        """Return the words of the program to run: ``given``, or those that were recorded.

        A file may come from anywhere, and what it names could be anything: there only ``given`` is
        run. Raises ``UsageError`` where nothing is.
        """
        if given or self.program is None or self.path.is_dir():
            return list(given) or self.program or []
        words = one_line(shlex.join(self.program))
        raise UsageError(
            f"{self.path}: a program that a file names is not run by itself; to run it, name it: "
            f"hil replay {self.path} -- {words}"
        )

    def differences(self) -> list[str]:
        """Return what differs here from where it was recorded, a line each."""
        found = differences(self.made_by, installation())
        return found + list(map(printable, _other_files(self)))


def flown(path: Path) -> Flown:
    """Open a run directory, a ``capture.mcap`` or a ``.flatsat`` file.

    Raises :class:`~hil.errors.CaptureError` or ``ConfigError`` for what cannot be used.
    """
    with ExitStack() as home:
        where = path
        if path.is_file() and path.suffix == PACKED:
            where = _unpacked(path, home)
        run, capture = _find(where)
        found = _open(path, run, capture)
        found.home = home.pop_all()
        return found


def _unpacked(path: Path, home: ExitStack) -> Path:
    """Return a private folder with what a packed run holds; it goes with ``home``."""
    # Only now: most runs are not packed.
    import tempfile

    from hil.replay.packed import Packed

    folder = home.enter_context(tempfile.TemporaryDirectory(prefix="flatsat-"))
    with Packed(path) as packed:
        packed.extract(Path(folder) / RUN_FOLDER)
    return Path(folder) / RUN_FOLDER


def _find(path: Path) -> tuple[Path | None, Path]:
    """Return the run directory, if it is one, and the capture."""
    if not path.exists():
        raise UsageError(f"{path}: {_missing(path)}")
    if not path.is_dir():
        return None, path
    for name in (CAPTURE, CAPTURE + PARTIAL):
        if (path / name).is_file():
            return path, path / name
    raise UsageError(f"{path}: holds no {CAPTURE}; give the directory of a run")


def _missing(path: Path) -> str:
    """Say what to give in place of a run that is not there: it may not have ended."""
    begun = path.parent / (path.name + PARTIAL)
    if not begun.is_dir():
        return "is not there; give a run directory, a capture or a packed run"
    if is_flying(begun):
        return f"the run still flies; what it has recorded so far is in {begun}"
    return f"the run came to no end; what it has left is in {begun}"


def _run_json(run: Path | None) -> dict[str, Any]:
    """Return what ``run.json`` says; empty where there is none, as in a run that was cut off."""
    file = None if run is None else run / RUN
    if file is None or not file.is_file():
        return {}
    try:
        if file.stat().st_size > _JSON_LIMIT_NBYTES:
            raise ValueError(f"has more than {_JSON_LIMIT_NBYTES} octets")
        found = json.loads(file.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("is no object")
    except (OSError, ValueError, RecursionError) as wrong:
        raise CaptureError(f"{file}: cannot be used: {wrong}") from None
    return found


def _open(path: Path, folder: Path | None, file: Path) -> Flown:
    """Read what the capture says of its run."""
    gaps: list[str] = []
    run = _run_json(folder)
    with Capture(file, tolerant=file.name.endswith(PARTIAL)) as capture:
        facts = capture.metadata.get("flatsat", {})
        end = _end(capture.metadata.get(END, {})) | {
            key: run[key] for key in END_FACTS if key in run
        }

        def attached(name: str) -> str | None:
            return capture.attachment(name).decode() if name in capture.attachments else None

        try:
            options = _options(facts, run, f"{file}: options", gaps)
            board = _file(attached(BOARD), file, BOARD, read_board, gaps)
            mission = _file(attached(MISSION), file, MISSION, read_mission, gaps)
            plan = _plan(attached(FAULTS), f"{file}: {FAULTS}")
            program = json.loads(facts["program"]) if "program" in facts else None
        except (ValueError, RecursionError) as wrong:
            raise CaptureError(f"{file}: what it says of its run is damaged: {wrong}") from None
        if program is not None and not _is_words(program):
            raise CaptureError(f"{file}: the program that it names is no list of words")
        recording = capture.metadata.get(END_TABLE, {})
        is_cut = recording.get("ended", WHOLE) != WHOLE or RECOVERED_TABLE in capture.metadata
        whole = capture.damage is None and not is_cut
    imported = "imported" in facts
    return Flown(
        path=path,
        capture=file,
        folder=folder,
        options=options,
        board=board or load_board(options.board),
        mission=mission or load_mission(options.mission),
        plan=plan,
        program=program,
        digest=end["digest"] if isinstance(end.get("digest"), str) else None,
        wall_s=float(end["wall_s"]) if _is_seconds(end.get("wall_s")) else None,
        virtual_s=float(end["virtual_s"]) if _is_seconds(end.get("virtual_s")) else None,
        exit_code=end["exit_code"] if isinstance(end.get("exit_code"), int) else None,
        made_by=dict(facts),
        repeatable=end.get("repeatable", True) is True and not (options.bind or options.front),
        imported=imported,
        whole=whole,
        lost=_lost(recording),
        gaps=() if imported else tuple(gaps),
        run=run,
    )


def _end(table: Mapping[str, str]) -> dict[str, Any]:
    """Return what was noted at the end of the run."""
    try:
        return {name: json.loads(table[name]) for name in END_FACTS if name in table}
    except (ValueError, RecursionError):
        return {}


def _lost(table: Mapping[str, str]) -> dict[str, int]:
    """Return how many records of each topic are missing, as the recorder has noted it."""
    counts = {name.removeprefix("lost "): n for name, n in table.items() if name[:5] == "lost "}
    return {topic: int(count) for topic, count in counts.items() if _is_count(count)}


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def _is_seconds(value: object) -> bool:
    """Tell whether a value is a time that a run can take."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= _SECONDS_LIMIT


def _is_words(value: object) -> bool:
    words = value if isinstance(value, list) else []
    return bool(words) and all(isinstance(word, str) and "\0" not in word for word in words)


def _options(
    facts: Mapping[str, str], run: Mapping[str, Any], place: str, gaps: list[str]
) -> Options:
    """Return the options that it was flown with."""
    if "options" in facts:
        kept = json.loads(facts["options"])
        if not isinstance(kept, dict):
            raise CaptureError(f"{place}: must be an object")
        return options_of(kept, place)
    if "imported" not in facts:
        gaps.append("the capture does not hold its options: seed and duration as far as known")
    known = Options()
    seed = facts.get("seed", "")
    if _is_count(seed):
        known = replace(known, seed=int(seed))
    if facts.get("inference") in ("onnx", "threshold"):
        known = replace(known, inference=facts["inference"])
    if _is_seconds(run.get("virtual_s")):
        known = replace(known, duration_s=float(run["virtual_s"]))
    return known


def _file(
    text: str | None, file: Path, name: str, read: Callable[[Any], T], gaps: list[str]
) -> T | None:
    """Return an attached file as it is read; None, and a gap noted, where there is none."""
    if text is None:
        gaps.append(f"the capture does not hold its {name}: that of this installation is taken")
        return None
    # Without the folder: what flies here must not depend on where its capture lies.
    return read(document(text, Path(f"{file.name}:{name}")))


def _plan(text: str | None, place: str) -> Plan:
    return NOTHING if text is None else plan_of(json.loads(text), place)


def _other_files(flown: Flown) -> list[str]:
    """Return which of board file and mission profile differ from those that were named."""
    found = []
    kept: list[tuple[str, str, str, Callable[[str], Any]]] = [
        ("board", flown.options.board, flown.board.source, load_board),
        ("mission", flown.options.mission, flown.mission.source, load_mission),
    ]
    for what, name, source, load in kept:
        named = _named(flown, what, name)
        if named.endswith(".toml") and not Path(named).exists():
            continue  # it lay where it was recorded
        try:
            here = load(named).source
        except ConfigError:
            found.append(f"{what} {named} is not there or not valid; the recorded one is taken")
            continue
        if here != source:
            found.append(f"{what} {named} is another now; the recorded one is taken")
    return found


def _named(flown: Flown, what: str, name: str) -> str:
    """Return what the command that flew it called board or mission: a name, or a path."""
    try:
        words = shlex.split(flown.made_by.get("command", ""))
    except ValueError:
        return name
    at = words.index(f"--{what}") + 1 if f"--{what}" in words else len(words)
    return words[at] if at < len(words) and Path(words[at]).name == name else name
