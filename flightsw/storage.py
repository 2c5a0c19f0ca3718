"""Storage that survives a stop at any instant: slots for state, journals for what must not repeat.

*Slots*: a name has two files. Saving writes a temporary file, forces it out when asked, and
renames it over the older of the two, so the newer good one is never touched. Loading takes the
newest slot whose CRC holds. *Journals*: records are appended; a torn tail fails its CRC and is cut
off at start.

Each file operation goes through :class:`Files`, which tests replace to stop at the n-th operation.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flightsw.errors import StorageError

_SLOT = struct.Struct(">4sQII")  # mark, generation, length, CRC-32 of these three and the data
_SLOT_MARK = b"FSs2"
_CRC_NBYTES = 4
_RECORD = struct.Struct(">II")  # length, CRC-32 of data
_RECORD_MAX_NBYTES = 1 << 20
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Files:
    """The few operations on the file system that change something."""

    def write(self, fd: int, data: bytes) -> None:
        """Write all of ``data``."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def sync(self, fd: int) -> None:
        """Force a file, or a directory, to the medium."""
        os.fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Replace ``new`` by ``old`` in one step."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Delete a file; one that is away is fine."""
        path.unlink(missing_ok=True)

    def truncate(self, fd: int, nbytes: int) -> None:
        """Cut a file off."""
        os.ftruncate(fd, nbytes)


def files_of(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and octets of every file of a storage that nobody writes any more."""
    for path in sorted(root.iterdir()):
        if path.is_file() and not path.is_symlink():
            yield path.name, path.read_bytes()


def run_name(welcome: Mapping[str, Any]) -> str:
    """Return what the folder of a run is called: what its bench calls it, if that is a name."""
    link = welcome.get("link")
    name = link.get("run") if isinstance(link, Mapping) else None
    return name if isinstance(name, str) and _RUN_NAME.fullmatch(name) else "run"


class Storage:
    """A directory of slots and journals. ``durable`` saves are forced to the medium."""

    def __init__(self, root: Path, files: Files | None = None, fsync: bool = True) -> None:
        """Open or make ``root``; raises :class:`~flightsw.errors.StorageError`."""
        self.root = root
        self.files = files or Files()
        self._fsync = fsync
        #: damaged slots and journal tails met so far
        self.repairs = 0
        #: journals that could not be made shorter, because the medium took nothing
        self.unshortened = 0
        self._journals: list[Journal] = []
        self._newest: dict[str, tuple[int, int]] = {}  # name -> (generation, slot)
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"storage {root}: cannot be made: {error.strerror}") from error

    def save(self, name: str, data: bytes, durable: bool = False) -> None:
        """Replace the state ``name``; raises :class:`~flightsw.errors.StorageError`."""
        generation, slot = self._newest.get(name) or self._scan(name)[:2]
        generation, slot = generation + 1, 1 - slot
        head = _SLOT.pack(_SLOT_MARK, generation, len(data), 0)[:-_CRC_NBYTES]
        crc = zlib.crc32(data, zlib.crc32(head)).to_bytes(_CRC_NBYTES, "big")
        self.replace(self._path(name, slot), head + crc + data, durable)
        self._newest[name] = (generation, slot)

    def load(self, name: str) -> bytes | None:
        """Return the newest good state ``name``, None if there is none."""
        generation, slot, data = self._scan(name)
        self._newest[name] = (generation, slot)
        return data

    def delete(self, name: str) -> None:
        """Delete the state ``name``."""
        # The older slot goes first: a stop in between must not bring old state back.
        newest = (self._newest.pop(name, None) or self._scan(name)[:2])[1]
        self.unlink(self._path(name, 1 - newest))
        self.unlink(self._path(name, newest))

    def unlink(self, path: Path) -> None:
        """Delete a file; one that is away is fine. Raises StorageError."""
        try:
            self.files.unlink(path)
        except OSError as error:
            raise StorageError(f"storage {path}: cannot be deleted: {error.strerror}") from error

    def names(self, prefix: str) -> list[str]:
        """Return the sorted names of states that start with ``prefix``."""
        found = {p.stem for p in self.root.glob(f"{prefix}*") if p.suffix in (".0", ".1")}
        return sorted(found)

    def journal(self, name: str) -> Journal:
        """Open the journal ``name``."""
        journal = Journal(self, self.root / f"{name}.journal")
        self._journals.append(journal)
        return journal

    def close(self) -> None:
        """Close the journals; nothing is written afterwards."""
        while self._journals:
            self._journals.pop().close()

    def sync(self, fd: int) -> None:
        """Force a file to the medium, where the mission asks for it."""
        if self._fsync:
            self.files.sync(fd)

    def _path(self, name: str, slot: int) -> Path:
        return self.root / f"{name}.{slot}"

    def replace(self, path: Path, data: bytes, durable: bool) -> None:
        """Replace a whole file in one step; raises StorageError."""
        temporary = path.with_name(path.name + ".tmp")
        try:
            self._replace(temporary, path, data, durable)
        except OSError as error:
            with suppress(OSError):  # what is left of it must not keep a full medium full
                self.files.unlink(temporary)
            raise StorageError(f"storage {path}: cannot be written: {error.strerror}") from error

    def _replace(self, temporary: Path, path: Path, data: bytes, durable: bool) -> None:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            self.files.write(fd, data)
            if durable:
                self.sync(fd)
        finally:
            os.close(fd)
        self.files.rename(temporary, path)
        if durable:
            self._sync_root()

    def _sync_root(self) -> None:
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sync(fd)
        finally:
            os.close(fd)

    def _scan(self, name: str) -> tuple[int, int, bytes | None]:
        """Return (generation, slot, data) of the newest good slot; (0, 1, None) if none is good."""
        best: tuple[int, int, bytes | None] = (0, 1, None)
        for slot in (0, 1):
            try:
                raw = self._path(name, slot).read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(f"storage {name}: cannot be read: {error.strerror}") from error
            found = _unpack_slot(raw)
            if found is None:
                self.repairs += 1
            elif found[0] > best[0]:
                best = (found[0], slot, found[1])
        return best


def _unpack_slot(raw: bytes) -> tuple[int, bytes] | None:
    if len(raw) < _SLOT.size:
        return None
    mark, generation, length, crc = _SLOT.unpack_from(raw)
    data = raw[_SLOT.size :]
    # The generation is covered too: a wrong one would bring old state back.
    good = zlib.crc32(data, zlib.crc32(raw[: _SLOT.size - _CRC_NBYTES]))
    if mark != _SLOT_MARK or len(data) != length or good != crc:
        return None
    return generation, data


class Journal:
    """An append-only file of records; ``records`` holds what was found at start."""

    def __init__(self, storage: Storage, path: Path) -> None:
        self._storage = storage
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            raw = path.read_bytes()
            self.records, good = _unpack_records(raw)
            if good < len(raw):
                storage.repairs += 1
                storage.files.truncate(self._fd, good)
        except OSError as error:
            raise StorageError(f"journal {path}: cannot be opened: {error.strerror}") from error

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: not the descriptor but whether it is open."""
        return {**self.__dict__, "_fd": self._fd >= 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file as it lies: its records were read, and its tail cut off, before."""
        self.__dict__.update(state)
        self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND) if state["_fd"] else -1

    def append(self, data: bytes, durable: bool = False) -> None:
        """Add one record; raises :class:`~flightsw.errors.StorageError`."""
        try:
            # One write: a stop leaves the whole record or a tail that its CRC gives away.
            self._storage.files.write(self._fd, _RECORD.pack(len(data), zlib.crc32(data)) + data)
            if durable:
                self._storage.sync(self._fd)
        except OSError as error:
            with suppress(OSError):  # a tail that stays is cut off at the next start
                self._repair()
            raise StorageError(f"journal {self._path}: append failed: {error.strerror}") from error

    def rewrite(self, records: Iterable[bytes]) -> None:
        """Replace all records in one step, to keep the file short; raises StorageError."""
        data = b"".join(_RECORD.pack(len(r), zlib.crc32(r)) + r for r in records)
        self._storage.replace(self._path, data, durable=True)
        os.close(self._fd)
        self._fd = -1
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise StorageError(f"journal {self._path}: lost: {error.strerror}") from error

    def shorten(self, records: Iterable[bytes]) -> bool:
        """Replace all records by fewer that say the same; return False if they stay as they are.

        On a full medium the long ones do as well, and a start must not depend on room.
        """
        try:
            self.rewrite(records)
        except StorageError:
            self._storage.unshortened += 1
            return False
        return True

    def close(self) -> None:
        """Close the file; the journal is not used afterwards."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _repair(self) -> None:
        """Cut off what a failed append left, so that later records are not lost behind it."""
        self._storage.repairs += 1
        good = _unpack_records(self._path.read_bytes())[1]
        os.ftruncate(self._fd, good)


def _unpack_records(raw: bytes) -> tuple[list[bytes], int]:
    """Return the good records from the start of ``raw`` and the offset where they end."""
    records: list[bytes] = []
    at = 0
    while at + _RECORD.size <= len(raw):
        length, crc = _RECORD.unpack_from(raw, at)
        body = at + _RECORD.size
        data = raw[body : body + length]
        if length > _RECORD_MAX_NBYTES or len(data) != length or zlib.crc32(data) != crc:
            break
        records.append(data)
        at = body + length
    return records, at
