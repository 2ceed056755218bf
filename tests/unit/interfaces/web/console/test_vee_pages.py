"""Pages of rules, edits, versions, as of and rebill proposals, in both languages, by role, tenants apart."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from console_street import Home, LogIn, derive
from relational import NOW, People
from wattkeeper.actions.billing.propose_rebills import propose_rebills
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.data.billing.models import Bill, RebillProposal
from wattkeeper.data.collection.models import DirtyWindow, Run
from wattkeeper.data.registry.models import Series
from wattkeeper.data.vee.models import Assignment, GroupMember, SeriesGroup, StoredEdit, StoredRuleSet
from wattkeeper.store.memory import MemoryReadingStore

SPAN = {"starts_at": "2026-10-05T10:00", "ends_at": "2026-10-05T11:00", "reason_code": "100"}
DOCUMENT = '{"code": "shops-1", "rules": {"vee.spike": {"severity": "off"}}}'


@pytest.fixture
def knowing(services: Services, monkeypatch: pytest.MonkeyPatch) -> Services:
    """Let the pages know what was measured."""
    assert services.store is not None
    known = replace(services, measured=measured_by(services.store, lambda: NOW))
    monkeypatch.setattr("wattkeeper.interfaces.web.console.visit.get_services", lambda: known)
    return known


def settle(people: People, services: Services) -> None:
    assert services.store is not None
    while DirtyWindow.objects.exists():
        derive(services.store, people.tenant.id)
    propose_rebills(services=services, now=NOW)


def text_of(client: Client, path: str, status: int = 200, language: str = "en") -> str:
    answer = client.get(path, headers={"Accept-Language": language})
    assert answer.status_code == status, (path, answer.status_code)
    return answer.content.decode()


def test_rules_are_added_assigned_and_withdrawn(ours: People, home: Home, log_in: LogIn) -> None:
    client = log_in(ours.administrator)
    assert "judged by the defaults" in text_of(client, "/rules/")
    answer = client.post("/rules/sets/add/", {"document": "{no"})
    assert answer.status_code == 422
    answer = client.post("/rules/sets/add/", {"document": '{"code": "x", "rules": {"vee.no": {}}}'})
    assert "vee.no" in answer.content.decode()
    answer = client.post("/rules/sets/add/", {"document": '{"code": "x", "formulas": ["top < 9"]}'})
    assert "The formula uses top" in answer.content.decode()
    client.post("/rules/sets/add/", {"document": DOCUMENT})
    rule_set = StoredRuleSet.objects.get()
    page = text_of(client, f"/rules/sets/{rule_set.id}/")
    assert "V08" in page
    assert "not looked for" in page
    assert "shops-1" in text_of(client, f"/rules/sets/add/?like={rule_set.id}")
    client.post("/rules/groups/add/", {"code": "shops", "name": "Shops"})
    group = SeriesGroup.objects.get()
    client.post(f"/rules/groups/{group.id}/put/", {"codes": "U1\n"})
    assert GroupMember.objects.filter(withdrawn_at=None).count() == 1
    assert "U1" in text_of(client, f"/rules/groups/{group.id}/")
    body = {"group_code": "shops", "rule_set": rule_set.id, "starts_date": "2026-11-01"}
    assert client.post("/rules/assign/", body).status_code == 302
    page = text_of(client, "/rules/")
    assert "2026-11-01" in page
    assert "shops,2026-11-01,shops-1" in text_of(client, "/rules/?format=csv")
    assignment = Assignment.objects.get()
    text_of(client, f"/rules/assignments/{assignment.id}/withdraw/")
    assert client.post(f"/rules/assignments/{assignment.id}/withdraw/").status_code == 302
    text_of(client, f"/rules/assignments/{assignment.id}/withdraw/", 404)
    client.post(f"/rules/groups/{group.id}/put/", {"codes": "U1", "leaves": "on"})
    assert not GroupMember.objects.filter(withdrawn_at=None).exists()


def test_an_edit_from_the_page_to_the_corrected_bill(
    ours: People, home: Home, log_in: LogIn, knowing: Services
) -> None:
    Run.objects.update(recorded_at=NOW - timedelta(hours=1), stored_at=NOW - timedelta(hours=1))
    operator, other = log_in(ours.operator), log_in(ours.administrator)
    day = f"/series/{home.series_id}/intervals/?day=2026-10-05"
    assert "Edit values" in text_of(operator, day)
    assert "Wrong multiplier" in text_of(operator, f"/series/{home.series_id}/edit/")
    place = f"/series/{home.series_id}/edit/"
    answer = operator.post(place, {**SPAN, "ends_at": "2026-10-05T10:50", "total_kwh": "1"})
    assert answer.status_code == 422
    operator.post(place, {**SPAN, "total_kwh": "200.000001"})
    edit = StoredEdit.objects.get()
    assert sum(edit.energy_milliwh) == 200_000_001
    assert edit.state == "PENDING"
    own_page = text_of(operator, f"/edits/{edit.id}/")
    assert "Somebody else must approve" in own_page
    assert f"/edits/{edit.id}/approve/" not in own_page
    assert operator.post(f"/edits/{edit.id}/approve/").status_code == 422
    assert f"/edits/{edit.id}/approve/" in text_of(other, f"/edits/{edit.id}/")
    assert other.post(f"/edits/{edit.id}/approve/").status_code == 302
    settle(ours, knowing)
    assert text_of(operator, day).count("Edited") == 4
    then = (NOW - timedelta(minutes=1) + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%S")
    before = text_of(operator, f"{day}&as_of={then}")
    assert "Edited" not in before
    assert "as they were known" in before
    trace = text_of(operator, f"/series/{home.series_id}/trace/{int(edit.starts_at.timestamp())}/")
    assert "Versions" in trace
    assert "default-2" in trace
    proposal = RebillProposal.objects.get()
    assert f"/rebills/{proposal.id}/" in text_of(operator, f"/bills/{home.bill_id}/")
    assert 'badge warn">1<' in text_of(operator, "/bills/")
    assert "U1" in text_of(operator, "/rebills/?state=OPEN")
    assert "Difference" in text_of(operator, f"/rebills/{proposal.id}/")
    text_of(operator, f"/rebills/{proposal.id}/approve/")
    answer = operator.post(f"/rebills/{proposal.id}/approve/", {"data_version": "older"})
    assert answer.status_code == 422
    operator.post(f"/rebills/{proposal.id}/approve/", {"data_version": proposal.data_version})
    new = Bill.objects.get(state="ISSUED", corrects_id=home.bill_id)
    assert str(new.id) in text_of(operator, f"/rebills/{proposal.id}/")
    reversal = Bill.objects.get(reverses_id=home.bill_id)
    assert "takes another bill back" in text_of(operator, f"/bills/{reversal.id}/")
    assert f"/bills/{reversal.id}/" in text_of(operator, f"/bills/{home.bill_id}/")
    assert operator.post(f"/edits/{edit.id}/withdraw/").status_code == 302
    assert "U1" in text_of(operator, "/edits/?format=csv")


def test_a_proposal_is_rejected_with_a_reason(
    ours: People, home: Home, log_in: LogIn, knowing: Services
) -> None:
    operator = log_in(ours.operator)
    operator.post(f"/series/{home.series_id}/edit/", {**SPAN, "total_kwh": "90"})
    settle(ours, knowing)
    proposal = RebillProposal.objects.get()
    assert operator.post(f"/rebills/{proposal.id}/reject/", {"note": " "}).status_code == 422
    operator.post(f"/rebills/{proposal.id}/reject/", {"note": "agreed"})
    assert "agreed" in text_of(operator, f"/rebills/{proposal.id}/")
    assert "已拒绝" in text_of(operator, f"/rebills/{proposal.id}/", language="zh-hans")


def test_large_edits_are_rejected_and_the_threshold_is_set(
    ours: People, home: Home, log_in: LogIn, knowing: Services
) -> None:
    operator, other = log_in(ours.operator), log_in(ours.administrator)
    operator.post(f"/series/{home.series_id}/edit/", {**SPAN, "total_kwh": "500"})
    edit = StoredEdit.objects.get()
    assert other.post(f"/edits/{edit.id}/reject/", {"note": "no such load"}).status_code == 302
    assert "no such load" in text_of(operator, f"/edits/{edit.id}/")
    assert "100" in text_of(other, "/edits/threshold/")
    assert other.post("/edits/threshold/", {"threshold": "1000"}).status_code == 302
    operator.post(f"/series/{home.series_id}/edit/", {**SPAN, "total_kwh": "500"})
    assert StoredEdit.objects.latest("id").state == "IN_FORCE"


def pages_of(home: Home, edit: StoredEdit, proposal: RebillProposal) -> dict[str, tuple[str, bool]]:
    """Return each page, who may at least see it, and whether it is about one thing of a tenant."""
    rule_set = StoredRuleSet.objects.get()
    group = SeriesGroup.objects.get()
    assignment = Assignment.objects.get()
    return {
        "/rules/": ("viewer", False),
        f"/rules/sets/{rule_set.id}/": ("viewer", True),
        "/rules/sets/add/": ("administrator", False),
        "/rules/assign/": ("administrator", False),
        f"/rules/assignments/{assignment.id}/withdraw/": ("administrator", True),
        "/rules/groups/add/": ("administrator", False),
        f"/rules/groups/{group.id}/": ("viewer", True),
        f"/rules/groups/{group.id}/put/": ("administrator", True),
        "/edits/": ("viewer", False),
        "/edits/threshold/": ("administrator", False),
        f"/edits/{edit.id}/": ("viewer", True),
        f"/edits/{edit.id}/approve/": ("operator", True),
        f"/edits/{edit.id}/reject/": ("operator", True),
        f"/edits/{edit.id}/withdraw/": ("operator", True),
        f"/series/{home.series_id}/edit/": ("operator", True),
        "/rebills/": ("viewer", False),
        f"/rebills/{proposal.id}/": ("viewer", True),
        f"/rebills/{proposal.id}/approve/": ("operator", True),
        f"/rebills/{proposal.id}/reject/": ("operator", True),
    }


def test_each_page_by_role_language_and_tenant(
    ours: People, theirs: People, home: Home, log_in: LogIn, knowing: Services
) -> None:
    administrator = log_in(ours.administrator)
    administrator.post("/rules/sets/add/", {"document": DOCUMENT})
    administrator.post("/rules/groups/add/", {"code": "shops"})
    administrator.post("/rules/assign/", {"group_code": "shops", "starts_date": "2026-11-01"})
    administrator.post(f"/series/{home.series_id}/edit/", {**SPAN, "total_kwh": "90"})
    settle(ours, knowing)
    pages = pages_of(home, StoredEdit.objects.get(), RebillProposal.objects.get())
    clients = {name: log_in(getattr(ours, name)) for name in ("viewer", "operator", "administrator")}
    stranger = log_in(theirs.administrator)
    ranks = list(clients)
    for path, (least, is_own) in pages.items():
        for name, client in clients.items():
            may = ranks.index(name) >= ranks.index(least)
            assert client.get(path).status_code == (200 if may else 403), (path, name)
        assert text_of(administrator, path, language="zh-hans") != text_of(administrator, path)
        assert stranger.get(path).status_code == (404 if is_own else 200), path
    assert "U1" not in text_of(stranger, "/edits/") + text_of(stranger, "/rebills/")
    assert "shops" not in text_of(stranger, "/rules/")


KWH = re.compile(r"\bkWh\b")  # by itself: a token may hold the letters


def test_pages_of_a_reactive_series_say_its_unit(
    ours: People, home: Home, store: MemoryReadingStore, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = Series.objects.get(id=home.series_id)
    series.pk, series.quantity = None, "energy_reactive_import"
    series.save()
    starts_at = datetime(2026, 10, 5, tzinfo=UTC)
    starts_at_s = int(starts_at.timestamp())
    store._measured[ours.tenant.id][series.id, starts_at_s] = {1: (5_000_000, int(Provenance.MEASURED), 0, 0)}
    row = StoredEdit.objects.create(
        tenant=ours.tenant,
        series=series,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(seconds=900),
        energy_milliwh=[7_000_000],
        rejected_milliwh=[5_000_000],
        changed_milliwh=2_000_000,
        reason_code=100,
        state=StoredEdit.State.PENDING,
        author_id=ours.operator.user_id,
        recorded_at=NOW,
    )
    administrator = log_in(ours.administrator)
    paths = (
        f"/edits/{row.id}/",
        f"/edits/{row.id}/approve/",
        f"/series/{series.id}/edit/",
        "/edits/",
        "/edits/?format=csv",
        f"/series/{series.id}/intervals/",
        f"/series/{series.id}/trace/{starts_at_s}/",
    )
    for language in ("en", "zh-hans"):
        texts = [text_of(administrator, path, language=language) for path in paths]
        assert [path for path, text in zip(paths, texts, strict=True) if KWH.search(text)] == []
        assert all("kvarh" in text for text in texts)
    Series.objects.filter(id=home.series_id).delete()
    point = text_of(administrator, f"/points/{home.point_id}/")
    assert "Reactive energy, kvarh" in point
    assert "Energy, kWh" not in point.partition("Bills")[0]
    assert administrator.get(f"/series/{series.id}/profile.json").json()["power_unit"] == "kvar"
    monkeypatch.setattr("wattkeeper.data.registry.quantities.REACTIVE_QUANTITIES", ())  # the plant
    assert all(KWH.search(text_of(administrator, path)) for path in paths)
