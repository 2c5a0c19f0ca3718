"""The preload shim on the processor of the boards: an ARM program under QEMU reads the bench."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64-static"
LIBRARIES = Path("/usr/aarch64-linux-gnu")
PROGRAM = r"""
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
int main(void)
{
    struct stat status;
    unsigned char reg = 0x0f, in[2];
    struct i2c_msg messages[2] = {{0x48, 0, 1, &reg}, {0x48, I2C_M_RD, 2, in}};
    struct i2c_rdwr_ioctl_data both = {messages, 2};
    int fd = open("/dev/i2c-1", O_RDWR);
    if (stat("/dev/i2c-1", &status) || !S_ISCHR(status.st_mode)) {
        return 1;
    }
    if (ioctl(fd, I2C_RDWR, &both) != 2) {
        return 2;
    }
    printf("%02x%02x\n", in[0], in[1]);
    return 0;
}
"""

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)


@pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR) and LIBRARIES.is_dir()),
    reason=f"{COMPILER} or {EMULATOR} is not installed",
)
def test_an_arm_program_reads_the_tmp117(tmp_path: Path) -> None:
    """The shim compiles for ARM without a warning, and its ioctls do the same there."""
    shim, program = tmp_path / "shim.so", tmp_path / "program"
    flags = ["-Os", "-std=c11", "-fvisibility=hidden", "-U_FORTIFY_SOURCE", "-Wall", "-Wextra"]
    sources = sorted(map(str, (ROOT / "csrc" / "shim").glob("*.c")))
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", *flags, "-Werror", *sources, "-o", str(shim)], check=True
    )
    (tmp_path / "program.c").write_text(PROGRAM)
    subprocess.run([COMPILER, str(tmp_path / "program.c"), "-o", str(program)], check=True)
    words = [sys.executable, "-m", "hil", "run", "-q", "--out", str(tmp_path / "run"), "--"]
    words += [EMULATOR, "-L", str(LIBRARIES), "-E", f"LD_PRELOAD={shim}", str(program)]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.stdout, done.stderr, done.returncode) == ("0117\n", "", 0)
