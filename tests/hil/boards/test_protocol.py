"""The declarations of HILwire 1 against the core's numbers and octets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hostboard import Bench

from hil.boards import protocol
from hil.boards.protocol import (
    EVENTS,
    REPLIES,
    REQUESTS,
    Capability,
    EventType,
    Identity,
    MessageFlag,
    Request,
    ResendReason,
    ResetCause,
)
from hil.errors import BoardError

HEADER = Path(__file__).resolve().parents[3] / "boards" / "firmware" / "core" / "hilwire.h"


def enumerated() -> dict[str, int]:
    """Return every number that the core's header names."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    numbers: dict[str, int] = {}
    for body in re.findall(r"enum \{(.*?)\}", text, re.DOTALL):
        value = -1
        for entry in body.split(","):
            name, _, given = entry.strip().partition(" = ")
            if not name or (given and not re.fullmatch(r"0x[0-9A-F]+|\d+", given)):
                continue
            value = int(given, 0) if given else value + 1
            numbers[name.removeprefix("HW_")] = value
    caps = re.findall(r"#define HW_(CAP_\w+) (0x[0-9A-F]+)ul", text)
    return numbers | {name: int(value, 16) for name, value in caps}


def test_numbers_are_those_of_the_core() -> None:
    """Requests, events, statuses, causes, reasons, flags and capabilities are the firmware's."""
    core = enumerated()
    assert (core["MAJOR"], core["MINOR"]) == (protocol.MAJOR, protocol.MINOR)
    for kind in (*Request, *EventType):
        assert core[kind.name] == kind, kind.name
    for status, name in protocol.STATUS_NAMES.items():
        assert core.get(name, status) == status
    assert core["STALE"] == protocol.STALE
    for cause in ResetCause:
        assert core[f"RESET_{cause.name}"] == cause
    assert core["RESEND_BAD_CHECK"] == ResendReason.BAD_CHECK
    assert core["RESEND_ORDER"] == ResendReason.OUT_OF_ORDER
    assert core["RESEND_OVERRUN"] == ResendReason.OVERRUN
    assert [core[f"I2C_{flag.name}"] for flag in MessageFlag] == list(MessageFlag)
    assert (core["HOLD"], core["GO_ON"]) == (protocol.HOLD, protocol.GO_ON)
    names = {"I2C_TEN_BIT": "I2C_TEN", "UID_WRITABLE": "UID"}
    for capability in Capability:
        name = capability.name or ""
        assert core[f"CAP_{names.get(name, name)}"] == capability
    stats = [name.upper() for name in protocol.COUNTERS]
    assert [core[name] for name in stats] == list(range(len(stats)))


def test_every_type_has_its_layouts() -> None:
    """Each request has a payload and a reply, each event a payload; types are in their range."""
    assert set(REQUESTS) == set(REPLIES) == set(Request)
    assert set(EVENTS) == set(EventType)
    assert all(0 < request < 0x40 for request in Request)
    assert all(event >= protocol.FIRST_EVENT for event in EventType)


EXAMPLES: dict[Request, dict[str, Any]] = {
    Request.HELLO: {"major": 1, "minor": 0, "nonce": 0x1234},
    Request.PING: {"data": b"abc"},
    Request.SET_BAUD: {"baud": 500_000},
    Request.RESET: {"kind": 1},
    Request.READ: {"space": 1, "offset": 0, "n": 8},
    Request.WRITE: {"space": 1, "offset": 0, "data": b"12345678"},
    Request.I2C_CONFIG: {"bus": 0, "hz": 400_000},
    Request.I2C_XFER: {
        "bus": 0,
        "flags": 0,
        "messages": [
            {"address": 0x50, "length": 2, "data": b"\x10\x20"},
            {"address": 0x8050, "length": 4, "data": None},
        ],
    },
    Request.I2C_RECOVER: {"bus": 0},
    Request.SPI_CONFIG: {"bus": 0, "cs": 1, "mode": 3, "hz": 1_000_000},
    Request.SPI_XFER: {"bus": 0, "cs": 1, "flags": 0, "data": b"\x9f\0\0"},
    Request.UART_CONFIG: {
        "port": 0, "baud": 9600, "data_bits": 8, "parity": 0, "stop_half_bits": 2,
    },
    Request.UART_WRITE: {"port": 0, "data": b"hi"},
    Request.GPIO_CONFIG: {"pin": 3, "mode": 1, "edges": 3},
    Request.GPIO_WRITE: {"pin": 3, "level": 1},
    Request.GPIO_READ: {"pin": 3},
    Request.CAN_CONFIG: {"bus": 0, "bitrate": 500_000, "data_bitrate": 2_000_000, "flags": 0},
    Request.CAN_SEND: {"bus": 0, "id": 0x123, "flags": 0, "data": b"\1\2"},
    Request.TARGET_CONFIG: {
        "slot": 0, "bus": 0, "address": 0x40, "width": 2, "pointer": 1, "flags": 1,
        "fresh_ms": 200, "size": 32,
    },
    Request.IMAGE_WRITE: {"slot": 0, "offset": 4, "data": b"\1\2"},
    Request.IMAGE_READ: {"slot": 0, "offset": 4, "n": 2},
}  # fmt: skip


@pytest.mark.parametrize("request_type", Request, ids=lambda each: each.name)
def test_payloads_come_back_as_they_were_built(request_type: Request) -> None:
    """What is built from fields is parsed to the same fields, and fixed parts pack the same."""
    fields = EXAMPLES.get(request_type, {})
    payload = protocol.build(request_type, **fields)
    parsed = protocol.parse(REQUESTS[request_type], payload)
    for name, value in fields.items():
        got = parsed[name]
        if name == "messages":
            got = [{key: each[key] for key in ("address", "length", "data")} for each in got]
        assert got == value
    fixed = protocol.packer(REQUESTS[request_type])
    numbers = [value for value in fields.values() if isinstance(value, int)]
    assert payload[: fixed.size] == fixed.pack(*numbers[: len(fixed.unpack(bytes(fixed.size)))])


@pytest.mark.parametrize(
    "request_type",
    [
        *(Request.PING, Request.TIME, Request.STATS, Request.READ, Request.I2C_CONFIG),
        *(Request.I2C_XFER, Request.I2C_RECOVER, Request.SPI_CONFIG, Request.SPI_XFER),
        *(Request.UART_CONFIG, Request.UART_WRITE, Request.GPIO_CONFIG, Request.GPIO_WRITE),
        Request.GPIO_READ,
    ],
    ids=lambda each: each.name,
)
def test_the_core_takes_and_gives_what_is_declared(request_type: Request) -> None:
    """A payload as declared is executed, and the reply has exactly the declared fields."""
    bench = Bench().open()
    reply = bench.ask(request_type, protocol.build(request_type, **EXAMPLES.get(request_type, {})))
    assert reply is not None
    assert (protocol.status_name(reply.status), reply.type) == ("OK", request_type)
    fields = reply.fields()
    values = {name: value for name, value in fields.items() if not name.startswith("_")}
    assert REPLIES[request_type].build(values) == reply.payload


def test_identity_is_built_and_read_the_same() -> None:
    """What a board says of itself is read into the fields that it was built from."""
    bench = Bench().open()
    payload = bench.events[0].payload
    identity = Identity.parse(payload)
    assert identity == bench.link.identity
    assert identity.version_text == "1.0.0"
    assert identity.payload_nbytes == 130
    assert protocol.IDENTITY.build(protocol.IDENTITY.parse(payload)) == payload


@pytest.mark.parametrize("nbytes", [0, 10, 30, 37])
def test_a_short_identity_is_none(nbytes: int) -> None:
    """An identity that ends too early is an error of the firmware, by name."""
    payload = Bench().open().events[0].payload
    with pytest.raises(BoardError, match="the firmware has an error"):
        Identity.parse(payload[:nbytes])


def test_fields_that_do_not_fit_are_named() -> None:
    """A value too wide for its field, or a field that is missing, is refused with the request."""
    with pytest.raises(BoardError, match=r"request GPIO_WRITE: .*256"):
        protocol.build(Request.GPIO_WRITE, pin=256, level=0)
    with pytest.raises(BoardError, match=r"request GPIO_WRITE: .*level"):
        protocol.build(Request.GPIO_WRITE, pin=1)


def test_logs_and_statuses_are_always_readable() -> None:
    """Octets that are no ASCII are shown by value, and so is a status without a name."""
    assert protocol.log_text(b"ok \xff\x00") == "ok \\xff\\x00"
    assert protocol.log_text(b"\x1b[2J\r\nok \x9b") == "\\x1b[2J\\r\\nok \\x9b"
    assert protocol.printable("\u202eserial") == "\\u202eserial"
    assert protocol.status_name(0x10) == "STALE"
    assert protocol.status_name(0x77) == "status 0x77"
