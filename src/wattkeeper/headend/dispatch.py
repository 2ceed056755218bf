"""Relay commands: sent once, written down before they leave, and believed only when read back."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from wattkeeper.core.commands.read_back import judge_read_back
from wattkeeper.core.commands.states import Kind, State
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import AnswerDamaged, RelayCommand, Request
from wattkeeper.headend.contained import call_port
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.errors import LinkDown, NoAnswer
from wattkeeper.headend.line import Line
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import Clock, CommandKind, CommandResult, OutboxCommand, OutboxPort
from wattkeeper.headend.turns import Priority

T = TypeVar("T")
ReadRelay = Callable[[], Awaitable[RelayState]]
ReadBackPolicy = Callable[[CommandKind, ReadRelay], Awaitable[RelayState]]
FindDevice = Callable[[int], tuple[Line, DeviceState] | None]

CLAIM_PERIOD_REAL_S = 0.2
COMMAND_THREADS_COUNT = 4
_SEND_TRIES_COUNT = 3
_PAUSE_REAL_S = 0.5
_SETTLING_REAL_S = (0.0, _PAUSE_REAL_S, 4 * _PAUSE_REAL_S)  # a relay acknowledges first and moves then
_READ_BACK_PAUSE_MAX_REAL_S = 30.0
_READ_BACK_PAUSE = timedelta(seconds=60)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_COMMANDS = {CommandKind.DISCONNECT: RelayCommand.DISCONNECT, CommandKind.RECONNECT: RelayCommand.ARM}
_log = structlog.get_logger(__name__)


async def read_relay_back(_kind: CommandKind, read: ReadRelay) -> RelayState:
    """Read the control state from the device: the only policy that proves anything."""
    return await read()


class _TooLate(Exception):
    """The command did not leave and is not to leave any more."""


class _NotWrittenDown(WattkeeperError):
    """The command did not leave: nobody could be told that it leaves."""


@dataclass(slots=True)
class _ReadBackPause:
    """When the relay of one command is read again, in real and in clock time."""

    pause_s: float = _PAUSE_REAL_S
    due_real_s: float = 0.0
    due_at: datetime = _LONG_AGO


class Dispatch:
    """Carries out what the outbox hands over, in threads of its own: no command waits behind reads' calls."""

    def __init__(
        self,
        outbox: OutboxPort,
        clock: Clock,
        metrics: HeadendMetrics,
        *,
        find_device: FindDevice,
        busy: Callable[[], AbstractContextManager[None]],
        read_back_policy: ReadBackPolicy = read_relay_back,
        threads: Executor | None = None,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._find_device = find_device
        self._busy = busy
        self._read_back_policy = read_back_policy
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._pauses: dict[int, _ReadBackPause] = {}
        self._threads = threads or ThreadPoolExecutor(COMMAND_THREADS_COUNT, "commands")

    async def run(self) -> None:
        """Claim and carry out, for ever."""
        while True:
            await self.claim()
            await asyncio.sleep(CLAIM_PERIOD_REAL_S)

    async def claim(self) -> None:
        """Begin what the outbox has: commands first, then relays still to be read back."""
        now = self._clock.now()
        for command in await self._ask(lambda: self._outbox.claim(now)) or ():
            self._start(command, self.execute)
        busy_ids = set(self._tasks)  # of what ends meanwhile the answer says what it was before
        pending = await self._ask(lambda: self._outbox.pending_read_backs(now)) or ()
        for command in pending:
            if command.command_id not in busy_ids and self._is_read_back_due(command):
                self._start(command, self.read_back)
        pending_ids = {command.command_id for command in pending}
        self._pauses = {key: pause for key, pause in self._pauses.items() if key in pending_ids}

    async def execute(self, command: OutboxCommand) -> None:
        """Send one command, once, and read its relay back."""
        for _ in range(_SEND_TRIES_COUNT):
            if await self._expire(command):
                return
            found = self._find_device(command.device_id)
            if found is None:
                await self._record(command, "NO_ANSWER", detail_code="headend.device-unknown")
                return
            try:
                await self._send(command, *found)
            except (NoAnswer, LinkDown, AnswerDamaged, _NotWrittenDown) as error:
                _log.warning("headend.command-not-sent", command_id=command.command_id, code=error.code)
                await asyncio.sleep(_PAUSE_REAL_S)
                continue
            return
        await self._record(command, "NO_ANSWER", detail_code="headend.not-sent")

    async def read_back(self, command: OutboxCommand) -> None:
        """
        Read the relay of a command and record its state; silence leaves it pending.

        What the command failed by is recorded only if the relay still stands so after a while.
        """
        found = self._find_device(command.device_id)
        if found is None:
            return
        relay_state: RelayState | None = None
        for pause_s in _SETTLING_REAL_S:
            await asyncio.sleep(pause_s)
            relay_state = await self._try_read_back(command, *found)
            if relay_state is not None and not _is_failed(command, relay_state):
                break
        if relay_state is not None:
            await self._record(command, "READ_BACK", relay_state=relay_state)

    async def _send(self, command: OutboxCommand, line: Line, state: DeviceState) -> None:
        """Raises WattkeeperError only while nothing has been sent."""
        async with line.turn(Priority.CONTROL):
            await line.ensure_connected()
            if not await self._control(command, line, state):
                return
            await _take_leave(line, state)
        await self.read_back(command)

    async def _control(self, command: OutboxCommand, line: Line, state: DeviceState) -> bool:
        """Send the order, never twice, after what is to be asked first; whether it was sent."""
        has_left = False

        async def before_order(request: Request) -> None:
            nonlocal has_left
            if not has_left:
                await self._write_down(command, request)
            has_left = True

        driver = state.driver
        steps = driver.control_relay(_COMMANDS[command.kind])
        try:
            await line.run_steps(driver, driver.open(), keep=_keep_nothing)
            await line.run_steps(driver, steps, keep=_keep_nothing, before_order=before_order)
        except _TooLate:
            return False
        except (NoAnswer, LinkDown, AnswerDamaged, _NotWrittenDown) as error:
            if not has_left:
                raise
            await self._record(command, "NO_ANSWER", detail_code=error.code)
        except WattkeeperError as error:
            await self._record(command, "REFUSED_BY_DEVICE", detail_code=error.code)
        else:
            await self._record(command, "ACKED")
        if has_left:
            self._metrics.count("commands_sent")
        return has_left

    async def _write_down(self, command: OutboxCommand, request: Request) -> None:
        """Record, while it is in time, that the command leaves."""
        if await self._expire(command):
            raise _TooLate
        if not await self._record(command, "SENT", frame=request.frame):
            raise _NotWrittenDown("headend.not-written-down", is_permanent=False)

    async def _try_read_back(
        self, command: OutboxCommand, line: Line, state: DeviceState
    ) -> RelayState | None:
        async def read() -> RelayState:
            await line.ensure_connected()
            await line.run_steps(state.driver, state.driver.open(), keep=_keep_nothing)
            relay_state = await line.run_steps(state.driver, state.driver.read_relay(), keep=_keep_nothing)
            await _take_leave(line, state)
            return relay_state

        try:
            async with line.turn(Priority.CONTROL):
                relay_state = await self._read_back_policy(command.kind, read)
        except WattkeeperError as error:
            _log.warning("headend.read-back-failed", command_id=command.command_id, code=error.code)
            return None
        self._metrics.count("read_backs")
        return relay_state

    async def _expire(self, command: OutboxCommand) -> bool:
        if self._clock.now() < command.valid_until:
            return False
        await self._record(command, "EXPIRED")
        return True

    async def _record(
        self,
        command: OutboxCommand,
        outcome: str,
        *,
        relay_state: RelayState | None = None,
        frame: bytes | None = None,
        detail_code: str | None = None,
    ) -> bool:
        """Record a result durably; whether it is."""
        result = CommandResult(
            command.command_id, outcome, self._clock.now(), relay_state, frame, detail_code
        )
        _log.info("headend.command", command_id=command.command_id, outcome=outcome, code=detail_code)

        def record() -> bool:
            self._outbox.record(result)
            return True

        return await self._ask(record) is True

    async def _ask(self, call: Callable[[], T]) -> T | None:
        return await call_port(call, self._metrics, self._threads)

    def _start(self, command: OutboxCommand, act: Callable[[OutboxCommand], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._contain(command, act))
        self._tasks[command.command_id] = task

    async def _contain(self, command: OutboxCommand, act: Callable[[OutboxCommand], Awaitable[None]]) -> None:
        try:
            with self._busy():
                await act(command)
        except Exception:  # noqa: BLE001 - contained and counted; the rest goes on
            self._metrics.count("exceptions")
            _log.exception("headend.unexpected", command_id=command.command_id)
        finally:
            self._tasks.pop(command.command_id, None)

    def _is_read_back_due(self, command: OutboxCommand) -> bool:
        """Whether the relay may be read again: soon at first, then less often, or as the clock moves on."""
        now, real_s = self._clock.now(), asyncio.get_running_loop().time()
        pause = self._pauses.setdefault(command.command_id, _ReadBackPause())
        if real_s < pause.due_real_s and now < pause.due_at:
            return False
        pause.due_real_s = real_s + pause.pause_s
        pause.due_at = now + _READ_BACK_PAUSE
        pause.pause_s = min(2 * pause.pause_s, _READ_BACK_PAUSE_MAX_REAL_S)
        return True


def _is_failed(command: OutboxCommand, relay_state: RelayState) -> bool:
    return judge_read_back(Kind(command.kind.value), relay_state) is State.FAILED


async def _take_leave(line: Line, state: DeviceState) -> None:
    """End the session; whether the device answers changes nothing of what was done in it."""
    with suppress(WattkeeperError):
        await line.run_steps(state.driver, state.driver.close(), keep=_keep_nothing, retries_count=0)


def _keep_nothing(_frame: bytes) -> int:
    return -1
