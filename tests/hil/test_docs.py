"""The manual says what the code does: names, keys and links."""

from __future__ import annotations

import importlib.resources
import json
import re
import runpy
import subprocess
import sys
import threading
import tomllib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hil
from flightsw.codec import class_map
from flightsw.codec.columns.declaration import split_docs
from flightsw.codec.dictionary import (
    DRIVER_NAMES,
    PRODUCT_HEADER,
    PRODUCT_HEADER_NBYTES,
    ROLE_NAMES,
    ClassId,
)
from flightsw.codec.wire import FIRST_DIGEST_KIND, HEADER_FIELDS, Flag, Kind, Status
from flightsw.hal.channel import open_channel
from hil.board import load_board
from hil.boardparts import KINDS, WORLD_UNITS
from hil.buses.adapters import PROFILES
from hil.capture.topics import SCHEMA_TEXT
from hil.cli import main
from hil.missions import load as load_mission
from hil.missions.schema import EVIDENCE, SCHEMA
from hil.parts import PART_TYPES, part_class
from hil.rig import Rig
from hil.testing.small_rig import SmallRig
from hil.time.coordinator import Coordinator
from hil.time.transports import listen

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every link of a page to a file beside it, or of the packages, leads to one that is there."""
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    packages = Path(hil.__file__).parents[1]  # of this tree, or of an installation

    def leads(link: str) -> bool:
        source = re.fullmatch(r"\.\./((?:hil|flightsw)/.+)", link)
        return (
            "://" in link
            or (DOCS / link).exists()
            or bool(source and (packages / source[1]).exists())
        )

    assert [link for link in links if not leads(link)] == []


def test_the_index_names_every_page() -> None:
    """No page is left out of the index."""
    index = (DOCS / "index.md").read_text()
    assert [page.name for page in PAGES if page.name != "index.md" and page.name not in index] == []


def test_the_board_page_names_what_a_board_file_may_hold() -> None:
    """Kinds of buses, types and keys of parts, adapters and world values stand on the page."""
    text = (DOCS / "board-file.md").read_text()
    wanted = {*KINDS, *PART_TYPES, *PROFILES}
    wanted |= {number.key for kind in KINDS.values() for number in kind.params}
    wanted |= {*DRIVER_NAMES, *ROLE_NAMES}
    wanted |= {key for name in PART_TYPES for key in part_class(name).PARAMS}
    assert {name for name in wanted if f"`{name}`" not in text} == set()
    values = {name.split(".")[1] for name in WORLD_UNITS}
    values -= {f"{what}_{axis}_{unit}" for what, unit in AXES for axis in "yz"}
    assert {value for value in values if value not in text} == set()


AXES = (("gyro", "rad_s"), ("accel", "m_s2"), ("mag", "t"))


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


def test_the_telemetry_page_is_what_the_dictionary_says() -> None:
    """The page is as its script writes it today; run the script after a change."""
    page = runpy.run_path(str(DOCS / "telemetry_page.py"))["page"]
    assert (DOCS / "telemetry.md").read_text() == page()


def test_the_products_page_names_every_field_at_its_place() -> None:
    """Offset, name, unit and classes on the page are those of the dictionary."""
    text = (DOCS / "products.md").read_text()
    at = 0
    for subcon in PRODUCT_HEADER.subcons:
        unit = split_docs(subcon.docs)[1]
        row = re.search(rf"^\| {at} \| [^|]+ \| `{subcon.name}` \| {re.escape(unit)}", text, re.M)
        assert row, subcon.name
        at += subcon.sizeof()
    assert at == PRODUCT_HEADER_NBYTES
    assert ", ".join(f"{int(c)} {c.name.lower()}" for c in ClassId) in text


def test_the_reader_of_the_products_page_reads_products() -> None:
    """The reader that the page writes out gets back every pixel of a map."""
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "products.md").read_text(), re.DOTALL)
    page: dict[str, Any] = {}
    exec(compile(code, "products.md", "exec"), page)
    classes = np.random.default_rng(1).integers(0, 3, (13, 21)).astype(np.uint8)
    classes[4:9] = 1
    body = class_map.encode(classes)
    values = {subcon.name: 0 for subcon in PRODUCT_HEADER.subcons}
    del values["magic"]
    values |= {"width": 21, "height": 13, "body_nbytes": len(body), "model": bytes(8)}
    octets = PRODUCT_HEADER.build(values) + body
    octets += zlib.crc32(octets).to_bytes(4, "big")
    assert page["read_product"](octets) == (21, 13, classes.tolist())


def test_the_mission_of_the_mission_page_can_be_flown(tmp_path: Path) -> None:
    """Its tables, put into a copy of the profile as the steps say, give passes and images."""
    (block,) = re.findall(
        r"```toml\n(\[time\].*?)```", (DOCS / "mission-profile.md").read_text(), re.DOTALL
    )
    tables = re.split(r"\n(?=\[)", block)
    text = importlib.resources.files("hil.missions") / "tiansuan_bupt1.toml"
    profile = text.read_text().replace('id = "tiansuan_bupt1"', 'id = "mine"')
    for name, table in zip(("time", r"stations\.inuvik"), tables, strict=True):
        profile, count = re.subn(rf"\[{name}\]\n.*?(?=\n\[)", table, profile, flags=re.DOTALL)
        assert count == 1
    path = tmp_path / "mine.toml"
    path.write_text(profile)
    assert tomllib.loads(profile)["time"]["duration"]["unit"] == "h"
    mission = load_mission(str(path))
    rig = Rig(load_board("raspberrypi4"), mission, seed=1)
    assert rig.end_ns == 9000 * 10**9
    assert (len(rig.world.passes), len(rig.plan)) == (3, 12)


def test_the_run_page_names_every_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys of run.json, of its lists and of every event stand on the page."""
    out = tmp_path / "run"
    options = ["--duration", "80", "--transport", "direct", "--inference", "threshold", "-q"]
    assert main(["run", "--out", str(out), *options]) == 1, capsys.readouterr().err
    text = (DOCS / "run-directory.md").read_text()
    run = json.loads((out / "run.json").read_text())
    keys = {*run}.union(*run["conditions"], *run["telecommands"])
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    keys |= set.intersection(*(set(event) for event in events)) | {"t_onboard_s"}
    assert {key for key in keys if f"`{key}`" not in text} == set()


def test_the_program_of_ones_own_flies() -> None:
    """The example of a program of one's own, as the page calls it, measures until the end."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "own_flight_software.py")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [
        "10.000", "20.000", "30.000", "40.000", "50.001",
    ]  # fmt: skip
    assert re.fullmatch(r"\d+ records, digest [0-9a-f]{64}", lines[-1])
