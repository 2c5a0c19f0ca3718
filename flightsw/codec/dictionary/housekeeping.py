"""Housekeeping structures of service 3: the one declaration that both ends use.

A TM[3,25] carries the structure id (one octet) and then the fields in this order. Every field is
also a parameter of the data pool with the id ``sid << 8 | index``, from which ground may create
structures of its own (TC[3,1]).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from construct import Int8sb, Int8ub, Int16sb, Int16ub, Int32sb, Int32ub, Struct

from flightsw.codec.columns.declaration import field

from .fields import names_of


class Structure(NamedTuple):
    """One housekeeping structure: ``interval_s`` and ``periodic`` hold until ground says else.

    An ``optional`` one exists only where the flight software was told to make it.
    """

    sid: int
    name: str
    interval_s: int
    periodic: bool
    struct: Any
    optional: bool = False

    def ids(self) -> tuple[int, ...]:
        """Return the parameter ids of the fields in wire order."""
        return tuple(self.sid << 8 | index for index in range(len(self.struct.subcons)))


STATUS = Structure(
    1,
    "status",
    10,
    True,
    Struct(
        field("mode", Int8ub, "", "mode, see Mode"),
        field("power_state", Int8ub, "", "power governor, see GovernorState"),
        field("thermal_state", Int8ub, "", "thermal governor, see GovernorState"),
        field("parts_missing", Int16ub, "", "bit mask of parts that do not answer, bit = Role"),
        field("boot_count", Int16ub, "", "starts of the payload computer"),
        field("uptime_s", Int32ub, "s", "time since this start"),
        field("tc_accepted", Int16ub, "", "telecommands accepted since start"),
        field("tc_rejected", Int16ub, "", "telecommands refused since start"),
        field("tc_last", Int16ub, "", "sequence count of the telecommand accepted last"),
        field("plan_enabled", Int8ub, "", "1 when the time-based schedule runs"),
        field("plan_entries", Int8ub, "", "activities in the time-based schedule"),
        field("events", Int16ub, "", "event reports since start"),
        field("overruns", Int16ub, "", "rate group overruns since start"),
        field("watchdog_kicks", Int32ub, "", "watchdog kicks since start"),
        field("watchdog_withheld", Int16ub, "", "kicks withheld because a rate group was late"),
        field("store_packets", Int16ub, "", "telemetry packets that wait for a pass"),
        field("store_dropped", Int16ub, "", "telemetry packets dropped because the store was full"),
        field("pass_octets", Int32ub, "octet", "octets sent in this or the last pass"),
    ),
)

POWER = Structure(
    2,
    "power",
    10,
    True,
    Struct(
        field("payload_mv", Int16ub, "mV", "INA3221 channel 1, payload bus voltage"),
        field("payload_ma", Int16sb, "mA", "INA3221 channel 1, payload current"),
        field("bus_mv", Int16ub, "mV", "INA3221 channel 2, bus voltage"),
        field("bus_ma", Int16sb, "mA", "INA3221 channel 2, bus current"),
        field("solar_mv", Int16ub, "mV", "INA3221 channel 3, solar array voltage"),
        field("solar_ma", Int16sb, "mA", "INA3221 channel 3, solar array current"),
        field("battery_mv", Int16ub, "mV", "battery voltage told by the EPS"),
        field("battery_ma", Int16sb, "mA", "battery current told by the EPS, positive charging"),
        field("soc_permille", Int16ub, "1/1000", "state of charge told by the EPS"),
        field("solar_mw", Int32ub, "mW", "array power told by the EPS"),
        field("load_mw", Int32ub, "mW", "load power told by the EPS"),
        field("eps_age_ms", Int32ub, "ms", "age of the EPS values"),
        field("battery_trusted", Int8ub, "", "1 when the governor believes the battery values"),
    ),
)

THERMAL = Structure(
    3,
    "thermal",
    10,
    True,
    Struct(
        field("chip_cdeg", Int16sb, "0.01 degC", "TMP117 at the processor"),
        field("board_cdeg", Int16sb, "0.01 degC", "TMP117 at the board"),
        field("imu_cdeg", Int16sb, "0.01 degC", "die temperature of the IMU"),
        field("governed_cdeg", Int16sb, "0.01 degC", "temperature that the governor acts on"),
        field("chip_suspicion", Int8ub, "", "why the chip reading is not believed, see Suspicion"),
        field("board_suspicion", Int8ub, "", "why the board reading is not believed"),
        field("imu_suspicion", Int8ub, "", "why the IMU reading is not believed"),
    ),
)

MOTION = Structure(
    4,
    "motion",
    30,
    True,
    Struct(
        field("latitude", Int32sb, "1e-7 deg", "GNSS latitude"),
        field("longitude", Int32sb, "1e-7 deg", "GNSS longitude, east positive"),
        field("altitude_m", Int32sb, "m", "GNSS height above the ellipsoid"),
        field("velocity_north", Int32sb, "mm/s", "GNSS velocity north"),
        field("velocity_east", Int32sb, "mm/s", "GNSS velocity east"),
        field("velocity_down", Int32sb, "mm/s", "GNSS velocity down"),
        field("fix", Int8ub, "", "GNSS fix type, 3 = position in space"),
        field("satellites", Int8ub, "", "GNSS satellites used"),
        field("clock_offset_us", Int32sb, "us", "mission clock minus GNSS time at the last pulse"),
        field("pulses", Int32ub, "", "pulses per second seen since start"),
        field("gyro_x", Int32sb, "urad/s", "angular rate about x"),
        field("gyro_y", Int32sb, "urad/s", "angular rate about y"),
        field("gyro_z", Int32sb, "urad/s", "angular rate about z"),
        field("accel_x", Int32sb, "um/s2", "acceleration along x"),
        field("accel_y", Int32sb, "um/s2", "acceleration along y"),
        field("accel_z", Int32sb, "um/s2", "acceleration along z"),
    ),
)

COMPUTE = Structure(
    5,
    "compute",
    30,
    True,
    Struct(
        field("paused", Int8ub, "", "bit 0 telecommand, 1 power, 2 thermal, 3 safe mode"),
        field("job", Int32ub, "", "job in work, 0 if none"),
        field("tiles_done", Int16ub, "", "tiles done of the job in work"),
        field("tiles_total", Int16ub, "", "tiles of the job in work"),
        field("jobs_open", Int16ub, "", "jobs accepted and not ended"),
        field("jobs_accepted", Int16ub, "", "jobs accepted, all starts"),
        field("images", Int16ub, "", "images taken, all starts"),
        field("products", Int16ub, "", "products made, all starts"),
        field("discarded", Int16ub, "", "jobs discarded, all starts"),
        field("failed", Int16ub, "", "jobs failed, all starts"),
        field("sent", Int16ub, "", "products handed to the line completely, all starts"),
        field("acknowledged", Int16ub, "", "products acknowledged by ground, all starts"),
        field("resumed", Int16ub, "", "jobs resumed after a restart, all starts"),
        field("parts_queued", Int16ub, "", "product parts that wait for a pass"),
        field("checkpoints", Int32ub, "", "checkpoints written since start"),
        field("work_ms", Int32ub, "ms", "processor time charged to jobs since start"),
        field("energy_mj", Int32ub, "mJ", "energy charged to jobs since start"),
    ),
)

COUNTERS = Structure(
    6,
    "counters",
    60,
    True,
    Struct(
        field("bus_errors", Int32ub, "", "bus transactions that failed"),
        field("bus_retries", Int32ub, "", "bus transactions tried again"),
        field("errors_power", Int16ub, "", "failed reads of the power monitor"),
        field("errors_temp_board", Int16ub, "", "failed reads of the board sensor"),
        field("errors_temp_chip", Int16ub, "", "failed reads of the chip sensor"),
        field("errors_imu", Int16ub, "", "failed reads of the IMU"),
        field("errors_flash", Int16ub, "", "failed transfers of the flash"),
        field("gnss_messages", Int32ub, "", "good GNSS messages"),
        field("gnss_bad", Int16ub, "", "GNSS messages with a bad checksum"),
        field("gnss_skipped", Int32ub, "octet", "octets between GNSS messages"),
        field("eps_frames", Int32ub, "", "good EPS frames"),
        field("eps_bad", Int16ub, "", "EPS frames that could not be read"),
        field("ttc_overruns", Int16ub, "octet", "octets lost in the TTC receive buffer"),
        field("tc_frames", Int16ub, "", "telecommand frames accepted by FARM-1"),
        field("tc_frames_bad", Int16ub, "", "telecommand units or frames refused"),
        field("tm_frames", Int32ub, "", "telemetry frames handed to the line"),
        field("parts_sent", Int32ub, "", "product parts handed to the line"),
        field("passes", Int16ub, "", "passes since start"),
        field("config_slot", Int8sb, "", "flash slot the parameters came from, -1 if defaults"),
        field("storage_repairs", Int16ub, "", "damaged slots or journal tails found at start"),
    ),
)

#: Fields from here on hold nothing unless their bit of ``valid`` is set: absent is not 0.
COMPUTER = Structure(
    7,
    "computer",
    10,
    True,
    Struct(
        field("kind", Int8ub, "", "what the computer is, see ComputerKind"),
        field("provider", Int8ub, "", "what runs the network, see Provider"),
        field("fallbacks", Int16ub, "", "providers asked for and given up since start"),
        field("thermal_source", Int8ub, "", "whose temperature is governed, see ThermalSource"),
        field("absent", Int16ub, "", "readings that the computer did not tell, at the last look"),
        field("valid", Int32ub, "", "bit n: the field n places further on holds a reading"),
        field("bench_cdeg", Int16sb, "0.01 degC", "0: the processor by its part on the bench"),
        field("board_cdeg", Int16sb, "0.01 degC", "1: the processor by the computer's own zones"),
        field("throttled", Int32ub, "", "2: throttle word of a Raspberry Pi"),
        field("cpu_khz", Int32ub, "kHz", "3: fastest clock of the cores"),
        field("cpu_permille", Int16ub, "1/1000", "4: busy cores since the last look"),
        field("load", Int16ub, "1/100", "5: runnable threads, mean of a minute"),
        field("memory_used_kib", Int32ub, "KiB", "6: memory in use"),
        field("memory_total_kib", Int32ub, "KiB", "7: memory there is"),
        field("power_mw", Int32ub, "mW", "8: what the whole computer draws"),
        field("rail_1_mw", Int32ub, "mW", "9: first rail of the power monitors"),
        field("rail_2_mw", Int32ub, "mW", "10: second rail"),
        field("rail_3_mw", Int32ub, "mW", "11: third rail"),
        field("gpu_cdeg", Int16sb, "0.01 degC", "12: temperature of the GPU"),
        field("gpu_khz", Int32ub, "kHz", "13: clock of the GPU"),
        field("gpu_permille", Int16ub, "1/1000", "14: load of the GPU"),
        field("gpu_memory_used_kib", Int32ub, "KiB", "15: memory of the GPU in use"),
        field("gpu_memory_total_kib", Int32ub, "KiB", "16: memory of the GPU"),
        field("gpu_power_mw", Int32ub, "mW", "17: what the GPU draws"),
        field("gpu_ecc_corrected", Int32ub, "", "18: errors of its memory, corrected"),
        field("gpu_ecc_uncorrected", Int32ub, "", "19: errors of its memory, not corrected"),
        field("gpu_throttle", Int32ub, "", "20: why its clock is held down, as NVML has it"),
    ),
    optional=True,
)

STRUCTURES: tuple[Structure, ...] = (STATUS, POWER, THERMAL, MOTION, COMPUTE, COUNTERS, COMPUTER)
BY_SID: dict[int, Structure] = {structure.sid: structure for structure in STRUCTURES}

#: Every field of the data pool: parameter id -> (name, construct type with unit and meaning).
POOL: dict[int, tuple[str, Any]] = {
    number: (f"{structure.name}.{subcon.name}", subcon)
    for structure in STRUCTURES
    for number, subcon in zip(structure.ids(), structure.struct.subcons, strict=True)
}
NAMES: dict[int, tuple[str, ...]] = {s.sid: names_of(s.struct) for s in STRUCTURES}
