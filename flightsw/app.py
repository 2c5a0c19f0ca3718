"""Composition of the flight software: what runs in which rate group, start-up and the end."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flightsw.codec.dictionary import Mode, RateGroup, Role
from flightsw.codec.dictionary.events import (
    BOOT,
    CLOCK_CORRELATED,
    COMMAND_REDONE,
    LINK_RESTORED,
    OVERRUN,
    PARAMETERS_LOADED,
    PROVIDER_CHOSEN,
    PROVIDER_FALLBACK,
    STORAGE_DAMAGED,
    STORE_FULL,
)
from flightsw.codec.dictionary.housekeeping import (
    COMPUTE,
    COMPUTER,
    COUNTERS,
    MOTION,
    POWER,
    STATUS,
    THERMAL,
)
from flightsw.compute.providers import NUMBERS, Fallback, asked
from flightsw.compute.segmenter import Segmenter, ThresholdSegmenter, TileClassifier
from flightsw.compute.service import PAUSE_SAFE, ComputeService
from flightsw.computer.kinds import Computer
from flightsw.config import FlightConfig
from flightsw.drivers.ttc import Ttc
from flightsw.drivers.ublox import Ublox
from flightsw.errors import BusError, Shutdown
from flightsw.hal import Hal
from flightsw.scheduler import Group, Scheduler, Spec
from flightsw.services import collectors
from flightsw.services.board import Board, collect, wanted
from flightsw.services.connection import ConnectionTest
from flightsw.services.downlink import Downlink
from flightsw.services.events import Events
from flightsw.services.functions import Functions
from flightsw.services.housekeeping import Housekeeping
from flightsw.services.modes import Modes
from flightsw.services.monitors import Monitors
from flightsw.services.parameters import Parameters
from flightsw.services.parts import Parts
from flightsw.services.router import Router
from flightsw.services.schedule import Schedule
from flightsw.services.sensors import Sensors
from flightsw.services.telemetry import PacketStore, Telemetry
from flightsw.services.uplink import Uplink
from flightsw.services.verification import Verification
from flightsw.status import link_status, status
from flightsw.storage import Files, Storage

_MS_NS = 1_000_000
GROUPS = (
    Spec(RateGroup.CONTROL, "control", 100 * _MS_NS),
    Spec(RateGroup.HOUSEKEEPING, "housekeeping", 1000 * _MS_NS),
    Spec(RateGroup.SLOW, "slow", 10_000 * _MS_NS),
)
#: a change of the clock offset that is worth an event
_OFFSET_STEP_NS = 1_000_000
_NO_SLOT = 255
#: parts that are started anew when they are missing; the others tell of themselves by talking
_RETRIED = (Role.POWER, Role.TEMP_BOARD, Role.TEMP_CHIP, Role.IMU, Role.FLASH)
#: a receiver that was just switched on may take so long to talk
_GNSS_START_NS = 15_000 * _MS_NS


class App:
    """The flight software of one payload computer. Made by :func:`create`."""

    def __init__(self, hal: Hal, storage: Storage, config: FlightConfig) -> None:
        self.hal = hal
        self.clock = hal.clock
        self.config = config
        self.storage = storage
        self.started_ns = hal.clock.now_ns()
        self._make_foundation()
        self._make_services()
        self._make_groups()
        self._boot()

    # --- composition -----------------------------------------------------------------------------

    def _make_foundation(self) -> None:
        """Parts, parameters, telemetry: what everything else uses."""
        hal, config = self.hal, self.config
        self.parts = Parts(hal)
        self.parts.start()
        self.ttc: Ttc | None = self.parts.driver(Role.TTC)
        self.gnss: Ublox | None = self.parts.driver(Role.GNSS)
        self.clock_offset_ns = 0
        self._offset_told_ns: int | None = None
        self._dropped_told = 0
        self._islands_told = 0
        self._imu_cycle = 0
        self._gnss_heard = 0
        self.store = PacketStore(self.storage, config.store_max_packets)
        self.telemetry = Telemetry(config.apid, self.clock, self.store)
        self.events = Events(self.telemetry)
        self.parts.report_to(self.events)
        self.verification = Verification(self.telemetry)
        self.scheduler = Scheduler(self.clock, self._overrun)
        self.parameters = Parameters(config.parameters)
        self.parameters.attach(
            self.scheduler,
            self.telemetry,
            lambda error: self.parts.lost(Role.FLASH, error.errno or 0),
        )
        self.boot_count = self._load_parameters()

    def _load_parameters(self) -> int:
        """Take parameters and boot count from the flash; return the boot count."""
        slot = self.parts.slots.get(Role.FLASH)
        if slot is None or slot.missing:
            return self.hal.boot_count
        flash: Any = slot.driver
        try:
            self.parameters.load(flash)
            self.parameters.count_boot()
        except BusError as error:
            self.parts.lost(Role.FLASH, error.errno or 0)
            return max(self.hal.boot_count, self.parameters.boot_count)
        return self.parameters.boot_count

    def _make_services(self) -> None:
        config, storage, events = self.config, self.storage, self.events
        parameters = self.parameters.values
        self.router = Router(config.apid, self.verification, storage)
        self.modes = Modes(events, storage, self._mode_changed)
        self.housekeeping = Housekeeping(self.telemetry, self.parameters.by_id)
        self.schedule = Schedule(
            self.telemetry,
            events,
            storage,
            self.router,
            lambda: parameters,
            config.plan_max_entries,
        )
        self.board = Board(Computer(config.computer), config.thermal) if wanted(config) else None
        self.segmenter = segmenter = self._segmenter()
        self.compute = ComputeService(
            self.hal,
            config,
            self.scheduler,
            storage,
            self.telemetry,
            events,
            self.parts.driver(Role.IMAGER),
            segmenter,
            parameters,
            lambda: self.gnss.fix if self.gnss else None,
        )
        self.sensors = Sensors(self.parts, events, self.started_ns, self.board)
        self.uplink = Uplink(self.ttc, config.scid, self.router)
        self.downlink = Downlink(
            self.ttc,
            config.scid,
            config.downlink_bps,
            config.pass_budget_octets,
            self.store,
            self.compute.outbox,
            lambda: self.uplink.clcw,
            events,
        )
        self._register()

    def _segmenter(self) -> TileClassifier:
        if self.config.inference != "onnx":
            return ThresholdSegmenter()
        segmenter = Segmenter(providers=asked(self.config.providers))
        if self.config.providers != "cpu":
            segmenter.on_fallback = self._fallback
        return segmenter

    def _register(self) -> None:
        """Connect telecommands to services, and housekeeping to its sources."""
        parameters = self.parameters.values
        functions = Functions(self.compute, self.modes, self.housekeeping, parameters, self.config)
        connection = ConnectionTest(self.telemetry)
        for service in (self.events, self.housekeeping, self.parameters, functions, connection):
            service.register(self.router)
        for structure, collector in (
            (STATUS, collectors.status),
            (POWER, collectors.power),
            (THERMAL, collectors.thermal),
            (MOTION, collectors.motion),
            (COMPUTE, collectors.compute),
            (COUNTERS, collectors.counters),
        ):
            self.housekeeping.collect(structure.sid, partial(collector, self))
        if self.board is not None:
            self.housekeeping.collect(COMPUTER.sid, partial(collect, self, self.board))

    def _make_groups(self) -> None:
        for spec, task in zip(GROUPS, (self._control, self._second, self._slow), strict=True):
            self.scheduler.add_group(spec).tasks.append(task)
        self.monitors = Monitors(
            self.scheduler.groups, self.parts.driver(Role.WATCHDOG), self.events
        )

    def _boot(self) -> None:
        """Report the start, finish what was interrupted, leave BOOT."""
        events, compute = self.events, self.compute
        doubt = compute.outbox.in_doubt
        resumed = compute.open_jobs()
        events.report(BOOT, self.boot_count, resumed, doubt[2] if doubt else 0, self.parts.mask())
        self._report_parameters()
        if self.storage.repairs:
            events.report(STORAGE_DAMAGED, self.storage.repairs)
        self._report_provider()
        self.schedule.now_ns = self.clock.now_ns()
        self.modes.started()
        self.router.redo_interrupted(lambda sequence: events.report(COMMAND_REDONE, sequence))
        compute.start()

    def _report_provider(self) -> None:
        """Tell what runs the network, where that was asked for."""
        if self.config.providers == "cpu" or self.config.inference != "onnx":
            return
        fallbacks = self.segmenter.fallbacks
        for count, fallback in enumerate(fallbacks, 1):
            number = NUMBERS[fallback.provider]
            self.events.report(PROVIDER_FALLBACK, number, fallback.failure, count)
        first = NUMBERS[asked(self.config.providers)[0]]
        self.events.report(PROVIDER_CHOSEN, self.segmenter.provider_number, first, len(fallbacks))

    def _fallback(self, fallback: Fallback) -> None:
        """A provider stopped in the middle of its work; the processor goes on."""
        number, count = NUMBERS[fallback.provider], len(self.segmenter.fallbacks)
        self.events.report(PROVIDER_FALLBACK, number, fallback.failure, count)

    # --- rate groups -----------------------------------------------------------------------------

    def _control(self, now_ns: int) -> None:
        """10 Hz: telecommands, schedule, GNSS, IMU, downlink."""
        self.uplink.poll(now_ns)
        self.schedule.poll(now_ns)
        if self.gnss is not None:
            self.gnss.poll(now_ns)
        self._imu_cycle += 1
        divider = 10 if self.modes.mode == Mode.SAFE else self.parameters.values["imu_divider"]
        if self._imu_cycle >= divider:
            self._imu_cycle = 0
            self.sensors.sample_imu(now_ns)
        self.downlink.pump(now_ns)

    def _second(self, now_ns: int) -> None:
        """1 Hz: sensors and governors, watchdog, housekeeping."""
        if self.gnss is not None:
            self.gnss.pulses()
        self.sensors.govern(now_ns, self.parameters.values, self.compute, self.modes)
        self.monitors.kick(now_ns)
        self.housekeeping.tick(now_ns)

    def _slow(self, now_ns: int) -> None:
        """0.1 Hz: parts that are missing, clock correlation, the state of the store."""
        flash_away = self._flash_away()
        self.parts.retry(_RETRIED)
        if flash_away and not self._flash_away():
            self._flash_back()
        self._listen_for_gnss()
        self._correlate()
        if self.board is not None:
            self.board.tell_power(self.hal.cpu)
        self.downlink.settle()
        if self.store.dropped != self._dropped_told:
            self._dropped_told = self.store.dropped
            self.events.report(STORE_FULL, self.store.dropped)
        self._tell_of_link()

    def _tell_of_link(self) -> None:
        """Report that the bench is back; until then nobody would hear it."""
        link = link_status(self.hal)
        if link.get("islands", 0) != self._islands_told and not link["is_alone"]:
            self._islands_told = link["islands"]
            told = (link["alone_ms"], link["calls_timed_out"], link["posts_dropped"])
            self.events.report(LINK_RESTORED, self._islands_told, *told)

    def _flash_away(self) -> bool:
        slot = self.parts.slots.get(Role.FLASH)
        return slot is None or slot.missing

    def _flash_back(self) -> None:
        """Read what was missed at start, save what could not be saved."""
        parameters = self.parameters
        try:
            if parameters.recover(self.parts.driver(Role.FLASH)):
                self.boot_count = max(self.boot_count, parameters.boot_count)
                self._report_parameters()
        except BusError as error:
            self.parts.lost(Role.FLASH, error.errno or 0)

    def _report_parameters(self) -> None:
        slot = self.parameters.slot
        sequence = self.parameters.sequence
        self.events.report(PARAMETERS_LOADED, _NO_SLOT if slot < 0 else slot, sequence)

    def _listen_for_gnss(self) -> None:
        """A receiver that said nothing for a whole period is missing until it talks again."""
        if self.gnss is not None:
            stream = self.gnss.stream
            heard = stream.good_ubx + stream.good_nmea
            if heard == self._gnss_heard and self.clock.now_ns() - self.started_ns > _GNSS_START_NS:
                self.parts.lost(Role.GNSS, 0)
            elif heard != self._gnss_heard:
                self.parts.back(Role.GNSS)
            self._gnss_heard = heard

    def _correlate(self) -> None:
        if self.gnss is None:
            return
        offset_ns = self.gnss.offset_ns(self.config.epoch_unix_s)
        if offset_ns is None:
            return
        self.clock_offset_ns = offset_ns
        told_ns = self._offset_told_ns
        if told_ns is None or abs(offset_ns - told_ns) > _OFFSET_STEP_NS:
            self._offset_told_ns = offset_ns
            self.events.report(CLOCK_CORRELATED, offset_ns // 1000)

    def _overrun(self, group: Group, late_ns: int) -> None:
        self.events.report(OVERRUN, group.spec.number, late_ns // 1000, group.overruns)

    def _mode_changed(self, mode: Mode) -> None:
        self.compute.pause(PAUSE_SAFE, mode == Mode.SAFE)

    # --- running ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until the bench ends the run or a signal asks to stop."""
        try:
            self.scheduler.run()
        except Shutdown:
            return
        finally:
            self._close()

    def step(self) -> bool:
        """Do what :meth:`run` does up to the next step of the scheduler; False: it would return.

        Between two steps everything that the software knows lies in objects, and nothing on a
        stack.
        """
        try:
            self.scheduler.step(self.clock.now_ns())
        except Shutdown:
            self._close()
            return False
        except BaseException:
            self._close()
            raise
        return True

    def _close(self) -> None:
        self.storage.close()
        if self.board is not None:
            self.board.computer.close()

    def status(self) -> dict[str, Any]:
        """Return counters of everything, for tests and reports."""
        return status(self)


def create(
    hal: Hal,
    storage: Path,
    files: Files | None = None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> App:
    """Return the flight software on this hardware, started and in mode NOMINAL or SAFE.

    ``overrides`` are keys of the configuration that who starts it has set.

    Raises :class:`~flightsw.errors.DeviceTableError` for a bad device table or configuration,
    :class:`~flightsw.errors.StorageError` when ``storage`` cannot be used.
    """
    config = FlightConfig({**hal.config, **overrides})
    return App(hal, Storage(storage, files, fsync=config.fsync), config)
