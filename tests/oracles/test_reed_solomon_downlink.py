"""Recorded codewords of Queqiao, where they are at hand, against what is known of them.

The relay satellite counts its sync marker into the code block, so that four octets of nearly every
codeword look wrong, three of which would have to be in the virtual fill. The file is of Daniel
Estévez and others (CC BY 4.0, github.com/daniestevez/jupyter_notebooks) and is looked for in
``$FLATSAT_CORPORA``, else in ``../shared/corpora`` beside the repository.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from flightsw.codec import tier as tiers
from flightsw.codec.coding.reed_solomon import FAILED, IN_FILL, ReedSolomon

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("FLATSAT_CORPORA", ROOT.parent / "shared" / "corpora"))


@pytest.fixture(scope="module")
def codewords() -> np.ndarray:
    """Return the codewords as recorded, one a row."""
    path = CORPORA / "frames" / "Queqiao__queqiao_rs_frames.u8"
    if not path.is_file():
        pytest.skip(f"{path} is not here; set FLATSAT_CORPORA to where recorded downlink is")
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(3282, 252)


@pytest.mark.parametrize("name", tiers.available())
def test_a_lenient_code_corrects_them(codewords: np.ndarray, name: str) -> None:
    """2,960 codewords take 4 corrections, 71 take 5 to 16, 251 fail and stay as they are."""
    code, rows = ReedSolomon(interleave=1, fill=3, lenient=True), codewords.copy()
    with tiers.forced(name):
        corrected = code.decode_batch(rows)[:, 0]
    assert np.count_nonzero(corrected == 4) == 2960
    assert np.count_nonzero((corrected >= 5) & (corrected <= 16)) == 71
    assert np.count_nonzero(corrected == FAILED) == 251
    assert (rows[corrected < 0] == codewords[corrected < 0]).all()
    assert code.counters["failed_codewords"] == 251
    assert code.counters["corrected_octets"] == corrected[corrected > 0].sum()


@pytest.mark.parametrize("name", tiers.available())
def test_a_strict_code_refuses_them(codewords: np.ndarray, name: str) -> None:
    """Whatever can be corrected, those 2,960 and the 71, needs octets of the fill: a strict code
    accepts none of them, changes no octet, and counts 3,031 refusals and 251 failures."""
    code, rows = ReedSolomon(interleave=1, fill=3), codewords.copy()
    with tiers.forced(name):
        corrected = code.decode_batch(rows)[:, 0]
    assert np.count_nonzero(corrected == IN_FILL) == 3031
    assert np.count_nonzero(corrected == FAILED) == 251
    assert (rows == codewords).all()
    assert code.counters == {
        "blocks": 3282,
        "codewords": 3282,
        "corrected_octets": 0,
        "failed_codewords": 3282,
        "fill_codewords": 3031,
    }
