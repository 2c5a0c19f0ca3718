"""Slots and journals: good after any damage, and errors that name the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flightsw.errors import StorageError
from flightsw.storage import Files, Storage


class Full(Files):
    """A medium that is full after so many octets."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, fd: int, data: bytes) -> None:
        fits = data[: self.room]
        super().write(fd, fits)
        self.room -= len(fits)
        if len(fits) < len(data):
            raise OSError(28, "No space left on device")


def test_the_newest_good_slot_wins(tmp_path: Path) -> None:
    """Loading returns the last save, also in a new start."""
    storage = Storage(tmp_path)
    for number in range(5):
        storage.save("state", bytes((number,)) * 10, durable=True)
    assert storage.load("state") == b"\x04" * 10
    assert Storage(tmp_path).load("state") == b"\x04" * 10
    assert Storage(tmp_path).names("sta") == ["state"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, 40), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_newest_slot_falls_back_to_the_one_before(
    tmp_path: Path, at: int, bit: int, cut: bool
) -> None:
    """One flipped bit or a cut file costs one generation, and is counted."""
    storage = Storage(tmp_path)
    storage.delete("state")
    storage.save("state", b"old state, good")
    storage.save("state", b"new state, damaged")
    newest = max(tmp_path.glob("state.*"), key=lambda p: b"damaged" in p.read_bytes())
    raw = bytearray(newest.read_bytes())
    at %= len(raw)
    newest.write_bytes(raw[:at] if cut else raw[:at] + bytes((raw[at] ^ 1 << bit,)) + raw[at + 1 :])
    again = Storage(tmp_path)
    assert again.load("state") == b"old state, good"
    assert again.repairs == 1


def test_deleting_removes_both_slots(tmp_path: Path) -> None:
    """Nothing of a deleted state comes back."""
    storage = Storage(tmp_path)
    storage.save("state", b"1")
    storage.save("state", b"2")
    storage.delete("state")
    assert storage.load("state") is None
    assert list(tmp_path.iterdir()) == []


def test_a_journal_keeps_whole_records_and_cuts_a_torn_tail(tmp_path: Path) -> None:
    """Whatever a stop leaves of the last record, the ones before it are read back."""
    journal = Storage(tmp_path).journal("log")
    records = [b"one", b"", b"three" * 20]
    for record in records:
        journal.append(record)
    journal.close()
    path = tmp_path / "log.journal"
    raw = path.read_bytes()
    for length in range(len(raw) - len(records[2]) - 7, len(raw)):
        path.write_bytes(raw[:length])
        storage = Storage(tmp_path)
        torn = storage.journal("log")
        assert torn.records == records[:2]
        assert storage.repairs == 1
        torn.append(b"after")
        storage.close()
        assert Storage(tmp_path).journal("log").records == [b"one", b"", b"after"]


def test_rewriting_replaces_all_records_at_once(tmp_path: Path) -> None:
    """After a rewrite the journal holds the new records and takes more."""
    journal = Storage(tmp_path).journal("log")
    journal.append(b"old")
    journal.rewrite([b"a", b"b"])
    journal.append(b"c")
    assert Storage(tmp_path).journal("log").records == [b"a", b"b", b"c"]


@pytest.mark.parametrize("room", [0, 1, 8, 15, 30])
def test_a_full_medium_is_an_error_that_names_the_file_and_harms_nothing(
    tmp_path: Path, room: int
) -> None:
    """A save or append that does not fit raises, and what was there is still there."""
    Storage(tmp_path).save("state", b"good")
    Storage(tmp_path).journal("log").append(b"good")
    full = Storage(tmp_path, Full(room))
    with pytest.raises(StorageError, match=r"state\.\d: cannot be written: No space left"):
        full.save("state", b"bad" * 20)
    full.files = Full(room)
    journal = full.journal("log")
    with pytest.raises(StorageError, match=r"log\.journal: append failed: No space left"):
        journal.append(b"bad" * 20)
    assert Storage(tmp_path).load("state") == b"good"
    assert Storage(tmp_path).journal("log").records == [b"good"]
    assert not list(tmp_path.glob("*.tmp")), "a leftover keeps a full medium full"


def test_a_journal_that_cannot_be_shortened_says_the_same(tmp_path: Path) -> None:
    """On a full medium a journal stays long, is counted, and takes more when there is room."""
    storage = Storage(tmp_path)
    journal = storage.journal("log")
    journal.append(b"one")
    storage.files = Full(10)
    assert not journal.shorten([b"a record that is too long"])
    assert storage.unshortened == 1
    storage.files = Files()
    journal.append(b"two")
    assert Storage(tmp_path).journal("log").records == [b"one", b"two"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """Storage below a file is an error that names the path."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be made"):
        Storage(tmp_path / "file" / "storage")
