"""What a computer shows of itself, as a program has read it: answered file by file, in order."""

from __future__ import annotations

import json
from collections import deque

import numpy as np

from flightsw.codec.wire import Kind
from hil.replay.mocking.record import Recording


class Reads:
    """The reads of live attributes that were recorded."""

    def __init__(self, recording: Recording) -> None:
        #: path -> (errno, text) of each read that is still to come
        self._left: dict[str, deque[tuple[int, str]]] = {}
        #: reads of files that nobody had read then, or as often
        self.unrecorded = 0
        heads = recording.heads
        accesses = (heads["kind"] == Kind.ATTRIBUTE) & (heads["address"] == 0)
        for index in np.flatnonzero(accesses).tolist():
            try:
                told = json.loads(recording.payload(index))
                path, code, text = told["path"], told["errno"], told["text"]
            except (ValueError, TypeError, KeyError, RecursionError):
                continue  # of a foreign hand
            if (type(path), type(code), type(text)) == (str, int, str) and 0 <= code < 1 << 31:
                self._left.setdefault(path, deque()).append((code, text))

    def take(self, path: str) -> tuple[int, str] | None:
        """Return the next answer of a file, the last one again where there are no more; None: it
        was never read."""
        left = self._left.get(path)
        if left is None or len(left) < 2:
            self.unrecorded += left is None
            return left[0] if left else None
        return left.popleft()
