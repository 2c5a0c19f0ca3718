"""The reference of the command line, read from the parsers of the verbs themselves.

Each verb is asked for its help as a user would ask, and the parser that would have printed it is
taken instead: so a verb needs to be known to nobody but the table of verbs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from flatsat_docs.markdown import code, plain, table

Main = Callable[[list[str]], object]

#: the other ways to use a verb, whose parameters differ: what is said in the title, and to the verb
ALSO: Mapping[str, Sequence[tuple[str, list[str]]]] = {
    "run": (("-- CMD", ["--help", "--", "cmd"]),),
    "bisect": (("-- CMD", ["--help", "--", "cmd"]),),
    "tap": (("--install-wireshark", ["--install-wireshark", "--help"]),),
}


class Asked(Exception):  # noqa: N818 - an answer, not an error
    """The parser that was about to print its help."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Have every parser raise :class:`Asked` instead of printing its help."""

    def answer(self: argparse.ArgumentParser, file: object = None) -> NoReturn:
        raise Asked(self)

    kept = argparse.ArgumentParser.print_help
    setattr(argparse.ArgumentParser, "print_help", answer)  # noqa: B010 - a method, on purpose
    try:
        yield
    finally:
        setattr(argparse.ArgumentParser, "print_help", kept)  # noqa: B010


def asked(main: Main, words: list[str]) -> argparse.ArgumentParser | None:
    """Return the parser that a command asks for help; None for one that has none of its own."""
    with answered():
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                main(words)
        except Asked as found:
            return found.parser
    return None


def commands() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield every command: its name with verbs below it, what it does in short, its parser."""
    from hil.cli import VERBS

    yield from _below("hil", VERBS)
    from flightsw import __main__ as flight

    parser = asked(flight.main, ["--help"])
    assert parser is not None
    yield "flightsw", "the flight software, against a bench", parser


def _below(
    name: str, verbs: Mapping[str, tuple[str, str]]
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield the commands of a table of verbs, and of the tables and parsers below it."""
    for verb, (module_name, short) in verbs.items():
        module = importlib.import_module(module_name)
        below = getattr(module, "VERBS", None)
        if below is not None and asked(module.main, ["--help"]) is None:
            yield from _below(f"{name} {verb}", below)
            continue
        for title, words in (("", ["--help"]), *ALSO.get(verb, ())):
            parser = asked(module.main, words)
            assert parser is not None, f"{name} {verb} has no parser"
            yield from _with_subparsers(f"{name} {verb} {title}".strip(), short, parser)


def _with_subparsers(
    name: str, short: str, parser: argparse.ArgumentParser
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    yield name, short, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from _with_subparsers(f"{name} {word}", inner.description or "", inner)


def page() -> str:
    """Return the reference of all commands."""
    sections = [_section(*command) for command in commands()]
    return "\n".join(sections)


def _section(name: str, short: str, parser: argparse.ArgumentParser) -> str:
    lines = [f"## {code(name)}", "", plain(f"{short[:1].upper()}{short[1:]}."), ""]
    if parser.description and plain(parser.description).rstrip(".") != plain(short).rstrip("."):
        lines += _prose(parser.description)
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    lines += ["```text", usage, "```", ""]
    for group in parser._action_groups:
        rows = list(_rows(parser, group._group_actions))
        if rows:
            lines += [table((group.title or "", "what it does"), rows)]
    if parser.epilog:
        lines += _prose(
            parser.epilog % {"prog": parser.prog} if "%(" in parser.epilog else parser.epilog
        )
    return "\n".join(lines)


def _prose(text: str) -> list[str]:
    """Return a text of a help; as it stands, if it has been laid out by hand."""
    if re.search(r"^  |\S   +\S", text, re.MULTILINE):
        return ["```text", text.rstrip(), "```", ""]
    return [*(plain(part) + "\n" for part in text.split("\n\n")), ""]


def _rows(
    parser: argparse.ArgumentParser, actions: Sequence[argparse.Action]
) -> Iterator[tuple[str, str]]:
    formatter = parser._get_formatter()
    for action in actions:
        if action.help == argparse.SUPPRESS:
            continue
        said = formatter._format_action_invocation(action)
        yield code(said), plain(formatter._expand_help(action) if action.help else "")
