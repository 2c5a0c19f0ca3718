"""The bench: emulated buses, parts, world and ground around a payload computer."""

__version__ = "0.1.0"
