"""Reads: lists that search, filter, sort and page; findings kept once; statuses that remember."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from django.db import connection
from django.test.utils import CaptureQueriesContext

from relational import LONG_AGO, NOW, People, Street, install_first
from wattkeeper.actions.findings.close_finding import close_finding
from wattkeeper.actions.services import Services
from wattkeeper.data.alarms.models import EndDeviceEvent, Finding, FindingPast
from wattkeeper.data.alarms.queries import FindingDraft, close_gone, get_finding, keep_findings, list_findings
from wattkeeper.data.collection.models import Link, MeterStatus
from wattkeeper.data.collection.status import LearnedOfMeter, keep_learned, keep_link_state
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.data.registry.meters import SORTS, MeterFilter, get_meter, list_meters
from wattkeeper.data.registry.models import Multiplier, Series, UsagePoint
from wattkeeper.data.registry.queries import get_usage_point, list_sites, list_usage_points


def install(ours: People, street: Street, services: Services) -> None:
    install_first(ours, street, services)
    point = UsagePoint.objects.get(id=street.point_id)
    point.customer_name = "Li Hua"
    point.save()


def test_meters_are_found_by_what_people_know(ours: People, street: Street, services: Services) -> None:
    install(ours, street, services)
    keep_learned([LearnedOfMeter(street.meter_id, NOW, is_answering=True)])

    def found(**fields: object) -> list[int]:
        page = list_meters(tenant_id=ours.tenant.id, now=NOW, only=MeterFilter(**fields))  # type: ignore[arg-type]
        return [row.meter_id for row in page.items]

    assert found(search="li hua") == [street.meter_id]
    assert found(search="0001") == [street.meter_id]
    assert found(search="u1 court") == [street.meter_id]
    assert found(search="nothing") == []
    assert found(state="STOCK") == [street.other_meter_id]
    assert found(is_answering=True) == [street.meter_id]
    assert found(family="dlt645_2007", site_id=street.site_id) == [street.meter_id, street.other_meter_id]
    for sort in SORTS:
        forwards, backwards = (
            list_meters(tenant_id=ours.tenant.id, now=NOW, sort=sign + sort).items for sign in ("", "-")
        )
        assert len(forwards) == len(backwards) == 2
    page = list_meters(tenant_id=ours.tenant.id, now=NOW, offset_index=1, limit_count=1)
    assert (page.total_count, [row.meter_id for row in page.items]) == (2, [street.other_meter_id])


def test_a_list_takes_as_many_statements_for_two_as_for_many(
    ours: People, street: Street, services: Services, django_assert_max_num_queries: object
) -> None:
    install(ours, street, services)
    with django_assert_max_num_queries(3):  # type: ignore[operator]
        assert len(list_meters(tenant_id=ours.tenant.id, now=NOW).items) == 2
    with django_assert_max_num_queries(5):  # type: ignore[operator]
        assert list_sites(tenant_id=ours.tenant.id)[0].meters_count == 1
    with django_assert_max_num_queries(4):  # type: ignore[operator]
        assert len(list_usage_points(tenant_id=ours.tenant.id, now=NOW).items) == 2


def test_details_say_where_and_what(ours: People, street: Street, services: Services) -> None:
    install(ours, street, services)
    detail = get_meter(tenant_id=ours.tenant.id, meter_id=street.meter_id, now=NOW)
    assert detail is not None
    assert detail.row.customer_name == "Li Hua"
    assert detail.series_id == Series.objects.get().id
    assert detail.key_names == ("password",)
    assert not detail.has_reads
    point_id = detail.row.usage_point_id
    Series.objects.filter(usage_point_id=point_id).delete()
    for quantity in ("energy_reactive_import", "energy_export", "energy_import"):
        Series.objects.create(tenant_id=ours.tenant.id, usage_point_id=point_id, quantity=quantity)
    shown = Series.objects.get(usage_point_id=point_id, quantity="energy_import").id
    again = get_meter(tenant_id=ours.tenant.id, meter_id=street.meter_id, now=NOW)
    assert again is not None
    assert again.series_id == shown
    point = get_usage_point(tenant_id=ours.tenant.id, usage_point_id=street.point_id, now=NOW)
    assert point is not None
    assert (point.multiplier, point.row.meter_id, point.row.series_id) == (1, street.meter_id, shown)
    assert point.series_ids == dict(
        Series.objects.filter(usage_point_id=point_id).values_list("quantity", "id")
    )
    before = get_meter(tenant_id=ours.tenant.id, meter_id=street.meter_id, now=LONG_AGO - timedelta(days=1))
    assert before is not None
    assert before.row.usage_point_id is None


def test_a_status_remembers_what_a_later_session_did_not_learn(ours: People, street: Street) -> None:
    keep_learned(
        [
            LearnedOfMeter(street.meter_id, NOW, is_answering=False, error_code="headend.no-answer"),
            LearnedOfMeter(
                street.meter_id,
                NOW - timedelta(hours=1),
                is_answering=True,
                clock_offset_s=420,
                relay_state_code=1,
            ),
        ]
    )
    keep_learned(
        [
            LearnedOfMeter(street.other_meter_id, NOW, is_answering=True),
            LearnedOfMeter(street.meter_id, NOW, is_answering=False, error_code="headend.no-answer"),
        ]
    )
    assert MeterStatus.objects.count() == 2
    detail = get_meter(tenant_id=ours.tenant.id, meter_id=street.meter_id, now=NOW)
    assert detail is not None
    assert (detail.row.is_answering, detail.row.error_code) == (False, "headend.no-answer")
    assert (detail.row.clock_offset_s, detail.row.relay_state_code) == (420, 1)
    assert detail.row.answered_at == detail.relay_read_at == NOW - timedelta(hours=1)


def test_only_a_change_of_a_link_is_an_event(ours: People, street: Street) -> None:
    for minute, is_up in enumerate((True, True, False, False, True)):
        keep_link_state(
            link_id=street.link_id, at=NOW + timedelta(minutes=minute), is_up=is_up, error_code=None
        )
    assert list(EndDeviceEvent.objects.order_by("id").values_list("code", flat=True)) == [
        "link.up",
        "link.down",
        "link.up",
    ]
    assert Link.objects.get().changed_at == NOW + timedelta(minutes=4)


def draft(ours: People, *, hour: int = 0, value: int = 1, rule: str = "vee.spike") -> FindingDraft:
    at = LONG_AGO + timedelta(hours=hour)
    return FindingDraft(ours.tenant.id, rule, "series:1", at, evidence={"value": value})


def test_a_finding_is_kept_once_and_stays_closed(ours: People) -> None:
    keep_findings([draft(ours), draft(ours, hour=1), draft(ours, value=2)], now=NOW)
    keep_findings([draft(ours, value=3)], now=NOW)
    assert Finding.objects.count() == 2
    first = Finding.objects.get(starts_at=LONG_AGO)
    assert first.evidence == {"value": 3}
    close_finding(actor=ours.operator, now=NOW, finding_id=first.id, comment="seen")
    keep_findings([draft(ours, value=4)], now=NOW)
    assert Finding.objects.get(id=first.id).state == "CLOSED"
    assert [row.starts_at for row in list_findings(tenant_id=ours.tenant.id).items] == [
        LONG_AGO + timedelta(hours=1)
    ]


def test_how_a_finding_stood_is_kept_once_a_change(ours: People) -> None:
    """Told again as it is: nothing is written, so that a rule may say the same for years."""
    keep_findings([draft(ours), draft(ours, hour=1)], now=NOW)
    with CaptureQueriesContext(connection) as captured:
        keep_findings([draft(ours), draft(ours, hour=1)], now=NOW + timedelta(hours=1))
    assert [query["sql"] for query in captured if not query["sql"].startswith("SELECT")] == []
    keep_findings([draft(ours, value=2)], now=NOW + timedelta(hours=2))
    gone = {"tenant_id": ours.tenant.id, "rule": "vee.spike", "subject_key": "series:1"}
    close_gone(**gone, now=NOW + timedelta(hours=3))
    keep_findings([draft(ours, value=2)], now=NOW + timedelta(hours=4))
    stood = FindingPast.objects.order_by("until_at").values_list("until_at", "evidence", "closed_at")
    assert list(stood) == [
        (NOW + timedelta(hours=2), {"value": 1}, None),
        (NOW + timedelta(hours=4), {"value": 2}, NOW + timedelta(hours=3)),
    ]


def test_findings_close_when_they_are_no_longer_seen(ours: People) -> None:
    keep_findings([draft(ours), draft(ours, hour=1), draft(ours, rule="vee.gap")], now=NOW)
    closed = close_gone(
        tenant_id=ours.tenant.id, rule="vee.spike", subject_key="series:1", now=NOW, kept_starts=[LONG_AGO]
    )
    assert closed == 1
    assert list_findings(tenant_id=ours.tenant.id).total_count == 2


def test_what_is_found_of_reactive_energy_is_in_its_own_unit(ours: People, street: Street) -> None:
    series = Series.objects.create(
        tenant=ours.tenant, usage_point_id=street.point_id, quantity="energy_import"
    )
    evidence = {"energy_milliwh": 7, "day_count": 2}
    found = replace(draft(ours), subject_key=f"series:{series.id}", evidence=evidence)
    keep_findings([found, replace(found, subject_key="meter:1")], now=NOW)
    for quantity, name in (
        ("energy_import", "energy_milliwh"),
        ("energy_reactive_import", "energy_millivarh"),
    ):
        Series.objects.update(quantity=quantity)
        rows = {row.subject_key: row for row in list_findings(tenant_id=ours.tenant.id).items}
        row = rows[f"series:{series.id}"]
        assert row.evidence == {name: 7, "day_count": 2}
        assert get_finding(tenant_id=ours.tenant.id, finding_id=row.finding_id) == row
        assert rows["meter:1"].evidence == evidence


def test_multipliers_cover_an_installation_whatever_was_recorded(
    ours: People, street: Street, services: Services
) -> None:
    install(ours, street, services)
    day = timedelta(days=1)
    for starts_at, ends_at, numerator in (
        (LONG_AGO - 5 * day, LONG_AGO - day, 7),
        (LONG_AGO + day, LONG_AGO + 2 * day, 40),
        (LONG_AGO + 3 * day, None, 60),
    ):
        Multiplier.objects.create(
            tenant=ours.tenant,
            usage_point_id=street.point_id,
            starts_at=starts_at,
            ends_at=ends_at,
            recorded_at=NOW,
            numerator=numerator,
        )
    series_id = Series.objects.get().id
    ratios = [m.ratio for m in get_series_facts([series_id])[series_id].registers[0].multipliers]
    assert ratios == [Fraction(1), Fraction(40), Fraction(1), Fraction(60)]
