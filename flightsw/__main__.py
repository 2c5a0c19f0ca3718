"""``python -m flightsw``: fly against a bench, or on the computer's own buses alone."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flightsw.hal.bench import BenchHal
    from flightsw.hal.linux.mixed import MixedHal


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flightsw", description="The flight software of a compute payload."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--bench", metavar="ENDPOINT", help="where the bench listens")
    where.add_argument(
        "--devices",
        type=Path,
        metavar="FILE",
        help="fly without a bench on this computer's own buses; `hil devices` writes the file",
    )
    parser.add_argument(
        "--storage", required=True, type=Path, metavar="DIR", help="jobs, products and journals"
    )
    parser.add_argument("--name", default="fsw", help="name of this participant (default: fsw)")
    parser.add_argument(
        "--keys", type=Path, metavar="FILE", help="client keys of an encrypted channel (tcp)"
    )
    parser.add_argument(
        "--local",
        action="append",
        default=[],
        metavar="BUS[=DEVICE]",
        help="this bus of the board file is this computer's own, through the drivers of its "
        "kernel (i2c-1 is /dev/i2c-1 unless DEVICE says otherwise); repeatable",
    )
    parser.add_argument(
        "--stay",
        action="store_true",
        help="stay when a run is over, or the bench is away or resets us, and fly the next one; "
        "each run has a folder of its own below DIR",
    )
    parser.add_argument(
        "--one-storage",
        action="store_true",
        help="with --stay: every run goes on with what the one before has left in DIR",
    )
    parser.add_argument(
        "--computer",
        choices=("auto", "none", "pi", "jetson", "gpu"),
        help="what is read of this computer itself, as housekeeping (default: the mission's)",
    )
    parser.add_argument(
        "--thermal",
        choices=("bench", "board", "max"),
        help="whose temperature of the processor is governed: that of the bench, of this board, or "
        "the higher one (default: the mission's)",
    )
    parser.add_argument(
        "--providers",
        metavar="NAME,...",
        help="what may run the network, in order: tensorrt, cuda, cpu, or auto (default: the "
        "mission's); the processor is always the last",
    )
    return parser


def fly(
    endpoint: str,
    storage: Path,
    name: str = "fsw",
    keys: Path | None = None,
    local: Sequence[str] = (),
    alive: Callable[[], None] = lambda: None,
    *,
    overrides: Mapping[str, Any] = MappingProxyType({}),
    by_run: bool = False,
) -> None:
    """Fly against the bench at ``endpoint`` until it ends the run; ``local`` are own buses.

    ``by_run``: each run has a folder of its own below ``storage``, which a reset finds again.
    ``alive`` is called now and then while all is well; ``overrides`` go before the configuration
    of the mission. Raises :class:`~flightsw.errors.Shutdown` when a signal has ended it.
    """
    from flightsw.app import create
    from flightsw.errors import BenchLostError, Shutdown
    from flightsw.storage import files_of, run_name

    with _hal(endpoint, name, keys, local) as hal:
        session = hal.session
        session.watch(alive)
        if by_run:
            storage = storage / run_name(session.welcome)
        try:
            app = create(hal, storage, overrides=overrides)
            app.scheduler.groups[-1].tasks.append(lambda now_ns: alive())
            app.run()
        except Shutdown as stop:  # before the start was over
            told = str(stop)
        except BenchLostError:
            raise
        except BaseException as error:
            session.leave(f"{type(error).__name__}: {error}")
            raise
        else:
            told = "stopped by a signal"
        if not session.is_over:
            session.leave(told)
            raise Shutdown(told)
        session.hand_over(files_of(storage))


def fly_alone(
    devices: Path,
    storage: Path,
    local: Sequence[str] = (),
    alive: Callable[[], None] = lambda: None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Fly on this computer's own buses, as a device table says.

    Raises :class:`~flightsw.errors.Shutdown` when a signal has ended it.
    """
    from flightsw.app import create
    from flightsw.errors import Shutdown
    from flightsw.hal.linux.alone import LinuxHal, count_start, read_table
    from flightsw.hal.linux.local import parse_locals

    table, instead = read_table(devices), parse_locals(local)
    with LinuxHal(table, instead, count_start(storage)) as hal:
        app = create(hal, storage, overrides=overrides)
        app.scheduler.groups[-1].tasks.append(lambda now_ns: alive())
        app.run()
    raise Shutdown("stopped by a signal")


def _hal(endpoint: str, name: str, keys: Path | None, local: Sequence[str]) -> BenchHal | MixedHal:
    from flightsw.hal.channel import connect

    if not local:
        return connect(endpoint, name, keys)
    from flightsw.hal.linux.local import parse_locals
    from flightsw.hal.linux.mixed import MixedHal

    devices = parse_locals(local)
    bench = connect(endpoint, name, keys, local=devices)
    try:
        return MixedHal(bench, devices)
    except BaseException:
        bench.close()
        raise


def _overrides(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the keys of the configuration that were given on the command line."""
    given = {name: getattr(arguments, name) for name in ("computer", "thermal", "providers")}
    return {name: value for name, value in given.items() if value is not None}


def _stop(number: int, frame: FrameType | None) -> None:
    from flightsw.errors import Shutdown

    signal.signal(number, _ignored)  # it is under way
    raise Shutdown(f"signal {number}")


def _ignored(number: int, frame: FrameType | None) -> None:
    """Let a signal that has been heard be heard no more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until the bench ends the run; return the exit code."""
    arguments = _parser().parse_args(argv)
    from flightsw.codec.errors import FlatsatError
    from flightsw.errors import Shutdown

    signal.signal(signal.SIGTERM, _stop)
    given, overrides = arguments, _overrides(arguments)
    if given.devices is not None:
        act = partial(fly_alone, given.devices, given.storage, given.local, overrides=overrides)
    else:
        act = partial(
            fly,
            *(given.bench, given.storage, given.name, given.keys, given.local),
            overrides=overrides,
        )
    try:
        if arguments.stay:
            from flightsw.staying import stay

            return stay(partial(act, by_run=not arguments.one_storage))
        act()
    except Shutdown:
        return 0
    except KeyboardInterrupt:
        return 130
    except FlatsatError as error:
        print(f"flightsw: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
