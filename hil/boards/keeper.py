"""Runs a program that ends when whoever wants it does: a script, started with a pipe as its input.

``python keeper.py FDS PROGRAM ARGUMENTS...``: the program gets the descriptors FDS (``4,6``), which
are closed here, so that what is at their other ends sees it end. It is killed when standard input
ends, which no way to die can prevent, and is waited for.
"""

from __future__ import annotations

import os
import select
import signal
import sys


def main(words: list[str]) -> int:
    """Keep ``words[1:]`` until it ends or standard input does; return 0."""
    fds, command = words[0], words[1:]
    quiet = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
    for fd in fds.split(","):
        os.close(int(fd))
    ended = os.pidfd_open(pid)
    if ended not in select.select([0, ended], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
