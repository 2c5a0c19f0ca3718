"""What the report is told of a run: pictures, passes and figures are those of the run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hil.options import Options
from hil.session import fly

#: It ends within the second pass.
CUT_S = 1100.0


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    """Return (outcome, data of the report) of a flight that ends in a pass."""
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hil.session.write_report", lambda path, data: told.append(data))
        out = tmp_path_factory.mktemp("page") / "run"
        options = Options(transport="direct", inference="threshold", duration_s=CUT_S, out=out)
        outcome = fly(options)
    assert outcome.report_error == ""
    return outcome, told[0]


def test_no_pass_outlasts_the_run(flown):
    """A pass that the end of the run cuts ends there and is marked; later ones are not listed."""
    _, data = flown
    assert [row["cut"] for row in data["passes"]] == [False, True]
    assert data["passes"][-1]["los_s"] == CUT_S


def test_each_image_that_was_taken_has_its_picture(flown):
    """Also a discarded image is shown, so that a reader can judge the discarding."""
    _, data = flown
    discarded = [row for row in data["images"] if row["state"].startswith("discarded")]
    assert discarded
    assert all(row["pixels"].shape[2] == 3 for row in discarded)
    taken = [row["pixels"].tobytes() for row in data["images"] if "pixels" in row]
    assert len(set(taken)) == len(taken)


def test_tile_and_table_say_the_same(flown):
    """The extremes that the report is given are the figures of the verdict."""
    outcome, data = flown
    judged = {c.name: c.value for c in outcome.verdict.conditions}
    assert data["extremes"]["chip_c"] == [judged["chip"]]
    assert data["extremes"]["battery_v"] == [judged["battery"]]
    assert max(data["series"]["columns"]["chip_c"]) <= judged["chip"] + 1e-4


@pytest.mark.parametrize("duration_s", [1.0, 500.0])
def test_a_run_without_a_plan_has_a_report(duration_s, tmp_path):
    """However little a run holds, its page is written."""
    options = Options(transport="direct", inference="threshold", duration_s=duration_s)
    outcome = fly(replace(options, out=tmp_path / "run"))
    assert outcome.report_error == ""
    assert (outcome.run_dir / "report.html").exists()
