"""The wire record: C, construct and the fast packer agree on every octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec import wire
from flightsw.codec.errors import TruncatedError
from flightsw.codec.native import ffi

U8, U32, U64 = (st.integers(0, (1 << n) - 1) for n in (8, 32, 64))
RECORDS = st.builds(wire.Record, U8, U8, U8, U8, U64, U64, U32, U32, st.binary(max_size=80))


@given(RECORDS)
def test_c_construct_and_packer_give_the_same_octets(record):
    """The C structure, laid over the octets, has the fields that construct and the packer wrote."""
    octets = record.pack()
    described = wire.RECORD.build(
        {
            "header": {
                **{name: getattr(record, name) for name in record._fields[:-1]},
                "length": len(record.payload),
            },
            "payload": record.payload,
        }
    )
    assert octets == described
    head = ffi.new("fs_record *")
    ffi.memmove(head, octets, ffi.sizeof("fs_record"))
    assert head.length == len(record.payload)
    for name in record._fields[:-1]:
        assert getattr(head, name) == getattr(record, name)


@given(st.lists(RECORDS, max_size=12))
def test_a_message_of_records_comes_apart_again(records):
    """Scanning in C and walking in Python find the same records, and they are those packed."""
    message = b"".join(record.pack() for record in records)
    assert list(wire.unpack_all(message)) == records
    assert [wire.unpack_from(message, at)[0] for at in wire.scan(message)] == records


@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_a_message_cut_short_is_refused(records, data):
    """A message that ends inside a record raises, in C and in Python."""
    message = b"".join(record.pack() for record in records)
    ends = [0]
    for record in records:
        ends.append(ends[-1] + len(record.pack()))
    cut = data.draw(st.integers(1, len(message) - 1).filter(lambda n: n not in ends))
    with pytest.raises(TruncatedError):
        wire.scan(message[:cut])
    with pytest.raises(TruncatedError):
        list(wire.unpack_all(message[:cut]))


def test_every_kind_flag_and_status_has_its_own_number():
    """No two kinds, flags or statuses share a number, and the time protocol is below the digest."""
    for enum in (wire.Kind, wire.Flag, wire.Status):
        assert len({int(member) for member in enum}) == len(list(enum))
    protocol = {kind for kind in wire.Kind if kind < wire.FIRST_DIGEST_KIND}
    assert {kind.name for kind in protocol} == {
        "HELLO",
        "WELCOME",
        "NEXT",
        "GRANT",
        "END",
        "END_ACK",
        "REFUSE",
        "OPEN",
        "ATTRIBUTE",
        "LINES",
        "NUMBER",
        "STORED",
    }
