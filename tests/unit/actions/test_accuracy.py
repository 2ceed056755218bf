"""The standing accuracy report: a meter 3 % slow becomes one finding, right ones and other tenants none."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest

from relational import NOW, People, Street
from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.channels import ChannelSpec, make_channels
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.services import Services
from wattkeeper.actions.virtual.accuracy_checks import add_accuracy_check, retire_accuracy_check
from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.actions.virtual.judge_accuracy import judge_accuracy
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.registry.models import Meter, Series
from wattkeeper.data.virtual.accuracy import get_check, list_checks, list_results
from wattkeeper.store.api import Measurements
from wattkeeper.store.memory import MemoryReadingStore

FIRST_AT = datetime(2026, 10, 31, 16, tzinfo=UTC)  # a midnight in Shanghai
STEP_MILLIWH = 10_000
FIELDS = {"main_class": "1", "reference_class": "0.5S", "base_power_w": 1150, "window_days": 5}


class Compared:
    """Two meters beside each other."""

    def __init__(self, people: People, street: Street, services: Services) -> None:
        self.people, self.street = people, street
        assert isinstance(services.store, MemoryReadingStore)
        self.store = services.store
        self.points: tuple[int, ...] = (street.point_id, street.other_point_id)
        for meter_id, point_id in zip((street.meter_id, street.other_meter_id), self.points, strict=True):
            install_meter(
                actor=people.operator,
                now=NOW,
                services=services,
                meter_id=meter_id,
                usage_point_id=point_id,
                at=FIRST_AT,
            )

    def put(self, index: int, factor: float, *, run_id: int = 1, missing: int = 0) -> None:
        """Store twenty days of one meter: about 500 W times a factor, in steps of its register."""
        at = np.arange(96 * 20)
        power_w = 500 + 300 * np.sin(at / 15)
        position = np.floor(np.cumsum(power_w * 250 * factor) / STEP_MILLIWH) * STEP_MILLIWH
        value = np.diff(position, prepend=0).astype(np.int64)
        provenance = np.where(at % 50 < missing, 2, 1)
        nothing = np.zeros(len(at), dtype=np.int64)
        rows = Measurements(
            nothing + self.series_id(index),
            to_seconds(FIRST_AT) + 900 * at,
            np.where(provenance == 1, value, value * 2),
            provenance,
            nothing,
            nothing,
            nothing + run_id,
        )
        self.store.insert_measurements(self.people.tenant.id, rows)

    def series_id(self, index: int) -> int:
        """Return the series of what a point takes."""
        return Series.objects.get(usage_point_id=self.points[index], quantity="energy_import").id

    def add(self, reference: int | None = 1, **more: object) -> int:
        reference_id = None if reference is None else self.points[reference]
        fields = {**FIELDS, **more}
        return add_accuracy_check(
            actor=self.people.operator, now=NOW, main_id=self.points[0], reference_id=reference_id, **fields
        )

    def judge(self, day: int, check_id: int | None = None) -> int:
        """Judge some days after the first instant."""
        now = FIRST_AT + timedelta(days=day, hours=2)
        return judge_accuracy(self.store, tenant_id=self.people.tenant.id, now=now, check_id=check_id)

    def verdict(self, check_id: int) -> str:
        row = get_check(tenant_id=self.people.tenant.id, check_id=check_id)
        assert row is not None
        assert row.result is not None
        return row.result.verdict


@pytest.fixture
def compared(ours: People, street: Street, services: Services) -> Compared:
    found = Compared(ours, street, services)
    found.put(1, 1.0)
    return found


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(WattkeeperError) as caught:
        act()
    return caught.value.code


def test_a_meter_three_per_cent_slow_is_one_finding(compared: Compared) -> None:
    compared.put(0, 0.97)
    check_id = compared.add()
    assert [compared.judge(day) for day in (2, 2, 3, 6, 7)] == [1, 0, 1, 1, 1]
    finding = Finding.objects.get(rule="vee.accuracy")
    assert (finding.state, finding.usage_point_id) == ("OPEN", compared.points[0])
    assert -32_000 < finding.evidence["error_ppm"] < -28_000
    assert finding.evidence["check_id"] == check_id
    assert compared.verdict(check_id) == "outside"
    assert len(list_results(check_id)) == 4
    compared.put(0, 1.0, run_id=2)  # the values were corrected
    assert compared.judge(7, check_id) == 1
    assert compared.verdict(check_id) == "within"
    assert not Finding.objects.filter(state="OPEN").exists()


def test_a_right_meter_is_left_alone_for_twenty_days(compared: Compared) -> None:
    compared.put(0, 1.008)
    check_id = compared.add()
    assert sum(compared.judge(day) for day in range(1, 20)) == 19
    assert not Finding.objects.exists()
    assert {result.verdict for result in list_results(check_id)} == {"within"}


def test_estimates_prove_nothing(compared: Compared) -> None:
    compared.put(0, 1.0, missing=10)  # estimated at twice the value
    check_id = compared.add()
    compared.judge(6)
    (result,) = list_results(check_id)
    assert (result.verdict, result.interval_count) == ("within", 5 * 96 - 100)


def test_sub_meters_count_while_they_are_fed(compared: Compared) -> None:
    compared.put(0, 0.97)
    check_id = compared.add(None)
    assert compared.judge(6) == 0  # it feeds nothing yet
    since = FIRST_AT + timedelta(days=3)
    set_topology(
        actor=compared.people.operator,
        now=NOW,
        child_id=compared.points[1],
        parent_id=compared.points[0],
        at=since,
    )
    assert compared.judge(6) == 1
    (result,) = list_results(check_id)
    assert (result.verdict, result.interval_count) == ("outside", 3 * 96)
    assert result.bands[-1]["verdict"] in {"outside", "undecided"}


def test_who_gives_energy_back_is_no_wrong_meter(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    """In half of each day the sub-meter gives back what the main meter then does not take."""
    compared.put(0, 1.0)
    spec = ChannelSpec("energy_export_register_kwh", Fraction(1, 100))
    make_channels(Meter.objects.get(id=compared.street.other_meter_id), [spec])
    tenant_id = compared.people.tenant.id
    main = Series.objects.get(usage_point_id=compared.points[0])
    back = Series.objects.create(
        tenant_id=tenant_id, usage_point_id=compared.points[1], quantity="energy_export"
    )
    rows = compared.store.measurements(tenant_id, [main.id], 0, 2**40)
    given = np.where(np.arange(len(rows.run_id)) % 96 < 48, 50_000, 0)
    newer = rows.run_id + 1
    compared.store.insert_measurements(
        tenant_id, replace(rows, value_milliwh=rows.value_milliwh - given, run_id=newer)
    )
    compared.store.insert_measurements(
        tenant_id, replace(rows, series_id=0 * newer + back.id, value_milliwh=given, run_id=newer)
    )
    set_topology(
        actor=compared.people.operator,
        now=NOW,
        child_id=compared.points[1],
        parent_id=compared.points[0],
        at=FIRST_AT,
    )
    check_id = compared.add(None)
    compared.judge(6)
    (result,) = list_results(check_id)
    assert (result.verdict, result.interval_count) == ("within", 5 * 48)
    monkeypatch.setattr("wattkeeper.actions.virtual.judge_accuracy.given_back_spans", lambda *_: ([], []))
    compared.judge(6, check_id)
    assert compared.verdict(check_id) == "outside"  # the plant: nobody knows of it


def fed_since(compared: Compared, point_id: int, days: int) -> None:
    """Let the first point feed another from some days on."""
    actor, at = compared.people.operator, FIRST_AT + timedelta(days=days)
    set_topology(actor=actor, now=NOW, child_id=point_id, parent_id=compared.points[0], at=at)


def test_a_point_without_a_meter_makes_no_meter_wrong(compared: Compared) -> None:
    """From the third day on lights that nobody measures take 30 % of what the right main meter counts."""
    compared.put(0, 1.0)
    fed_since(compared, compared.points[1], 0)
    check_id = compared.add(None)
    own = {"actor": compared.people.operator, "now": NOW, "site_id": compared.street.site_id}
    yard_id = add_usage_point(**own, code="YARD", name="Lights of the yard")
    fed_since(compared, yard_id, 3)
    right = compared.store.measurements(compared.people.tenant.id, [compared.series_id(0)], 0, 2**40)
    compared.put(0, 1.3, run_id=2)
    is_dark = right.starts_at_s < to_seconds(FIRST_AT + timedelta(days=3))
    columns = [getattr(right, name)[is_dark] for name in Measurements.__slots__[:-1]]
    compared.store.insert_measurements(
        compared.people.tenant.id, Measurements(*columns, right.run_id[is_dark] + 2)
    )
    compared.judge(6)
    (result,) = list_results(check_id)
    assert (result.verdict, result.interval_count) == ("within", 2 * 96)  # of days 1 to 5 those before it
    assert compared.judge(9) == 0  # nothing is told of the meter any more
    assert not Finding.objects.exists()


@pytest.mark.parametrize("is_fed", [True, False])
def test_a_meter_is_not_judged_by_its_own_values(compared: Compared, *, is_fed: bool) -> None:
    """A virtual meter for the rest makes every main meter right, and so does one beside it."""
    compared.put(0, 0.9)
    own = {"actor": compared.people.operator, "now": NOW, "site_id": compared.street.site_id}
    formula = {"formula": "[U1] - [U2]" if is_fed else "[U1]", "at": FIRST_AT}
    virtual_id = add_virtual_meter(**own, code="V", name="V", **formula)
    taken, other = (
        compared.store.measurements(compared.people.tenant.id, [compared.series_id(index)], 0, 2**40)
        for index in range(2)
    )
    left = taken.value_milliwh - other.value_milliwh * is_fed
    series_id = Series.objects.get(usage_point_id=virtual_id).id
    rows = replace(taken, series_id=0 * left + series_id, value_milliwh=left, provenance=0 * left + 4)
    compared.store.insert_measurements(compared.people.tenant.id, rows)
    compared.points = (*compared.points, virtual_id)
    check_id = compared.add(None if is_fed else 2)
    if is_fed:
        fed_since(compared, compared.points[1], 0)
        fed_since(compared, virtual_id, 3)
    compared.judge(6)
    assert [(each.verdict, each.interval_count) for each in list_results(check_id)] == [
        ("outside", 2 * 96)
    ] * is_fed
    assert compared.judge(9) == 0


def test_a_retired_comparison_says_nothing_more(compared: Compared) -> None:
    compared.put(0, 0.97)
    check_id = compared.add()
    compared.judge(6)
    retire_accuracy_check(actor=compared.people.operator, now=NOW, check_id=check_id)
    assert (compared.judge(7), list_checks(tenant_id=compared.people.tenant.id)) == (0, [])
    assert not Finding.objects.filter(state="OPEN").exists()


def test_what_is_refused(compared: Compared, theirs: People) -> None:
    assert refusal(lambda: compared.add(0)) == "accuracy.itself"
    assert refusal(lambda: compared.add(main_class="9")) == "vee.accuracy-class"
    assert refusal(lambda: compared.add(base_power_w=0)) == "registry.invalid-field"
    for absurd in ({"loss_ppm": 500_001}, {"loss_ppm": -1}, {"window_days": 401}, {"window_days": 0}):
        assert refusal(lambda absurd=absurd: compared.add(**absurd)) == "registry.invalid-field"
    check_id = compared.add()
    retire = {"now": NOW, "check_id": check_id}
    assert refusal(lambda: retire_accuracy_check(actor=theirs.operator, **retire)) == "registry.not-found"
    assert refusal(lambda: retire_accuracy_check(actor=compared.people.viewer, **retire)) == (
        "accounts.not-allowed"
    )
    assert get_check(tenant_id=theirs.tenant.id, check_id=check_id) is None
