"""A whole flight, from board file to verdict, on every transport."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hil.options import TRANSPORTS, Options
from hil.session import fly

#: The first contact, the plan, images, and a second contact that brings products down.
TWO_PASSES_S = 1100.0
SHORT = Options(transport="direct", inference="threshold", duration_s=160.0)


@pytest.fixture(scope="module")
def two_passes(tmp_path_factory):
    """One flight over two passes, in this process."""
    out = tmp_path_factory.mktemp("run") / "flight"
    return fly(replace(SHORT, out=out, duration_s=TWO_PASSES_S))


def test_a_flight_over_two_passes_is_judged_good(two_passes):
    """Every condition of the profile holds in a flight without faults."""
    assert two_passes.verdict.good, "\n".join(two_passes.verdict.lines())


def test_a_run_directory_holds_what_it_promises(two_passes):
    """run.json, capture, events, report and products are there, and the report is small."""
    names = {path.name for path in two_passes.run_dir.iterdir()}
    assert {"run.json", "capture.mcap", "events.jsonl", "report.html", "telemetry.pkts"} <= names
    assert (two_passes.run_dir / "report.html").stat().st_size < 300_000
    run = json.loads((two_passes.run_dir / "run.json").read_text())
    assert run["digest"] == two_passes.digest
    assert run["seed"] == 1
    assert not list(two_passes.run_dir.parent.glob("*.partial"))


def test_the_verdict_names_the_unknown_values_that_it_rests_on(two_passes):
    """Values that nobody published and that a condition rests on are listed with their reason."""
    assert "power.battery_initial_soc" in two_passes.verdict.unknowns
    assert any("battery_initial_soc" in line for line in two_passes.verdict.lines())


def test_products_on_the_ground_are_those_made_on_board(two_passes):
    """Each product file on the ground equals the file in the payload computer's storage."""
    received = sorted((two_passes.run_dir / "products").iterdir())
    assert len(received) >= 2
    for path in received:
        job = int(path.stem)
        on_board = two_passes.run_dir / "payload" / f"product-{job:010d}.bin"
        assert path.read_bytes() == on_board.read_bytes()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_transport_gives_the_same_digest(transport, tmp_path):
    """Bus, link and event records are the same octets, however the two ends are joined."""
    reference = fly(replace(SHORT, out=tmp_path / "reference"))
    outcome = fly(replace(SHORT, transport=transport, out=tmp_path / "other"))
    assert (outcome.digest, outcome.records) == (reference.digest, reference.records)


def test_another_seed_gives_another_digest(tmp_path):
    """The seed decides noise, clouds and errors, so another one gives other records."""
    one = fly(replace(SHORT, out=tmp_path / "one"))
    two = fly(replace(SHORT, seed=2, out=tmp_path / "two"))
    assert one.digest != two.digest


@pytest.mark.parametrize("transport", ["direct", "ipc", "inproc"])
def test_a_killed_payload_computer_comes_back_and_the_verdict_says_so(transport, tmp_path):
    """After a SIGKILL in mid-flight the watchdog restarts it, and no job or product is lost."""
    out = tmp_path / "run"
    faults = ("kill@545", "kill@951")
    options = replace(SHORT, transport=transport, duration_s=TWO_PASSES_S, faults=faults, out=out)
    outcome = fly(options)
    assert outcome.verdict.good, "\n".join(outcome.verdict.lines())
    restarts = next(c for c in outcome.verdict.conditions if c.name == "restarts")
    assert restarts.figure == "2 restarts, 2 stopped: injected"
    events = (out / "events.jsonl").read_text()
    assert events.count("WATCHDOG_RESET") == 2
