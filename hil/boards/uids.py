"""The number by which boards of one kind are told apart, stored on boards that can keep one."""

from __future__ import annotations

import re
import secrets

from hil.boards.protocol import Capability, Identity, Request, build, status_name
from hil.boards.talk import Talk
from hil.errors import BoardError, UsageError

UID_NBYTES, UID_SPACE = 8, 1
_UID = re.compile(r"[0-9a-fA-F]{16}")


def parse(text: str) -> bytes:
    """Return 8 octets of 16 hex digits, or random ones for ``random``. Raises UsageError."""
    if text == "random":
        return secrets.token_bytes(UID_NBYTES)
    if not _UID.fullmatch(text) or not int(text, 16):
        raise UsageError(f"--set-uid {text[:32]}: 16 hex digits that are not all zero, or `random`")
    return bytes.fromhex(text)


def store(talk: Talk, identity: Identity, uid: bytes) -> Identity:
    """Store a uid and return the identity that the board has then. Raises BoardError."""
    if Capability.UID_WRITABLE not in identity.capabilities:
        raise BoardError(
            f"{talk.name}: {identity.board} has the uid {identity.uid.hex()} for good; "
            "name the board by that"
        )
    told = talk.ask(Request.WRITE, build(Request.WRITE, space=UID_SPACE, offset=0, data=uid))
    if not told.ok:
        raise BoardError(f"{talk.name}: the board did not store it: {status_name(told.status)}")
    identity = talk.greet()
    if identity.uid != uid:
        raise BoardError(
            f"{talk.name}: the board still says {identity.uid.hex()}; reset it and ask again"
        )
    return identity
