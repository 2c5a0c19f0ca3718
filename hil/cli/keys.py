"""``hil keys``: the keys of a bench, and who may connect with theirs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hil.errors import TransportError, UsageError


def parser() -> argparse.ArgumentParser:
    """Return the options of ``hil keys``."""
    p = argparse.ArgumentParser(
        prog="hil keys",
        description="Make and keep the CURVE keys of a bench that listens on tcp: its own, and "
        "those of the clients that may connect.",
        epilog="Hand NAME.key to the other machine (scp keeps its mode) and give it there as "
        "`flightsw --bench tcp://HOST:PORT --keys NAME.key`. A bench that runs takes a client that "
        "was added or revoked at the next connection. Exit codes: 0 good, 2 usage, 4 the folder "
        "cannot be used.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help="the key folder (default $XDG_CONFIG_HOME/flatsat/keys)",
    )
    common.add_argument("--json", action="store_true", help="one JSON object on stdout")
    acts = p.add_subparsers(dest="act", metavar="ACTION", required=True)

    new = acts.add_parser("new", parents=[common], help="make the keys of a bench and one client")
    new.add_argument("where", nargs="?", type=Path, metavar="DIR", help="the same as --dir DIR")
    add = acts.add_parser("add", parents=[common], help="let a client in, with keys made for it")
    add.add_argument("name", help="what it is called: a-z, 0-9, . _ and -")
    add.add_argument("--public", metavar="KEY", help="the client made its keys: its public one")
    acts.add_parser("list", parents=[common], help="the clients that may connect")
    revoke = acts.add_parser("revoke", parents=[common], help="let a client in no more")
    revoke.add_argument("name")
    export = acts.add_parser("export", parents=[common], help="write a client's file to hand over")
    export.add_argument("name")
    export.add_argument("--out", type=Path, required=True, metavar="FILE")
    acts.add_parser("show", parents=[common], help="the bench: its folder and its public key")
    return p


def main(argv: list[str]) -> int:
    """Do what was asked of a key folder; return 0."""
    args = parser().parse_args(argv)
    from hil.time.transports import keys

    given = [path for path in (args.dir, getattr(args, "where", None)) if path is not None]
    if len(given) > 1:
        raise UsageError("the key folder is given twice: leave DIR or --dir away")
    folder = given[0] if given else keys.default_folder()
    try:
        facts, text = _ACTS[args.act](folder, args)
    except OSError as error:
        raise TransportError(
            f"key folder {folder}: {error.strerror}: give another one with --dir"
        ) from None
    print(json.dumps({"folder": str(folder), **facts}, sort_keys=True) if args.json else text)
    return 0


_Told = tuple[dict[str, Any], str]


def _new(folder: Path, args: argparse.Namespace) -> _Told:
    from hil.time.transports import keys

    if (folder / keys.SERVER).exists():
        raise UsageError(
            f"key folder {folder} has keys already, which clients know: see them with "
            "`hil keys show`, or give another folder"
        )
    keys.make_keys(folder)
    keys.check_folder(folder)
    public = keys.read_private(folder / keys.SERVER)["public"]
    first = folder / keys.CLIENT
    return {"public": public, "client": str(first)}, (
        f"{folder}: keys of a bench, and {first} for its first client"
    )


def _add(folder: Path, args: argparse.Namespace) -> _Told:
    from hil.time.transports import keys

    path = keys.add_client(folder, args.name, args.public)
    if path is None:
        server = keys.read_private(folder / keys.SERVER)["public"]
        return {"name": args.name, "server": server}, (
            f"{args.name} may connect; it needs the key of the bench: server = {server}"
        )
    return {"name": args.name, "file": str(path)}, (
        f"{args.name} may connect with {path}; hand that file over, and to nobody else"
    )


def _list(folder: Path, args: argparse.Namespace) -> _Told:
    from hil.time.transports import keys

    keys.check_folder(folder)
    rows = [
        {"name": name, "public": key, "file": (folder / f"{name}.key").exists()}
        for key, name in keys.allowed_clients(folder).items()
    ]
    rows.sort(key=lambda row: str(row["name"]))
    lines = [
        f"{row['name']:<{keys.NAME_LIMIT_NCHARS}} {row['public']}"
        f"{'' if row['file'] else '  (its key file is not here)'}"
        for row in rows
    ]
    return {"clients": rows}, "\n".join(lines) or f"{folder}: no client may connect"


def _revoke(folder: Path, args: argparse.Namespace) -> _Told:
    from hil.time.transports import keys

    public = keys.revoke_client(folder, args.name)
    return {"name": args.name, "public": public}, (
        f"{args.name} may connect no more; one that is connected stays until its connection ends"
    )


def _export(folder: Path, args: argparse.Namespace) -> _Told:
    from hil.time.transports import keys

    keys.export_client(folder, args.name, args.out)
    return {"name": args.name, "file": str(args.out)}, (
        f"{args.out}: the keys of {args.name}; hand that file over, and to nobody else"
    )


def _show(folder: Path, args: argparse.Namespace) -> _Told:
    from hil.time.transports import keys

    keys.check_folder(folder)
    public = keys.read_private(folder / keys.SERVER)["public"]
    clients = sorted(keys.allowed_clients(folder).values())
    return {"public": public, "clients": clients}, (
        f"folder  {folder}\npublic  {public}\nclients {', '.join(clients) or 'none'}"
    )


_ACTS = {
    "new": _new,
    "add": _add,
    "list": _list,
    "revoke": _revoke,
    "export": _export,
    "show": _show,
}
