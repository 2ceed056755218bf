"""One session with one device: verbs run one after another, what they bring made durable."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Flag
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import Capability, DeviceRead, Steps, TellsInterval, TellsMultiplier
from wattkeeper.headend.batch import BatchBuilder
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.errors import LinkDown, NoAnswer
from wattkeeper.headend.line import Line
from wattkeeper.headend.services import Services, whole_seconds
from wattkeeper.headend.stamps import Run

T = TypeVar("T")
CLOCK_OFFSET_MAX_S = 180
DAY_S = 86_400
_REOPENINGS_MAX_COUNT = 2
_log = structlog.get_logger(__name__)


class Session:
    """Runs verbs of one device over a line whose turn is held. What one verb suffers is noted, not raised."""

    def __init__(
        self, line: Line, state: DeviceState, services: Services, *, link_id: int, retries_count: int | None
    ) -> None:
        self.error_code: str | None = None
        self.error_params: Mapping[str, object] = {}
        self.relay_state: RelayState | None = None
        self.multiplier: Fraction | None = None
        self._line = line
        self._state = state
        self._services = services
        self._retries_count = retries_count
        self._link_id = link_id
        self._answers_count = 0
        self._reopenings_count = 0
        self._builder = self._new_builder()

    @property
    def intervals_s(self) -> tuple[int, int] | None:
        """Of the load profile: as planned and as the device says; None where it did not say it yet."""
        driver = self._state.driver
        told_s = driver.profile_interval_s if isinstance(driver, TellsInterval) else None
        return None if told_s is None else (self._state.plan.interval_s, told_s)

    @property
    def now_s(self) -> int:
        """The head-end's clock in whole seconds."""
        return whole_seconds(self._services.clock.now())

    async def open(self) -> None:
        """
        Connect and associate.

        :raises WattkeeperError: if the device is silent, refuses, or is another device than planned
        """
        self._services.metrics.count("sessions")
        await self._line.ensure_connected()
        await self._run(self._state.driver.open)

    async def close(self) -> None:
        """Release the association; a device that does not answer this is none the worse for it."""
        try:
            await self._run_once(self._state.driver.close)
        except WattkeeperError as error:
            _log.info("headend.close-failed", device_id=self._state.plan.device_id, code=error.code)

    async def read_clock(self) -> None:
        """Note how far the device's clock is off."""
        if Capability.CLOCK not in self._state.driver.capabilities:
            return
        device_s = await self._attempt(self._state.driver.read_clock)
        if device_s is not None:
            self._state.clock_offset_s = device_s - self.now_s
            if not self._clock_flags():
                self._state.trust_clock()

    async def read_relay(self) -> None:
        """Note the control state."""
        if self._state.plan.has_relay and Capability.RELAY in self._state.driver.capabilities:
            self.relay_state = await self._attempt(self._state.driver.read_relay)

    async def read_live(self) -> None:
        """Read what the register table marks live."""
        reads = await self._attempt(self._state.driver.read_live)
        self._add(reads or [], flags=0)

    async def read_freezes(self) -> None:
        """Read frozen registers, at most once a day and never twice the same span."""
        state, now_s = self._state, self.now_s
        from_s = max(state.freezes_until_s, state.plan.reads_from_s, now_s - state.plan.memory_s)
        if Capability.FREEZES not in state.driver.capabilities or now_s - from_s < DAY_S:
            return
        until_s = now_s // 3600 * 3600
        reads = await self._attempt(lambda: state.driver.read_freezes(from_s, until_s))
        flags = self._clock_flags()
        if reads is not None and self._add(reads, flags=flags) and await self.store():
            state.freezes_until_s = until_s - 3600
            if reads and not flags:  # what is in doubt is asked for again once a clock is put right
                state.frozen_s = max(read.measured_at_s or 0 for read in reads)

    async def read_multiplier(self) -> None:
        """Note by what the device says that its transformers multiply, once a day.

        One that does not answer this is none the worse for it.
        """
        state, driver = self._state, self._state.driver
        if not isinstance(driver, TellsMultiplier) or self.now_s < state.multiplier_due_s:
            return
        state.multiplier_due_s = self.now_s + DAY_S
        try:
            self.multiplier = await self._run_once(driver.read_multiplier)
        except LinkDown:
            raise
        except WattkeeperError as error:
            _log.info("headend.no-multiplier", device_id=state.plan.device_id, code=error.code)

    async def read_run(self, run: Run) -> bool:
        """Read one run of profile stamps and make it durable; whether the device answered and it is kept."""
        state = self._state
        reads = await self._attempt(lambda: state.driver.read_profile(run.first_s, run.ends_at_s))
        if reads is None or not self._add(reads, flags=self._clock_flags()) or not await self.store():
            return False
        present = {read.measured_at_s for read in reads if read.measured_at_s is not None}
        given_up = state.note_answered(run.stamps, sorted(present), self.now_s)
        if given_up:
            self._services.metrics.count("intervals_given_up", len(given_up))
            _log.warning("headend.intervals-given-up", device_id=state.plan.device_id, count=len(given_up))
            self._note("headend.intervals-given-up")
        return True

    async def store(self) -> bool:
        """Make durable what has been read so far; whether it is."""
        batch = self._builder.build()
        self._services.metrics.count("reads_unplanned", self._builder.reads_unplanned_count)
        self._services.metrics.count("reads_unstorable", self._builder.reads_unstorable_count)
        if self._builder.stamp_error_code is not None:
            self._note(self._builder.stamp_error_code)
        self._builder = self._new_builder()
        if batch is None:
            return True
        try:
            await self._services.spool.append(batch)
        except WattkeeperError as error:
            self._note(error.code, error.params)
            return False
        return True

    def _clock_flags(self) -> int:
        offset_s = self._state.clock_offset_s
        return int(Flag.CLOCK_INVALID) if offset_s is not None and abs(offset_s) > CLOCK_OFFSET_MAX_S else 0

    def _add(self, reads: Sequence[DeviceRead], *, flags: int) -> bool:
        try:
            self._builder.add(reads, now_s=self.now_s, flags=flags)
        except WattkeeperError as error:
            self._note(error.code, error.params)
            return False
        return True

    async def _attempt(self, make_steps: Callable[[], Steps[T]]) -> T | None:
        """Run a verb; what only it suffered from is noted and the session goes on."""
        try:
            return await self._run(make_steps)
        except (NoAnswer, LinkDown):
            raise
        except WattkeeperError as error:
            self._note(error.code, error.params)
        except Exception:  # noqa: BLE001 - contained and counted; the rest goes on
            self._services.metrics.count("exceptions")
            _log.exception("headend.unexpected", device_id=self._state.plan.device_id)
            self._note("headend.unexpected")
        return None

    async def _run(self, make_steps: Callable[[], Steps[T]]) -> T:
        """Run a verb; a device that fell silent in the middle of a session is associated with anew."""
        try:
            return await self._run_once(make_steps)
        except NoAnswer:
            if self._answers_count == 0 or self._reopenings_count >= _REOPENINGS_MAX_COUNT:
                raise
            self._reopenings_count += 1
            if make_steps != self._state.driver.open:
                await self._run_once(self._state.driver.open)
            return await self._run_once(make_steps)

    async def _run_once(self, make_steps: Callable[[], Steps[T]]) -> T:
        driver = self._state.driver
        return await self._line.run_steps(
            driver, make_steps(), keep=self._keep, retries_count=self._retries_count
        )

    def _keep(self, frame: bytes) -> int:
        self._answers_count += 1
        return self._builder.keep_frame(frame)

    def _note(self, error_code: str, error_params: Mapping[str, object] | None = None) -> None:
        if self.error_code is None:
            self.error_code, self.error_params = error_code, error_params or {}

    def _new_builder(self) -> BatchBuilder:
        return BatchBuilder(link_id=self._link_id, device=self._state.plan, now_s=self.now_s)
