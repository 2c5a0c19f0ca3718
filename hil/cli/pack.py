"""``hil pack``: a run directory as one file that replays elsewhere, and what is in such a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import CaptureError, UsageError
from hil.printable import printable

if TYPE_CHECKING:
    from hil.replay.manifest import Manifest


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil pack``."""
    p = argparse.ArgumentParser(
        prog="hil pack",
        description="Pack a run into one file that `hil replay` takes on another machine.",
        epilog="The same run packs to the same octets. Exit codes: 0 good, 1 --check found damage, "
        "2 usage, or no run, 3 cannot be written.",
    )
    p.add_argument("target", type=Path, help="a run directory; with an option below, a packed run")
    p.add_argument("--out", type=Path, metavar="FILE", help="(default RUN.flatsat)")
    p.add_argument("--with-snapshots", action="store_true", help="pack snapshots too")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="say what a packed run holds")
    what.add_argument("--check", action="store_true", help="read it whole and check every hash")
    what.add_argument("--extract", type=Path, metavar="DIR", help="unpack it into DIR")
    p.add_argument("--json", action="store_true", help="one JSON object on stdout: the manifest")
    return p


def main(argv: list[str]) -> int:
    """Pack, list, check or extract; return 0."""
    args = parser().parse_args(argv)
    if not (args.list or args.check or args.extract):
        return _pack(args)
    if args.out is not None or args.with_snapshots:
        raise UsageError("--out and --with-snapshots are for packing a run directory")
    try:
        return _look(args)
    except CaptureError as error:
        # What was checked and is damaged has failed; what is not there was not checked.
        error.exit_code = 1 if args.check and args.target.is_file() else error.exit_code
        raise


def _look(args: argparse.Namespace) -> int:
    """List, check or extract a packed run."""
    from hil.replay.packed import Packed

    with Packed(args.target) as packed:
        manifest = packed.manifest
        said = f"{args.target}: {len(manifest.members)} files, {manifest.nbytes:,} octets"
        if args.check:
            packed.check()
            said += ", every hash matches"
        elif args.extract:
            packed.extract(args.extract)
            said += f", unpacked into {args.extract}"
    _print(manifest, said, args)
    return 0


def _pack(args: argparse.Namespace) -> int:
    from hil.replay.pack import pack

    out, manifest = pack(args.target, args.out, args.with_snapshots)
    said = f"{out}: {len(manifest.members)} files, {out.stat().st_size:,} octets"
    _print(manifest, said, args)
    return 0


def _print(manifest: Manifest, said: str, args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(manifest.as_json(), sort_keys=True))
        return
    print(said)
    for line in _left_out(manifest.left_out):
        print(line)
    if not args.list:
        return
    for name, member in sorted(manifest.members.items()):
        print(f"  {member.nbytes:>12,} {member.blake2b[:16]} {name}")
    facts = {**manifest.made_by, **manifest.run}
    for key, value in facts.items():
        if value not in (None, "", {}, []):
            text = value if isinstance(value, str) else json.dumps(value)
            print(f"{printable(str(key))}: {printable(text)}")


def _left_out(left_out: Mapping[str, object]) -> list[str]:
    """Return a line for each reason: the file that was left out for it, or how many were."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(printable(str(reason)), []).append(printable(name))
    return [
        f"left out: {found[0] if len(found) == 1 else f'{len(found)} files'}: {reason}"
        for reason, found in names.items()
    ]
