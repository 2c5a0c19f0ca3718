"""The snapshots of one run, in ``RUN/snapshots``: an index, one file each, and what they share.

``index.json`` says what made them, lists them, and has the seal of its user; ``NNN.snap`` is the
state, packed with zstd; ``shared.pool`` holds large octets once. A snapshot stands behind a number
of records; which, and the BLAKE2b-256 over them, stands in the index.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import zstandard

from hil.capture.reader import Capture
from hil.closing import Closing
from hil.digest import RecordStream
from hil.errors import DiskFullError, RunDirectoryError, SnapshotError
from hil.provenance import differences, installation
from hil.replay.stepped import Stepped
from hil.snapshots.freezing import Frozen, freeze
from hil.snapshots.pool import FilePool, key_of, unpacked
from hil.snapshots.priming import payload_of, primed
from hil.snapshots.sealing import is_sealed, seal
from hil.snapshots.thawing import thaw

FOLDER, INDEX, SHARED = "snapshots", "index.json", "shared.pool"
#: a set that is being made, and the one before while the two change places
NEW, OLD = ".new", ".old"
VERSION = 2
#: what must be the same where a snapshot is used
FACTS = ("version", "sources", "python", "libraries")
#: A state from elsewhere could do whatever the parts of a flight can, with what it likes.
ELSEWHERE = "made or changed by somebody else, or on another machine"
_LEVEL = 3
_INDEX_LIMIT_NBYTES = 64 << 20


@dataclass(frozen=True)
class Entry:
    """One snapshot in the index."""

    file: str
    #: records made before it: the number of the next one
    seq: int
    t_ns: int
    #: BLAKE2b-256 over those records
    digest: str
    #: octets of the file, of the state that it holds, and of what it added to the pool
    nbytes: int
    state_nbytes: int
    shared_nbytes: int
    #: hash of the octets of the file
    hash: str
    #: name -> key of each file of the storage of the flight software
    files: dict[str, str]


class Store(Closing):
    """The snapshots of a run. ``capture`` is that of the run, open for as long as they are used.

    ``write``: begin anew, and let :meth:`add` make some. Otherwise they are read: raises
    :class:`SnapshotError` for an index that is none.
    """

    def __init__(
        self, run: Path, capture: Capture | None, write: bool = False, folder: str = FOLDER
    ) -> None:
        self.run = run
        self.folder = run / folder
        self._capture = capture
        self.entries: list[Entry] = []
        self.made_by: dict[str, str] = {}
        self._seal: object = None
        if write:
            self.made_by = facts()
            with written(self.folder):
                self.folder.mkdir(exist_ok=True)
                for old in (self.folder / INDEX, self.folder / SHARED, *self.folder.glob("*.snap")):
                    old.unlink(missing_ok=True)
        else:
            self._read(self.folder / INDEX)
        self.pool = self._pool(write)

    def _pool(self, write: bool) -> FilePool:
        path = self.folder / SHARED
        try:
            return FilePool(path, self._payload, write)
        except OSError as error:
            raise self._unusable(f"{path}: {error.strerror}") from None

    def close(self) -> None:
        """Let go of the files."""
        self.pool.close()

    def _payload(self, seq: int) -> bytes:
        if self._capture is None:
            raise SnapshotError("a frame of it lies in the capture, which is not there")
        return payload_of(self._capture, seq)

    # --- making -------------------------------------------------------------------------------

    def add(self, stepped: Stepped) -> Entry:
        """Make a snapshot of a run between two steps."""
        with written(self.folder):
            return self._add(stepped)

    def _add(self, stepped: Stepped) -> Entry:
        before = self.pool.end
        frozen = freeze(stepped, self.pool)
        octets = zstandard.ZstdCompressor(_LEVEL).compress(frozen.state)
        entry = Entry(
            file=f"{len(self.entries) + 1:03d}.snap",
            seq=frozen.seq,
            t_ns=frozen.t_ns,
            digest=frozen.digest.hex(),
            nbytes=len(octets),
            state_nbytes=len(frozen.state),
            shared_nbytes=self.pool.end - before,
            hash=key_of(octets).hex(),
            files={name: key.hex() for name, key in frozen.files.items()},
        )
        self.pool.flush()
        (self.folder / entry.file).write_bytes(octets)
        self.entries.append(entry)
        self._write()
        return entry

    def _table(self) -> dict[str, Any]:
        """Return what the seal is of."""
        rows = [asdict(entry) for entry in self.entries]
        return {"version": VERSION, "made_by": self.made_by, "snapshots": rows}

    def _write(self) -> None:
        """Replace the index in one step: it never lists what is not there."""
        table = self._table()
        path = self.folder / INDEX
        new = path.with_suffix(".new")
        new.write_text(json.dumps({**table, "seal": seal(table)}, indent=1) + "\n")
        new.replace(path)

    # --- using --------------------------------------------------------------------------------

    def nearest(self, seq: int) -> Entry | None:
        """Return the last snapshot from which record ``seq`` is still to come; None: no one."""
        before = [entry for entry in self.entries if entry.seq <= seq]
        return max(before, key=lambda entry: (entry.seq, entry.t_ns), default=None)

    def check(self) -> None:
        """Raise :class:`SnapshotError` if what made the snapshots is not what would use them, or
        if it was somebody else."""
        differing = differences(self.made_by, facts())
        if differing:
            raise SnapshotError(
                f"{self.folder}: made by something else than would use them: "
                f"{'; '.join(differing)}; `hil snapshot {self.run}` makes them anew"
            )
        if not self.is_mine:
            raise self._unusable(f"{self.folder}: {ELSEWHERE}")

    @property
    def is_mine(self) -> bool:
        """This user has made the snapshots, and nobody has changed what is said of them."""
        return is_sealed(self._table(), self._seal)

    def thaw(self, entry: Entry, storage: Path, make: Callable[[], RecordStream]) -> Stepped:
        """Return the run at a snapshot; its flight software writes to ``storage``.

        ``make()`` gives the stream for the records to come. The records before are read once more,
        which proves that capture and snapshot are of one run.
        """
        self.check()
        try:
            frozen = self._frozen(entry)
            assert self._capture is not None, "snapshots are used beside their capture"
            stream = primed(make(), self._capture, entry.seq, frozen.digest)
            return thaw(frozen, self.pool, storage, stream)
        except SnapshotError as wrong:
            raise self._unusable(f"{self.folder / entry.file}: {wrong}") from None

    def _frozen(self, entry: Entry) -> Frozen:
        octets = self._octets(entry)
        if key_of(octets).hex() != entry.hash:
            raise SnapshotError("its octets are not those that were written")
        state = unpacked(octets, entry.state_nbytes)
        try:
            files = {name: bytes.fromhex(key) for name, key in entry.files.items()}
            digest = bytes.fromhex(entry.digest)
        except ValueError as wrong:
            raise SnapshotError(f"its index entry is damaged: {wrong}") from None
        return Frozen(entry.seq, digest, entry.t_ns, state, files)

    def _octets(self, entry: Entry) -> bytes:
        if not entry.file.removesuffix(".snap").isalnum():
            raise SnapshotError("its index entry names no file of a snapshot")
        try:
            return (self.folder / entry.file).read_bytes()
        except OSError as error:
            raise SnapshotError(str(error.strerror)) from None

    # --- the index ----------------------------------------------------------------------------

    def _read(self, path: Path) -> None:
        try:
            if path.stat().st_size > _INDEX_LIMIT_NBYTES:
                raise ValueError("it is too long")
            table: Any = json.loads(path.read_bytes())
            if table["version"] != VERSION:
                raise ValueError(f"version {table['version']!r}, must be {VERSION}")
            self.made_by = {str(k): str(v) for k, v in table["made_by"].items()}
            self.entries = [_entry(row) for row in table["snapshots"]]
            self._seal = table.get("seal")
        except OSError as error:
            raise self._unusable(f"{path}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as wrong:
            raise self._unusable(f"{path}: no index of snapshots: {wrong}") from None

    def _unusable(self, why: str) -> SnapshotError:
        return SnapshotError(f"{why}; `hil snapshot {self.run}` makes the snapshots anew")


@contextmanager
def anew(run: Path, capture: Capture | None) -> Iterator[Store]:
    """Make the snapshots of a run anew, beside those that it has: they take their place when they
    are whole, and whatever ends it before leaves the old ones."""
    folder, new, old = run / FOLDER, run / (FOLDER + NEW), run / (FOLDER + OLD)
    with written(folder):
        _clear(new)
        if old.is_dir() and not folder.exists():
            old.rename(folder)  # somebody was killed between the two renames below
        _clear(old)
    try:
        with Store(run, capture, write=True, folder=FOLDER + NEW) as store:
            yield store
        with written(folder):
            if folder.exists():
                folder.rename(old)
            try:
                new.rename(folder)
            except BaseException:
                if old.exists():
                    old.rename(folder)
                raise
            store.folder = folder
    finally:
        _clear(new)
        _clear(old)


def _clear(folder: Path) -> None:
    """Remove a folder of snapshots, and never what a link in its place leads to."""
    with suppress(OSError):
        if folder.is_symlink():
            folder.unlink()
        else:
            rmtree(folder, ignore_errors=True)


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Turn what keeps snapshots from being written into one line that says what to do."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in DiskFullError.CODES
        step = "make room" if is_full else "copy the run to a place that can be written"
        raise (DiskFullError if is_full else RunDirectoryError)(
            f"{folder}: cannot be written: {error.strerror or error}; {step}, and make the "
            "snapshots there"
        ) from None


_TYPES = {"str": str, "int": int, "dict[str, str]": dict}


def _entry(row: Any) -> Entry:
    for name, kind in Entry.__annotations__.items():
        if type(row[name]) is not _TYPES[kind]:
            raise ValueError(f"{name} cannot be {row[name]!r:.40}")
    return Entry(**{name: row[name] for name in Entry.__annotations__})


def has_snapshots(run: Path) -> bool:
    """Tell whether a run has snapshots."""
    return (run / FOLDER / INDEX).is_file()


def facts() -> dict[str, str]:
    """Return what must be the same where a snapshot is used."""
    here = installation()
    return {name: here[name] for name in FACTS}
