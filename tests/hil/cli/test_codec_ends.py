"""``hil codec`` among pipes, signals, terminals and mistakes: what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import FRAMES, HIL, air, here, rows_of, run

from flightsw.codec.packet import space_packet
from hil.cli import main

pytestmark = pytest.mark.usefixtures("workplace")


def test_without_pyarrow_the_remedy_is_named(
    packets: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--parquet on a host without pyarrow is one line, exit code 3, and nothing is made."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, out, err = here(capsys, packets, "p", "--parquet", "out")
    assert (code, out, len(err)) == (3, [], 1)
    assert "flatsat[parquet]" in err[0]
    assert not Path("out").exists()


def test_a_pipe_is_read_as_it_comes(packets: str) -> None:
    """From - the packets that are there are printed before the writer is done."""
    with subprocess.Popen(
        [*HIL, packets, "-", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        whole = Path("p").read_bytes()
        process.stdin.write(whole)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["packet"] == 0
        process.stdin.write(whole)
        process.stdin.close()
        rest = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert len(rest) == 8
    assert json.loads(rest[-1])["counters"]["input"]["octets"] == 2 * len(whole)


def test_a_pipe_gives_the_same_as_a_file(packets: str, capsys: Any) -> None:
    """The answer does not depend on how the octets come."""
    _, out, _ = here(capsys, packets, "p", "--json")
    code, text, _ = run(packets, "-", "--json", stdin=Path("p").read_bytes())
    assert code == 0
    assert text.splitlines() == out


def test_ctrl_c_gives_what_was_decoded(packets: str) -> None:
    """Interrupted, the counters so far are printed, tables are whole, and the exit code is 130."""
    command = [*HIL, packets, "-", "--json", "--csv", "out"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(Path("p").read_bytes())
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert json.loads(lines[-1])["packet"] == 3
    assert json.loads(out)["counters"]["packets"]["packets"] == 4
    assert err.decode().splitlines()[-1] == "hil codec: interrupted"
    assert len(rows_of("out/packets.csv")) == 4


def test_a_reader_that_leaves_ends_it_quietly(packets: str) -> None:
    """A closed pipe on stdout is no traceback."""
    Path("p").write_bytes(Path("p").read_bytes() * 20_000)
    with subprocess.Popen(
        [*HIL, packets, "p", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 128 + signal.SIGPIPE
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["c.toml", "absent"], 2, "absent: No such file"),
        (["c.toml", "."], 2, "Is a directory"),
        (["absent.toml", "p"], 2, "absent.toml"),
        (["p", "c.toml"], 2, "hil codec c.toml p"),
        (["c.toml", "p", "--packets", "p"], 2, "give the name of a new file"),
        (["c.toml", "p", "--csv", "p"], 3, "give another directory"),
        (["c.toml", "p", "--csv", "/proc/none"], 3, "give another directory"),
        (["c.toml", "p", "--csv", "full"], 2, "full holds x.csv already"),
        (["c.toml", "p", "--apid", "x"], 2, "numbers with commas"),
        (["c.toml", "p", "--apid", "2048"], 2, "0 to 2047"),
        (["c.toml"], 2, "FILE"),
    ],
)
def test_what_is_wrong_is_said_once(
    packets: str, capsys: Any, words: list[str], code: int, says: str
) -> None:
    """A wrong path or option is one line with the remedy, and leaves no output behind."""
    Path("full").mkdir()
    Path("full/x.csv").write_text("precious")
    before = sorted(str(path) for path in Path().rglob("*"))
    try:
        got = main(["codec", *words, "--json"])
    except SystemExit as stop:
        got = int(stop.code or 0)
    captured = capsys.readouterr()
    assert got == code
    assert says in captured.err.strip().splitlines()[-1]
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert sorted(str(path) for path in Path().rglob("*")) == before


def test_a_closed_stdin_is_one_line(packets: str) -> None:
    """- without a standard input is wrong usage, not a traceback."""
    command = " ".join([*HIL, packets, "-", "<&-"])
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_full_disk_is_one_line(packets: str) -> None:
    """Output that cannot be written ends with exit code 3."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*HIL, packets, "p", "--json"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 3
    assert b"No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("suffix", ["", "--json", "--csv"])
def test_an_empty_file_is_said_to_be_empty(packets: str, capsys: Any, suffix: str) -> None:
    """No octets are no error: counters of 0, tables with headers, and a hint."""
    Path("none").write_bytes(b"")
    words = [suffix] if suffix == "--json" else ["--csv", "out"] if suffix else []
    code, out, err = here(capsys, packets, "none", *words)
    assert code == 0
    assert err[-1] == "hint: the input is empty"
    assert len(out) == 1 if suffix == "--json" else out[0] == "input"
    if suffix == "--csv":
        assert rows_of("out/packets.csv") == []


def test_garbage_is_counted_and_hinted_at(capsys: Any) -> None:
    """A file of noise decodes to nothing, says so, and says where to look."""
    noise = np.random.default_rng(1).integers(0, 256, 50_000, np.uint8).tobytes()
    Path("noise").write_bytes(noise)
    Path("c.toml").write_text(FRAMES.format(input="octets"))
    code, out, err = here(capsys, "c.toml", "noise", "--strict")
    assert code == 1
    assert "link" in out
    assert len(err) == 1
    assert err[0].startswith("hint: no marker 1acffc1d was found: look at channel.input")
    assert here(capsys, "c.toml", "noise", "--quiet")[2] == []


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("nbytes = 64", "nbytes = 70", "are bad_fecf: look at frames.nbytes"),
        ("scid = 9", "scid = 8", "are foreign_frames: look at frames.scid"),
        ('kind = "tm"', 'kind = "aos"', "are bad_version: look at frames.kind"),
        ('randomiser = "tm"', "", "look at frames.nbytes, frames.fecf, channel.randomiser"),
        ("nbytes = 64", "nbytes = 64\nfecf = 'none'", ""),
    ],
)
def test_a_wrong_stage_is_named(capsys: Any, old: str, new: str, hint: str) -> None:
    """Where no frame passes, the hint names the keys of the stage that refused them."""
    Path("in").write_bytes(air(200)[0])
    Path("c.toml").write_text(FRAMES.format(input="octets").replace(old, new))
    _, _, err = here(capsys, "c.toml", "in")
    assert hint in "\n".join(err)
    assert len(err) == (1 if hint else 0)


def test_a_layout_that_decodes_nothing_is_named(capsys: Any) -> None:
    """Where a layout of changing size fits no packet, hints name its keys and the reason."""
    Path("in").write_bytes(space_packet.pack(5, 0, b"\xff" * 9))
    Path("c.toml").write_text(
        '[channel]\nname = "c"\ninput = "packets"\n[[layout]]\nname = "list"\nskip_nbytes = 6\n'
        'fields = [{name = "n", type = "u8"}, {name = "v", type = "u8[n]"}]\n'
    )
    _, out, err = here(capsys, "c.toml", "in", "--json")
    seen = json.loads(out[-1])["counters"]["layout list"]
    assert seen == {"packets": 1, "rows": 0, "wrong_length": 0, "undecodable": 1}
    hint, why = err
    assert why.endswith("layout list: 1 undecodable, a packet ends too early")
    assert hint.startswith("hint: no packet of layout list could be decoded: look at its fields")


def test_stages_that_do_not_go_together_are_wrong_usage(capsys: Any) -> None:
    """Markers in a file of packets are exit code 2, and one line with the file's name."""
    Path("c.toml").write_text(FRAMES.format(input="packets"))
    Path("in").write_bytes(b"")
    code, out, err = here(capsys, "c.toml", "in")
    assert (code, out, len(err)) == (2, [], 1)
    assert err[0].startswith("hil codec: c.toml: channel")


def test_bits_that_are_none_are_refused(capsys: Any) -> None:
    """Octets above 1 in a file of bits are said to be wrong, with what to do."""
    Path("c.toml").write_text(FRAMES.format(input="bits"))
    Path("in").write_bytes(b"\0\1\7")
    code, _, err = here(capsys, "c.toml", "in")
    assert code == 2
    assert len(err) == 1
    assert "in: bits: an octet is 7" in err[0]
    assert "octets or symbols" in err[0]


def test_progress_is_for_terminals_only(packets: str) -> None:
    """Nothing but lines of text goes to stderr when it is no terminal."""
    _, _, err = run(packets, "p")
    assert "\r" not in err
    assert "\x1b" not in err


def test_progress_is_drawn_on_a_terminal(packets: str) -> None:
    """On a terminal a bar is drawn, and taken away before the counters come."""
    import pty

    main_end, side = pty.openpty()
    with os.fdopen(main_end, "rb", buffering=0) as terminal:
        done = subprocess.run([*HIL, packets, "p"], stdout=subprocess.PIPE, stderr=side, check=True)
        os.close(side)
        drawn = os.read(terminal.fileno(), 65_536).decode()
    assert "100%" in drawn
    assert drawn.split("\r\x1b[K")[-1].startswith("hint: ")
    assert "\x1b" not in done.stdout.decode()
