"""Telecommands from octets to octets: what each service answers, and each way to be refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hal import SECOND, FakeHal, Ground
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flightsw.app import App, create
from flightsw.codec.coding import cltu
from flightsw.codec.dictionary import (
    EVENT_BY_ID,
    PARAMETER_BY_NAME,
    REPORTS,
    STRUCTURE_BY_SID,
    STRUCTURES,
    TELECOMMANDS,
    Failure,
)
from flightsw.codec.link import tc_frame
from flightsw.codec.packet import pus
from flightsw.codec.time_code import unpack_cuc
from flightsw.errors import Shutdown


class Bench:
    """A flying payload computer in contact with a ground."""

    def __init__(self, storage: Path, seconds: float = 100_000, **config: Any) -> None:
        self.hal = FakeHal(seconds=seconds, downlink_bps=1_000_000, **config)
        self.ground = Ground(self.hal)
        self.ground.carrier.set(1)
        self.app: App = create(self.hal, storage)
        self.run(2)

    def run(self, seconds: float) -> None:
        """Fly on for a while."""
        end_ns = self.hal.clock.t_ns + int(seconds * SECOND)
        while self.hal.clock.t_ns < end_ns:
            self.app.scheduler.step(self.hal.clock.t_ns)

    def ask(self, packet: bytes, seconds: float = 2.2) -> list[pus.TmPacket]:
        """Send a telecommand; return the answers other than housekeeping."""
        self.ground.listen()
        self.ground.send(packet)
        self.run(seconds)
        return [p for p in self.ground.listen() if (p.service, p.subtype) != (3, 25)]

    def verdict(self, packet: bytes, seconds: float = 2.2) -> tuple[list[int], Any]:
        """Return the subtypes of service 1 in answer to a packet, and the last failure."""
        reports = [p for p in self.ask(packet, seconds) if p.service == 1]
        assert all(p.data[:4] == packet[:4] for p in reports)
        failures = [
            REPORTS[1, p.subtype].parse(p.data) for p in reports if p.subtype in {2, 4, 8, 10}
        ]
        return [p.subtype for p in reports], failures[-1] if failures else None


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A payload computer two seconds after its start."""
    bench = Bench(tmp_path)
    yield bench
    bench.app.storage.close()


GOOD = [1, 3, 7]


def test_alive_is_answered(bench: Bench) -> None:
    """TC[17,1] gives acceptance, start, the answer TM[17,2] and completion."""
    answers = bench.ask(bench.ground.tc(17, 1))
    assert sorted((p.service, p.subtype) for p in answers) == [(1, 1), (1, 3), (1, 7), (17, 2)]


@pytest.mark.parametrize("ack", range(16))
def test_success_reports_come_only_where_asked(bench: Bench, ack: int) -> None:
    """The acknowledgement flags pick acceptance, start and completion."""
    subtypes, _ = bench.verdict(bench.ground.tc(17, 1, ack=ack))
    assert subtypes == [s for s, flag in ((1, 1), (3, 2), (7, 8)) if ack & flag]


def _spoil(packet: bytes, at: int, value: int) -> bytes:
    """Return the packet with one octet changed and the error control made right again."""
    from flightsw.codec.coding.crc import crc16

    body = packet[:at] + bytes((value,)) + packet[at + 1 : -2]
    return body + crc16(body).to_bytes(2, "big")


def test_a_damaged_packet_is_refused_at_acceptance(bench: Bench) -> None:
    """A wrong packet error control is TM[1,2] BAD_CHECKSUM."""
    packet = bench.ground.tc(17, 1)
    subtypes, failure = bench.verdict(packet[:-1] + bytes((packet[-1] ^ 1,)))
    assert (subtypes, failure.code) == ([2], Failure.BAD_CHECKSUM)


@pytest.mark.parametrize("length", [6, 7, 10, 12])
def test_a_cut_packet_is_refused_for_its_length(bench: Bench, length: int) -> None:
    """A packet shorter than its length field says is TM[1,2] BAD_LENGTH with what came."""
    subtypes, failure = bench.verdict(bench.ground.tc(17, 1)[:length])
    assert (subtypes, failure.code, failure.detail) == ([2], Failure.BAD_LENGTH, length)


def test_a_cut_header_is_counted(bench: Bench) -> None:
    """Less than a primary header cannot be answered, so it is counted."""
    assert bench.ask(bench.ground.tc(17, 1)[:5]) == []
    assert bench.app.router.counters["cut"] == 1


def test_another_application_process_is_a_routing_failure(bench: Bench) -> None:
    """A packet for an APID that is not on board is TM[1,10]."""
    subtypes, failure = bench.verdict(bench.ground.tc(17, 1, apid=0x123))
    assert (subtypes, failure.code, failure.detail) == ([10], Failure.UNKNOWN_APID, 0x123)


def test_another_pus_version_is_refused(bench: Bench) -> None:
    """A secondary header of PUS-A is TM[1,2] BAD_VERSION."""
    subtypes, failure = bench.verdict(_spoil(bench.ground.tc(17, 1), 6, 0x1F))
    assert (subtypes, failure.code) == ([2], Failure.BAD_VERSION)


def test_an_unknown_service_and_subtype_have_their_own_codes(bench: Bench) -> None:
    """The failure names the service or the subtype at fault."""
    subtypes, failure = bench.verdict(bench.ground.tc(99, 1))
    assert (subtypes, failure.code, failure.detail) == ([2], Failure.UNKNOWN_SERVICE, 99)
    subtypes, failure = bench.verdict(bench.ground.tc(17, 99))
    assert (subtypes, failure.code, failure.detail) == ([2], Failure.UNKNOWN_SUBTYPE, 99)


@pytest.mark.parametrize(
    ("service", "subtype", "data"),
    [
        (17, 1, b"\x00"),
        (17, 3, b"\x01"),
        (3, 5, b""),
        (3, 5, b"\x02\x01"),
        (3, 5, b"\x01\x01\x01"),
        (3, 1, b"\x80\x00\x0a\x03\x01\x00"),
        (3, 31, b"\x01\x01\x00"),
        (5, 5, b"\x01\x00"),
        (8, 1, b"\x00"),
        (11, 4, b""),
        (11, 15, b"\x00\x00"),
        (20, 1, b"\x02\x80\x01"),
    ],
)
def test_arguments_of_the_wrong_layout_are_refused_at_acceptance(
    bench: Bench, service: int, subtype: int, data: bytes
) -> None:
    """Cut or overlong arguments are TM[1,2] BAD_LAYOUT with their length."""
    subtypes, failure = bench.verdict(bench.ground.tc(service, subtype, data))
    assert (subtypes, failure.code, failure.detail) == ([2], Failure.BAD_LAYOUT, len(data))


@pytest.mark.parametrize(
    ("service", "subtype", "arguments", "code"),
    [
        (3, 5, {"sids": [1, 99]}, Failure.UNKNOWN_ID),
        (3, 27, {"sids": [99]}, Failure.UNKNOWN_ID),
        (3, 3, {"sids": [1]}, Failure.WRONG_STATE),
        (3, 31, {"intervals": [{"sid": 1, "interval_s": 0}]}, Failure.OUT_OF_RANGE),
        (3, 1, {"sid": 1, "interval_s": 5, "parameters": [0x101]}, Failure.ALREADY_EXISTS),
        (3, 1, {"sid": 90, "interval_s": 5, "parameters": []}, Failure.OUT_OF_RANGE),
        (3, 1, {"sid": 90, "interval_s": 5, "parameters": [0x7777]}, Failure.UNKNOWN_ID),
        (5, 6, {"events": [9999]}, Failure.UNKNOWN_ID),
        (8, 1, {"function": 999, "arguments": b""}, Failure.UNKNOWN_ID),
        (8, 1, {"function": 2, "arguments": b"\x00"}, Failure.BAD_LAYOUT),
        (8, 1, {"function": 1, "arguments": b"\x00"}, Failure.BAD_LAYOUT),
        (11, 4, {"count": 1, "activities": b"\x2f" * 8}, Failure.BAD_LAYOUT),
        (11, 4, {"count": 0, "activities": b"\x00"}, Failure.BAD_LAYOUT),
        (11, 4, {"count": 1, "activities": b"\x1e" + bytes(40)}, Failure.BAD_LAYOUT),
        (17, 3, {"apid": 0x55}, Failure.UNKNOWN_ID),
        (20, 1, {"parameters": [0x8001, 5]}, Failure.UNKNOWN_ID),
        (20, 3, {"count": 1, "rows": b"\x80"}, Failure.BAD_LAYOUT),
        (20, 3, {"count": 1, "rows": b"\x80\x01\x00"}, Failure.BAD_LAYOUT),
        (20, 3, {"count": 1, "rows": b"\x00\x01\x00"}, Failure.UNKNOWN_ID),
        (20, 3, {"count": 1, "rows": b"\x80\x0e\xff"}, Failure.OUT_OF_RANGE),
        (20, 3, {"count": 1, "rows": b"\x80\x01\x7f\xc0\x00\x00"}, Failure.OUT_OF_RANGE),
        (20, 3, {"count": 1, "rows": b"\x80\x0e\x05\x00"}, Failure.BAD_LAYOUT),
    ],
)
def test_arguments_without_sense_fail_at_start(
    bench: Bench, service: int, subtype: int, arguments: dict[str, Any], code: Failure
) -> None:
    """What is well formed and cannot be done is accepted, then TM[1,4] with its own code."""
    data = TELECOMMANDS[service, subtype].build(arguments)
    subtypes, failure = bench.verdict(bench.ground.tc(service, subtype, data))
    assert (subtypes, failure.code) == ([1, 4], code)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_packet_crashes_and_each_is_answered_or_counted(bench: Bench, data: Any) -> None:
    """Any octets in a frame: the program flies on, and a verification report or a count comes."""
    kind = data.draw(st.sampled_from(sorted(TELECOMMANDS)))
    body = data.draw(st.binary(max_size=80))
    packet = bench.ground.tc(*kind, body)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(packet) - 1))
        packet = packet[:at] + bytes((data.draw(st.integers(0, 255)),)) + packet[at + 1 :]
    packet = packet[: data.draw(st.integers(1, len(packet)))]
    before = bench.app.verification.accepted + bench.app.verification.rejected
    counted = sum(bench.app.router.counters.values())
    bench.app.router.receive(packet)
    after = bench.app.verification.accepted + bench.app.verification.rejected
    assert after > before or sum(bench.app.router.counters.values()) > counted
    bench.run(0.2)


def test_a_repeated_telecommand_is_answered_and_not_run_again(bench: Bench) -> None:
    """The same packet twice takes one image; the second time the same reports come."""
    packet = bench.ground.take_image(5)
    assert bench.verdict(packet, 4)[0] == [1, 3, 5, 7]
    assert bench.verdict(packet, 4)[0] == [1, 7]
    assert bench.hal.camera.captures == 1
    assert bench.app.router.counters["repeated"] == 1


def test_housekeeping_reports_on_its_interval_and_can_be_switched(bench: Bench) -> None:
    """TC[3,31] and TC[3,6]/[3,5] change when structure 2 comes."""
    rows = {"intervals": [{"sid": 2, "interval_s": 2}]}
    assert bench.verdict(bench.ground.tc(3, 31, TELECOMMANDS[3, 31].build(rows)))[0] == GOOD
    bench.ground.packets.clear()
    bench.run(10)
    assert sum(data[0] == 2 for data in bench.ground.reports(3, 25)) == 5
    assert bench.verdict(bench.ground.tc(3, 6, b"\x01\x02"))[0] == GOOD
    bench.ground.packets.clear()
    bench.run(10)
    assert not [data for data in bench.ground.reports(3, 25) if data[0] == 2]
    assert bench.verdict(bench.ground.tc(3, 5, b"\x01\x02"))[0] == GOOD
    assert [data for data in bench.ground.reports(3, 25) if data[0] == 2]


def test_every_structure_decodes_by_its_declaration(bench: Bench) -> None:
    """TC[3,27] reports each structure once, exactly as long as declared, with the known values."""
    bench.ground.packets.clear()
    structures = [s for s in STRUCTURES if not s.optional]
    sids = bytes(s.sid for s in structures)
    assert bench.verdict(bench.ground.tc(3, 27, bytes((len(sids),)) + sids))[0] == GOOD
    rows = {}
    for data in bench.ground.reports(3, 25):
        structure = STRUCTURE_BY_SID[data[0]]
        assert len(data) == 1 + structure.struct.sizeof()
        rows[structure.name] = structure.struct.parse(data[1:])
    assert set(rows) == {s.name for s in structures}
    assert (rows["power"].battery_mv, rows["power"].soc_permille) == (16000, 950)
    assert (rows["power"].payload_mv, rows["power"].payload_ma) == (5000, 600)
    assert (rows["thermal"].chip_cdeg, rows["thermal"].board_cdeg) == (3500, 2000)
    assert rows["status"].mode == 1
    assert rows["status"].boot_count == 1


def test_ground_may_create_describe_and_delete_a_structure(bench: Bench) -> None:
    """A structure of pool fields and parameters is reported with their own types."""
    limit = PARAMETER_BY_NAME["chip_pause_c"].id
    row = {"sid": 90, "interval_s": 3, "parameters": [0x300, limit, 0x206]}
    create_it = bench.ground.tc(3, 1, TELECOMMANDS[3, 1].build(row))
    assert bench.verdict(create_it)[0] == GOOD
    answers = bench.ask(bench.ground.tc(3, 9, b"\x01\x5a"))
    described = REPORTS[3, 10].parse(next(p.data for p in answers if p.subtype == 10))
    assert (described.sid, described.periodic, list(described.parameters)) == (
        90,
        0,
        row["parameters"],
    )
    assert bench.verdict(bench.ground.tc(3, 5, b"\x01\x5a"))[0] == GOOD
    bench.ground.packets.clear()
    bench.run(4)
    data = next(d for d in bench.ground.reports(3, 25) if d[0] == 90)
    assert int.from_bytes(data[1:3], "big") == 3500
    assert data[3:7] == b"\x42\x90\x00\x00"  # 72.0 as binary32
    assert int.from_bytes(data[7:9], "big") == 16000
    assert bench.verdict(bench.ground.tc(3, 3, b"\x01\x5a"))[1].code == Failure.WRONG_STATE
    assert bench.verdict(bench.ground.tc(3, 6, b"\x01\x5a"))[0] == GOOD
    assert bench.verdict(bench.ground.tc(3, 3, b"\x01\x5a"))[0] == GOOD
    assert bench.verdict(bench.ground.tc(3, 9, b"\x01\x5a"))[1].code == Failure.UNKNOWN_ID


def test_a_disabled_event_is_counted_and_not_reported(bench: Bench) -> None:
    """TC[5,6] silences an event, TC[5,7] lists it, TC[5,5] brings it back."""
    job_state = next(e for e in EVENT_BY_ID.values() if e.name == "JOB_STATE")
    ids = TELECOMMANDS[5, 6].build({"events": [job_state.id]})
    assert bench.verdict(bench.ground.tc(5, 6, ids))[0] == GOOD
    bench.ground.packets.clear()
    bench.ask(bench.ground.take_image(3), 6)
    assert bench.app.events.counts["JOB_STATE"] > 0
    named = job_state.id.to_bytes(2, "big")
    assert not [d for d in bench.ground.reports(5, 1) if d[:2] == named]
    answers = bench.ask(bench.ground.tc(5, 7))
    listed = next(p.data for p in answers if (p.service, p.subtype) == (5, 8))
    assert list(REPORTS[5, 8].parse(listed).events) == [job_state.id]
    assert bench.verdict(bench.ground.tc(5, 5, ids))[0] == GOOD
    bench.ask(bench.ground.function("REPORT_JOBS"))
    assert [d for d in bench.ground.reports(5, 1) if d[:2] == named]


def test_parameters_are_set_reported_and_kept_in_flash(bench: Bench, tmp_path: Path) -> None:
    """TC[20,3] acts at once, TM[20,2] shows it, and a new start loads it from the flash."""
    number = PARAMETER_BY_NAME["tiles_per_batch"].id
    row = number.to_bytes(2, "big") + b"\x03"
    set_it = bench.ground.tc(20, 3, b"\x01" + row)
    assert bench.verdict(set_it)[0] == GOOD
    answers = bench.ask(bench.ground.tc(20, 1, b"\x00\x01"[1:] + number.to_bytes(2, "big")))
    assert next(p.data for p in answers if p.service == 20) == b"\x01" + row
    assert bench.app.parameters.saves == 2  # the boot count, then this
    assert sum(g.overruns for g in bench.app.scheduler.groups) == 0
    again = create(bench.hal.restarted(10), tmp_path)
    assert again.parameters.values["tiles_per_batch"] == 3
    assert again.boot_count == 2


def test_a_bad_value_among_good_ones_changes_nothing(bench: Bench) -> None:
    """A TC[20,3] is all or nothing."""
    batch, cloud = (PARAMETER_BY_NAME[n].id for n in ("tiles_per_batch", "max_cloud_percent"))
    body = b"\x02" + batch.to_bytes(2, "big") + b"\x05" + cloud.to_bytes(2, "big") + b"\xff"
    _, failure = bench.verdict(bench.ground.tc(20, 3, body))
    assert (failure.code, failure.detail) == (Failure.OUT_OF_RANGE, cloud)
    assert bench.app.parameters.values["tiles_per_batch"] == 8


def _summary(bench: Bench) -> list[tuple[float, int]]:
    """Return (release time in seconds, sequence count) of what is planned."""
    answers = bench.ask(bench.ground.tc(11, 17))
    rows = REPORTS[11, 13].parse(next(p.data for p in answers if p.service == 11)).activities
    return [(unpack_cuc(row.release) / SECOND, row.sequence) for row in rows]


def test_a_planned_telecommand_runs_at_its_time(bench: Bench) -> None:
    """TC[11,4] inserts, TC[11,1] enables, and the activity runs within a control cycle."""
    now_s = bench.hal.clock.t_ns / SECOND
    planned = bench.ground.tc(17, 1)
    assert bench.verdict(bench.ground.insert((now_s + 30, planned)))[0] == GOOD
    assert bench.verdict(bench.ground.tc(11, 1))[0] == GOOD
    assert [sequence for _, sequence in _summary(bench)] == [planned[3]]
    bench.ground.packets.clear()
    bench.run(30)
    reports = [p for p in (bench.ground.listen(), bench.ground.packets)[1] if p.service == 1]
    mine = [p for p in reports if p.data[:4] == planned[:4]]
    assert [p.subtype for p in mine] == GOOD
    assert 0 <= mine[0].t_ns / SECOND - (now_s + 30) <= 0.11
    assert _summary(bench) == []


def test_a_disabled_schedule_holds_and_then_drops_what_is_late(bench: Bench) -> None:
    """Nothing runs while disabled; an activity that is too late is reported and not run."""
    now_s = bench.hal.clock.t_ns / SECOND
    planned = bench.ground.take_image(9)
    bench.ask(bench.ground.insert((now_s + 5, planned)))
    bench.run(90)
    assert len(_summary(bench)) == 1
    bench.ask(bench.ground.tc(11, 1))
    assert bench.app.events.counts["ACTIVITY_LATE"] == 1
    assert bench.app.schedule.late == 1
    assert bench.hal.camera.captures == 0


def test_the_schedule_is_shifted_deleted_and_reset(bench: Bench) -> None:
    """Shift of some or all, deletion by id and reset act on what they name."""
    base_s = 5000.0
    packets = [bench.ground.tc(17, 1) for _ in range(3)]
    rows = [(base_s + n, packet) for n, packet in enumerate(packets)]
    bench.ask(bench.ground.insert(*rows))
    first, second, third = (packet[3] for packet in packets)

    def ids(*sequences: int) -> list[dict[str, int]]:
        return [{"source": 1, "apid": 0x101, "sequence": s} for s in sequences]

    shift = TELECOMMANDS[11, 7].build({"shift_s": 10, "activities": ids(first)})
    assert bench.verdict(bench.ground.tc(11, 7, shift))[0] == GOOD
    everything = TELECOMMANDS[11, 15].build({"shift_s": -100})
    assert bench.verdict(bench.ground.tc(11, 15, everything))[0] == GOOD
    assert _summary(bench) == [
        (base_s - 99, second),
        (base_s - 98, third),
        (base_s - 90, first),
    ]
    delete = TELECOMMANDS[11, 5].build({"activities": ids(third)})
    assert bench.verdict(bench.ground.tc(11, 5, delete))[0] == GOOD
    assert bench.verdict(bench.ground.tc(11, 5, delete))[1].code == Failure.UNKNOWN_ID
    past = TELECOMMANDS[11, 15].build({"shift_s": -100_000})
    assert bench.verdict(bench.ground.tc(11, 15, past))[1].code == Failure.TIME_IN_PAST
    bench.ask(bench.ground.insert((4.2e9, bench.ground.tc(17, 1, seq=77))))
    future = TELECOMMANDS[11, 15].build({"shift_s": 2**31 - 1})
    assert bench.verdict(bench.ground.tc(11, 15, future))[1].code == Failure.OUT_OF_RANGE
    delete = TELECOMMANDS[11, 5].build({"activities": ids(77)})
    assert bench.verdict(bench.ground.tc(11, 5, delete))[0] == GOOD
    answers = bench.ask(bench.ground.tc(11, 16))
    detail = REPORTS[11, 10].parse(next(p.data for p in answers if p.subtype == 10))
    assert detail.count == 2
    assert packets[1] in detail.activities
    assert bench.verdict(bench.ground.tc(11, 3))[0] == GOOD
    assert _summary(bench) == []


def test_what_could_never_run_is_not_planned(bench: Bench) -> None:
    """A bad packet, a past time or a taken id inside a TC[11,4] refuses all of it."""
    good, damaged = bench.ground.tc(17, 1), bench.ground.tc(17, 1)[:-1] + b"\x00"
    insert = bench.ground.insert
    for request, code in (
        (insert((9000, good), (9001, damaged)), Failure.BAD_CHECKSUM),
        (insert((9000, bench.ground.tc(99, 1))), Failure.UNKNOWN_SERVICE),
        (insert((0.5, good)), Failure.TIME_IN_PAST),
        (insert((9000, good), (9001, bench.ground.tc(17, 3, b"\0\0", seq=good[3]))),
         Failure.ALREADY_EXISTS),
    ):  # fmt: skip
        bench.ground.sequence += 10
        assert bench.verdict(request)[1].code == code
    assert _summary(bench) == []


def test_the_schedule_refuses_more_than_it_holds(tmp_path: Path) -> None:
    """Beyond plan_max_entries a TC[11,4] is FULL and nothing of it is planned."""
    bench = Bench(tmp_path, plan_max_entries=2)
    rows = [(9000 + n, bench.ground.tc(17, 1)) for n in range(3)]
    assert bench.verdict(bench.ground.insert(*rows))[1].code == Failure.FULL
    assert bench.verdict(bench.ground.insert(*rows[:2]))[0] == GOOD


def test_the_schedule_survives_a_restart(bench: Bench, tmp_path: Path) -> None:
    """Activities and the enabled state are those of before."""
    bench.ask(bench.ground.tc(11, 1))
    bench.ask(bench.ground.insert((9000, bench.ground.tc(17, 1))))
    again = create(bench.hal.restarted(10), tmp_path)
    assert again.schedule.enabled
    assert [entry.release_ns for entry in again.schedule.entries] == [9000 * SECOND]


def test_the_journal_of_telecommands_stays_short(tmp_path: Path) -> None:
    """Thousands of telecommands leave a bounded file, and the newest are still known."""
    bench = Bench(tmp_path, fsync=False)
    packets = [bench.ground.tc(17, 1, seq=n, ack=0) for n in range(2500)]
    for packet in packets:
        bench.app.router.receive(packet)
    assert (tmp_path / "telecommands.journal").stat().st_size < 100_000
    again = create(bench.hal.restarted(5), tmp_path)
    again.router.receive(packets[-1])
    assert again.router.counters["repeated"] == 1


@pytest.mark.parametrize("name", ["foreign", "ChecksumError", "SyncError", "segmented", "empty"])
def test_frames_that_bring_nothing_are_counted(bench: Bench, name: str) -> None:
    """A frame of another spacecraft, damaged, of another version, a segment, or nothing counts."""
    packet = bench.ground.tc(17, 1)
    frame = tc_frame.pack(0x3FF if name == "foreign" else 0x2A, 0, 0, packet)
    if name == "ChecksumError":
        frame = frame[:-1] + bytes((frame[-1] ^ 1,))
    elif name == "SyncError":
        from flightsw.codec.coding.crc import crc16

        body = bytes((frame[0] | 0x80,)) + frame[1:-2]
        frame = body + crc16(body).to_bytes(2, "big")
    elif name == "segmented":
        frame = tc_frame.pack(0x2A, 0, 0, packet, segment_flags=1)
    elif name == "empty":
        # a segment header and nothing behind it
        frame = tc_frame.pack(0x2A, 0, 0, b"\xc0", segment_header=False)
    bench.ground.send_raw(cltu.encode(frame))
    bench.run(2)
    assert bench.app.uplink.counters[name] == 1
    assert bench.app.verification.accepted == 0


def test_two_packets_in_one_frame_are_both_run(bench: Bench) -> None:
    """Blocked packets are taken apart by their lengths."""
    answers = bench.ask(bench.ground.tc(17, 1) + bench.ground.tc(17, 1))
    assert sum((p.service, p.subtype) == (17, 2) for p in answers) == 2


def test_the_script_ends_with_a_shutdown(tmp_path: Path) -> None:
    """Running past the end of the run leaves by Shutdown, which run() takes as a normal end."""
    app = create(FakeHal(seconds=3), tmp_path)
    with pytest.raises(Shutdown):
        app.scheduler.run()
    app = create(FakeHal(seconds=3), tmp_path)
    app.run()
