"""Replay: a recorded run flown again, compared, and stopped where somebody wants to look."""
