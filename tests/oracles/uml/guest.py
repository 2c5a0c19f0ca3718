"""A guest kernel (User-Mode Linux) whose serial line is a tty of a bench.

Its root is the host's, read through hostfs with the rights of whoever runs it. It boots, runs a
script and halts, in about four seconds; needs no root, no KVM and no module of the host.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import pytest

from hil.faces.host import Host

HERE = Path(__file__).resolve().parent
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
KERNEL = "linux.uml"
MODULES = Path("/usr/lib/uml/modules")
#: what the scripts call: program -> Debian package
TOOLS = {
    KERNEL: "user-mode-linux",
    "slcand": "can-utils",
    "candump": "can-utils",
    "ip": "iproute2",
    "python3": "python3",
}


def require_uml() -> None:
    """Skip by name what this host lacks."""
    for tool, package in TOOLS.items():
        if shutil.which(tool, path=PATH) is None:
            pytest.skip(f"{tool} is not installed (Debian package {package})")
    if not MODULES.is_dir():
        pytest.skip(f"{MODULES} is not there (Debian package user-mode-linux)")


class Guest:
    """One guest, from boot to halt; ``user``: who runs it, by name, if not we ourselves."""

    def __init__(self, script: str, user: str = "") -> None:
        self.user = user
        self.code: int | None = None
        # Not below pytest's folders, which only their owner can enter.
        self.work = Path(tempfile.mkdtemp(prefix="uml-"))
        for name in ("init.sh", "insmod.py"):
            shutil.copy(HERE / name, self.work / name)
        (self.work / "init.sh").chmod(0o755)
        (self.work / "script").write_text(script)

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.work)

    def write(self, name: str, text: str) -> None:
        """Put a file where the script finds it."""
        (self.work / name).write_text(text)

    def read(self, name: str) -> str:
        """Return what the script has left in a file."""
        return (self.work / name).read_text()

    def command(self, tty: str) -> list[str]:
        """Return what boots the guest with its serial line on ``tty``."""
        return [
            *(KERNEL, "mem=96M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw"),
            *(f"init={self.work}/init.sh", f"work={self.work}", f"ssl0=tty:{tty}"),
            *("con=null", "con0=null,fd:1", "quiet"),
        ]

    def env(self) -> dict[str, str]:
        """Return the environment of the guest."""
        return {"PATH": PATH, "HOME": str(self.work), "TMPDIR": tempfile.gettempdir()}

    def run(self, host: Host, tty: str) -> None:
        """Boot, serve until the guest has halted or the run of ``host`` ends, kill what is left.

        Skips where the kernel does not get as far as its first process; fails where the script did.
        """
        log = self.work / "log"
        if self.user:
            uid = pwd.getpwnam(self.user).pw_uid
            os.chown(tty, uid, -1)
            os.chown(self.work, uid, -1)
        alive, held = os.pipe()
        with log.open("wb") as output:
            kernel = subprocess.Popen(
                self.command(tty),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.env(),
                user=self.user or None,
                pass_fds=[held],
                start_new_session=True,  # its helpers end with it, and nothing else does
            )
        os.close(held)
        try:
            host.serve_until_exit(kernel.pid)
            over = not host.stopped
        finally:
            if kernel.poll() is None:
                os.killpg(kernel.pid, signal.SIGKILL)
            self.code = kernel.wait()
            os.read(alive, 1)  # returns when the last of its helpers has gone
            os.close(alive)
        said = log.read_text(errors="replace")
        self.check(said)
        assert not over, f"the guest was still running at the end of the run: {said}"
        self.check_done(said)

    def check(self, said: str) -> None:
        """Skip where the kernel did not get as far as its first process."""
        if not (self.work / "booted").exists():
            last = " | ".join(said.splitlines()[-5:])
            pytest.skip(f"{KERNEL} does not boot here: {last}")

    def check_done(self, said: str) -> None:
        """Fail where the script did."""
        assert (self.work / "done").exists(), (said, self.read("stdout"), self.read("stderr"))
