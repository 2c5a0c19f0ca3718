"""Arguments of every telecommand and layouts of every report other than housekeeping and events.

The key of a table is (service, subtype). Times are the eight octets of the CUC of telemetry.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from construct import (
    Bytes,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Int32sb,
    Int32ub,
    PrefixedArray,
    Struct,
)

from flightsw.codec.columns.declaration import field

TIME_NBYTES = 8

_EMPTY = Struct()
_SIDS = Struct(field("sids", PrefixedArray(Int8ub, Int8ub), "", "structure ids"))
_EVENT_IDS = Struct(field("events", PrefixedArray(Int8ub, Int16ub), "", "event ids"))

#: Identity of a telecommand packet: its first four octets (ECSS-E-ST-70-41C 6.1.4.3).
REQUEST_ID = Struct(
    field("packet_id", Int16ub, "", "version, type, secondary header flag, APID"),
    field("sequence", Int16ub, "", "sequence flags and count"),
)
#: Identity of a planned activity in service 11.
ACTIVITY_ID = Struct(
    field("source", Int16ub, "", "source id of the telecommand"),
    field("apid", Int16ub, "", "APID"),
    field("sequence", Int16ub, "", "sequence count"),
)
_ACTIVITIES = field("activities", PrefixedArray(Int8ub, ACTIVITY_ID), "", "activities meant")

#: TC[3,1] and TM[3,10]: parameters are ids of the housekeeping pool or of service 20.
HK_DEFINITION = Struct(
    field("sid", Int8ub, "", "structure id"),
    field("interval_s", Int16ub, "s", "collection interval"),
    field("parameters", PrefixedArray(Int8ub, Int16ub), "", "parameter ids in wire order"),
)

TELECOMMANDS: dict[tuple[int, int], Any] = {
    (3, 1): HK_DEFINITION,
    (3, 3): _SIDS,
    (3, 5): _SIDS,
    (3, 6): _SIDS,
    (3, 9): _SIDS,
    (3, 27): _SIDS,
    (3, 31): Struct(
        field(
            "intervals",
            PrefixedArray(
                Int8ub,
                Struct(
                    field("sid", Int8ub, "", "structure id"),
                    field("interval_s", Int16ub, "s", "collection interval, 1 to 3600"),
                ),
            ),
            "",
            "new intervals",
        ),
    ),
    (5, 5): _EVENT_IDS,
    (5, 6): _EVENT_IDS,
    (5, 7): _EMPTY,
    (8, 1): Struct(
        field("function", Int16ub, "", "function id, see FUNCTIONS"),
        field("arguments", GreedyBytes, "", "laid out as the function says"),
    ),
    (11, 1): _EMPTY,
    (11, 2): _EMPTY,
    (11, 3): _EMPTY,
    # (11, 4) holds whole packets: count, then (time, packet) pairs; spelt out in LISTS.
    (11, 4): Struct(
        field("count", Int8ub, "", "activities that follow"),
        field("activities", GreedyBytes, "", "release time (8 octets) and packet, each"),
    ),
    (11, 5): Struct(_ACTIVITIES),
    (11, 7): Struct(field("shift_s", Int32sb, "s", "added to release times"), _ACTIVITIES),
    (11, 9): Struct(_ACTIVITIES),
    (11, 12): Struct(_ACTIVITIES),
    (11, 15): Struct(field("shift_s", Int32sb, "s", "added to all release times")),
    (11, 16): _EMPTY,
    (11, 17): _EMPTY,
    (17, 1): _EMPTY,
    (17, 3): Struct(field("apid", Int16ub, "", "application process to test")),
    (20, 1): Struct(field("parameters", PrefixedArray(Int8ub, Int16ub), "", "parameter ids")),
    # (20, 3): values have the width of their parameter; spelt out in LISTS.
    (20, 3): Struct(
        field("count", Int8ub, "", "parameters that follow"),
        field("rows", GreedyBytes, "", "parameter id (u16) and value, each"),
    ),
}

#: Telemetry other than TM[3,25] and TM[5,1..4].
REPORTS: dict[tuple[int, int], Any] = {
    **{(1, subtype): Struct(*REQUEST_ID.subcons) for subtype in (1, 3, 7)},
    (1, 5): Struct(*REQUEST_ID.subcons, field("step", Int8ub, "", "step done, from 1")),
    **{
        (1, subtype): Struct(
            *REQUEST_ID.subcons,
            field("code", Int16ub, "", "see Failure"),
            field("detail", Int32ub, "", "value at fault, its id or its length"),
        )
        for subtype in (2, 4, 8, 10)
    },
    (1, 6): Struct(
        *REQUEST_ID.subcons,
        field("step", Int8ub, "", "step that failed, from 1"),
        field("code", Int16ub, "", "see Failure"),
        field("detail", Int32ub, "", "value at fault, its id or its length"),
    ),
    (3, 10): Struct(
        field("sid", Int8ub, "", "structure id"),
        field("periodic", Int8ub, "", "1 when reported periodically"),
        field("interval_s", Int16ub, "s", "collection interval"),
        field("parameters", PrefixedArray(Int8ub, Int16ub), "", "parameter ids in wire order"),
    ),
    (5, 8): Struct(field("events", PrefixedArray(Int8ub, Int16ub), "", "disabled event ids")),
    (11, 10): Struct(
        field("count", Int8ub, "", "activities that follow"),
        field("activities", GreedyBytes, "", "release time (8 octets) and packet, each"),
    ),
    (11, 13): Struct(
        field(
            "activities",
            PrefixedArray(
                Int8ub,
                Struct(
                    field("release", Bytes(TIME_NBYTES), "", "release time"), *ACTIVITY_ID.subcons
                ),
            ),
            "",
            "activities in order of release",
        ),
    ),
    (17, 2): _EMPTY,
    (17, 4): Struct(field("apid", Int16ub, "", "application process that answered")),
    (20, 2): Struct(
        field("count", Int8ub, "", "parameters that follow"),
        field("rows", GreedyBytes, "", "parameter id (u16) and value, each"),
    ),
}


class Function(NamedTuple):
    """One function of service 8."""

    id: int
    name: str
    struct: Any
    doc: str


_JOB = field("job", Int32ub, "", "job id")

TAKE_IMAGE = Function(
    1,
    "TAKE_IMAGE",
    Struct(
        field("job", Int32ub, "", "job id chosen by ground, unique, from 1"),
        field("exposure_us", Int32ub, "us", "exposure, 10 to 1 000 000; 0: the parameter"),
        field("priority", Int8ub, "", "0 sent first, 255 last"),
        field("max_cloud", Int8ub, "%", "discard above this cloud cover; 255: the parameter"),
    ),
    "Take an image now and process it; complete when the job is durable.",
)
PAUSE_COMPUTE = Function(2, "PAUSE_COMPUTE", Struct(), "Stop processing after the batch in work.")
RESUME_COMPUTE = Function(3, "RESUME_COMPUTE", Struct(), "Withdraw PAUSE_COMPUTE.")
ENTER_SAFE = Function(4, "ENTER_SAFE", Struct(), "Enter safe mode and stay until EXIT_SAFE.")
EXIT_SAFE = Function(5, "EXIT_SAFE", Struct(), "Leave safe mode if the governors allow it.")
RESEND_PARTS = Function(
    6,
    "RESEND_PARTS",
    Struct(
        _JOB,
        field("first", Int16ub, "", "first part wanted, from 1"),
        field("count", Int16ub, "", "how many, 65535: to the end"),
    ),
    "Queue parts of a product again; ground found them missing.",
)
ACKNOWLEDGE = Function(
    7, "ACKNOWLEDGE", Struct(_JOB), "Ground holds the whole product; it may be deleted on board."
)
DISCARD_JOB = Function(8, "DISCARD_JOB", Struct(_JOB), "End a job and delete its data.")
REPORT_ALL = Function(9, "REPORT_ALL", Struct(), "Report every housekeeping structure once.")
REPORT_JOBS = Function(10, "REPORT_JOBS", Struct(), "Report each job by a JOB_STATE event.")

FUNCTIONS: tuple[Function, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Function)
)
FUNCTION_BY_ID: dict[int, Function] = {function.id: function for function in FUNCTIONS}
