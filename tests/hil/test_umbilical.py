"""The umbilical: a link that is up from the beginning to the end, in place of passes."""

from __future__ import annotations

import json

from hil.cli import main
from hil.cli.run import options, parser
from hil.options import Options, options_of
from hil.rig import UMBILICAL


def test_the_link_is_up_from_the_beginning_to_the_end(tmp_path):
    """Ground loads its plan at once over a cable that loses nothing, and the run replays."""
    out = tmp_path / "run"
    words = ["--umbilical", "--transport", "direct", "--inference", "threshold"]
    main(["run", *words, "--duration", "120", "--out", str(out), "-q"])
    lines = (out / "events.jsonl").read_text().splitlines()
    events = [one for one in map(json.loads, lines) if one["t_s"] < 120.0]
    begun = [(one["t_s"], one["station"]) for one in events if one["name"] == "CONTACT_BEGIN"]
    assert begun == [(0.0, UMBILICAL)]
    assert not [one for one in events if one["name"] == "CONTACT_END"]
    run = json.loads((out / "run.json").read_text())
    assert "--umbilical" in run["command"]
    assert not any("damaged" in name for name in run["counters"]["radio"])
    assert main(["replay", str(out)]) == 0


def test_a_command_line_and_a_capture_know_it():
    """What flies with it says so in words that fly with it again; others do not."""
    given = options(parser().parse_args(["--umbilical"]))
    assert given == Options(umbilical=True)
    assert options_of(given.as_json(), "here").umbilical
    assert "--umbilical" in given.command()
    assert "umbilical" not in Options().command()
    before = {name: value for name, value in Options().as_json().items() if name != "umbilical"}
    assert options_of(before, "a capture of an earlier version") == Options()
