"""The SGP4 verification vectors of Vallado et al. (AIAA 2006-6753), through our own orbit class.

The vectors ship inside the sgp4 package: 33 element sets, 700 lines of positions and velocities in
TEME. Ours must give them with times counted in integer nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import numpy as np
import pytest
from sgp4.api import WGS72, Satrec

from hil.errors import ConfigError
from hil.world.frames import Epoch
from hil.world.orbit import Orbit

POSITION_KM, VELOCITY_KM_S = 2e-7, 2e-9
INVALID = "1 33334"


def elements() -> list[tuple[str, str]]:
    """Return the element sets in the order of the results."""
    text = files("sgp4").joinpath("SGP4-VER.TLE").read_text(encoding="ascii")
    lines = [line for line in text.splitlines() if line[:2] in ("1 ", "2 ")]
    return [(signed(a), signed(b)) for a, b in zip(lines[::2], lines[1::2], strict=True)]


def signed(line: str) -> str:
    """Return a line with its checksum right: three of the made-up sets carry a stale one."""
    body = line[:68]
    return body + str(sum(int(c) if c.isdigit() else c == "-" for c in body) % 10)


def results() -> list[list[list[float]]]:
    """Return, for each element set, rows of minutes, position and velocity."""
    text = files("sgp4").joinpath("tcppver.out").read_text(encoding="ascii")
    sets: list[list[list[float]]] = []
    for line in text.splitlines():
        if "xx" in line:
            sets.append([])
        elif line.strip():
            sets[-1].append([float(word) for word in line.split()[:7]])
    return sets


def orbits() -> Iterator[tuple[Orbit, list[list[float]]]]:
    """Return our orbits, timed from the epoch of their elements, with the expected rows.

    One set is invalid from the start: the reference program repeats an old line for it.
    """
    for (line1, line2), rows in zip(elements(), results(), strict=True):
        satellite = Satrec.twoline2rv(line1, line2, WGS72)
        epoch = Epoch(satellite.jdsatepoch, satellite.jdsatepochF)
        if line1.startswith(INVALID):
            with pytest.raises(ConfigError, match="eccentricity"):
                Orbit(line1, line2, epoch)
            continue
        yield Orbit(line1, line2, epoch), rows


def test_every_published_state_is_reproduced() -> None:
    """Each position and velocity of the vectors comes out to the digits printed."""
    compared = 0
    for orbit, rows in orbits():
        for minutes, *state in rows:
            r, v = orbit.at(round(minutes * 60e9))
            np.testing.assert_allclose(r, state[:3], rtol=0.0, atol=POSITION_KM)
            np.testing.assert_allclose(v, state[3:], rtol=0.0, atol=VELOCITY_KM_S)
            compared += 1
    assert compared >= 660


def test_many_times_at_once_give_the_same_states() -> None:
    """The vectorised way gives the states of the scalar way."""
    for orbit, rows in orbits():
        if len(rows) < 5 or not rows[-1][0]:
            continue
        t_s = np.array([row[0] * 60.0 for row in rows[1:]])
        r, v = orbit.states_teme(t_s)
        expected = np.array([row[1:] for row in rows[1:]])
        ours = np.stack([*r, *v], axis=1)
        np.testing.assert_allclose(ours[:, :3], expected[:, :3], rtol=0.0, atol=POSITION_KM)
        np.testing.assert_allclose(ours[:, 3:], expected[:, 3:], rtol=0.0, atol=VELOCITY_KM_S)


def test_a_decayed_satellite_is_an_error_with_a_remedy() -> None:
    """Where SGP4 gives up, the error says when, why, and what to do."""
    lines = ("1 28872U 05037B   05333.02012661  .25992681  00000-0  24476-3 0  1534",
             "2 28872  96.4736 157.9986 0303955 244.0492 110.6523 16.46015938 10708")  # fmt: skip
    satellite = Satrec.twoline2rv(*lines, WGS72)
    orbit = Orbit(*lines, Epoch(satellite.jdsatepoch, satellite.jdsatepochF))
    with pytest.raises(ConfigError, match=r"SGP4 fails .* decayed.*; use elements nearer"):
        orbit.states_teme(np.arange(0.0, 86400.0, 60.0))
