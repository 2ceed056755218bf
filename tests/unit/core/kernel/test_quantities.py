"""Money, OBIS codes, reading types, read columns."""

from fractions import Fraction

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.money import MINOR_DIGITS, Money, fraction_to_minor
from wattkeeper.core.kernel.obis import Obis
from wattkeeper.core.kernel.reading_types import READING_TYPES
from wattkeeper.core.kernel.reads import ReadColumns

octets = st.integers(0, 255)


def test_money_is_told_in_its_currency() -> None:
    assert str(Money(-5, "EUR")) == "-0.05 EUR"
    assert str(Money(1200, "JPY")) == "1200 JPY"


@pytest.mark.parametrize(
    ("currency", "amount_minor", "told"),
    [
        ("INR", 1235, "12.35 INR"),
        ("KRW", 12, "12 KRW"),
        ("KWD", 12345, "12.345 KWD"),
        ("CLF", 123450, "12.3450 CLF"),
    ],
)
def test_money_is_rounded_to_what_its_currency_can_pay(currency: str, amount_minor: int, told: str) -> None:
    assert fraction_to_minor(Fraction(12345, 1000), currency) == amount_minor
    assert str(Money(amount_minor, currency)) == told


def test_each_currency_is_one() -> None:
    assert set(MINOR_DIGITS) - set(Locale("en").currencies) <= {"XCG", "ZWG"}  # too young for some lists
    assert len(MINOR_DIGITS) > 150


def test_amounts_round_half_up() -> None:
    amounts = ("0.005", "0.00499", "-0.005", "1.115")
    assert [fraction_to_minor(Fraction(amount), "CNY") for amount in amounts] == [1, 0, -1, 112]
    assert fraction_to_minor(Fraction("2.5"), "JPY") == 3


@given(st.builds(Obis, octets, octets, octets, octets, octets, octets))
def test_obis_codes_survive_every_spelling(obis: Obis) -> None:
    assert Obis.parse(str(obis)) == obis
    assert Obis.from_bytes(obis.to_bytes()) == obis
    assert Obis.parse(f"{obis.a}.{obis.b}.{obis.c}.{obis.d}.{obis.e}.{obis.f}") == obis


@pytest.mark.parametrize("text", ["1-0:1.8", "1-0:1.8.256", "1.8.0", "1.2.3.4.5.999"])
def test_what_is_no_obis_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Obis.parse(text)


def test_octets_come_in_sixes() -> None:
    with pytest.raises(ValueError, match="six octets"):
        Obis.from_bytes(b"12345")


@pytest.mark.parametrize("code", READING_TYPES)
def test_reading_types_are_named_once(code: str) -> None:
    reading_type = READING_TYPES[code]
    assert reading_type.code == code
    assert [other for other in READING_TYPES.values() if other.obis == reading_type.obis] == [reading_type]
    assert str(Obis.parse(reading_type.obis)) == reading_type.obis
    assert code.rsplit("_", 1)[1] == reading_type.unit.lower()


def test_columns_keep_their_rows() -> None:
    columns = ReadColumns.of([(1, 2, 3, 4), (5, 6, 7, 8)])
    assert len(columns) == 2
    assert columns.value.tolist() == [2, 6]
    assert len(ReadColumns.of([])) == 0


def test_an_error_has_a_code_and_no_sentence() -> None:
    error = WattkeeperError("installations.overlap", is_permanent=False, meter="A1")
    assert (error.code, error.params, error.is_permanent) == ("installations.overlap", {"meter": "A1"}, False)
    assert str(error) == "installations.overlap {'meter': 'A1'}"
