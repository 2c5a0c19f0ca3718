"""The page about channel files says what the code does: its keys, types, options and counters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flightsw.codec.stream.channel import INPUTS
from flightsw.codec.stream.stream import Stream
from hil.channel import KEYS, load_channel
from hil.cli.codec import parser
from hil.cli.counters import PLAIN, TROUBLE
from hil.fieldtable import FIELD_KEYS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "channel-file.md").read_text()


def section(title: str) -> str:
    """Return the text under a heading, up to the next one."""
    return re.split(r"^#+ ", PAGE.split(f"# {title}\n")[1], flags=re.MULTILINE)[0]


def names_in(text: str) -> set[str]:
    """Return what stands in marks in the first column of the tables of a text."""
    rows = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize("table", [name for name in KEYS if name not in ("", "channel", "layout")])
def test_every_key_of_a_stage_stands_on_the_page(table: str) -> None:
    """The keys in the table of a stage are those that a file may hold."""
    assert names_in(section(f"`[{table}]`")) == set(KEYS[table])


def test_the_other_keys_stand_on_the_page() -> None:
    """Keys of channel, inputs, layouts and fields are those that a file may hold."""
    assert names_in(section("`[channel]`")) == {*KEYS["channel"], *INPUTS}
    assert names_in(section("`[[layout]]`")) == set(KEYS["layout"])
    fields = section("Fields").split("| type | column |")[0]
    assert names_in(fields) == set(FIELD_KEYS)


def test_the_channel_of_the_page_runs(tmp_path: Path) -> None:
    """The file that the page writes out becomes a stream, whose layout has those fields."""
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "hera.toml"
    path.write_text(text)
    channel = load_channel(path)
    Stream(channel).feed(bytes(3000))
    assert [f.name for f in channel.rules[0].layout.fields][-2:] == ["cells", "heater"]


def test_every_type_of_the_page_is_one(tmp_path: Path) -> None:
    """Each type in the table, with numbers for its letters, makes a layout."""
    rows = section("Fields").split("| type | column |")[1]
    types = [name for name in names_in(rows) if name != "TYPE[N]"]
    types += ["cuc 4 2 p", "u8[3]", "u16[n]", "text rest", "u8[rest]"]
    assert len(types) > 15
    path = tmp_path / "c.toml"
    for name in types:
        said = re.sub(r"\bN\b", "8", name).replace("A B", "2 4")
        before = '{name = "n", type = "u8"}, '
        text = f'{before}{{name = "x", type = "{said}"}}, '
        if re.match(r"[ui]1$", said):
            text += '{type = "pad 7"}'
        if said == "flag":
            text += '{type = "pad 7"}'
        path.write_text(
            f'[channel]\nname="x"\ninput="packets"\n[[layout]]\nname="l"\nfields=[{text}]\n'
        )
        load_channel(path)


def test_every_option_stands_on_the_page() -> None:
    """The table of options names all that the command has."""
    options = {name for action in parser()._actions for name in action.option_strings}
    said = {name.split()[0] for name in names_in(section("What comes out"))}
    assert said == options - {"-h", "--help", "--quiet"}


def test_every_counter_stands_on_the_page() -> None:
    """Each counter has its line, with the words and the mark that the command prints."""
    rows = re.findall(
        r"^\| [^|]* \| `(\w+)` \| (!?) \| (.*) \|$", section("Counters"), re.MULTILINE
    )
    said = {name: (mark, text) for name, mark, text in rows}
    known = {name: ("!", text) for name, text in TROUBLE.items()}
    known |= {name: ("", text) for name, text in PLAIN.items()}
    assert said == known


def test_the_commands_of_the_page_parse() -> None:
    """Each command line of the page is one that the command takes."""
    block = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[0]
    for line in block.splitlines():
        words = re.search(r"hil codec ([^#|]*)", line)
        assert words is not None
        assert parser().parse_args(words[1].split()).channel == Path("hera.toml")
