"""One link and its devices: what is due now is read, what is missing is fetched, and nothing starves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import interval_start_s
from wattkeeper.headend import backfill
from wattkeeper.headend.contained import call_port
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.errors import LinkDown, NoAnswer
from wattkeeper.headend.families import driver_of
from wattkeeper.headend.holdings import load_holdings
from wattkeeper.headend.line import Line
from wattkeeper.headend.ports import DevicePlan, DeviceReport, LinkPlan
from wattkeeper.headend.schedule import Cadence, LinkBackoff, next_multiple
from wattkeeper.headend.services import Services, whole_seconds
from wattkeeper.headend.session import Session
from wattkeeper.headend.stamps import HeldStamps
from wattkeeper.headend.timetable import FAR_FUTURE, Sleeper
from wattkeeper.headend.turns import Priority

_SILENT_DEVICES_COUNT = 3
_log = structlog.get_logger(__name__)


class LinkCollector:
    """Collects from the devices of one link, for ever."""

    def __init__(
        self,
        plan: LinkPlan,
        line: Line,
        services: Services,
        sleeper: Sleeper,
        known: Mapping[int, DeviceState],
    ) -> None:
        self.plan = plan
        self.line = line
        self.devices = dict(known)
        self.connected = asyncio.Event()
        self.on_fetched: Callable[[DeviceState], None] | None = None
        self.is_up: bool | None = None
        self._services = services
        self._sleeper = sleeper
        self._backoff = LinkBackoff(services.dice)
        self._silent: list[DeviceState] = []
        self._reports: list[DeviceReport] = []
        self.update(plan)

    def update(self, plan: LinkPlan) -> None:
        """Take over a changed plan; what is known of unchanged devices stays."""
        self.plan = plan
        planned = {device.device_id: device for device in plan.devices}
        for device_id in self.devices.keys() - planned.keys():
            del self.devices[device_id]
        for device in plan.devices:
            state = self.devices.get(device.device_id)
            if state is None or state.plan != device:
                self._plan_device(device, state)
        self._by_address = {state.plan.address: state for state in self.devices.values()}
        self._sleeper.poke()

    def device_at(self, address: str) -> DeviceState | None:
        """Return the device of an address that is installed now."""
        return self._by_address.get(address)

    def wake(self) -> None:
        """Say that there is work."""
        self._sleeper.poke()

    async def lose_link(self, error_code: str) -> None:
        """Take up again a connection that was lost while nobody asked anything."""
        await self._link_down(error_code)
        self._sleeper.poke()

    def note_fault(self, state: DeviceState, error_code: str) -> None:
        """Say what is wrong with something a device sent by itself."""
        self._report(DeviceReport(state.plan.device_id, self._services.clock.now(), True, error_code))
        self._sleeper.poke()

    def take_up(self) -> None:
        """Read at once, whatever the back-off says: a device has dialled in."""
        self._backoff.retry_at = None
        self._sleeper.poke()

    def retire(self) -> None:
        """Let go of the connection for good."""
        self.line.close()
        self._services.metrics.adjust("links_up", -int(self.is_up or False))

    async def run(self) -> None:
        """Collect, for ever."""
        while True:
            await self._work()
            await self._flush_reports()
            await self._sleeper.sleep_until(self._next_due())

    def _plan_device(self, device: DevicePlan, known: DeviceState | None) -> None:
        try:
            driver = driver_of(device, self._services.plan, self._services.make_driver)
        except (WattkeeperError, ValueError) as error:
            code = error.code if isinstance(error, WattkeeperError) else "headend.settings-invalid"
            self._report(DeviceReport(device.device_id, self._services.clock.now(), False, code))
            self.devices.pop(device.device_id, None)
            return
        now = self._services.clock.now()
        is_same_grid = known is not None and _grid(known.plan) == _grid(device)
        if known is not None and is_same_grid and _channel_ids(known.plan) == _channel_ids(device):
            known.plan, known.driver = device, driver
            known.cadence.poll_s = self.plan.poll_s
            return
        cadence = Cadence(self.plan.poll_s, now, self._services.dice)
        start_s = interval_start_s(whole_seconds(now), device.interval_s, ZoneInfo(device.time_zone))
        held = HeldStamps(device.interval_s, start_s % device.interval_s)
        self.devices[device.device_id] = DeviceState(device, driver, cadence, held)

    async def _work(self) -> None:
        """Do everything due now, the regular reads first."""
        while True:
            now = self._services.clock.now()
            if not self._backoff.may_try(now):
                return
            await load_holdings(list(self.devices.values()), self._services)
            self._mark_missed(now)
            state = self._next_to_poll(now)
            if state is not None:
                await self._poll(state)
                continue
            state = next((s for s in self.devices.values() if s.has_work_left), None)
            if state is None:
                await self._settle_progress()
                return
            await self._backfill(state)

    async def _settle_progress(self) -> None:
        """Nothing is left to fetch: what came by itself, or never will, is no longer expected."""
        left = sum(state.expected_count for state in self.devices.values())
        if left:
            for state in self.devices.values():
                state.expected_count = 0
            self._services.progress.expect(-left)
            await self._services.progress.advance(0)

    def _next_to_poll(self, now: datetime) -> DeviceState | None:
        for state in list(self.devices.values()):
            is_set_back = state.cadence.is_beyond(now)
            if is_set_back:
                state.forget_dues(whole_seconds(now))
            if (is_set_back or state.cadence.due_at() <= now) and state.cadence.begin(now):
                if state.is_installed(whole_seconds(now)):
                    return state
                state.has_work_left = False
        return None

    async def _poll(self, state: DeviceState) -> None:
        retries_count = 0 if state.cadence.is_dead else None
        async with self.line.turn(Priority.SCHEDULE):
            session = self._session(state, retries_count)
            if await self._guard(state, session, self._poll_steps(state, session)):
                self._succeed(state, session)
                state.has_work_left = True

    async def _poll_steps(self, state: DeviceState, session: Session) -> None:
        await session.open()
        try:
            await session.read_clock()
            await session.read_live()
            await backfill.fetch_regular(state, session)
            await session.read_freezes()
            await session.read_relay()
            await session.read_multiplier()
        finally:
            await session.store()
        await session.close()

    async def _backfill(self, state: DeviceState) -> None:
        async with self.line.turn(Priority.BACKFILL):
            session = self._session(state, None)
            state.forget_old(session.now_s)
            work = backfill.fetch_missing(state, session, self._services, self._must_yield)
            if not await self._guard(state, session, work):
                state.has_work_left = False
            elif self.on_fetched is not None:
                self.on_fetched(state)
            if session.error_code is not None:
                self._report(
                    DeviceReport(
                        state.plan.device_id,
                        self._services.clock.now(),
                        True,
                        session.error_code,
                        error_params=session.error_params,
                    )
                )

    def _must_yield(self) -> bool:
        """Whether somebody more urgent waits for the line, or a regular read is due."""
        now = self._services.clock.now()
        return self.line.is_wanted(Priority.BACKFILL) or any(
            state.cadence.due_at() <= now for state in self.devices.values()
        )

    async def _guard(self, state: DeviceState, session: Session, work: Awaitable[None]) -> bool:
        """Await a session's work and contain whatever happens in it; whether it came through."""
        try:
            await work
        except LinkDown as error:
            await self._link_down(error.code)
        except NoAnswer as error:
            code, params = session.error_code, session.error_params
            await self._fail(state, *((error.code, error.params) if code is None else (code, params)))
            await self._suspect_link(state)
        except WattkeeperError as error:
            await self._fail(state, error.code, error.params)
        except Exception:  # noqa: BLE001 - contained and counted; the rest goes on
            self._services.metrics.count("exceptions")
            _log.exception("headend.unexpected", device_id=state.plan.device_id)
            await self._fail(state, "headend.unexpected", {})
        else:
            await self._link_up()
            return True
        return False

    def _succeed(self, state: DeviceState, session: Session) -> None:
        state.cadence.succeed()
        self._silent.clear()
        now = self._services.clock.now()
        self._report(
            DeviceReport(
                state.plan.device_id,
                now,
                state.is_heard(whole_seconds(now)),
                session.error_code,
                state.clock_offset_s,
                session.relay_state,
                error_params=session.error_params,
                multiplier=session.multiplier,
                intervals_s=session.intervals_s,
            )
        )

    async def _fail(self, state: DeviceState, error_code: str, error_params: Mapping[str, object]) -> None:
        self._services.metrics.count("sessions_failed")
        now = self._services.clock.now()
        state.cadence.fail(now)
        self._services.progress.expect(-state.expected_count)
        state.expected_count = 0
        failures_count = state.cadence.failures_count
        self._report(
            DeviceReport(
                state.plan.device_id,
                now,
                False,
                error_code,
                failures_count=failures_count,
                error_params=error_params,
            )
        )

    async def _suspect_link(self, state: DeviceState) -> None:
        """Several devices that answered before fall silent one after the other: then it is the link."""
        if state.cadence.failures_count == 1:
            self._silent.append(state)
        if len(self._silent) >= _SILENT_DEVICES_COUNT:
            for silent in self._silent:
                silent.cadence.succeed()
            await self._link_down("headend.link-silent")

    async def _link_down(self, error_code: str) -> None:
        now = self._services.clock.now()
        self.line.close()
        self._silent.clear()
        self._services.metrics.count("link_failures")
        self._backoff.fail(now)
        self._backoff.retry_at = min(self._backoff.retry_at or now, next_multiple(now, self.plan.poll_s))
        for state in self.devices.values():
            state.cadence.poll_at = min(state.cadence.poll_at, now)
        await self._report_link(is_up=False, error_code=error_code)

    def _mark_missed(self, now: datetime) -> None:
        """What fell due while the link was down is a gap, whenever it is read at last."""
        if self._backoff.failures_count:
            for state in self.devices.values():
                state.gap_until_s = whole_seconds(now) - 1

    async def _link_up(self) -> None:
        if self._backoff.failures_count:
            self._backoff.recover()
            for state in self.devices.values():
                state.is_loaded = False
        self.connected.set()
        await self._report_link(is_up=True, error_code=None)

    async def _report_link(self, *, is_up: bool, error_code: str | None) -> None:
        if self.is_up == is_up:
            return
        self._services.metrics.adjust("links_up", int(is_up) - int(self.is_up or False))
        self.is_up = is_up
        _log.info("headend.link-up" if is_up else "headend.link-down", link=self.plan.name, code=error_code)
        now = self._services.clock.now()
        report, link_id = self._services.report, self.plan.link_id
        await call_port(
            lambda: report.report_link(link_id, now, is_up=is_up, error_code=error_code),
            self._services.metrics,
        )

    def _session(self, state: DeviceState, retries_count: int | None) -> Session:
        return Session(
            self.line, state, self._services, link_id=self.plan.link_id, retries_count=retries_count
        )

    def _report(self, report: DeviceReport) -> None:
        self._reports.append(report)

    async def _flush_reports(self) -> None:
        reports, self._reports = self._reports, []
        if reports:
            await call_port(lambda: self._services.report.report_devices(reports), self._services.metrics)

    def _next_due(self) -> datetime:
        due_at = min((state.cadence.due_at() for state in self.devices.values()), default=FAR_FUTURE)
        if self._backoff.retry_at is not None:
            return max(due_at, self._backoff.retry_at)
        return due_at


def _grid(plan: DevicePlan) -> tuple[int, str]:
    return plan.interval_s, plan.time_zone


def _channel_ids(plan: DevicePlan) -> tuple[int, ...]:
    return tuple(channel.channel_id for channel in plan.channels if channel.is_profiled)
