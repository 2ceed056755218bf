"""Pages of how long readings stay: for administrators, in both languages, refusals beside the field."""

import pytest

from console_street import LogIn
from relational import NOW, People
from wattkeeper.actions.operations.keep_retention import Due
from wattkeeper.data.collection.models import Retention

PAGES = ("/retention/", "/retention/due/", "/retention/READS/")


def test_only_administrators_see_and_change_it(ours: People, log_in: LogIn) -> None:
    for actor in (ours.viewer, ours.operator):
        client = log_in(actor)
        for address in PAGES:
            assert client.get(address).status_code == 403, address
        assert client.post("/retention/READS/", {"store_months_count": "24"}).status_code == 403
        assert "/retention/" not in client.get("/").content.decode()
    assert not Retention.objects.exists()


def test_a_rule_is_set_and_shown(ours: People, log_in: LogIn) -> None:
    client = log_in(ours.administrator)
    assert "/retention/" in client.get("/").content.decode()
    assert "For good" in client.get("/retention/").content.decode()
    form = {"store_months_count": "24", "file_months_count": "120"}
    assert client.post("/retention/READS/", form).status_code == 302
    row = Retention.objects.get()
    assert (row.tenant_id, row.kind, row.store_months_count, row.file_months_count) == (
        ours.tenant.id, "READS", 24, 120
    )  # fmt: skip
    shown = client.get("/retention/", headers={"Accept-Language": "zh-hans"}).content.decode()
    assert all(word in shown for word in ("保留期限", "原始读数", "120", "永不"))
    assert 'value="24"' in client.get("/retention/READS/").content.decode()
    empty = {"store_months_count": "", "file_months_count": ""}
    assert client.post("/retention/READS/", empty).status_code == 302
    assert not Retention.objects.exists()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"store_months_count": "12"}, "Give 13 to 1200 months"),
        ({"store_months_count": "24", "file_months_count": "24"}, "give 25 to 1200 months"),
        ({"store_months_count": "", "file_months_count": "24"}, "has no files to destroy"),
    ],
)
def test_a_refusal_is_told_beside_the_field(
    ours: People, log_in: LogIn, form: dict[str, str], words: str
) -> None:
    answer = log_in(ours.administrator).post("/retention/VALUES/", form)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Retention.objects.exists()


def test_there_is_no_page_of_another_kind(ours: People, log_in: LogIn) -> None:
    assert log_in(ours.administrator).get("/retention/BILLS/").status_code == 404


def test_what_would_go_is_told_with_what_holds_it(
    ours: People, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = log_in(ours.administrator)
    client.post("/retention/READS/", {"store_months_count": "24"})
    assert "The readings store is not running" in client.get("/retention/due/").content.decode()
    due = [
        Due(202401, "archive", "READS", "raw_read", 96_000),
        Due(
            202402, "destroy", "READS", "raw_read", 7, "operations.held-rebill", ("H2",), held_elsewhere=True
        ),
    ]
    monkeypatch.setattr(
        "wattkeeper.interfaces.web.console.views_retention.list_due",
        lambda services, now, tenant_id: due if now == NOW and services else [],
    )
    shown = client.get("/retention/due/").content.decode()
    assert all(
        word in shown
        for word in (
            "2024-01",
            "96000",
            "Into the archive",
            "decide its rebill proposal. Usage points: H2. Another organisation needs it.",
        )
    )
    file = client.get("/retention/due/", {"format": "csv"}).content.decode()
    assert "2024-02,Destroyed,Reads,raw_read,7," in file
