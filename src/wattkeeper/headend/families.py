"""Finds the driver of a device family by its name."""

import importlib
import re
from collections.abc import Callable
from typing import cast

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.drivers.api import DeviceConfig, Driver
from wattkeeper.headend.ports import DevicePlan, PlanPort

MakeDriver = Callable[[str, DeviceConfig], Driver]
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def make_family_driver(family: str, config: DeviceConfig) -> Driver:
    """
    Return a driver of ``wattkeeper.drivers.<family>``.

    :raises WattkeeperError: if there is no such family
    """
    try:
        if _NAME.fullmatch(family) is None:
            raise ModuleNotFoundError(family)
        module = importlib.import_module(f"wattkeeper.drivers.{family}")
        make = cast("Callable[[DeviceConfig], Driver]", module.make_driver)
    except (ModuleNotFoundError, AttributeError) as error:
        raise WattkeeperError("headend.family-unknown", family=family) from error
    return make(config)


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
