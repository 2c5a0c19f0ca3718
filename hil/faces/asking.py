"""The side of a program at the bench's socket: connecting, and opening a device."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Final

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Kind, pack

#: more than any answer but an I2C or SPI transaction of full length
ANSWER_NBYTES: Final = 1 << 16
#: What precedes the JSON of an OPEN reply: the errno of each status.
_TABLE_NBYTES: Final = 32


def connect(path: Path | str) -> socket.socket:
    """Return a connection to the bench that listens at ``path``. Raises OSError: none is there.

    It has no time limit: on virtual time a limit would be a wait that may be over first, and a
    bench that ends hangs up.
    """
    one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        one.connect(str(path))
    except OSError:
        one.close()
        raise
    return one


def open_device(one: socket.socket, name: str, address: int = 0) -> tuple[int, dict[str, Any]]:
    """Open a device; return its channel, and what the bench says of it.

    Without a name it tells of all channels. Raises OSError, whose ``strerror`` says why, where the
    bench refuses or has ended.
    """
    one.send(pack(Kind.OPEN, address=address, payload=name.encode()))
    message = one.recv(ANSWER_NBYTES)
    if not message or message[0] != Kind.OPEN:
        why = message[HEADER_NBYTES:].decode(errors="replace") or "the bench has ended"
        raise ConnectionRefusedError(0, why)
    return HEADER.unpack_from(message)[1], json.loads(message[HEADER_NBYTES + _TABLE_NBYTES :])
