"""A state machine of operators, approvers, meters and a clock; the faults it must catch are planted below."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from wattkeeper.core.commands.authorize import OPERATOR_CAP, UnableToAuthorize, authorize, tenant_cap
from wattkeeper.core.commands.facts import Approver, Command, Facts, batch_key_of, window_start
from wattkeeper.core.commands.read_back import judge_read_back
from wattkeeper.core.commands.states import TRANSITIONS, Kind, State, change_state
from wattkeeper.core.kernel.relay import RelayState

START = datetime(2026, 11, 24, 1, tzinfo=UTC)  # Tuesday 09:00 in Shanghai
ZONE = ZoneInfo("Asia/Shanghai")
METERS, PEOPLE = 8, 3
WANTED = {Kind.DISCONNECT: RelayState.DISCONNECTED, Kind.RECONNECT: RelayState.CONNECTED}
METER_COUNT = 30_000  # of the tenant: its cap is 30, above the operator's 20
QUICK = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    derandomize=True,
)


@dataclass
class Item:
    """A command as the action keeps it."""

    command: Command
    state: State = State.REQUESTED
    approver: Approver | None = None
    history: list[State] = field(default_factory=lambda: [State.REQUESTED])


class Operations(RuleBasedStateMachine):
    """What `actions.commands` does with the core, and what must hold whatever happens in between."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.items: list[Item] = []
        self.let_go: list[tuple[datetime, int]] = []
        self.protected: set[int] = set()
        self.kill_switch_on = False
        self.relay = dict.fromkeys(range(METERS), RelayState.CONNECTED)
        self.stuck: set[int] = set()

    def facts(self, item: Item) -> Facts:
        """Read the facts as the transaction would."""
        return Facts(
            grants=frozenset(Kind),
            is_protected=item.command.meter_id in self.protected,
            is_retired=False,
            has_relay=True,
            kill_switch_on=self.kill_switch_on,
            disconnects_by_operator_last_hour=self.count(item.command.requested_by_person_id),
            disconnects_by_tenant_last_hour=self.count(None),
            tenant_meter_count=METER_COUNT,
            zone=ZONE,
            second_approver=item.approver,
        )

    def count(self, person_id: int | None) -> int:
        """Count the last hour's disconnects of a person, or of the tenant."""
        since = window_start(self.now)
        return sum(since < at <= self.now for at, who in self.let_go if person_id in (None, who))

    def is_permitted(self, item: Item) -> bool:
        """Ask the core."""
        try:
            authorize(command=item.command, facts=self.facts(item), now=self.now)
        except UnableToAuthorize:
            return False
        return True

    def go(self, item: Item, state: State) -> None:
        """Change the state by the table."""
        item.state = change_state(item.command.kind, item.state, state)
        item.history.append(state)

    @rule(
        kind=st.sampled_from(Kind),
        meter=st.integers(0, METERS - 1),
        person=st.integers(0, PEOPLE - 1),
        batch=st.integers(1, 2),
        hours=st.sampled_from([1, 24]),
    )
    def request(self, kind: Kind, meter: int, person: int, batch: int, hours: int) -> None:
        """Ask for one command."""
        until = self.now + timedelta(hours=hours)
        key = batch_key_of(kind, list(range(batch)), "r", until)
        command = Command(len(self.items), kind, meter, person, until, batch, key)
        self.items.append(Item(command))

    @rule(pick=st.integers(0, 99), person=st.integers(0, PEOPLE - 1))
    def approve(self, pick: int, person: int) -> None:
        """Somebody approves; the core says whether it counts."""
        item = self.pick(pick, State.REQUESTED)
        if item is None:
            return
        item.approver = Approver(person, None, self.now, item.command.batch_key)
        if self.is_permitted(item):
            self.go(item, State.APPROVED)
            self.go(item, State.QUEUED)

    @rule(pick=st.integers(0, 99))
    def claim(self, pick: int) -> None:
        """Authorise again and let go, in one transaction."""
        item = self.pick(pick, State.QUEUED)
        if item is not None:
            self.dispatch(item)

    @rule(count=st.integers(15, 30), person=st.integers(0, PEOPLE - 1))
    def bulk(self, count: int, person: int) -> None:
        """Biased towards the cap: many disconnects at once."""
        for _ in range(count):
            self.request(Kind.DISCONNECT, 0, person, 1, 24)
            item = self.items[-1]
            if self.is_permitted(item):
                self.go(item, State.APPROVED)
                self.go(item, State.QUEUED)
                self.dispatch(item)
            else:
                self.go(item, State.QUARANTINED)

    @rule(
        kind=st.sampled_from(Kind),
        meter=st.integers(0, METERS - 1),
        people=st.tuples(st.integers(0, PEOPLE - 1), st.integers(0, PEOPLE - 1)),
    )
    def rush(self, kind: Kind, meter: int, people: tuple[int, int]) -> None:
        """Biased towards the second person: a batch is asked for and approved at once."""
        self.request(kind, meter, people[0], 2, 24)
        item = self.items[-1]
        item.approver = Approver(people[1], None, self.now, item.command.batch_key)
        if self.is_permitted(item):
            self.go(item, State.APPROVED)
            self.go(item, State.QUEUED)

    def dispatch(self, item: Item) -> None:
        """Let it go if the core still permits it."""
        if not self.is_permitted(item):
            self.go(item, State.REFUSED)
            return
        assert_may_leave(self, item)
        self.go(item, State.SENT)
        if item.command.kind is Kind.DISCONNECT:
            self.let_go.append((self.now, item.command.requested_by_person_id))
        if item.command.meter_id not in self.stuck:
            self.relay[item.command.meter_id] = (
                RelayState.DISCONNECTED
                if item.command.kind is Kind.DISCONNECT
                else RelayState.READY_FOR_RECONNECTION
            )

    @rule(pick=st.integers(0, 99), is_lost=st.booleans())
    def acknowledge(self, pick: int, is_lost: bool) -> None:
        """An acknowledgement arrives, or never does."""
        item = self.pick(pick, State.SENT)
        if item is not None:
            self.go(item, State.UNKNOWN if is_lost else State.ACKED)

    @rule(
        pick=st.integers(0, 99),
        state=st.sampled_from([State.ACKED, State.UNKNOWN, State.ARMED]),
        is_lost=st.booleans(),
    )
    def read_back(self, pick: int, state: State, is_lost: bool) -> None:
        """Read the relay."""
        item = self.pick(pick, state)
        if item is not None:
            self.settle(item, None if is_lost else self.relay[item.command.meter_id])

    def settle(self, item: Item, relay: RelayState | None) -> None:
        """Take what the read-back proves."""
        outcome = judge_read_back(item.command.kind, relay)
        if outcome in TRANSITIONS[item.state]:
            self.go(item, outcome)
            if outcome is State.VERIFIED:
                wanted = (
                    RelayState.DISCONNECTED if item.command.kind is Kind.DISCONNECT else RelayState.CONNECTED
                )
                assert self.relay[item.command.meter_id] is wanted, "the relay is elsewhere"

    @rule(meter=st.integers(0, METERS - 1))
    def press_button(self, meter: int) -> None:
        """A resident closes an armed switch."""
        if self.relay[meter] is RelayState.READY_FOR_RECONNECTION:
            self.relay[meter] = RelayState.CONNECTED

    @rule(meter=st.integers(1, METERS - 1))
    def protect(self, meter: int) -> None:
        """The customer is found to depend on supply."""
        self.protected.add(meter)

    @rule(meter=st.integers(0, METERS - 1))
    def jam(self, meter: int) -> None:
        """A relay stops moving."""
        self.stuck.add(meter)

    @rule(is_on=st.sampled_from([False, False, True]))
    def kill_switch(self, is_on: bool) -> None:
        """Somebody stops all cuts, or lifts the stop."""
        self.kill_switch_on = is_on

    @rule(minutes=st.sampled_from([1, 30, 40, 59, 60, 61]))
    def wait(self, minutes: int) -> None:
        """Time passes; biased towards the day: after office hours comes the next morning."""
        self.now += timedelta(minutes=minutes)
        if self.now.astimezone(ZONE).hour >= 16:
            self.now = (self.now + timedelta(days=1)).replace(hour=0, minute=50)

    @rule(kind=st.sampled_from(Kind), meter=st.integers(0, METERS - 1), is_lost=st.booleans())
    def whole_way(self, kind: Kind, meter: int, is_lost: bool) -> None:
        """Biased towards the end: one command from the request to its read-back."""
        self.request(kind, meter, 0, 1, 24)
        item = self.items[-1]
        if self.is_permitted(item):
            self.go(item, State.APPROVED)
            self.go(item, State.QUEUED)
            self.dispatch(item)
            self.go(item, State.UNKNOWN if is_lost else State.ACKED)
            self.settle(item, self.relay[meter])

    def pick(self, index: int, state: State) -> Item | None:
        """Return one of the commands in a state."""
        found = [item for item in self.items if item.state is state]
        return found[index % len(found)] if found else None

    @invariant()
    def caps_hold_in_every_window(self) -> None:
        """No hour, wherever it begins, holds more disconnects than the caps."""
        times = [at for at, _who in self.let_go]
        for start in set(times):
            inside = [who for at, who in self.let_go if start <= at < start + timedelta(hours=1)]
            assert len(inside) <= tenant_cap(METER_COUNT), "tenant cap"
            assert all(inside.count(who) <= OPERATOR_CAP for who in set(inside)), "operator cap"

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        """However the answer was lost."""
        for item in self.items:
            assert item.history.count(State.SENT) <= 1, "sent twice"


def assert_may_leave(world: Operations, item: Item) -> None:
    """Judge a dispatch without the core: the oracle's own words for the rules."""
    local = world.now.astimezone(ZONE)
    assert world.now < item.command.valid_until, "stale"
    if item.command.batch_meter_count > 1:
        assert item.approver is not None, "no second person"
        assert item.approver.person_id != item.command.requested_by_person_id, "approved by oneself"
    if item.command.kind is Kind.DISCONNECT:
        assert item.command.meter_id not in world.protected, "protected"
        assert not world.kill_switch_on, "kill switch"
        assert local.weekday() < 5, "weekend"
        assert 9 <= local.hour < 15, "hours"


def test_whatever_happens() -> None:
    run_state_machine_as_test(Operations, settings=QUICK)


class NoRecheck(Operations):
    """Planted: authorised when approved, not again when it goes."""

    def dispatch(self, item: Item) -> None:
        assert_may_leave(self, item)
        self.go(item, State.SENT)


class SelfApprove(Operations):
    """Planted: the approver's identity is taken from the account, one person holds two."""

    def facts(self, item: Item) -> Facts:
        facts = super().facts(item)
        if item.approver is None:
            return facts
        account = replace(item.approver, person_id=1000 + item.approver.person_id)
        return replace(facts, second_approver=account)


class ClockHours(Operations):
    """Planted: disconnects are counted by the clock hour, not in a sliding window."""

    def count(self, person_id: int | None) -> int:
        hour = self.now.replace(minute=0)
        return sum(at >= hour for at, who in self.let_go if person_id in (None, who))


class TrustAck(Operations):
    """Planted: an acknowledgement is taken for the read-back."""

    def settle(self, item: Item, relay: RelayState | None) -> None:
        wanted = WANTED[item.command.kind]
        super().settle(item, wanted)


class DoubleDispatch(Operations):
    """Planted: a lost answer is answered by sending again."""

    def go(self, item: Item, state: State) -> None:
        super().go(item, state)
        if state is State.UNKNOWN:
            item.state = State.SENT
            item.history.append(State.SENT)


@pytest.mark.parametrize("planted", [NoRecheck, SelfApprove, ClockHours, TrustAck, DoubleDispatch])
def test_the_planted_fault_is_found(planted: type[Any]) -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(planted, settings=settings(QUICK, max_examples=300))
