"""Finds out for which link somebody who dialled in speaks, by its binding and by its own devices' answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.drivers.api import Driver
from wattkeeper.headend.dialled_wire import DialledWire
from wattkeeper.headend.errors import LinkDown, NoAnswer
from wattkeeper.headend.families import MakeDriver, driver_of
from wattkeeper.headend.line import Line
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import DevicePlan, PlanPort
from wattkeeper.headend.slot import Slot
from wattkeeper.headend.tcp import Wire
from wattkeeper.headend.turns import Priority

SLOTS_ASKED_MAX_COUNT = 16  # more links behind one address need registration packets
DEVICES_ASKED_MAX_COUNT = 4  # of a link: some may be without power


@runtime_checkable
class AuthenticatingDriver(Protocol):
    """A driver that knows whether its association proves that the device holds a key."""

    @property
    def is_key_proved(self) -> bool:
        """Whether a device that answers `open` has proved a key."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """For which slot somebody speaks; where `error_code` is set it is not believed."""

    slot: Slot | None = None
    error_code: str | None = None
    serial_number: str = ""


class Identifier:
    """Asks newcomers, each over its own connection, beside whatever the links themselves do."""

    def __init__(self, plan: PlanPort, make_driver: MakeDriver, metrics: HeadendMetrics) -> None:
        self._plan = plan
        self._make_driver = make_driver
        self._metrics = metrics

    async def identify(self, wire: DialledWire, slots: Sequence[Slot]) -> Verdict:
        """Return whose device answers; a link that stands is given up only if its own device is silent."""
        if not slots:
            return Verdict(None, "headend.dial-in-unknown")
        wrong: WattkeeperError | None = None
        for slot in slots[:SLOTS_ASKED_MAX_COUNT]:
            for device in slot.plan.devices[:DEVICES_ASKED_MAX_COUNT]:
                try:
                    is_proved = await self._ask(wire, slot, device)
                except LinkDown:
                    return Verdict(None, "headend.link-lost")
                except NoAnswer:
                    continue
                except WattkeeperError as error:
                    wrong = wrong or error
                    continue
                return await self._judge(slot, device, is_proved=is_proved)
        return _refused(wrong)

    async def _judge(self, slot: Slot, device: DevicePlan, *, is_proved: bool) -> Verdict:
        """A serial number alone is no proof, and nobody takes the place of a device that still answers."""
        serial_number = device.serial_number
        if not is_proved and (slot.dial_in is None or not slot.dial_in.is_bound):
            return Verdict(slot, "headend.dial-in-unproved", serial_number)
        if await self._answers(slot):
            return Verdict(slot, "headend.dial-in-taken", serial_number)
        return Verdict(slot, None, serial_number)

    async def _ask(self, wire: DialledWire, slot: Slot, device: DevicePlan) -> bool:
        """Let the device of the plan identify itself; whether it proved a key on the way."""

        async def connect() -> Wire:
            return wire

        line = Line(connect, timeout_s=slot.plan.timeout_s, retries_count=0, metrics=self._metrics)
        driver = driver_of(device, self._plan, self._make_driver)
        await line.ensure_connected()
        await line.run_steps(driver, driver.open(), keep=_forget)
        await _close(line, driver)
        return isinstance(driver, AuthenticatingDriver) and driver.is_key_proved

    async def _answers(self, slot: Slot) -> bool:
        """Whether a device of the link answers over the connection that stands."""
        if not slot.is_taken or slot.collector is None:
            return False
        line = slot.collector.line
        for state in list(slot.collector.devices.values())[:DEVICES_ASKED_MAX_COUNT]:
            async with line.turn(Priority.ON_DEMAND):
                try:
                    await line.ensure_connected()
                    await line.run_steps(state.driver, state.driver.open(), keep=_forget, retries_count=1)
                    await _close(line, state.driver)
                except LinkDown:
                    return False
                except NoAnswer:
                    continue
                except WattkeeperError:
                    return True  # it answers, whatever it says
                return True
        return False


async def _close(line: Line, driver: Driver) -> None:
    try:
        await line.run_steps(driver, driver.close(), keep=_forget)
    except NoAnswer:
        return


def _refused(wrong: WattkeeperError | None) -> Verdict:
    if wrong is None:
        return Verdict(None, "headend.dial-in-silent")
    return Verdict(None, wrong.code, str(wrong.params.get("found") or ""))


def _forget(_frame: bytes) -> int:
    return 0
