"""The manual says what the code does: names, keys and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flightsw.codec.wire import HEADER_FIELDS, Kind
from hil.boardparts import KINDS, WORLD_UNITS
from hil.buses.adapters import PROFILES
from hil.missions.schema import EVIDENCE, SCHEMA
from hil.parts import PART_TYPES, part_class

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
