"""Snapshots: the whole state of a run between two steps, kept, and taken up again."""
