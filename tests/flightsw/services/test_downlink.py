"""The downlink: only with carrier, at its rate, within its budget, the important first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_hal import SECOND, FakeHal, Ground

from flightsw.app import App, create
from flightsw.codec.dictionary.events import PASS_BEGIN, PASS_END
from flightsw.services.downlink import CADU_NBYTES
from flightsw.services.telemetry import HOUSEKEEPING, REPORT, VERIFICATION, PacketStore
from flightsw.storage import Storage


def _fly(
    storage: Path, seconds: float, *contacts: tuple[float, float], **config: Any
) -> tuple[App, Ground]:
    hal = FakeHal(seconds=seconds, **config)
    ground = Ground(hal)
    for begin_s, end_s in contacts:
        ground.contact(begin_s, end_s)
    app = create(hal, storage)
    app.run()
    return app, ground


def test_nothing_leaves_without_carrier(tmp_path: Path) -> None:
    """Outside a pass the line stays silent and telemetry waits in the store."""
    app, ground = _fly(tmp_path, 60)
    assert not ground.line.tx
    assert app.store.waiting > 10


def test_what_waited_comes_down_in_the_pass_oldest_first(tmp_path: Path) -> None:
    """Reports of the time before the pass arrive, each kind in the order it was made."""
    _, ground = _fly(tmp_path, 400, (300, 390))
    ground.listen()
    assert not [n for n, v in ground.receiver.counters.items() if v and "lost" in n]
    for kind in ((3, 25), (5, 1)):
        times = [p.t_ns for p in ground.packets if (p.service, p.subtype) == kind]
        assert times == sorted(times)
        assert times[0] < 11 * SECOND


@pytest.mark.parametrize("bps", [2400, 9600, 100_000])
def test_the_pump_keeps_to_the_rate_of_the_link(tmp_path: Path, bps: int) -> None:
    """Over a pass with more to send than fits, the octets are those of the rate, to a frame."""
    _, ground = _fly(tmp_path, 2010, (2000, 2009), downlink_bps=bps)
    most = 9 * bps // 8 + CADU_NBYTES
    assert len(ground.line.tx) <= most
    if bps < 100_000:
        assert len(ground.line.tx) >= most - 3 * CADU_NBYTES


def test_the_budget_of_a_pass_is_kept_and_counted_anew(tmp_path: Path) -> None:
    """Each pass sends at most its octets, says so once, and the next one starts again."""
    budget = 10 * CADU_NBYTES
    app, ground = _fly(
        tmp_path, 700, (500, 550), (600, 650), pass_budget_octets=budget, downlink_bps=50_000
    )
    assert len(ground.line.tx) == 2 * budget
    assert app.events.counts["BUDGET_SPENT"] == 2


def test_passes_are_reported_with_what_they_carried(tmp_path: Path) -> None:
    """PASS_BEGIN tells what waits, PASS_END how many octets went."""
    app, ground = _fly(tmp_path, 300, (100, 150), (200, 250), downlink_bps=50_000)
    ground.listen()
    events = ground.reports(5, 1)
    begin = [d for d in events if d[:2] == PASS_BEGIN.id.to_bytes(2, "big")]
    end = [PASS_END.struct.parse(d[2:]) for d in events if d[:2] == PASS_END.id.to_bytes(2, "big")]
    assert len(begin) == 2
    assert end[0].octets % CADU_NBYTES == 0
    assert end[0].octets > 0
    assert app.downlink.passes == 2


def test_every_frame_carries_the_state_of_the_uplink(tmp_path: Path) -> None:
    """The CLCW counts the frames that FARM-1 took, also when there is nothing else to say."""
    hal = FakeHal(seconds=40, downlink_bps=50_000)
    ground = Ground(hal)
    ground.carrier.set(1)
    app = create(hal, tmp_path)
    for n in range(5):
        ground.send(ground.tc(17, 1, ack=0), 5 + n)
    app.run()
    ground.listen()
    assert ground.receiver.clcw is not None
    assert ground.receiver.clcw.report == 5
    assert app.downlink.idle_frames > 5


def test_verification_goes_before_events_before_housekeeping(tmp_path: Path) -> None:
    """The store gives packets by importance, then by age."""
    store = PacketStore(Storage(tmp_path), 100)
    for n in range(3):
        for queue in (HOUSEKEEPING, REPORT, VERIFICATION):
            store.put(queue, bytes((queue, n)))
    order = [store.take() for _ in range(10)]
    assert order == [bytes((q, n)) for q in range(3) for n in range(3)] + [None]
    assert store.waiting == 0


def test_a_full_store_drops_the_oldest_of_the_least_important(tmp_path: Path) -> None:
    """Housekeeping goes first, verification last, and each drop is counted."""
    store = PacketStore(Storage(tmp_path), 4)
    store.put(HOUSEKEEPING, b"h1")
    store.put(VERIFICATION, b"v1")
    for n in range(4):
        store.put(REPORT, b"e%d" % n)
    assert (store.waiting, store.dropped) == (4, 2)
    assert [store.take() for _ in range(4)] == [b"v1", b"e1", b"e2", b"e3"]


@pytest.mark.parametrize("taken", range(7))
def test_reports_that_were_not_handed_over_survive_a_restart(tmp_path: Path, taken: int) -> None:
    """What was settled does not come again, what was not does; housekeeping is gone."""
    store = PacketStore(Storage(tmp_path), 100)
    for n in range(3):
        store.put(REPORT, b"e%d" % n)
        store.put(VERIFICATION, b"v%d" % n)
        store.put(HOUSEKEEPING, b"h%d" % n)
    everything = [b"v0", b"v1", b"v2", b"e0", b"e1", b"e2"]
    for _ in range(taken):
        store.take()
    store.settle()
    again = PacketStore(Storage(tmp_path), 100)
    assert [again.take() for _ in range(again.waiting)] == everything[taken:]
    assert PacketStore(Storage(tmp_path), 100).waiting == 6 - taken


def test_a_report_whose_rest_waits_for_a_frame_survives_a_restart(tmp_path: Path) -> None:
    """A packet that is cut by the end of a pass is not struck off before its rest is sent."""
    storage = Storage(tmp_path)
    store = PacketStore(storage, 100)
    for n in range(3):
        store.put(REPORT, b"e%d" % n)
    assert [store.take(), store.take()] == [b"e0", b"e1"]
    store.settle(whole=False)
    again = PacketStore(Storage(tmp_path), 100)
    assert [again.take() for _ in range(again.waiting)] == [b"e1", b"e2"]
    store.settle(whole=False)
    store.take()
    store.settle(whole=True)
    assert PacketStore(Storage(tmp_path), 100).waiting == 0


def test_no_report_is_lost_when_the_program_stops_between_two_frames(tmp_path: Path) -> None:
    """Stopped at any moment of a pass, each event and verification comes down by the end."""
    for stop_s in (10.15, 10.35, 10.55, 10.75, 10.95, 11.15):
        folder = tmp_path / str(stop_s)
        hal = FakeHal(seconds=stop_s, downlink_bps=9600)
        ground = Ground(hal)
        ground.contact(10, 100)
        app = create(hal, folder)
        for n in range(40):
            app.events.report(PASS_BEGIN, n, 0, 0)
        app.run()
        create(hal.restarted(30), folder).run()
        numbers = {
            PASS_BEGIN.struct.parse(d[2:]).pass_number
            for d in ground.reports(5, 1)
            if d[:2] == PASS_BEGIN.id.to_bytes(2, "big")
        }
        assert numbers >= set(range(40)), f"stopped at {stop_s} s"


def test_a_long_store_is_not_rewritten_with_every_frame(tmp_path: Path) -> None:
    """Striking off costs an append, however much waits."""
    storage = Storage(tmp_path, fsync=False)
    store = PacketStore(storage, 5000)
    for n in range(2000):
        store.put(REPORT, b"%04d" % n)
    rewrites = 0
    shorten = store._journal.shorten

    def counted(records: list[bytes]) -> bool:
        nonlocal rewrites
        rewrites += 1
        return shorten(records)

    store._journal.shorten = counted  # type: ignore[method-assign, assignment]
    for _ in range(1000):
        store.take()
        store.settle()
    assert rewrites <= 1000 // 128 + 1
    assert PacketStore(Storage(tmp_path), 5000).waiting == 1000
