"""Ending the process of an emulated board, whatever has become of it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from typing import Any, Final

#: For what a program still has to write, such as an EEPROM, seconds.
GRACE_S: Final = 2.0


def end(process: subprocess.Popen[Any]) -> None:
    """Ask a process to end, kill it where it does not, and wait for it; it may have ended."""
    if process.poll() is not None:
        return
    process.terminate()
    process.send_signal(signal.SIGCONT)  # one that is stopped would hear of it later
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
        return
    process.kill()
    process.wait()
