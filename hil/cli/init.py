"""``hil init``: a small project of the user's own that passes at once."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from hil.errors import HostError, UsageError
from hil.projects import CI, KINDS, Written, project

#: what a board may be called
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil init``."""
    p = argparse.ArgumentParser(
        prog="hil init",
        description="Write a small project: flight code, a board file, tests, a CI file. Its tests "
        "pass as they are.",
        epilog="A file that is there already is never touched. Exit codes: 0 good, 2 usage, 3 "
        "cannot be written.",
    )
    p.add_argument("folder", type=Path, nargs="?", default=Path(), help="(default: this one)")
    p.add_argument(
        "--kind",
        choices=tuple(KINDS),
        default="python",
        help="python: a function on the bench's hardware interface; c: a program that opens "
        "devices, unmodified on the bench (default python)",
    )
    p.add_argument("--name", help="of project and board (default: that of the folder)")
    p.add_argument("--ci", choices=(*CI, "none"), default="github", help="(default github)")
    p.add_argument("--json", action="store_true", help="one JSON object on stdout: what was made")
    return p


def main(argv: list[str]) -> int:
    """Write the project and say what comes next; return 0."""
    args = parser().parse_args(argv)
    name = args.name if args.name is not None else _name_of(args.folder)
    if not NAME.fullmatch(name):
        raise UsageError(
            f"project name {name!r}: a letter, then at most 31 letters, digits, _ or -; "
            "give one with --name"
        )
    files = project(args.kind, name, None if args.ci == "none" else args.ci)
    _write(args.folder, files)
    if args.json:
        made = {"folder": str(args.folder), "name": name, "files": [file.place for file in files]}
        print(json.dumps(made, sort_keys=True))
        return 0
    print("\n".join(str(args.folder / file.place) for file in files))
    enter = "" if args.folder == Path() else f"cd {args.folder} && "
    print(f"next: {enter}python -m pytest")
    return 0


def _name_of(folder: Path) -> str:
    """Return the name that a folder suggests."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", folder.absolute().name).strip("-")


def _write(folder: Path, files: list[Written]) -> None:
    """Write all or, where something is in the way, nothing."""
    there = [file.place for file in files if (folder / file.place).exists()]
    if there:
        raise UsageError(f"{folder / there[0]} is there already: take another folder, or move it")
    try:
        for file in files:
            path = folder / file.place
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as new:
                new.write(file.text)
    except OSError as error:
        raise HostError(f"{folder}: {error.strerror or error}: take another folder") from None
