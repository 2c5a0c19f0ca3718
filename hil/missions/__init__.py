"""Mission profiles: what flies, where, on how much power, and how each number is known.

A profile is a TOML file. Every value is a table ``{ value, unit, evidence, source }``; ``evidence``
is one of ``measured``, ``primary`` (the operator or the authors), ``secondary``, ``vendor``,
``inferred`` (our arithmetic), ``assumed``. ``unknown = true`` says that nobody published the value:
it is an assumption, and a verdict that rests on it says so.
"""

from __future__ import annotations

from hil.missions.loader import known, load
from hil.missions.mission import Mission, ModelClass, Station, Value

__all__ = ["Mission", "ModelClass", "Station", "Value", "known", "load"]
