"""The report is one small page that needs nothing else and says what the run did."""

from __future__ import annotations

import base64
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hil.errors import RunDirectoryError
from hil.report.model import Report
from hil.report.thumbnails import CLASS_COLOURS, class_map, png, shrink_mean
from hil.report.timeline import eclipses_of, timeline
from hil.report.write import POINTS_LIMIT, SIZE_LIMIT_NBYTES, chart_data, render, write_report

VOID = {"meta", "img", "br"}


class Checker(HTMLParser):
    """Notes unbalanced tags and every address that the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in {"src", "href", "srcset", "action"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def embedded(page: str) -> dict[str, object]:
    """Return the JSON that the charts are drawn from."""
    found = re.search(r"id='data'>(.*?)</script>", page)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_is_small_whole_and_offline(report: Report, tmp_path: Path) -> None:
    """The file is under 300 KB, its tags balance, and it refers to no other file."""
    write_report(tmp_path / "report.html", report)
    page = (tmp_path / "report.html").read_text()
    assert len(page.encode()) <= SIZE_LIMIT_NBYTES == 300_000
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.addresses
    assert all(address.startswith("data:image/") for address in checker.addresses)
    assert "default-src 'none'" in page


def test_every_part_of_the_run_is_there(report: Report) -> None:
    """Verdict, unknown values, passes, images, rates, counters, times and command are shown."""
    page = render(report)
    for text in (
        "GOOD",
        "battery down to 15.21 V",
        "power.battery_initial_soc",
        "inuvik",
        "discarded (cloud)",
        "product parts",
        "housekeeping",
        "bus.can0",
        "touched: FIFO CTRL1",
        "inference",
        "jobs_paused",
        report["digest"],
        "hil run --board raspberrypi4 --mission tiansuan_bupt1 --seed 1",
    ):
        assert text in page
    assert "housekeeping</td><td>" not in page.split("Events</h2>")[1]


def test_indented_times_are_shares_of_the_line_above(report: Report) -> None:
    """A part of a time is shown below it and is not counted twice."""
    report["time_breakdown"] = [("rig", 6.0), ("  of it capture", 2.0), ("flight", 4.0)]
    page = render(report)
    shares = re.findall(r"<td class='r'>(\d+)%</td>", page.split("Where the time went")[1])
    assert shares == ["60", "20", "40"]


def test_a_bad_verdict_is_shown_as_bad(report: Report) -> None:
    """A condition that failed turns the badge and its own mark."""
    report["verdict"] = "bad"
    report["conditions"] = [
        {"name": "temperature", "good": False, "figure": "91 °C", "limit": "at most 85 °C"}
    ]
    page = render(report)
    assert "<div class='badge bad'>BAD</div>" in page
    assert "<i class='mark bad'></i>" in page
    assert "0 of 1" in page


def test_text_from_a_run_cannot_become_markup(report: Report) -> None:
    """Names and values are escaped in the page and in the embedded data."""
    report["title"] = "<script>alert(1)</script>"
    report["series"]["columns"] = {"</script><b>": [1.0] * len(report["series"]["t_s"])}
    page = render(report)
    assert "<script>alert" not in page
    assert "</script><b>" not in page


def test_many_large_images_stay_within_the_limit(report: Report) -> None:
    """With more pictures than fit, they shrink, and those left out are counted on the page."""
    rng = np.random.default_rng(1)
    images = []
    for job in range(250):
        row = dict(report["images"][job % 10])
        row["job"] = job
        row["pixels"] = rng.integers(0, 255, (64, 64, 3), np.uint8)
        images.append(row)
    report["images"] = images  # type: ignore[typeddict-item]  # rows copied from typed ones
    page = render(report)
    assert len(page.encode()) <= SIZE_LIMIT_NBYTES
    assert "pictures are left out to keep this page small" in page
    assert page.count("<figure>") == 250


def test_a_bare_run_still_makes_a_page(report: Report) -> None:
    """Without the optional parts the page holds verdict, charts and command."""
    for key in ("passes", "images", "telemetry", "rate_groups", "lateness", "counters", "events"):
        report.pop(key)  # type: ignore[misc]  # all of these are NotRequired
    for key in ("time_breakdown", "unknowns", "limits"):
        report.pop(key)  # type: ignore[misc]  # all of these are NotRequired
    report["series"] = {"t_s": [], "columns": {}}
    page = render(report)
    assert "Verdict" in page
    assert embedded(page)["charts"] == []


def test_long_series_are_thinned(report: Report) -> None:
    """No line has more points than a screen can show, and all share the time axis."""
    count = 90_000
    report["series"] = {
        "t_s": [float(i) for i in range(count)],
        "columns": {"chip_c": [40.0] * count, "solar_w": [float("nan")] * count},
    }
    data = chart_data(report)
    assert len(data["t"]) <= POINTS_LIMIT
    lines = {line["label"]: line["values"] for chart in data["charts"] for line in chart["lines"]}
    assert len(lines["chip"]) == len(lines["solar"]) == len(data["t"])
    assert set(lines["solar"]) == {None}


def test_eclipses_are_found_in_the_illumination(report: Report) -> None:
    """Edges lie where the light crosses one half; a run may begin and end in shadow."""
    light = [0.0, 0.0, 1.0, 1.0, 0.25, 0.0]
    report["series"] = {"t_s": [0, 10, 20, 30, 40, 50], "columns": {"illumination": light}}
    first, second = eclipses_of(report)
    assert first == (0.0, 15.0)
    assert second[0] == pytest.approx(36.67, abs=0.01)
    assert second[1] == 50.0


def test_given_eclipses_win(report: Report) -> None:
    """Edges that the composer knows exactly are used as they are."""
    report["eclipses"] = [(100.0, 200.0)]
    assert eclipses_of(report) == [(100.0, 200.0)]
    assert chart_data(report)["dark"] == [(100.0, 200.0)]


def test_an_unwritable_place_is_one_clear_line(report: Report, tmp_path: Path) -> None:
    """A report that cannot be written is an error of the run directory."""
    with pytest.raises(RunDirectoryError, match=r"the report cannot be written: No such file"):
        write_report(tmp_path / "absent" / "report.html", report)


def test_pictures_hold_what_they_were_made_of() -> None:
    """A PNG of ours decodes to the pixels and the palette that went in."""
    image = pytest.importorskip("PIL.Image")
    import io

    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (7, 5, 3), np.uint8)
    assert np.array_equal(np.asarray(image.open(io.BytesIO(png(pixels, 2)))), pixels)
    classes = rng.integers(0, 4, (9, 11), np.uint8)
    raw = base64.b64decode(class_map(classes).partition(",")[2])
    shown = np.asarray(image.open(io.BytesIO(raw)).convert("RGB"))
    assert np.array_equal(shown, np.array(CLASS_COLOURS, np.uint8)[classes])


def test_shrinking_keeps_the_mean() -> None:
    """A picture is shrunk by the mean of blocks, so brightness stays."""
    pixels = np.random.default_rng(4).integers(0, 256, (640, 480, 3), np.uint8)
    small = shrink_mean(pixels, 160)
    assert small.shape == (160, 120, 3)
    assert abs(float(small.mean()) - float(pixels.mean())) < 1.0


@pytest.mark.parametrize("count", [100, 500, 1000])
def test_any_number_of_images_and_passes_stays_within_the_limit(report: Report, count: int) -> None:
    """A page of a very long run leaves out rows and points, and says how many."""
    rows = [{**report["images"][job % 10], "job": job, "t_s": 5.0 * job} for job in range(count)]
    report["images"] = rows  # type: ignore[typeddict-item]  # rows copied from typed ones
    report["passes"] = list(report["passes"]) * count
    rng = np.random.default_rng(2)
    report["series"] = {
        "t_s": [10.0 * i for i in range(8640)],
        "columns": {name: list(rng.normal(15, 3, 8640)) for name in report["series"]["columns"]},
    }
    page = render(report)
    assert len(page.encode()) <= SIZE_LIMIT_NBYTES
    figures = page.count("<figure>")
    assert figures == count or f"{count - figures} more images are not shown" in page
    assert "more passes are not shown" in page
    assert f"<b>{count}</b>" in page
    assert "src='data:image/jpeg" in page


def test_a_run_that_cannot_be_repeated_promises_no_digest(report: Report) -> None:
    """After a stop from outside the page does not say that the digest comes again."""
    assert "The same seed gives the same digest" in render(report)
    report["repeatable"] = False
    page = render(report)
    assert "The same seed gives the same digest" not in page
    assert "the digest will differ" in page


def test_counters_of_losses_stand_apart_from_traffic(report: Report) -> None:
    """Only what was lost, refused or not modelled is called that; an unknown name counts as such.

    Traffic is folded away, and no figure has more digits than a reader can use.
    """
    report["counters"] = {
        "bus.can0": {"frames": 4400, "retries": 3, "nonesuch": 7},
        "world": {"energy.load_j": 21314.574208, "payload.jobs": 10.0},
    }
    lost, traffic = render(report).split("Counters</h2>")[1].split("<details>")[:2]
    traffic = traffic.split("</details>")[0]
    assert "Lost, refused, damaged, not modelled" in lost
    assert re.findall(r"<td>([^<]+)</td><td class='r'>([^<]+)</td>", lost) == [
        ("retries", "3"),
        ("nonesuch", "7"),
    ]
    assert re.findall(r"<td>([^<]+)</td><td class='r'>([^<]+)</td>", traffic) == [
        ("frames", "4\u202f400"),
        ("energy.load j", "21\u202f314.6"),
        ("payload.jobs", "10"),
    ]


def test_a_pass_that_the_end_cuts_is_marked(report: Report) -> None:
    """Table and timeline say of a pass that the run ends in it."""
    assert "cut by the end of the run" not in render(report)
    row = report["passes"][-1]
    report["passes"] = [{**row, "aos_s": 5400.0, "los_s": 5650.0, "cut": True}]
    page = render(report)
    assert page.count("cut by the end of the run") == 2
    assert "<td class='r'>250 s</td>" in page


def test_tiles_know_the_extremes_between_samples(report: Report) -> None:
    """The figures at the top are those that the verdict judged, not those of the thinned series."""
    report["extremes"] = {"chip_c": [61.2], "battery_v": [12.99]}
    page = render(report)
    assert "<b>61.2 °C</b>" in page
    assert "<b>12.99 V</b>" in page


def test_the_timeline_has_a_legend_of_what_it_shows(report: Report) -> None:
    """Colours and marks are explained, those of absent parts are not."""
    assert "pass over a station" in timeline(report)
    assert "product arrives" in timeline(report)
    del report["passes"], report["images"]
    assert "pass over a station" not in timeline(report)
    assert "product arrives" not in timeline(report)


@pytest.mark.parametrize("hours", [0.02, 0.5, 1.6, 6, 24, 72, 240])
def test_labels_of_the_time_axis_stand_apart(report: Report, hours: float) -> None:
    """However long the run, labels do not touch and none reaches past the edge."""
    report["virtual_s"] = hours * 3600
    found = re.findall(r"<text x='([\d.]+)' y='[\d.]+' class='ax'>([^<]+)<", timeline(report))
    assert 2 <= len(found) <= 13
    edges = [(float(x) - 3 * len(label), float(x) + 3 * len(label)) for x, label in found]
    assert edges[-1][1] <= 1000.0
    assert all(after[0] > before[1] for before, after in itertools.pairwise(edges))
    assert all(label.endswith(" h") for _, label in found) is (hours > 12)


def test_lateness_is_told_in_figures(report: Report) -> None:
    """A paced run shows the percentiles of its lateness and its overruns in a sentence."""
    said = "p50 41 µs, p99 90 µs, p99.9 492 µs, worst 900 µs; 2 later than the limit"
    assert said in render(report)


def test_a_column_that_holds_nothing_is_left_out(report: Report) -> None:
    """Without an overrun there is no lateness of one to show."""
    assert "latest end" in render(report)
    report["rate_groups"] = [{"name": "control", "overruns": 0, "worst_late_ms": 0.0}]
    assert "latest end" not in render(report)
