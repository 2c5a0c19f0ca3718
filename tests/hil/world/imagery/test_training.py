"""That training is reproducible, and says what it lacks."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hil.world.imagery import training


def test_a_missing_library_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without torch the command must end with status 3 and the pip command, nothing written."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit) as left:
        training.main(["--out", str(tmp_path / "models")])
    assert left.value.code == 3
    assert "[train]'" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_the_same_seed_trains_the_same_file(tmp_path: Path) -> None:
    """Two short trainings from one seed must write the same bytes, another seed other bytes."""
    pytest.importorskip("torch", reason="training needs the extra train")
    from hil.world.imagery import learning

    first = learning.train(tmp_path / "a", 1, 16).read_bytes()
    assert learning.train(tmp_path / "b", 1, 16).read_bytes() == first
    assert learning.train(tmp_path / "c", 2, 16).read_bytes() != first


def test_folding_keeps_what_was_learned() -> None:
    """The integer form must give nearly the logits of the float form that it was folded from."""
    torch = pytest.importorskip("torch", reason="training needs the extra train")
    from hil.world.imagery.network import FloatNet, assert_exact, fold

    torch.manual_seed(1)
    net = FloatNet()
    tiles = torch.randint(0, 256, (8, 3, 128, 128)).float()
    for _ in range(20):  # running statistics settle
        net(tiles)
    whole = fold(net.eval())
    assert_exact(whole)
    with torch.no_grad():
        real, rounded = net(tiles).numpy(), whole(tiles).numpy()
    assert np.corrcoef(real.ravel(), rounded.ravel())[0, 1] > 0.98
    assert (real.argmax(1) == rounded.argmax(1)).mean() > 0.9
