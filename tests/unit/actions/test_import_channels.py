"""Channels that a file names or points at: what is not the energy of one direction up to now is refused."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from format_files import archive_of
from relational import NOW, People
from unit.actions.test_import import row, send
from unit.formats.test_espi import feed, reading
from unit.formats.test_iec61968 import MESSAGE, POINT, message
from unit.formats.test_iec61968 import reading as interval_reading
from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.formats.api import LossList
from wattkeeper.formats.blocks import rows_of
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.detect import Format
from wattkeeper.formats.files import read_file, write_file
from wattkeeper.store.memory import MemoryReadingStore

NOT_NOW = (
    *("1.8.0*01", "1.8.0&07", "1-0:1.8.0*00", "1-0:1.8.1*99", "1.0.1.8.0.1", "2.8.0*12"),  # billing periods
    *("3.1.2", "1-0:1.6.0", "1.7.0", "1-0:2.4.0*255", "1-0:1.25.0"),  # demands, means, instants
)


@pytest.mark.parametrize("length", [",0,", ",3600,"])
@pytest.mark.parametrize("channel", NOT_NOW)
def test_what_is_not_counted_now_is_refused(
    ours: People, services: Services, store: MemoryReadingStore, channel: str, length: str
) -> None:
    own = row(2, 0, "1", channel=channel).replace(",3600,", length)
    total = row(2, 0, "2", channel="1.8.0*255").replace(",3600,", length)
    assert send(ours, services, own, total) == (1, 1, ["imports.not-counted-now"])
    assert store.counts(ours.tenant.id).raw_reads == 1


@pytest.mark.parametrize("channel", ["1.9.0", "1-0:1.29.0", "1-0:2.9.0*255"])
def test_what_begins_again_is_no_register(
    ours: People, services: Services, store: MemoryReadingStore, channel: str
) -> None:
    shown, total = (row(2, 0, "1", channel=each).replace(",3600,", ",0,") for each in (channel, "1-0:1.8.0"))
    assert send(ours, services, shown, total) == (1, 1, ["imports.not-counted-now"])
    assert send(ours, services, row(2, 0, "1", point="P2", channel=channel)) == (1, 1, [])


DIRECTIONS = {  # of ESPI and IEC 61968-9: what becomes of Wh and of varh
    "1": ("energy_import", "energy_reactive_import"),
    "19": ("energy_export", "energy_reactive_export"),
    "5": (None, "energy_reactive_import"),
    "13": (None, "energy_reactive_export"),
    **dict.fromkeys(("2", "3", "4", "7", "8", "9", "10", "11", "12", "14"), (None, None)),
    **dict.fromkeys(("15", "16", "17", "18", "20", "21"), (None, None)),
}


@pytest.mark.alike
@pytest.mark.parametrize("uom", ["72", "73"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("form", ["espi", "iec61968"])
def test_what_is_of_both_directions_is_not_taken_for_import(
    ours: People, services: Services, form: str, direction: str, uom: str
) -> None:
    if form == "espi":
        wh = f"<uom>{uom}</uom><powerOfTenMultiplier>0</powerOfTenMultiplier>"
        content = feed(reading(1_793_577_600), kind=f"{wh}<flowDirection>{direction}</flowDirection>")
    else:
        content = message(interval_reading(), kind=f"0.0.2.4.{direction}.1.12.0.0.0.0.0.0.0.0.3.{uom}.0")
    wanted = DIRECTIONS[direction][uom == "73"]
    for each in (content, b"".join(write_file("csv", read_file(content, CsvOptions()).blocks, LossList()))):
        told = import_file(actor=ours.operator, now=NOW, services=services, content=each, label="f")
        assert [error.code for error in told.errors] == ([] if wanted else ["imports.part-not-kept"])
        assert list(Series.objects.values_list("quantity", flat=True)) == ([wanted] if wanted else [])


TOTAL, RATES = "0", ("1", "2", "5")
AT = "2026-11-02T00:00:00Z"


def registers_of(form: str, codes: Sequence[str], *, part: str) -> bytes:
    """Return what registers of some times of use or phases show, each its own number of kilowatt-hours."""
    if form == "iec61968":
        said = f"<timeStamp>{AT}</timeStamp><value>{{code}}</value>"
        numbers = {"tou": "{code}.0.0.0", "phase": "0.0.0.{code}"}[part]
        kind = f"<ReadingType ref='0.0.0.1.1.1.12.0.0.0.0.{numbers}.3.72.0'/>"
        inner = "".join(f"<Readings>{said}{kind}</Readings>".format(code=code) for code in codes)
        return MESSAGE.format(inner=inner, point=POINT).encode()
    feeds = [
        feed(
            reading(to_seconds(datetime.fromisoformat(AT)), code),
            kind="<accumulationBehaviour>1</accumulationBehaviour><flowDirection>1</flowDirection>"
            f"<powerOfTenMultiplier>3</powerOfTenMultiplier><uom>72</uom><{part}>{code}</{part}>",
        )
        for code in codes
    ]
    return archive_of(**{f"{at}.xml": content for at, content in enumerate(feeds)})


def check_round_trips(content: bytes) -> None:
    blocks = read_file(content, CsvOptions()).blocks
    other: Format
    for other in ("csv", "greenbutton", "iec61968"):
        again = read_file(b"".join(write_file(other, blocks, LossList())), CsvOptions()).blocks
        assert rows_of(again, has_notes=False) == rows_of(blocks, has_notes=False)


@pytest.mark.parametrize("tous", [(TOTAL, *RATES), (*RATES, TOTAL)], ids=["total first", "total last"])
@pytest.mark.parametrize("form", ["espi", "iec61968"])
def test_a_register_of_one_time_of_use_is_not_the_total(
    ours: People, services: Services, store: MemoryReadingStore, form: str, tous: Sequence[str]
) -> None:
    content = registers_of(form, tous, part="tou")
    check_round_trips(content)
    told = import_file(actor=ours.operator, now=NOW, services=services, content=content, label="f")
    assert [error.code for error in told.errors] == ["imports.part-not-kept"]
    channels = dict(Channel.objects.values_list("id", "reading_type"))
    reads = store.raw_reads(ours.tenant.id, list(channels), 0, 2**40)
    shown = zip(reads.channel_id.tolist(), reads.value.tolist(), strict=True)
    assert {channels[channel_id]: value for channel_id, value in shown} == {
        "energy_import_register_kwh": 0,
        "energy_import_t1_register_kwh": 10**6,
        "energy_import_t2_register_kwh": 2 * 10**6,
    }


@pytest.mark.parametrize(
    ("phases", "shown"),
    [(("129",), 129), (("0", "128", "64", "32"), 0), (("128", "64", "32", "0"), 0), (("128", "64"), None)],
)
@pytest.mark.parametrize("form", ["espi", "iec61968"])
def test_one_phase_among_several_is_not_the_total(
    ours: People,
    services: Services,
    store: MemoryReadingStore,
    form: str,
    phases: Sequence[str],
    shown: int | None,
) -> None:
    """The first that a message told was taken for it."""
    content = registers_of(form, phases, part="phase")
    check_round_trips(content)
    told = import_file(actor=ours.operator, now=NOW, services=services, content=content, label="f")
    parts_count = len(phases) - (shown is not None)
    assert [error.code for error in told.errors] == ["imports.part-not-kept"] * parts_count
    channels = list(Channel.objects.values_list("id", flat=True))
    values = store.raw_reads(ours.tenant.id, channels, 0, 2**40).value.tolist() if channels else []
    assert values == ([] if shown is None else [shown * 10**6])


OTHERS = ("7-20:99.33.17", "6-0:1.0.0", "8-1:1.0.0*255", "7.0.3.1.0.255", "007-1:3.0.0", "import-commodity-7")


@pytest.mark.parametrize("channel", [*OTHERS, "export-commodity-12-phase-128 T1"])
def test_a_code_of_gas_heat_or_water_is_refused(ours: People, services: Services, channel: str) -> None:
    """Beside the electricity of the same usage point, in kilowatt-hours too."""
    other, own = row(2, 0, "1", channel=channel), row(2, 0, "2", channel="1-0:1.29.0")
    assert send(ours, services, other, own) == (1, 1, ["imports.commodity-not-kept"])
    assert send(ours, services, other.replace("P1", "P2")) == (0, 0, ["imports.commodity-not-kept"])
    assert Series.objects.count() == 1


@pytest.mark.parametrize("channel", ["0-0:1.29.0", "10.0.0.1", "7 days", "Heat pump", "4-wire", "7-20"])
def test_a_name_like_a_code_of_another_medium_is_a_name(
    ours: People, services: Services, channel: str
) -> None:
    assert send(ours, services, row(2, 0, "1", channel=channel)) == (1, 1, [])


@pytest.mark.parametrize(
    ("commodity", "service", "is_kept"),
    [
        *(("", "0", True), ("0", "", True), ("1", "0", True), ("2", "", True)),
        *(("", "1", False), ("", "4", False), ("7", "0", False), ("12", "", False), ("9", "2", False)),
        *(("26", "0", True), ("0", "1", False), ("1", "1", False), ("", "9", False), ("gas", "", False)),
    ],
)
def test_gas_of_a_green_button_file_is_refused(
    ours: People, services: Services, commodity: str, service: str, *, is_kept: bool
) -> None:
    """By its reading type, or where that does not say by the service of its usage point; through any file."""
    point = f"<UsagePoint xmlns='http://naesb.org/espi'><ServiceCategory><kind>{service}</kind>"
    content = feed(
        reading(1_793_577_600),
        kind=f"<commodity>{commodity}</commodity><uom>72</uom><powerOfTenMultiplier>3</powerOfTenMultiplier>",
    ).replace(
        b'<UsagePoint xmlns="http://naesb.org/espi"/>', f"{point}</ServiceCategory></UsagePoint>".encode()
    )
    assert service.encode() in content
    check_commodity(ours, services, content, is_kept=is_kept)


@pytest.mark.parametrize(
    ("commodity", "is_kept"), [("0", True), ("1", True), ("2", True), ("26", True), ("7", False)]
)
@pytest.mark.parametrize(
    "kind", ["0.0.2.4.1.{}.12.0.0.0.0.0.0.0.0.3.72.0", "0.0.0.1.1.{}.12.0.0.0.0.0.0.0.0.3.72.0"]
)
def test_gas_of_a_message_is_refused(
    ours: People, services: Services, kind: str, commodity: str, *, is_kept: bool
) -> None:
    content = message(interval_reading(), kind=kind.format(commodity))
    check_commodity(ours, services, content, is_kept=is_kept)


def check_commodity(ours: People, services: Services, content: bytes, *, is_kept: bool) -> None:
    check_kept(ours, services, content, [] if is_kept else ["imports.commodity-not-kept"])


def check_kept(ours: People, services: Services, content: bytes, refused: list[str]) -> None:
    """One reading of a file is kept or refused, and so it is through any other format."""
    check_round_trips(content)
    forms: tuple[Format, ...] = ("csv", "greenbutton", "iec61968", "xlsx")
    blocks = read_file(content, CsvOptions()).blocks
    written = (b"".join(write_file(form, blocks, LossList())) for form in forms)
    for each in (content, *written):
        told = import_file(actor=ours.operator, now=NOW, services=services, content=each, label="f")
        assert [error.code for error in told.errors] == refused
        assert told.rows_count == Series.objects.count() == (not refused)


@pytest.mark.parametrize("qualifier", ["", "0", "12", "26", "2", "8", "9"])
@pytest.mark.parametrize("form", ["espi", "iec61968"])
def test_a_maximum_or_a_mean_is_no_energy(
    ours: People, services: Services, form: str, qualifier: str
) -> None:
    if form == "espi":
        kind = f"<dataQualifier>{qualifier}</dataQualifier><uom>72</uom>"
        content = feed(reading(1_793_577_600), kind=kind)
    else:
        content = message(interval_reading(), kind=f"0.{qualifier or 0}.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0")
    refused = ["imports.not-counted-now"] if qualifier in ("2", "8", "9") else []
    check_kept(ours, services, content, refused)


NO_ENERGY = {  # of a reading type of watt-hours, its place among 18 numbers: what is counted now, what not
    "kind": (6, ("0", "12"), ("8", "37", "32", "48")),  # demand, power, losses
    "accumulationBehaviour": (3, ("4", "0"), ("6", "12")),  # a needle, an instant
}


def type_with(accumulation: str, place: int, code: str) -> str:
    """Return a reading type of kilowatt-hours of a quarter of an hour with one number another one."""
    numbers = f"0.0.2.{accumulation}.1.1.12.0.0.0.0.0.0.0.0.3.72.0".split(".")
    numbers[place] = code
    return ".".join(numbers)


@pytest.mark.parametrize(
    ("field", "code", "is_energy"),
    [
        (field, code, codes is kept)
        for field, (_place, kept, refused) in NO_ENERGY.items()
        for codes in (kept, refused)
        for code in codes
    ],
)
@pytest.mark.parametrize("form", ["espi", "iec61968"])
def test_a_demand_in_watt_hours_is_no_energy(
    ours: People, services: Services, form: str, field: str, code: str, *, is_energy: bool
) -> None:
    if form == "espi":
        content = feed(reading(1_793_577_600), kind=f"<{field}>{code}</{field}><uom>72</uom>")
    else:
        content = message(interval_reading(), kind=type_with("4", NO_ENERGY[field][0], code))
    check_kept(ours, services, content, [] if is_energy else ["imports.not-counted-now"])


@pytest.mark.parametrize("period", ["0", "15", "16"])
@pytest.mark.parametrize("form", ["espi", "iec61968"])
def test_what_a_register_showed_a_billing_cycle_ago_is_not_what_it_shows(
    ours: People, services: Services, form: str, period: str
) -> None:
    content = registers_of(form, ["0"], part="tou")
    if form == "espi":
        said = f"<measuringPeriod>{period}</measuringPeriod></ReadingType>"
        content = feed(
            reading(1_793_577_600),
            kind="<accumulationBehaviour>1</accumulationBehaviour><uom>72</uom>",
        ).replace(b"</ReadingType>", said.encode())
    else:
        content = content.replace(b"'0.0.0.1.1.", f"'0.0.{period}.1.1.".encode())
    check_kept_register(ours, services, content, ["imports.not-counted-now"] if period == "16" else [])


@pytest.mark.parametrize("place", ["consumptionTier", "cpp", "harmonic"])
@pytest.mark.parametrize("form", ["espi", "iec61968"])
def test_a_register_of_one_tier_or_peak_is_not_the_total(
    ours: People, services: Services, form: str, place: str
) -> None:
    if form == "espi":
        more = f"<{place}>2</{place}>"
        content = feed(
            reading(1_793_577_600),
            kind=f"<accumulationBehaviour>1</accumulationBehaviour><uom>72</uom>{more}",
        )
        refused = [] if place == "harmonic" else ["imports.part-not-kept"]  # no field of ESPI's is called so
    else:
        at = {"cpp": 12, "consumptionTier": 13, "harmonic": 7}[place]
        content = message(interval_reading(), kind=type_with("1", at, "2"))
        refused = ["imports.part-not-kept"]
    check_kept_register(ours, services, content, refused)


def check_kept_register(ours: People, services: Services, content: bytes, refused: list[str]) -> None:
    check_round_trips(content)
    for each in (content, b"".join(write_file("csv", read_file(content, CsvOptions()).blocks, LossList()))):
        told = import_file(actor=ours.operator, now=NOW, services=services, content=each, label="f")
        assert [error.code for error in told.errors] == refused


@pytest.mark.parametrize("name", ["Gas kWh", "Fernwärme", "天然气", "Gas-2", "District heating"])
def test_a_name_of_gas_or_heat_is_refused_with_its_way_out(
    ours: People, services: Services, name: str
) -> None:
    told = send(ours, services, row(2, 0, "1", channel=name), row(2, 0, "2", channel="Gas turbine"))
    assert told == (1, 1, ["imports.commodity-not-kept"])


def test_a_maximum_beside_the_total_and_one_phase_stands_in_nobodys_place(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    types = ("0.8.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0", "0.0.2.4.1.1.12.0.0.0.0.0.0.0.128.3.72.0")
    parts = [
        f"<IntervalBlocks>{interval_reading()}<ReadingType ref='{kind}'/></IntervalBlocks>" for kind in types
    ]
    content = MESSAGE.format(inner="".join(parts), point=POINT).encode()
    told = import_file(actor=ours.operator, now=NOW, services=services, content=content, label="f")
    assert [error.code for error in told.errors] == ["imports.not-counted-now"]
    (channel_id,) = Channel.objects.values_list("id", flat=True)
    assert store.raw_reads(ours.tenant.id, [channel_id], 0, 2**40).value.tolist() == [1_250_000]


def test_gas_and_electricity_of_one_message_are_told_apart(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    """They were one channel: of the same interval the first that came stood."""
    types = ("0.0.2.4.1.7.12.0.0.0.0.0.0.0.0.0.72.0", "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0")
    parts = [
        f"<IntervalBlocks>{interval_reading()}<ReadingType ref='{kind}'/></IntervalBlocks>" for kind in types
    ]
    content = MESSAGE.format(inner="".join(parts), point=POINT).encode()
    told = import_file(actor=ours.operator, now=NOW, services=services, content=content, label="f")
    assert [error.code for error in told.errors] == ["imports.commodity-not-kept"]
    (channel_id,) = Channel.objects.values_list("id", flat=True)
    assert store.raw_reads(ours.tenant.id, [channel_id], 0, 2**40).value.tolist() == [1_250_000]


@pytest.mark.parametrize(
    ("rows", "reading_types"),
    [
        (["M1,import-phase-129,3600", "M1,import,0"], ["interval", "register"]),
        (["M1,import-phase-129,3600", "M2,import,3600"], ["interval", "interval"]),
    ],
    ids=["a profile beside a register", "a meter after another"],
)
def test_one_phase_is_all_of_a_meter_that_tells_no_other(
    ours: People, services: Services, rows: Sequence[str], reading_types: Sequence[str]
) -> None:
    head = "usage_point,meter_serial,channel,interval_s,starts_at,value,unit,quality\n"
    told = (f"P1,{row},2026-11-0{day}T00:00:00Z,{day},kWh,measured\n" for day, row in enumerate(rows, 2))
    content = "".join([head, *told]).encode()
    result = import_file(actor=ours.operator, now=NOW, services=services, content=content, label="a.csv")
    assert (result.errors, result.rows_count) == ((), 2)
    kept = Channel.objects.order_by("id").values_list("reading_type", flat=True)
    assert list(kept) == [f"energy_import_{kind}_kwh" for kind in reading_types]
