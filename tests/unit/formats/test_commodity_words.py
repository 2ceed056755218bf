"""Words of gas, heat and water in names and headings, and what is electricity for all that."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.formats.channels import is_electricity
from wattkeeper.formats.commodity_words import names_other_commodity
from wattkeeper.formats.files import read_file
from wattkeeper.formats.mapping_detect import detect_mapping

OTHERS = (
    *("Gas kWh", "gas_kwh", "GAS", "Natural gas (kWh)", "Gas consumption", "Steam", "District cooling kWh"),
    *("Heat [MWh]", "Cold water", "water_m3", "Erdgas", "Gaszähler 1", "Fernwärme", "Wärmemenge kWh"),
    *("Trinkwasser", "Heizöl", "天然气用量", "燃气表", "供热量", "自来水", "蒸汽(kWh)"),
)
ELECTRIC = (
    *(
        "Heat pump",
        "heat_pump_kwh",
        "Water heater",
        "Hot water",
        "Gas station electricity",
        "Gas turbine export",
    ),
    *(
        "Wärmepumpe",
        "Wärmestrom",
        "Warmwasser",
        "Wasserkraft",
        "Heizung",
        "Heating",
        "Cooling",
        "Vegas",
        "gaslight",
    ),
    *(
        "热泵",
        "热电厂上网电量",
        "水泵用电",
        "水电",
        "import",
        "E1",
        "1-0:1.8.0",
        "Export",
        "Bezug",
        "Gasse 7",
        "Steamboat",
    ),
)


@pytest.mark.parametrize("name", OTHERS)
def test_what_names_another_commodity(name: str) -> None:
    assert names_other_commodity(name)
    assert not is_electricity(name)


@pytest.mark.parametrize("name", ELECTRIC)
def test_what_is_electricity_for_all_that(name: str) -> None:
    assert not names_other_commodity(name)
    assert is_electricity(name)


@given(st.sampled_from([*OTHERS, *ELECTRIC]), st.sampled_from([str.upper, str.lower, str.title]))
def test_case_says_nothing(name: str, change: object) -> None:
    assert names_other_commodity(change(name)) == names_other_commodity(name)  # type: ignore[operator]


def guess(header: str, *cells: str) -> list[tuple[str, str]]:
    rows = [f"2026-11-02 {hour:02}:00,{','.join(cells)}" for hour in range(4)]
    values = detect_mapping("\n".join([header, *rows]).encode()).mapping.values
    return [(str(one.column), str(one.channel.column or one.channel.constant)) for one in values]


@pytest.mark.parametrize("gas", ["Gas kWh", "Fernwärme (kWh)", "天然气"])
def test_a_column_of_gas_keeps_its_name_in_a_guess(gas: str) -> None:
    """It was called import, as what is the only column of its direction."""
    assert guess(f"time,{gas}", "1.5") == [(gas, gas)]
    assert guess(f"time,{gas},Strom", "1.5", "2.5") == [(gas, gas), ("Strom", "import")]


def test_columns_that_say_the_commodity_and_the_unit_are_taken() -> None:
    """Of a table with a value a row; with more values none of them says whose it is."""
    found = detect_mapping(
        b"time,Sparte,Unit,Value\n"
        + b"".join(b"2026-11-02 %02d:00,Gas,MWh,1.5\n" % hour for hour in range(4))
    )
    (value,) = found.mapping.values
    assert (value.channel.column, value.unit.column) == ("Sparte", "Unit")
    assert "unit" not in found.questions
    assert guess("time,Sparte,a,b", "Gas", "1", "2") == [("a", "a"), ("b", "b")]


def test_a_column_whose_cells_say_gas_tells_the_channel() -> None:
    """Whatever it is called: its rows were taken for electricity."""
    head = "TYPE,DATE,START TIME,END TIME,USAGE (kWh),COST,NOTES\n"
    rows = [
        f"{kind} usage,2026-11-02,{hour:02}:00,{hour:02}:59,1.5,0.30,{hour} gas\n"
        for kind in ("Electric", "Natural gas")
        for hour in range(24)
    ]
    mapping = replace(detect_mapping((head + "".join(rows)).encode()).mapping, zone="UTC")
    parsed = read_file((head + "".join(rows)).encode(), mapping)
    assert parsed.errors == []
    told = {block.channel: len(block.value_milli) for block in parsed.blocks}
    assert told == {"Electric usage": 24, "Natural gas usage": 24}
    assert [is_electricity(channel) for channel in told] == [True, False]


@pytest.mark.parametrize(
    "other", ["Cost", "Price EUR", "Temperature", "电费", "金额", "Meter ID", "温度", "Amount ($)"]
)
def test_a_column_that_is_no_energy_is_no_value_in_a_guess(other: str) -> None:
    """It was a channel in kilowatt-hours beside the energy, which lost its direction to it."""
    assert guess(f"time,{other},Usage", "9", "1.5") == [("Usage", "import")]
    assert guess(f"time,{other} (kWh)", "9") == [(f"{other} (kWh)", "import")]
    assert [column for column, _channel in guess(f"time,{other}", "9")] == [other]


@pytest.mark.parametrize(
    "title", ["No. 3 transformer", "费率1", "3单元", "Temple Street", "Grid", "Humid", "Number two"]
)
def test_a_heading_that_only_looks_like_one_of_those_is_a_value_s(title: str) -> None:
    assert guess(f"time,{title},Usage", "9", "1.5") == [(title, title), ("Usage", "Usage")]


@pytest.mark.parametrize(
    ("title", "length_s"),
    [
        *(
            (title, "0")
            for title in ("示数(kWh)", "Zählerstand", "Meter reading (kWh)", "Register kWh", "止码")
        ),
        *((title, "3600") for title in ("电量", "Standby kWh", "Usage", "Bestand", "Registered kWh", "kWh")),
    ],
)
def test_what_a_register_showed_is_no_interval_in_a_guess(title: str, length_s: str) -> None:
    """A thousand kilowatt-hours a day, where a register stood at a thousand."""
    rows = [f"2026-11-02 {hour:02}:00,{1000 + hour}" for hour in range(9)]
    found = detect_mapping("\n".join([f"time,{title}", *rows]).encode())
    assert found.mapping.interval_s.constant == length_s
    assert ("interval_s" in found.questions) == (length_s == "0")
