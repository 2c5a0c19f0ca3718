"""Event definitions of service 5. A report carries the event id (u16), then this data layout."""

from __future__ import annotations

from typing import Any, NamedTuple

from construct import Int8ub, Int16sb, Int16ub, Int32sb, Int32ub, Struct

from flightsw.codec.columns.declaration import field

from .enums import Severity


class Event(NamedTuple):
    """One event: its severity is the subtype of the report."""

    id: int
    severity: Severity
    name: str
    struct: Any


_INFO, _LOW, _MEDIUM, _HIGH = Severity

BOOT = Event(
    1,
    _INFO,
    "BOOT",
    Struct(
        field("boot_count", Int16ub, "", "starts of the payload computer"),
        field("jobs_resumed", Int16ub, "", "unfinished jobs found in storage"),
        field("parts_in_doubt", Int16ub, "", "product parts handed over just before the restart"),
        field("parts_missing", Int16ub, "", "bit mask of parts that did not answer, bit = Role"),
    ),
)
MODE_CHANGED = Event(
    2,
    _INFO,
    "MODE_CHANGED",
    Struct(
        field("old", Int8ub, "", "mode before, see Mode"),
        field("new", Int8ub, "", "mode now, see Mode"),
        field("reason", Int8ub, "", "see ModeReason"),
    ),
)
SAFE_MODE = Event(3, _HIGH, "SAFE_MODE", Struct(field("reason", Int8ub, "", "why, see ModeReason")))
PART_MISSING = Event(
    10,
    _MEDIUM,
    "PART_MISSING",
    Struct(
        field("role", Int8ub, "", "see Role"),
        field("errno", Int16ub, "", "Linux errno of the last failure; 0: wrong identity"),
    ),
)
PART_BACK = Event(11, _INFO, "PART_BACK", Struct(field("role", Int8ub, "", "see Role")))
SENSOR_SUSPECT = Event(
    12,
    _LOW,
    "SENSOR_SUSPECT",
    Struct(
        field("role", Int8ub, "", "see Role"),
        field("suspicion", Int8ub, "", "see Suspicion"),
        field("raw", Int32sb, "", "reading that is not believed, in the unit of its telemetry"),
    ),
)
SENSOR_TRUSTED = Event(13, _INFO, "SENSOR_TRUSTED", Struct(field("role", Int8ub, "", "see Role")))
POWER_GOVERNOR = Event(
    20,
    _LOW,
    "POWER_GOVERNOR",
    Struct(
        field("old", Int8ub, "", "see GovernorState"),
        field("new", Int8ub, "", "see GovernorState"),
        field("battery_mv", Int16ub, "mV", "battery voltage acted on"),
        field("soc_permille", Int16ub, "1/1000", "state of charge acted on"),
    ),
)
THERMAL_GOVERNOR = Event(
    21,
    _LOW,
    "THERMAL_GOVERNOR",
    Struct(
        field("old", Int8ub, "", "see GovernorState"),
        field("new", Int8ub, "", "see GovernorState"),
        field("governed_cdeg", Int16sb, "0.01 degC", "temperature acted on"),
    ),
)
OVERRUN = Event(
    30,
    _LOW,
    "OVERRUN",
    Struct(
        field("group", Int8ub, "", "see RateGroup"),
        field("late_us", Int32ub, "us", "how long after its next release it ended"),
        field("count", Int32ub, "", "overruns of this group since start"),
    ),
)
WATCHDOG_WITHHELD = Event(
    31,
    _HIGH,
    "WATCHDOG_WITHHELD",
    Struct(field("group", Int8ub, "", "group that did not run in time, see RateGroup")),
)
JOB_STATE = Event(
    40,
    _INFO,
    "JOB_STATE",
    Struct(
        field("job", Int32ub, "", "job id"),
        field("state", Int8ub, "", "see JobState"),
        field("reason", Int8ub, "", "see JobReason"),
        field("tiles_done", Int16ub, "", "tiles classified"),
        field("tiles_total", Int16ub, "", "tiles of the image"),
        field("product_octets", Int32ub, "octet", "size of the product, 0 before it is made"),
        field("parts", Int16ub, "", "parts of the product, 0 before it is made"),
    ),
)
JOB_FAILED = Event(
    41,
    _MEDIUM,
    "JOB_FAILED",
    Struct(
        field("job", Int32ub, "", "job id"),
        field("reason", Int8ub, "", "see JobReason"),
        field("detail", Int32ub, "", "errno or library code"),
    ),
)
JOB_RESUMED = Event(
    42,
    _INFO,
    "JOB_RESUMED",
    Struct(
        field("job", Int32ub, "", "job id"),
        field("state", Int8ub, "", "state found in storage, see JobState"),
        field("tiles_done", Int16ub, "", "tiles that need not be done again"),
    ),
)
PARTS_IN_DOUBT = Event(
    43,
    _LOW,
    "PARTS_IN_DOUBT",
    Struct(
        field("job", Int32ub, "", "job id"),
        field("first", Int16ub, "", "first part handed over just before the restart"),
        field("count", Int16ub, "", "how many; they are not sent again unless ground asks"),
    ),
)
COMPUTE_PAUSED = Event(
    44,
    _INFO,
    "COMPUTE_PAUSED",
    Struct(field("causes", Int8ub, "", "bit 0 telecommand, 1 power, 2 thermal, 3 safe mode")),
)
COMPUTE_RESUMED = Event(
    45, _INFO, "COMPUTE_RESUMED", Struct(field("job", Int32ub, "", "job in work, 0 if none"))
)
PASS_BEGIN = Event(
    50,
    _INFO,
    "PASS_BEGIN",
    Struct(
        field("pass_number", Int16ub, "", "passes since start"),
        field("store_packets", Int16ub, "", "telemetry packets that wait"),
        field("parts_queued", Int16ub, "", "product parts that wait"),
    ),
)
PASS_END = Event(
    51,
    _INFO,
    "PASS_END",
    Struct(
        field("pass_number", Int16ub, "", "passes since start"),
        field("octets", Int32ub, "octet", "octets handed to the line"),
        field("parts", Int16ub, "", "product parts handed to the line"),
    ),
)
BUDGET_SPENT = Event(
    52, _INFO, "BUDGET_SPENT", Struct(field("octets", Int32ub, "octet", "budget of the pass"))
)
STORE_FULL = Event(
    53,
    _LOW,
    "STORE_FULL",
    Struct(field("dropped", Int32ub, "", "telemetry packets dropped since start")),
)
ACTIVITY_LATE = Event(
    60,
    _LOW,
    "ACTIVITY_LATE",
    Struct(
        field("sequence", Int16ub, "", "sequence count of the planned telecommand"),
        field("late_s", Int32ub, "s", "how long after its release time; it was not run"),
    ),
)
COMMAND_REDONE = Event(
    61,
    _INFO,
    "COMMAND_REDONE",
    Struct(field("sequence", Int16ub, "", "telecommand accepted before the restart, done now")),
)
PARAMETERS_LOADED = Event(
    70,
    _INFO,
    "PARAMETERS_LOADED",
    Struct(
        field("slot", Int8ub, "", "flash slot; 255: none was good, defaults hold"),
        field("sequence", Int32ub, "", "sequence number of the slot"),
    ),
)
CLOCK_CORRELATED = Event(
    71,
    _INFO,
    "CLOCK_CORRELATED",
    Struct(field("offset_us", Int32sb, "us", "mission clock minus GNSS time")),
)
STORAGE_DAMAGED = Event(
    72,
    _MEDIUM,
    "STORAGE_DAMAGED",
    Struct(field("repairs", Int16ub, "", "slots or journal tails that failed their checksum")),
)
LINK_RESTORED = Event(
    73,
    _LOW,
    "LINK_RESTORED",
    Struct(
        field("islands", Int16ub, "", "how often the link to the bench was lost since start"),
        field("alone_ms", Int32ub, "ms", "how long, all in all"),
        field("calls_timed_out", Int32ub, "", "transactions that found no bench"),
        field("posts_dropped", Int32ub, "", "octets, frames and levels sent that reached no bus"),
    ),
)

PROVIDER_CHOSEN = Event(
    80,
    _LOW,
    "PROVIDER_CHOSEN",
    Struct(
        field("provider", Int8ub, "", "what runs the network, see Provider"),
        field("wanted", Int8ub, "", "what was asked for first, see Provider"),
        field("fallbacks", Int8ub, "", "providers that were asked for before it and given up"),
    ),
)
PROVIDER_FALLBACK = Event(
    81,
    _MEDIUM,
    "PROVIDER_FALLBACK",
    Struct(
        field("provider", Int8ub, "", "what was given up, see Provider"),
        field("failure", Int8ub, "", "why, see ProviderFailure"),
        field("count", Int16ub, "", "providers given up since start"),
    ),
)

EVENTS: tuple[Event, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Event)
)
BY_ID: dict[int, Event] = {event.id: event for event in EVENTS}
assert len(BY_ID) == len(EVENTS), "event ids must be unique"
