"""Channel descriptions: what they say, and how they complain."""

from __future__ import annotations

from pathlib import Path

import pytest

from flightsw.codec.packet.pus_format import PUS_VERSION_A
from flightsw.codec.stream.channel import Channel
from flightsw.codec.stream.stream import Stream
from hil.channel import load_channel
from hil.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "docs" / "channels").glob("*.toml"))

WHOLE = """
[channel]
name = "all"
input = "symbols"
randomiser = "tm17"
[convolutional]
rate = "3/4"
order = "ccsds"
[marker]
octets = "1acffc1d"
search_wrong = 1
inverted = true
aligned = false
[reed_solomon]
interleave = 5
basis = "conventional"
[frames]
kind = "aos"
nbytes = 1115
scid = 77
insert_nbytes = 8
fhec = true
ocf = true
[frames.services]
5 = "bitstream"
[packets]
error_control = true
no_error_control = [0, 7]
no_pus = [0]
[packets.pus]
version = "a"
counter_nbytes = 1
destination_nbytes = 0
time = "cds 2 2"
[[layout]]
name = "status"
apid = 5
service = 3
subtype = 25
fields = [
    {name = "mode", type = "u4", enum = {idle = 0, imaging = 3}, doc = "what it does"},
    {name = "armed", type = "flag"},
    {type = "pad 3"},
    {name = "bus", type = "u16le", unit = "mV", scale = 0.001, scaled_unit = "V"},
    {name = "count", type = "u8"},
    {name = "samples", type = "i16[count]"},
    {name = "level", type = "f32", when = "armed"},
    {name = "word", type = "bytes 2"},
    {name = "note", type = "text 4", when = "mode", equals = 3},
    {name = "at", type = "cuc 4 2"},
    {name = "rest", type = "bytes rest"},
]
"""


def load(tmp_path: Path, text: str) -> Channel:
    """Return the channel that a text describes."""
    path = tmp_path / "channel.toml"
    path.write_text(text)
    return load_channel(path)


@pytest.mark.parametrize(
    ("said", "octets"),
    [
        ("cuc 4 1 p", "2d" + "00000001" + "80"),
        ("cuc 4 1 agency p", "2d" + "00000001" + "80"),
        ("cuc 4 1 tai p", "1d" + "00000001" + "80"),
        ("cuc 4 1 tai", "00000001" + "80"),
        ("cds 2 0 p", "40" + "0000" + "000005dc"),
        ("cds 2 0 agency p", "48" + "0000" + "000005dc"),
    ],
)
def test_time_codes_name_their_epoch(tmp_path: Path, said: str, octets: str) -> None:
    """A preamble tells the epoch that the type names, or the one that is the rule for the code."""
    fields = f'[[layout]]\nname = "l"\nfields = [{{name = "at", type = "{said}"}}]\n'
    layout = load(tmp_path, f'[channel]\nname = "x"\ninput = "packets"\n{fields}').rules[0].layout
    assert layout.encode({"at": 1_500_000_000}).hex() == octets
    assert layout.decode(bytes.fromhex(octets)) == {"at": 1_500_000_000}


def test_pus_headers_name_the_epoch_of_their_time(tmp_path: Path) -> None:
    """The time of PUS headers has the agency's epoch unless that of TAI is named."""
    for said, epoch in (("cds 2 2", 2), ("cds 2 2 tai", 1), ("cuc 4 3 agency", 2)):
        pus = load(tmp_path, WHOLE.replace("cds 2 2", said)).packets.pus
        assert pus is not None
        assert pus.time is not None
        assert pus.time.epoch == epoch


def test_every_stage_and_type_is_understood(tmp_path: Path) -> None:
    """A description of everything becomes a channel that runs, with values as they were written."""
    channel = load(tmp_path, WHOLE)
    assert channel.convolutional is not None
    assert channel.convolutional.rate == "3/4"
    assert channel.reed_solomon is not None
    assert not channel.reed_solomon.dual
    assert channel.frames is not None
    assert channel.frames.services == {5: "bitstream"}
    assert channel.packets.pus is not None
    assert channel.packets.pus.version == PUS_VERSION_A
    assert channel.packets.no_error_control == {0, 7}
    layout = channel.rules[0].layout
    values = {
        "mode": "imaging",
        "armed": True,
        "bus": 5000,
        "count": 2,
        "samples": [-5, 7],
        "level": 0.5,
        "word": b"ab",
        "note": "hey",
        "at": 1_500_000_000,
        "rest": b"tail",
    }
    octets = layout.encode(values)
    assert octets.hex() == "38" + "8813" + "02" + "fffb0007" + "3f000000" + "6162" + "68657900" + (
        "00000001" + "8000" + b"tail".hex()
    )
    assert layout.decode(octets) == values
    Stream(channel)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path: Path) -> None:
    """Every example in the documentation is a channel that runs."""
    Stream(load_channel(path)).feed(bytes(5000))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('input = "symbols"', 'input = "symbol"', "did you mean 'symbols'"),
        ("interleave = 5", "interlave = 5", "did you mean 'interleave'"),
        ("nbytes = 1115", "nbytes = 0", "outside 1 to 65536"),
        ("interleave = 5", "interleave = 4", "code blocks of this e, interleave and fill hold 892"),
        ("interleave = 5", "interleave = 6", "none of 1, 2, 3, 4, 5, 8"),
        ("interleave = 5", "interleave = 5\ne = 9", "neither 16 nor 8"),
        ('octets = "1acffc1d"', 'octets = "1acffc1"', "not octets in hexadecimal"),
        ("search_wrong = 1", "search_wrong = 4", "not be above lock_wrong (3)"),
        ("search_wrong = 1", "lock_wrong = 16", "fewer than half"),
        ('octets = "1acffc1d"', 'octets = "1acffc1d1acffc1d1a"', "9 octets, must be 1 to 8"),
        ("imaging = 3}", "imaging = 16}", "16 is outside 0 to 15"),
        ("imaging = 3}", "imaging = 0}", "0 is 'idle' already"),
        ('5 = "bitstream"', '99 = "bitstream"', "no virtual channel"),
        ("no_pus = [0]", "no_pus = 0", "list of APIDs"),
        ('time = "cds 2 2"', 'time = "cds"', "cuc COARSE FINE"),
        ('type = "i16[count]"', 'type = "i16[number]"', "no field called 'number'"),
        ('type = "u16le"', 'type = "u12le"', "no number has this form"),
        ('type = "flag"', 'type = "bool"', "no type is called 'bool'"),
        ('name = "armed"', 'name = "mode"', "there twice"),
        ('when = "mode"', 'when = "note"', "no field called 'note'"),
        ("inverted = true", "inverted = 1", "true or false"),
        ("[packets.pus]\n", "[packets.pus]\nx = 1\n", "unknown key"),
        ("[[layout]]", "[layout]", "[[layout]]"),
        ("scale = 0.001", "scale = 0.001, spline = [[0, 1]]", "one calibration a field"),
        ("scale = 0.001", "spline = [[0, 1]]", "two or more"),
        ("subtype = 25", 'subtype = 25\nlonger = "no"', "true or false"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    """A mistake is one line of text that names file, line, key and remedy."""
    assert old in WHOLE
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, WHOLE.replace(old, new, 1))
    text = str(caught.value)
    assert says in text
    assert "channel.toml:" in text
    assert "\n" not in text


def test_a_service_without_pus_headers_is_refused(tmp_path: Path) -> None:
    """A rule that asks for a service needs packets with PUS headers."""
    text = WHOLE.replace("[packets.pus]", "[packets.pu]")
    with pytest.raises(ConfigError):
        load(tmp_path, text)
