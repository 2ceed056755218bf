"""The import on pages: what was recognised, what a person changes, a try, good rows or all, kept columns."""

from io import BytesIO
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from console_street import LogIn
from relational import People, Street
from wattkeeper.actions.collection.mappings import get_mapping, list_mappings
from wattkeeper.actions.collection.uploads import FOLDER
from wattkeeper.actions.jobs.run_job import run_job
from wattkeeper.actions.services import Services
from wattkeeper.data.collection.models import Job
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.interfaces.web.console import forms_import

GOOD = [f"SHOP-1;01.11.2026 {at // 4:02}:{at % 4 * 15:02};1,25" for at in range(12)]
ROWS = "\n".join(["Zählpunkt;Zeit;Bezug (kWh)", *GOOD[:2], "SHOP-1;01.11.2026 00:30;viel", *GOOD[3:]])
NEM12 = b"100,NEM12,202611010000,A,B\n900\n"


def file_of(content: bytes, name: str = "november.csv") -> BytesIO:
    opened = BytesIO(content)
    opened.name = name
    return opened


def send(client: Client, street: Street, content: bytes = ROWS.encode()) -> str:
    """Send a file; return the address of its page."""
    answer = client.post(reverse("console:import"), {"file": file_of(content), "site": str(street.site_id)})
    assert answer.status_code == 302, answer.context["form"].errors
    return answer.headers["Location"]


def fields_of(answer: Any, **changes: object) -> dict[str, object]:
    """Return what a browser would send back of the form that it was shown."""
    form = answer.context["form"]
    shown = {field.name: field.value() for field in form}
    return {name: value for name, value in {**shown, **changes}.items() if value not in (None, False)}


def test_the_encoding_is_shown_chosen_and_kept(ours: People, street: Street, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    text = "户号;时间;kWh\n商店;2026-03-01 00:00;1\n商店;2026-03-01 00:15;2\n"
    shown = client.get(send(client, street, text.encode("gbk")))
    assert shown.context["form"]["encoding"].value() == "gb18030"
    assert [row.column.title for row in shown.context["form"].rows] == ["户号", "时间", "kWh"]
    text = text.replace("户号", "Höhe").replace("时间", "Zeit").replace("商店", "Köln")
    address = send(client, street, text.encode("cp1252"))
    shown = client.get(address)
    assert (shown.context["form"]["encoding"].value(), shown.context["questions"][0]) == ("", "encoding")
    shown = client.post(address, fields_of(shown, do="refresh", encoding="cp1252"))
    assert shown.context["form"].rows[0].column.title == "Höhe"
    tried = client.post(address, fields_of(shown, do="try", role_0="usage_point"))
    assert (tried.context["result"].rows_count, tried.context["errors_count"]) == (2, 0)
    client.post(address, fields_of(shown, do="save", role_0="usage_point", save_as="till"))
    assert get_mapping(tenant_id=ours.tenant.id, name="till").encoding == "cp1252"


def test_a_file_is_recognised_changed_tried_and_imported(
    ours: People, street: Street, log_in: LogIn, services: Services
) -> None:
    client = log_in(ours.operator)
    address = send(client, street)
    shown = client.get(address)
    form = shown.context["form"]
    assert [row.role.value() for row in form.rows] == ["usage_point", "time", "value"]
    assert [form[name].value() for name in ("delimiter", "decimal_mark", "zone")] == [
        ";",
        ",",
        "Asia/Shanghai",
    ]
    assert "zone" in shown.context["questions"]
    assert form["channel_2"].value() == "import"
    tried = client.post(address, fields_of(shown, do="try", label="end"))
    assert (tried.status_code, tried.context["result"].rows_count, tried.context["errors_count"]) == (
        200,
        11,
        1,
    )
    assert tried.context["errors"][0][0].startswith("4:")
    assert tried.context["blocks"][0]["sum"] == "13.75"
    assert not UsagePoint.objects.filter(code="SHOP-1").exists(), "a try keeps nothing"
    answer = client.post(address, fields_of(tried, do="import", save_as="till"))
    job = Job.objects.get()
    assert answer.headers["Location"] == reverse("console:job", args=[job.id])
    assert run_job(services=services)
    page = client.get(answer.headers["Location"])
    assert [place for place, _text in page.context["errors"]] == ["4:3"]
    assert UsagePoint.objects.get(code="SHOP-1").site_id == street.site_id
    assert get_mapping(tenant_id=ours.tenant.id, name="till").label == "end"
    assert list((services.data_folder / FOLDER).iterdir()) == []
    assert client.get(address).status_code == 422, "the file is gone"


def test_a_table_with_a_day_a_row_is_shown_kept_tried_and_imported(
    ours: People, street: Street, log_in: LogIn, services: Services
) -> None:
    client = log_in(ours.operator)
    clocks = [f"{at // 4:02}:{at % 4 * 15:02}" for at in range(1, 97)]
    rows = [f"2026-11-0{day},SHOP-2,{','.join(['0.25', '', *['0.5'] * 94])}" for day in (1, 2)]
    content = "\n".join([f"日期,户号,{','.join(clocks)}", *rows, rows[0].replace("-01,", "-03,") + "x"])
    address = send(client, street, content.encode())
    shown = client.get(address)
    assert [row.role.value() for row in shown.context["form"].rows] == [
        "time",
        "usage_point",
        *["interval"] * 96,
    ]
    assert [row.column.title for row in shown.context["form"].shown_rows] == ["日期", "户号", "00:15"]
    assert len(shown.context["form"].folded_rows) == 95
    assert "95 more columns, 00:30 to 24:00" in shown.content.decode()
    assert "unit" in shown.context["questions"]
    assert "label" not in shown.context["questions"]
    wrong = client.post(address, fields_of(shown, do="try", label="start"))
    assert list(wrong.context["form"].errors) == ["label"]
    power = client.post(address, fields_of(shown, do="try", unit_2="kW"))
    assert power.context["blocks"][0]["unit"] == "kW"
    assert power.context["errors_count"] > 1, "power is no energy"
    client.post(address, fields_of(shown, do="save", save_as="96 points"))
    again = client.get(send(client, street, content.encode()), {"mapping": "96 points"})
    assert fields_of(again) == fields_of(shown)
    tried = client.post(address, fields_of(again, do="try"))
    (block,) = tried.context["blocks"]
    assert (block["sum"], block["intervals"], block["unit"]) == ("141.25", 287, "kWh")
    assert [place for place, _text in tried.context["errors"]] == ["4:98"]
    answer = client.post(address, fields_of(tried, do="import"))
    assert run_job(services=services)
    job = Job.objects.get()
    assert job.result["rows"] == tried.context["result"].rows_count == 284
    page = client.get(answer.headers["Location"])
    assert list(page.context["errors"]) == list(tried.context["errors"])


def test_all_or_nothing_stores_nothing(
    ours: People, street: Street, log_in: LogIn, services: Services
) -> None:
    client = log_in(ours.operator)
    address = send(client, street)
    client.post(address, fields_of(client.get(address), do="import", is_whole="on"))
    assert run_job(services=services)
    job = Job.objects.get()
    assert (job.state, job.result["rows"]) == (Job.State.FAILED, 0)
    page = client.get(reverse("console:job", args=[job.id]))
    assert [place for place, _text in page.context["errors"]] == ["4:3"]
    assert not UsagePoint.objects.filter(code="SHOP-1").exists()


def test_kept_columns_are_used_again_and_removed(ours: People, street: Street, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    address = send(client, street)
    kept = client.post(
        address, fields_of(client.get(address), do="save", save_as="till", channel_2="cash desk")
    )
    assert kept.context["saved"] == "till"
    again = client.get(send(client, street), {"mapping": "till"})
    assert again.context["questions"] == ()
    assert again.context["form"]["channel_2"].value() == "cash desk"
    assert "till" in client.get(reverse("console:mappings")).content.decode()
    client.post(reverse("console:mapping_remove", args=["till"]))
    assert list_mappings(tenant_id=ours.tenant.id) == []


def test_other_marks_are_read_anew(ours: People, street: Street, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    address = send(client, street, b"exported today\na|2026-11-01T00:00Z|5\na|2026-11-01T00:15Z|6\n")
    fields = {"do": "refresh", "delimiter": "|", "header_line": "0"}
    anew = client.post(address, fields)
    assert [row.column.name for row in anew.context["form"].rows] == [1, 2, 3]
    assert anew.context["form"]["header_line"].value() == 0


def test_what_is_missing_is_said_where_it_is(ours: People, street: Street, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    address = send(client, street)
    shown = client.get(address)
    answer = client.post(address, fields_of(shown, do="try", role_1=""))
    assert answer.status_code == 422
    assert "time" in str(answer.context["form"].errors)
    answer = client.post(address, fields_of(shown, do="try", time_format="nonsense"))
    assert answer.status_code == 422
    answer = client.post(address, fields_of(shown, do="save", save_as=""))
    assert answer.status_code == 422


def test_a_file_that_explains_itself_needs_no_columns(ours: People, street: Street, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    address = send(client, street, NEM12)
    shown = client.get(address)
    assert not shown.context["is_table"]
    assert "nem12" in shown.content.decode()
    tried = client.post(address, {"do": "try"})
    assert tried.context["result"].rows_count == 0
    assert client.post(address, {"do": "drop"}).headers["Location"] == reverse("console:import")
    assert client.get(address).status_code == 422


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"a\n", b"PK\x03\x04broken", b"<x/>"])
def test_files_that_are_none_are_told(ours: People, street: Street, log_in: LogIn, content: bytes) -> None:
    client = log_in(ours.operator)
    if not content:
        answer = client.post(reverse("console:import"), {"file": file_of(b"")})
        assert answer.status_code == 422
        return
    address = send(client, street, content)
    shown = client.get(address)
    assert shown.status_code in {200, 422}
    if shown.context.get("form"):
        assert client.post(address, fields_of(shown, do="try")).status_code in {200, 422}


def test_only_operators_and_only_their_own(
    ours: People, theirs: People, street: Street, log_in: LogIn
) -> None:
    address = send(log_in(ours.operator), street)
    assert log_in(theirs.operator).get(address).status_code == 422
    assert log_in(ours.viewer).get(address).status_code == 403
    assert log_in(ours.viewer).get(reverse("console:mappings")).status_code == 403


def test_a_file_that_is_too_large_is_told(
    ours: People, street: Street, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms_import, "FILE_MAX_BYTES", 10)
    answer = log_in(ours.operator).post(reverse("console:import"), {"file": file_of(b"x" * 11)})
    assert answer.status_code == 422
