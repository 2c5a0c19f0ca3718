"""Entry points whose other tests run without forbidden pages: no octet outside is touched."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
from construct import Array, Int8ub, Int16ub, Struct, this
from guard import Guard

from flightsw.codec import wire
from flightsw.codec.columns.layout import compile_layout, field
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import space_packet


def _place(guard: Guard, kind: str, data: bytes) -> Any:
    """Return a typed pointer to data that ends at a forbidden page."""
    return ffi.cast(f"{kind} *", guard.place(data, at_end=True))


def _records(count: int) -> bytes:
    """Return wire records of kind 0x22, which is JSON, and of kind 1, in turn."""
    made = b""
    for i in range(count):
        kind = 0x22 if i % 2 else 1
        made += struct.pack("<BBBBIQQII", kind, 0, 0, 0, i, i, 1, i, 0) + bytes(i)
    return made


def test_captures(guard: Guard) -> None:
    """Scanning, packing, indexing and unpacking records stays inside of all their buffers."""
    records = _records(12)
    assert len(wire.scan(records)) == 12
    ids = np.zeros(2 * 65536, np.uint16)
    ids[[0x0100, 0x2200, 65536 + 0x2200]] = [1, 2, 3]
    sources = np.full(65536, 0x10000, np.uint32)
    sources[[1, 2, 3]] = 0x20100, 0x22200, 0x32200
    for source in guard.both(records):
        offsets = _place(guard, "uint64_t", bytes(8 * 12))
        assert lib.fs_wire_scan(source, len(records), offsets, 12) == 12
        assert lib.fs_wire_scan(source, len(records) - 1, offsets, 12) == lib.FS_E_SHORT
        state = ffi.new("fs_mcap_chunk *")
        room = len(records) + 12 * 31 - 6 * 32
        chunk, entries = (
            guard.place(bytes(room), at_end=True),
            _place(guard, "fs_mcap_entry", bytes(24 * 12)),
        )
        table = _place(guard, "uint16_t", ids.tobytes())
        packed = lib.fs_mcap_pack(
            source, len(records), table, 5, 10**6, chunk, room, entries, 12, state
        )
        assert (packed, state.used, state.consumed) == (12, room, len(records))
        counts, places = (_place(guard, kind, bytes(8 * 4)) for kind in ("uint32_t", "uint64_t"))
        nindex = 2 * 15 + 12 * 16
        index = guard.place(bytes(nindex), at_end=True)
        assert lib.fs_mcap_index(entries, 12, counts, places, 4, index, nindex) == nindex
        back = guard.place(bytes(len(records)), at_end=True)
        choice = ffi.new("fs_mcap_choice *")
        choice.sources = _place(guard, "uint32_t", sources.tobytes())
        choice.epoch_ns, choice.last_ns, choice.least_step = 5, 2**64 - 1, -(2**63)
        seen = _place(guard, "fs_mcap_seen", bytes(56))
        got = lib.fs_mcap_unpack(chunk, room, choice, back, len(records), seen)
        assert got == len(records)
        assert ffi.buffer(back, got)[:] == records
        again = _place(guard, "fs_mcap_entry", bytes(24 * 12))
        assert lib.fs_mcap_entries(chunk, room, again, 12) == 12
        assert [again[i].offset for i in range(12)] == [entries[i].offset for i in range(12)]
        rows, payload = (_place(guard, "fs_wire_row", bytes(40 * 12)), len(records) - 12 * 32)
        column = guard.place(bytes(payload), at_end=True)
        found = lib.fs_wire_table(back, len(records), 7, rows, 12, column, payload)
        assert (found, rows[11].offset) == (12, 7 + payload - 11)


def test_sequences_and_segments(guard: Guard) -> None:
    """Following counts and joining segments stays inside of packets, lists, slots and output."""
    rnd = random.Random(5)
    flags = [1, 0, 2, 3, 1, 2, 0]
    packets = [space_packet.pack(7, i, rnd.randbytes(3 + 5 * i)) for i in range(len(flags))]
    packets = [
        p[:2] + bytes([f << 6 | p[2] & 63]) + p[3:] for p, f in zip(packets, flags, strict=True)
    ]
    lengths = np.array([len(p) for p in packets], np.uint32)
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.uint64)
    words = np.frombuffer(b"".join(p[:4] for p in packets), ">u2").astype(np.uint16)
    stream, n = b"".join(packets), len(packets)
    for source in guard.both(stream):
        columns = ffi.new("fs_packet_columns *")
        columns.nbytes = _place(guard, "uint32_t", lengths.tobytes())
        columns.id = _place(guard, "uint16_t", words[::2].tobytes())
        columns.sequence = _place(guard, "uint16_t", words[1::2].tobytes())
        missing = _place(guard, "uint16_t", bytes(2 * n))
        verdict = guard.place(bytes(n), at_end=True)
        ok = guard.place(bytes([1] * n), at_end=True)
        tracker = ffi.new("fs_packet_tracker *")
        assert lib.fs_packet_track(tracker, columns, ok, n, missing, verdict) == n
        joiner = ffi.new("fs_packet_joiner *", {"nslots": 1, "slot_nbytes": 64})
        joiner.slots = _place(guard, "fs_packet_slot", bytes(ffi.sizeof("fs_packet_slot")))
        joiner.memory = guard.place(bytes(64), at_end=True)
        units = _place(guard, "fs_packet_unit", bytes(4 * ffi.sizeof("fs_packet_unit")))
        where = _place(guard, "uint64_t", offsets.tobytes())
        out, taken = guard.place(bytes(3 * 64), at_end=True), ffi.new("uint64_t *")
        got = lib.fs_packet_join(
            joiner, source, len(stream), where, columns.nbytes, n, units, 4, out, 192, taken
        )
        assert (got, taken[0], joiner.complete) == (3, n, 2)


def test_synchroniser(tier: str, guard: Guard) -> None:
    """Units of a stream at any bit, judged bad and cut by the flywheel, are read inside of it."""
    settings = ffi.new("fs_sync_settings *", {"marker": 0x1ACFFC1D, "marker_nbits": 32})
    settings.unit_nbits, settings.step, settings.lock_wrong, settings.slip = 8 * 50, 1, 3, 2
    settings.misses, settings.inverted = 2, 1
    rnd = random.Random(1)
    whole = b"".join(b"\x1a\xcf\xfc\x1d" + rnd.randbytes(50) for _ in range(5))
    for shift in range(8):
        bits = int.from_bytes(whole, "big") << (8 - shift)
        stream = bits.to_bytes(len(whole) + 1, "big")
        for cut in (len(stream), len(stream) - 30, 54, 55):
            for source in guard.both(stream[:cut]):
                for judged in (None, 0, 1):
                    sync, at = ffi.new("fs_sync *"), ffi.new("uint64_t *")
                    unit = _place(guard, "fs_unit", bytes(ffi.sizeof("fs_unit")))
                    assert lib.fs_sync_reset(sync, settings) == 0
                    while lib.fs_sync_next(sync, source, 8 * cut, at, unit):
                        assert unit.bit + 400 <= 8 * cut
                        if judged is not None:
                            lib.fs_sync_judge(sync, judged, at)
                found = _place(guard, "fs_unit", bytes(2 * ffi.sizeof("fs_unit")))
                out, pn = (guard.place(bytes(n), at_end=True) for n in (100, 50))
                sync, at[0] = ffi.new("fs_sync *"), 0
                lib.fs_sync_reset(sync, settings)
                lib.fs_sync_units(sync, source, 8 * cut, at, pn, out, found, 2)
                hits = _place(guard, "fs_marker_hit", bytes(2 * ffi.sizeof("fs_marker_hit")))
                searched = ffi.new("uint64_t *")
                lib.fs_marker_search_plain(
                    source, cut, 0, 8 * cut, 0x1ACFFC1D, 32, 3, 1, 1, hits, 2, searched
                )


def test_live_batches(tier: str, guard: Guard) -> None:
    """A live batch of packets shorter than a vector reads and writes what it was given."""
    layout = compile_layout(Struct(field("a", Int16ub), field("b", Int8ub)))
    for packets in guard.both(bytes(range(3 * 17))):
        columns = [guard.place(bytes(17 * n), at_end=True) for n in (2, 1)]
        pointers = ffi.new("uint8_t *[]", columns)
        live = ffi.new("fs_layout_live *", {"nbytes": 51, "stride": 3, "capacity": 17})
        live.layout, live.buf, live.columns = layout.prepared.pointer, packets, pointers
        for count in (1, 16, 17):
            assert lib.fs_layout_live_decode(live, count) == count
        assert lib.fs_layout_live_decode(live, 18) == lib.FS_E_CAPACITY


def test_variable_columns(guard: Guard) -> None:
    """Packets of varying length go to columns and back without a look outside of either."""
    layout: Any = compile_layout(
        Struct(field("n", Int8ub), field("v", Array(this.n, Int16ub)), field("z", Int8ub))
    )
    program = layout._program
    packets = [bytes([n]) + bytes(range(2 * n)) + b"\x09" for n in (0, 3, 1, 7)]
    stream, count = b"".join(packets), len(packets)
    sizes = {("values", 0): count, ("values", 1): 2 * 11, ("offsets", 0): 8 * (count + 1)}
    for source in guard.both(stream):
        columns = ffi.new(
            "uint8_t *[]",
            [guard.place(bytes(sizes[c.role, c.scope]), at_end=True) for c in program.columns],
        )
        room, total = (_place(guard, "uint64_t", bytes(16)) for _ in range(2))
        room[0], room[1] = count, 11
        table = ffi.new("fs_table *", {"columns": columns, "room": room, "total": total})
        faults, fault = guard.place(bytes(count), at_end=True), ffi.new("fs_fault *")
        none = ffi.NULL
        done = lib.fs_variable_decode(
            program.table, source, len(stream), none, none, 0, count, table, faults, fault
        )
        assert (done, fault.code, total[1]) == (count, lib.FS_V_GOOD, 11)
        total[0] = total[1] = 0
        out = guard.place(bytes(len(stream)), at_end=True)
        ends = _place(guard, "uint64_t", bytes(8 * count))
        code = lib.fs_variable_encode(program.table, table, count, out, len(stream), ends, fault)
        assert (code, ffi.buffer(out, len(stream))[:]) == (len(stream), stream)
        total[0] = total[1] = 0
        code = lib.fs_variable_encode(
            program.table, table, count, out, len(stream) - 1, ends, fault
        )
        assert (code, fault.code) == (lib.FS_E_RANGE, lib.FS_V_ROOM)
