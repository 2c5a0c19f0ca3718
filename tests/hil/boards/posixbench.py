"""The board on this computer with emulated parts as its devices, asked without a session's help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import construct

from hil.boards import protocol
from hil.boards.posix import PosixBoard
from hil.boards.protocol import MessageFlag, Request
from hil.boards.silicon import Silicon
from hil.hosting import environment, shim_path
from hil.testing.contracts.board import open_session, opened
from hil.testing.contracts.board_bench import BoardBench


class PosixBench(BoardBench):
    """A session with a board; requests by their fields."""

    def ask(self, request: Request, **fields: Any) -> construct.Container[Any]:
        """Put one request; return the reply's fields and its ``status``."""
        reply = self.request(request, protocol.build(request, **fields))
        said: Any = construct.Container(status=reply.status, octets=reply.data)
        if reply.data:
            said.update(protocol.REPLIES[request].parse(reply.data))
        return said

    def xfer(self, *messages: tuple[int, bytes | int], flags: int = 0, bus: int = 1) -> Any:
        """Run an I2C transaction: (address and flags, octets to write or how many to read)."""
        plan = [
            {"address": address | MessageFlag.READ, "length": what, "data": None}
            if isinstance(what, int)
            else {"address": address, "length": len(what), "data": what}
            for address, what in messages
        ]
        return self.ask(Request.I2C_XFER, bus=bus, flags=flags, messages=plan)


@contextmanager
def posix_bench(
    options: Sequence[str] = (),
    silicon: Silicon | None = None,
    folder: Path | None = None,
    **more: Any,
) -> Iterator[PosixBench]:
    """Start a board, on the devices of ``silicon`` if there is one, and open a session."""
    if silicon is not None:
        assert folder is not None
        more["env"] = environment(silicon.serve_host(folder), shim_path())
    with PosixBoard(options, **more) as board, opened(board.port) as fd:
        bench = PosixBench(fd)
        open_session(bench)
        yield bench
