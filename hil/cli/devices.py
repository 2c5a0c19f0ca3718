"""``hil devices``: the device table of a board, for flight software that flies without a bench."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil devices``."""
    p = argparse.ArgumentParser(
        prog="hil devices",
        description="Write the device table of a board as JSON: its buses, parts and drivers, and "
        "the configuration of a mission. `flightsw --devices FILE` flies with it on the "
        "computer's own buses.",
    )
    p.add_argument("board", nargs="?", default="raspberrypi4", help="board file, by name or path")
    p.add_argument("--mission", default="tiansuan_bupt1", help="mission profile, by name or path")
    p.add_argument("--inference", choices=("onnx", "threshold"), default="onnx")
    p.add_argument("--out", type=Path, metavar="FILE", help="(default: to stdout)")
    return p


def main(argv: list[str]) -> int:
    """Write the table."""
    args = parser().parse_args(argv)
    from hil.board import load_board
    from hil.devicetable import as_text, device_table
    from hil.errors import HostError
    from hil.missions import load as load_mission

    text = as_text(device_table(load_board(args.board), load_mission(args.mission), args.inference))
    if args.out is None:
        sys.stdout.write(text)
        return 0
    try:
        args.out.write_text(text)
    except OSError as error:
        raise HostError(f"{args.out} cannot be written: {error.strerror}") from None
    return 0
