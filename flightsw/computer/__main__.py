"""``python -m flightsw.computer``: print what this host tells of itself, and what it does not."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from flightsw.computer import raspberrypi, tegrastats
from flightsw.computer.kinds import KINDS, Computer
from flightsw.computer.reading import Absent, Reading, Result

#: between the two looks that a utilisation takes
_APART_S = 0.2


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line a reading; return 0."""
    parser = argparse.ArgumentParser(
        prog="python -m flightsw.computer",
        description="Print what this host tells of itself: heat, clocks, power, load.",
    )
    kinds = [kind for kind in KINDS if kind != "none"]
    parser.add_argument("--computer", choices=kinds, default="auto", help="(default auto)")
    parser.add_argument("--tegrastats", action="store_true", help="a line of tegrastats as well")
    parser.add_argument("--json", action="store_true", help="print one object")
    arguments = parser.parse_args(argv)
    computer = Computer(arguments.computer)
    computer.read()
    time.sleep(_APART_S)
    found = computer.read()
    computer.close()
    if arguments.tegrastats:
        found += tegrastats.read()
    if arguments.json:
        print(json.dumps(as_json(computer.kind, found)))
        return 0
    print(f"computer: {computer.kind}")
    for one in found:
        print(one)
        if one.name == "pi.throttled" and isinstance(one, Reading) and isinstance(one.value, int):
            print(f"  {raspberrypi.told(one.value)}")
    return 0


def as_json(kind: str, found: Sequence[Result]) -> dict[str, object]:
    """Return the kind, readings with unit, and absent ones with the reason."""
    return {
        "computer": kind,
        "readings": {one.name: [one.value, one.unit] for one in found if isinstance(one, Reading)},
        "absent": {one.name: one.because for one in found if isinstance(one, Absent)},
    }


if __name__ == "__main__":
    sys.exit(main())
