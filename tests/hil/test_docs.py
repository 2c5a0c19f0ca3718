"""The manual says what the code does: names, keys and links."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.wire import FIRST_DIGEST_KIND, HEADER_FIELDS, Flag, Kind, Status
from flightsw.hal.channel import open_channel
from hil.boardparts import KINDS, WORLD_UNITS
from hil.buses.adapters import PROFILES
from hil.capture.topics import SCHEMA_TEXT
from hil.missions.schema import EVIDENCE, SCHEMA
from hil.parts import PART_TYPES, part_class
from hil.testing.small_rig import SmallRig
from hil.time.coordinator import Coordinator
from hil.time.transports import listen

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every link of a page to a file beside it points at a file that is there."""
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    assert [link for link in links if "://" not in link and not (DOCS / link).exists()] == []


def test_the_index_names_every_page() -> None:
    """No page is left out of the index."""
    index = (DOCS / "index.md").read_text()
    assert [page.name for page in PAGES if page.name != "index.md" and page.name not in index] == []


def test_the_board_page_names_what_a_board_file_may_hold() -> None:
    """Kinds of buses, types and keys of parts, adapters and world values stand on the page."""
    text = (DOCS / "board-file.md").read_text()
    wanted = {*KINDS, *PART_TYPES, *PROFILES}
    wanted |= {number.key for kind in KINDS.values() for number in kind.params}
    wanted |= {key for name in PART_TYPES for key in part_class(name).PARAMS}
    assert {name for name in wanted if f"`{name}`" not in text} == set()
    values = {name.split(".")[1] for name in WORLD_UNITS}
    values -= {f"{what}_{axis}_{unit}" for what, unit in AXES for axis in "yz"}
    assert {value for value in values if value not in text} == set()


AXES = (("gyro", "rad_s"), ("accel", "m_s2"))


def test_the_mission_page_names_every_group_and_evidence_mark() -> None:
    """Groups of the schema and marks of evidence stand on the page."""
    text = (DOCS / "mission-profile.md").read_text()
    groups = {group.replace(".*", ".NAME") for group in SCHEMA}
    assert {name for name in (*groups, *EVIDENCE) if f"`{name}`" not in text} == set()


def test_the_record_page_names_every_field_and_kind() -> None:
    """Fields of the header and kinds of records stand on the page."""
    text = (DOCS / "wire-record.md").read_text()
    assert {f.name for f in HEADER_FIELDS.subcons if f"`{f.name}`" not in text} == set()
    assert {kind.name for kind in Kind if kind.name not in text} == set()
    for flag in Flag:
        assert f"{int(flag)} `{flag.name}`" in text
    for status in Status:
        assert f"| {int(status)} | `{status.name}`" in text


def test_the_schema_in_a_capture_names_every_flag_status_and_kind() -> None:
    """What a capture says of its records leaves out no flag, status or recorded kind."""
    text = SCHEMA_TEXT.decode()
    flags, rest = text.split("u8   status")
    assert {int(flag) for flag in Flag if not re.search(rf"\b{int(flag)} \w", flags)} == set()
    statuses = rest.split("u32  length")[0]
    assert [int(n) for n in re.findall(r"(\d+) [a-z]", statuses)] == [int(s) for s in Status]
    recorded = [kind for kind in Kind if kind >= FIRST_DIGEST_KIND]
    assert {k.name for k in recorded if not re.search(rf"{k:#04x} {k.name}\b", text)} == set()
    load = re.search(r"0x16 LOAD.*\n", text)
    assert load is not None
    assert "u32 units" in load[0]


def test_the_participant_of_the_record_page_flies() -> None:
    """The participant that the page writes out, from the page alone, sleeps through a run."""
    text = (DOCS / "wire-record.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    page: dict[str, Any] = {}
    exec(compile(code, "wire-record.md", "exec"), page)
    small = SmallRig(end_ns=3_500_000_000)
    with listen("inproc") as listener:
        channel = listener.channel()
        coordinator = Coordinator(small.exchange)
        coordinator.add(channel, "fsw")
        waits: list[int] = []

        def participate() -> None:
            peer = open_channel(listener.endpoint)
            waits.append(page["sleep_to_the_end"](peer.exchange))
            peer.close()

        thread = threading.Thread(target=participate)
        thread.start()
        coordinator.run()
        thread.join()
    assert waits == [3]
