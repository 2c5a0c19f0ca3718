"""What a release is held to: one version everywhere, portable wheels, a list of what they hold."""

from __future__ import annotations

import hashlib
import runpy
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hil import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def release() -> dict[str, Any]:
    """Return the names of the script."""
    return runpy.run_path(str(ROOT / ".ci" / "release.py"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree that is fit to be released as 1.2.3."""
    (tmp_path / "hil").mkdir()
    (tmp_path / "hil" / "__init__.py").write_text('"""Doc."""\n\n__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 - 2026-11-23\n\n## 1.2.2\n")
    return tmp_path


def test_the_version_stands_in_one_place(release: dict[str, Any]) -> None:
    """What the script reads is what the package says."""
    assert release["version_of"](ROOT) == __version__


def test_version_changelog_and_tag_agree(release: dict[str, Any], tree: Path) -> None:
    """A fit tree has nothing against it; each part that differs is named with what it must be."""
    assert release["unfit"](tree, "v1.2.3") == []
    assert release["unfit"](tree, "") == ["git: the commit has the tag '', must be 'v1.2.3'"]
    (tree / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-11-23\n")
    (said,) = release["unfit"](tree, "v1.2.3")
    assert said == "CHANGELOG.md: begins with 'Unreleased', must be '1.2.3 - YYYY-MM-DD'"
    (tree / "hil" / "__init__.py").write_text('__version__ = "1.3.dev0"\n')
    assert "'1.3.dev0' is no version of a release" in release["unfit"](tree, "v1.3.dev0")[0]


def test_the_list_names_what_a_wheel_carries(release: dict[str, Any], tmp_path: Path) -> None:
    """Built files stand in it by their hash, the code of others by name, version and licence."""
    page = "hil/report/vendor/uPlot.iife.min.js"
    files = {"hil/faces/_shim.so": b"\x7fELF", page: b"/*! uPlot (v1.6.32) */", "hil/a.py": b""}
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        for name, octets in files.items():
            wheel.writestr(name, octets)
    listed: dict[str, Any] = {"metadata": {"component": {}}}
    release["add_contents"](listed, tmp_path / "a.whl")
    shim, plot = listed["metadata"]["component"]["components"]
    assert shim["name"] == "hil/faces/_shim.so"
    assert shim["hashes"][0]["content"] == hashlib.sha256(b"\x7fELF").hexdigest()
    assert (plot["name"], plot["version"]) == ("uPlot", "1.6.32")
    assert plot["licenses"] == [{"license": {"id": "MIT"}}]


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("readelf") is None, reason="there is no readelf"
)
def test_a_wheel_has_the_tag_that_its_files_allow() -> None:
    """The tag is that of this machine; a file that needs more than glibc allows none."""
    manylinux = runpy.run_path(str(ROOT / "csrc" / "manylinux.py"))
    from hil.faces import __file__ as faces

    shim = Path(faces).with_name("_shim.so")
    machine, minor = manylinux["asks"](shim)
    assert manylinux["platform_tag"]([shim]) == f"manylinux_2_{max(17, minor)}_{machine}"
    with pytest.raises(manylinux["NotPortableError"], match=r"needs lib.+, which no system has"):
        manylinux["platform_tag"]([shim, Path(sys.executable).resolve()])
