"""``hil boards cable``: a serial line between a tty and a program, with everything that goes wrong
on real ones."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tty

from hil.errors import HostError

EXAMPLES = """examples:
  hil boards cable --link /tmp/ttyBOARD --baud 115200 --garble 0.01 --seed 3 -- CMD ARGS
  hil boards cable --baud 9600                     between two ports of its own

CMD gets the far end as its standard input and output, or as descriptor {fd} if a word has that:
`-- qemu-system-arm ... -chardev socket,id=c0,fd={fd} -serial chardev:c0`.
On standard input, and as signals: unplug (SIGUSR1), replug (SIGUSR2); `help` lists the rest.
Exit code: that of CMD, 0 after Ctrl-C or `quit`."""


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil boards cable``."""
    from hil.cli.boards.plugoptions import add_plug_options

    p = argparse.ArgumentParser(
        prog="hil boards cable",
        usage="hil boards cable [options] [-- CMD ARGS]",
        description="A virtual serial cable: a tty here, a program or another tty at its far end; "
        "line rate, damage, unplugging, all from a seed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_plug_options(p)
    return p


def main(argv: list[str]) -> int:
    """Keep the cable until the program ends or nobody wants it any more."""
    at = argv.index("--") if "--" in argv else len(argv)
    args, words = parser().parse_args(argv[:at]), argv[at + 1 :]
    from hil.boards.cable import Cable
    from hil.boards.plugside import PlugSide, Show, counts
    from hil.cli.boards.plugoptions import port_info, trouble

    show = Show(args.link, port_info(args))
    line = trouble(args)
    end, far = far_end(words)
    with Cable(end, args.baud, args.seed, line).start() as cable:
        side = PlugSide(cable, show, lambda text: print(text, flush=True), lambda: cable)
        try:
            print(f"far end {far.name}", flush=True)
            side.run(far.ended)
        except KeyboardInterrupt as stop:
            if type(stop) is not KeyboardInterrupt:
                raise
        finally:
            show.off()
            far.close()
            print(counts(side.counters), file=sys.stderr)
    return far.exit_code


class Far:
    """The far end: a program, or a tty."""

    name = ""
    ended: int | None = None
    exit_code = 0

    def close(self) -> None:
        """End it."""


class FarTty(Far):
    """Another tty. It stays open here, so that it is no end of the line when nobody has it."""

    def __init__(self, slave: int) -> None:
        self.name = os.ttyname(slave)
        self._slave = slave

    def close(self) -> None:
        os.close(self._slave)


class FarProgram(Far):
    """A program with the end of a socket pair."""

    def __init__(self, words: list[str], end: socket.socket) -> None:
        fd = end.fileno()
        named = any("{fd}" in word for word in words)
        words = [word.replace("{fd}", str(fd)) for word in words]
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL if named else fd,
                stdout=None if named else fd,
                pass_fds=(fd,) if named else (),
            )
        except OSError as error:
            raise HostError(f"{words[0]} cannot be run: {error.strerror}") from None
        self.name = f"{words[0]} ({self._process.pid})"
        self.ended = os.pidfd_open(self._process.pid)

    def close(self) -> None:
        from hil.boards.ending import end

        code = self._process.poll()
        if code is None:
            end(self._process)
        elif code:
            self.exit_code = code if code > 0 else 128 - code
        if self.ended is not None:
            os.close(self.ended)


def far_end(words: list[str]) -> tuple[int | socket.socket, Far]:
    """Return the cable's end, and what is at the other one. Raises HostError."""
    if not words:
        master, slave = os.openpty()
        tty.setraw(slave)
        return master, FarTty(slave)
    ours, theirs = socket.socketpair()
    with theirs:
        return ours, FarProgram(words, theirs)
