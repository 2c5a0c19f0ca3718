"""The first and the last word between bench and participant."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Any

from flightsw.codec.wire import HEADER_NBYTES, Kind, pack
from hil.errors import ParticipantError
from hil.time.participant import Participant

PROTOCOL = 1
#: number of records received with REPLY or INPUT, and the BLAKE2b-256 over their octets
END_ACK = struct.Struct("<Q32s")


def answer_hello(participant: Participant, message: bytes, welcome: dict[str, Any]) -> bytes:
    """Answer a HELLO: WELCOME, or REFUSE to one that speaks another protocol."""
    kind, hello = message[0] if message else 0, {}
    if kind == Kind.HELLO:
        with suppress(ValueError, RecursionError):
            hello = json.loads(message[HEADER_NBYTES:])
    t_ns = welcome["t_ns"]
    if not isinstance(hello, dict) or hello.get("protocol") != PROTOCOL:
        text = (
            f"the bench speaks protocol {PROTOCOL}, not what it got in a record of kind "
            f"0x{kind:02x}: install the same version"
        )
        return pack(Kind.REFUSE, t_ns=t_ns, payload=text.encode())
    pid = hello.get("pid")
    participant.pid = pid if isinstance(pid, int) else 0
    if "local" in hello and (wrong := participant.claim(hello["local"])):
        return pack(Kind.REFUSE, t_ns=t_ns, payload=f"{wrong}; see --local".encode())
    payload = json.dumps(welcome, sort_keys=True, separators=(",", ":")).encode()
    return pack(Kind.WELCOME, t_ns=t_ns, payload=payload)


def check_end_ack(participant: Participant, message: bytes) -> None:
    """Check an END_ACK: what the participant received must be what was sent to it.

    Raises :class:`~hil.errors.ParticipantError` if it is not.
    """
    body = message[HEADER_NBYTES:]
    if message[:1] != bytes((Kind.END_ACK,)) or len(body) != END_ACK.size:
        raise ParticipantError(
            f"participant {participant.name!r} answered END with something else than END_ACK"
        )
    count, digest = END_ACK.unpack(body)
    if (count, digest) != (participant.received, participant.sent_digest()):
        raise ParticipantError(
            f"participant {participant.name!r} received {count} records of the "
            f"{participant.received} sent to it, or other octets: the channel is damaged"
        )
