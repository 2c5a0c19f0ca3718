"""Every command and code block of README and the manual is run, or a row says why it is not."""

from __future__ import annotations

import ast
import os
import re
import shutil
from pathlib import Path

import pytest
from blocks import BLOCKS, KINDS, PAGES, ROOT, Block
from files import read
from flatsat_docs.commands import commands as known_commands
from rules import HELD, NOT_HERE, SHOWN, held, left, short, shown, why_not
from workshop import Workshop, write_tools

#: Of so many commands of the pages at most one is not run, for a reason that is a row of NOT_HERE.
NOT_RUN_ONE_IN = 4
#: A verb that ends in a verdict may say that it is a bad one: what is flown here is short.
VERDICTS = {"run", "replay", "diff", "bisect", "codec"}
#: Pages whose blocks take longer than the suite has.
LONG = {
    f"docs/{name}.md"
    for name in (
        *("faults", "replay", "sysfs", "diff", "slcan", "board-telemetry", "real-time"),
        "tutorials/replay",
    )
}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with tools, and with the runs that workshops copy."""
    folder = tmp_path_factory.mktemp("shared")
    write_tools(folder / "tools")
    (folder / "flights").mkdir()
    return folder


@pytest.fixture
def workshop(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Return a workshop whose folder is the working directory, with nobody's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / ".data"))
    monkeypatch.setenv("HIL_PORTS", str(tmp_path / ".ports"))
    monkeypatch.setenv("PATH", f"{shared / 'tools'}:{os.environ['PATH']}:/usr/sbin")
    monkeypatch.delenv("HIL_LAB", raising=False)
    return Workshop(tmp_path, shared / "flights", shared / "tools")


def pages_with(kind: str) -> list[object]:
    """Return the pages with blocks of a kind that nobody else holds."""
    pages = sorted({block.page for block in left(kind) if not (kind == "python" and block.file)})
    return [pytest.param(p, marks=[pytest.mark.soak] if p in LONG else []) for p in pages]


def test_every_block_is_of_a_kind_that_has_a_rule() -> None:
    """No block is of a language that nothing is done with, nor of none."""
    assert [f"{block} {block.kind!r}" for block in BLOCKS if block.kind not in KINDS] == []
    assert len(BLOCKS) > 100


def test_who_holds_a_block_is_there_and_knows_the_page() -> None:
    """Each row names blocks that exist and a test that exists, whose file names the page."""
    for row in HELD:
        name, _, function = row.test.partition("::")
        source = (ROOT / "tests" / name).read_text()
        found = {
            node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)
        }
        assert function in found, row
        stem = Path(row.page).stem
        assert f"{stem}.md" in source or f"{stem.replace('-', '_')}.py" in source, row
        assert any(row in held(block) for block in BLOCKS), row


def test_every_reason_is_used_and_they_are_few() -> None:
    """No row says why something is not run that no page has; what is not run is counted."""
    commands = [c for block in left("sh") for c in block.commands]
    assert [what for what in NOT_HERE if not any(re.search(what, c) for c in commands)] == []
    assert [row for row in SHOWN if not any(shown(b) for b in BLOCKS if b.page == row[0])] == []
    not_run = [command for command in commands if why_not(command)]
    assert 0 < len(not_run) <= len(commands) // NOT_RUN_ONE_IN, not_run
    assert len(commands) - len(not_run) > 50


@pytest.mark.parametrize("page", pages_with("sh"))
def test_the_commands_of_a_page_run(page: str, workshop: Workshop) -> None:
    """Each command ends well, or with the verdict of so short a flight; what follows is printed."""
    said = ""
    here = [b for b in BLOCKS if b.page == page]
    for block, following in zip(here, [*here[1:], None], strict=True):
        if block.file:
            workshop.write(block)
        if block.kind == "text" and not shown(block) and not held(block):
            assert_like(block, said)
        if block.kind != "sh" or held(block):
            continue
        workshop.provide(block.text)
        said = ""
        for command in together(block.commands):
            if why_not(command) or lacks_a_tool(command):
                continue
            done = workshop.run(short(command), following is not None and following.kind == "text")
            verb = command.partition(" ")[2].split(" ")[0]
            allowed = {0, 1} if verb in VERDICTS else {0}
            assert done.code in allowed, f"{block}: {command}\n{done.said}"
            assert "Traceback" not in done.said, f"{block}: {command}\n{done.said}"
            said += done.said


def together(commands: list[str]) -> list[str]:
    """Return the commands; those of a block that leaves one running are one, for one shell."""
    if not any(command.endswith(" &") for command in commands):
        return commands
    return ["\n".join(short(command) for command in commands)]


def lacks_a_tool(command: str) -> bool:
    """Tell whether a command is about a foreign program that is not installed here."""
    known = {"i2cdetect", "i2cget", "i2ctransfer", "busybox", "sensors", "tshark", "jq", "nvpmodel"}
    words = set(re.findall(r"[\w-]+", command)) & known
    return any(shutil.which(word) is None for word in words - {"nvpmodel"})


def assert_like(block: Block, said: str) -> None:
    """Assert that each line of a block was said, whatever its figures."""

    def shape(line: str) -> str:
        return re.sub(r"\s+", " ", re.sub(r"[\d.,:]*\d", "#", line)).strip()

    lines = {shape(line) for line in said.splitlines()}
    wanted = [line for line in block.text.splitlines() if line.strip() not in ("", "...")]
    assert [line for line in wanted if shape(line) not in lines] == [], f"{block}\n{said}"


@pytest.mark.parametrize("page", pages_with("python"))
def test_the_programs_of_a_page_run(page: str, workshop: Workshop) -> None:
    """The blocks of a page run from top to bottom, in one module."""
    names: dict[str, object] = {"__name__": "page"}
    for block in left("python"):
        if block.page == page and not block.file:
            workshop.provide(block.text)
            workshop.execute(block, names)


@pytest.mark.parametrize(
    "block", [*left("toml"), *left("json"), *left("yaml"), *left("c")], ids=str
)
def test_a_file_of_a_page_is_one(block: Block, tmp_path: Path) -> None:
    """Every file that a page shows is taken by what reads such files."""
    read(block, tmp_path)


INLINE = [
    (str(path.relative_to(ROOT)), command)
    for path in PAGES
    for command in re.findall(
        r"`(hil [a-z][^`]*)`", re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    )
]


def of_readme() -> list[object]:
    """Return the commands in the text of README; measurements take longer than the suite has."""
    found = sorted({c for page, c in INLINE if page == "README.md" and not why_not(c)})
    return [pytest.param(c, marks=[pytest.mark.soak] if " bench " in c else []) for c in found]


@pytest.mark.parametrize("command", of_readme())
def test_every_command_in_the_text_of_readme_runs(command: str, workshop: Workshop) -> None:
    """What the table of commands shows can be typed."""
    if lacks_a_tool(command):
        pytest.skip("a foreign program of this command is not installed")
    workshop.provide(command)
    done = workshop.run(short(command))
    assert done.code in {0, 1}, done.said
    assert "Traceback" not in done.said


def test_every_command_in_the_text_of_a_page_exists() -> None:
    """Verbs and options that stand between the words of a page are those of the parsers."""
    options: dict[str, set[str]] = {}
    for name, _, parser in known_commands():
        verb = name.partition(" -- ")[0].partition(" --")[0]
        known = {o for action in parser._actions for o in action.option_strings}
        options.setdefault(verb, set()).update(known)
    wrong = []
    for page, command in INLINE:
        words = command.partition(" -- ")[0].split()
        verb = next((v for v in (" ".join(words[:n]) for n in (3, 2)) if v in options), None)
        below = options.get(verb or "") or {
            o for v, o in options.items() if v.startswith(f"{words[0]} {words[1]} ") for o in o
        }
        used = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        if not below or used - below:
            wrong.append(f"{page}: {command}: {sorted(used - below)}")
    assert len(INLINE) > 100
    assert wrong == []
