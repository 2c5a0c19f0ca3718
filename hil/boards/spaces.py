"""READ and WRITE of whatever length: a board's spaces in as many requests as its frames need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hil.boards.link import Link
from hil.boards.protocol import REQUESTS, Reply, Request, packer
from hil.errors import BoardError

_READ: Final = packer(REQUESTS[Request.READ])
_WRITE: Final = packer(REQUESTS[Request.WRITE])  # without the octets behind it
#: A read has the status in front of its octets.
_STATUS_NBYTES: Final = 1


def read_space(
    link: Link, space: int, offset: int, nbytes: int, done: Callable[[int, bytes | None], None]
) -> None:
    """Read at most ``nbytes`` octets; fewer where the space ends.

    ``done`` gets the last status and the octets, None where the link fails. Raises BoardError
    before a board has said how long its frames are.
    """
    room = _room(link) - _STATUS_NBYTES
    got: list[bytes] = []

    def ask(at: int) -> None:
        n = min(nbytes - at, room)

        def answered(reply: Reply | None) -> None:
            if reply is None:
                done(0, None)
                return
            got.append(reply.payload)
            if reply.ok and len(reply.payload) == n and at + n < nbytes:
                ask(at + n)
            else:
                done(reply.status, b"".join(got))

        link.request(Request.READ, _READ.pack(space, offset + at, n), answered)

    ask(0)


def write_space(
    link: Link, space: int, offset: int, octets: bytes, done: Callable[[int | None], None]
) -> None:
    """Write octets, in order, up to the first part that the board refuses.

    ``done`` gets the last status, None where the link fails. Raises BoardError before a board has
    said how long its frames are.
    """
    room = _room(link) - _WRITE.size

    def ask(at: int) -> None:
        part = octets[at : at + room]

        def answered(reply: Reply | None) -> None:
            if reply is None:
                done(None)
            elif reply.ok and at + len(part) < len(octets):
                ask(at + len(part))
            else:
                done(reply.status)

        link.request(Request.WRITE, _WRITE.pack(space, offset + at) + part, answered)

    ask(0)


def _room(link: Link) -> int:
    if link.identity is None:
        raise BoardError(f"no board yet ({link.reason}): open the link first")
    return link.identity.payload_nbytes
