"""The ``hil`` command: a table of verbs, each imported only when it is asked for."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from hil import __version__

#: verb -> (module with ``main(argv) -> int``, what it does)
VERBS = {
    "run": ("hil.cli.run", "fly a mission against the emulated bench and judge it"),
    "serve": (
        "hil.cli.serve",
        "fly with flight software that comes from another machine",
    ),
    "init": ("hil.cli.init", "write a small project of your own whose tests pass at once"),
    "replay": ("hil.cli.replay", "a recorded run once more: identical, or where it parts"),
    "diff": ("hil.cli.diff", "two recorded runs: the same, or what differs first and how often"),
    "pack": ("hil.cli.pack", "a run as one file that replays elsewhere"),
    "import": ("hil.cli.import_", "make a capture of what other tools recorded"),
    "codec": ("hil.cli.codec", "decode a file of bits, frames or packets"),
    "bench": ("hil.cli.bench", "measure this machine: our figure, its floor and its peers"),
    "checkout": ("hil.cli.checkout", "talk to one part, emulated or real, from its register map"),
    "bisect": ("hil.cli.bisect", "the first seed that fails, the smallest fault plan that does"),
    "boards": ("hil.cli.boards", "real dev boards on serial lines: find, check, flash, swap"),
    "recover": ("hil.cli.recover", "a whole capture of what a crash or an accident has left"),
    "tap": ("hil.cli.tap", "packets of a run while it flies, for Wireshark, or as lines"),
    "export": ("hil.cli.export", "a capture for other tools: pcapng, candump, VCD, CSV, Parquet"),
    "snapshot": ("hil.cli.snapshot", "keep the whole state of a run, and go to any record of it"),
    "devices": ("hil.cli.devices", "the device table of a board, to fly without a bench"),
    "keys": ("hil.cli.keys", "the keys of a bench on tcp, and which clients may connect"),
    "service": ("hil.cli.service", "a bench or a stand-in payload as a service of systemd"),
    "doctor": ("hil.cli.doctor", "check what this host lacks, with the command that mends it"),
}

INTERRUPTED = 130
NOT_FIT = 3
#: modules of ours that an installation builds
BUILT = "flightsw.codec._codec"
#: What ends a job from outside; 128 and the number of the signal is the exit code, as in a shell.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked the process to stop: everything is closed and removed as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number


def usage() -> str:
    """Return the text of ``hil --help``."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items())
    return f"""usage: hil VERB [options]

  hil run                 fly one orbit of BUPT-1 with the default board
  hil run --json          the same, with one JSON object on stdout
  hil run -- CMD ARGS     an unmodified program on the emulated buses
  hil codec CHANNEL FILE  what a recorded pass holds
  hil doctor              is this host fit?

verbs:
{verbs}

`hil VERB --help` lists the options of a verb. `hil --version [--json]` names the build.
Exit codes: 0 good, 1 checked and failed, 2 usage, 3 host not fit, 4 participant lost,
130 interrupted, 143 terminated.
"""


def version(as_json: bool) -> str:
    """Return the version, as text or as a JSON object with the build's facts."""
    if not as_json:
        return f"hil {__version__}"
    from hil.build import as_json as build

    return build()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in {"-h", "--help", "help"}:
        return guarded("", lambda: say(usage().rstrip("\n")))
    verb, rest = args[0], args[1:]
    if verb == "--version":
        return guarded("", lambda: say(version("--json" in rest)))
    if verb not in VERBS:
        import difflib  # it takes longer than all else of `hil --help`

        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean `hil {near[0]}`?" if near else "; `hil --help` lists the verbs"
        print(f"hil: no verb {verb!r}{hint}", file=sys.stderr)
        return 2
    return guarded(verb, lambda: run_verb(verb, rest))


def say(text: str) -> int:
    """Print a text; return the exit code for having done so."""
    print(text)
    return 0


def run_verb(verb: str, rest: Sequence[str]) -> int:
    """Import and run ``verb``; return its exit code."""
    module = importlib.import_module(VERBS[verb][0])
    return int(module.main(list(rest)))


def guarded(verb: str, work: Callable[[], int]) -> int:
    """Do the work; turn our own errors, and those of the output, into one line and exit code."""
    from flightsw.codec.errors import FlatsatError

    name = f"hil {verb}".rstrip()
    try:
        with stop_signals():
            code = work()
            if sys.stdout is not None:  # None: it was closed when we started
                sys.stdout.flush()
            return code
    except FlatsatError as error:
        from hil.config import visible  # what a file or a board says may be in it

        lines = str(error).split("\n")
        print("\n".join(map(visible, [f"{name}: {lines[0]}", *lines[1:]])), file=sys.stderr)
        return error.exit_code
    except Stopped as stop:
        print(f"{name}: stopped by {stop.name}", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        missing = not_installed(error.name or "")
        if not missing:
            raise
        print(
            f"{name}: {missing} is not installed; run `pip install -e .` where the sources lie, "
            "and `hil doctor` to see what else this host lacks",
            file=sys.stderr,
        )
        return NOT_FIT
    except BrokenPipeError:
        discard_stdout()
        return 128 + signal.SIGPIPE
    except OSError as error:
        discard_stdout()
        print(f"{name}: {error}; {remedy(error)}", file=sys.stderr)
        return NOT_FIT


def remedy(error: OSError) -> str:
    """Return what to do about an error of the system that nobody else has explained."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return "make room, or choose another place"
    return "`hil doctor` says what this host lacks"


def not_installed(module: str) -> str:
    """Return what the installation lacks if a module is missing; nothing if it is one of ours."""
    package = module.partition(".")[0]
    if package not in ("hil", "flightsw"):
        return package and f"the Python package {package}"
    return f"the C codec {module}" if module.startswith(BUILT) else ""


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Raise :class:`Stopped` where a signal to stop comes; the second one ends us at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Stopped(number)

    for number, handler in before.items():
        if handler is signal.SIG_DFL:  # one that is ignored, as under nohup, stays so
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def discard_stdout() -> None:
    """Send what stdout still holds nowhere: its reader is gone, or its disk is full."""
    if sys.stdout is None:
        return
    with contextlib.suppress(OSError, ValueError):  # ValueError: no file behind it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
