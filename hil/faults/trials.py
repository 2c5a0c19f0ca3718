"""Flying the same run again and again with another plan or seed, several at once, and judging it.

Each trial is a process of its own: one that crashes is a result and no accident. Trials go side by
side, but what is answered depends on their order alone, never on which was faster.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from hil.closing import Closing
from hil.errors import HilError, HostError, UsageError

#: What ``hil run`` leaves with when a participant was lost.
LOST = 4
#: Exit codes of ``hil run`` that say that no trial of this sort can be flown: usage, host.
HOPELESS: dict[int, type[HilError]] = {2: UsageError, 3: HostError}
#: How long a run may go on after SIGTERM, seconds of the wall.
GRACE_S = 5.0
#: A check behind ``sh -c`` finds the run directory in its first argument.
CHECK_SHELL = ("/bin/sh", "-c")


class Case(NamedTuple):
    """One run to be tried."""

    seed: int
    #: text of its fault plan
    plan: str


class Trial(NamedTuple):
    """What a run came to, as marks: ``verdict``, ``condition:NAME``, ``event:NAME``, ``lost``,
    ``exit:CODE`` of a program, ``check``."""

    marks: frozenset[str]
    #: the figures of the conditions that failed, for people
    why: tuple[str, ...] = ()


@dataclass
class _Running:
    """A process under way, and where what it says goes."""

    index: int
    process: subprocess.Popen[bytes]
    pidfd: int
    folder: Path
    files: tuple[IO[bytes], IO[bytes]]


class Trials(Closing):
    """Flies cases; a context manager, which ends what still runs and removes what they left.

    ``run`` are the words of ``hil run`` without seed, plan and output, ``program`` what stands
    behind ``--``. ``check`` is a command of the shell that gets the run directory as ``$1`` and
    whose exit code, if it is not 0, gives the mark ``check``.
    """

    def __init__(
        self,
        run: Sequence[str],
        program: Sequence[str] = (),
        check: str = "",
        jobs: int = 1,
        tell: Callable[[int], None] = lambda flown: None,
    ) -> None:
        self.run = list(run)
        self.program = list(program)
        self.check = check
        self.jobs = max(1, jobs)
        #: number of runs flown so far; what was known already is not flown again
        self.flown = 0
        self.tell = tell
        self._known: dict[Case, Trial] = {}
        self._home = Path(tempfile.mkdtemp(prefix="hil-bisect-"))
        self._running: list[_Running] = []

    def close(self) -> None:
        """End what still runs and remove what the trials left."""
        self._abandon()
        shutil.rmtree(self._home, ignore_errors=True)

    def one(self, case: Case) -> Trial:
        """Fly one case."""
        self.first([case], lambda trial: True)
        return self._known[case]

    def first(self, cases: Sequence[Case], wanted: Callable[[Trial], bool]) -> int | None:
        """Return the index of the first case whose trial is wanted; None if there is none.

        Raises :class:`~hil.errors.HilError` if the runs cannot be flown at all.
        """
        waiting = iter(range(len(cases)))
        for index, case in enumerate(cases):
            while case not in self._known:
                self._fill(cases, waiting)
                self._reap(cases)
            if wanted(self._known[case]):
                self._abandon()
                return index
        return None

    def _fill(self, cases: Sequence[Case], waiting: Iterator[int]) -> None:
        free = self.jobs - len(self._running)
        fresh = (index for index in waiting if cases[index] not in self._known)
        for index in islice(fresh, free) if free > 0 else ():
            self._start(index, cases[index])

    def _start(self, index: int, case: Case) -> None:
        folder = Path(tempfile.mkdtemp(dir=self._home))
        (folder / "faults.toml").write_text(case.plan)
        command = [
            sys.executable,
            "-m",
            "hil",
            "run",
            *self.run,
            "--no-pin",
            "--seed",
            str(case.seed),
        ]
        command += ["--faults", str(folder / "faults.toml"), "--out", str(folder / "run"), "-q"]
        command += ["--", *self.program] if self.program else ["--json"]
        files = (folder / "stdout").open("wb"), (folder / "stderr").open("wb")
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=files[0],
            stderr=files[1],
            process_group=0,
        )
        self._running.append(_Running(index, process, os.pidfd_open(process.pid), folder, files))

    def _reap(self, cases: Sequence[Case]) -> None:
        """Wait until one of those under way has ended, and take what it came to."""
        poll = select.poll()
        for one in self._running:
            poll.register(one.pidfd, select.POLLIN)
        ended = {fd for fd, _ in poll.poll()}
        for one in [one for one in self._running if one.pidfd in ended]:
            code = one.process.wait()
            self._running.remove(one)
            self._release(one)
            self.flown += 1
            self._known[cases[one.index]] = self._judge(one.folder, code)
            shutil.rmtree(one.folder)
            self.tell(self.flown)

    def _release(self, one: _Running) -> None:
        os.close(one.pidfd)
        for file in one.files:
            file.close()

    def _abandon(self) -> None:
        """End those that nobody waits for any more, with the programs that they have started."""
        for one in self._running:
            one.process.terminate()
        for one in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.process.wait(GRACE_S)
            # Who has not heard, or has not handed it on.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()
            self._release(one)
            shutil.rmtree(one.folder, ignore_errors=True)
        self._running.clear()

    # --- what a run came to --------------------------------------------------------------------

    def _judge(self, folder: Path, code: int) -> Trial:
        run_dir = folder / "run"
        said = (folder / "stderr").read_text(errors="replace").strip().splitlines() or ["no word"]
        if not run_dir.is_dir():
            if code in HOPELESS:
                raise HOPELESS[code](said[-1].removeprefix("hil run: "))
            name = "lost" if code == LOST else f"exit:{code}"
            return Trial(frozenset({"lost", name}), (said[-1],))
        marks = {f"event:{name}" for name in _events(run_dir)}
        why: list[str] = []
        if self.program:
            marks |= {f"exit:{code}"} | ({"exit"} if code else set())
            why += [f"{self.program[0]} ended with {code}"] if code else []
        else:
            told: dict[str, Any] = json.loads((folder / "stdout").read_text())
            failed = [c for c in told["conditions"] if not c["good"]]
            marks |= {f"condition:{c['name']}" for c in failed}
            marks |= {"verdict"} if told["verdict"] != "good" else set()
            why += [f"{c['name']}: {c['figure']}" for c in failed]
        if self.check:
            ended = subprocess.run(
                [*CHECK_SHELL, self.check, "check", str(run_dir)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            if ended.returncode:
                marks.add("check")
                lines = ended.stdout.decode(errors="replace").strip().splitlines()
                why.append(lines[-1] if lines else f"the check ended with {ended.returncode}")
        return Trial(frozenset(marks), tuple(why))


def _events(run_dir: Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError):
        for line in (run_dir / "events.jsonl").read_text().splitlines():
            if name := json.loads(line).get("name"):
                yield name
