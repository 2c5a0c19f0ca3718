"""The threads of a program and of all that it has started, and whether any of them can run.

A thread that waits for another one, for a child or for a pipe tells nobody; the kernel of the host
knows. Threads are found by their numbers: the kernel gives them out in turn, and
``/proc/loadavg`` ends in the last one, so only numbers that are new need be looked at.

*Key* of a thread: the place of its process among the children of each of its ancestors, then its
own place among the threads, each in order of creation. It does not depend on what else the host
does, nor on who is quick.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import time
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

_STATUS = re.compile(
    rb"State:\s+(\w).*?\nTgid:\s+(\d+)\n.*?PPid:\s+(\d+)\n.*?"
    rb"\nvoluntary_ctxt_switches:\s+(\d+)\nnonvoluntary_ctxt_switches:\s+(\d+)",
    re.DOTALL,
)
#: What a thread in the middle of its birth may take to appear.
_BIRTH_S = 0.05
#: What is ended has so long to end by itself, and is looked after this often, seconds.
_GRACE_S, _LOOK_S = 0.5, 1e-3
#: Numbers from which on the kernel starts again.
_RESERVED = 300
#: prctl(2), PR_SET_CHILD_SUBREAPER
_SET_CHILD_SUBREAPER = 36
#: States of a thread that will not run by itself: asleep, and gone.
ASLEEP, _GONE = b"S", b"ZX"

Key = tuple[tuple[int, ...], int]


class Task:
    """One thread."""

    __slots__ = ("fd", "key", "pid", "tid")

    def __init__(self, tid: int, pid: int, key: Key) -> None:
        self.tid = tid
        self.pid = pid
        self.key = key
        self.fd = os.open(f"/proc/{pid}/task/{tid}/status", os.O_RDONLY | os.O_CLOEXEC)

    def look(self) -> tuple[bytes, int]:
        """Return its state and how often it has run; (b"", 0): it is gone."""
        try:
            found = _STATUS.search(os.pread(self.fd, 4096, 0))
        except OSError:  # it has gone, or was let go of already
            return b"", 0
        return (found[1], int(found[4]) + int(found[5])) if found else (b"", 0)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)


class ProcessTree:
    """A program, its children and theirs, as far as they live. Close it."""

    def __init__(self, root: int, adopts: bool = False) -> None:
        """``root``: the program; ``adopts``: what loses its parent becomes a child of ours."""
        self._adopts = os.getpid() if adopts else -1
        self.tasks: dict[int, Task] = {}
        self._paths: dict[int, tuple[int, ...]] = {}
        self._children: dict[tuple[int, ...], int] = {}
        self._threads: dict[int, int] = {}
        self._unborn: dict[int, float] = {}
        with contextlib.suppress(OSError):
            self._most = int(Path("/proc/sys/kernel/pid_max").read_text())
        self._loadavg = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        self._last = self._newest()
        self._add_process(root, ())
        self._add_children()

    def close(self) -> None:
        """Let go of every thread."""
        for task in self.tasks.values():
            task.close()
        self.tasks.clear()
        os.close(self._loadavg)

    def key(self, tid: int) -> Key | None:
        """Return the key of a thread; None: it is none of ours."""
        if tid not in self.tasks:
            self.refresh()
        task = self.tasks.get(tid)
        return None if task is None else task.key

    def pids(self) -> list[int]:
        """Return the processes that live, in order of their discovery."""
        self.refresh()
        return list(dict.fromkeys(task.pid for task in self.tasks.values()))

    def take(self, variable: str) -> None:
        """Take in who was started with ``variable`` ("NAME=value") and all that they have started.

        So what has lost its parent is found, too, if it belongs to this user.
        """
        for pid in _numbers_in(Path("/proc")):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if variable.encode() in words and pid not in self._paths:
                    self._add_process(pid, ())
        self._add_children()

    def _add_children(self) -> None:
        everyone = _numbers_in(Path("/proc"))
        for _ in everyone:  # until no process has a parent that was found only now
            if not [pid for pid in everyone if self._consider(pid)]:
                break

    def end(self) -> None:
        """End what lives: SIGTERM, and after ``_GRACE_S`` of the wall SIGKILL."""
        until_s = time.monotonic() + _GRACE_S
        number = signal.SIGTERM
        asked: set[int] = set()
        while living := [pid for pid in self.pids() if not self._reap(pid)]:
            if time.monotonic() > until_s:
                number = signal.SIGKILL
                asked.clear()
            for pid in living:
                if pid not in asked:
                    asked.add(pid)
                    with contextlib.suppress(OSError):
                        os.kill(pid, number)
            time.sleep(_LOOK_S)

    def _reap(self, pid: int) -> bool:
        """Tell whether a process has ended; a child of ours is then let go of."""
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)
        mine = [task for task in self.tasks.values() if task.pid == pid]
        for task in mine:
            state, _ = task.look()
            if not state or state in _GONE:
                self._remove(task)
        return not any(task.tid in self.tasks for task in mine)

    # --- who there is --------------------------------------------------------------------------

    def _newest(self) -> int:
        return int(os.pread(self._loadavg, 128, 0).rsplit(None, 1)[-1])

    def refresh(self) -> bool:
        """Look for new threads; tell whether there are any."""
        newest = self._newest()
        if newest == self._last and not self._unborn:
            return False
        found = False
        for number in self._numbers(newest):
            found |= self._consider(number)
        self._last = newest
        return found

    def _numbers(self, newest: int) -> Iterator[int]:
        """Give the numbers that may be new, in the order in which they were given out."""
        now_s = time.monotonic()
        for number, since_s in list(self._unborn.items()):
            if now_s - since_s > _BIRTH_S:
                del self._unborn[number]
            yield number
        if newest >= self._last:
            yield from range(self._last + 1, newest + 1)
        else:
            yield from range(self._last + 1, self._most + 1)
            yield from range(_RESERVED, newest + 1)

    def _consider(self, number: int) -> bool:
        """Take a thread in if it is one of ours; tell whether it is."""
        if number in self.tasks:
            return False
        try:
            found = _STATUS.search(Path(f"/proc/{number}/status").read_bytes())
        except OSError:
            found = None
        if found is None:
            self._unborn.setdefault(number, time.monotonic())
            return False
        self._unborn.pop(number, None)
        pid, parent = int(found[2]), int(found[3])
        if pid in self._paths:
            return self._add_thread(number, pid)
        if parent == self._adopts != pid:
            return self._add_process(pid, ())  # an orphan that came to us
        return parent in self._paths and self._add_process(pid, self._paths[parent])

    def _add_process(self, pid: int, above: tuple[int, ...]) -> bool:
        self._children[above] = place = self._children.get(above, 0) + 1
        self._paths[pid] = (*above, place)
        try:
            threads = _numbers_in(Path(f"/proc/{pid}/task"))
        except OSError:
            return False
        added = [self._add_thread(tid, pid) for tid in threads]
        return any(added)

    def _add_thread(self, tid: int, pid: int) -> bool:
        if tid in self.tasks:
            return False
        self._threads[pid] = place = self._threads.get(pid, 0) + 1
        try:
            self.tasks[tid] = Task(tid, pid, (self._paths[pid], place))
        except OSError:
            return False
        return True

    def _remove(self, task: Task) -> None:
        if self.tasks.pop(task.tid, None) is None:
            return
        task.close()
        if not any(other.pid == task.pid for other in self.tasks.values()):
            self._paths.pop(task.pid, None)
            self._threads.pop(task.pid, None)

    # --- who can run ---------------------------------------------------------------------------

    def at_rest(
        self, waiting: Container[int], hearing: Container[int] = frozenset()
    ) -> bool | None:
        """Tell whether no thread can run until the bench does something.

        ``waiting``: threads that have said what they wait for, ``hearing``: those of them that may
        also be woken otherwise. Other threads may wake all of them, if only by a signal. None: it
        rests, but some wait for what the bench does not know of.
        """
        self.refresh()
        tasks = list(self.tasks.values())
        if len(tasks) == 1 and tasks[0].tid in waiting and tasks[0].tid not in hearing:
            return True
        first = self._look(tasks, waiting)
        if first is None or self.refresh() or self._look(tasks, waiting) != first:
            return False
        return None if first else True

    def _look(self, tasks: Iterable[Task], waiting: Container[int]) -> dict[int, int] | None:
        """Return how often each thread that waits unseen has run; None: one can run."""
        runs: dict[int, int] = {}
        for task in tasks:
            state, count = task.look()
            if not state:
                self._remove(task)
            elif state in _GONE:
                continue
            elif state != ASLEEP:
                return None
            elif task.tid not in waiting:
                runs[task.tid] = count
        return runs


def _numbers_in(folder: Path) -> list[int]:
    """Return the names in a folder of /proc that are numbers, in order."""
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def adopt_orphans(wanted: bool) -> bool:
    """Let what loses its parent become a child of this process, or no longer; tell whether so."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0) == 0)
