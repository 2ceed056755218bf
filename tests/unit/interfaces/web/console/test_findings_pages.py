"""Findings on their pages: in groups, each of them, closed together, exported whole."""

from datetime import timedelta

import pytest
from django.urls import reverse

from console_street import LogIn
from relational import NOW, People, Street
from wattkeeper.data.alarms.groups import GroupKey
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import FindingDraft, keep_findings

MANY = 600


@pytest.fixture
def flood(ours: People, street: Street) -> None:
    """Hundreds of findings of one rule at one meter, some at another, one at a link."""
    drafts = [
        FindingDraft(
            ours.tenant.id,
            "vee.constant",
            f"series:{meter_id}",
            NOW - timedelta(hours=hour),
            usage_point_id=point_id,
            meter_id=meter_id,
        )
        for meter_id, point_id, count in (
            (street.meter_id, street.point_id, MANY),
            (street.other_meter_id, street.other_point_id, 3),
        )
        for hour in range(count)
    ]
    keep_findings([*drafts, FindingDraft(ours.tenant.id, "collection.link-down", "link:1", NOW)], now=NOW)


def test_hundreds_of_findings_are_a_few_lines(ours: People, flood: None, log_in: LogIn) -> None:
    client = log_in(ours.viewer)
    overview = client.get(reverse("console:overview"))
    assert (overview.context["open_groups_count"], overview.context["open_findings_count"]) == (3, MANY + 4)
    page = client.get(reverse("console:findings"))
    assert [group.findings_count for group in page.context["groups"]] == [1, 3, MANY]
    assert "Close those ticked" not in page.content.decode()
    group = page.context["groups"][2]
    each = client.get(reverse("console:findings"), {"group": str(group.key)})
    assert each.context["pages"].total_count == MANY
    assert client.get(reverse("console:findings"), {"view": "each"}).context["pages"].total_count == MANY + 4


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"rule": "vee.constant"}, 2),
        ({"q": "260100000002"}, 1),
        ({"state": "CLOSED"}, 0),
        ({"state": "ALL"}, 3),
        ({"site": "999"}, 0),
        ({"rule": "nonsense", "site": "x", "state": "x"}, 3),
        ({"group": "no|group"}, 3),
    ],
)
def test_groups_are_narrowed(
    ours: People, flood: None, log_in: LogIn, query: dict[str, str], count: int
) -> None:
    assert log_in(ours.viewer).get(reverse("console:findings"), query).context["pages"].total_count == count


@pytest.mark.parametrize("view", ["", "each"])
def test_findings_are_shown_as_they_stood(ours: People, flood: None, log_in: LogIn, view: str) -> None:
    client = log_in(ours.operator)
    now = client.get(reverse("console:findings"), {"view": view}).context["pages"].total_count
    local = {"before": "2026-11-22T19:59:59", "after": "2026-11-22T20:00:00"}  # Shanghai, NOW is at 20:00
    asked = {"view": view, "as_of": local["before"]}
    before = client.get(reverse("console:findings"), asked)
    assert before.context["pages"].total_count == 0
    assert 'value="2026-11-22T19:59:59"' in before.content.decode()
    assert "stood at 2026-11-22 19:59:59" in before.content.decode()
    after = client.get(reverse("console:findings"), {**asked, "as_of": local["after"]})
    assert (after.context["pages"].total_count, now > 0) == (now, True)
    assert "Close those ticked" not in after.content.decode()
    assert "Close …" not in after.content.decode()
    said = client.get(reverse("console:findings"), asked, HTTP_ACCEPT_LANGUAGE="zh-hans").content.decode()
    assert "所列为 2026-11-22 19:59:59 时的发现" in said
    file = client.get(reverse("console:findings"), {**asked, "format": "csv"}).content.decode()
    assert len(file.splitlines()) == 1


def test_a_file_holds_all_of_them(ours: People, flood: None, log_in: LogIn) -> None:
    client = log_in(ours.viewer)
    groups = client.get(reverse("console:findings"), {"format": "csv"}).content.decode().splitlines()
    each = client.get(reverse("console:findings"), {"format": "csv", "view": "each"}).content.decode()
    assert (len(groups), len(each.splitlines())) == (1 + 3, 1 + MANY + 4)
    assert f",{MANY},{MANY}," in groups[3]


def test_what_was_seen_is_told_in_the_readers_language(ours: People, street: Street, log_in: LogIn) -> None:
    seen = {"energy_milliwh": 1_250_000, "threshold_pct": 300}
    spike = FindingDraft(
        ours.tenant.id, "vee.spike", "series:1", NOW, meter_id=street.meter_id, evidence=seen
    )
    down = FindingDraft(ours.tenant.id, "collection.link-down", "link:1", NOW, evidence={"error_code": "x.y"})
    keep_findings([spike, down], now=NOW)
    client = log_in(ours.operator)
    finding_id = Finding.objects.get(rule="vee.spike").id
    meter, closing = reverse("console:meter", args=[street.meter_id]), [finding_id]
    told = "电量: 1.25 kWh; 阈值: 300 %"
    for address, words in (
        (reverse("console:findings") + "?view=each", ("1.25 kWh", "阈值", "操作未能完成", "通信链路 1")),
        (reverse("console:findings"), ("通信链路 1",)),
        (meter, ("1.25 kWh", "阈值")),
        (reverse("console:finding_close", args=closing), ("1.25 kWh", "阈值")),
        (reverse("console:findings") + "?view=each&format=csv", (told,)),
    ):
        page = client.get(address, HTTP_ACCEPT_LANGUAGE="zh-hans").content.decode()
        assert [word for word in words if word not in page] == [], address
        assert "threshold_pct" not in page
        assert "link:1<" not in page


def test_ticked_groups_are_closed_together(ours: People, street: Street, flood: None, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    page = client.get(reverse("console:findings"))
    up_to_id = page.context["up_to_id"]
    keys = [str(group.key) for group in page.context["groups"][1:]]
    form = client.get(reverse("console:findings_close"), {"key": keys, "up_to_id": up_to_id})
    assert str(MANY + 3) in form.content.decode()
    late = FindingDraft(
        ours.tenant.id,
        "vee.constant",
        "series:99",
        NOW,
        meter_id=street.meter_id,
        usage_point_id=street.point_id,
    )
    keep_findings([late], now=NOW)
    sent = {"keys": " ".join(keys), "up_to_id": up_to_id, "comment": "pulse meters sleep at night"}
    assert client.post(reverse("console:findings_close"), {**sent, "comment": " "}).status_code == 422
    assert client.post(reverse("console:findings_close"), sent).status_code == 302
    assert set(Finding.objects.filter(state="OPEN").values_list("subject_key", flat=True)) == {
        "link:1",
        "series:99",
    }


def test_all_that_a_filter_shows_is_closed(ours: People, flood: None, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    up_to_id = client.get(reverse("console:findings")).context["up_to_id"]
    form = client.get(
        reverse("console:findings_close"), {"all": "1", "rule": "vee.constant", "up_to_id": up_to_id}
    )
    sent = {**form.context["form"].initial, "comment": "seen"}
    client.post(reverse("console:findings_close"), sent)
    assert Finding.objects.get(state="OPEN").rule == "collection.link-down"


def test_a_viewer_closes_nothing(ours: People, flood: None, log_in: LogIn) -> None:
    sent = {"keys": "collection.link-down|||link:1", "up_to_id": 10**9, "comment": "x"}
    assert log_in(ours.viewer).post(reverse("console:findings_close"), sent).status_code == 403
    assert not Finding.objects.filter(state="CLOSED").exists()


@pytest.mark.parametrize("text", ["", "a|b|c", "a|1|x|", "a|1|2"])
def test_what_names_no_group_is_no_group(text: str) -> None:
    assert GroupKey.parse(text) is None


def test_a_key_survives_its_text() -> None:
    for key in (GroupKey("r", 1, None, ""), GroupKey("r", None, None, "link:1"), GroupKey("r", 1, 2, "a|b")):
        assert GroupKey.parse(str(key)) == key
