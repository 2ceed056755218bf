"""Finds the driver of a device family by its name."""

from collections.abc import Callable

from wattkeeper.drivers import make_driver
from wattkeeper.drivers.api import DeviceConfig, Driver
from wattkeeper.headend.ports import DevicePlan, PlanPort

MakeDriver = Callable[[str, DeviceConfig], Driver]


def make_family_driver(family: str, config: DeviceConfig) -> Driver:
    """
    Return a driver of ``wattkeeper.drivers.<family>``.

    :raises WattkeeperError: if there is no such family, or what the family says of its settings
    """
    return make_driver(family, config)


def driver_of(plan: DevicePlan, port: PlanPort, make_driver: MakeDriver) -> Driver:
    """Return the driver of a planned device; its invocation counters come from the plan's port."""
    return make_driver(
        plan.family,
        DeviceConfig(
            serial_number=plan.serial_number,
            address=plan.address,
            interval_s=plan.interval_s,
            time_zone=plan.time_zone,
            secrets=plan.secrets,
            settings=plan.settings,
            reserve_counters=lambda count: port.reserve_counters(plan.device_id, count),
        ),
    )
