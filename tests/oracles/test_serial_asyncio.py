"""pyserial-asyncio, unmodified: transports and streams on an emulated line."""

from __future__ import annotations

import asyncio

import pytest

import hil.faces.pyserial  # noqa: F401  # makes hil:// known

serial_asyncio = pytest.importorskip("serial_asyncio")


def test_a_stream_of_lines_comes_back() -> None:
    """Reader and writer move four kilo-octets through a loop, in order."""

    async def run() -> list[bytes]:
        reader, writer = await serial_asyncio.open_serial_connection(
            url="hil://loop", baudrate=921_600
        )
        lines = [b"%0254d\n" % n for n in range(16)]
        writer.writelines(lines)
        await writer.drain()
        got = [await asyncio.wait_for(reader.readline(), 60) for _ in lines]
        writer.close()
        assert got == lines
        return got

    assert len(asyncio.run(run())) == 16


def test_the_protocol_hears_that_the_port_is_closed() -> None:
    """connection_made, data_received and connection_lost come in that order."""
    seen: list[str] = []

    class Protocol(asyncio.Protocol):
        def __init__(self) -> None:
            self.done = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            seen.append("made")
            transport.write(b"hello")  # type: ignore[attr-defined]
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            seen.append("data")
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            seen.append("lost")
            self.done.set_result(exc)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        _, protocol = await serial_asyncio.create_serial_connection(
            loop, Protocol, "hil://loop", baudrate=115_200
        )
        assert await asyncio.wait_for(protocol.done, 60) is None

    asyncio.run(run())
    assert (seen[0], seen[1], seen[-1]) == ("made", "data", "lost")
