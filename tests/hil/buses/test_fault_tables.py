"""The tables of docs/faults.md: every fault of every bus is there and does what its row says."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from can_bench import FDBench, Listener
from test_gpio_lines import Bench as GPIOBench
from test_uart_lines import Line

from flightsw.codec.wire import Flag, Status
from hil.buses import can_errors, can_faults, faults, frames, gpio_faults, line_faults
from hil.buses.adapters import errno_for
from hil.buses.faults import BusFault
from hil.buses.i2c import I2CBus
from hil.buses.intercept import BLOCKED
from hil.buses.onewire import READ, RESET, OneWireBus
from hil.buses.spi import SPIBus
from hil.parts import pps
from hil.parts.ds18b20 import Ds18b20
from hil.testing.contracts.bus import I2CMemory, SPIShifter

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "faults.md").read_text()
Row = tuple[str, dict[str, int], list[str]]


def rows(title: str) -> list[Row]:
    """Return (kind, arguments, other cells) of the table under a heading."""
    section = re.split(rf"^## {title}\n", PAGE, flags=re.M)[1].split("\n## ")[0]
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            pairs = (pair.split("=") for pair in cells[1].strip("`").split())
            found.append((cells[0].strip("`"), {k: int(v) for k, v in pairs}, cells[2:]))
    return found


@pytest.mark.parametrize(
    ("title", "kinds"),
    [
        ("I2C", faults.I2C_KINDS),
        ("SPI", faults.SPI_KINDS),
        ("1-Wire", faults.ONEWIRE_KINDS),
        ("UART", line_faults.KINDS),
        ("CAN", can_faults.FAULT_KINDS),
        ("GPIO", gpio_faults.FAULT_KINDS),
        ("Time pulse", pps.FAULT_KINDS),
        ("Camera", frames.FAULT_KINDS),
    ],
)
def test_the_page_names_every_fault(title: str, kinds: Any) -> None:
    """Each kind that a bus takes has one row, and no row is of a kind that it does not take."""
    assert sorted(kind for kind, _, _ in rows(title)) == sorted(kinds)


def matches(status: int, cells: list[str]) -> bool:
    """Tell whether a status, and the errno of the ideal adapter for it, are those of the row."""
    code = getattr(errno, cells[1]) if cells[1] else 0
    return Status(status).name == cells[0] and errno_for("ideal", status) == code


def i2c() -> tuple[Any, Callable[[], int]]:
    bus = I2CBus("bus", 400_000, "ideal")
    bus.attach(0x50, I2CMemory())
    return bus, lambda: bus.transfer(0, 0x50, b"\x10", 3)[0]


def spi() -> tuple[Any, Callable[[], int]]:
    bus = SPIBus("bus", "ideal")
    bus.attach(0, SPIShifter())
    return bus, lambda: bus.transfer(0, 0, b"\x10\x11")[0]


def onewire() -> tuple[Any, Callable[[], int]]:
    bus = OneWireBus("bus")
    bus.attach(Ds18b20("t"))
    return bus, lambda: bus.transfer(0, [(RESET, b""), (READ, 1)])[0]


@pytest.mark.parametrize(
    ("make", "row"),
    [
        *((i2c, row) for row in rows("I2C")),
        *((spi, row) for row in rows("SPI")),
        *((onewire, row) for row in rows("1-Wire")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value.__name__,
)
def test_a_transaction_ends_as_its_row_says(make: Any, row: Row) -> None:
    """Status and errno are those of the row, the transaction is marked and counted."""
    kind, args, cells = row
    bus, act = make()
    assert act() == Status.OK
    bus.add_fault(BusFault("bus", kind, args=args))
    assert matches(act(), cells)
    assert bus.faulted
    assert bus.faults.hits[kind] == bus.counters["faulted"] == 1


@pytest.mark.parametrize("row", rows("UART"), ids=lambda row: row[0])
def test_a_serial_line_reports_what_its_row_says(row: Row) -> None:
    """Status of the record, and the counter of TIOCGICOUNT and that of the fault move."""
    kind, args, cells = row
    line = Line(parity="E")
    line.bus.faults.add(line_faults.LineFault(kind, **args))  # type: ignore[arg-type]
    clean = line.bus.icount()
    line.bus.write(0, b"sent")
    line.device.uart_send(0, b"received for more than a fifo")
    line.run()
    statuses = {Status(record[3]).name for record in line.records if record[2] & Flag.FAULTED}
    assert cells[0] in statuses
    assert line.bus.counters[kind] > 0
    moved = {name for name, count in line.bus.icount().items() if count != clean[name]}
    counter = re.search(r"`(\w+)`", cells[1])
    assert moved - {"rx", "tx"} == ({counter[1]} if counter else set())


@pytest.mark.parametrize("row", rows("CAN"), ids=lambda row: row[0])
def test_a_can_bus_reports_what_its_row_says(row: Row) -> None:
    """Status of the record, the error frame of a controller that reports errors, the counter."""
    kind, args, (status, error) = row
    bench = FDBench(Listener(), bus_errors=True, restart_ms=0)
    bench.bus.faults.add(can_faults.CANFault(kind, 0, 1, **args))  # type: ignore[arg-type]
    bench.bus.send(0, 0x100, b"\x12\x34")
    bench.run()
    ordinary = [record for record in bench.records if not record[4] & 0x2000_0000]
    assert [Status(record[3]).name for record in ordinary[:1]] == ([status] if status else [])
    errors = [record for record in bench.records if record[4] & 0x2000_0000]
    if not error:
        assert errors == []
    for word in error.split(", ") if error else ():
        name, octet, value = {
            "PROT": ("class", 0, can_errors.ERR_PROTOCOL),
            "ACK": ("class", 0, can_errors.ERR_ACK),
            "BUSOFF": ("class", 0, can_errors.ERR_BUS_OFF),
            "LOC_CRC_SEQ": ("data", 3, 0x08),
            "STUFF": ("data", 2, 0x04),
            "FORM": ("data", 2, 0x02),
            "BIT": ("data", 2, 0x01),
        }[word]
        if name == "class":
            assert any(record[4] & value for record in errors), word
        else:
            assert any(record[5][octet] & 0x7F == value for record in errors), word
    counter = f"{kind}_error" if kind in can_faults.ERRORS else kind
    assert bench.bus.counters[counter] > 0


@pytest.mark.parametrize("row", rows("GPIO"), ids=lambda row: row[0])
def test_a_line_shows_the_edges_of_its_row(row: Row) -> None:
    """A rise of the part is that many edges to the payload computer, and is counted."""
    kind, args, (edges,) = row
    bench = GPIOBench()
    bench.chip.faults.add(gpio_faults.PinFault(kind, 1, **args))
    bench.drive(10, 1)
    assert len(bench.run()) == int(edges)
    assert bench.chip.counters[kind] == 1


@pytest.mark.parametrize("row", rows("Time pulse"), ids=lambda row: row[0])
def test_a_time_pulse_shows_the_edges_of_its_row(row: Row) -> None:
    """So many rising edges come in the second of a pulse, and the fault is counted."""
    kind, args, (edges,) = row
    line, rises = Line(), []
    pulse = pps.TimePulse(
        lambda t_ns, level: rises.append(t_ns) if level else None, lambda n: n - 1
    )
    pulse.faults.add(pps.PulseFault(kind, **args))
    pulse.fire(line.scheduler, 1, 0)
    line.run(10**9)
    assert len(rises) == int(edges)
    assert pulse.counters[kind] == 1


@pytest.mark.parametrize("row", rows("Camera"), ids=lambda row: row[0])
def test_a_camera_port_answers_as_its_row_says(row: Row) -> None:
    """Status and errno are those of the row, and the fault is counted."""

    class Still:
        def frame_capture(self, t_ns: int, exposure_us: int) -> tuple[int, bytes]:
            return 5_000, b"8 octets pixels"

    kind, args, cells = row
    port = frames.FrameBus("csi0")
    port.attach(Still())
    port.faults.add(frames.FrameFault(kind, **args))
    assert matches(port.capture(0, 5)[0], cells)
    assert port.counters[kind] == 1


def test_the_interceptor_of_the_page_does_what_it_says() -> None:
    """The node named eps is silent, and the last octet of frame 120h is zero."""
    code = re.search(r"```python\n(.*?)```", PAGE, flags=re.S)
    assert code is not None
    scope: dict[str, Any] = {}
    exec(code[1], scope)
    assert scope["BLOCKED"] is BLOCKED
    eps, other = Listener("eps"), Listener("other")
    bench = FDBench(eps, other)
    bench.bus.intercept(scope["silence_the_battery"])
    eps.can_send(0, 0x100, b"\x01")
    bench.bus.send(0, 0x120, b"\x01\x02")
    bench.run()
    assert [heard[1:] for heard in other.heard] == [(0x120, b"\x01\x00")]
