"""Virtual meters from verb to value: added, changed, re-driven, refused, each in its own tenant."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from relational import NOW, People, Street
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.services import Services
from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.actions.virtual.set_formula import set_formula
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Channel, Series, Site, UsagePoint
from wattkeeper.data.virtual.formulas import codes_of, stored_text
from wattkeeper.data.virtual.models import Formula
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

FIRST_AT = datetime(2026, 11, 19, 16, tzinfo=UTC)  # a midnight in Shanghai
STEP_MILLIWH = 10_000


class Measured:
    """A street whose points U1 and U2 advance by 100 and 30 steps a quarter of an hour for two days."""

    def __init__(self, people: People, street: Street, services: Services) -> None:
        self.people, self.street, self.services = people, street, services
        assert isinstance(services.store, MemoryReadingStore)
        self.store = services.store
        for meter_id, point_id, power in (
            (street.meter_id, street.point_id, 100),
            (street.other_meter_id, street.other_point_id, 30),
        ):
            install_meter(
                actor=people.operator,
                now=NOW,
                services=services,
                meter_id=meter_id,
                usage_point_id=point_id,
                at=FIRST_AT - timedelta(days=5),
            )
            at = np.arange(193)
            self.deliver(meter_id, at, at * power)
        self.settle()

    def deliver(
        self, meter_id: int, at: np.ndarray, value: np.ndarray, source: Source = Source.PROFILE
    ) -> None:
        """Store reads of the import register by quarters of an hour since the first instant."""
        channel = Channel.objects.get(meter_id=meter_id, reading_type="energy_import_register_kwh")
        stamps = to_seconds(FIRST_AT) + 900 * at.astype(np.int64)
        nothing = np.zeros(len(at), dtype=np.int64)
        tenant_id = self.people.tenant.id
        self.store.insert_raw(
            [
                RawBatch(
                    tenant_id,
                    int(stamps[0]) + channel.id + int(source),
                    int(stamps[-1]),
                    nothing + channel.id,
                    stamps,
                    value.astype(np.int64),
                    nothing,
                    nothing + int(source),
                    nothing - 1,
                )
            ]
        )
        span = {channel.id: (int(stamps[0]), int(stamps[-1]))}
        mark_dirty(tenant_id=tenant_id, now=NOW, reason="test", channels=span)

    def settle(self) -> None:
        """Derive until nothing is dirty."""
        ports = pipeline_ports(self.store, self.people.tenant.id, lambda: NOW)
        while DirtyWindow.objects.exists():
            report = run_once(ports, NOW)
            assert not report.failures

    def add(self, formula: str, code: str = "V1", **more: object) -> int:
        """Add a virtual meter that holds from the first instant."""
        fields = {"at": FIRST_AT, "name": "Rest", "site_id": self.street.site_id, **more}
        return add_virtual_meter(actor=self.people.operator, now=NOW, code=code, formula=formula, **fields)

    def feed(self, child_id: int, parent_id: int | None, at: datetime) -> None:
        """Say what feeds a point."""
        actor = self.people.operator
        set_topology(actor=actor, now=NOW, child_id=child_id, parent_id=parent_id, at=at)

    def steps(self, point_id: int) -> list[int | None]:
        """Return the values of two days in steps, None where nothing is known."""
        series = Series.objects.get(usage_point_id=point_id)
        from_s = to_seconds(FIRST_AT)
        rows = self.store.measurements(self.people.tenant.id, [series.id], from_s, from_s + 2 * 86_400)
        found: list[int | None] = [None] * (2 * 86_400 // series.interval_s)
        for at_s, value, provenance in zip(
            rows.starts_at_s.tolist(), rows.value_milliwh.tolist(), rows.provenance.tolist(), strict=True
        ):
            if provenance != Provenance.MISSING:
                found[(at_s - from_s) // series.interval_s] = value // STEP_MILLIWH
        return found


@pytest.fixture
def measured(ours: People, street: Street, services: Services) -> Measured:
    """A measured street."""
    return Measured(ours, street, services)


def refusal(act: Callable[[], object]) -> WattkeeperError:
    with pytest.raises(WattkeeperError) as caught:
        act()
    return caught.value


def test_a_virtual_meter_has_values_days_and_an_audit_row(measured: Measured) -> None:
    point_id = measured.add("[U1] - 2 * [U2]")
    measured.settle()
    assert measured.steps(point_id) == [40] * 192
    point = UsagePoint.objects.get(id=point_id)
    assert (point.kind, Series.objects.get(usage_point=point).interval_s) == ("VIRTUAL", 900)
    series_id = Series.objects.get(usage_point=point).id
    days = measured.store.roll_ups(
        measured.people.tenant.id, [series_id], [(to_seconds(FIRST_AT), to_seconds(NOW))]
    )
    assert days.energy_milliwh.tolist()[:2] == [40 * 96 * STEP_MILLIWH] * 2
    assert days.derived_count.tolist()[:2] == [96, 96]
    assert AuditRecord.objects.filter(verb="virtual.add-meter", subject=f"usage-point:{point_id}").exists()


def test_late_data_reaches_nested_formulas(measured: Measured) -> None:
    inner = measured.add("[U1] - [U2]")
    outer = measured.add("[V1] / 2", code="V2", interval_s=1800)
    measured.settle()
    assert measured.steps(outer) == [70] * 96
    measured.deliver(measured.street.other_meter_id, np.array([100]), np.array([3010]), Source.FIELD)
    measured.settle()
    assert measured.steps(inner)[98:102] == [70, 60, 80, 70]
    assert measured.steps(outer)[49:51] == [65, 75]


def test_a_new_formula_holds_from_its_date_only(measured: Measured) -> None:
    point_id = measured.add("[U1] - [U2]")
    noon = FIRST_AT + timedelta(hours=12)
    set_formula(actor=measured.people.operator, now=NOW, usage_point_id=point_id, formula="[U1]", at=noon)
    measured.settle()
    assert measured.steps(point_id) == [70] * 48 + [100] * 144
    set_formula(
        actor=measured.people.operator,
        now=NOW,
        usage_point_id=point_id,
        formula="",
        at=FIRST_AT + timedelta(days=1),
    )
    measured.settle()
    assert measured.steps(point_id) == [70] * 48 + [100] * 48 + [None] * 96
    assert Formula.objects.filter(usage_point_id=point_id).count() == 2


def test_sub_meters_count_while_they_are_fed(measured: Measured) -> None:
    main_id, sub_id = measured.street.point_id, measured.street.other_point_id
    point_id = measured.add("[U1] - subs([U1])")
    measured.settle()
    assert measured.steps(point_id) == [100] * 192
    measured.feed(sub_id, main_id, FIRST_AT + timedelta(hours=6))
    measured.feed(sub_id, None, FIRST_AT + timedelta(hours=18))
    measured.settle()
    assert measured.steps(point_id) == [100] * 24 + [70] * 48 + [100] * 120


def test_a_renamed_point_is_the_same_part(measured: Measured) -> None:
    measured.add("[U1] - [U2]")
    UsagePoint.objects.filter(id=measured.street.point_id).update(code="NEW 1")
    formula = Formula.objects.get()
    assert stored_text(formula.terms, codes_of([formula.terms])) == "[NEW 1] - [U2]"


@pytest.mark.parametrize(
    ("formula", "code"),
    [
        ("[U1] * [U2]", "formulas.not-linear"),
        ("[NOBODY]", "formulas.unknown-point"),
        ("[U1].export", "formulas.no-series"),
        ("[U1] +", "formulas.syntax"),
    ],
)
def test_what_is_no_formula_leaves_nothing(measured: Measured, formula: str, code: str) -> None:
    assert refusal(lambda: measured.add(formula)).code == code
    assert not UsagePoint.objects.filter(kind="VIRTUAL").exists()


def test_intervals_that_do_not_fit_are_refused(measured: Measured) -> None:
    error = refusal(lambda: measured.add("[U1]", interval_s=600))
    assert (error.code, error.params["common"]) == ("formulas.interval", 900)


def test_intervals_that_begin_half_an_hour_apart_are_refused(measured: Measured) -> None:
    Site.objects.filter(id=measured.street.site_id).update(time_zone="Asia/Kolkata")
    site = Site.objects.create(
        tenant=measured.people.tenant, code="CN", name="CN", kind="INDUSTRY", time_zone="Asia/Shanghai"
    )
    Series.objects.filter(usage_point_id=measured.street.point_id).update(interval_s=3600)
    error = refusal(lambda: measured.add("[U1]", site_id=site.id))
    assert (error.code, error.params["point"], error.params["interval"]) == ("formulas.grid", "U1", 3600)
    assert not Formula.objects.exists()
    measured.add("[U2]", site_id=site.id)  # quarters of an hour begin together everywhere


def test_a_sub_meter_that_moves_within_an_interval_counts_by_its_own(measured: Measured) -> None:
    """Quarters belong where they start, in the rest as in the sums over the network, so that these add up."""
    main_id, sub_id = measured.street.point_id, measured.street.other_point_id
    point_id = measured.add("[U1] - subs([U1])", interval_s=1800)
    measured.feed(sub_id, main_id, FIRST_AT + timedelta(hours=6, minutes=10))
    measured.feed(sub_id, None, FIRST_AT + timedelta(hours=18, minutes=40))
    measured.settle()
    assert measured.steps(point_id) == [200] * 12 + [170] + [140] * 24 + [170] + [200] * 58


def test_cycles_are_refused_through_formulas_and_through_the_network(measured: Measured) -> None:
    first = measured.add("[U1]")
    measured.add("[V1] + [U2]", code="V2")
    error = refusal(
        lambda: set_formula(
            actor=measured.people.operator, now=NOW, usage_point_id=first, formula="[V2]", at=FIRST_AT
        )
    )
    assert (error.code, error.params["path"]) == ("formulas.cycle", "V1 → V2 → V1")
    third = measured.add("subs([U1])", code="V3")
    error = refusal(lambda: measured.feed(third, measured.street.point_id, FIRST_AT))
    assert (error.code, error.params["path"]) == ("formulas.cycle", "V3 → V3")


def test_a_point_is_measured_or_made_by_a_formula(measured: Measured, services: Services) -> None:
    point_id = measured.add("[U1]")
    install = {"meter_id": measured.street.meter_id, "usage_point_id": point_id, "at": NOW}
    actor = measured.people.operator
    error = refusal(lambda: install_meter(actor=actor, now=NOW, services=services, **install))
    assert error.code == "usage-points.virtual"
    UsagePoint.objects.filter(id=measured.street.point_id).update(kind="VIRTUAL")
    asked = {"now": NOW, "usage_point_id": measured.street.point_id, "formula": "[U2]", "at": FIRST_AT}
    assert refusal(lambda: set_formula(actor=actor, **asked)).code == "formulas.measured"


def test_roles_and_tenants(measured: Measured, theirs: People) -> None:
    point_id = measured.add("[U1]")
    asked = {"now": NOW, "usage_point_id": point_id, "formula": "[U2]", "at": FIRST_AT}
    assert refusal(lambda: set_formula(actor=measured.people.viewer, **asked)).code == "accounts.not-allowed"
    assert refusal(lambda: set_formula(actor=theirs.operator, **asked)).code == "registry.not-found"
    asked["usage_point_id"] = measured.street.point_id
    assert (
        refusal(lambda: set_formula(actor=measured.people.operator, **asked)).code == "formulas.not-virtual"
    )
