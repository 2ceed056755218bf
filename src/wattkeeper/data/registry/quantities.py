"""Which reading types of a channel measure which quantity of a series, and what one count is worth.

A series of reactive energy counts millivar-hours where one of active energy counts milliwatt-hours.
"""

from fractions import Fraction

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.reading_types import READING_TYPES

MILLIWH_PER_UNIT = {"kWh": 1_000_000, "kvarh": 1_000_000}
DEFAULT_QUANTITY = "energy_import"
REACTIVE_QUANTITIES = ("energy_reactive_import", "energy_reactive_export")

QUANTITY_OF_READING_TYPE = {
    "energy_import_register_kwh": "energy_import",
    "energy_import_interval_kwh": "energy_import",
    "pulses_imp": "energy_import",
    "energy_export_register_kwh": "energy_export",
    "energy_export_interval_kwh": "energy_export",
    "energy_reactive_import_register_kvarh": "energy_reactive_import",
    "energy_reactive_export_register_kvarh": "energy_reactive_export",
    "energy_reactive_import_interval_kvarh": "energy_reactive_import",
    "energy_reactive_export_interval_kvarh": "energy_reactive_export",
}

QUANTITY_OF_RATE = {f"energy_import_t{rate}_register_kwh": "energy_import" for rate in range(1, 5)}


def unit_of(quantity: str) -> str:
    """Return the unit whose millionths the values of a series count."""
    return "kvarh" if quantity in REACTIVE_QUANTITIES else "kWh"


def step_milliwh(reading_type: str, step: Fraction, constant_imp_per_kwh: int | None) -> Fraction:
    """Return the secondary milliwatt-hours of one count of a channel.

    :raises WattkeeperError: ``meters.constant-missing`` for pulses without impulses per kilowatt-hour
    """
    unit = READING_TYPES[reading_type].unit
    if unit == "imp":
        if not constant_imp_per_kwh:
            raise WattkeeperError("meters.constant-missing", reading_type=reading_type)
        return step * Fraction(MILLIWH_PER_UNIT["kWh"], constant_imp_per_kwh)
    return step * MILLIWH_PER_UNIT[unit]
