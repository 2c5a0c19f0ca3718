"""What a test session is told: flag over ``HIL_*`` over ini key over default, one table for all."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

CAPTURES: Final = ("failed", "all", "none")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
_WHOLE = re.compile(r"[0-9]{1,19}")
#: pytest knows whole numbers of ini files from this version on
_INI_INT_FROM = (8, 4)


@dataclass(frozen=True)
class Choice:
    """One thing that can be chosen: ``--hil-NAME``, ``HIL_NAME`` and the ini key ``hil_NAME``."""

    name: str
    #: ``text``, ``named`` (name or path), ``path``, ``count``, ``flag``, ``list`` or ``capture``
    kind: str
    default: Any
    metavar: str
    help: str

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return f"--hil-{self.name.replace('_', '-')}"

    @property
    def key(self) -> str:
        """The key of ini files, and the attribute of ``config.option``."""
        return f"hil_{self.name}"

    @property
    def variable(self) -> str:
        """The variable of the environment."""
        return f"HIL_{self.name.upper()}"


CHOICES: Final = (
    Choice("board", "named", "raspberrypi4", "NAME", "board file, by name or path"),
    Choice("mission", "named", "tiansuan_bupt1", "NAME", "mission profile, by name or path"),
    Choice("seed", "count", None, "N", "seed of every rig (default: of the id of each test)"),
    Choice("capture", "capture", "failed", "WHICH", "captures that are kept: failed, all or none"),
    Choice("captures", "path", Path("hil-captures"), "DIR", "where captures are kept"),
    Choice("speed", "text", "max", "PACE", "max, real or xN, N times real"),
    Choice(
        "flight",
        "text",
        "flightsw",
        "WHO",
        "who flies: flightsw, none, process, remote or MODULE:FUNCTION",
    ),
    Choice("bind", "list", (), "PART=BOARD", "let a board of the lab take the place of a part"),
    Choice("lab", "path", None, "FILE", "the boards there are (lab.toml)"),
    Choice("listen", "text", None, "ADDRESS", "where to wait for flight software that is remote"),
    Choice("keys", "path", None, "DIR", "the keys of the bench, for whoever connects"),
    Choice("require_hw", "flag", False, "", "a test that needs_hw and lacks it is an error"),
    Choice("events", "count", 20, "N", "bus events shown where a test fails"),
)
BY_NAME: Final = {choice.name: choice for choice in CHOICES}


@dataclass(frozen=True)
class Said:
    """A value, and who said it: ``flag``, ``factory``, ``marker``, ``env``, ``ini``..."""

    value: Any
    by: str


@dataclass(frozen=True)
class Settings:
    """Everything that a session, or one test of it, is told, by name."""

    said: Mapping[str, Said] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.said[name].value

    def by(self, name: str) -> str:
        """Return who said it."""
        return self.said[name].by

    def over(self, by: str, values: Mapping[str, Any], above: bool = False) -> Settings:
        """Return these with others over them; a flag stays, unless they are ``above`` flags."""
        merged = dict(self.said)
        for name, value in values.items():
            if above or name not in merged or merged[name].by != "flag":
                merged[name] = Said(value, by)
        return Settings(merged)


SETTINGS: Final[pytest.StashKey[Settings]] = pytest.StashKey()
#: what a session has found out of boards: id -> what it can do, or why it cannot be asked
Found = dict[str, frozenset[str] | str]
FOUND: Final[pytest.StashKey[Found]] = pytest.StashKey()


def add(parser: pytest.Parser) -> None:
    """Add options and ini keys."""
    group = parser.getgroup("hil", "emulated flatsat")
    for choice in CHOICES:
        words: dict[str, Any] = {"dest": choice.key, "default": None}
        words |= {"flag": {"action": "store_true"}, "list": {"action": "append"}}.get(
            choice.kind, {}
        )
        if choice.kind != "flag":
            words["metavar"] = choice.metavar
        told = _default_told(choice)
        group.addoption(choice.flag, help=f"{choice.help}{told}", **words)
        parser.addini(choice.key, f"{choice.help}{told}", type=_ini_type(choice.kind), default=None)


def _default_told(choice: Choice) -> str:
    told = "" if choice.default in (None, (), False) else f" (default {choice.default})"
    return told.replace("%", "%%")


def _ini_type(kind: str) -> Any:
    version = tuple(int(part) for part in pytest.__version__.split(".")[:2])
    if kind == "count":
        return "int" if version >= _INI_INT_FROM else "string"
    return {"flag": "bool", "list": "args"}.get(kind, "string")


def settings_of(config: pytest.Config) -> Settings:
    """Return what the session is told. Raises ``pytest.UsageError`` for what it cannot be."""
    return Settings({choice.name: _said(config, choice) for choice in CHOICES})


def _said(config: pytest.Config, choice: Choice) -> Said:
    here = Path(config.invocation_params.dir)
    flag = getattr(config.option, choice.key, None)
    if flag is not None:
        return Said(parsed(choice, flag, choice.flag, here), "flag")
    if (text := os.environ.get(choice.variable)) is not None:
        return Said(parsed(choice, text, choice.variable, here), "env")
    try:
        ini = config.getini(choice.key)
    except (
        TypeError,
        ValueError,
        pytest.UsageError,
    ) as wrong:  # of pytest, which does not say of what
        raise pytest.UsageError(f"ini key {choice.key}: {wrong}; give {choice.help}") from None
    if ini is not None and ini != "":
        folder = config.inipath.parent if config.inipath else config.rootpath
        where = f"{config.inipath.name if config.inipath else 'ini'}: {choice.key}"
        return Said(parsed(choice, ini, where, folder), "ini")
    default = choice.default
    return Said(config.rootpath / default if isinstance(default, Path) else default, "default")


def parsed(choice: Choice, value: Any, where: str, folder: Path) -> Any:
    """Return a value as it is used; ``folder`` is what relative paths start from.

    Raises ``pytest.UsageError`` naming ``where`` it was said.
    """
    if choice.kind == "flag":
        return value if isinstance(value, bool) else _flag(value, where)
    if choice.kind == "list":
        return tuple(shlex.split(value) if isinstance(value, str) else map(str, value))
    if choice.kind == "count":
        if isinstance(value, bool) or not _WHOLE.fullmatch(str(value)):
            raise pytest.UsageError(f"{where}: {str(value)!r} is no whole number from 0 on")
        return int(value)
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise pytest.UsageError(f"{where}: {value!r} says nothing; give {choice.help}")
    if choice.kind == "capture" and text not in CAPTURES:
        raise pytest.UsageError(f"{where}: {text!r}: say one of {', '.join(CAPTURES)}")
    if choice.kind == "path":
        return folder / Path(text).expanduser()
    if choice.kind == "named" and ("/" in text or text.endswith(".toml")):
        return str(folder / Path(text).expanduser())
    return text


def _flag(text: str, where: str) -> bool:
    word = str(text).strip().lower()
    if word not in _TRUE + _FALSE:
        raise pytest.UsageError(f"{where}: {text!r}: say 1 or 0")
    return word in _TRUE
