"""Opening a packed run. It comes from elsewhere: nothing in it is believed before it is checked.

Names, sizes and hashes stand in the manifest; an archive that holds anything else, or more, is
refused before a file is written. Files go into a private folder, each made new, and none is a link.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hil.closing import Closing
from hil.errors import CaptureError, RunDirectoryError
from hil.replay.manifest import (
    DIGEST_NBYTES,
    MANIFEST_LIMIT_NBYTES,
    MEMBERS_LIMIT,
    NAME,
    Manifest,
    Member,
    decode,
    unsafe,
)
from hil.replay.pack import blocks

#: Deflate makes at most 1032 octets of one, and no file of a run comes near that as a whole.
EXPANSION_LIMIT, EXPANSION_FREE_NBYTES = 100, 1 << 28
#: An entry of the table at the end of an archive has at least this many octets.
_ENTRY_NBYTES = 46
_ENCRYPTED = 1
#: what reading a damaged archive raises
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    IndexError,
)


class Packed(Closing):
    """A packed run, checked but for its hashes. Raises ``CaptureError`` for what is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_file():
            raise CaptureError(f"{path}: is a directory, a pipe or a device; packed runs are files")
        with self._readable():
            self._archive = zipfile.ZipFile(path)
        try:
            with self._readable():
                infos = self._checked(self._archive.infolist())
                self.manifest = self._manifest(infos.pop(NAME, None))
                self._compare(infos, self.manifest)
                self._infos = infos
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def check(self) -> None:
        """Read every member and compare its hash; raises ``CaptureError`` for the first wrong."""
        for name, member in self.manifest.members.items():
            for _ in self._blocks(name, member):
                pass

    def extract(self, folder: Path) -> None:
        """Write every file into ``folder``, which is made or empty, and check its hash."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise RunDirectoryError(f"{folder}: is not empty; name another folder")
            free = shutil.disk_usage(folder).free
            if self.manifest.nbytes > free:
                raise RunDirectoryError(
                    f"{folder}: {self.manifest.nbytes} octets are needed and {free} free; make "
                    "room, or set TMPDIR to another place"
                )
            for name, member in self.manifest.members.items():
                self._write(folder / name, name, member)
        except OSError as error:
            raise RunDirectoryError(
                f"{folder}: {self.path.name} cannot be unpacked there: {error.strerror}"
            ) from None

    def _write(self, path: Path, name: str, member: Member) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            for block in self._blocks(name, member):
                file.write(block)

    def _blocks(self, name: str, member: Member) -> Iterator[bytes]:
        """Yield a member in blocks; raises at its end if it is not what the manifest says."""
        digest, left = hashlib.blake2b(digest_size=DIGEST_NBYTES), member.nbytes
        with self._readable(name), self._archive.open(self._infos[name]) as file:
            for block in blocks(file):
                left -= len(block)
                if left < 0:
                    break
                digest.update(block)
                yield block
        if left or digest.hexdigest() != member.blake2b:
            raise CaptureError(
                f"{self.path}: member {name!r} is not what was packed: its hash does not match"
            )

    # --- before anything is read ------------------------------------------------------------------

    @contextmanager
    def _readable(self, name: str = "") -> Iterator[None]:
        """Turn whatever a damaged archive makes of its reader into one line."""
        where = f"{self.path}: member {name!r}" if name else str(self.path)
        try:
            yield
        except _DAMAGED as wrong:
            raise CaptureError(f"{where}: is no packed run, or damaged: {wrong}") from None
        except OSError as wrong:
            why = wrong.strerror or str(wrong)
            raise CaptureError(f"{where}: cannot be read: {why}") from None

    def _checked(self, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        """Return the members by name, if no name, kind or size of theirs is a trap."""
        if len(infos) > MEMBERS_LIMIT + 1:
            raise CaptureError(f"{self.path}: has {len(infos)} members; no run has that many")
        found: dict[str, zipfile.ZipInfo] = {}
        packed = 0
        for info in infos:
            name = info.orig_filename
            reason = unsafe(name) or _trap(info)
            if not reason and (name in found or info.filename != name):
                reason = "is there twice"
            if reason:
                raise CaptureError(
                    f"{self.path}: member {name[:80]!r}: {reason}; nothing was unpacked"
                )
            found[name] = info
            packed += info.compress_size + _ENTRY_NBYTES
        if packed > self.path.stat().st_size:
            raise CaptureError(
                f"{self.path}: its members lie over each other; nothing was unpacked"
            )
        return found

    def _manifest(self, info: zipfile.ZipInfo | None) -> Manifest:
        if info is None:
            raise CaptureError(f"{self.path}: is no packed run: it has no {NAME}")
        if info.file_size > MANIFEST_LIMIT_NBYTES:
            raise CaptureError(f"{self.path}: its manifest has {info.file_size} octets")
        with self._archive.open(info) as file:
            return decode(file.read(MANIFEST_LIMIT_NBYTES), str(self.path))

    def _compare(self, infos: dict[str, zipfile.ZipInfo], manifest: Manifest) -> None:
        """Raise ``CaptureError`` where the archive is not what the manifest lists."""
        if differ := sorted(set(infos) ^ set(manifest.members)):
            where = "archive" if differ[0] in infos else "manifest"
            raise CaptureError(f"{self.path}: member {differ[0][:80]!r} is only in the {where}")
        names = set(infos)
        for name, info in infos.items():
            if info.file_size != manifest.members[name].nbytes:
                raise CaptureError(f"{self.path}: member {name!r} has another size than it should")
            folders = {name[:at] for at, sign in enumerate(name) if sign == "/"}
            if clash := folders & names:
                raise CaptureError(f"{self.path}: {min(clash)!r} is a file and a folder")
        limit = EXPANSION_FREE_NBYTES + EXPANSION_LIMIT * self.path.stat().st_size
        if manifest.nbytes > limit:
            raise CaptureError(
                f"{self.path}: would be {manifest.nbytes} octets unpacked, more than a run of its "
                "size ever is; nothing was unpacked"
            )


def _trap(info: zipfile.ZipInfo) -> str:
    """Return what is wrong with the kind of a member; empty where nothing is."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "is a link or a device"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {info.compress_type}, which packed runs never are"
    return ""
