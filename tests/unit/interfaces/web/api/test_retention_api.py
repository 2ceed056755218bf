"""How long readings stay, over the API: administrators set and see it, refusals have codes."""

from typing import Any

import pytest

from api_caller import Caller
from relational import NOW, People
from wattkeeper.actions.operations.keep_retention import Due
from wattkeeper.data.collection.models import Retention


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_rule_is_set_and_read(call: Caller, ours: People, theirs: People) -> None:
    rule = {"store_months_count": 24, "file_months_count": 120}
    assert call("PUT", "/retention/READS", rule).status_code == 204
    rows = {row.pop("kind"): row for row in call("GET", "/retention").json()}
    nothing = {"store_months_count": None, "file_months_count": None}
    assert rows == {"FRAMES": nothing, "READS": rule, "VALUES": nothing}
    others = Caller(theirs.administrator)("GET", "/retention").json()
    assert [row["store_months_count"] for row in others] == [None, None, None]
    assert call("PUT", "/retention/READS", {"store_months_count": None}).status_code == 204
    assert not Retention.objects.exists()


def test_refusals_have_codes(call: Caller) -> None:
    for kind, rule, code in (
        ("READS", {"store_months_count": 0}, "operations.retention-span"),
        ("READS", {"store_months_count": 9, "file_months_count": 9}, "operations.retention-files"),
        ("READS", {"store_months_count": None, "file_months_count": 9}, "operations.retention-no-files"),
        ("DAYS", {"store_months_count": 9}, "operations.retention-kind"),
        ("READS", {"store_months_count": "many"}, "requests.invalid"),
        ("READS", {"months": 9}, "requests.invalid"),
    ):
        assert code_of(call("PUT", f"/retention/{kind}", rule)) == (422, code)
    assert not Retention.objects.exists()


def test_others_are_refused(ours: People) -> None:
    for actor in (ours.viewer, ours.operator):
        call = Caller(ours.administrator, token=Caller(actor).token)
        for method, path, body in (
            ("GET", "/retention", None),
            ("GET", "/retention/due", None),
            ("PUT", "/retention/READS", {"store_months_count": 9}),
        ):
            assert code_of(call(method, path, body)) == (403, "accounts.not-allowed"), path
    assert not Retention.objects.exists()


def test_what_would_go(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("GET", "/retention/due").json() == []
    call("PUT", "/retention/READS", {"store_months_count": 24})
    assert code_of(call("GET", "/retention/due")) == (503, "store.not-running")
    due = Due(
        202401, "archive", "READS", "raw_read", 96_000, "operations.held-rebill", ("H2",), held_elsewhere=True
    )
    monkeypatch.setattr(
        "wattkeeper.interfaces.web.api.retention.list_due",
        lambda services, now, tenant_id: [due] if now == NOW and services else [],
    )
    assert call("GET", "/retention/due").json() == [
        {
            "month": 202401,
            "step": "archive",
            "kind": "READS",
            "table": "raw_read",
            "rows_count": 96_000,
            "held_by": "operations.held-rebill",
            "held_at": ["H2"],
            "held_elsewhere": True,
        }
    ]
