"""Adding, editing, copying, retiring by form; refusals told beside the field."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from console_street import LogIn
from relational import LONG_AGO, NOW, People, Street
from wattkeeper.data.collection.models import DeviceKey, FieldRead, Link
from wattkeeper.data.registry.models import (
    Channel,
    Installation,
    Meter,
    Multiplier,
    Site,
    Topology,
    UsagePoint,
)

AT = "2026-11-20T10:07:00"  # Shanghai: 02:07 UTC
AT_UTC = datetime.fromisoformat("2026-11-20T02:07:00+00:00")


class Office:
    """An operator at the forms."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def send(self, page: str, /, *arguments: int, **fields: Any) -> Any:
        """Send a form."""
        return self._client.post(reverse(f"console:{page}", args=arguments), fields)

    def do(self, page: str, /, *arguments: int, **fields: Any) -> int:
        """Send a form that is taken, and return the id in the address it leads to, 0 for none."""
        answer = self.send(page, *arguments, **fields)
        assert answer.status_code == 302, answer.content.decode()
        ids = [int(part) for part in answer.headers["Location"].split("/") if part.isdigit()]
        return ids[-1] if ids else 0


@pytest.fixture
def office(ours: People, log_in: LogIn) -> Office:
    """Our administrator at the forms."""
    return Office(log_in(ours.administrator))


def test_a_site_from_beginning_to_end(office: Office) -> None:
    fields = {
        "code": "N",
        "name": "North",
        "kind": "INDUSTRIAL",
        "time_zone": "Europe/Oslo",
        "address": "1 St",
    }
    site_id = office.do("site_add", **fields)
    office.do("site_edit", site_id, **{**fields, "name": "North gate"})
    copy_id = office.do("site_copy", site_id, code="S", name="South")
    office.do("site_retire", copy_id)
    assert Site.objects.get(id=site_id).name == "North gate"
    copy = Site.objects.get(id=copy_id)
    assert (copy.time_zone, copy.kind, copy.retired_at) == ("Europe/Oslo", "INDUSTRIAL", NOW)


def test_a_taken_code_is_told_beside_its_field(office: Office, street: Street) -> None:
    answer = office.send("site_add", code="S1", name="x", kind="INDUSTRIAL", time_zone="UTC")
    assert answer.status_code == 422
    form = answer.context["form"]
    assert list(form.errors) == ["code"]
    assert form.data["name"] == "x"  # nothing has to be typed again


def test_a_site_in_use_is_not_retired(office: Office, street: Street) -> None:
    answer = office.send("site_retire", street.site_id)
    assert answer.status_code == 422
    assert "sites.in-use" not in answer.content.decode()
    assert Site.objects.get(id=street.site_id).retired_at is None


def test_a_usage_point_from_beginning_to_end(office: Office, street: Street) -> None:
    fields = {"code": "U9", "name": "Flat 9", "kind": "CUSTOMER", "customer_name": "Wu", "power_max_w": 8000}
    point_id = office.do("usage_point_add", site=street.site_id, is_protected="on", **fields)
    point = UsagePoint.objects.get(id=point_id)
    assert (point.is_protected, point.power_max_w) == (True, 8000)
    office.do("usage_point_edit", point_id, **{**fields, "name": "Flat 9b"})
    point.refresh_from_db()
    assert (point.name, point.is_protected) == ("Flat 9b", False)
    office.do("usage_point_parent", point_id, parent="U1", at=AT)
    assert Topology.objects.get(child_id=point_id).parent_id == street.point_id
    office.do("usage_point_multiplier", point_id, at=AT, numerator=40, denominator=1, reason="CT")
    assert Multiplier.objects.get(usage_point_id=point_id).starts_at == AT_UTC
    copy_id = office.do("usage_point_copy", point_id, code="U10", name="Flat 10")
    office.do("usage_point_retire", copy_id)
    assert UsagePoint.objects.get(id=copy_id).retired_at == NOW


def test_an_unknown_code_is_told(office: Office, street: Street) -> None:
    answer = office.send("usage_point_parent", street.point_id, parent="NOPE", at=AT)
    assert answer.status_code == 422
    assert "“NOPE”" in answer.content.decode()


def test_a_link_from_beginning_to_end(office: Office, street: Street) -> None:
    fields = {
        "name": "gateway",
        "transport": "TCP",
        "endpoint": "10.0.0.1:502",
        "timeout_ms": 1500,
        "retries_count": 3,
        "poll_s": 300,
    }
    link_id = office.do("link_add", site=street.site_id, **fields)
    office.do("link_edit", link_id, **{**fields, "poll_s": 60})
    copy_id = office.do("link_copy", link_id, name="gateway 2", endpoint="10.0.0.2:502")
    office.do("link_retire", copy_id)
    assert Link.objects.get(id=link_id).poll_s == 60
    assert Link.objects.get(id=copy_id).retired_at == NOW


def test_a_plain_broker_elsewhere_is_refused_by_the_form(office: Office, street: Street) -> None:
    fields = {"name": "b", "transport": "MQTT", "timeout_ms": 1500, "retries_count": 3, "poll_s": 300}
    answer = office.send("link_add", site=street.site_id, **fields, endpoint="mqtt://10.0.0.5:1883")
    assert answer.status_code == 422
    assert "mqtts://" in answer.content.decode().partition('class="errorlist')[2]
    assert not Link.objects.filter(name="b").exists()
    office.do("link_add", site=street.site_id, **fields, endpoint="mqtts://10.0.0.5:8883")


def test_a_meter_from_beginning_to_end(office: Office, street: Street) -> None:
    fields = {
        "serial_number": "P7",
        "make_model": "Pulse",
        "family": "pulse_counter",
        "link": street.link_id,
        "address": "7",
        "interval_s": 900,
        "memory_days": 62,
        "settings": '{"imp_per_kwh": 1600}',
    }
    meter_id = office.do("meter_add", site=street.site_id, keys="password = 00 11 aa", **fields)
    meter = Meter.objects.get(id=meter_id)
    assert (meter.settings, meter.link_id, meter.state) == ({"imp_per_kwh": 1600}, street.link_id, "STOCK")
    assert Channel.objects.get(meter=meter).reading_type == "pulses_imp"
    assert DeviceKey.objects.get(meter=meter).name == "password"
    office.do("meter_edit", meter_id, **{**fields, "make_model": "Pulse 2"})
    copy_id = office.do("meter_copy", meter_id, serial_number="P8", address="8")
    office.do("meter_install", meter_id, usage_point="U1", at=AT, initial_read="12")
    assert FieldRead.objects.get().value_count == 12
    office.do(
        "meter_exchange",
        meter_id,
        new_meter="P8",
        at="2026-11-21T09:00:00",
        final_read="99",
        initial_read="0",
    )
    assert Installation.objects.get(meter_id=copy_id).usage_point_id == street.point_id
    office.do("meter_note_read", meter_id, at="2026-11-21T09:00:00", quantity="energy_import", read="98")
    office.do(
        "meter_note_read", copy_id, at="2026-11-21T12:00:00", quantity="energy_import", read="3", set_to="0"
    )
    assert list(FieldRead.objects.order_by("id").values_list("value_count", "set_to_count"))[-2:] == [
        (98, None),
        (3, 0),
    ]
    office.do("meter_remove", copy_id, at="2026-11-22T09:00:00", final_read="5")
    office.do("meter_retire", copy_id, at="2026-11-22T09:30:00")
    assert Meter.objects.get(id=copy_id).state == "RETIRED"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("settings", "[1]"),
        ("settings", "{"),
        ("keys", "password"),
        ("keys", "password=0g"),
        ("interval_s", "x"),
    ],
)
def test_a_wrong_field_of_a_meter_is_told(office: Office, street: Street, field: str, value: str) -> None:
    fields = {"serial_number": "P7", "family": "", "interval_s": 900, "memory_days": 62, "settings": "{}"}
    answer = office.send("meter_add", site=street.site_id, **{**fields, field: value})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]


def test_only_a_meter_never_read_is_deleted(office: Office, street: Street) -> None:
    Channel.objects.filter(meter_id=street.other_meter_id).update(has_reads=True)
    office.do("meter_delete", street.meter_id)
    refused = office.send("meter_delete", street.other_meter_id)
    assert refused.status_code == 422
    assert list(Meter.objects.values_list("id", flat=True)) == [street.other_meter_id]


def test_local_time_is_the_sites(office: Office, street: Street) -> None:
    office.do("meter_install", street.meter_id, usage_point="U1", at=AT)
    assert Installation.objects.get().starts_at == AT_UTC
    answer = office.send("meter_install", street.other_meter_id, usage_point="U2", at="2026-11-22T20:30:00")
    assert answer.status_code == 422  # half past twelve in UTC has not come
    assert Installation.objects.count() == 1
    assert LONG_AGO < AT_UTC < NOW
