"""Lives the check's two days on one injected clock: faults come in their time, operators do their work."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.commands.request_command import request_command
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.services import Services
from wattkeeper.core.commands.states import IS_FINAL, State
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.data.commands.models import Command
from wattkeeper.interfaces.cli.demo.provision import Provisioned, add_entry_meter
from wattkeeper.interfaces.cli.demo.street import Street
from wattkeeper.simulators.clock import SharedClock
from wattkeeper.simulators.faulty import CUT_POINT
from wattkeeper.simulators.world_model import World

STEP_S = 3600
HOUR_S = 3600
DAY_S = 86_400
SETTLES_WITHIN_S = 120.0
COMMAND_WITHIN_S = 30.0
PROTECTED_POINT = "H-05"
LATE_POINT = "H-09"


@dataclass(slots=True)
class Commands:
    """How the check's commands ended."""

    disconnect: str = "none"
    reconnect: str = "none"
    refused: str = "none"
    refusal_codes: list[str] = field(default_factory=list)
    is_relay_true: bool = True


@dataclass(slots=True)
class Life:
    """Moves the clock and does what operators and residents do."""

    street: Street
    clock: SharedClock
    world: World
    actor: Actor
    services: Services
    registry: Provisioned
    watch: Callable[[], None]
    commands: Commands = field(default_factory=Commands)

    def live(self, on_progress: Callable[[int, int], None]) -> None:
        """
        Live the world's window, hour by hour.

        :raises WattkeeperError: ``demo.not-settled`` if somebody does not keep up
        """
        assert self.world.window is not None
        start_s, end_s = self.world.window
        todo = self._agenda(start_s)
        instants = sorted({*range(start_s, end_s + 1, STEP_S), *todo})
        for done_count, at_s in enumerate(instants, start=1):
            self._advance(from_seconds(at_s))
            if at_s in todo:
                todo[at_s]()
            on_progress(done_count, len(instants))

    def _agenda(self, start_s: int) -> dict[int, Callable[[], None]]:
        exchange, ratio = self.world.exchanges[0], self.world.ratio_changes[0]
        return {
            start_s + 10 * HOUR_S + 1805: self._disconnect,
            start_s + 10 * HOUR_S + 2705: self._reconnect,
            start_s + 11 * HOUR_S + 5: self._try_protected,
            start_s + 16 * HOUR_S + 5: self._try_after_hours,
            exchange.at_s + 20 * 60: self._exchange,
            ratio.at_s + 35 * 60: self._change_ratio,
        }

    def _advance(self, to: datetime) -> None:
        self.clock.advance_to(to)
        deadline_s = time.monotonic() + SETTLES_WITHIN_S
        while not self.clock.wait_settled(("simulators", "headend"), timeout_s=0.5):
            self.watch()
            if time.monotonic() > deadline_s:
                raise WattkeeperError("demo.not-settled", at=to.isoformat())

    def _disconnect(self) -> None:
        command = self._command(CUT_POINT, "DISCONNECT")
        self.commands.disconnect = self._wait(command, until=IS_FINAL).lower()
        self._compare_with_relay(command)

    def _reconnect(self) -> None:
        command = self._command(CUT_POINT, "RECONNECT")
        state = self._wait(command, until=IS_FINAL | {State.ARMED})
        if state == State.ARMED.value:
            self.street.ask(do="press", serial=command.meter.serial_number)
            state = self._wait(command, until=IS_FINAL)
        self.commands.reconnect = state.lower()
        self._compare_with_relay(command)

    def _try_protected(self) -> None:
        command = self._command(PROTECTED_POINT, "DISCONNECT")
        self.commands.refused = self._wait(command, until=IS_FINAL).lower()
        self.commands.refusal_codes.append(command.refusal_code)

    def _try_after_hours(self) -> None:
        command = self._command(LATE_POINT, "DISCONNECT")
        self._wait(command, until=IS_FINAL)
        self.commands.refusal_codes.append(command.refusal_code)

    def _compare_with_relay(self, command: Command) -> None:
        """What was read back must be what the simulated switch does."""
        truth = self.street.ask(do="relay", serial=command.meter.serial_number)
        if truth["relay_state_code"] != command.relay_state_code:
            self.commands.is_relay_true = False

    def _command(self, point: str, kind: str) -> Command:
        entry = next(entry for entry in self.world.entries if entry.usage_point == point)
        command_id = request_command(
            actor=self.actor,
            now=self.clock.now(),
            meter_id=self.registry.meter_ids[entry.meter_serial],
            kind=kind,
            reason="demo check",
            idempotency_key=str(uuid.uuid4()),
        )
        return Command.objects.select_related("meter").get(id=command_id)

    def _wait(self, command: Command, *, until: frozenset[State]) -> str:
        deadline_s = time.monotonic() + COMMAND_WITHIN_S
        while State(command.state) not in until and time.monotonic() < deadline_s:
            time.sleep(0.05)
            command.refresh_from_db()
        return command.state

    def _exchange(self) -> None:
        """The fitter changed the meter and reports it twenty minutes later."""
        exchange = self.world.exchanges[0]
        who: dict[str, Any] = {"actor": self.actor, "now": self.clock.now()}
        new_id = add_entry_meter(exchange.entry, self.registry, who, self.services)
        exchange_meter(
            **who,
            services=self.services,
            meter_id=self.registry.meter_ids[exchange.removed_serial],
            new_meter_id=new_id,
            at=from_seconds(exchange.at_s),
            final_read=self._display(exchange.removed_serial, exchange.at_s),
            initial_read=self._display(exchange.entry.meter_serial, exchange.at_s),
        )

    def _display(self, serial: str, at_s: int) -> int:
        counts: int = self.street.ask(do="display", serial=serial, at_s=at_s)["counts"]
        return counts

    def _change_ratio(self) -> None:
        """The transformers were changed at noon; the office hears of it later."""
        change = self.world.ratio_changes[0]
        numerator, denominator = change.multiplier
        change_multiplier(
            actor=self.actor,
            now=self.clock.now(),
            usage_point_id=self.registry.point_ids[change.usage_point],
            at=from_seconds(change.at_s),
            numerator=numerator,
            denominator=denominator,
            reason="CT 300/5",
        )
