"""Pinning: one core for every thread of a run."""

from __future__ import annotations

import os
import threading

import pytest

from hil.time.pinning import pin_to_one_core

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system has no processor affinity"
)


def test_every_thread_is_pinned_and_can_be_released() -> None:
    """All threads of the process share the one core that is returned."""
    before = os.sched_getaffinity(0)
    done, ids = threading.Event(), []
    thread = threading.Thread(target=lambda: (ids.append(threading.get_native_id()), done.wait()))
    thread.start()
    try:
        cpu = pin_to_one_core(min(before))
        assert cpu == min(before)
        assert os.sched_getaffinity(0) == os.sched_getaffinity(ids[0]) == {cpu}
    finally:
        done.set()
        thread.join()
        os.sched_setaffinity(0, before)


def test_a_core_that_is_not_there_pins_nothing() -> None:
    """Where the system refuses, nothing changes and None says so."""
    before = os.sched_getaffinity(0)
    assert pin_to_one_core(max(before) + 4096) is None
    assert os.sched_getaffinity(0) == before


def test_processes_that_are_gone_need_no_core() -> None:
    """Pinning a process that has just ended is no error."""
    pid = os.spawnlp(os.P_WAIT, "true", "true") or 2**22 + 1
    before = os.sched_getaffinity(0)
    assert pin_to_one_core(min(before), pids=(pid,)) == min(before)
    assert os.sched_getaffinity(0) == before
