"""The site of the manual: it builds without a warning, and its reference leaves nothing out."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from flatsat_docs import MADE, MARK, api, commands, errors, made, names, parts, schemas, with_ways

from hil.cli import VERBS
from hil.missions.schema import SCHEMA
from hil.parts import PART_TYPES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def build(builder: str, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the site in a process of its own, every warning an error."""
    words = [sys.executable, "-m", "sphinx", "-b", builder, "-W", "--keep-going", "-q"]
    return subprocess.run(
        [*words, "-d", str(out / "doctrees"), str(DOCS), str(out / "site")],
        cwd=out,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Every page, reference and name in a docstring of a public module is found."""
    done = build("dummy", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.soak
def test_the_pages_of_the_site_are_written(tmp_path: Path) -> None:
    """As HTML it has one page for each of ours, and needs nothing from the network."""
    done = build("html", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    written = sorted((tmp_path / "site").rglob("*.html"))
    assert len(written) >= len(PAGES)
    for page in written:
        wanted = re.findall(
            r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?://[^\"]+)", page.read_text()
        )
        assert wanted == [], page


def test_every_mark_of_a_page_is_made_and_every_maker_is_used() -> None:
    """A page asks for nothing that nobody makes; what is made stands on a page."""
    asked = [name for page in PAGES for name in MARK.findall(page.read_text())]
    assert sorted(asked) == sorted(MADE)


def test_a_mark_becomes_what_is_made_for_it() -> None:
    """What stands around the mark stays; the mark itself goes."""
    text = made("before\n\n<!-- made here: errors -->\n\nbehind\n")
    assert text.startswith("before\n\n| error |")
    assert text.endswith("|\n\n\nbehind\n")


def test_a_row_of_the_index_becomes_a_way() -> None:
    """Each section with pages gets its entries, once each and in order; others get none."""
    text = with_ways(
        "# Top\n\nText.\n\n## One\n\n| [b](b.md) |\n| [a](x/a.md) [b](b.md) |\n\n## Two\n"
    )
    assert text.count("{toctree}") == 1
    assert ":caption: One\n\nb\nx/a\n```" in text


def test_every_page_says_at_its_top_what_it_is_for() -> None:
    """Each page has one title of the first level, and prose before anything else."""
    for page in PAGES:
        lines = [line for line in page.read_text().splitlines() if line]
        assert re.match(r"# \S", lines[0]), page
        assert re.match(r"(?!```)[\w`*\[]", lines[1]), page


def test_the_command_reference_has_every_verb_and_option() -> None:
    """Verbs, verbs below verbs and the other uses of a verb each have a section with options."""
    text = made("<!-- made here: commands -->")
    titles = re.findall(r"^## `(.*)`$", text, re.MULTILINE)
    assert len(titles) == len(set(titles))
    for verb in VERBS:
        assert any(title.split()[:2] == ["hil", verb] for title in titles), verb
    for title in ("hil run", "hil run -- CMD", "hil boards swap", "hil bisect -- CMD", "flightsw"):
        assert title in titles
    for name, _, parser in commands.commands():
        section = text.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        for action in parser._actions:
            missing = [
                o
                for o in action.option_strings
                if o not in section and action.help != "==SUPPRESS=="
            ]
            assert missing == [], name


def test_the_error_reference_has_the_whole_tree() -> None:
    """Every exception of the three files of errors has its row, below the one it comes from."""
    known = {error for _, error in errors.classes()}
    for name in ("flightsw.codec.errors", "flightsw.errors", "hil.errors"):
        for _, error in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if error.__module__ == name and error.__name__ != "Shutdown":
                assert error in known
    assert made("<!-- made here: errors -->").count("\n|") == len(list(errors.classes())) + 1


def test_the_parts_reference_has_every_quantity() -> None:
    """Every built-in type has its section with each quantity and each key of a board file."""
    text = parts.page()
    sections = dict(re.findall(r"^## `([^`]*)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(PART_TYPES)
    for name, part in parts.types():
        for key in (*part.QUANTITIES, *part.PARAMS):
            assert f"| `{key}` |" in sections[name]


def test_the_file_reference_has_every_key() -> None:
    """Each group and key of a profile stands in it, and each kind of fault with its arguments."""
    text = schemas.mission()
    for group, fields in SCHEMA.items():
        assert f"`[{group}]`".replace(".*", ".NAME") in text
        assert [key for key in fields if f"| `{key}` |" not in text] == []
    kinds = list(schemas._fault_kinds())
    assert len(kinds) == schemas.faults().count("\n|") - 1
    assert len({bus for bus, _, _ in kinds}) == 8


def imported(source: str) -> set[str]:
    """Return the modules of ours from which a program imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{each.name}" for each in node.names}
            found |= (whole & api.public()) or {node.module}
    return {name for name in found if name.partition(".")[0] in ("hil", "flightsw")}


def test_the_pages_use_the_public_modules_only() -> None:
    """What a page has its reader import is in the reference of Python."""
    used: set[str] = set()
    for page in PAGES:
        for block in re.findall(
            r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
        ):
            used |= imported(block)
    assert len(used) > 30
    assert used - api.public() == set()


@pytest.mark.parametrize(
    ("target", "module", "source", "meant"),
    [
        ("BusError", "flightsw.hal", "", None),
        ("BusError", "flightsw.errors", "", "flightsw.errors.BusError"),
        ("int", "hil.rig", "", "int"),
        ("~collections.abc.Mapping[str", "hil.rig", "", "hil.rig.collections.abc.Mapping"),
        (
            "SnapshotError",
            "",
            "docstring of hil.snapshots.thawing.thaw",
            "hil.snapshots.thawing.SnapshotError",
        ),
        ("pus", "flightsw.codec.packet.pus_format", "", "flightsw.codec.packet.pus"),
    ],
)
def test_a_short_name_stands_for_something(
    target: str, module: str, source: str, meant: str | None
) -> None:
    """A name is sought where it was written, with what is imported there, and beside it."""
    name = names.full_name(target, module, "", source)
    assert (name is None) == (meant is None)
    assert name is None or name.rpartition(".")[2] == str(meant).rpartition(".")[2]
