"""Lists of faults in windows of time, and limits of parameters."""

from __future__ import annotations

import pytest

from hil.buses.line_faults import KINDS, LineFault
from hil.errors import ConfigError
from hil.parts import part_class
from hil.parts.fault_windows import FaultWindows


def test_faults_hold_from_start_to_before_end() -> None:
    """A window includes its start and excludes its end; order of adding is kept."""
    faults: FaultWindows[LineFault] = FaultWindows("uart a", KINDS)
    assert not faults
    first, second = LineFault("drop", 10, 20), LineFault("duplicate", 15, 30)
    faults.add(first)
    faults.add(second)
    assert [faults.at(t_ns) for t_ns in (9, 10, 15, 19, 20, 30)] == [
        [],
        [first],
        [first, second],
        [first, second],
        [second],
        [],
    ]
    faults.remove(first)
    assert list(faults) == [second]
    with pytest.raises(ConfigError, match="uart a: fault 'drop' is not there"):
        faults.remove(first)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (LineFault("flip"), "uart a: fault 'flip' is not known here; take one of bit_flip"),
        (LineFault("drop", 20, 10), "ends at 10 ns before it starts"),
        (LineFault("drop", rate=0.0), "has rate 0.0"),
        (LineFault("drop", rate=1.5), "has rate 1.5"),
        (LineFault("bit_flip", bit=9), "uart a: fault 'bit_flip' has bit 9; give -1 to 7"),
        (LineFault("spam", times=-1), "has times -1; give 0 to 10000"),
        (LineFault("delay", value_ns=-5), "has value_ns -5"),
        (LineFault("drop", direction="up"), "has direction 'up'; give one of rx, tx, both"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fault: LineFault, message: str) -> None:
    """Unknown kinds, reversed windows and impossible numbers never get into the list."""
    faults: FaultWindows[LineFault] = FaultWindows("uart a", KINDS)
    with pytest.raises(ConfigError, match=message):
        faults.add(fault)
    assert not faults


@pytest.mark.parametrize(
    ("type_name", "params", "message"),
    [
        ("ublox", {"pulse_s": 1.5}, "part 'x': pulse_s is 1.5; give 1e-06 to 0.999"),
        ("eps_node", {"period_s": 0}, "period_s is 0"),
        ("watchdog", {"timeout_s": -1}, "timeout_s is -1"),
        ("ttc", {"tx_buffer": 100}, "tx_buffer is 100; give 260"),
        ("ttc", {"downlink_bps": 0}, "downlink_bps is 0"),
        ("imager", {"width": 0}, "width is 0"),
    ],
)
def test_parameters_outside_their_limits_are_refused(
    type_name: str, params: dict[str, float], message: str
) -> None:
    """A part names itself, the parameter, its value and what it takes."""
    with pytest.raises(ConfigError, match=message):
        part_class(type_name)("x", **params)
