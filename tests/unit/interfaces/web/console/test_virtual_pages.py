"""Pages of virtual meters, energy, groups and comparisons: both languages, roles, tenants, exports."""

from datetime import timedelta

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from console_street import FIRST_AT, Home, LogIn, derive
from relational import NOW, People, Street
from wattkeeper.actions.services import Services
from wattkeeper.actions.virtual.accuracy_checks import add_accuracy_check
from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.actions.virtual.nodes import add_node, set_belonging
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Series, UsagePoint
from wattkeeper.data.virtual.accuracy import keep_result
from wattkeeper.data.virtual.models import AccuracyCheck, Formula, Node, PointOfCustomer
from wattkeeper.store.api import Measurements

AT = "2026-10-01T00:00:00"
OCTOBER = "tree=site&grain=day&first_date=2026-10-01&last_date=2026-10-31&kind=CUSTOMER"


@pytest.fixture
def virtual(ours: People, street: Street, home: Home, services: Services) -> int:
    """A virtual meter that is twice the home."""
    point_id = add_virtual_meter(
        actor=ours.operator,
        now=NOW,
        site_id=street.site_id,
        code="V1",
        name="Twice the home",
        formula="2 * [U1]",
        at=FIRST_AT,
    )
    assert services.store is not None
    while DirtyWindow.objects.exists():
        derive(services.store, ours.tenant.id)
    return point_id


@pytest.fixture
def check(ours: People, home: Home, street: Street) -> int:
    """A comparison with one report."""
    check_id = add_accuracy_check(
        actor=ours.operator,
        now=NOW,
        main_id=home.point_id,
        reference_id=street.other_point_id,
        main_class="1",
        reference_class="0.5S",
        base_power_w=1150,
    )
    figures = {
        "main_milliwh": 97,
        "reference_milliwh": 100,
        "error_ppm": -30_000,
        "uncertainty_ppm": 1500,
        "limit_ppm": 15_000,
        "confidence_ppm": 1_000_000,
        "steps_count": 4321,
        "interval_count": 96,
    }
    band = {**figures, "load_permille": 50, "verdict": "outside"}
    keep_result(
        check_id,
        from_at=NOW - timedelta(days=30),
        to_at=NOW,
        judged_at=NOW,
        verdict="outside",
        bands=[band],
        **figures,
    )
    return check_id


@pytest.fixture
def group(ours: People, home: Home) -> int:
    """A customer who lives in the home."""
    node_id = add_node(actor=ours.operator, now=NOW, kind="CUSTOMER", code="C1", name="Mrs Wu")
    set_belonging(
        actor=ours.operator,
        now=NOW,
        belonging="customer-point",
        part_id=home.point_id,
        whole_id=node_id,
        at=FIRST_AT,
    )
    return node_id


@pytest.fixture
def addresses(virtual: int, check: int, group: int, street: Street, home: Home) -> dict[str, str]:
    """Every page to look at by name."""
    named = {
        "virtual_meters": [],
        "virtual_add": [],
        "virtual_meter": [virtual],
        "virtual_formula": [virtual],
        "energy": [],
        "groups": [],
        "group_add": [],
        "group": [group],
        "group_edit": [group],
        "accuracy_checks": [],
        "accuracy_add": [],
        "accuracy_check": [check],
        "accuracy_retire": [check],
    }
    found = {name: reverse(f"console:{name}", args=own) for name, own in named.items()}
    found["belong"] = reverse("console:group_belong", args=[group, "customer-point"])
    for key in ("tenant", f"site-{street.site_id}", f"group-{group}", f"point-{home.point_id}", "rest"):
        found[key] = reverse("console:energy_node", args=[key]) + "?" + OCTOBER
    return found


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_opens(ours: People, addresses: dict[str, str], log_in: LogIn, language: str) -> None:
    client = log_in(ours.operator)
    client.cookies["django_language"] = language
    for name, address in addresses.items():
        assert client.get(address).status_code == 200, name


def test_viewers_look_and_others_are_refused(
    ours: People, theirs: People, addresses: dict[str, str], log_in: LogIn
) -> None:
    forms = {
        "virtual_add",
        "virtual_formula",
        "group_add",
        "group_edit",
        "accuracy_add",
        "accuracy_retire",
        "belong",
    }
    viewer, foreign = log_in(ours.viewer), log_in(theirs.operator)
    open_to_all = {"virtual_meters", "virtual_add", "energy", "tenant", "rest", "groups", "group_add"}
    open_to_all |= {"accuracy_checks", "accuracy_add"}
    for name, address in addresses.items():
        assert viewer.get(address).status_code == (403 if name in forms else 200), name
        answer = foreign.get(address)
        assert answer.status_code == (200 if name in open_to_all else 404), name
        assert b"Mrs Wu" not in answer.content
        assert b"Twice the home" not in answer.content


def test_a_virtual_meter_is_added_tried_and_changed(
    ours: People, home: Home, street: Street, log_in: LogIn
) -> None:
    client = log_in(ours.operator)
    body = {"site": street.site_id, "code": "V1", "name": "Rest", "formula": "[U1] +", "at": AT}
    refused = client.post(reverse("console:virtual_add"), body)
    assert refused.status_code == 422
    assert "character 7" in refused.content.decode()
    tried = client.post(reverse("console:virtual_preview"), {"formula": "[U1]/2", "site": street.site_id})
    assert "[U1] / 2" in tried.content.decode()
    wrong = client.post(reverse("console:virtual_preview"), {"formula": "[NO]", "site": street.site_id})
    assert "There is no usage point" in wrong.content.decode()
    added = client.post(reverse("console:virtual_add"), {**body, "formula": "[U1]/2"})
    point = UsagePoint.objects.get(code="V1")
    assert (added.status_code, added["Location"]) == (302, reverse("console:virtual_meter", args=[point.id]))
    change = {"formula": "[U1]", "at": "2026-10-05T00:00:00"}
    assert client.post(reverse("console:virtual_formula", args=[point.id]), change).status_code == 302
    assert Formula.objects.filter(usage_point=point).count() == 2
    page = client.get(reverse("console:virtual_meter", args=[point.id])).content.decode()
    assert page.index("<code>[U1]</code>") < page.index("<code>[U1] / 2</code>")


def test_energy_drills_down_and_exports(
    ours: People, virtual: int, group: int, street: Street, log_in: LogIn
) -> None:
    client = log_in(ours.viewer)
    whole = client.get(reverse("console:energy") + "?" + OCTOBER).content.decode()
    assert f"/energy/site-{street.site_id}/" in whole
    assert "100.0 %" in whole
    by_customer = client.get(reverse("console:energy") + "?" + OCTOBER.replace("site", "customer", 1))
    assert "Mrs Wu" in by_customer.content.decode()
    file = client.get(reverse("console:energy") + "?" + OCTOBER + "&format=csv").content.decode()
    assert len(file.splitlines()) == 1 + 31
    assert "2026-10-31" in file
    then = client.get(reverse("console:energy") + "?" + OCTOBER + "&as_of=2020-01-01T00:00:00")
    assert then.context["total"].known_count == 0
    assert "as they were known at 2020-01-01 00:00:00" in then.content.decode()
    assert client.get(reverse("console:energy") + "?tree=moon").status_code == 200
    never = OCTOBER.replace("2026-10-01", "9999-12-31").replace("2026-10-31", "9999-12-31")
    assert "1970" in client.get(reverse("console:energy") + "?" + never).content.decode()
    day = OCTOBER.replace("grain=day", "grain=hour").replace("10-31", "10-01")
    assert "2026-10-01 23:00+08:00" in client.get(reverse("console:energy") + "?" + day).content.decode()
    assert client.get(reverse("console:energy_node", args=["moon-1"])).status_code == 404


def test_a_home_is_moved_to_another_customer(ours: People, home: Home, group: int, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    client.post(reverse("console:group_add"), {"kind": "CUSTOMER", "code": "C2", "name": "Mr Li"})
    other = Node.objects.get(code="C2")
    address = reverse("console:group_belong", args=[other.id, "customer-point"])
    assert client.post(address, {"part": "U1", "at": "2026-10-15T00:00:00"}).status_code == 302
    assert PointOfCustomer.objects.filter(part_id=home.point_id).count() == 2
    assert (
        client.post(address, {"part": "U1", "leaves": "on", "at": "2026-10-20T00:00:00"}).status_code == 302
    )
    assert not PointOfCustomer.objects.filter(part_id=home.point_id, ends_at__isnull=True).exists()
    assert (
        client.post(reverse("console:group_edit", args=[other.id]), {"code": "C3", "name": "Li"}).status_code
        == 302
    )
    assert client.get(reverse("console:group_belong", args=[other.id, "site"])).status_code == 404


def test_the_accuracy_report(ours: People, check: int, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    table = client.get(reverse("console:accuracy_checks")).content.decode()
    assert "-3.000" in table
    assert "Wrong" in table
    page = client.get(reverse("console:accuracy_check", args=[check])).content.decode()
    assert "4321" in page
    assert "≥ 5.0 %" in page
    file = client.get(reverse("console:accuracy_checks") + "?format=csv").content.decode()
    assert "-3.000" in file
    assert "U1" not in client.get(reverse("console:accuracy_checks") + "?verdict=within").content.decode()
    body = {
        "main": "U1",
        "main_class": "1",
        "base_power_w": 1150,
        "reference_class": "0.5S",
        "loss_ppm": 0,
        "window_days": 10,
    }
    assert client.post(reverse("console:accuracy_add"), body).status_code == 302
    assert AccuracyCheck.objects.filter(reference__isnull=True, window_days=10).exists()
    itself = client.post(reverse("console:accuracy_add"), {**body, "reference": "U1"})
    assert "cannot be compared with itself" in itself.content.decode()
    assert client.get(reverse("console:accuracy_judge", args=[check])).status_code == 405
    assert client.post(reverse("console:accuracy_judge", args=[check])).status_code == 302
    assert client.post(reverse("console:accuracy_retire", args=[check])).status_code == 302


def test_derived_values_are_good_ones(ours: People, virtual: int, log_in: LogIn, services: Services) -> None:
    series = Series.objects.get(usage_point_id=virtual)
    profile = log_in(ours.viewer).get(reverse("console:profile", args=[series.id]) + "?range=31d").json()
    assert len(profile["energy_wh"]) > 1000
    assert not any(profile["is_estimated"])
    assert services.store is not None
    rows = services.store.measurements(ours.tenant.id, [series.id], 0, 2**31)
    assert isinstance(rows, Measurements)
    assert np.unique(rows.provenance).tolist() == [4]


def test_a_virtual_value_leads_to_its_parts(ours: People, home: Home, virtual: int, log_in: LogIn) -> None:
    series = Series.objects.get(usage_point_id=virtual)
    at_s = int(FIRST_AT.timestamp()) + 40 * 900
    page = log_in(ours.viewer).get(reverse("console:trace", args=[series.id, at_s])).content.decode()
    assert reverse("console:trace", args=[home.series_id, at_s]) in page
    assert "Made of" in page
    assert "Raw reads" not in page
    own = log_in(ours.viewer).get(reverse("console:trace", args=[home.series_id, at_s])).content.decode()
    assert "Raw reads" in own


def test_strangers_log_in(db: None) -> None:
    assert Client().get(reverse("console:energy")).status_code == 302
