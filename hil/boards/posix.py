"""This computer as a dev board: the firmware that every board runs, as a process on a terminal.

``boards/firmware/posix`` is built with the package. It bridges the computer's own buses and is the
board that tests and CI start when no other is asked for.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from types import TracebackType

from hil.boards.ending import end
from hil.errors import HostError

FIRMWARE = "_hilwire_posix"


def firmware_path() -> Path:
    """Return the firmware for this computer.

    Raises ``HostError`` where it was not built.
    """
    path = Path(str(resources.files("hil.boards"))) / FIRMWARE
    if not path.is_file():
        raise HostError(
            f"the board on this computer, {FIRMWARE}, was not built: it needs Linux and a C "
            "compiler; `pip install -e .` where the sources lie builds it"
        )
    return path


class PosixBoard:
    """The firmware running on a terminal of its own; ``port`` is what a host opens.

    ``options`` are the firmware's (``--help`` lists them), ``pass_fds`` descriptors that they name.
    It ends with :meth:`close`, which unplugs the board, and with this process at the latest.
    """

    def __init__(
        self,
        options: Sequence[str] = (),
        *,
        firmware: Path | None = None,
        pass_fds: Sequence[int] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        alive, self._alive = os.pipe()
        command = [str(firmware or firmware_path()), *options, "--until", str(alive)]
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own executable, a list, no shell
                command, stdout=subprocess.PIPE, text=True, env=env, pass_fds=(*pass_fds, alive)
            )
        except OSError as error:
            os.close(self._alive)
            raise HostError(f"the board {command[0]} cannot be run: {error.strerror}") from None
        finally:
            os.close(alive)
        assert self.process.stdout is not None
        has_terminal = "--fd" not in options
        self.port = self.process.stdout.readline().strip() if has_terminal else ""
        if has_terminal and not self.port:
            self.close()
            raise HostError(f"the board {command[0]} ended with {self.process.returncode}")

    def reset(self, *, brown_out: bool = False) -> None:
        """Press the reset button, or let the supply dip below the brown-out level."""
        self.process.send_signal(signal.SIGUSR2 if brown_out else signal.SIGUSR1)

    def close(self) -> None:
        """Unplug the board: its terminal is gone when this returns."""
        end(self.process)
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1

    def __enter__(self) -> PosixBoard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
