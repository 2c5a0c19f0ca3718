"""``hil checkout PART``: talk to one part, emulated or real, from its register map."""

from __future__ import annotations

import argparse
import json
from typing import Any

from hil.errors import UsageError

EXAMPLES = """examples:
  hil checkout                              the parts that there are
  hil checkout ina219                       its registers, readings and inputs
  hil checkout ina219 --set bus_v=12 read bus_voltage bus_v
  hil checkout ina219 write config MODE=3 read config
  hil checkout ina219 watch bus_v --every 0.1 --count 5
  hil checkout ina219 self-test
  hil checkout temp_chip --board raspberrypi4 dump
  hil checkout ina219 --on /dev/i2c-1 --address 0x40 dump    a real one

Exit codes: 0 good, 1 the self-test failed, 2 usage, 3 no such device file, 4 no answer."""

ACTIONS = """list | read NAME ... | write NAME VALUE | dump | watch NAME ... | wait S |
set INPUT=VALUE ... | send HEX [COUNT] | self-test; several follow each other"""


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil checkout``."""
    p = argparse.ArgumentParser(
        prog="hil checkout",
        usage="hil checkout [PART [ACTION ...]] [options]",
        description="Talk to one part, emulated or real, from its register map.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("part", nargs="?", help="type of part; with --board also its name there")
    add("actions", nargs="*", metavar="ACTION", help=ACTIONS)
    add("--on", metavar="BUS", help="/dev/i2c-1, /dev/spidev0.0, a tty, or a bus")
    add("--address", metavar="A", help="I2C address")
    add("--board", help="board file whose part it is, by name or path")
    given = "input or parameter of an emulated part, SI units; repeatable"
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="inputs", help=given)
    add("--every", default="1", metavar="S", help="watch: seconds between (default 1)")
    add("--count", type=int, default=10, help="watch: how often (default 10)")
    add("--after", default="1", metavar="S", help="emulated: time since power-up (default 1)")
    add("--seed", type=int, default=1, help="emulated: seed of its noise (default 1)")
    add("--speed", type=int, default=1_000_000, metavar="HZ", help="real SPI: clock")
    add("--mode", type=int, choices=range(4), help="real SPI: mode (default: the part's)")
    add("--baud", type=int, default=115_200, help="real tty: rate (default 115200)")
    add("--write", action="store_true", help="self-test: write to a real part too")
    add("--json", action="store_true", help="print one object a line")
    return p


def main(argv: list[str]) -> int:
    """Do what is asked; return 1 if a self-test failed."""
    args = parser().parse_intermixed_args(argv)
    from hil.checkout import actions, catalogue

    if args.part is None:
        for told, text in catalogue.parts():
            tell(told, text, args.json)
        return 0
    steps = actions.split(args.actions or ["list"])
    if args.count < 1:
        raise UsageError(f"--count {args.count}: at least 1")
    opener = catalogue.Opener(
        part=args.part,
        on=args.on,
        address=None if args.address is None else catalogue.address(args.address),
        board=args.board,
        given=dict(map(actions.assignment, args.inputs)),
        seed=args.seed,
        spi=(args.mode, args.speed),
        baud=args.baud,
    )
    every_s, after_s = actions.positive(args.every), actions.positive(args.after)
    request = actions.Request(every_s, args.count, args.write, opener.fresh)
    subject = opener.open(after_s)
    good = True
    try:
        for action, words in steps:
            for told, text in actions.perform(subject, action, words, request):
                good &= told.get("ok") is not False
                tell(told, text, args.json)
    finally:
        subject.link.close()
    return 0 if good else 1


def tell(told: dict[str, Any], text: str, as_json: bool) -> None:
    """Print one thing, at once: somebody may be watching."""
    print(json.dumps(told, sort_keys=True) if as_json else text, flush=True)
