"""The benchmark of tests with a rig: each kind of session runs, and a rig costs something."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.benches import plugin as bench


@pytest.mark.parametrize("kind", bench.KINDS)
def test_a_session_of_each_kind_passes(tmp_path: Path, kind: str) -> None:
    """What is measured are sessions whose tests all pass; one that fails is no figure."""
    bench._installed(tmp_path / "installed")
    assert min(bench.session_s(tmp_path, bench.KINDS[kind], 2)) > 0
    with pytest.raises(AssertionError, match="failed"):
        bench.session_s(tmp_path, bench.KINDS[kind].replace("assert", "assert not"), 1)
