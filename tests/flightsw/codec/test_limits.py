"""Arguments at the ends of their ranges: no sum wraps, nothing is written where it must not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from construct import Array, Int8ub, Struct, this

from flightsw.codec.columns.layout import compile_layout, field
from flightsw.codec.errors import CodecError
from flightsw.codec.native import ffi, lib

CSRC = Path(__file__).resolve().parents[3] / "csrc"
_U32 = 2**32 - 1


@pytest.mark.parametrize("before", [1, 2, 5, 6])
@pytest.mark.parametrize("nsymbols", [524, 536, 548])
def test_hard_symbols_need_no_more_room_than_is_asked_for(before: int, nsymbols: int) -> None:
    """However a long input is cut inside, the room of fs_viterbi_nbytes takes all its symbols."""
    setup = ffi.new("fs_viterbi_setup *", {"code": (lib.FS_CONV_2_3, 0), "depth": 16})
    setup.segment, setup.start = 64, -1
    decoder, data = ffi.new("fs_viterbi *"), bytes(1000)
    assert lib.fs_viterbi_begin(decoder, setup) == 0
    lib.fs_viterbi_feed(decoder, data, before, ffi.new("uint8_t[64]"), 64)
    room = lib.fs_viterbi_nbytes(decoder, nsymbols)
    out = ffi.new("uint8_t[]", room)
    assert 0 < lib.fs_viterbi_feed_hard(decoder, data, nsymbols, out, room) <= room
    assert decoder.symbols == before + nsymbols


@pytest.mark.parametrize("member", ["before_nbytes", "behind_nbytes"])
def test_record_headers_longer_than_any_buffer_hold_no_packet(member: str) -> None:
    """A record header or trailer of 4 GiB makes the finder wait, not read elsewhere."""
    finder, consumed = ffi.new("fs_packet_finder *", {member: _U32}), ffi.new("uint64_t *")
    columns = ffi.new("fs_packet_columns *")
    columns.offset = offset = ffi.new("uint64_t[1]")
    columns.nbytes, columns.id = (nbytes := ffi.new("uint32_t[1]")), (ids := ffi.new("uint16_t[1]"))
    columns.sequence = sequence = ffi.new("uint16_t[1]")
    packet = b"\x08\x01\xc0\x00\x00\x01ab"
    assert lib.fs_packet_find(finder, packet, 8, 0, columns, 1, consumed) == 0
    assert (consumed[0], finder.record_octets, finder.skipped_octets) == (0, 0, 0)
    del offset, nbytes, ids, sequence


@pytest.mark.parametrize("wrong", [16, 17, 2**31, 2**31 + 3, _U32])
def test_a_search_that_every_place_would_match_is_refused(tier: str, wrong: int) -> None:
    """Half of a marker's bits wrong, or more, is out of range, however large the number."""
    hits, searched = ffi.new("fs_marker_hit[4]"), ffi.new("uint64_t *")
    for search in (lib.fs_marker_search, lib.fs_marker_search_plain):
        code = search(bytes(64), 64, 0, 512, 0x1ACFFC1D, 32, wrong, 1, 0, hits, 4, searched)
        assert code == lib.FS_E_RANGE


def test_units_of_no_octets_are_done_at_once() -> None:
    """Nothing is to be done for any number of empty units, and no pointer is needed."""
    many = 2**62
    assert lib.fs_pn_fill(0, ffi.NULL, 0) == 0
    assert lib.fs_pn_apply(ffi.NULL, ffi.NULL, 0, ffi.NULL, 0, 0, many) == 0
    assert lib.fs_randomise(2, ffi.NULL, ffi.NULL, 0, many) == 0
    assert lib.fs_randomise(3, ffi.NULL, ffi.NULL, 0, 1) == lib.FS_E_RANGE


def test_an_index_of_more_messages_than_its_length_can_say_is_refused() -> None:
    """2^28 messages would need 2^32 octets behind a length of 32 bits; nothing is written."""
    counts, places = ffi.new("uint32_t[1]", [7]), ffi.new("uint64_t[1]")
    code = lib.fs_mcap_index(ffi.NULL, 2**28, counts, places, 1, ffi.NULL, 2**40)
    assert (code, counts[0]) == (lib.FS_E_RANGE, 7)


def test_a_chunk_that_is_said_to_be_fuller_than_it_is_long_takes_no_record() -> None:
    """A state whose octets in use exceed the capacity has room for nothing."""
    state, ids = ffi.new("fs_mcap_chunk *", {"used": 65}), ffi.new("uint16_t[]", [1] * 131072)
    chunk, entries = ffi.new("uint8_t[64]"), ffi.new("fs_mcap_entry[4]")
    code = lib.fs_mcap_pack(bytes(32), 32, ids, 0, 10**6, chunk, 64, entries, 4, state)
    assert (code, state.consumed, state.used) == (0, 0, 65)


def test_frames_of_one_length_need_a_stride() -> None:
    """Frames of one length one behind the other without a stride are refused, not waited for."""
    receiver, sink = ffi.new("fs_frame_receiver *"), ffi.new("fs_frame_sink *")
    settings = ffi.new("fs_frame_settings *", {"kind": lib.FS_FRAME_USLP, "nbytes": 64})
    settings.scid, consumed = -1, ffi.new("uint64_t *", 9)
    assert lib.fs_frame_reset(receiver, settings, ffi.NULL, 0) == 0
    code = lib.fs_frame_take_batch(receiver, bytes(128), 128, 0, consumed, sink)
    assert (code, consumed[0]) == (lib.FS_E_RANGE, 0)


def test_packets_are_not_written_over_octets_that_cannot_change() -> None:
    """A buffer that is read-only is refused by both kinds of layouts, and stays as it was."""
    for last in (Int8ub, Array(this.n, Int8ub)):
        layout = compile_layout(Struct(field("n", Int8ub), field("v", last)))
        out = bytes(8)
        columns = {"n": [1], "v": [7] if last is Int8ub else [[7]]}
        with pytest.raises(CodecError, match="written"):
            layout.encode_columns_into(columns, out)  # type: ignore[arg-type]
        assert out == bytes(8)


def test_every_instruction_set_of_a_tier_is_asked_for() -> None:
    """What FS_TARGET_ lets a compiler use, fs_tier_best looks for: else a kernel ends by signal."""
    header, source = (CSRC / "tier.h").read_text(), (CSRC / "tier.c").read_text()
    rows = re.findall(
        r"define FS_TARGET_(\w+)\s*\\?\s*__attribute__\(\(target\((.*?)\)\)\)", header, re.S
    )
    assert {name for name, _ in rows} >= {"SSSE3", "AVX2", "AVX512"}
    for name, text in rows:
        features = set("".join(re.findall(r'"(.*?)"', text)).split(",")) - {"crypto", "+crypto"}
        asked = set(re.findall(r'cpu_supports\("(\w+)"\)', source))
        assert features <= asked, name
