"""Reading types: each quantity a channel can hold, with its unit, kind and OBIS code, declared once.

A channel's values are whole counts of its own `step` (a Fraction of the unit below); no unit travels with a
value after the driver.
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How values of a reading type relate in time."""

    CUMULATIVE = "cumulative"  # a register or dial: only its advance is energy
    INSTANT = "instant"
    STATE = "state"
    INTERVAL = "interval"  # energy of an interval, named by its start


@dataclass(frozen=True, slots=True)
class ReadingType:
    """A quantity as a channel holds it. `code` ends in the unit of `step`."""

    code: str
    unit: str
    kind: Kind
    obis: str


READING_TYPES: dict[str, ReadingType] = {
    code: ReadingType(code, unit, kind, obis)
    for code, unit, kind, obis in (
        ("energy_import_register_kwh", "kWh", Kind.CUMULATIVE, "1-0:1.8.0"),
        ("energy_import_t1_register_kwh", "kWh", Kind.CUMULATIVE, "1-0:1.8.1"),
        ("energy_import_t2_register_kwh", "kWh", Kind.CUMULATIVE, "1-0:1.8.2"),
        ("energy_import_t3_register_kwh", "kWh", Kind.CUMULATIVE, "1-0:1.8.3"),
        ("energy_import_t4_register_kwh", "kWh", Kind.CUMULATIVE, "1-0:1.8.4"),
        ("energy_export_register_kwh", "kWh", Kind.CUMULATIVE, "1-0:2.8.0"),
        ("energy_reactive_import_register_kvarh", "kvarh", Kind.CUMULATIVE, "1-0:3.8.0"),
        ("energy_reactive_export_register_kvarh", "kvarh", Kind.CUMULATIVE, "1-0:4.8.0"),
        ("pulses_imp", "imp", Kind.CUMULATIVE, "1-0:82.8.0"),
        ("energy_import_interval_kwh", "kWh", Kind.INTERVAL, "1-0:1.29.0"),
        ("energy_export_interval_kwh", "kWh", Kind.INTERVAL, "1-0:2.29.0"),
        ("energy_reactive_import_interval_kvarh", "kvarh", Kind.INTERVAL, "1-0:3.29.0"),
        ("energy_reactive_export_interval_kvarh", "kvarh", Kind.INTERVAL, "1-0:4.29.0"),
        ("voltage_l1_v", "V", Kind.INSTANT, "1-0:32.7.0"),
        ("voltage_l2_v", "V", Kind.INSTANT, "1-0:52.7.0"),
        ("voltage_l3_v", "V", Kind.INSTANT, "1-0:72.7.0"),
        ("current_l1_a", "A", Kind.INSTANT, "1-0:31.7.0"),
        ("current_l2_a", "A", Kind.INSTANT, "1-0:51.7.0"),
        ("current_l3_a", "A", Kind.INSTANT, "1-0:71.7.0"),
        ("power_import_w", "W", Kind.INSTANT, "1-0:1.7.0"),
        ("power_reactive_import_var", "var", Kind.INSTANT, "1-0:3.7.0"),
        ("power_factor_ratio", "ratio", Kind.INSTANT, "1-0:13.7.0"),
        ("frequency_hz", "Hz", Kind.INSTANT, "1-0:14.7.0"),
        ("relay_state_code", "code", Kind.STATE, "0-0:96.3.10"),
        ("clock_offset_s", "s", Kind.INSTANT, "0-0:1.0.0"),
    )
}
