"""What the report is told of a run: pictures, passes and figures are those of the run."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from hil.missions.loader import FOLDER
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


def test_a_safe_mode_that_refuses_every_image_is_told_everywhere(tmp_path):
    """Verdict and image table say that the mode refused, and how many."""
    text = (FOLDER / "tiansuan_bupt1.toml").read_text()
    for name, limit in (("slow", 20), ("pause", 22), ("safe", 25), ("hysteresis", 1)):
        text = re.sub(rf"(chip_{name}_c = {{ value =) \d+", rf"\1 {limit}", text)
    (tmp_path / "mission.toml").write_text(text)
    told = []
    options = Options(transport="direct", inference="threshold", duration_s=CUT_S)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hil.session.write_report", lambda path, data: told.append(data))
        mission = str(tmp_path / "mission.toml")
        outcome = fly(replace(options, mission=mission, out=tmp_path / "run"))
    figures = {c.name: c.figure for c in outcome.verdict.conditions if not c.good}
    assert re.fullmatch(r"0 products: \d of 5 images were refused", figures["delivery"])
    assert re.search(r"\d x take_image: .*WRONG_MODE \(safe mode\)$", figures["telecommands"])
    states = {row["state"] for row in told[0]["images"]}
    assert "refused: WRONG_MODE (safe mode)" in states
