"""``python -m flightsw``: fly against a bench."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flightsw.hal.bench import BenchHal
    from flightsw.hal.linux.mixed import MixedHal


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flightsw", description="The flight software of a compute payload."
    )
    parser.add_argument(
        "--bench", required=True, metavar="ENDPOINT", help="where the bench listens"
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
    return parser


def fly(
    endpoint: str,
    storage: Path,
    name: str = "fsw",
    keys: Path | None = None,
    local: Sequence[str] = (),
) -> None:
    """Fly against the bench at ``endpoint`` until it ends the run; ``local`` are own buses."""
    from flightsw.app import create
    from flightsw.errors import Shutdown

    with _hal(endpoint, name, keys, local) as hal:
        try:
            app = create(hal, storage)
        except Shutdown:
            return  # the run was over before the start was
        app.run()


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


def _stop(number: int, frame: FrameType | None) -> None:
    from flightsw.errors import Shutdown

    raise Shutdown(f"signal {number}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run until the bench ends the run; return the exit code."""
    arguments = _parser().parse_args(argv)
    from flightsw.codec.errors import FlatsatError
    from flightsw.errors import Shutdown

    signal.signal(signal.SIGTERM, _stop)
    try:
        fly(arguments.bench, arguments.storage, arguments.name, arguments.keys, arguments.local)
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
