"""``python -m flightsw``: fly against a bench."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType


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
    return parser


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
        from flightsw.app import create
        from flightsw.hal.bench import connect

        hal = connect(arguments.bench, arguments.name)
        create(hal, arguments.storage).run()
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
