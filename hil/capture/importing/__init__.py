"""Captures of other tools as captures of ours, so that what they recorded can be played here.

Each file is a :class:`~hil.capture.importing.unit.Source` of units; ``making`` writes them as wire
records. What a format cannot say, and what is skipped, is counted and told.
"""
