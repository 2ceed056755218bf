"""V24, wired: a main meter against the meters that it feeds, from stored days and dated topology."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from period_world import TODAY_S, assign, judge
from relational import LONG_AGO, NOW, People, Street
from wattkeeper.actions.findings.close_finding import close_finding
from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.services import Services
from wattkeeper.actions.virtual.accuracy_checks import add_accuracy_check
from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.readings.rollups import DAY, RollUpRows
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.registry.models import Series
from wattkeeper.store.memory import MemoryReadingStore

DAY_S = 86_400


def store_energy(
    store: MemoryReadingStore,
    ours: People,
    run_id: int,
    energy: Mapping[tuple[int, int], int],
    missing: int = 0,
) -> None:
    """Store whole days by series and how long ago they began, `missing` intervals short."""
    for (series_id, ago), milliwh in energy.items():
        measured = 96 - missing
        row = (DAY, series_id, TODAY_S - ago * DAY_S, 96, milliwh, measured, missing, 0, 0, 0, run_id)
        store.insert_roll_ups(ours.tenant.id, run_id, RollUpRows(*np.array(row, dtype=np.int64)[:, None]))


def ago(days: int, hours: int = 0) -> datetime:
    """Return a midnight so many days back, or later that day."""
    return from_seconds(TODAY_S - days * DAY_S + hours * 3600)


class Feeder:
    """A main point that feeds two others, with the series of each; ten days on which they balance."""

    def __init__(self, ours: People, street: Street, services: Services, store: MemoryReadingStore) -> None:
        self.ours, self.store = ours, store
        self.who: dict[str, Any] = {"actor": ours.operator, "now": NOW}
        self.main_point = add_usage_point(
            **self.who, site_id=street.site_id, code="M", name="Main", kind="MAIN"
        )
        self.points = (self.main_point, street.point_id, street.other_point_id)
        install_meter(
            **self.who,
            services=services,
            meter_id=street.meter_id,
            usage_point_id=self.main_point,
            at=LONG_AGO,
        )
        tenant_id = ours.tenant.id
        for point_id in self.points[1:]:
            Series.objects.create(tenant_id=tenant_id, usage_point_id=point_id, quantity="energy_import")
        for point_id in self.points[1:]:
            self.feed(point_id, self.main_point, LONG_AGO)
        rows = dict(Series.objects.values_list("usage_point_id", "id"))
        self.main, self.one, self.two = (rows[point_id] for point_id in self.points)
        days = range(1, 11)
        store_energy(store, ours, 1, {(self.main, day): 100 for day in days})
        store_energy(store, ours, 1, {(own, day): 50 for own in (self.one, self.two) for day in days})

    def feed(self, child_id: int, parent_id: int | None, at: datetime) -> None:
        set_topology(**self.who, child_id=child_id, parent_id=parent_id, at=at)

    def store_days(self, run_id: int, energy: Mapping[tuple[int, int], int], missing: int = 0) -> None:
        store_energy(self.store, self.ours, run_id, energy, missing)

    def found(self) -> dict[int, int]:
        """Return what is lacking by the first day of a row, counted back."""
        rows = [each for each in judge(self.store, self.ours) if each[0].startswith("vee.feeder-")]
        assert all(
            (evidence["difference_milliwh"] < 0) == ("exceeded" in rule) for rule, *_, evidence in rows
        )
        subjects = Finding.objects.filter(rule__startswith="vee.feeder-").values_list(
            "subject_key", flat=True
        )
        assert set(subjects) <= {f"series:{self.main}"}
        return {day: evidence["difference_milliwh"] for _, day, _, evidence in rows}


@pytest.fixture
def feeder(ours: People, street: Street, services: Services, store: MemoryReadingStore) -> Feeder:
    """A feeder that balances."""
    return Feeder(ours, street, services, store)


def test_what_a_feeder_lacks_is_found_and_goes(feeder: Feeder) -> None:
    feeder.store_days(2, {(feeder.main, 4): 105, (feeder.main, 3): 106, (feeder.one, 2): 60})
    assert feeder.found() == {3: 6, 2: -10}
    feeder.store_days(3, {(feeder.two, 3): 56, (feeder.one, 2): 50})
    assert feeder.found() == {}


def test_a_day_that_anybody_lacks_is_not_judged(feeder: Feeder) -> None:
    wrong = {(feeder.main, day): 300 for day in (5, 4, 3)}
    feeder.store_days(2, wrong)
    assert feeder.found() == {5: 600}
    feeder.store_days(3, {(feeder.main, 5): 300}, missing=1)  # estimated
    assert feeder.found() == {4: 400}
    feeder.store_days(4, {(feeder.main, 5): 300})
    feeder.store_days(4, {(feeder.one, 4): 50}, missing=1)
    assert feeder.found() == {5: 400}  # nobody knows of the day between: it ends no row


def test_what_is_lacking_every_day_is_one_finding_that_a_person_closes(feeder: Feeder, ours: People) -> None:
    feeder.store_days(2, {(feeder.main, day): 120 for day in range(2, 11)})
    assert feeder.found() == {10: 180}
    finding = Finding.objects.get(rule="vee.feeder-balance")
    assert finding.evidence["day_count"] == 9
    close_finding(actor=ours.operator, now=NOW, finding_id=finding.id, comment="lights of the yard")
    feeder.store_days(3, {(feeder.main, 1): 120})  # a day later it goes on
    assert feeder.found() == {}


def test_a_point_without_a_meter_leaves_the_balance_open(feeder: Feeder, street: Street) -> None:
    point_id = add_usage_point(**feeder.who, site_id=street.site_id, code="U9", name="No meter")
    feeder.feed(point_id, feeder.main_point, ago(4))
    feeder.store_days(2, {(feeder.main, day): 300 for day in (5, 4, 3)})
    assert feeder.found() == {5: 200}
    feeder.store_days(3, {(feeder.two, day): 400 for day in (5, 4, 3)})  # but it makes no energy
    assert feeder.found() == {5: -450}


def test_who_is_fed_counts_for_its_time(feeder: Feeder) -> None:
    feeder.store_days(2, {(feeder.main, 5): 60})
    feeder.feed(feeder.points[2], None, ago(5, hours=6))  # within the day: that one is not judged
    assert feeder.found() == {4: 200}
    feeder.store_days(2, {(feeder.main, day): 50 for day in (4, 3, 2, 1)})
    assert feeder.found() == {}
    feeder.feed(feeder.points[1], None, ago(3))  # it feeds nobody any more
    assert feeder.found() == {}


def test_what_is_said_to_be_lost_is_lost(feeder: Feeder) -> None:
    feeder.store_days(2, {(feeder.main, 3): 120, (feeder.main, 2): 130})
    assert feeder.found() == {3: 50}
    said: Any = {"main_class": "1", "reference_class": "1", "base_power_w": 1000, "loss_ppm": 130_000}
    add_accuracy_check(**feeder.who, main_id=feeder.main_point, reference_id=None, **said)
    lost = {10: 7 * -13, 2: 14, 1: -13}
    assert feeder.found() == lost
    check = {"main_id": feeder.main_point, "reference_id": feeder.points[1]}
    add_accuracy_check(**feeder.who, **check, **(said | {"loss_ppm": 500_000}))
    assign(feeder.ours, {"code": "near-1", "rules": {"vee.feeder-balance": {"feeder_pct": 6}}}, 3)
    assert feeder.found() == lost


def test_what_is_given_back_counts_against_what_is_taken(feeder: Feeder) -> None:
    tenant_id = feeder.ours.tenant.id
    main, child = (
        Series.objects.create(tenant_id=tenant_id, usage_point_id=point_id, quantity="energy_export").id
        for point_id in feeder.points[:2]
    )
    assert feeder.found() == {}
    feeder.store_days(2, {(feeder.main, 3): 70, (feeder.main, 2): 100})
    assert feeder.found() == {}  # nobody knows what was given back
    feeder.store_days(2, {(child, day): 40 for day in (3, 2)})
    assert feeder.found() == {}
    feeder.store_days(2, {(main, day): 10 for day in (3, 2)})
    assert feeder.found() == {2: 30}


def test_a_rest_that_has_a_name_is_no_difference(feeder: Feeder, street: Street) -> None:
    feeder.store_days(2, {(feeder.main, day): 300 for day in (5, 3)})
    assert set(feeder.found()) == {5, 3}
    add_virtual_meter(
        **feeder.who,
        site_id=street.site_id,
        code="V",
        name="Common",
        formula="[M] - subs([M])",
        at=ago(4),
    )
    assert feeder.found() == {5: 200}
    feeder.store_days(3, {(feeder.one, 3): 300})
    assert feeder.found() == {5: 200, 3: -50}


def test_a_day_is_judged_by_the_rules_of_that_day(feeder: Feeder) -> None:
    feeder.store_days(2, {(feeder.main, day): 110 for day in (8, 3)})
    assign(feeder.ours, {"code": "wide-1", "rules": {"vee.feeder-balance": {"feeder_pct": 10}}}, 5)
    assert set(feeder.found()) == {8}
    assign(feeder.ours, {"code": "quiet-1", "rules": {"vee.feeder-balance": {"severity": "off"}}}, 30)
    assert feeder.found() == {}


def test_a_feeder_without_a_meter_is_left_alone(feeder: Feeder) -> None:
    feeder.store_days(2, {(feeder.main, 3): 300})
    assert set(feeder.found()) == {3}
    Series.objects.filter(id=feeder.main).update(quantity="energy_export")
    assert feeder.found() == {}
