"""Products are put together from parts in any order, once, and their gaps are known."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.dictionary.products import PART_FIRST, PART_HEADER, PART_LAST, PART_NEXT
from hil.ground.products import Assembly, ProductAssembler

QUIET = 8_000_000_000


def parts_of(job: int, body: bytes, size: int) -> list[tuple[int, bytes]]:
    """Cut a product into (subtype, source data) parts as the payload does."""
    octets = body + zlib.crc32(body).to_bytes(4, "big")
    pieces = [octets[i : i + size] for i in range(0, len(octets), size)]
    return [
        (
            PART_LAST if n == len(pieces) else PART_FIRST if n == 1 else PART_NEXT,
            PART_HEADER.build({"job": job, "part": n}) + piece,
        )
        for n, piece in enumerate(pieces, start=1)
    ]


@given(st.binary(min_size=1, max_size=400), st.integers(1, 60), st.randoms(use_true_random=False))
def test_any_order_and_any_loss_ends_in_the_same_octets(body, size, shuffle):
    """Parts lost at first and asked for again complete the product with exactly its octets."""
    parts = parts_of(7, body, size)
    arriving = [part for part in parts if shuffle.random() < 0.6]
    shuffle.shuffle(arriving)
    ground = ProductAssembler()
    ground.open[7] = Assembly()
    for subtype, data in arriving:
        ground.take(0, subtype, data)
    for turn in range(1, 4):
        for job, first, count in ground.to_ask(turn * 10 * QUIET, QUIET):
            assert job == 7
            for number in range(first, min(first + count, len(parts) + 1)):
                ground.take(turn * 10 * QUIET, *parts[number - 1])
    assert ground.complete[7].octets == body + zlib.crc32(body).to_bytes(4, "big")
    assert ground.counters["parts_repeated"] == ground.counters["parts_after_complete"] == 0


def test_a_part_that_comes_again_unasked_is_counted():
    """A product sent twice shows in a counter and changes nothing that was received."""
    ground = ProductAssembler()
    parts = parts_of(1, b"product body", 5)
    for part in parts:
        ground.take(0, *part)
    before = ground.complete[1]
    for part in parts:
        ground.take(1, *part)
    assert ground.complete[1] is before
    assert ground.counters["parts_after_complete"] == len(parts)


def test_damage_that_a_frame_check_missed_is_found_by_the_product():
    """A whole product with a wrong checksum is not accepted, and is asked for again."""
    ground = ProductAssembler()
    for subtype, data in parts_of(1, b"product body", 5):
        ground.take(0, subtype, data[:-1] + bytes([data[-1] ^ 1]))
    assert not ground.complete
    assert ground.counters["bad_products"] == 1
    assert ground.to_ask(2 * QUIET, QUIET) == [(1, 1, 0xFFFF)]


def test_a_part_too_short_to_read_is_refused_and_counted():
    """Source data without a part in it is counted and otherwise ignored."""
    ground = ProductAssembler()
    assert ground.take(0, PART_FIRST, b"\x00\x00") is None
    assert ground.counters["bad_parts"] == 1


def test_a_product_lost_entirely_is_asked_for_when_its_sending_was_reported():
    """A product of which no part came is asked for whole once ground hears that it was sent."""
    ground = ProductAssembler()
    ground.expect(0, 3, 2)
    assert ground.to_ask(2 * QUIET, QUIET) == [(3, 1, 2)]


def test_a_part_asked_for_twice_may_come_twice():
    """When ground itself asked twice, the second copy is not held against the spacecraft."""
    ground = ProductAssembler()
    parts = parts_of(1, b"product body", 5)
    ground.take(0, *parts[-1])
    ground.to_ask(2 * QUIET, QUIET)
    ground.to_ask(4 * QUIET, QUIET)
    for part in parts[:-1] * 2:
        ground.take(5 * QUIET, *part)
    assert 1 in ground.complete
    assert ground.counters["parts_repeated"] == ground.counters["parts_after_complete"] == 0
    ground.take(6 * QUIET, *parts[0])
    assert ground.counters["parts_after_complete"] == 1
