"""Every page opens, in both languages, for its own tenant only."""

import pytest
from django.test import Client
from django.urls import reverse

from console_street import FIRST_AT, Home, LogIn
from relational import NOW, People, Street
from wattkeeper.actions.commands.request_command import request_command
from wattkeeper.data.collection.job_queue import claim_job, finish_job, queue_job


def addresses(home: Home, street: Street, extra: dict[str, int]) -> list[str]:
    """Return the address of every page that can be looked at."""
    starts_at_s = int(FIRST_AT.timestamp())
    named: list[tuple[str, list[object]]] = [
        *(
            (name, [])
            for name in (
                "overview",
                "overview_daily",
                "progress",
                "meters",
                "meters_csv",
                "meter_add",
                "sites",
                "site_add",
                "usage_points",
                "usage_point_add",
                "links",
                "link_add",
                "bills",
                "tariffs",
                "findings",
                "commands",
                "kill_switch",
                "jobs",
                "import",
                "audit",
                "password",
            )
        ),
        *(
            (name, [home.meter_id])
            for name in (
                "meter",
                "meter_live",
                "meter_edit",
                "meter_copy",
                "meter_install",
                "meter_exchange",
                "meter_remove",
                "meter_retire",
                "meter_delete",
            )
        ),
        *((name, [street.site_id]) for name in ("site", "site_edit", "site_copy", "site_retire")),
        *(
            (name, [home.point_id])
            for name in (
                "usage_point",
                "usage_point_export",
                "usage_point_edit",
                "usage_point_copy",
                "usage_point_retire",
                "usage_point_multiplier",
                "usage_point_parent",
                "usage_point_tariff",
                "usage_point_end_contract",
                "usage_point_erase_customer",
                "usage_point_reopen_contract",
            )
        ),
        ("usage_point", [street.other_point_id]),  # nobody's yet
        *((name, [street.link_id]) for name in ("link", "link_edit", "link_copy", "link_retire")),
        *((name, [home.series_id]) for name in ("profile", "intervals")),
        ("trace", [home.series_id, starts_at_s]),
        ("bill", [home.bill_id]),
        ("bill_line", [home.bill_id, 2]),
        ("tariff", [home.tariff_id]),
        ("command_new", [home.meter_id, "DISCONNECT"]),
        ("command_new", [home.meter_id, "RECONNECT"]),
        *((name, [key]) for name, key in extra.items()),
    ]
    return [reverse(f"console:{name}", args=arguments) for name, arguments in named]


@pytest.fixture
def extra(ours: People, home: Home) -> dict[str, int]:
    """A command, a job and a finding to look at."""
    command_id = request_command(
        actor=ours.operator,
        now=NOW,
        meter_id=home.meter_id,
        kind="DISCONNECT",
        reason="moved out",
        idempotency_key="k1",
    )
    errors = [{"line": 2, "column": 3, "code": "formats.not-a-number", "params": {}}]
    asked = {"tenant_id": ours.tenant.id, "kind": "import", "label": "june.csv", "params": {}}
    job_id = queue_job(**asked, user_id=None, now=NOW)
    job = claim_job(now=NOW, job_id=job_id)
    assert job is not None
    finish_job(job, now=NOW, result={}, errors=errors)
    finding_id = ours.tenant.finding_set.get(rule="collection.silent").id
    return {"command": command_id, "job": job_id, "finding_close": finding_id}


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_opens(
    home: Home, street: Street, extra: dict[str, int], ours: People, log_in: LogIn, language: str
) -> None:
    client: Client = log_in(ours.administrator)
    client.post(reverse("console:set_language"), {"language": language})
    for address in addresses(home, street, extra):
        answer = client.get(address)
        assert answer.status_code == 200, address
        text = answer.content.decode()
        assert "Content-Security-Policy" in answer.headers
        assert " style=" not in text, address
        assert "<script>" not in text, address
        if "<html" in text:
            assert f'lang="{language}"' in text, address


def test_another_tenants_pages_are_as_if_absent(
    home: Home, street: Street, extra: dict[str, int], theirs: People, log_in: LogIn
) -> None:
    client: Client = log_in(theirs.administrator)
    for address in addresses(home, street, extra):
        if any(part.isdigit() for part in address.split("/")):
            assert client.get(address).status_code == 404, address


def test_a_stranger_is_asked_to_log_in(home: Home, street: Street, extra: dict[str, int]) -> None:
    for address in addresses(home, street, extra):
        answer = Client().get(address)
        assert answer.status_code == 302, address
        assert answer.headers["Location"].startswith("/login/"), address
    assert Client().get("/nothing-here/").status_code == 404
