"""Attitude: perfectly nadir-pointing flight.

Body axes: x along the flight direction, y against the orbit normal, z to the Earth's centre (the
local orbital frame of CCSDS 500.2-G-2, annex E, *LVLH*). The body turns about -y at the orbital
rate; an accelerometer at the centre of mass reads free fall. Not modelled: pointing error, jitter,
drag (below 1e-6 m/s2 here), gravity gradient, wheels.
"""

from __future__ import annotations

from hil.world.frames import Array, Vector


def pitch_rate_rad_s(r_teme: Vector, v_teme: Vector) -> Array:
    """Return the body's rate about y: minus the angular rate of the position, rad/s."""
    hx = r_teme.y * v_teme.z - r_teme.z * v_teme.y
    hy = r_teme.z * v_teme.x - r_teme.x * v_teme.z
    hz = r_teme.x * v_teme.y - r_teme.y * v_teme.x
    r2 = r_teme.x * r_teme.x + r_teme.y * r_teme.y + r_teme.z * r_teme.z
    return -(Vector(hx, hy, hz).norm() / r2)
