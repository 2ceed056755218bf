"""What pages say of readings: values, profiles, the way from a bill to a frame, missing that is not zero."""

import re
from datetime import date, datetime, time, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from console_street import FIRST_AT, FRAME, Home, LogIn
from relational import NOW, People, Street
from wattkeeper.actions.jobs.run_job import run_job
from wattkeeper.actions.registry.note_read import note_read
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.queries import get_bill
from wattkeeper.data.collection.models import Job
from wattkeeper.data.registry.models import Series, Site
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.files import read_file
from wattkeeper.interfaces.reads.bills import line_intervals, trace_of
from wattkeeper.interfaces.reads.intervals import load_profile
from wattkeeper.interfaces.reads.trace import Trace, trace_interval
from wattkeeper.interfaces.web.console.forms_work import EXPORT_FORMATS
from wattkeeper.interfaces.web.console.reads_overview import read_success, site_days
from wattkeeper.store.api import Measurements
from wattkeeper.store.memory import MemoryReadingStore

DAY_COUNT = 96


def series_of(home: Home) -> Series:
    return Series.objects.select_related("usage_point__site").get(id=home.series_id)


def test_the_home_is_read_without_a_hole(home: Home, store: MemoryReadingStore) -> None:
    profile = load_profile(store, series=series_of(home), range_code="7d", now=NOW)
    assert profile["interval_s"] == 900
    assert None not in profile["energy_wh"]
    assert not any(profile["is_estimated"])
    assert 6.5 * DAY_COUNT < len(profile["energy_wh"]) < 7.1 * DAY_COUNT


def test_a_hole_is_drawn_as_a_hole(ours: People, home: Home, store: MemoryReadingStore) -> None:
    hole_s = int((NOW - timedelta(days=1)).timestamp()) // 900 * 900
    own = store._measured[ours.tenant.id, home.series_id]
    (value,) = own[hole_s].values()
    assert value[0] > 0
    own[hole_s] = {99: (0, int(Provenance.MISSING), 0, 0)}
    profile = load_profile(store, series=series_of(home), range_code="7d", now=NOW)
    assert profile["energy_wh"][profile["starts_at_s"].index(hole_s)] is None
    assert profile["energy_wh"].count(None) == 1


def test_hours_of_a_zone_of_half_hours_are_drawn_where_they_begin(
    ours: People, home: Home, store: MemoryReadingStore
) -> None:
    Series.objects.filter(id=home.series_id).update(interval_s=3600)
    Site.objects.update(time_zone="Asia/Kolkata")
    store._measured[ours.tenant.id, home.series_id].clear()
    midnight = datetime.combine(NOW.date() - timedelta(days=3), time(), ZoneInfo("Asia/Kolkata"))
    starts_at_s = int(midnight.timestamp()) + 3600 * np.arange(24)
    one, nothing = np.ones(24, np.int64), np.zeros(24, np.int64)
    rows = Measurements(one * home.series_id, starts_at_s, 1000 * one, one, nothing, nothing, one)
    store.insert_measurements(ours.tenant.id, rows)
    profile = load_profile(store, series=series_of(home), range_code="7d", now=NOW)
    assert profile["starts_at_s"] == starts_at_s.tolist()
    assert profile["energy_wh"] == [1.0] * 24


def test_a_hole_is_shown_as_missing(
    ours: People, home: Home, store: MemoryReadingStore, log_in: LogIn
) -> None:
    hole_s = int(FIRST_AT.timestamp())
    store._measured[ours.tenant.id, home.series_id][hole_s] = {99: (0, int(Provenance.MISSING), 0, 0)}
    address = reverse("console:intervals", args=[home.series_id])
    client = log_in(ours.viewer)
    answer = client.get(f"{address}?day=2026-10-01")
    assert answer.context["missing_count"] == 1
    assert "Missing" in answer.content.decode()
    rows = client.get(f"{address}?day=2026-10-01&format=csv").content.decode("utf-8-sig").splitlines()
    assert len(rows) == DAY_COUNT + 1
    assert rows[1].startswith("2026-10-01 00:00:00+08:00,,Missing")


DAY = {"first": "2026-10-02", "last": "2026-10-02"}


def test_what_is_stored_is_taken_away_as_a_file(
    ours: People, theirs: People, home: Home, store: MemoryReadingStore, log_in: LogIn
) -> None:
    """A person who may look may take it away, in every format that the page offers, and nobody else may."""
    address = reverse("console:usage_point_export", args=[home.point_id])
    viewer = log_in(ours.viewer)
    assert address in viewer.get(reverse("console:usage_point", args=[home.point_id])).content.decode()
    series = series_of(home)
    starts_at = datetime(2026, 10, 2, tzinfo=ZoneInfo(series.usage_point.site.time_zone))
    first_s = int(starts_at.timestamp())
    own = store.measurements(ours.tenant.id, [series.id], first_s, first_s + DAY_COUNT * 900)
    for form, _name in EXPORT_FORMATS:
        answer = viewer.post(address, {"form": form, **DAY, "is_part_enough": "on"})
        assert answer["Content-Disposition"].startswith(
            f'attachment; filename="{form}-2026-10-02-2026-10-02.'
        )
        if form in ("nem12", "nem13"):  # the usage point's code is no NMI
            continue
        blocks = read_file(answer.content, CsvOptions()).blocks
        block = next(block for block in blocks if block.channel == "import")
        assert block.value_milli.tolist() == own.value_milliwh.tolist()
    assert log_in(theirs.administrator).get(address).status_code == 404
    assert Client().post(address, {"form": "csv", **DAY}).status_code == 302


@pytest.mark.parametrize(
    ("language", "told"),
    [("en", "Choose another format or other days"), ("zh-hans", "文件不会包含全部内容")],
)
def test_a_file_that_can_not_hold_all_is_not_given_unasked(
    ours: People, home: Home, log_in: LogIn, language: str, told: str
) -> None:
    address = reverse("console:usage_point_export", args=[home.point_id])
    client = log_in(ours.viewer)
    client.post(reverse("console:set_language"), {"language": language})
    answer = client.post(address, {"form": "nem12", **DAY})
    assert answer.status_code == 422
    assert told in answer.content.decode()
    assert answer.context["form"].errors.keys() == {"is_part_enough"}
    for wrong in ({"last": "2026-10-01"}, {"last": "2028-10-01"}, {"first": "soon"}, {"form": "pdf"}):
        assert client.post(address, {"form": "csv", **DAY, **wrong}).status_code == 422


def test_a_file_is_as_of_an_instant(ours: People, home: Home, log_in: LogIn) -> None:
    address = reverse("console:usage_point_export", args=[home.point_id])
    asked = {"form": "csv", **DAY, "as_of": "2020-01-01T00:00:00"}
    answer = log_in(ours.viewer).post(address, asked)
    assert answer.content.decode().count("\n") == 1  # the names of the columns


def test_reactive_energy_says_its_unit_and_a_point_shows_all_it_measures(
    ours: People, home: Home, log_in: LogIn
) -> None:
    active = Series.objects.get(id=home.series_id)
    reactive = Series.objects.create(
        tenant_id=active.tenant_id, usage_point_id=home.point_id, quantity="energy_reactive_import"
    )
    text = log_in(ours.viewer).get(reverse("console:intervals", args=[reactive.id])).content.decode()
    assert "Reactive energy, kvarh" in text
    assert " kWh" not in text
    assert reverse("console:intervals", args=[active.id]) in text


def test_every_line_of_a_bill_is_made_of_its_intervals(
    ours: People, home: Home, store: MemoryReadingStore
) -> None:
    bill = get_bill(tenant_id=ours.tenant.id, bill_id=home.bill_id)
    assert bill is not None
    held_milliwh = 0
    for line in bill.lines:
        trace = trace_of(line)
        if trace is None:
            continue
        found = line_intervals(store, tenant_id=ours.tenant.id, bill=bill, line=line, trace=trace)
        quantity_milliwh = bill.document["lines"][line.position - 1]["quantity_milliwh"]
        assert found.held_milliwh == quantity_milliwh
        assert len(found.rows) == trace.interval_count
        held_milliwh += found.held_milliwh
    assert held_milliwh == bill.row.energy_milliwh > 230 * 10**6  # into the second tier
    assert {line.tier for line in bill.lines if line.tier} == {1, 2}


def test_an_interval_leads_to_its_reads_and_frames(home: Home, store: MemoryReadingStore) -> None:
    starts_at_s = int(FIRST_AT.timestamp())
    trace = trace_interval(store, series=series_of(home), starts_at_s=starts_at_s)
    assert trace is not None
    assert [read.measured_at.timestamp() - starts_at_s for read in trace.reads] == [0, 900]
    assert {read.frame_hex for read in trace.reads} == {FRAME.hex(" ").upper()}
    assert trace.reads[0].text == "1234.56"
    assert trace.advance is not None
    assert float(trace.advance.energy_kwh_text) * 10**6 == trace.interval.energy_milliwh
    assert trace_interval(store, series=series_of(home), starts_at_s=7) is None


def test_a_trace_says_which_read_was_corrected_and_adds_nothing_up_over_a_reset(
    ours: People, home: Home, store: MemoryReadingStore, services: Services, log_in: LogIn
) -> None:
    starts_at_s = int(FIRST_AT.timestamp())

    def noted(read: str, at: datetime, set_to: str | None = None) -> Trace:
        who = {"actor": ours.operator, "now": NOW, "services": services, "meter_id": home.meter_id}
        note_read(**who, at=at, read=read, set_to=set_to)  # type: ignore[arg-type]
        trace = trace_interval(store, series=series_of(home), starts_at_s=starts_at_s)
        assert trace is not None
        return trace

    assert noted("1234.99", FIRST_AT).advance is None  # the meter and the person disagree
    trace = noted("1234.56", FIRST_AT)
    assert {(read.text, read.is_corrected) for read in trace.reads[:-1]} == {
        ("1234.56", False),
        ("1234.99", True),
    }
    assert trace.advance is not None
    page = log_in(ours.viewer).get(reverse("console:trace", args=[home.series_id, starts_at_s]))
    assert page.content.decode().count("Corrected or withdrawn since") == 1
    last = trace.reads[-1]
    assert noted(last.text, last.measured_at, last.text).advance is None


def test_the_way_from_a_bill_to_a_frame(ours: People, home: Home, log_in: LogIn) -> None:
    client = log_in(ours.viewer)
    line_url = reverse("console:bill_line", args=[home.bill_id, 2])
    assert line_url in client.get(reverse("console:bill", args=[home.bill_id])).content.decode()
    page = client.get(line_url)
    row = page.context["pages"].rows[0]
    trace_url = reverse("console:trace", args=[home.series_id, row.starts_at_s])
    assert f"{trace_url}?run=" in page.content.decode()
    assert FRAME.hex(" ").upper() in client.get(trace_url).content.decode()
    assert client.get(reverse("console:trace", args=[home.series_id, 7])).status_code == 404
    assert client.get(reverse("console:bill_line", args=[home.bill_id, 1])).status_code == 404


def test_live_values_are_exact(ours: People, home: Home, log_in: LogIn) -> None:
    answer = log_in(ours.viewer).get(reverse("console:meter_live", args=[home.meter_id]))
    values = {row.reading_type: (row.text, row.unit) for row in answer.context["newest"].live}
    assert values == {
        "voltage_l1_v": ("230.1", "V"),
        "current_l1_a": ("4.210", "A"),
        "power_import_w": ("960.0", "W"),
    }


def test_times_are_the_sites(ours: People, home: Home, log_in: LogIn) -> None:
    text = log_in(ours.viewer).get(reverse("console:meter", args=[home.meter_id])).content.decode()
    assert "Asia/Shanghai" in text
    assert "2026-11-22 19:59:30" in text  # 11:59:30 in UTC
    assert "2026-11-22 11:59:30" not in text


def test_read_success_counts_what_is_due(ours: People, home: Home, store: MemoryReadingStore) -> None:
    success = read_success(store, tenant_id=ours.tenant.id, now=NOW)
    assert success.due_count == 20 * 4 - 1  # 20:00 in Shanghai; the newest quarter of an hour is not due yet
    assert success.held_count == success.due_count - 1  # the last read is of 19:30


def test_a_day_of_which_nothing_is_known_is_not_zero(
    ours: People, home: Home, store: MemoryReadingStore
) -> None:
    (days,) = site_days(store, tenant_id=ours.tenant.id, now=NOW, days_count=62)
    (unread,) = site_days(MemoryReadingStore(), tenant_id=ours.tenant.id, now=NOW, days_count=62)
    assert len(days.days) == len(unread.days) == 62
    assert dict(zip(days.days, days.energy_milliwh, strict=True))[date(2026, 10, 1)] is not None
    assert set(unread.energy_milliwh) == {None}


def test_bars_are_drawn_by_day(ours: People, home: Home, log_in: LogIn) -> None:
    client = log_in(ours.viewer)
    drawn = client.get(reverse("console:overview_daily"), {"days": "7"}).json()
    assert drawn["labels"][-1] == "2026-11-22"
    assert len(drawn["labels"]) == len(drawn["series"][0]["energy_kwh"]) == 7
    empty = client.get(reverse("console:overview_daily"), {"site": "999"}).json()
    assert empty == {"labels": [], "series": []}


@pytest.mark.parametrize("place", ["overview", "site"])
def test_bars_are_drawn_as_of_an_instant(ours: People, home: Home, log_in: LogIn, place: str) -> None:
    client = log_in(ours.viewer)
    site_id = Site.objects.get(tenant=ours.tenant).id
    url = reverse("console:site", args=[site_id]) if place == "site" else reverse("console:overview")
    shown = client.get(url, {"as_of": "2026-11-22T20:00:00"}).content.decode()
    address = unescape(re.search(r'data-chart="bars" data-url="([^"]+)"', shown)[1])  # type: ignore[index]
    assert "as_of=2026-11-22T20%3A00%3A00%2B08%3A00" in address
    assert ("site=" in address) == (place == "site")
    assert "as they were known at 2026-11-22 20:00:00" in shown
    nothing = client.get(address.replace("2026-11-22", "2026-11-20")).json()
    assert nothing == {"labels": [], "series": []}
    assert client.get(address).json() == client.get(re.sub("as_of=[^&]*", "", address)).json()


def test_a_month_is_billed_in_the_background(
    ours: People, home: Home, log_in: LogIn, services: Services
) -> None:
    client = log_in(ours.operator)
    waiting = client.post(reverse("console:run_billing"), {"month": "2026-11"}, follow=True)
    address = waiting.redirect_chain[-1][0]
    assert "every 1s" in waiting.content.decode()
    assert run_job(services=services)
    answer = client.get(address)
    assert "every 1s" not in answer.content.decode()
    assert "Bills of 2026-11" in answer.content.decode()
    assert (answer.context["job"].state, answer.context["results"][-1]) == ("DONE", ("Bills held back", 1))
    assert [place for place, _text in answer.context["errors"]] == ["U1"]  # November is not complete yet
    assert client.post(reverse("console:run_billing"), {"month": "soon"}).status_code == 302


@pytest.mark.parametrize("ticked", [{}, {"accept_estimates": "on"}], ids=["waits", "accepts"])
def test_a_tick_bills_over_estimates(ours: People, home: Home, log_in: LogIn, ticked: dict[str, str]) -> None:
    client, asked = log_in(ours.operator), {"month": "2026-11", **ticked}
    assert "含估算值也出账" in client.get("/bills/", headers={"Accept-Language": "zh-hans"}).content.decode()
    assert 'name="accept_estimates"' not in log_in(ours.viewer).get("/bills/").content.decode()
    assert log_in(ours.viewer).post(reverse("console:run_billing"), asked).status_code == 403
    client.post(reverse("console:run_billing"), asked)
    (record,) = AuditRecord.objects.filter(verb="billing.request")
    assert record.detail["accept_estimates"] is bool(ticked)
    assert Job.objects.latest("id").params["accept_estimates"] is bool(ticked)


def test_a_finding_is_closed_with_a_word(ours: People, home: Home, log_in: LogIn) -> None:
    client = log_in(ours.operator)
    finding = ours.tenant.finding_set.get(rule="collection.silent")
    address = reverse("console:finding_close", args=[finding.id])
    assert client.post(address, {"comment": " "}).status_code == 422
    assert client.post(address, {"comment": "battery replaced"}).status_code == 302
    finding.refresh_from_db()
    assert (finding.state, finding.comments.get().text) == ("CLOSED", "battery replaced")


@pytest.mark.parametrize(
    ("search", "count"), [("260100000001", 1), ("U2", 0), ("Flat U1", 1), ("nothing", 0)]
)
def test_the_meter_list_is_searched(ours: People, home: Home, log_in: LogIn, search: str, count: int) -> None:
    answer = log_in(ours.viewer).get(reverse("console:meters"), {"q": search})
    assert answer.context["pages"].total_count == count


def test_the_meter_list_is_narrowed_and_sorted(
    ours: People, home: Home, street: Street, log_in: LogIn
) -> None:
    client = log_in(ours.viewer)

    def ids(**query: str) -> list[int]:
        rows = client.get(reverse("console:meters"), query).context["pages"].rows
        return [row.meter_id for row in rows]

    assert ids(answering="no") == [street.other_meter_id]
    assert ids(state="INSTALLED") == [home.meter_id]
    assert ids(site=str(street.site_id)) == [home.meter_id, street.other_meter_id]
    assert ids(sort="-serial_number") == [street.other_meter_id, home.meter_id]
    assert ids(sort="nonsense", page="0", site="x") == [home.meter_id, street.other_meter_id]
