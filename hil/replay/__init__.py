"""Replay: a recorded run once more, compared with its capture record by record.

Each mode is a module with ``replay(flown, options, say) -> Replayed``: ``mocking.mode`` (the flight
software or a program alone, answered from the record), ``reexecute`` (the same world again) and
``playing.mode`` (recorded stimulus with its timing). ``hil.replay.flown`` opens what was recorded
and ``hil.replay.outcome`` is what all three take and return.
"""
