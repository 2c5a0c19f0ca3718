"""docs/board-protocol.md: frames as of the code and of the firmware, tables complete."""

from __future__ import annotations

import re
from pathlib import Path

from hostboard import Core

from flightsw.codec.serial.hilwire import Receiver, enframe
from hil.boards import protocol
from hil.boards.link import HELLO_LIMIT_NS, HELLO_RETRY_NS
from hil.boards.protocol import Capability, EventType, Request
from hil.boards.upshift import FALLBACK_NS
from hil.boards.window import (
    LEAST_TIMEOUT_NS,
    MOST_TRIES,
    RETRIES,
    SILENCE_NS,
    TIMEOUT_FACTOR,
    TIMEOUT_NS,
)

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "board-protocol.md").read_text()
MS = 1_000_000


def worked() -> list[tuple[str, bytes, bytes]]:
    """Return the frames of the page: who sends (``!``: damaged), body, octets on the line."""
    (block,) = re.findall(r"```frames\n(.*?)```", PAGE, re.DOTALL)
    lines = block.splitlines()
    assert len(lines) % 3 == 0
    return [
        (body[0], bytes.fromhex(body[1:]), bytes.fromhex(line))
        for body, line in zip(lines[::3], lines[1::3], strict=True)
    ]


def test_the_frames_of_the_page_are_those_of_the_codec() -> None:
    """Each body on the page becomes the octets below it, and they give the body back."""
    frames = worked()
    assert len(frames) >= 15
    for who, body, line in frames:
        if who == "!":
            assert Receiver().feed(line) == []
        else:
            assert enframe([body]) == line
            assert Receiver().feed(line) == [body]


def test_the_conversation_of_the_page_is_the_firmware_s() -> None:
    """What the page has the bench say, said to the firmware, is answered as the page has it."""
    core = Core()
    core.clear()
    said = core.start(0, boot_id=0x1D3C5A07, cause=1)
    clock_us = {0x14: 1_000_000, 0x15: 1_500_000, 0x16: 1_600_000}
    for who, body, line in worked():
        if who == "<":
            assert said == line
        else:
            seq = body[2] if body else 0
            said = core.run(line, clock_us.get(seq, 0) * 1_000)
    assert core.log.count("P ") == 2  # the repeated write was not done again


def test_every_type_is_on_the_page() -> None:
    """Each request and event has its row by number and name; counters and capabilities stand."""
    rows = re.findall(r"^\| ([0-9A-F]{2}) \| (\w+) \|", PAGE, re.MULTILINE)
    assert {(int(number, 16), name) for number, name in rows} == {
        (int(kind), kind.name) for kind in (*Request, *EventType)
    }
    for name in protocol.COUNTERS:
        assert f"`{name}`" in PAGE
    for capability in Capability:
        assert re.search(rf"\b{capability.bit_length() - 1} \w", PAGE)
    assert f"STALE is 0x{protocol.STALE:02X}" in PAGE


def test_the_times_of_the_page_are_those_of_the_code() -> None:
    """Timeouts, tries and limits on the page are the ones in use."""
    text = " ".join(PAGE.split())
    for words in (
        f"{TIMEOUT_FACTOR} x (line time",
        f"+ {TIMEOUT_NS // MS} ms, at least {LEAST_TIMEOUT_NS // MS} ms",
        f"{RETRIES} tries more met silence, and not before {SILENCE_NS // MS} ms",
        f"sent {MOST_TRIES} times",
        f"every {HELLO_RETRY_NS // MS} ms, for {HELLO_LIMIT_NS / 1e9} s",
        f"within {FALLBACK_NS // MS} ms",
        f"{protocol.LEAST_FRAME} to {protocol.MOST_FRAME}",
    ):
        assert words in text, words
