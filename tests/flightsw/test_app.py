"""The program as a whole: missing parts, overruns, the watchdog, restarts, the command line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hal import PPS, SECOND, FakeHal, Ground, set_parameters

from flightsw.app import create
from flightsw.codec.dictionary import Role
from flightsw.codec.dictionary.events import MODE_CHANGED, PART_BACK, PART_MISSING
from flightsw.errors import BusTimeoutError, DeviceTableError, StorageError
from flightsw.hal import Device, Edge


def test_an_hour_of_flight_is_quiet(tmp_path: Path) -> None:
    """Nothing overruns, nothing is late, nothing is wrong, and the bus load stays within bounds."""
    hal = FakeHal(seconds=3600)
    app = create(hal, tmp_path)
    before = hal.bus.transactions
    app.run()
    status = app.status()
    assert set(status["overruns"].values()) == {0}
    assert status["watchdog"] == {"kicks": 3599, "withheld": 0}
    assert not any(part["missing"] or part["errors"] for part in status["traffic"].values())
    assert (hal.bus.transactions - before) / 3600 <= 25
    assert set(status["events"]) == {"BOOT", "PARAMETERS_LOADED", "MODE_CHANGED"}


@pytest.mark.parametrize(
    ("role", "address"), [("power", 0x40), ("temp_board", 0x48), ("temp_chip", 0x49), ("imu", 0x6A)]
)
def test_a_part_that_is_away_is_reported_once_and_found_again(
    tmp_path: Path, role: str, address: int
) -> None:
    """Missing at start: an event and a flag, no crash; when it answers again, it is back."""
    hal = FakeHal(seconds=60)
    ground = Ground(hal)
    ground.carrier.set(1)
    hal.bus.failing[address] = -1
    hal.clock.at(30 * SECOND, lambda _: hal.bus.failing.clear())
    app = create(hal, tmp_path)
    assert app.parts.mask() == 1 << Role[role.upper()]
    app.run()
    assert app.parts.mask() == 0
    number = bytes((Role[role.upper()],))
    missing = [d for d in ground.reports(5, 3) if d[:2] == PART_MISSING.id.to_bytes(2, "big")]
    back = [d for d in ground.reports(5, 1) if d[:2] == PART_BACK.id.to_bytes(2, "big")]
    assert [d[2:3] for d in missing] == [number]
    assert [d[2:3] for d in back] == [number]


def test_another_part_in_its_place_is_missing_with_errno_0(tmp_path: Path) -> None:
    """A wrong identity is told from silence by its errno."""
    hal = FakeHal(seconds=12)
    ground = Ground(hal)
    ground.carrier.set(1)
    hal.bus.targets[0x6A][0x0F] = b"\x6b"
    create(hal, tmp_path).run()
    missing = [d for d in ground.reports(5, 3) if d[:2] == PART_MISSING.id.to_bytes(2, "big")]
    assert missing == [PART_MISSING.id.to_bytes(2, "big") + bytes((Role.IMU, 0, 0))]


def test_parts_of_a_bus_that_hung_come_back(tmp_path: Path) -> None:
    """When the bus is free again, each part is found within its patience."""
    hal = FakeHal(seconds=400)
    transfer = hal.bus.transfer

    def hung(address: int, write: bytes, nread: int = 0) -> bytes:
        if 20 * SECOND < hal.clock.t_ns < 100 * SECOND:
            hal.clock.advance(SECOND)
            raise BusTimeoutError(errno.ETIMEDOUT, "i2c: clock line held low")
        return transfer(address, write, nread)

    hal.bus.transfer = hung  # type: ignore[method-assign]
    app = create(hal, tmp_path)
    app.run()
    assert app.parts.mask() == 0
    assert app.events.counts["PART_BACK"] == app.events.counts["PART_MISSING"] >= 4


def test_a_silent_eps_is_noticed_and_the_rail_stands_in(tmp_path: Path) -> None:
    """Without EPS frames for five seconds the EPS is missing; the payload goes on computing."""
    hal = FakeHal(seconds=120)
    ground = Ground(hal)
    hal.clock.at(20 * SECOND, lambda _: setattr(hal, "eps_silent", True))
    app = create(hal, tmp_path)
    ground.send(ground.take_image(1), 60)
    app.run()
    assert app.parts.mask() == 1 << Role.EPS
    assert app.compute.store.totals()["QUEUED"] == 1


def test_a_silent_receiver_is_missing_until_it_talks(tmp_path: Path) -> None:
    """A GNSS receiver that says nothing for ten seconds is reported, and found again."""
    hal = FakeHal(seconds=90)
    hal.clock.at(20 * SECOND, lambda _: setattr(hal, "gnss_silent", True))
    hal.clock.at(60 * SECOND, lambda _: setattr(hal, "gnss_silent", False))
    app = create(hal, tmp_path)
    app.run()
    assert app.events.counts["PART_MISSING"] == app.events.counts["PART_BACK"] == 1
    assert app.parts.mask() == 0


def test_a_dead_flash_leaves_defaults_and_the_bench_s_boot_count(tmp_path: Path) -> None:
    """Parameters are their defaults, setting them still works until the next start."""
    hal = FakeHal(seconds=20)
    hal.flash.fail = True
    hal.boot_count = 5
    app = create(hal, tmp_path)
    assert (app.boot_count, app.parameters.slot) == (5, -1)
    ground = Ground(hal)
    ground.send(ground.tc(20, 3, set_parameters(imu_divider=7)), 5)
    app.run()
    assert app.parameters.values["imu_divider"] == 7
    assert app.status()["parameters"] == {"saves": 0, "save_errors": 1, "unsaved": True}


def test_a_flash_that_comes_back_is_read_and_takes_what_ground_set(tmp_path: Path) -> None:
    """Away at start: the stored values and the boot count come with it, what ground set stays."""
    hal = FakeHal(seconds=10)
    app = create(hal, tmp_path)
    app.parameters.values.update(chip_slow_c=55.0, imu_divider=4)
    app.parameters.save()
    app.run()
    hal.flash.fail = True
    app = create(hal.restarted(100), tmp_path)
    back_ns = hal.clock.t_ns + 50 * SECOND
    hal.clock.at(back_ns, lambda _: setattr(hal.flash, "fail", False))
    ground = Ground(hal)
    ground.send(ground.tc(20, 3, set_parameters(imu_divider=7)))
    app.run()
    assert (app.parameters.values["chip_slow_c"], app.parameters.values["imu_divider"]) == (55.0, 7)
    assert app.events.counts["PARAMETERS_LOADED"] == 2
    app = create(hal.restarted(10), tmp_path)
    assert app.boot_count == 3
    assert (app.parameters.values["chip_slow_c"], app.parameters.values["imu_divider"]) == (55.0, 7)


def test_a_flash_that_fails_under_a_save_is_missing_and_saved_to_later(tmp_path: Path) -> None:
    """A setting that could not be saved is an event and a counter, and is saved in the end."""
    hal = FakeHal(seconds=100)
    app = create(hal, tmp_path)
    ground = Ground(hal)
    hal.clock.at(5 * SECOND, lambda _: setattr(hal.flash, "fail", True))
    hal.clock.at(55 * SECOND, lambda _: setattr(hal.flash, "fail", False))
    ground.send(ground.tc(20, 3, set_parameters(imu_divider=7)), 20)
    app.run()
    assert app.status()["parameters"] == {"saves": 2, "save_errors": 1, "unsaved": False}
    assert app.events.counts["PART_MISSING"] == app.events.counts["PART_BACK"] == 1
    assert create(hal.restarted(10), tmp_path).parameters.values["imu_divider"] == 7


def test_a_flash_that_does_not_keep_what_was_written_is_found_out(tmp_path: Path) -> None:
    """Octets that do not read back are no save; the slot that was good before still counts."""
    hal = FakeHal(seconds=30)
    app = create(hal, tmp_path)
    ground = Ground(hal)
    transfer = hal.flash.transfer
    hal.flash.transfer = lambda tx: (  # type: ignore[method-assign]
        b"\xff" * len(tx) if tx[0] == 0x02 else transfer(tx)
    )
    ground.send(ground.tc(20, 3, set_parameters(imu_divider=7)), 5)
    app.run()
    assert app.parameters.save_errors >= 1
    assert app.parameters.sequence == 1
    assert create(hal.restarted(5), tmp_path).boot_count == 2


def test_a_damaged_parameter_slot_falls_back_to_the_other(tmp_path: Path) -> None:
    """One bad octet in the newest slot costs one save, not the parameters."""
    hal = FakeHal(seconds=3)
    create(hal, tmp_path).run()
    create(hal.restarted(3), tmp_path).run()
    app = create(hal.restarted(3), tmp_path)
    assert (app.boot_count, app.parameters.sequence) == (3, 3)
    hal.flash.memory[app.parameters.slot * 4096 + 9] ^= 1
    assert create(hal.restarted(3), tmp_path).boot_count == 3


def test_a_stuck_group_is_not_hidden_from_the_watchdog(tmp_path: Path) -> None:
    """A bus that takes seconds a transaction overruns, is reported, and withholds the kick."""
    hal = FakeHal(seconds=60)
    transfer = hal.bus.transfer

    def slow(address: int, write: bytes, nread: int = 0) -> bytes:
        if 20 * SECOND < hal.clock.t_ns < 30 * SECOND:
            hal.clock.advance(3 * SECOND)
        return transfer(address, write, nread)

    hal.bus.transfer = slow  # type: ignore[method-assign]
    app = create(hal, tmp_path)
    app.run()
    assert app.events.counts["OVERRUN"] >= 1
    assert app.monitors.withheld >= 1
    assert app.events.counts["WATCHDOG_WITHHELD"] >= 1
    assert app.monitors.kicks >= 40


def test_a_bus_that_hangs_for_good_leaves_a_computer_that_can_be_commanded(tmp_path: Path) -> None:
    """One timeout a part, then ever fewer tries: the watchdog is kicked, telecommands answered."""
    hal = FakeHal(seconds=1000)
    ground = Ground(hal)
    ground.carrier.set(1)
    transfer = hal.bus.transfer

    def hung(address: int, write: bytes, nread: int = 0) -> bytes:
        if hal.clock.t_ns < 20 * SECOND:
            return transfer(address, write, nread)
        hal.clock.advance(SECOND)
        raise BusTimeoutError(errno.ETIMEDOUT, "i2c: clock line held low")

    hal.bus.transfer = hung  # type: ignore[method-assign]
    app = create(hal, tmp_path)
    ground.send(ground.tc(17, 1), 500)
    app.run()
    hung_up = (Role.POWER, Role.TEMP_BOARD, Role.TEMP_CHIP, Role.IMU)
    assert app.parts.mask() == sum(1 << role for role in hung_up)
    assert app.monitors.withheld <= 2
    assert app.monitors.kicks > 950
    assert app.status()["overruns"]["control"] < 40
    assert ground.reports(17, 2) == [b""]


def test_safe_mode_by_telecommand_survives_a_restart(tmp_path: Path) -> None:
    """ENTER_SAFE holds over a start until EXIT_SAFE."""
    hal = FakeHal(seconds=10)
    ground = Ground(hal)
    ground.bypass = True
    ground.carrier.set(1)
    app = create(hal, tmp_path)
    ground.send(ground.function("ENTER_SAFE"), 3)
    app.run()
    assert app.modes.mode.name == "SAFE"
    app = create(hal.restarted(10), tmp_path)
    assert app.modes.mode.name == "SAFE"
    ground.send(ground.function("EXIT_SAFE"), hal.clock.t_ns / SECOND + 3)
    app.run()
    assert app.modes.mode.name == "NOMINAL"
    changes = [d[2:4] for d in ground.reports(5, 1) if d[:2] == MODE_CHANGED.id.to_bytes(2, "big")]
    assert changes == [b"\x00\x01", b"\x01\x02", b"\x00\x02", b"\x02\x01"]


def test_the_clock_is_correlated_with_the_pulse(tmp_path: Path) -> None:
    """A pulse 400 us after the mission second is an offset of 400 us in event and housekeeping."""
    hal = FakeHal(seconds=30)
    hal.clock.at(5 * SECOND, lambda _: hal.gpio(*PPS).pending.append(Edge(5 * SECOND + 400_000, 1)))
    app = create(hal, tmp_path)
    app.run()
    assert app.clock_offset_ns == 400_000
    assert app.events.counts["CLOCK_CORRELATED"] == 1


def test_two_parts_of_one_role_or_an_unknown_role_are_refused(tmp_path: Path) -> None:
    """The device table is checked before anything runs."""
    hal = FakeHal()
    hal.devices.append(hal.devices[0])
    with pytest.raises(DeviceTableError, match="two parts have the role 'power'"):
        create(hal, tmp_path)
    hal = FakeHal()
    hal.devices.append(Device("radar", "tmp117", "i2c-1", 0x4A, {}))
    with pytest.raises(DeviceTableError, match="unknown role 'radar'"):
        create(hal, tmp_path)


def test_a_computer_without_any_part_still_flies(tmp_path: Path) -> None:
    """An empty device table gives a program that keeps time and answers nobody."""
    hal = FakeHal(seconds=30)
    hal.devices = []
    app = create(hal, tmp_path)
    app.run()
    assert app.monitors.kicks >= 29


def test_storage_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    """The storage folder is checked at start."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        create(FakeHal(), tmp_path / "file")


def _main(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flightsw", *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, check=False
    )


def test_help_names_what_is_needed_and_imports_nothing_heavy() -> None:
    """--help answers without loading numpy, the codec or onnxruntime."""
    code = """
import sys
from flightsw.__main__ import main
try:
    main(["--help"])
except SystemExit:
    print([name for name in ("numpy", "zmq", "construct") if name in sys.modules])
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "--bench ENDPOINT" in found.stdout
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--storage", "x"), 2, "--bench"),
        (("--bench", "carrier-pigeon://x", "--storage", "x"), 4, "cannot be reached"),
        (("--bench", "seqpacket:///nowhere/bench", "--storage", "x"), 4, "no bench at"),
    ],
)
def test_a_bench_that_is_not_there_is_one_line_and_no_traceback(
    arguments: tuple[str, ...], code: int, message: str
) -> None:
    """Exit code 2 for usage, 4 for no bench, and the last line of stderr says why."""
    done = _main(*arguments)
    assert done.returncode == code
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
