"""A meter that a person added, because the old one was exchanged, and that files speak for from then on."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from relational import NOW, People
from unit.actions.test_import_registers import MILLIWH, advance, derive, sum_until
from wattkeeper.actions.collection.import_file import import_file, try_import
from wattkeeper.actions.registry import channels
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.copy_meter import copy_meter
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.remove_meter import remove_meter
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.registry.models import Channel, Meter, UsagePoint
from wattkeeper.store.memory import MemoryReadingStore

EXCHANGED_AT = datetime(2026, 10, 1, 1, 22, 7, tzinfo=UTC)  # the third read of the old meter
TEN_DAYS = timedelta(days=10)
READS = ("5.25", "17.75", "999.75")  # of the new meter, every ten days
FIVE_DIGITS = ("99901.1", "00010.2", "00310.2")
SEVEN_DIGITS = ("1234567.89", "1234577.89", "1234600.01")
HEAD = "usage_point,meter_serial,channel,starts_at,interval_s,value,unit,quality\n"


def nem13(rows: str) -> str:
    return f"100,NEM13,202611030900,MDA1,Ret1\r\n{rows}900\r\n"


def later_file(texts: Sequence[str]) -> str:
    rows = []
    for i, (first, last) in enumerate(pairwise(texts)):
        from_at, to_at = (
            f"{EXCHANGED_AT + (i + k) * TEN_DAYS + timedelta(hours=10):%Y%m%d%H%M%S}" for k in (0, 1)
        )
        modulus = 10 ** max(len(first.partition(".")[0]), 5)
        advance = (Decimal(last) - Decimal(first)) % modulus
        reads = f"{first},{from_at},A,,,{last},{to_at},A,,,{advance}"
        rows.append(f"250,VABC005890,11,1,11,11,M2,E,{reads},kWh,20270101,20261103100333,20261103091133\r\n")
    return nem13("".join(rows))


def later_table(texts: Sequence[str]) -> str:
    point = UsagePoint.objects.get().code
    ats = (EXCHANGED_AT + i * TEN_DAYS for i in range(len(texts)))
    rows = (
        f"{point},M2,import,{at:%Y-%m-%dT%H:%M:%SZ},0,{text},kWh,measured\n"
        for at, text in zip(ats, texts, strict=True)
    )
    return HEAD + "".join(rows)


def bring(ours: People, services: Services, store: MemoryReadingStore, text: str) -> list[str]:
    result = import_file(
        actor=ours.operator, now=NOW, services=services, content=text.encode(), label="a.csv"
    )
    derive(ours, store)
    return [error.code for error in result.errors]


def exchange(
    ours: People,
    services: Services,
    store: MemoryReadingStore,
    texts: Sequence[str] = READS,
    later: Callable[[Sequence[str]], str] = later_file,
) -> list[str]:
    """Return what is refused of the new meter's first file."""
    assert bring(ours, services, store, nem13(advance(0, "M1") + advance(1, "M1"))) == []
    old = Meter.objects.get()
    own = {"actor": ours.operator, "now": NOW, "services": services}
    new_id = add_meter(**own, site_id=old.site_id, serial_number="M2", interval_s=900)
    exchange_meter(
        **own,
        meter_id=old.id,
        new_meter_id=new_id,
        at=EXCHANGED_AT,
        final_read="6600.0",
        initial_read=texts[0],
    )
    return bring(ours, services, store, later(texts))


def test_files_go_on_where_a_person_exchanged_the_meter(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    assert exchange(ours, services, store) == []
    own = {"actor": ours.operator, "now": NOW}
    new = Meter.objects.get(serial_number="M2")
    remove_meter(**own, services=services, meter_id=new.id, at=EXCHANGED_AT + 2 * TEN_DAYS)
    derive(ours, store)
    assert sum_until(ours, store, to_seconds(NOW)) == (66_000 - 63_428) * MILLIWH + 994_500_000
    copy_meter(**own, meter_id=new.id, serial_number="M3", address="")
    steps = dict(Channel.objects.values_list("meter__serial_number", "shown_count"))
    assert steps == {"M1": 100_000, "M2": 10_000, "M3": 10_000}


@pytest.mark.parametrize(
    ("texts", "later", "rise_wh"),
    [(FIVE_DIGITS, later_file, 409_100), (SEVEN_DIGITS, later_table, 32_120)],
    ids=["a dial of five digits begins again", "a register of seven digits"],
)
def test_a_register_has_the_digits_that_files_tell(
    ours: People,
    services: Services,
    store: MemoryReadingStore,
    texts: Sequence[str],
    later: Callable[[Sequence[str]], str],
    rise_wh: int,
) -> None:
    assert exchange(ours, services, store, texts, later) == []
    own = {"actor": ours.operator, "now": NOW, "services": services}
    remove_meter(**own, meter_id=Meter.objects.get(serial_number="M2").id, at=EXCHANGED_AT + 2 * TEN_DAYS)
    derive(ours, store)
    assert sum_until(ours, store, to_seconds(NOW)) == (66_000 - 63_428) * MILLIWH + rise_wh * 1000


@pytest.mark.parametrize("is_tried", [True, False], ids=["tried", "kept"])
def test_a_meter_in_stock_takes_a_finer_file(
    ours: People, services: Services, store: MemoryReadingStore, is_tried: bool
) -> None:
    site_id = add_site(actor=ours.operator, now=NOW, code="S", name="S", kind="COMMERCIAL", time_zone="UTC")
    own = {"actor": ours.operator, "now": NOW, "services": services}
    add_meter(**own, site_id=site_id, serial_number="M2", interval_s=900)
    content = f"{HEAD}P1,M2,import,2026-10-01T00:00:00Z,0,12.345,kWh,measured\n".encode()
    if is_tried:
        assert try_import(**own, content=content, label="a.csv")[0].errors == ()
    assert import_file(**own, content=content, label="a.csv").errors == ()
    assert Channel.objects.get().shown_count == 1000


@pytest.fixture
def of_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meters that people add have steps of 0.01 kWh and eight digits, as in an earlier release."""
    monkeypatch.setitem(channels.USUAL_CHANNELS, "", channels.OTHER_CHANNELS)


SIX_DIGITS = ("999905.25", "000017.75", "000999.7")


@pytest.mark.usefixtures("of_earlier")
@pytest.mark.parametrize("later", [later_file, later_table])
@pytest.mark.parametrize(
    ("texts", "rise_wh"), [(SIX_DIGITS, 1_094_450), (("5.25", "17.75", "999.75"), 994_500)]
)
def test_a_meter_of_an_earlier_release_takes_files_in_its_own_steps(
    ours: People,
    services: Services,
    store: MemoryReadingStore,
    texts: Sequence[str],
    later: Callable[[Sequence[str]], str],
    rise_wh: int,
) -> None:
    if later is later_file:
        texts = [f"{Decimal(text):09.2f}" for text in texts]
    assert exchange(ours, services, store, texts, later) == []
    own = {"actor": ours.operator, "now": NOW, "services": services}
    new = Meter.objects.get(serial_number="M2")
    remove_meter(**own, meter_id=new.id, at=EXCHANGED_AT + 2 * TEN_DAYS)
    derive(ours, store)
    assert sum_until(ours, store, to_seconds(NOW)) == (66_000 - 63_428) * MILLIWH + rise_wh * 1000
    shown = store.raw_reads(ours.tenant.id, [new.channels.get().id], 0, 2**40).value.tolist()
    assert sorted(set(shown)) == sorted(int(Decimal(text) * 100) for text in texts)


@pytest.mark.usefixtures("of_earlier")
@pytest.mark.parametrize(
    ("texts", "later"),
    [(("5.255", "17.75", "999.75"), later_table), (FIVE_DIGITS, later_file), (SEVEN_DIGITS, later_table)],
    ids=["finer", "of five digits", "of seven digits"],
)
def test_what_a_meter_of_an_earlier_release_can_not_hold_is_refused(
    ours: People,
    services: Services,
    store: MemoryReadingStore,
    texts: Sequence[str],
    later: Callable[[Sequence[str]], str],
) -> None:
    initial = ("5.25", *texts[1:]) if texts[0] == "5.255" else texts
    held = tuple(text if len(text) < 9 else "0" for text in initial)
    assert exchange(ours, services, store, held, lambda _texts: later(texts)) == ["imports.step-differs"]
