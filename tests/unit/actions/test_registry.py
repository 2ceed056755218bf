"""Sites, usage points, links and meters: add, edit, copy, retire; never across tenants."""

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest

from relational import LONG_AGO, NOW, People, Street, install_first
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.copy_link import copy_link
from wattkeeper.actions.registry.copy_meter import copy_meter
from wattkeeper.actions.registry.copy_site import copy_site
from wattkeeper.actions.registry.copy_usage_point import copy_usage_point
from wattkeeper.actions.registry.delete_meter import delete_meter
from wattkeeper.actions.registry.edit_meter import edit_meter
from wattkeeper.actions.registry.edit_site import edit_site
from wattkeeper.actions.registry.edit_usage_point import edit_usage_point
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.retire_link import retire_link
from wattkeeper.actions.registry.retire_meter import retire_meter
from wattkeeper.actions.registry.retire_site import retire_site
from wattkeeper.actions.registry.retire_usage_point import retire_usage_point
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.collection.models import DeviceKey, DirtyWindow
from wattkeeper.data.collection.status import mark_read
from wattkeeper.data.registry.meters import get_meter
from wattkeeper.data.registry.models import Channel, Installation, Meter, Series, Site, UsagePoint
from wattkeeper.data.registry.told import keep_told_multiplier


def code_of(action: Callable[[], object]) -> str:
    """Return the code with which an action is refused."""
    with pytest.raises(WattkeeperError) as refusal:
        action()
    return refusal.value.code


def test_each_verb_leaves_one_audit_row(ours: People, street: Street) -> None:
    records = AuditRecord.objects.filter(tenant_id=ours.tenant.id).order_by("sequence")
    verbs = list(records.values_list("verb", flat=True))
    assert verbs == [
        "registry.add-site",
        "registry.add-link",
        "registry.add-usage-point",
        "registry.add-usage-point",
        "registry.add-meter",
        "registry.add-meter",
    ]


def test_a_refused_verb_leaves_nothing(ours: People, street: Street) -> None:
    before = AuditRecord.objects.count()
    refused = code_of(
        lambda: add_site(
            actor=ours.operator, now=NOW, code="S1", name="x", kind="RESIDENTIAL", time_zone="UTC"
        )
    )
    assert refused == "registry.taken"
    assert AuditRecord.objects.count() == before
    assert Site.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (
            {"code": "X", "name": "x", "kind": "RESIDENTIAL", "time_zone": "Mars/Base"},
            "registry.time-zone-unknown",
        ),
        ({"code": "X", "name": "x", "kind": "CASTLE", "time_zone": "UTC"}, "registry.invalid-field"),
        ({"code": "", "name": "x", "kind": "RESIDENTIAL", "time_zone": "UTC"}, "registry.invalid-field"),
        (
            {"code": "X", "name": "x", "kind": "RESIDENTIAL", "time_zone": "UTC", "tenant_id": 7},
            "registry.unknown-field",
        ),
    ],
)
def test_a_wrong_site_is_refused(ours: People, fields: dict[str, str], code: str) -> None:
    assert code_of(lambda: add_site(actor=ours.operator, now=NOW, **fields)) == code  # type: ignore[arg-type]


@pytest.mark.parametrize(("zone", "interval_s"), [("Asia/Shanghai", 7), ("Europe/Berlin", 86_400)])
def test_a_meter_whose_intervals_fit_into_no_day_is_not_installed(
    ours: People, street: Street, services: Services, zone: str, interval_s: int
) -> None:
    Site.objects.filter(id=street.site_id).update(time_zone=zone)
    Meter.objects.filter(id=street.meter_id).update(interval_s=interval_s)
    assert code_of(lambda: install_first(ours, street, services)) == "series.interval-not-kept"
    assert not Installation.objects.exists()


@pytest.mark.parametrize(
    ("zone", "interval_s", "told", "is_refused"),
    [
        ("Asia/Kolkata", 3600, {}, True),
        ("Asia/Kolkata", 1800, {}, False),
        ("Asia/Kathmandu", 1800, {}, True),
        ("Asia/Kathmandu", 900, {}, False),
        ("Asia/Shanghai", 3600, {}, False),
        ("Asia/Kolkata", 3600, {"map": "acrel_dtsd1352"}, False),  # keeps no log: it is polled
    ],
)
def test_a_log_of_utc_hours_is_not_installed_where_it_can_end_no_local_hour(
    ours: People,
    street: Street,
    services: Services,
    zone: str,
    interval_s: int,
    told: dict[str, str],
    is_refused: bool,
) -> None:
    meters = Meter.objects.filter(id=street.meter_id)
    meters.update(family="modbus_energy", settings=told, interval_s=interval_s)
    Site.objects.filter(id=street.site_id).update(time_zone=zone)
    if is_refused:
        assert code_of(lambda: install_first(ours, street, services)) == "meters.log-beside-days"
    else:
        install_first(ours, street, services)
    assert Installation.objects.exists() is not is_refused


def test_what_is_installed_stays_on_the_days_of_its_place(
    ours: People, street: Street, services: Services
) -> None:
    meters = Meter.objects.filter(id=street.meter_id)
    meters.update(family="modbus_energy", settings={}, interval_s=3600)
    install_first(ours, street, services)

    def move() -> None:
        edit_site(actor=ours.operator, now=NOW, site_id=street.site_id, time_zone="Asia/Kolkata")

    def turn(**fields: Any) -> None:
        edit_meter(actor=ours.operator, now=NOW, services=services, meter_id=street.meter_id, **fields)

    assert code_of(move) == "meters.log-beside-days"
    meters.update(settings={"map": "acrel_dtsd1352"})
    move()
    assert code_of(lambda: turn(settings={})) == "meters.log-beside-days"
    meters.update(settings={})  # as a release before left it
    turn(make_model="in the cellar", settings={})
    assert Site.objects.get(id=street.site_id).time_zone == "Asia/Kolkata"


def test_the_zone_of_a_site_stays_once_days_were_measured(
    ours: People, street: Street, services: Services
) -> None:
    """Sums of days and months are kept by the days of the zone: those of another would all be zero."""

    def move(zone: str) -> None:
        edit_site(actor=ours.operator, now=NOW, site_id=street.site_id, time_zone=zone)

    move("Europe/Berlin")
    install_first(ours, street, services)
    Series.objects.update(interval_s=3600)
    assert code_of(lambda: move("Australia/Lord_Howe")) == "series.interval-not-kept"
    assert code_of(lambda: move("Mars/Base")) == "registry.time-zone-unknown"
    move("Asia/Shanghai")
    mark_read(Channel.objects.values_list("id", flat=True))
    assert code_of(lambda: move("Europe/Berlin")) == "sites.zone-in-use"
    move("Asia/Shanghai")
    edit_site(actor=ours.operator, now=NOW, site_id=street.site_id, name="Yard", time_zone="Asia/Shanghai")
    assert Site.objects.get(id=street.site_id).time_zone == "Asia/Shanghai"


def test_facts_of_times_before_any_reading_are_refused(ours: People, street: Street) -> None:
    """From year 1 on nothing could be derived any more, of the whole tenant."""
    fed = {"child_id": street.point_id, "parent_id": street.other_point_id}
    for at in (datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC)):
        assert code_of(lambda at=at: set_topology(actor=ours.operator, now=NOW, at=at, **fed)) == (  # type: ignore[misc]
            "registry.instant-too-early"
        )
    assert not DirtyWindow.objects.exists()


def test_a_rule_of_the_database_names_its_field(ours: People, street: Street) -> None:
    with pytest.raises(WattkeeperError) as refusal:
        edit_usage_point(actor=ours.operator, now=NOW, usage_point_id=street.point_id, power_max_w=0)
    said = {name: refusal.value.params[name] for name in ("field", "reason", "value")}
    assert said == {"field": "power_max_w", "reason": "constraint", "value": "0"}


def test_a_viewer_changes_nothing(ours: People, street: Street) -> None:
    refused = code_of(lambda: edit_site(actor=ours.viewer, now=NOW, site_id=street.site_id, name="Mine"))
    assert refused == "accounts.not-allowed"


def test_edit_says_before_and_after(ours: People, street: Street) -> None:
    edit_usage_point(actor=ours.operator, now=NOW, usage_point_id=street.point_id, is_protected=True)
    detail = AuditRecord.objects.latest("id").detail
    assert detail == {"is_protected": [False, True]}


def test_a_copy_has_its_own_name_and_nothing_personal(
    ours: People, street: Street, services: Services
) -> None:
    edit_usage_point(actor=ours.operator, now=NOW, usage_point_id=street.point_id, customer_name="Li")
    point_id = copy_usage_point(
        actor=ours.operator, now=NOW, usage_point_id=street.point_id, code="U9", name="Flat 9"
    )
    meter_id = copy_meter(
        actor=ours.operator, now=NOW, meter_id=street.meter_id, serial_number="99", address="99"
    )
    copy_link(actor=ours.operator, now=NOW, link_id=street.link_id, name="line 2", endpoint="127.0.0.1:8")
    copy_site(actor=ours.operator, now=NOW, site_id=street.site_id, code="S2", name="Court 2")
    assert UsagePoint.objects.get(id=point_id).customer_name == ""
    assert not DeviceKey.objects.filter(meter_id=meter_id).exists()
    copied = get_meter(tenant_id=ours.tenant.id, meter_id=meter_id, now=NOW)
    original = get_meter(tenant_id=ours.tenant.id, meter_id=street.meter_id, now=NOW)
    assert copied is not None
    assert original is not None
    assert [c.reading_type for c in copied.channels] == [c.reading_type for c in original.channels]
    assert copied.row.state == "STOCK"


def test_another_largest_power_judges_anew_what_was_read(
    ours: People, street: Street, services: Services
) -> None:
    install_first(ours, street, services)
    DirtyWindow.objects.all().delete()
    own = {"actor": ours.operator, "now": NOW, "usage_point_id": street.point_id}
    edit_usage_point(**own, customer_name="Wang")
    assert not DirtyWindow.objects.exists()
    edit_usage_point(**own, power_max_w=1_000_000)
    window = DirtyWindow.objects.get()
    assert (window.starts_at, window.ends_at) == (LONG_AGO, NOW)


def test_a_meter_that_was_read_is_retired_never_deleted(
    ours: People, street: Street, services: Services
) -> None:
    mark_read(Channel.objects.filter(meter_id=street.meter_id).values_list("id", flat=True))
    refused = code_of(lambda: delete_meter(actor=ours.operator, now=NOW, meter_id=street.meter_id))
    assert refused == "meters.has-reads"
    retire_meter(actor=ours.operator, now=NOW, meter_id=street.meter_id, at=NOW)
    assert Meter.objects.get(id=street.meter_id).state == "RETIRED"
    keep_told_multiplier(meter_id=street.other_meter_id, at=NOW, ratio=Fraction(80))
    delete_meter(actor=ours.operator, now=NOW, meter_id=street.other_meter_id)
    assert not Meter.objects.filter(id=street.other_meter_id).exists()


def test_what_is_in_use_is_not_retired(ours: People, street: Street, services: Services) -> None:
    operator = ours.operator
    install_meter(
        actor=operator,
        now=NOW,
        services=services,
        meter_id=street.meter_id,
        usage_point_id=street.point_id,
        at=NOW,
    )
    assert (
        code_of(lambda: retire_usage_point(actor=operator, now=NOW, usage_point_id=street.point_id))
        == "usage-points.in-use"
    )
    assert code_of(lambda: retire_site(actor=operator, now=NOW, site_id=street.site_id)) == "sites.in-use"
    assert code_of(lambda: retire_link(actor=operator, now=NOW, link_id=street.link_id)) == "links.in-use"


def test_the_impulse_constant_of_a_read_meter_stays(ours: People, street: Street, services: Services) -> None:
    meter_id = add_meter(
        actor=ours.operator,
        now=NOW,
        services=services,
        site_id=street.site_id,
        serial_number="P1",
        family="pulse_counter",
        settings={"imp_per_kwh": 1600},
    )
    mark_read(Channel.objects.filter(meter_id=meter_id).values_list("id", flat=True))
    refused = code_of(
        lambda: edit_meter(
            actor=ours.operator, now=NOW, services=services, meter_id=meter_id, settings={"imp_per_kwh": 800}
        )
    )
    assert refused == "meters.constant-fixed"
    assert Meter.objects.get(id=meter_id).settings == {"imp_per_kwh": 1600}


def test_a_pulse_meter_needs_its_constant(ours: People, street: Street, services: Services) -> None:
    refused = code_of(
        lambda: add_meter(
            actor=ours.operator,
            now=NOW,
            services=services,
            site_id=street.site_id,
            serial_number="P1",
            family="pulse_counter",
        )
    )
    assert refused == "meters.constant-missing"
    assert not Meter.objects.filter(serial_number="P1").exists()


@pytest.mark.parametrize(
    ("family", "own_settings", "phases"),
    [
        ("dlt645_2007", {}, {1}),
        ("dlt645_2007", {"phases": 3}, {1, 2, 3}),
        ("dlms_three_phase", {}, {1, 2, 3}),
    ],
)
def test_a_three_phase_meter_has_voltage_and_current_of_each(
    ours: People,
    street: Street,
    services: Services,
    family: str,
    own_settings: dict[str, Any],
    phases: set[int],
) -> None:
    meter_id = add_meter(
        actor=ours.operator,
        now=NOW,
        services=services,
        site_id=street.site_id,
        serial_number="100000000003",
        family=family,
        settings=own_settings,
    )
    types = set(Channel.objects.filter(meter_id=meter_id).values_list("reading_type", flat=True))
    wanted = {
        f"{name}_l{phase}_{unit}" for phase in phases for name, unit in (("voltage", "v"), ("current", "a"))
    }
    assert {name for name in types if name.startswith(("voltage", "current"))} == wanted


def test_another_tenants_things_are_as_if_absent(
    ours: People,
    theirs: People,
    street: Street,
    services: Services,
    make_street: Callable[[People], Street],
) -> None:
    foreign = make_street(theirs)
    actor = ours.administrator
    tries: list[Callable[[], object]] = [
        lambda: edit_site(actor=actor, now=NOW, site_id=foreign.site_id, name="x"),
        lambda: retire_site(actor=actor, now=NOW, site_id=foreign.site_id),
        lambda: copy_site(actor=actor, now=NOW, site_id=foreign.site_id, code="z", name="z"),
        lambda: add_usage_point(actor=actor, now=NOW, site_id=foreign.site_id, code="z", name="z"),
        lambda: edit_usage_point(actor=actor, now=NOW, usage_point_id=foreign.point_id, name="z"),
        lambda: copy_meter(actor=actor, now=NOW, meter_id=foreign.meter_id, serial_number="z", address="z"),
        lambda: delete_meter(actor=actor, now=NOW, meter_id=foreign.meter_id),
        lambda: edit_meter(
            actor=actor, now=NOW, services=services, meter_id=street.meter_id, link_id=foreign.link_id
        ),
        lambda: install_meter(
            actor=actor,
            now=NOW,
            services=services,
            meter_id=street.meter_id,
            usage_point_id=foreign.point_id,
            at=NOW,
        ),
    ]
    absent = [lambda: edit_site(actor=actor, now=NOW, site_id=10**9, name="x")]
    assert {code_of(attempt) for attempt in tries + absent} == {"registry.not-found"}
