"""One folder per device family: a register table and its exceptions.

`make_driver("<family>", config)` is the one entry; a family is a folder with `driver.py` that offers
`make_driver(config)`, `registers.toml` (the table), `quality.toml` (its grade) and a README.
"""

from collections.abc import Mapping
from importlib import import_module

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.drivers.api import DeviceConfig, Driver

_UTC_LOGS = ("modbus_energy",)
FAMILIES = ("dlt645_2007", "dlms_three_phase", "modbus_energy", "pulse_counter")


def make_driver(family: str, config: DeviceConfig) -> Driver:
    """Return the driver of a device.

    :raises WattkeeperError: ``drivers.unknown-family`` or what the family says of its settings
    """
    if family not in FAMILIES:
        raise WattkeeperError("drivers.unknown-family", family=family, known=", ".join(FAMILIES))
    driver: Driver = import_module(f"wattkeeper.drivers.{family}.driver").make_driver(config)
    return driver


def has_utc_log(family: str, settings: Mapping[str, object]) -> bool:
    """Whether the slots of a device's load profile are those of UTC days, in whatever zone it stands."""
    return family in _UTC_LOGS and bool(
        import_module(f"wattkeeper.drivers.{family}.registers").keeps_log(settings)
    )
