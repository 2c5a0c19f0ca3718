"""A bench that serves in a thread, and flight software that comes to it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hil.options import Options
from hil.outcome import Outcome
from hil.serving.asked import Service
from hil.serving.serve import serve

#: Long enough that a busy machine makes no difference; nothing waits so long.
LIMIT_S = 120.0


class Bench:
    """A bench that serves: what it says, and what its runs came to."""

    def __init__(self, options: Options, service: Service) -> None:
        self.lines: list[str] = []
        self.outcomes: list[Outcome] = []
        self.failure: BaseException | None = None
        #: called with each line that it says
        self.on_line: Callable[[str], None] = lambda line: None
        self._endpoint: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, args=(options, service), daemon=True)
        self._thread.start()

    def _serve(self, options: Options, service: Service) -> None:
        try:
            serve(options, service, self._told, self.outcomes.append)
        except BaseException as error:  # noqa: BLE001 - handed to the test, which judges
            self.failure = error
            self._endpoint.put("")

    def _told(self, line: str) -> None:
        self.lines.append(line)
        self.on_line(line)
        if line.startswith("listening at "):
            self._endpoint.put(line.removeprefix("listening at "))

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        endpoint = self._endpoint.get(timeout=LIMIT_S)
        self._endpoint.put(endpoint)
        return endpoint

    def join(self) -> Outcome:
        """Wait for its end; return what its last run came to."""
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive(), self.lines
        if self.failure is not None:
            raise self.failure
        return self.outcomes[-1]


@contextmanager
def bench(options: Options, keys: Path, **service: object) -> Iterator[Bench]:
    """Have a bench that serves one run on a port of its own."""
    asked = {"listen": "tcp://127.0.0.1:0", "keys": keys, "once": True, **service}
    yield Bench(options, Service(**asked))  # type: ignore[arg-type]
