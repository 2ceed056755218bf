from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.tools.register_maps import read_map
from wattkeeper.protocols.modbus.registers import WordOrder

ONE = b"""
[one]
word_order = "little"
value = [
    { address = 5, type = "u32", reading_type = "energy_import_register_kwh", scale = "0.01" },
    { address = 7, type = "i16", quantity = "temperature_degc", unit = "degC", scale = "0.1" },
]
"""


def test_a_map_with_our_reading_types_and_others():
    energy, other = read_map(ONE)[5], read_map(ONE, "one")[7]
    assert (energy.quantity, energy.unit, energy.kind) == ("energy_import_register_kwh", "kWh", "u32")
    assert (energy.scale, energy.word_order) == (Decimal("0.01"), WordOrder.LITTLE)
    assert (other.quantity, other.unit, other.scale) == ("temperature_degc", "degC", Decimal("0.1"))


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (b"\xff", "", "decode.bad-map"),
        (b"[a", "", "decode.bad-map"),
        (b"", "", "decode.unknown-map"),
        (ONE, "two", "decode.unknown-map"),
        (ONE + ONE.replace(b"one", b"two"), "", "decode.unknown-map"),
        (b"[a]\nvalue = 1", "", "decode.bad-map"),
        (b"[a]\nvalue = [1]", "", "decode.bad-map"),
        (ONE.replace(b"u32", b"u33"), "", "decode.bad-map"),
        (ONE.replace(b'"0.01"', b'"x"'), "", "decode.bad-map"),
        (ONE.replace(b"little", b"middle"), "", "decode.bad-map"),
        (ONE.replace(b"quantity", b"quality"), "", "decode.bad-map"),
    ],
)
def test_what_is_no_map_is_told(content, name, code):
    with pytest.raises(WattkeeperError) as caught:
        read_map(content, name)
    assert caught.value.code == code


@given(st.binary(max_size=80))
def test_any_file_is_a_map_or_told(content):
    with suppress(WattkeeperError):
        assert isinstance(read_map(content), dict)
