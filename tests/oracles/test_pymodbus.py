"""pymodbus, unmodified, over emulated serial lines: client and server, sync and async."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hil.faces.pyserial import null_modem, register
from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("pymodbus")

from pymodbus import FramerType  # noqa: E402  # after the skip
from pymodbus.client import AsyncModbusSerialClient, ModbusSerialClient  # noqa: E402
from pymodbus.server import ModbusSerialServer  # noqa: E402
from pymodbus.simulator import DataType, SimData, SimDevice  # noqa: E402

UNIT = 17


def server(url: str, **line: object) -> ModbusSerialServer:
    """Return a server with 100 registers."""
    data = SimData(0, count=100, values=0x55AA, datatype=DataType.REGISTERS)
    return ModbusSerialServer(SimDevice(UNIT, simdata=[data]), port=url, **line)


async def serving(one: ModbusSerialServer) -> asyncio.Task[None]:
    """Start a server and wait until it has its port."""
    task = asyncio.create_task(one.serve_forever(background=False))
    for _ in range(600):
        if one.transport is not None:
            return task
        await asyncio.sleep(0.01)
    raise AssertionError("the server did not open its port")


def check(client: ModbusSerialClient) -> None:
    """Write and read registers, and ask for what is not there."""
    assert client.connect()
    for n in range(10):
        assert not client.write_register(n, n * 257, device_id=UNIT).isError()
    assert not client.write_registers(10, list(range(60)), device_id=UNIT).isError()
    assert client.read_holding_registers(0, count=12, device_id=UNIT).registers == [
        *(n * 257 for n in range(10)),
        *(0, 1),
    ]
    assert client.read_holding_registers(70, count=1, device_id=UNIT).registers == [0x55AA]
    assert client.read_holding_registers(1000, count=1, device_id=UNIT).isError()
    client.close()


@pytest.mark.parametrize(
    "line",
    [
        {"baudrate": 115_200},
        {"baudrate": 19_200, "parity": "E", "stopbits": 1},
        {"baudrate": 57_600, "parity": "O", "bytesize": 7, "framer": FramerType.ASCII},
    ],
    ids=["8N1", "8E1", "ascii"],
)
def test_a_sync_client_talks_to_an_async_server(line: dict[str, object]) -> None:
    """RTU and ASCII: what is written is read back, and a wrong address is an exception reply."""

    async def run() -> None:
        one = server("hil://pair/slave", **line)
        task = await serving(one)
        await asyncio.to_thread(check, ModbusSerialClient("hil://pair/master", timeout=10, **line))
        await one.shutdown()
        await asyncio.gather(task, return_exceptions=True)

    with register("pair", null_modem("master", "slave")) as bench:
        asyncio.run(run())
        lines = [lane.bus for lane in bench.exchange.lanes.values()]
        counts = bench.do(lambda: [bus.icount() for bus in lines])
    for own, other in (counts, counts[::-1]):
        assert (own["rx"], own["frame"], own["parity"]) == (other["tx"], 0, 0)
        assert own["buf_overrun"] == 0


def test_an_async_client_talks_to_an_async_server() -> None:
    """Both on one event loop, on descriptors that it selects."""

    async def run() -> list[int]:
        one = server("hil://slave", baudrate=38_400)
        task = await serving(one)
        client = AsyncModbusSerialClient("hil://master", baudrate=38_400, timeout=10)
        assert await client.connect()
        await client.write_registers(0, [1, 2, 3], device_id=UNIT)
        found = await client.read_holding_registers(0, count=4, device_id=UNIT)
        client.close()
        await one.shutdown()
        await asyncio.gather(task, return_exceptions=True)
        return list(found.registers)

    with register("pair", null_modem("master", "slave")):
        assert asyncio.run(run()) == [1, 2, 3, 0x55AA]


BOARD = """[board]
name = "modbus"
title = "Two serial lines that are wired to each other"
adapter = "ideal"
[bus.ttyS0]
kind = "uart"
baud = 115200
wired_to = "ttyS1"
[bus.ttyS1]
kind = "uart"
baud = 115200
"""

PROGRAM = """
import asyncio, subprocess, sys
import hil.faces.pyserial
from pymodbus.client import ModbusSerialClient
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

master, slave = sys.argv[2:]
if sys.argv[1] == "server":
    async def serve():
        data = SimData(0, count=100, values=7, datatype=DataType.REGISTERS)
        one = ModbusSerialServer(SimDevice(1, simdata=[data]), port=slave, baudrate=115200)
        await one.serve_forever()
    asyncio.run(serve())
else:
    server = subprocess.Popen([sys.executable, __file__, "server", master, slave])
    client = ModbusSerialClient(master, baudrate=115200, timeout=0.5, retries=60)
    assert client.connect()
    for n in range(20):
        assert not client.write_register(n, n * n, device_id=1).isError()
    print(client.read_holding_registers(0, count=21, device_id=1).registers)
    client.close()
    server.kill()
    server.wait()
"""


def beside_a_bench(folder: Path, master: str, slave: str, *options: str) -> str:
    """Run client and server beside a bench of two wired lines; return the digest of the run."""
    if not (ROOT / "hil" / "faces" / SHIM).is_file():
        pytest.skip("the preload shim was not built")
    folder.mkdir(exist_ok=True)
    (folder / "modbus.toml").write_text(BOARD)
    program = folder / "program.py"
    program.write_text(PROGRAM)
    words = [sys.executable, "-m", "hil", "run", "--board", str(folder / "modbus.toml"), *options]
    words += ["--out", str(folder / "run"), "-q", "--", sys.executable, str(program)]
    done = subprocess.run(
        [*words, "client", master, slave],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.stdout == f"{[n * n for n in range(20)] + [7]}\n", done.stderr
    assert done.returncode == 0
    return str(json.loads((folder / "run" / "run.json").read_text())["digest"])


@pytest.mark.parametrize(
    ("master", "slave"),
    [
        ("hil://ttyS0", "hil://modbus/ttyS1"),
        ("/dev/ttyS0", "hil://ttyS1"),
        ("/dev/ttyS0", "/dev/ttyS1"),
    ],
)
def test_two_processes_talk_beside_a_bench(tmp_path: Path, master: str, slave: str) -> None:
    """Under hil run client and server are two programs on two lines, by URL or by device file."""
    beside_a_bench(tmp_path, master, slave)


def test_two_processes_on_virtual_time_do_the_same_each_time(tmp_path: Path) -> None:
    """Every octet of client and server is at the same virtual time in each run."""
    digests = {
        beside_a_bench(tmp_path / f"run{n}", "hil://ttyS0", "hil://ttyS1", "--virtual-time")
        for n in range(2)
    }
    assert len(digests) == 1
