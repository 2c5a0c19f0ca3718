"""The public contract suite of I2C controllers, on ours over i2c-dev."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shimmed import ROOT

from hil.buses.i2c import I2CBus
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.faces.nodes import write_overlay
from hil.faces.virtual_clock import VirtualHost
from hil.hosting import SHIM, environment
from hil.testing.contracts.bus import ADDRESS, I2CMemory
from hil.time.kernel import Kernel


def test_the_suite_of_i2c_controllers_holds_through_the_kernels_interface(tmp_path: Path) -> None:
    """What is written is read back, absence is told, and each transaction takes its bit times: the
    suite that emulated controllers pass, by way of /dev/i2c-1 and /dev/i2c-2."""
    shim = ROOT / "hil" / "faces" / SHIM
    if not shim.is_file():
        pytest.skip("the preload shim was not built")
    exchange = Exchange(Kernel(), RecordStream(), 3600 * 1_000_000_000)
    for index in (0, 1):
        bus = I2CBus(f"i2c-{index + 1}", 400_000, "bcm2835")
        bus.attach(ADDRESS, I2CMemory())
        exchange.connect(index, bus, bus.profile.errno)
    host = VirtualHost(exchange, tmp_path / "bench", 1_700_000_000 * 1_000_000_000)
    write_overlay(tmp_path / "root", host.nodes.values(), {})
    env = {**environment(tmp_path / "bench", shim), "PYTHONPATH": str(ROOT)}
    program = Path(__file__).with_name("contract_program.py")
    with subprocess.Popen(
        [sys.executable, str(program)], env={**os.environ, **env}, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            host.serve_until_exit(child.pid)
            said = child.communicate(timeout=60)[0]
        finally:
            child.kill()
            host.close()
    assert (child.returncode, said) == (0, "passed\n")
