"""Pages of rules, edits, versions, as of and rebill proposals, in both languages, by role, tenants apart."""

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils.translation import override

from console_street import FIRST_AT, Home, LogIn, derive, move_in
from relational import NOW, People
from wattkeeper.actions.billing.propose_rebills import propose_rebills
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.data.billing.models import Bill, Contract, RebillProposal
from wattkeeper.data.billing.queries import BillLineRow
from wattkeeper.data.collection.models import DirtyWindow, FieldRead, Run
from wattkeeper.data.registry.models import Series
from wattkeeper.data.vee.models import (
    Assignment,
    GroupMember,
    ReadWithdrawal,
    SeriesGroup,
    StoredEdit,
    StoredRuleSet,
)
from wattkeeper.interfaces.web.console.templatetags.console import as_kwh, line_text
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


def shown_version(form: str) -> str:
    """Return the version of the figures that a form shows, as the browser sends it back."""
    found = re.search(r'name="version" value="([^"]+)"', form)
    assert found
    return found[1]


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
    shown = text_of(operator, f"/rebills/{proposal.id}/")
    assert all(words in shown for words in ("Difference", "Other figures"))
    assert "数值不同" in text_of(operator, f"/rebills/{proposal.id}/", language="zh-hans")
    text_of(operator, f"/rebills/{proposal.id}/approve/")
    for language, words in (("en", "have changed since they were shown"), ("zh-hans", "在显示之后又有变化")):
        for verb in ("approve", "reject"):
            answer = operator.post(
                f"/rebills/{proposal.id}/{verb}/",
                {"version": "older", "note": "agreed"},
                headers={"Accept-Language": language},
            )
            assert answer.status_code == 409
            assert words in answer.content.decode()
            assert as_kwh(proposal.energy_milliwh) in answer.content.decode()
    form = text_of(operator, f"/rebills/{proposal.id}/approve/")
    operator.post(f"/rebills/{proposal.id}/approve/", {"version": shown_version(form)})
    new = Bill.objects.get(state="ISSUED", corrects_id=home.bill_id)
    assert str(new.id) in text_of(operator, f"/rebills/{proposal.id}/")
    reversal = Bill.objects.get(reverses_id=home.bill_id)
    assert "takes another bill back" in text_of(operator, f"/bills/{reversal.id}/")
    assert f"/bills/{reversal.id}/" in text_of(operator, f"/bills/{home.bill_id}/")
    file = text_of(operator, "/bills/?format=csv").removeprefix("\ufeff")
    rows = list(csv.DictReader(io.StringIO(file)))
    assert [row["State"] for row in rows] == ["Issued", "Reversal", "Reversed"]
    assert sum(Decimal(row["Total"]) for row in rows) * 100 == new.total_minor
    assert sum(Decimal(row["Energy, kWh"]) for row in rows) * 10**6 == new.energy_milliwh
    assert {row["Currency"] for row in rows} == {"CNY"}
    assert "币种" in text_of(operator, "/bills/?format=csv", language="zh-hans")
    assert operator.post(f"/edits/{edit.id}/withdraw/").status_code == 302
    assert "U1" in text_of(operator, "/edits/?format=csv")


@pytest.mark.parametrize(
    ("share", "language", "words"),
    [
        ("0", "en", "Energy"),
        ("0.25", "en", "Energy · partly estimated"),
        ("1", "en", "Energy · estimated"),
        ("1/3", "zh-hans", "电量 · 部分为估算"),
    ],
)
def test_a_bill_says_what_of_it_is_estimated(share: str, language: str, words: str) -> None:
    line = BillLineRow(1, "energy", "bill.energy", "", None, "1", "kWh", "1", 1, {"estimated_share": share})
    with override(language):
        assert line_text(line) == words


def test_a_proposal_is_rejected_with_a_reason(
    ours: People, home: Home, log_in: LogIn, knowing: Services
) -> None:
    operator = log_in(ours.operator)
    operator.post(f"/series/{home.series_id}/edit/", {**SPAN, "total_kwh": "90"})
    settle(ours, knowing)
    proposal = RebillProposal.objects.get()
    assert operator.post(f"/rebills/{proposal.id}/reject/", {"note": " "}).status_code == 422
    version = shown_version(text_of(operator, f"/rebills/{proposal.id}/reject/"))
    operator.post(f"/rebills/{proposal.id}/reject/", {"note": "agreed", "version": version})
    assert "agreed" in text_of(operator, f"/rebills/{proposal.id}/")
    assert "已拒绝" in text_of(operator, f"/rebills/{proposal.id}/", language="zh-hans")


def test_a_month_of_two_contracts_is_replaced_by_its_parts(
    ours: People, home: Home, log_in: LogIn, knowing: Services
) -> None:
    operator = log_in(ours.operator)
    move_in(ours, home)
    settle(ours, knowing)
    place = f"/rebills/{RebillProposal.objects.get().id}/"
    shown = text_of(operator, place)
    assert all(words in shown for words in ("Bills of the parts", "2026-10-12", "2026-10-13", "2026-10-31"))
    assert "各时段的账单" in text_of(operator, place, language="zh-hans")
    form = text_of(operator, f"{place}approve/")
    assert "for each part of its period" in form
    answer = operator.post(f"{place}approve/", {"version": shown_version(form)})
    assert answer.headers["Location"] == place
    new_ids = Bill.objects.filter(corrects_id=home.bill_id).values_list("id", flat=True)
    assert len(new_ids) == 2
    assert all(f"/bills/{own}/" in text_of(operator, place) for own in new_ids)


def test_a_tariff_counts_the_contracts_of_now(ours: People, home: Home, log_in: LogIn) -> None:
    """One that is dated ahead counts once it begins, and one that will end counts until then."""
    viewer, place = log_in(ours.viewer), f"/tariffs/{home.tariff_id}/"
    assert "1 contracts" in text_of(viewer, place)
    contract = Contract.objects.get()
    Contract.objects.filter(id=contract.id).update(ends_at=NOW + timedelta(days=1))
    assert "1 contracts" in text_of(viewer, place)
    Contract.objects.filter(id=contract.id).update(starts_at=NOW + timedelta(hours=1), ends_at=None)
    assert "0 contracts" in text_of(viewer, place)


def test_a_contract_dated_ahead_is_withdrawn(ours: People, home: Home, log_in: LogIn) -> None:
    administrator, place = log_in(ours.administrator), f"/points/{home.point_id}/"
    assert "/withdraw/" not in text_of(administrator, place)  # it was billed
    for goes_on, ends_at in (({}, NOW), ({"before_goes_on": "on"}, None)):
        ahead = {"tariff": str(home.tariff_id), "at": f"{(NOW + timedelta(hours=8)):%Y-%m-%dT%H:%M:%S}"}
        assert administrator.post(f"{place}tariff/", ahead).status_code == 302
        before, after = Contract.objects.order_by("starts_at")
        assert (before.ends_at, after.starts_at) == (NOW, NOW)
        form = f"{place}contracts/{after.id}/withdraw/"
        assert form in text_of(administrator, place)
        assert form not in text_of(log_in(ours.operator), place)
        assert "前一份合同继续有效" in text_of(administrator, form, language="zh-hans")
        assert administrator.post(form, goes_on).status_code == 302
        assert Contract.objects.get().ends_at == ends_at
        Contract.objects.update(ends_at=None)
    assert "before it" not in text_of(administrator, f"{place}contracts/{before.id}/withdraw/")
    assert "Bill " in administrator.post(f"{place}contracts/{before.id}/withdraw/", {}).content.decode()


def test_a_bill_without_any_contract_is_taken_back(
    ours: People, home: Home, log_in: LogIn, knowing: Services
) -> None:
    operator = log_in(ours.operator)
    place = f"/points/{home.point_id}/"
    administrator = log_in(ours.administrator)
    assert f"{place}end-contract/" in text_of(administrator, place)
    assert "此后该计量点不再出账" in text_of(administrator, f"{place}end-contract/", language="zh-hans")
    assert f"{place}reopen-contract/" not in text_of(administrator, place)
    for put_off, ends_at in (({}, None), ({"until": "2026-10-01T01:00"}, FIRST_AT + timedelta(hours=1))):
        administrator.post(f"{place}end-contract/", {"at": "2026-10-01T00:00"})
        assert f"{place}reopen-contract/" in text_of(administrator, place)
        assert "留空" in text_of(administrator, f"{place}reopen-contract/", language="zh-hans")
        assert administrator.post(f"{place}reopen-contract/", put_off).status_code == 302
        assert Contract.objects.get().ends_at == ends_at
    assert administrator.post(f"{place}end-contract/", {"at": "2026-10-01T00:00"}).status_code == 302
    assert Contract.objects.get().ends_at == FIRST_AT
    settle(ours, knowing)
    place = f"/rebills/{RebillProposal.objects.get().id}/"
    assert "nothing would replace it" in text_of(operator, place)
    form = text_of(operator, f"{place}approve/", language="zh-hans")
    assert "且不另开账单" in form
    operator.post(f"{place}approve/", {"version": shown_version(form)})
    assert not Bill.objects.filter(state="ISSUED").exists()
    text_of(operator, place)


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


def test_a_noted_reading_is_withdrawn_on_the_meters_page(ours: People, home: Home, log_in: LogIn) -> None:
    operator, other, viewer = log_in(ours.operator), log_in(ours.administrator), log_in(ours.viewer)
    page = f"/meters/{home.meter_id}/"
    shown = {"at": "2026-10-05T10:07:00", "quantity": "energy_import", "read": "999000"}
    assert operator.post(f"{page}note-read/", shown).status_code == 302
    read = FieldRead.objects.latest("id")
    withdraw = f"/noted-reads/{read.id}/withdraw/"
    assert withdraw in text_of(operator, page)
    assert withdraw not in text_of(viewer, page)
    assert viewer.post(withdraw, {"note": "misread"}).status_code == 403
    assert "不再计入" in text_of(operator, withdraw, language="zh-hans")
    assert operator.post(withdraw, {"note": ""}).status_code == 422
    assert operator.post(withdraw, {"note": "hasty"}).status_code == 302
    assert operator.post(f"{page}note-read/", {**shown, "read": "998000"}).status_code == 302
    assert "which ended the withdrawal of " in text_of(operator, page)
    assert "的撤回随之终止：hasty" in text_of(operator, page, language="zh-hans")
    withdraw = f"/noted-reads/{FieldRead.objects.latest('id').id}/withdraw/"
    assert operator.post(withdraw, {"note": "another meter's"}).status_code == 302
    waiting = ReadWithdrawal.objects.get(state="PENDING")
    approve = f"/read-withdrawals/{waiting.id}/approve/"
    assert "waits for a second person" in text_of(operator, page)
    assert approve not in text_of(operator, page)
    assert operator.post(approve).status_code == 422
    assert approve in text_of(other, page)
    assert "another meter&#x27;s" in text_of(other, approve)
    text_of(other, f"/read-withdrawals/{waiting.id}/reject/", language="zh-hans")
    assert other.post(approve).status_code == 302
    assert "已撤回" in text_of(viewer, page, language="zh-hans")
    assert FieldRead.objects.latest("id").is_withdrawal
    text_of(other, approve, 404)


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
    stored = {1: (5_000_000, int(Provenance.MEASURED), 0, 0)}
    store._measured[ours.tenant.id, series.id] = {starts_at_s: stored}
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
