"""What comes over the socket: greetings and files of others are checked before they are used."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.wire import Kind, pack
from flightsw.storage import run_name
from hil.serving.greeting import HELLO_LIMIT_NBYTES, TEXT_LIMIT_NCHARS, Hello, read_hello
from hil.serving.storing import Keeping


def stored(name: bytes, octets: bytes) -> bytes:
    """Return the payload of a STORED record."""
    return struct.pack("<H", len(name)) + name + octets


@pytest.mark.parametrize(
    "name", [b"../up", b"/abs", b"a/b", b".hidden", b"..", b"n\0l", b"x" * 129, b"\xff", b"a b"]
)
def test_a_file_that_would_lie_elsewhere_is_refused(tmp_path: Path, name: bytes) -> None:
    """Nothing but a plain name makes a file, and what was refused is counted."""
    folder = tmp_path / "payload"
    folder.mkdir()
    keeping = Keeping(folder)
    keeping.take(stored(name, b"octets"))
    assert keeping.counters == {"files": 0, "octets": 0, "files_refused": 1}
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_file_is_written_once_and_the_last_one_has_no_name(tmp_path: Path) -> None:
    """A second file of a name is refused; the end brings the counters of the peer."""
    keeping = Keeping(tmp_path)
    keeping.take(stored(b"job-1.0", b"one"))
    keeping.take(stored(b"job-1.0", b"two"))
    assert not keeping.is_whole
    keeping.take(stored(b"", b'{"islands": 2, "bad": "x", "no name": 3}'))
    assert keeping.is_whole
    assert (tmp_path / "job-1.0").read_bytes() == b"one"
    assert keeping.counters["files_refused"] == 1
    assert keeping.counted == {"islands": 2, "bad": 0}


@pytest.mark.parametrize("octets", [b"[" * 1_000_000, b"{", b'{"a":' * 1_000_000])
def test_counters_that_cannot_be_read_are_refused(tmp_path: Path, octets: bytes) -> None:
    """The end of a storage counts as the end, however its counters are nested."""
    keeping = Keeping(tmp_path)
    keeping.take(stored(b"", octets))
    assert keeping.is_whole
    assert keeping.counters["files_refused"] == 1


@given(st.binary(max_size=80))
def test_no_payload_makes_a_file_elsewhere(payload: bytes) -> None:
    """Whatever the octets, a name is none, nothing, or plain."""
    name, octets = Keeping._parts(payload)
    assert name is None or name == "" or Path(name).name == name
    assert len(octets) <= len(payload)


def hello(**fields: object) -> bytes:
    """Return a greeting with these fields."""
    return pack(Kind.HELLO, payload=json.dumps(fields).encode())


def test_a_greeting_is_read_within_limits() -> None:
    """Names are cut and shown by value, numbers are whole, other types are nothing."""
    known = read_hello(hello(protocol=1, name="\x1b[2J" + "n" * 99, pid="12", host=7, link=True))
    assert isinstance(known, Hello)
    assert known.name.startswith("\\x1b[2J")
    assert len(known.name) < 2 * TEXT_LIMIT_NCHARS
    assert (known.pid, known.host, known.link) == (0, "", 0)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        hello(name="x"),
        hello(protocol=2),
        hello(protocol=[1]),
        pack(Kind.HELLO, payload=b"[" * 4000),
        pack(Kind.HELLO, payload=b"\xff"),
        hello(protocol=1, name="n" * HELLO_LIMIT_NBYTES),
        hello(protocol=1)[:-1],
    ],
)
def test_what_is_no_greeting_of_ours_is_refused(message: bytes) -> None:
    """Anything else gets a reason that names both protocols."""
    why = read_hello(message)
    assert isinstance(why, str)
    assert "the bench speaks protocol 1" in why


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".x", 7, None, "r" * 129])
def test_a_bench_cannot_choose_a_folder_elsewhere(name: object) -> None:
    """A run whose name is none has the folder ``run``."""
    assert run_name({"link": {"run": name}}) == "run"
    assert run_name({"link": {"run": "bupt1-0001-ab"}}) == "bupt1-0001-ab"
