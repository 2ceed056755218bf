"""`wattkeeper export --to nem13`: what registers showed at the ends of a period, and what they advanced."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from relational import NOW, People
from shell_runner import refused
from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.data.registry.models import Channel, Installation, Meter, Multiplier, Series, Site, UsagePoint
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.files import read_file
from wattkeeper.formats.notes import unpack_note
from wattkeeper.interfaces.cli.main import app
from wattkeeper.interfaces.reads import export_registers
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

FIRST = datetime(2026, 10, 31, 16, tzinfo=UTC)  # midnight of the 1st in Shanghai
END = FIRST + timedelta(days=2)
POINT = "VABC005890"
DIGITS = 8  # of 0.01 kWh: the register begins again at 1 000 000 kWh
Advance = tuple[str, str, str, str, str, int]


@pytest.fixture
def point(ours: People) -> UsagePoint:
    """A usage point in Shanghai with a series of imported energy."""
    own = {"tenant": ours.tenant}
    site = Site.objects.create(code="SH", name="SH", kind="RESIDENTIAL", time_zone="Asia/Shanghai", **own)
    row = UsagePoint.objects.create(site=site, code=POINT, plain_name="", power_max_w=10**6, **own)
    Series.objects.create(usage_point=row, quantity="energy_import", interval_s=900, **own)
    return row


def install(
    point: UsagePoint,
    serial: str,
    starts_at: datetime = FIRST - timedelta(days=30),
    ends_at: datetime | None = None,
) -> Channel:
    own = {"tenant": point.tenant}
    meter = Meter.objects.create(site=point.site, serial_number=serial, **own)
    span = {"starts_at": starts_at, "ends_at": ends_at, "recorded_at": NOW}
    Installation.objects.create(meter=meter, usage_point=point, **span, **own)
    kind = {"reading_type": "energy_import_register_kwh", "register_digits": DIGITS}
    return Channel.objects.create(meter=meter, step_numerator=1, step_denominator=100, **kind, **own)


def put(
    store: MemoryReadingStore,
    channel: Channel,
    reads: Sequence[tuple[datetime, int]],
    source: Source = Source.PROFILE,
    flags: int = 0,
) -> None:
    nothing = np.zeros(len(reads), dtype=np.int64)
    columns = {
        "channel_id": nothing + channel.id,
        "measured_at_s": np.array([to_seconds(at) for at, _value in reads]),
        "value": np.array([value for _at, value in reads]),
        "flags": nothing + flags,
        "source": nothing + int(source),
        "frame_index": nothing - 1,
    }
    batch_id = len(store.raw_reads(channel.tenant_id, [channel.id], 0, 2**40).value) + 1
    store.insert_raw([RawBatch(channel.tenant_id, batch_id, to_seconds(NOW), **columns)])


def export(tmp_path: Path, *options: str) -> tuple[list[Advance], str, bytes]:
    """Return (serial, suffix, reads, quality, energy in mWh) of each record, what was told, and the file."""
    file = tmp_path / "out.csv"
    command = ["export", "2026-11-01", "2026-11-02", "--to", "nem13", "-o", str(file), *options]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    parsed = read_file(file.read_bytes(), CsvOptions())
    assert {error.code for error in parsed.errors} <= {"formats.no-intervals"}
    found = []
    for block in parsed.blocks:
        for value, index in zip(block.value_milli.tolist(), block.note_index.tolist(), strict=True):
            note = unpack_note(block.notes[index])
            reads = note["aemo.previous_read"], note["aemo.current_read"]
            found.append((block.meter_serial, block.channel, *reads, note["aemo.previous_quality"], value))
    assert (result.exit_code == 0) == (not result.stderr)
    return found, result.stderr, file.read_bytes()


def profile(
    first_value: int, from_at: datetime = FIRST - timedelta(days=1), hours: int = 90
) -> list[tuple[datetime, int]]:
    """Return a read a quarter of an hour that advances one count each."""
    return [(from_at + k * timedelta(minutes=15), (first_value + k) % 10**DIGITS) for k in range(4 * hours)]


def test_a_period_is_told_by_the_reads_at_its_ends(
    point: UsagePoint, store: MemoryReadingStore, tmp_path: Path
) -> None:
    put(store, install(point, "M1"), profile(5000))
    found, told, content = export(tmp_path)
    assert found == [("M1", "E1", "000050.96", "000052.88", "A", 1_920_000)]
    assert told == ""
    assert b",20261101020000,A,,,000052.88,20261103020000," in content  # market time is two hours ahead
    assert len(content.splitlines()) == 3


def test_where_no_read_is_at_an_end_the_last_before_it_tells(
    point: UsagePoint, store: MemoryReadingStore, tmp_path: Path
) -> None:
    times = [
        FIRST - timedelta(days=9),
        FIRST + timedelta(hours=5),
        END - timedelta(hours=1),
        END + timedelta(1),
    ]
    put(store, install(point, "M1"), [(at, 100 * k) for k, at in enumerate(times)], Source.LIVE)
    assert [row[2:] for row in export(tmp_path)[0]] == [("000000.00", "000002.00", "A", 2_000_000)]


def test_a_read_of_a_person_or_a_file_parts_the_period(
    point: UsagePoint, store: MemoryReadingStore, tmp_path: Path
) -> None:
    channel = install(point, "M1")
    put(store, channel, profile(5000))
    put(store, channel, [(FIRST + timedelta(minutes=7), 5096)], Source.FIELD)
    rows = [row[2:4] for row in export(tmp_path)[0]]
    assert rows == [("000050.96", "000050.96"), ("000050.96", "000052.88")]


def test_rollover_and_multiplier(point: UsagePoint, store: MemoryReadingStore, tmp_path: Path) -> None:
    ratio = {"numerator": 40, "denominator": 1, "starts_at": FIRST - timedelta(days=30), "recorded_at": NOW}
    Multiplier.objects.create(tenant=point.tenant, usage_point=point, **ratio)
    put(store, install(point, "M1"), profile(10**DIGITS - 100))
    found, _told, _content = export(tmp_path)
    assert found == [("M1", "E1", "999999.96", "000001.88", "A", 40 * 1_920_000)]


def with_rates(meter: Meter) -> list[Channel]:
    """Give a meter four registers of rates, in steps and digits of its total."""
    own = {"tenant": meter.tenant, "meter": meter, "register_digits": DIGITS}
    types = [f"energy_import_t{rate}_register_kwh" for rate in range(1, 5)]
    return [
        Channel.objects.create(reading_type=code, step_numerator=1, step_denominator=100, **own)
        for code in types
    ]


def test_registers_of_rates_are_told_beside_their_total(
    point: UsagePoint, store: MemoryReadingStore, tmp_path: Path
) -> None:
    """They add up to it, multiplied and over a rollover; one that was read once is told to be left out."""
    ratio = {"numerator": 40, "denominator": 1, "starts_at": FIRST - timedelta(days=30), "recorded_at": NOW}
    Multiplier.objects.create(tenant=point.tenant, usage_point=point, **ratio)
    total = install(point, "M1")
    put(store, total, [(FIRST, 5000), (END, 5202)])
    reads = [
        [(FIRST, 10**DIGITS - 50), (END, 60)],
        [(FIRST, 700), (END, 792)],
        [(FIRST + timedelta(hours=1), 9)],
        [],
    ]
    for channel, own in zip(with_rates(total.meter), reads, strict=True):
        if own:
            put(store, channel, own)
    found, told, content = export(tmp_path)
    assert found == [
        ("M1", "E1", "000050.00", "000052.02", "A", 40 * 2_020_000),
        ("M1", "E1 T1", "999999.50", "000000.60", "A", 40 * 1_100_000),
        ("M1", "E1 T2", "000007.00", "000007.92", "A", 40 * 920_000),
    ]
    assert told.count("nem13.one-read") == 1
    lines = [line.split(",") for line in content.decode().splitlines() if line.startswith("250")]
    assert [(cells[3], cells[4]) for cells in lines] == [("", "E1"), ("1.8.1", "11"), ("1.8.2", "12")]


def test_an_exchange_is_two_records(point: UsagePoint, store: MemoryReadingStore, tmp_path: Path) -> None:
    at = FIRST + timedelta(hours=10)
    put(store, install(point, "M1", ends_at=at), [*profile(5000, hours=34), (at, 5136)])
    put(store, install(point, "M2", starts_at=at), profile(0, from_at=at))
    found, told, _content = export(tmp_path)
    assert [row[:4] for row in found] == [
        ("M1", "E1", "000050.96", "000051.36"),
        ("M2", "E1", "000000.00", "000001.52"),
    ]
    assert (sum(row[-1] for row in found), told) == (1_920_000, "")


def test_what_can_not_be_told_is_said(point: UsagePoint, store: MemoryReadingStore, tmp_path: Path) -> None:
    channel = install(point, "M1")
    put(store, channel, [(FIRST, 500), (END, 700)])
    put(store, channel, [(FIRST + timedelta(hours=1), 9000)], Source.FIELD, int(Flag.SUSPECT))
    found, told, _content = export(tmp_path)
    assert [row[2:4] for row in found] == [("000005.00", "000007.00")]
    assert "nem13.read-kept-back" in told
    put(store, channel, [(FIRST + timedelta(hours=3), 90)], Source.FIELD)  # before 500: of no line
    found, told, _content = export(tmp_path)
    assert [row[2:4] for row in found] == [("000005.00", "000007.00")]
    assert "2 suspect or impossible" in told
    own = {"usage_point": point, "tenant": point.tenant, "interval_s": 900}
    Series.objects.create(quantity="energy_export", **own)
    _found, told, _content = export(tmp_path)
    assert "nem13.no-register" in told
    UsagePoint.objects.filter(id=point.id).update(code="a home")
    assert "nem12.not-a-nmi" in export(tmp_path)[1]
    assert refused(
        "export", "2026-11-01", "2026-11-02", "--to", "nem13", "--as-of", "2026-11-02T00:00:00Z"
    ) == ("exports.as-of-registers")


def test_what_may_be_a_turn_more_is_left_out_and_said(
    point: UsagePoint, store: MemoryReadingStore, tmp_path: Path
) -> None:
    """1 MW takes four digits of a kilowatt-hour round in ten hours; a read in between settles it."""
    channel = install(point, "M1")
    Channel.objects.filter(id=channel.id).update(step_denominator=1, register_digits=4)
    put(store, channel, [(FIRST, 500), (END, 700)])
    found, told, _content = export(tmp_path)
    assert found == []
    assert "nem13.turns-unsure" in told
    between = [(FIRST + timedelta(hours=9 * k), 500 + 30 * k) for k in range(1, 6)]
    put(store, channel, between)
    found, told, _content = export(tmp_path)
    assert ([row[2:4] for row in found], told) == ([("0500", "0700")], "")


def test_one_read_is_no_advance(point: UsagePoint, store: MemoryReadingStore, tmp_path: Path) -> None:
    put(store, install(point, "M1"), [(FIRST + timedelta(hours=1), 500)])
    found, told, _content = export(tmp_path)
    assert found == []
    assert "nem13.one-read" in told


def test_a_file_comes_out_as_it_went_in(
    ours: People, services: Services, store: MemoryReadingStore, tmp_path: Path
) -> None:
    """Reads, instants, qualities and digits of every register; a later register at its NMI again."""
    text = (
        "100,NEM13,202611030900,MDA1,Ret1\r\n"
        "250,VABC005890,11,1,11,11,M1,E,006342.8,20261101093055,A,,,006454.9,20261102100333,A,,,112.1,kWh,,,\r\n"
        "250,VABC005890,11,1,11,11,M1,E,006454.9,20261102100333,A,,,006457,20261102110333,S57,24,,2.1,kWh,,,\r\n"
        "250,VABC005890,11,1,B1,11,M1,I,999999,20261101093055,A,,,000001,20261102100333,E65,,,2,kWh,,,\r\n"
        "250,VABC005890,11,1,E2,11,M3,E,000010,20261101093055,A,,,000011,20261102100333,A,,,1,kWh,,,\r\n"
        "250,VABC005890,11,1.8.1,11,11,M1,E,004000,20261101093055,A,,,004100,20261102100333,A,,,100,kWh,,,\r\n"
        "250,VABC005890,11,1.8.4,24,11,M3,E,000008,20261101093055,A,,,000009,20261102100333,A,,,1,kWh,,,\r\n"
        "900\r\n"
    )
    for content in (text.encode(), None):
        content = content or export(tmp_path)[2]
        result = import_file(actor=ours.operator, now=NOW, services=services, content=content, label="a")
        assert result.errors == ()
        channels = list(Channel.objects.values_list("id", flat=True))
        reads = store.raw_reads(ours.tenant.id, channels, 0, 2**40)
        held = list(
            zip(
                *(
                    column.tolist()
                    for column in (reads.channel_id, reads.measured_at_s, reads.value, reads.flags)
                ),
                strict=True,
            )
        )
        assert len(held) == len(set(held)) == 11
    came = [line.split(",") for line in content.decode().splitlines()[1:-1]]
    went = [line.split(",") for line in text.splitlines()[1:-1]]
    for cells in (*went, *came):
        if cells[3] in ("1", ""):
            cells[3:5] = "", cells[4].replace("11", "E1")
    wanted = sorted([r[1], *r[3:5], *r[6:8], r[9], r[10], r[14], r[15], r[18]] for r in went)
    assert sorted([r[1], *r[3:5], *r[6:8], r[9], r[10], r[14], r[15], r[18]] for r in came) == wanted
    digits = [Fraction(cells[place]) for cells in went for place in (8, 13)]
    assert sorted(Fraction(cells[place]) for cells in came for place in (8, 13)) == sorted(digits)


@pytest.mark.parametrize(
    "reads",
    [
        [("M1", 100, "01093055"), ("M1", 150, "02100000"), ("M1", 151, "02160000"), ("M1", 160, "03000000")],
        [("M1", 100, "01093055"), ("M1", 150, "02100000"), ("M2", 3, "02100000"), ("M2", 4, "02160000")],
        [("M1", 100, "01000000"), ("M1", 150, "02000000"), ("M2", 3, "02000000"), ("M2", 160, "03000000")],
        [("M1", 100, "01000000"), ("M1", 150, "02090000"), ("M2", 3, "02100000"), ("M2", 160, "03000000")],
    ],
    ids=["moved out and in", "exchanged", "exchanged at midnight", "exchanged an hour later"],
)
def test_two_reads_on_one_day_come_out_as_they_went_in(
    ours: People, services: Services, tmp_path: Path, reads: Sequence[tuple[str, int, str]]
) -> None:
    records = [
        (serial, f"{before:06},202611{from_at},A,,,{after:06},202611{to_at},A,,,{after - before},kWh")
        for (serial, before, from_at), (other, after, to_at) in pairwise(reads)
        if serial == other
    ]
    rows = "".join(f"250,{POINT},,,E1,,{serial},E,{said},,,\r\n" for serial, said in records)
    text = f"100,NEM13,202611030000,WATTKEEPER,UNKNOWN\r\n{rows}900\r\n".encode()
    told = import_file(actor=ours.operator, now=NOW, services=services, content=text, label="a")
    assert told.errors == ()
    _found, losses, content = export(tmp_path)
    assert (content.splitlines()[1:], losses) == (text.splitlines()[1:], "")


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("ends_of", lambda reads, *_span: list(range(len(reads.at_s)))[:2]),
        ("find_standing", None),
    ],
)
def test_a_period_that_ends_elsewhere_or_counts_suspect_reads_is_seen(
    point: UsagePoint,
    store: MemoryReadingStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    plant: object,
) -> None:
    channel = install(point, "M1")
    put(store, channel, profile(5000))
    put(store, channel, [(END, 90_000)], Source.FIELD, int(Flag.SUSPECT))
    right = export(tmp_path)[0]
    if plant is None:
        find = export_registers.find_standing

        def with_suspects(installation: Any, reads: ReadColumns, limits: Any) -> object:
            return find(installation, replace(reads, flags=reads.flags * 0), limits)

        plant = with_suspects
    monkeypatch.setattr(export_registers, name, plant)
    assert export(tmp_path)[0] != right
