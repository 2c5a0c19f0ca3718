"""Packing a run directory into one file, so that it can be replayed elsewhere.

The file is a ZIP archive of the files of the run, in order of their names and without times or
owners, and last the manifest: the same run packs to the same octets.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from hil.errors import HostError, RunDirectoryError, UsageError
from hil.provenance import WORDS
from hil.replay.flown import PACKED, Flown, flown
from hil.replay.manifest import DIGEST_NBYTES, MEMBERS_LIMIT, NAME, Manifest, Member, unsafe
from hil.tapping import is_flying

SNAPSHOTS = "snapshots"
#: Never packed: what locks a directory, and the keys of a run that was cut off.
_SECRET = {".lock": "the lock of the directory", "keys": "keys of the run, which are private"}
#: Packed as they are: they are compressed already.
_STORED = (".mcap", ".png", ".jpg", ".npz", ".zst", ".partial")
_WHEN = (1980, 1, 1, 0, 0, 0)
_BLOCK_NBYTES = 1 << 20


def pack(run: Path, out: Path | None = None, with_snapshots: bool = False) -> tuple[Path, Manifest]:
    """Pack a run directory; return the file, ``RUN.flatsat`` by default, and what is in it.

    Raises ``UsageError`` for what is no run directory and for a file that is there already.
    """
    if not run.is_dir():
        raise UsageError(f"{run}: is no directory; give the directory of a run")
    if is_flying(run):
        raise UsageError(
            f"{run}: a run is writing it; wait for its end, or follow it with `hil tap {run}`"
        )
    whole = run.resolve()  # "." has a name, too
    if out is None:
        out = (whole if run.name in ("", "..") else run).with_name(whole.name + PACKED)
    if whole in out.resolve().parents:
        raise UsageError(f"{out}: would be packed into itself; name a file outside of {run}")
    if out.exists():
        raise UsageError(f"{out}: is there already; remove it or name another with --out")
    with flown(run) as opened:
        partial = out.with_name(out.name + ".partial")
        try:
            manifest = _write(run, partial, opened, with_snapshots)
            partial.rename(out)
        except OSError as error:
            raise RunDirectoryError(
                f"{out}: cannot be written: {error.strerror}; make room, or name another with --out"
            ) from None
        finally:
            with suppress(OSError):  # a place that takes no file has none to remove
                partial.unlink(missing_ok=True)
    return out, manifest


def _write(run: Path, out: Path, opened: Flown, with_snapshots: bool) -> Manifest:
    members: dict[str, Member] = {}
    left_out: dict[str, str] = {}
    with zipfile.ZipFile(out, "w") as archive:
        for name, path, reason in _files(run, with_snapshots):
            if reason:
                left_out[name] = reason
                continue
            members[name] = _add(archive, name, path)
            if len(members) > MEMBERS_LIMIT:
                raise HostError(f"{run}: has more than {MEMBERS_LIMIT} files; that is no run")
        manifest = Manifest(members, _made_by(opened), _told(opened), left_out)
        archive.writestr(_info(NAME), manifest.encode())
    return manifest


def _files(run: Path, with_snapshots: bool) -> Iterator[tuple[str, Path, str]]:
    """Yield name, path and the reason to leave it out, of everything in a run, by name."""
    for path in sorted(run.rglob("*"), key=lambda path: path.relative_to(run).as_posix()):
        name = path.relative_to(run).as_posix()
        top = name.partition("/")[0]
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if top in _SECRET:
            reason = _SECRET[top]
        elif top in (SNAPSHOTS + ".new", SNAPSHOTS + ".old"):
            reason = "snapshots that were never whole"
        elif top == SNAPSHOTS and not with_snapshots:
            reason = "a snapshot; --with-snapshots packs it"
        else:
            reason = unsafe(name) if stat.S_ISREG(mode) else "no file but a link or a device"
        yield name, path, "the name of the manifest" if name == NAME else reason


def _info(name: str) -> zipfile.ZipInfo:
    """Return the head of a member: nothing in it depends on when and where it is packed."""
    info = zipfile.ZipInfo(name, _WHEN)
    info.create_system = 3  # Unix, wherever it runs
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    stored = name.endswith(_STORED)
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    return info


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> Member:
    """Add a file; return its size and hash."""
    digest = hashlib.blake2b(digest_size=DIGEST_NBYTES)
    nbytes = 0
    with path.open("rb") as file:
        info = _info(name)
        info.file_size = os.fstat(file.fileno()).st_size
        with archive.open(info, "w", force_zip64=info.file_size > 1 << 31) as member:
            for block in blocks(file):
                digest.update(block)
                member.write(block)
                nbytes += len(block)
    return Member(nbytes, digest.hexdigest())


def blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file in blocks."""
    while block := file.read(_BLOCK_NBYTES):
        yield block


def _made_by(opened: Flown) -> dict[str, str]:
    known = (*WORDS, "libraries")
    return {key: opened.made_by[key] for key in known if key in opened.made_by}


def _told(opened: Flown) -> dict[str, object]:
    """Return what the manifest says of the run, for people and for other programs."""
    options = opened.options
    return {
        "board": opened.board.name,
        "mission": opened.mission.id,
        "seed": options.seed,
        "options": options.as_json(),
        "command": opened.made_by.get("command", ""),
        "program": opened.program,
        "digest": opened.digest,
        "repeatable": opened.repeatable,
        "whole": opened.whole,
    }
