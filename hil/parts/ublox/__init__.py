"""A u-blox GNSS receiver of the M9 generation; the part itself is in ``receiver``."""

from hil.parts.ublox.receiver import Ublox

__all__ = ["Ublox"]
