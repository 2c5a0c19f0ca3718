"""No C function touches an octet outside of its buffers: each stands between forbidden pages."""

import subprocess
import sys

#: Runs in a process of its own: an octet too far ends it by signal.
GUARDED = '''
import ctypes, mmap, random, sys
import construct as c
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.native import ffi, lib
from flightsw.codec.coding import cltu
from flightsw.codec.packet import space_packet
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
maps = []

def guarded(data, at_end):
    """Return a pointer to data that ends (or begins) at a page that may not be touched."""
    room = -(-max(len(data), 1) // PAGE) * PAGE
    area = mmap.mmap(-1, room + 2 * PAGE)
    maps.append(area)
    base = ctypes.addressof(ctypes.c_char.from_buffer(area))
    assert libc.mprotect(base, PAGE, 0) == 0
    assert libc.mprotect(base + PAGE + room, PAGE, 0) == 0
    start = PAGE + (room - len(data) if at_end else 0)
    area[start : start + len(data)] = data
    return ffi.cast("uint8_t *", base + start)

rnd = random.Random(3)
if "touch" in sys.argv:
    print(guarded(b"abc", True)[3])
for end in (True, False):
    for n in [*range(0, 70), 255, 1115]:
        data = rnd.randbytes(n)
        p = guarded(data, end)
        assert lib.fs_crc16(p, n, 0xFFFF) == lib.fs_crc16(data, n, 0xFFFF)
        out = guarded(bytes(n), end)
        lib.fs_pn_fill(0, out, n)
        lib.fs_randomise(0, p, out, n, 1)
        if n:
            size = lib.fs_cltu_nbytes(n)
            assert lib.fs_cltu_encode(p, n, guarded(bytes(size), end), size) == size
            assert lib.fs_cltu_encode(p, n, guarded(bytes(size - 1), end), size - 1) < 0
        unit = cltu.encode(data or b"x")
        rx = ffi.new("fs_cltu_receiver *")
        lib.fs_cltu_feed(rx, guarded(unit, end), len(unit))
        assert rx.ready
        packets = b"".join(space_packet.pack(1, i, b"ab") for i in range(n % 5))
        cut = packets + b"\\x08\\x00\\x00\\x00\\x00\\x09"[: n % 7]
        columns = ffi.new("fs_packet_columns *", [
            ffi.cast(kind + " *", guarded(bytes(8 * 9), end))
            for kind in ("uint64_t", "uint32_t", "uint16_t", "uint16_t")])
        lib.fs_packet_scan(guarded(cut, end), len(cut), columns, 9, ffi.new("uint64_t *"))
    frames = Frames("tm", 64, 1, ocf=True)
    encoder, receiver = tm_frame.Encoder(frames), tm_frame.Receiver(frames)
    encoder.add(0, space_packet.pack(1, 1, rnd.randbytes(500)))
    while frame := encoder.next_frame(0, bytes(4), flush=True):
        for octets in (tm_frame.cadu(frame), rnd.randbytes(40) + tm_frame.ASM[:3]):
            receiver._sink.rows_used = receiver._sink.octets_used = 0
            lib.fs_chain_feed(receiver._line.state, guarded(octets, end), len(octets),
                ffi.new("uint64_t *"), receiver._sink)
    for widths in ([3, 5], [1, 64, 7], [17] * 8, [64], [33, 31, 64, 64, 5, 3], [24, 24], [8] * 9):
        fields = [f"f{i}" / c.BitsInteger(w) for i, w in enumerate(widths)]
        layout = compile_layout(c.BitStruct(*fields))
        n, k = layout.nbytes, len(widths)
        slots = ffi.new("uint64_t[]", 16)
        lib.fs_layout_decode(layout._out_table, k, guarded(rnd.randbytes(n), end), n, slots)
        packet = guarded(bytes(n), end)
        assert lib.fs_layout_encode(layout._in_table, k, ffi.buffer(slots)[:], packet, n) == n
        for count in (1, 2, 130):
            rows = layout.decode_columns(rnd.randbytes(n * count))
            ins = [guarded(rows[f"f{i}"].tobytes(), end) for i in range(k)]
            outs = [guarded(bytes(rows[f"f{i}"].nbytes), end) for i in range(k)]
            packets = guarded(bytes(n * count), end)
            plan = layout.prepared.pointer
            assert lib.fs_layout_encode_columns(plan, layout._blank,
                ffi.new("uint8_t *[]", ins), count, packets, n * count) == count
            assert lib.fs_layout_decode_columns(plan, packets, n * count,
                ffi.NULL, n, count, ffi.new("uint8_t *[]", outs)) == count
            assert all(
                ffi.buffer(a, rows[f"f{i}"].nbytes)[:] == ffi.buffer(b, rows[f"f{i}"].nbytes)[:]
                for i, (a, b) in enumerate(zip(ins, outs, strict=True)))
print("done")
'''


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the guarded script."""
    return subprocess.run(
        [sys.executable, "-c", GUARDED, *arguments], capture_output=True, text=True, check=False
    )


def test_kernels_stay_inside_their_buffers() -> None:
    """All kernels run with inputs and outputs flush against forbidden pages, at either end."""
    result = run()
    assert (result.returncode, result.stdout.strip()) == (0, "done"), result.stderr


def test_the_guard_bites() -> None:
    """Reading one octet behind a guarded buffer ends the process before it can print."""
    result = run("touch")
    assert result.returncode != 0
    assert result.stdout == ""
