"""Mission configuration: every wrong key or value is named."""

from __future__ import annotations

from typing import Any

import pytest

from flightsw.codec.dictionary import APID, PARAMETERS
from flightsw.config import KEYS, FlightConfig
from flightsw.errors import DeviceTableError


def test_nothing_given_is_all_defaults() -> None:
    """Each key has a default that is within its own range."""
    config = FlightConfig({})
    assert config.apid == APID
    for name, key in KEYS.items():
        assert getattr(config, name) == key.default
    assert config.parameters == {}


def test_an_on_board_parameter_may_be_given_a_new_default() -> None:
    """A key of the parameter table goes to the parameters."""
    assert FlightConfig({"chip_pause_c": 70}).parameters == {"chip_pause_c": 70.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"downlink_bp": 9600}, "unknown key 'downlink_bp'; nearest known is 'downlink_bps'"),
        ({"zzz": 1}, "unknown key 'zzz'; known are scid"),
        ({"chip_paus_c": 70}, "nearest known is 'chip_pause_c'"),
        ({"scid": 1024}, "scid = 1024 lies outside 0..1023"),
        ({"scid": "12"}, "scid = '12' must be of type int"),
        ({"scid": True}, "scid = True must be of type int"),
        ({"inference": "magic"}, "inference = 'magic' must be one of onnx, threshold"),
        ({"fsync": 1}, "fsync = 1 must be of type bool"),
        ({"soc_pause": 1.5}, "soc_pause = 1.5 lies outside"),
        ({"soc_pause": "half"}, "soc_pause = 'half' must be a number"),
        ({"soc_pause": False}, "soc_pause = False must be a number"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], message: str) -> None:
    """The error says which key, which value, and what would be right."""
    with pytest.raises(DeviceTableError) as caught:
        FlightConfig(given)
    assert message in str(caught.value)


def test_keys_and_parameters_do_not_share_a_name() -> None:
    """A key means one thing."""
    assert not set(KEYS) & {p.name for p in PARAMETERS}
