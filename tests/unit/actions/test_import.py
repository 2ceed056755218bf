"""Files: all good rows in, errors listed, the same file twice changes nothing, a failure loses nothing."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.db import connection

from relational import NOW, People, Street, install_first
from wattkeeper.actions.collection import carried_power, file_meters
from wattkeeper.actions.collection.import_file import import_file, try_import
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.data.registry.installed import told_otherwise
from wattkeeper.data.registry.models import Channel, Installation, Meter, Series, Site, UsagePoint
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

KNOWN: Any = file_meters._Known
HEAD = "usage_point,channel,starts_at,interval_s,value,unit,quality\n"


def row(
    day: int, hour: int, value: str, *, point: str = "P1", channel: str = "import", quality: str = "measured"
) -> str:
    return f"{point},{channel},2026-11-{day:02d}T{hour:02d}:00:00Z,3600,{value},kWh,{quality}\n"


def send(ours: People, services: Services, *rows: str) -> tuple[int, int, list[str]]:
    """Import rows and return (rows, meters, codes of errors)."""
    text = HEAD + "".join(rows)
    result = import_file(
        actor=ours.operator, now=NOW, services=services, content=text.encode(), label="a.csv"
    )
    return result.rows_count, result.meters_count, [error.code for error in result.errors]


def test_good_rows_become_reads_of_a_meter_of_its_own(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    assert send(ours, services, row(2, 0, "1.234567"), row(2, 1, "2"), row(2, 2, "x")) == (
        2,
        1,
        ["formats.not-a-number"],
    )
    meter = Meter.objects.get()
    channel = meter.channels.get()
    reads = store.raw_reads(ours.tenant.id, [channel.id], 0, 2**40)
    assert reads.value.tolist() == [1_234_567, 2_000_000]
    assert set(reads.source.tolist()) == {int(Source.FILE)}
    assert (meter.family, meter.state, channel.has_reads) == ("", "INSTALLED", True)
    series = Series.objects.get()
    facts = get_series_facts([series.id])[series.id]
    assert [row.step_milliwh for row in facts.intervals] == [1]
    assert facts.registers == ()
    assert DirtyWindow.objects.get().ends_at == NOW  # the days after are looked at with it


@pytest.mark.parametrize(
    ("zone", "code", "time_zone"),
    [
        (None, "FILES", "UTC"),
        ("UTC", "FILES", "UTC"),
        ("Asia/Shanghai", "FILES-Asia-Shanghai", "Asia/Shanghai"),
    ],
)
def test_days_of_a_file_are_those_of_its_zone(
    ours: People, services: Services, zone: str | None, code: str, time_zone: str
) -> None:
    given = {"actor": ours.operator, "now": NOW, "services": services, "label": "a.csv"}
    content = (HEAD + row(2, 0, "1")).encode()
    try_import(**given, content=content, options=CsvOptions(zone=zone))
    assert not Site.objects.exists()
    for _ in range(2):
        import_file(**given, content=content, options=CsvOptions(zone=zone))
    site = Site.objects.get()
    assert (site.code, site.time_zone) == (code, time_zone)
    assert UsagePoint.objects.get().site == site


def test_since_when_a_meter_is_there_is_told_as_it_was_known(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    """Earlier rows move the beginning of an installation: as of before they came it is as it was."""
    for days, row_day in enumerate((7, 3, 5, 1)):
        own = {"actor": ours.operator, "now": NOW + timedelta(days=days), "services": services}
        import_file(**own, content=(HEAD + row(row_day, 0, "1")).encode(), label="a.csv")
    installation = Installation.objects.get()
    told = [told_otherwise(ours.tenant.id, NOW + timedelta(days=days)) for days in range(4)]
    began = [own.get(installation.id, installation).starts_at.day for own in told]
    assert began == [7, 3, 3, 1]
    assert told_otherwise(ours.tenant.id, NOW - timedelta(days=1)) == {}


def test_twice_is_once_and_earlier_rows_reach_back(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    for _ in range(2):
        send(ours, services, row(2, 0, "1"))
    send(ours, services, row(1, 0, "1"), row(3, 0, "1"))
    assert store.counts(ours.tenant.id).raw_reads == 3
    assert Installation.objects.get().starts_at.day == 1
    assert (Meter.objects.count(), Channel.objects.count(), Series.objects.count()) == (1, 1, 1)


def test_missing_is_no_read_and_estimates_are_marked(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    rows = (row(2, 0, "", quality="missing"), row(2, 1, "1", quality="estimated"), row(2, 2, "0"))
    assert send(ours, services, *rows)[0] == 2
    reads = store.raw_reads(ours.tenant.id, [Channel.objects.get().id], 0, 2**40)
    assert reads.value.tolist() == [1_000_000, 0]
    assert [bool(flags & Flag.SUSPECT) for flags in reads.flags.tolist()] == [True, False]


def test_intervals_of_another_length_are_refused_not_mixed(
    ours: People, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would be taken for one of the length that is kept: four quarter-hours would lose three."""
    quarters = [row(2, 1, "0.25").replace("01:00:00Z,3600", f"01:{15 * k:02d}:00Z,900") for k in range(4)]
    assert send(ours, services, row(2, 0, "1"), *quarters) == (1, 1, ["imports.interval-differs"])
    assert send(ours, services, *quarters) == (0, 0, ["imports.interval-differs"])
    other_way = [line.replace("import", "export") for line in quarters]
    assert send(ours, services, *other_way) == (0, 0, ["imports.interval-differs"])  # of the same meter
    assert store.counts(ours.tenant.id).raw_reads == 1
    assert send(ours, services, *[line.replace("P1", "P2") for line in quarters]) == (4, 1, [])
    monkeypatch.setattr(file_meters, "fit_length", lambda *_, **__: {})  # the planted fault
    assert send(ours, services, *quarters) == (4, 1, [])


@pytest.mark.parametrize(
    ("zone", "first_at", "interval_s", "kept", "codes"),
    [
        ("Asia/Kolkata", "2026-10-01T18:30:00Z", 3600, 4, []),
        ("Asia/Kolkata", "2026-10-01T18:00:00Z", 3600, 0, ["imports.off-grid"]),
        ("Asia/Kathmandu", "2026-10-01T18:00:00Z", 900, 4, []),
        ("Asia/Kathmandu", "2026-10-01T18:00:00Z", 1800, 0, ["imports.off-grid"]),
        ("Asia/Kolkata", "2026-10-01T18:30:00Z", 86400, 4, []),
        ("Australia/Lord_Howe", "2026-10-03T13:30:00Z", 1800, 4, []),
        ("Australia/Lord_Howe", "2026-10-03T13:30:00Z", 3600, 0, ["series.interval-not-kept"]),
        ("Europe/Berlin", "2026-10-24T22:00:00Z", 3600, 4, []),
        ("Europe/Berlin", "2026-11-01T23:00:00Z", 86400, 0, ["series.interval-not-kept"]),
    ],
)
def test_intervals_that_no_day_begins_with_are_refused_not_lost(
    ours: People,
    services: Services,
    store: MemoryReadingStore,
    zone: str,
    first_at: str,
    interval_s: int,
    kept: int,
    codes: list[str],
) -> None:
    """What lies beside the grid of the local days is in no interval of them: it would be nowhere."""
    site_id = add_site(actor=ours.operator, now=NOW, code="Z", name="Z", kind="COMMERCIAL", time_zone=zone)
    first = datetime.fromisoformat(first_at)
    starts = [first + timedelta(seconds=interval_s * i) for i in range(4)]
    text = HEAD + "".join(f"P1,import,{at.isoformat()},{interval_s},1,kWh,measured\n" for at in starts)
    result = import_file(
        actor=ours.operator, now=NOW, services=services, content=text.encode(), label="a.csv", site_id=site_id
    )
    assert (result.rows_count, [error.code for error in result.errors]) == (kept, codes)
    assert store.counts(ours.tenant.id).raw_reads == kept


def test_one_row_beside_the_grid_is_named_and_the_others_go_in(ours: People, services: Services) -> None:
    rows = [row(2, hour, "1") for hour in range(4)]
    rows.append(row(2, 9, "1").replace("09:00:00", "09:07:00"))
    result = import_file(
        actor=ours.operator,
        now=NOW,
        services=services,
        content=(HEAD + "".join(rows)).encode(),
        label="a.csv",
    )
    (error,) = result.errors
    assert (result.rows_count, error.code) == (4, "imports.off-grid")
    assert (error.params["count"], error.params["first_at"]) == (1, "2026-11-02T09:07:00+00:00")


def test_rows_of_a_unit_that_is_no_energy_are_told_with_their_place(ours: People, services: Services) -> None:
    rows = [row(2, hour, "1") for hour in range(4)]
    rows[1:3] = [each.replace("kWh", "kW") for each in rows[1:3]]
    content = (HEAD + "".join(rows)).encode()
    result = import_file(actor=ours.operator, now=NOW, services=services, content=content, label="a.csv")
    (error,) = result.errors
    assert (result.rows_count, error.code) == (2, "imports.unit-not-kept")
    place = {"channel": "import", "unit": "kW", "count": 2, "first_at": "2026-11-02T01:00:00+00:00"}
    assert error.params == {"usage_point": "P1", **place}


def test_a_block_that_is_refused_leaves_nothing_behind(
    ours: People, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a usage point and its meter, nor a meter, channel, series or end of an installation."""

    def counts() -> list[int]:
        models = (Site, UsagePoint, Meter, Channel, Series, Installation)
        return [model.objects.filter(tenant_id=ours.tenant.id).count() for model in models]

    def bring(*rows: tuple[str, str]) -> list[str]:
        text = HEAD.replace("quality", "quality,meter_serial")
        text += "".join(f"{line.strip()},{serial}\n" for line, serial in rows)
        result = import_file(
            actor=ours.operator, now=NOW, services=services, content=text.encode(), label="a.csv"
        )
        return [error.code for error in result.errors]

    volts = (row(2, 0, "1").replace("kWh", "V"), "M9")
    odd = (row(2, 0, "1").replace("3600", "7000"), "M8")
    good = [(row(day, 0, "1"), "M1") for day in (2, 4)]
    second, elsewhere = (row(3, 0, "1"), "M2"), (row(5, 0, "1", point="P2"), "M1")
    before = counts()
    assert set(bring(volts, odd)) == {"imports.unit-not-kept", "series.interval-not-kept"}
    assert counts() == before
    assert bring(*good) == []
    held = counts()
    refused = ["imports.second-meter", "imports.meter-elsewhere"]
    assert bring(good[0], second, elsewhere) == refused
    assert counts() == held
    assert bring(second, elsewhere) == refused
    assert counts() == held
    monkeypatch.setattr(file_meters, "transaction", SimpleNamespace(atomic=nullcontext))  # the planted fault
    assert bring(good[0], second, elsewhere) == refused
    assert counts() != held


@pytest.mark.parametrize("year", ["1900", "1969", "2106", "2300"])
def test_a_time_that_no_store_holds_is_left_out_and_the_rest_goes_in(
    ours: People, services: Services, store: MemoryReadingStore, year: str
) -> None:
    wrong = row(9, 0, "1").replace("2026", year)
    assert send(ours, services, row(2, 0, "1"), wrong) == (1, 1, ["imports.time-not-kept"])
    assert send(ours, services, wrong.replace("P1", "P2")) == (0, 0, ["imports.time-not-kept"])
    assert not UsagePoint.objects.filter(code="P2").exists()


def test_export_is_a_series_of_its_own(ours: People, services: Services) -> None:
    send(ours, services, row(2, 0, "1"), row(2, 0, "2", channel="export"))
    assert set(Series.objects.values_list("quantity", flat=True)) == {"energy_import", "energy_export"}


@pytest.mark.parametrize(
    ("channel", "quantity"),
    [
        ("B1", "energy_export"),
        ("b", "energy_export"),
        ("Total Export", "energy_export"),
        ("Bezug", "energy_import"),
        ("E1", "energy_import"),
        ("Building 7", "energy_import"),
        ("1-1:1.29.0", "energy_import"),
        ("1-1:2.29.0", "energy_export"),
        ("2.8.0", "energy_export"),
        ("1-0:2.8.0.255", "energy_export"),
        ("PV Einspeisung", "energy_export"),
        ("反向有功", "energy_export"),
        ("正向有功", "energy_import"),
        ("Feeder 3", "energy_import"),
    ],
)
def test_the_direction_is_what_the_channel_says(
    ours: People, services: Services, channel: str, quantity: str
) -> None:
    send(ours, services, row(2, 0, "1", channel=channel))
    assert Series.objects.get().quantity == quantity


SHOWN = {  # of what a register shows, by what the file calls it
    "1-0:1.8.0": "energy_import_register_kwh",
    "1-0:2.8.0*255": "energy_export_register_kwh",
    "1-0:1.8.2": "energy_import_t2_register_kwh",
    "1-0:01.08.00": "energy_import_register_kwh",
    "1-0:1.8.2.255": "energy_import_t2_register_kwh",
    "E1 T4": "energy_import_t4_register_kwh",
    **dict.fromkeys(("1-0:2.8.1", "1-0:1.8.5", "export T1", "1-0:21.8.0", "1-0:16.8.0", "1-0:3.8.0"), None),
}


@pytest.mark.parametrize(("channel", "reading_type"), SHOWN.items())
def test_a_part_of_the_energy_is_not_taken_for_all_of_it(
    ours: People, services: Services, store: MemoryReadingStore, channel: str, reading_type: str | None
) -> None:
    refused = send(ours, services, row(2, 0, "1", channel=channel).replace(",3600,", ",0,"))
    told = ["imports.rates-alone"] if reading_type and "_t" in reading_type else []
    assert refused == ((1, 1, told) if reading_type else (0, 0, ["imports.part-not-kept"]))
    assert list(Channel.objects.values_list("reading_type", flat=True)) == [reading_type] * bool(reading_type)
    of_a_rate = row(2, 0, "1", point="P2", channel="1-0:1.9.1")
    assert send(ours, services, of_a_rate) == (0, 0, ["imports.part-not-kept"])


def test_rates_without_a_total_are_told_and_kept(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    rates = [row(2, 0, "1", channel=f"1-0:1.8.{rate}").replace(",3600,", ",0,") for rate in (1, 2)]
    total = row(2, 0, "2", channel="1-0:1.8.0").replace(",3600,", ",0,")
    assert send(ours, services, *rates) == (2, 1, ["imports.rates-alone"])
    assert not Series.objects.exists()
    assert send(ours, services, *rates, total)[2] == []
    assert send(ours, services, *rates)[2] == []


def test_a_second_channel_of_the_same_quantity_is_refused_not_mixed(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    rows = (row(2, 0, "1", channel="Building 7"), row(2, 0, "5", channel="Building 8"))
    assert send(ours, services, *rows) == (1, 1, ["imports.second-channel"])
    assert store.counts(ours.tenant.id).raw_reads == 1


NEM12 = "100,NEM12,202611030900,MDP1,Ret1\r\n{streams}900\r\n"


def stream(suffix: str, wh: int, meter: str = "M1") -> str:
    """Return a day of one channel: 48 intervals of so many watt-hours."""
    values = ",".join([f"0.{wh:03d}"] * 48)
    head = f"200,VABC005890,E1B1E2,{suffix},{suffix},N1,{meter},kWh,30,"
    return f"{head}\r\n300,20261101,{values},A,,,20261102000000,\r\n"


def send_nem12(ours: People, services: Services, *streams: str) -> tuple[int, list[str]]:
    content = NEM12.format(streams="".join(streams)).encode()
    result = import_file(actor=ours.operator, now=NOW, services=services, content=content, label="a.nem12")
    return result.rows_count, [error.code for error in result.errors]


def sums_wh(ours: People, store: MemoryReadingStore) -> dict[tuple[str, str, str], int]:
    """Return what the reads of each usage point, meter and quantity come to."""
    found = {}
    for series in Series.objects.select_related("usage_point"):
        for fact in get_series_facts([series.id])[series.id].intervals:
            meter = Meter.objects.get(channels=fact.channel_id)
            reads = store.raw_reads(ours.tenant.id, [fact.channel_id], 0, 2**40)
            key = series.usage_point.code, meter.serial_number, series.quantity
            found[key] = int(reads.value.sum()) // 1000
    return found


@pytest.mark.parametrize("second_meter", ["M1", "M2"])
@pytest.mark.parametrize("is_in_parts", [False, True])
def test_a_controlled_load_is_a_usage_point_beside_the_first(
    ours: People, services: Services, store: MemoryReadingStore, second_meter: str, is_in_parts: bool
) -> None:
    streams = [
        stream("E2", 200, second_meter),
        stream("e1", 500),
        stream("B1", 100),
        stream("B2", 10, second_meter),
    ]
    for part in [[one] for one in streams] if is_in_parts else [streams]:
        assert send_nem12(ours, services, *part) == (48 * len(part), [])
    assert sums_wh(ours, store) == {
        ("VABC005890", "M1", "energy_import"): 48 * 500,
        ("VABC005890", "M1", "energy_export"): 48 * 100,
        ("VABC005890-2", f"{second_meter}-2", "energy_import"): 48 * 200,
        ("VABC005890-2", f"{second_meter}-2", "energy_export"): 48 * 10,
    }


def test_channels_that_are_not_told_apart_are_noticed(
    ours: People, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_meters, "_at_its_point", lambda block: block)
    assert send_nem12(ours, services, stream("E1", 500), stream("E2", 200)) == (
        48,
        ["imports.second-channel"],
    )


def test_a_point_that_has_a_meter_refuses_the_block_and_takes_the_rest(
    ours: People, street: Street, services: Services, store: MemoryReadingStore
) -> None:
    install_first(ours, street, services)
    second = row(2, 0, "1", point="U1").replace("3600", "900")
    assert send(ours, services, second, row(2, 0, "1")) == (1, 1, ["imports.second-meter"])


def test_a_meter_that_a_file_ends_where_another_begins_was_exchanged(
    ours: People, services: Services
) -> None:
    head = HEAD.rstrip() + ",meter_serial\n"
    rows = [row(day, 0, "1").rstrip() + f",M{number}\n" for day, number in ((3, 2), (1, 1), (2, 1))]
    both = "".join([head, *rows]).encode()
    result = import_file(actor=ours.operator, now=NOW, services=services, content=both, label="a.csv")
    assert (result.rows_count, result.errors) == (3, ())
    spans = [
        (one.meter.serial_number, one.starts_at.day, one.ends_at and one.ends_at.day)
        for one in Installation.objects.order_by("starts_at").select_related("meter")
    ]
    assert spans == [("M1", 1, 3), ("M2", 3, None)]
    assert Series.objects.count() == 1


def test_a_factory_of_a_file_may_use_what_it_uses_and_no_more(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    """10 MW all along, a slip of three digits once: the limit is far from both, and stays."""
    assert limits_w(ours, services) == FACTORY_AND_HOME_W


def limits_w(ours: People, services: Services) -> tuple[int, int, int]:
    """Return what a factory may carry after its first file and after a second one, and what a home may."""
    rows = [row(1 + hour // 24, hour % 24, "10000") for hour in range(40)]
    assert send(ours, services, *rows, row(3, 0, "10000000"))[2] == []
    first_w = UsagePoint.objects.get().power_max_w
    assert send(ours, services, *(row(4, hour, "90000") for hour in range(24)))[2] == []
    later_w = UsagePoint.objects.get().power_max_w
    assert send(ours, services, row(1, 0, "1", point="HOME"))[2] == []
    return first_w, later_w, UsagePoint.objects.get(code="HOME").power_max_w


FACTORY_AND_HOME_W = (40_000_000, 40_000_000, 20_000)


def test_a_limit_that_goes_by_one_slip_is_caught(
    ours: People, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    highest_w: Any = lambda energy_milliwh, _interval_s: int(energy_milliwh.max()) // 1000  # noqa: E731
    monkeypatch.setattr(carried_power, "carried_w", highest_w)
    assert limits_w(ours, services)[0] > FACTORY_AND_HOME_W[0]


def test_a_limit_that_rises_with_each_file_is_caught(
    ours: People, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        carried_power, "_is_news", lambda told, name, known: told[-1] < known.get(name, [0])[-1]
    )
    assert limits_w(ours, services)[1] > FACTORY_AND_HOME_W[1]


EXCHANGE = {
    "M1": [(1, "M1"), (2, "M1")],
    "M1 again": [(3, "M1"), (4, "M1")],
    "M2": [(7, "M2"), (8, "M2")],
    "M2 again": [(9, "M2"), (10, "M2")],
}
BETWEEN = {"M3": [(3, "M3")], "M3 again": [(5, "M3")]}


def send_meters(
    ours: People, services: Services, rows: list[tuple[int, str]], *, is_tried: bool = False
) -> list[str]:
    head = HEAD.rstrip() + ",meter_serial\n"
    content = "".join([head, *(f"{row(day, 0, '1').rstrip()},{number}\n" for day, number in rows)]).encode()
    own = {"actor": ours.operator, "now": NOW, "services": services, "content": content, "label": "a.csv"}
    result = try_import(**own)[0] if is_tried else import_file(**own)
    return [error.code for error in result.errors]


def exchanged(ours: People, services: Services, names: tuple[str, ...]) -> list[tuple[object, ...]]:
    """Return errors, and meters by their days, after files one by one, each tried before."""
    refused = [
        (code,)
        for name in names
        for is_tried in (True, False)
        for code in send_meters(ours, services, (EXCHANGE | BETWEEN)[name], is_tried=is_tried)
    ]
    spans = [
        (one.meter.serial_number, one.starts_at.day, one.ends_at and one.ends_at.day)
        for one in Installation.objects.order_by("starts_at").select_related("meter")
    ]
    return [*refused, *spans]


EXCHANGED = [("M1", 1, 7), ("M2", 7, None)]
EXCHANGED_TWICE = [("M1", 1, 3), ("M3", 3, 7), ("M2", 7, None)]


@pytest.mark.alike
@pytest.mark.parametrize("order", list(permutations(EXCHANGE)))
def test_a_meter_of_one_file_that_another_follows_was_exchanged(
    ours: People, services: Services, order: tuple[str, ...]
) -> None:
    """In whatever order the files come."""
    assert exchanged(ours, services, order) == EXCHANGED


@pytest.mark.alike
@pytest.mark.parametrize("order", list(permutations(("M1", *BETWEEN, "M2"))))
def test_a_meter_between_two_others_was_exchanged(
    ours: People, services: Services, order: tuple[str, ...]
) -> None:
    assert exchanged(ours, services, order) == EXCHANGED_TWICE


@pytest.mark.parametrize(
    ("name", "fault", "order"),
    [
        ("_followed_at", lambda _point, _at: None, ("M2", "M1", "M1 again")),
        ("_let_go", lambda *_, **__: None, ("M1", "M1 again", "M2")),
        ("_Known", lambda ends_s, _stored_s: KNOWN(ends_s, {}), ("M1", "M2", "M1 again")),
    ],
    ids=["who follows", "who was there", "what the files before knew"],
)
def test_an_exchange_that_overlooks_something_is_caught(
    ours: People,
    services: Services,
    name: str,
    fault: Any,
    order: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_meters, name, fault)
    assert exchanged(ours, services, order) != EXCHANGED


def test_the_store_is_asked_before_the_transaction(
    ours: People, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a part of a file: nobody waits for the store behind a lock of the database."""
    held: list[int] = []

    def latest(*args: Any) -> Any:
        held.append(len(connection.savepoint_ids))
        return MemoryReadingStore.latest(store, *args)

    monkeypatch.setattr(store, "latest", latest)
    assert exchanged(ours, services, ("M1", "M2")) == EXCHANGED
    assert held == [0, 0]  # tried and kept; before the first file nobody is there


def test_who_comes_back_after_an_exchange_is_refused_not_lost(ours: People, services: Services) -> None:
    for name in ("M1", "M2"):
        assert send_meters(ours, services, EXCHANGE[name]) == []
    assert send_meters(ours, services, [(8, "M1")]) == ["imports.second-meter"]


def test_a_meter_that_is_not_only_of_files_is_not_let_go(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    assert send_meters(ours, services, EXCHANGE["M1"]) == []
    at_s, one = int(datetime(2026, 11, 3, tzinfo=UTC).timestamp()), np.ones(1, dtype=np.int64)
    by_hand = one * Channel.objects.get().id, one * at_s, one, one - 1, one * int(Source.FIELD), one - 2
    store.insert_raw([RawBatch(ours.tenant.id, 1, at_s, *by_hand)])
    assert send_meters(ours, services, EXCHANGE["M2"]) == ["imports.second-meter"]


def test_two_meters_at_once_are_refused_by_name(ours: People, services: Services) -> None:
    head = HEAD.rstrip() + ",meter_serial\n"
    rows = [row(day, 0, "1").rstrip() + f",M{number}\n" for day, number in ((1, 1), (2, 2), (3, 1))]
    both = "".join([head, *rows]).encode()
    result = import_file(actor=ours.operator, now=NOW, services=services, content=both, label="a.csv")
    assert [error.code for error in result.errors] == ["imports.second-meter"]
    told = {"usage_point": "P1", "serial_number": "M2", "there": "M1"}
    assert result.errors[0].params == told


def test_a_meter_that_is_at_another_point_is_told_with_that_point(ours: People, services: Services) -> None:
    head = HEAD.rstrip() + ",meter_serial\n"
    rows = [row(day, 0, "1", point=point).rstrip() + ",M1\n" for day, point in ((1, "P1"), (2, "P2"))]
    both = "".join([head, *rows]).encode()
    result = import_file(actor=ours.operator, now=NOW, services=services, content=both, label="a.csv")
    assert [error.code for error in result.errors] == ["imports.meter-elsewhere"]
    assert result.errors[0].params == {"usage_point": "P2", "serial_number": "M1", "there": "P1"}


def test_reactive_energy_is_a_series_of_its_own(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    rows = [row(2, 0, "1"), *(row(2, 0, "2", channel=name).replace("kWh", "kvarh") for name in ("Q1", "K1"))]
    assert send(ours, services, *rows) == (3, 1, [])
    quantities = {"energy_import", "energy_reactive_import", "energy_reactive_export"}
    assert set(Series.objects.values_list("quantity", flat=True)) == quantities
    ids = list(Channel.objects.order_by("id").values_list("id", flat=True))
    assert store.raw_reads(ours.tenant.id, ids, 0, 2**40).value.tolist() == [1_000_000, 2_000_000, 2_000_000]


ADVANCE = (
    "250,VABC005890,11,1,11,11,METSER123,E,{before},20261001093055,A,,,{after},20261102100333,A,,,{advance},kWh,"
    "20270101,20261103100333,20261103091133\r\n"
)


def send_nem13(ours: People, services: Services, *advances: str) -> tuple[int, list[str]]:
    text = "100,NEM13,202611030900,MDA1,Ret1\r\n" + "".join(advances) + "900\r\n"
    result = import_file(
        actor=ours.operator, now=NOW, services=services, content=text.encode(), label="a.nem13"
    )
    return result.rows_count, [error.code for error in result.errors]


def test_all_or_nothing_names_each_row_and_each_channel_that_is_wrong(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    """At once, as a dry run does: who mended the rows was told of the channels next time."""
    rows = (row(2, 0, "x"), row(2, 1, "1"), row(2, 0, "1", channel="1-0:1.6.0"))
    own = {"actor": ours.operator, "now": NOW, "services": services, "label": "a.csv"}
    content = (HEAD + "".join(rows)).encode()
    told = import_file(**own, content=content, is_whole=True)
    assert (told.rows_count, told.errors) == (0, try_import(**own, content=content)[0].errors)
    assert [error.code for error in told.errors] == ["formats.not-a-number", "imports.not-counted-now"]
    assert not Meter.objects.exists()


def test_the_reads_of_nem13_are_a_register(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    advance = ADVANCE.format(before="999942.8", after="000054.9", advance="112.1")  # it comes round
    assert send_nem13(ours, services, advance) == (2, [])
    channel = Channel.objects.get()
    assert (channel.reading_type, channel.register_digits) == ("energy_import_register_kwh", 12)
    reads = store.raw_reads(ours.tenant.id, [channel.id], 0, 2**40)
    assert reads.value.tolist() == [999_942_800_000, 54_900_000]
    assert Series.objects.get().interval_s == 900


def test_an_advance_that_its_reads_do_not_come_to_is_refused(ours: People, services: Services) -> None:
    advance = ADVANCE.format(before="006342.8", after="006454.9", advance="1121")  # ten times as much
    assert send_nem13(ours, services, advance) == (0, ["nem13.advance-differs"])


def test_a_store_that_fails_midway_leaves_a_file_that_can_be_sent_again(
    ours: People, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*_: object) -> None:
        raise WattkeeperError("store.unreachable", is_permanent=False)

    with monkeypatch.context() as patch:
        patch.setattr(store, "insert_raw", burst)
        with pytest.raises(WattkeeperError):
            send(ours, services, row(2, 0, "1"))
    assert not DirtyWindow.objects.exists()
    assert send(ours, services, row(2, 0, "1")) == (1, 1, [])
    assert DirtyWindow.objects.count() == 1


def test_without_a_store_or_a_role_nothing_begins(ours: People, services: Services) -> None:
    for actor, store, code in (
        (ours.operator, None, "store.not-running"),
        (ours.viewer, services.store, "accounts.not-allowed"),
    ):
        with pytest.raises(WattkeeperError) as refusal:
            import_file(
                actor=actor,
                now=NOW,
                services=Services(services.now, services.data_folder, store),
                content=b"",
                label="a",
            )
        assert refusal.value.code == code
