"""Numbers with a name that telemetry and telecommands carry."""

from __future__ import annotations

from enum import IntEnum

#: Application process of the payload computer: housekeeping, events, verification, products.
APID = 0x101
#: Application process of time and idle on the ground side; nothing on board answers to it.
APID_IDLE = 0x7FF
#: Source id of the ground in telecommands, destination id in telemetry.
GROUND_ID = 1

#: Virtual channels of the downlink.
VC_REALTIME = 0
VC_PRODUCT = 1


class Severity(IntEnum):
    """Severity of an event report, the subtype of service 5."""

    INFO = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4


class Mode(IntEnum):
    """Mode of the payload computer."""

    BOOT = 0
    NOMINAL = 1
    SAFE = 2


class ModeReason(IntEnum):
    """Why a mode changed."""

    START = 0
    TELECOMMAND = 1
    POWER = 2
    THERMAL = 3
    RECOVERED = 4
    SENSORS = 5


class GovernorState(IntEnum):
    """What a governor allows, ordered: each step allows less."""

    RUN = 0
    SLOW = 1
    PAUSE = 2
    SAFE = 3


class Role(IntEnum):
    """Place of a part in the payload computer."""

    POWER = 0
    TEMP_BOARD = 1
    TEMP_CHIP = 2
    IMU = 3
    FLASH = 4
    GNSS = 5
    EPS = 6
    WATCHDOG = 7
    TTC = 8
    IMAGER = 9


class RateGroup(IntEnum):
    """Rate groups of the scheduler."""

    CONTROL = 0
    HOUSEKEEPING = 1
    SLOW = 2


class Suspicion(IntEnum):
    """Why a sensor reading is not believed."""

    NONE = 0
    DROPOUT = 1
    ZERO = 2
    FROZEN = 3
    RANGE = 4
    DISAGREES = 5
    STALE = 6


class JobState(IntEnum):
    """Life of an image job. The states after SENT are ends."""

    ACCEPTED = 0
    ACQUIRED = 1
    TILES = 2
    PRODUCT = 3
    QUEUED = 4
    SENT = 5
    ACKNOWLEDGED = 6
    FAILED = 7
    DISCARDED = 8


class JobReason(IntEnum):
    """Why a job FAILED or was DISCARDED."""

    NONE = 0
    CLOUD = 1
    TELECOMMAND = 2
    IMAGER = 3
    INFERENCE = 4
    STORAGE = 5
    EXPIRED = 6


class Failure(IntEnum):
    """Failure codes of service 1. Below 0x10: routing and acceptance; above: execution."""

    BAD_CHECKSUM = 0x01
    BAD_LENGTH = 0x02
    BAD_VERSION = 0x03
    UNKNOWN_APID = 0x04
    UNKNOWN_SERVICE = 0x05
    UNKNOWN_SUBTYPE = 0x06
    BAD_LAYOUT = 0x07
    OUT_OF_RANGE = 0x10
    UNKNOWN_ID = 0x11
    ALREADY_EXISTS = 0x12
    FULL = 0x13
    WRONG_MODE = 0x14
    TIME_IN_PAST = 0x15
    WRONG_STATE = 0x16
    INTERRUPTED = 0x17
    STORAGE = 0x18


class ClassId(IntEnum):
    """Classes of a class map, two bits a pixel."""

    SEA = 0
    LAND = 1
    CLOUD = 2


class ComputerKind(IntEnum):
    """What the payload computer is, as far as it reads itself."""

    NONE = 0
    PI = 1
    JETSON = 2
    GPU = 3


class ThermalSource(IntEnum):
    """Where the temperature comes from that the thermal governor acts on as the processor's."""

    NONE = 0
    BENCH = 1
    BOARD = 2


class Provider(IntEnum):
    """What runs the network."""

    CPU = 0
    CUDA = 1
    TENSORRT = 2
    NUMPY = 3


class ProviderFailure(IntEnum):
    """Why a provider that was asked for does not run the network."""

    ABSENT = 0
    REFUSED = 1
    REPLACED = 2
    STOPPED = 3
