"""The data dictionary of the payload computer: declared once, used on board, on ground and in docs.

Everything that is not a frame or a packet header is here: housekeeping, events, telecommand
arguments, parameters, products, and the numbers with names that they carry. Declarations are
construct Structs whose fields hold unit and meaning; encoders and columns are compiled from them.
"""

from .commands import FUNCTION_BY_ID, FUNCTIONS, REPORTS, TELECOMMANDS, Function
from .enums import (
    APID,
    APID_IDLE,
    GROUND_ID,
    VC_PRODUCT,
    VC_REALTIME,
    ClassId,
    ComputerKind,
    Failure,
    GovernorState,
    JobReason,
    JobState,
    Mode,
    ModeReason,
    Provider,
    ProviderFailure,
    RateGroup,
    Role,
    Severity,
    Suspicion,
    ThermalSource,
)
from .events import BY_ID as EVENT_BY_ID
from .events import EVENTS, Event
from .housekeeping import BY_SID as STRUCTURE_BY_SID
from .housekeeping import POOL, STRUCTURES, Structure
from .interface import DRIVER_NAMES, FLIGHT_KEYS, ROLE_NAMES
from .lists import LISTS
from .parameters import PARAMETER_BY_ID, PARAMETER_BY_NAME, PARAMETERS, Parameter
from .products import (
    PART_FIRST,
    PART_HEADER,
    PART_LAST,
    PART_NBYTES,
    PART_NEXT,
    PRODUCT,
    PRODUCT_CRC_NBYTES,
    PRODUCT_HEADER,
    PRODUCT_HEADER_NBYTES,
    PRODUCT_MAGIC,
    PRODUCT_VERSION,
)

__all__ = [
    "APID",
    "APID_IDLE",
    "DRIVER_NAMES",
    "EVENTS",
    "EVENT_BY_ID",
    "FLIGHT_KEYS",
    "FUNCTIONS",
    "FUNCTION_BY_ID",
    "GROUND_ID",
    "LISTS",
    "PARAMETERS",
    "PARAMETER_BY_ID",
    "PARAMETER_BY_NAME",
    "PART_FIRST",
    "PART_HEADER",
    "PART_LAST",
    "PART_NBYTES",
    "PART_NEXT",
    "POOL",
    "PRODUCT",
    "PRODUCT_CRC_NBYTES",
    "PRODUCT_HEADER",
    "PRODUCT_HEADER_NBYTES",
    "PRODUCT_MAGIC",
    "PRODUCT_VERSION",
    "REPORTS",
    "ROLE_NAMES",
    "STRUCTURES",
    "STRUCTURE_BY_SID",
    "TELECOMMANDS",
    "VC_PRODUCT",
    "VC_REALTIME",
    "ClassId",
    "ComputerKind",
    "Event",
    "Failure",
    "Function",
    "GovernorState",
    "JobReason",
    "JobState",
    "Mode",
    "ModeReason",
    "Parameter",
    "Provider",
    "ProviderFailure",
    "RateGroup",
    "Role",
    "Severity",
    "Structure",
    "Suspicion",
    "ThermalSource",
]
