"""Projects that `hil init` writes: which files, and where each comes from.

Templates lie beside this file. `@NAME@` in them is the name of the project; nothing else in them is
filled in, so each is what it will be.
"""

from __future__ import annotations

from importlib import resources
from typing import NamedTuple

#: what the user's code is -> its files: where they go, which template they are
_SHARED = {
    "board.toml": "board.toml.in",
}
KINDS: dict[str, dict[str, str]] = {
    "python": {
        **{name: f"python/{name}.in" for name in ("README.md", "payload.py", "pyproject.toml")},
        "tests/test_payload.py": "python/tests/test_payload.py.in",
        ".gitignore": "gitignore.in",
        **_SHARED,
    },
    "c": {
        **{
            name: f"c/{name}.in"
            for name in ("README.md", "payload.c", "Makefile", "pyproject.toml")
        },
        "tests/conftest.py": "c/tests/conftest.py.in",
        "tests/test_payload.py": "c/tests/test_payload.py.in",
        ".gitignore": "c/gitignore.in",
        **_SHARED,
    },
}
#: which CI -> its file and template
CI: dict[str, tuple[str, str]] = {
    "github": (".github/workflows/test.yml", "github.yml.in"),
    "gitlab": (".gitlab-ci.yml", "gitlab.yml.in"),
}


class Written(NamedTuple):
    """One file of a project: its place below the folder, and its text."""

    place: str
    text: str


def project(kind: str, name: str, ci: str | None = "github") -> list[Written]:
    """Return the files of a project in order of their places; ``ci`` None: without a CI file."""
    files = dict(KINDS[kind])
    if ci is not None:
        place, template = CI[ci]
        files[place] = template
    here = resources.files("hil.projects")
    return [
        Written(place, here.joinpath(template).read_text("utf-8").replace("@NAME@", name))
        for place, template in sorted(files.items())
    ]
