"""A run that was frozen goes on, thawed, as it would have."""

from __future__ import annotations

import functools
import io
import os
import pickle
from collections import deque
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from hil.digest import RecordStream
from hil.errors import SnapshotError
from hil.parts.base import stream as numbers
from hil.replay.stepped import Stepped
from hil.series import Series
from hil.snapshots.freezing import dump, freeze
from hil.snapshots.pool import MemoryPool
from hil.snapshots.thawing import load, thaw
from hil.time.kernel import Kernel

from .flights import FAULTS, SECOND, Kept, behind, stepped

#: before the first step; in the first boot's wake; down, with a cut boot behind; up again
MOMENTS_S = (0.0, 4.2, 12.35, 75.0, 100.0)


@pytest.mark.parametrize(
    ("board", "faults"),
    [("raspberrypi4", FAULTS), ("raspberrypi5", ()), ("jetson_agx_orin", ("kill@12.3",))],
)
def test_a_thawed_run_goes_on_as_it_would_have(board, faults, tmp_path):
    """Every record behind each snapshot, and the digest, are those of the run that went straight
    on: through a kill, a reset, a boot, faults of buses, on several boards."""
    run = stepped(tmp_path / "straight", board=board, faults=faults)
    pool, kept = MemoryPool(), []
    for t_s in MOMENTS_S:
        run.run_to_ns(round(t_s * SECOND))
        kept.append(freeze(run, pool))
    run.run()
    octets, digest = bytes(run.rig.stream.octets), run.rig.stream.hexdigest()
    for number, frozen in enumerate(kept):
        again = thaw(frozen, pool, tmp_path / str(number), behind(octets, frozen.seq))
        assert (again.seq, again.now_ns) == (frozen.seq, frozen.t_ns)
        again.run()
        assert octets.endswith(again.rig.stream.octets)
        assert again.rig.stream.hexdigest() == digest
        assert again.rig.counters == run.rig.counters
        assert again.rig.events == run.rig.events
        left = {p.name: p.read_bytes() for p in (tmp_path / str(number)).iterdir()}
        assert left == {p.name: p.read_bytes() for p in (tmp_path / "straight").iterdir()}


def test_a_snapshot_is_small_and_changes_nothing(tmp_path):
    """A frozen run flies on as one that nobody froze; a snapshot takes less than a megabyte."""
    straight, frozen = stepped(tmp_path / "a"), stepped(tmp_path / "b")
    straight.run_to_ns(30 * SECOND)
    pool = MemoryPool()
    for t_s in range(30):
        frozen.run_to_ns(t_s * SECOND)
        assert len(freeze(frozen, pool).state) < 1 << 20
    straight.run()
    frozen.run()
    assert frozen.rig.stream.hexdigest() == straight.rig.stream.hexdigest()
    assert frozen.rig.stream.octets == straight.rig.stream.octets


def again(thing, tmp_path):
    """Return a thing frozen and thawed."""
    pool = MemoryPool()
    return load(dump(thing, pool, tmp_path), pool, tmp_path / "new", RecordStream())


def test_functions_without_a_name_keep_what_they_share(tmp_path):
    """Closures share their cells, know themselves, and keep defaults; the code is the module's."""
    uart = stepped(tmp_path / "run").rig.wiring.buses["ttyAMA1"]
    found = again(uart, tmp_path)
    old, emit = uart._emit, found._emit
    assert emit is not old
    assert (emit.__code__, emit.__qualname__) == (old.__code__, old.__qualname__)
    names = emit.__code__.co_freevars
    inside = dict(zip(names, (cell.cell_contents for cell in emit.__closure__), strict=True))
    exchange = inside["self"]
    assert exchange.lanes[inside["index"]].bus is found
    others = [lane.bus._emit for lane in exchange.lanes.values() if hasattr(lane.bus, "_emit")]
    cells = {id(other.__closure__[names.index("self")].cell_contents) for other in others}
    assert len(others) > 2
    assert cells == {id(exchange)}


def test_arrays_numbers_and_calls_are_what_they_were(tmp_path):
    """Views stay views of one memory, generators go on, partial calls and methods are bound."""
    whole = np.arange(24, dtype=np.int32).reshape(4, 6)
    table = np.zeros(3, [("at", "<u8"), ("kind", "u1")])
    draws = numbers(7, "test")
    draws.random(5)
    fixed = np.ones(2000)
    fixed.flags.writeable = False
    series = Series()
    things = {
        "views": [whole, whole[1:3, ::2], whole.T],
        "table": table,
        "fixed": fixed,
        "tall": np.asfortranarray(whole),
        "draws": draws,
        "call": functools.partial(series.add, 5),
        "methods": [series.add, series.add],
        "queue": deque([1, 2], maxlen=7),
        "number": np.float32(1.5),
        "memory": memoryview(np.arange(5.0)),
    }
    found = again(things, tmp_path)
    base, part, turned = found["views"]
    assert np.array_equal(part, whole[1:3, ::2])
    base[1, 0] = -5
    assert part[0, 0] == turned[0, 1] == -5
    assert found["table"].dtype == table.dtype
    assert not found["fixed"].flags.writeable
    assert found["tall"].flags.f_contiguous
    assert found["draws"].random(8).tolist() == draws.random(8).tolist()
    assert found["call"].args == (5,)
    one, other = found["methods"]
    assert one == other == found["call"].func
    assert found["queue"] == deque([1, 2])
    assert found["queue"].maxlen == 7
    assert type(found["number"]) is np.float32
    assert found["memory"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_what_cannot_be_kept_is_named(tmp_path):
    """A generator, an open file, a thread's lock: what it is and where it hangs, in one line."""
    run = stepped(tmp_path / "run")
    run.rig.counters["x"] = (n for n in range(3))
    with pytest.raises(SnapshotError, match=r"rig.counters\['x'\]: a builtins.generator"):
        freeze(run, MemoryPool())
    run.rig.counters["x"] = lambda: None
    with pytest.raises(SnapshotError, match=r"rig.counters\['x'\]: the function .*test_freezing"):
        freeze(run, MemoryPool())
    with (tmp_path / "file").open("wb") as file:
        run.rig.counters["x"] = file
        with pytest.raises(SnapshotError, match="BufferedWriter"):
            freeze(run, MemoryPool())


class Call:
    """Pickles as a call of anything."""

    def __init__(self, *call, state=None):
        self.call = call
        self.state = state

    def __reduce__(self):
        return (*self.call, self.state) if self.state else self.call


def named(module, name):
    """Return a pickle of a name and nothing else."""
    return b"\x80\x05" + b"".join(
        b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)
    )


@pytest.mark.parametrize(
    "octets",
    [
        pickle.dumps(Call(os.system, ("true",)), 5),
        pickle.dumps(Call(os.system, ("true",)), 0),
        pickle.dumps(Call(eval, ("1",)), 5),
        pickle.dumps(Call(getattr, (Stepped, "run")), 5),
        named("hil.uut", "os.system") + b"\x93.",
        named("hil.uut", "subprocess") + b"\x93.",
        named("hil.hosting", "Face") + b"\x93.",
        named("hil.boards.flashing", "run") + b"\x93.",
        named("hil.rig", "SECOND") + b"\x93.",
        named("hil.faults.plan", "read_plan") + b"\x93.",
        # Call the class of a rig; set an attribute of it; append to something that is no list.
        named("hil.rig", "Rig") + b"\x93)R.",
        named("hil.rig", "Rig") + b"\x93N}\x8c\x06_radioNs\x86b.",
        named("hil.series", "Series") + b"\x93)\x81N\x61.",
        b"\x80\x05\x95",
        b"",
    ],
)
def test_a_snapshot_runs_no_code_of_its_own(octets, tmp_path):
    """What calls, names or fills anything but parts of a flight is refused, in one line."""
    with pytest.raises(SnapshotError, match="a snapshot cannot be used"):
        load(octets, MemoryPool(), tmp_path, RecordStream())


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", "./a"])
def test_a_snapshot_reaches_no_file_outside_the_storage(name, tmp_path):
    """Names of files are plain names, in the list of files and in the state."""
    run = stepped(tmp_path / "run")
    pool = MemoryPool()
    frozen = freeze(run, pool)
    wrong = type(frozen)(frozen.seq, frozen.digest, 0, frozen.state, {name: pool.put(b"x")})
    with pytest.raises(SnapshotError, match="as a file of the storage"):
        thaw(wrong, pool, tmp_path / "new", Kept())

    class Named(pickle.Pickler):
        def persistent_id(self, thing):
            return ("stored", name) if isinstance(thing, Path) else None

    file = io.BytesIO()
    Named(file, 5).dump(Path("x"))
    with pytest.raises(SnapshotError, match="as a file of the storage"):
        load(file.getvalue(), pool, tmp_path / "new", Kept())


def test_damaged_octets_end_in_one_line(tmp_path):
    """Wherever a snapshot is cut or an octet of it turned over, reading it raises SnapshotError or
    gives something."""
    pool = MemoryPool()
    octets = dump({"a": Kernel(), "b": [np.arange(3), Series()]}, pool, tmp_path)
    for at in range(len(octets)):
        with pytest.raises(SnapshotError, match=r"^[^\n]*$"):
            load(octets[:at], pool, tmp_path, RecordStream())
        for bit in (1, 0x5A, 0x80):
            wrong = octets[:at] + bytes([octets[at] ^ bit]) + octets[at + 1 :]
            with suppress(SnapshotError):
                load(wrong, pool, tmp_path, RecordStream())
