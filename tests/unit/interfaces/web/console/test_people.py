"""Who may do what: logging in, roles, languages, and what hostile names and cells cannot do."""

import csv
import io
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from console_street import LogIn
from relational import NOW, PASSWORD, People, Street
from wattkeeper.actions.registry.copy_meter import copy_meter
from wattkeeper.actions.registry.edit_site import edit_site
from wattkeeper.actions.services import Services
from wattkeeper.data.accounts.models import User
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import Meter
from wattkeeper.interfaces.web.console.csv_export import safe_cell

HOSTILE = "<script>alert(1)</script>"


def try_to_log_in(client: Client, password: str, next_url: str = "") -> object:
    fields = {"username": "ours-operator", "password": password, "next": next_url}
    return client.post(reverse("console:log_in"), fields)


def test_logging_in_and_out(ours: People) -> None:
    client = Client()
    answer = client.post(
        reverse("console:log_in"),
        {"username": "ours-operator", "password": PASSWORD, "next": "/meters/?q=1"},
    )
    assert (answer.status_code, answer.headers["Location"]) == (302, "/meters/?q=1")
    assert client.get("/").status_code == 200
    assert client.get(reverse("console:log_out")).status_code == 405
    client.post(reverse("console:log_out"))
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org", "javascript:alert(1)"])
def test_logging_in_leads_nowhere_else(ours: People, elsewhere: str) -> None:
    answer = Client().post(
        reverse("console:log_in"), {"username": "ours-operator", "password": PASSWORD, "next": elsewhere}
    )
    assert answer.headers["Location"] == "/"


def test_a_wrong_password_is_told_and_then_slowed(ours: People) -> None:
    client = Client()
    fields = {"username": "ours-operator", "password": "wrong"}
    answers = [client.post(reverse("console:log_in"), fields) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert "accounts." not in answers[0].content.decode()
    assert client.post(reverse("console:log_in"), {**fields, "password": PASSWORD}).status_code == 429


def test_the_language_stays_with_the_person(ours: People, log_in: LogIn) -> None:
    client = log_in(ours.viewer)
    assert "Meters answering" in client.get("/").content.decode()
    client.post(reverse("console:set_language"), {"language": "zh-hans", "next": "/meters/"})
    assert "应答的电能表" in client.get("/").content.decode()
    assert "应答的电能表" in log_in(ours.viewer).get("/").content.decode()
    stranger = Client()
    stranger.post(reverse("console:set_language"), {"language": "zh-hans"})
    assert "用户名" in stranger.get(reverse("console:log_in")).content.decode()
    client.post(reverse("console:set_language"), {"language": "tlh"})
    assert User.objects.get(id=ours.viewer.user_id).language == "zh-hans"


def test_one_changes_ones_own_password(ours: People, log_in: LogIn) -> None:
    client = log_in(ours.viewer)
    url = reverse("console:password")
    wrong = client.post(url, {"current_password": "no", "new_password": "another long password"})
    assert wrong.status_code == 422
    done = client.post(url, {"current_password": PASSWORD, "new_password": "another long password"})
    assert done.status_code == 302
    assert client.get("/").status_code == 200  # this session goes on
    assert User.objects.get(id=ours.viewer.user_id).check_password("another long password")


def changing_addresses(street: Street) -> list[tuple[str, dict[str, str]]]:
    """Return every address that changes something, with what would change it."""
    at = NOW.strftime("%Y-%m-%dT%H:%M:%S")
    meter, point = [street.meter_id], [street.point_id]
    site, link = [street.site_id], [street.link_id]
    wanted: list[tuple[str, list[int | str], dict[str, str]]] = [
        ("site_add", [], {"code": "X", "name": "X", "kind": "INDUSTRIAL", "time_zone": "UTC"}),
        ("site_edit", [*site], {"code": "X", "name": "X", "kind": "INDUSTRIAL", "time_zone": "UTC"}),
        ("site_copy", [*site], {"code": "X", "name": "X"}),
        ("site_retire", [*site], {}),
        ("usage_point_add", [], {"site": str(street.site_id), "code": "X", "name": "X", "kind": "SUB"}),
        ("usage_point_edit", [*point], {"code": "X", "name": "X", "kind": "SUB", "power_max_w": "5"}),
        ("usage_point_copy", [*point], {"code": "X", "name": "X"}),
        ("usage_point_retire", [*point], {}),
        ("usage_point_multiplier", [*point], {"at": at, "numerator": "40", "denominator": "1"}),
        ("usage_point_parent", [*point], {"at": at}),
        ("usage_point_tariff", [*point], {"at": at, "tariff": "1"}),
        ("usage_point_end_contract", [*point], {"at": at}),
        ("usage_point_erase_customer", [*point], {}),
        ("usage_point_reopen_contract", [*point], {}),
        ("usage_point_withdraw_contract", [*point, 1], {}),
        ("link_add", [], {"site": str(street.site_id), "name": "X"}),
        ("link_edit", [*link], {"name": "X"}),
        ("link_copy", [*link], {"name": "X", "endpoint": "h:1"}),
        ("link_retire", [*link], {}),
        ("meter_add", [], {"site": str(street.site_id), "serial_number": "X"}),
        ("meter_edit", [*meter], {"serial_number": "X"}),
        ("meter_copy", [*meter], {"serial_number": "X"}),
        ("meter_install", [*meter], {"usage_point": "U1", "at": at}),
        ("meter_exchange", [*meter], {"new_meter": "X", "at": at, "final_read": "1", "initial_read": "0"}),
        ("meter_remove", [*meter], {"at": at}),
        ("meter_retire", [*meter], {"at": at}),
        ("meter_delete", [*meter], {}),
        ("command_new", [*meter, "DISCONNECT"], {"reason": "x", "is_sure": "on", "idempotency_key": "k"}),
        ("kill_switch", [], {}),
        ("run_billing", [], {"month": "2026-10"}),
        ("import", [], {}),
    ]
    return [(reverse(f"console:{name}", args=arguments), fields) for name, arguments, fields in wanted]


def test_a_viewer_changes_nothing(ours: People, street: Street, log_in: LogIn) -> None:
    client = log_in(ours.viewer)
    before = AuditRecord.objects.count()
    for address, fields in changing_addresses(street):
        assert client.post(address, fields).status_code == 403, address
        assert client.get(address).status_code == 403, address
    assert AuditRecord.objects.count() == before
    assert not Command.objects.exists()
    assert client.get(reverse("console:audit")).status_code == 403
    shown = client.get(reverse("console:meter", args=[street.meter_id])).content.decode()
    for name in ("meter_edit", "meter_retire", "meter_copy"):
        assert reverse(f"console:{name}", args=[street.meter_id]) not in shown


def test_an_operator_sees_no_audit_and_sets_no_tariff(ours: People, street: Street, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    assert client.get(reverse("console:audit")).status_code == 403
    assert client.get(reverse("console:usage_point_tariff", args=[street.point_id])).status_code == 403
    assert reverse("console:audit") not in client.get("/").content.decode()


def test_the_chain_is_checked_when_asked(ours: People, street: Street, log_in: LogIn) -> None:
    client = log_in(ours.administrator)
    address = reverse("console:audit")
    assert "The chain" not in client.get(address).content.decode()
    assert "The chain of records is whole." in client.get(address, {"check": "chain"}).content.decode()
    assert client.get(address, {"q": "registry.add-site"}).context["table"].pages.total_count == 1


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ("edited a site (registry.edit-site)", "Site 1<", "System: ")),
        ("zh-hans", ("修改站点 (registry.edit-site)", "站点 1<", "系统 ")),
    ],
)
def test_who_did_what_is_told_in_words(
    ours: People, street: Street, log_in: LogIn, language: str, said: tuple[str, ...]
) -> None:
    edit_site(
        actor=replace(ours.administrator, origin="system"), now=NOW, site_id=street.site_id, name="Yard"
    )
    page = log_in(ours.administrator).get(reverse("console:audit"), HTTP_ACCEPT_LANGUAGE=language)
    text = page.content.decode().replace(f" {street.site_id}<", " 1<")
    assert [part for part in said if part not in text] == []


def test_posts_need_the_pages_own_token(ours: People, street: Street) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(id=ours.operator.user_id))
    answer = client.post(reverse("console:site_retire", args=[street.site_id]))
    assert answer.status_code == 403


def test_a_hostile_name_is_only_text(ours: People, street: Street, log_in: LogIn) -> None:
    meter_id = copy_meter(
        actor=ours.operator, now=NOW, meter_id=street.meter_id, serial_number=HOSTILE, address=HOSTILE
    )
    client = log_in(ours.operator)
    for address in (
        reverse("console:meters"),
        reverse("console:meter", args=[meter_id]),
        f"{reverse('console:meters')}?q={HOSTILE}",
        reverse("console:meter_edit", args=[meter_id]),
    ):
        text = client.get(address).content.decode()
        assert HOSTILE not in text, address
        assert "&lt;script&gt;" in text, address


def test_a_cell_runs_nothing_in_a_spreadsheet(ours: People, street: Street, log_in: LogIn) -> None:
    Meter.objects.filter(id=street.meter_id).update(make_model='=HYPERLINK("http://example.org")')
    answer = log_in(ours.viewer).get(reverse("console:meters_csv"))
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 3
    assert rows[1][1] == '\'=HYPERLINK("http://example.org")'


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("=1", "'=1"),
        ("+a", "'+a"),
        ("-a", "'-a"),
        ("@x", "'@x"),
        ("\t=", "'\t="),
        ("-12.50", "-12.50"),
        (None, ""),
    ],
)
def test_formulas_are_defused_and_numbers_are_not(cell: object, text: str) -> None:
    assert safe_cell(cell) == text


def test_the_store_being_away_is_one_sentence(
    ours: People, street: Street, services: Services, monkeypatch: pytest.MonkeyPatch, log_in: LogIn
) -> None:
    away = Services(now=lambda: NOW + timedelta(0), data_folder=services.data_folder, store=None)
    monkeypatch.setattr("wattkeeper.interfaces.web.console.visit.get_services", lambda: away)
    client = log_in(ours.viewer)
    for address in (reverse("console:overview"), reverse("console:meter", args=[street.meter_id])):
        answer = client.get(address)
        assert answer.status_code == 200
        assert 'class="note warn" role="alert"' in answer.content.decode()
